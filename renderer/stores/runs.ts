// SPDX-License-Identifier: GPL-2.0-only
/** The list of runs, kept true by the host's stream: two windows show the same. Deleting can be undone. */
import { defineStore } from 'pinia';
import { markRaw } from 'vue';
import type { HostErrorData, RunListEntry } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useToastsStore } from './toasts.ts';

interface RunsState {
  /** Null: not known yet. */
  runs: readonly RunListEntry[] | null;
  error: HostErrorData | null;
  serial: number;
}

export const useRunsStore = defineStore('runs', {
  state: (): RunsState => ({ runs: null, error: null, serial: 0 }),
  getters: {
    entry:
      (state) =>
      (runId: string): RunListEntry | null =>
        state.runs?.find((run) => run.id === runId) ?? null,
  },
  actions: {
    take(list: readonly RunListEntry[]): void {
      this.runs = markRaw([...list].sort((a, b) => b.startedAtUnixMs - a.startedAtUnixMs));
    },
    async load(): Promise<void> {
      try {
        this.take(await useConnectionStore().client().runs.list());
        this.error = null;
      } catch (thrown) {
        this.error = asHostError(thrown);
      }
    },
    /** Follows the host's list until the connection ends or `follow` is called again. */
    async follow(): Promise<void> {
      const mine = ++this.serial;
      const connection = useConnectionStore();
      await this.load();
      try {
        for await (const list of await connection.client().runs.watchList()) {
          if (mine !== this.serial) return;
          this.take(list);
        }
      } catch (thrown) {
        if (mine === this.serial && connection.isOpen) this.error = asHostError(thrown);
      }
    },
    /** Gone from the list at once; the host is told, and asked back where the person undoes it. */
    async remove(run: RunListEntry): Promise<void> {
      const toasts = useToastsStore();
      try {
        await useConnectionStore().client().runs.remove({ runId: run.id });
        this.take(this.runs?.filter((each) => each.id !== run.id) ?? []);
        toasts.show(`Deleted “${run.name}”`, {
          seconds: 12,
          action: { label: 'Undo', run: () => void this.restore(run) },
        });
      } catch (thrown) {
        toasts.showError(thrown);
      }
    },
    async restore(run: RunListEntry): Promise<void> {
      try {
        const restored = await useConnectionStore().client().runs.restore({ runId: run.id });
        if (this.entry(run.id) === null) this.take([...(this.runs ?? []), restored]);
      } catch (thrown) {
        useToastsStore().showError(thrown);
      }
    },
    /** False where the host refused; the reason is shown. */
    async rename(runId: string, name: string): Promise<boolean> {
      try {
        const renamed = await useConnectionStore().client().runs.rename({ runId, name });
        this.take(this.runs?.map((run) => (run.id === runId ? renamed : run)) ?? []);
        return true;
      } catch (thrown) {
        useToastsStore().showError(thrown);
        return false;
      }
    },
  },
});
