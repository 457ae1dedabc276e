// SPDX-License-Identifier: GPL-2.0-only
/** The visible lists (devices, file systems, executors, revisions, presets): forms are made from them, never from a second list. */
import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { Catalogue, HostErrorData } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';

export const useCatalogueStore = defineStore('catalogue', () => {
  const connection = useConnectionStore();
  const catalogue = shallowRef<Catalogue | null>(null);
  const error = ref<HostErrorData | null>(null);

  /** Asks again; keeps what is there while it waits. */
  async function load(): Promise<void> {
    try {
      catalogue.value = await connection.client().host.catalogue();
      error.value = null;
    } catch (thrown) {
      error.value = asHostError(thrown);
    }
  }
  return { catalogue, error, load };
});
