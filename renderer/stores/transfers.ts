// SPDX-License-Identifier: GPL-2.0-only
/**
 * Copies that go on: into images, out of them, and files laid out by a recipe. Kept here so that they outlive the screen that began
 * them. Ending the iteration cancels on the other side, which takes away what was half done.
 */
import { defineStore } from 'pinia';
import { markRaw, ref } from 'vue';
import type { HostErrorData, TransferEvent } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useToastsStore } from './toasts.ts';

export interface Transfer {
  readonly id: number;
  /** `Copying data.bin into vm-root.img`. */
  readonly title: string;
  readonly state: 'running' | 'cancelling' | 'done' | 'failed' | 'cancelled';
  readonly file: string;
  readonly doneBytes: number;
  /** Null: not known. */
  readonly totalBytes: number | null;
  readonly error: HostErrorData | null;
}
/** Begins the copy; `signal` ends it. */
export type StartTransfer = (signal: AbortSignal) => Promise<AsyncIterable<TransferEvent>>;
/** How long one that is done stays in sight. */
const LINGER_MS = 4000;

export const useTransfersStore = defineStore('transfers', () => {
  const transfers = ref<Transfer[]>([]);
  const aborts = new Map<number, AbortController>();
  let lastId = 0;

  function patch(id: number, change: Partial<Transfer>): void {
    transfers.value = transfers.value.map((each) =>
      each.id === id ? markRaw({ ...each, ...change }) : each,
    );
  }
  function dismiss(id: number): void {
    transfers.value = transfers.value.filter((each) => each.id !== id);
  }
  function cancel(id: number): void {
    const found = transfers.value.find((each) => each.id === id);
    if (found?.state !== 'running') return;
    patch(id, { state: 'cancelling' });
    aborts.get(id)?.abort();
  }
  /** Follows a copy to its end. True: all of it was copied. A failure stays in the list until it is dismissed. */
  async function run(title: string, start: StartTransfer): Promise<boolean> {
    lastId += 1;
    const id = lastId;
    const abort = new AbortController();
    aborts.set(id, abort);
    const begun = { id, title, state: 'running', file: '', doneBytes: 0, totalBytes: null, error: null } as const; // prettier-ignore
    transfers.value = [...transfers.value, markRaw(begun)];
    try {
      for await (const event of await start(abort.signal)) {
        if (abort.signal.aborted) break;
        if (event.kind === 'progress') {
          const { file, doneBytes, totalBytes } = event;
          patch(id, { file, doneBytes, totalBytes });
        } else {
          patch(id, { doneBytes: event.bytes, totalBytes: event.bytes });
          if (event.notes?.length)
            useToastsStore().show(title, { detail: event.notes.join(' '), seconds: 20 });
        }
      }
      if (abort.signal.aborted) return ended(id, { state: 'cancelled' }, true);
      ended(id, { state: 'done' }, true);
      return true;
    } catch (thrown) {
      if (abort.signal.aborted) return ended(id, { state: 'cancelled' }, true);
      return ended(id, { state: 'failed', error: asHostError(thrown) }, false);
    } finally {
      aborts.delete(id);
    }
  }
  function ended(id: number, change: Partial<Transfer>, leaves: boolean): false {
    patch(id, change);
    if (leaves) setTimeout(dismiss, LINGER_MS, id);
    return false;
  }
  return { transfers, run, cancel, dismiss };
});
