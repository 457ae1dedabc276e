// SPDX-License-Identifier: GPL-2.0-only
/** What this machine can do (the doctor's facts). */
import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { HostErrorData, HostFacts } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';

export const useHostStore = defineStore('host', () => {
  const connection = useConnectionStore();
  const facts = shallowRef<HostFacts | null>(null);
  const error = ref<HostErrorData | null>(null);
  const isLoading = ref(false);

  /** Probes the machine again. */
  async function load(): Promise<void> {
    isLoading.value = true;
    try {
      facts.value = await connection.client().host.facts({});
      error.value = null;
    } catch (thrown) {
      error.value = asHostError(thrown);
    } finally {
      isLoading.value = false;
    }
  }
  return { facts, error, isLoading, load };
});
