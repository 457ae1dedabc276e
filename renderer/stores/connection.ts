// SPDX-License-Identifier: GPL-2.0-only
/** The connection to the services and what is known of it. Every other store asks here for its client. */
import { defineStore } from 'pinia';
import { computed, markRaw, ref, shallowRef } from 'vue';
import type { Connection, ConnectionState, LabClient } from '../connection/connection.ts';

export const useConnectionStore = defineStore('connection', () => {
  const connection = shallowRef<Connection | null>(null);
  const state = ref<ConnectionState>('connecting');
  /** Counts openings: streams watch it and start again. */
  const epoch = ref(0);
  const wasOpen = ref(false);

  /** Called once, before the application is mounted. */
  function use(opened: Connection): void {
    connection.value = markRaw(opened);
    opened.onState((next) => {
      state.value = next;
      if (next === 'open') {
        epoch.value += 1;
        wasOpen.value = true;
      }
    });
  }
  /** The typed client; throws where `use` was never called. */
  const client = (): LabClient => {
    if (connection.value === null) throw new Error('the connection is not set up');
    return connection.value.client;
  };
  const isOpen = computed(() => state.value === 'open');
  return { connection, state, epoch, wasOpen, isOpen, use, client };
});
