// SPDX-License-Identifier: GPL-2.0-only
/**
 * Measurements of one job on several grounds: those there are, and the one that goes on.
 *
 *   start --id--> preparing, running (progress, the result after each run) --> finished, cancelled, failed
 *
 * Rules: 1. The list has the newest version of each, the live one included, so a screen reads one place only. 2. One that goes on
 * already (the page was closed, or another face started it) is followed as soon as the list shows it. 3. After a lost connection the
 * list is loaded anew, and what still goes on is followed again.
 */
import { defineStore } from 'pinia';
import { markRaw } from 'vue';
import type { GroundsEvent, GroundsRequest, GroundsResult } from '../../main/contract/grounds.ts';
import type { HostErrorData } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useToastsStore } from './toasts.ts';

export interface GroundsProgress {
  readonly id: string;
  readonly text: string;
  /** 0..1 */
  readonly fraction: number;
}
export const goesOn = (result: Pick<GroundsResult, 'state'>): boolean =>
  result.state === 'preparing' || result.state === 'running';

interface GroundsState {
  /** Newest first; null: not known yet. */
  results: readonly GroundsResult[] | null;
  error: HostErrorData | null;
  progress: GroundsProgress | null;
  isStarting: boolean;
  isStopping: boolean;
  serial: number;
}

export const useGroundsStore = defineStore('grounds', {
  state: (): GroundsState => ({
    results: null,
    error: null,
    progress: null,
    isStarting: false,
    isStopping: false,
    serial: 0,
  }),
  getters: {
    live: (state): GroundsResult | null => state.results?.find(goesOn) ?? null,
    byId:
      (state) =>
      (id: string): GroundsResult | null =>
        state.results?.find((each) => each.id === id) ?? null,
  },
  actions: {
    put(result: GroundsResult): void {
      const others = (this.results ?? []).filter((each) => each.id !== result.id);
      this.results = markRaw(
        [...others, markRaw(result)].sort((a, b) => b.startedAtUnixMs - a.startedAtUnixMs),
      );
    },
    take(event: GroundsEvent, id: string): void {
      if (event.kind === 'result') this.put(event.result);
      else this.progress = { id, text: event.text, fraction: event.fraction };
    },
    async follow(id: string): Promise<void> {
      const mine = ++this.serial;
      const connection = useConnectionStore();
      try {
        for await (const event of await connection.client().grounds.watch({ id })) {
          if (mine !== this.serial) return;
          this.take(event, id);
        }
      } catch (thrown) {
        // A lost connection is told by the connection's own state; `load` comes when it is back.
        if (mine === this.serial && connection.isOpen) useToastsStore().showError(thrown);
      } finally {
        if (mine === this.serial) {
          this.progress = null;
          this.isStopping = false;
        }
      }
    },
    /** The list as the host has it; follows what goes on. */
    async load(): Promise<void> {
      try {
        this.results = markRaw(await useConnectionStore().client().grounds.results());
        this.error = null;
      } catch (thrown) {
        this.error = asHostError(thrown);
        return;
      }
      if (this.live !== null) void this.follow(this.live.id);
    },
    /** The id of the new measurement; null where the host refused (the reason is shown). */
    async start(request: GroundsRequest): Promise<string | null> {
      if (this.isStarting || this.live !== null) return null;
      this.isStarting = true;
      const { grounds } = useConnectionStore().client();
      try {
        const { id } = await grounds.start(request);
        this.put(await grounds.get({ id }));
        void this.follow(id);
        return id;
      } catch (thrown) {
        useToastsStore().showError(thrown);
        return null;
      } finally {
        this.isStarting = false;
      }
    },
    /** What was measured until now is kept. */
    async cancel(): Promise<void> {
      const id = this.live?.id;
      if (id === undefined || this.isStopping) return;
      this.isStopping = true;
      try {
        await useConnectionStore().client().grounds.cancel({ id });
      } catch (thrown) {
        this.isStopping = false;
        useToastsStore().showError(thrown);
      }
    },
    /** True: it is gone. */
    async remove(id: string): Promise<boolean> {
      try {
        await useConnectionStore().client().grounds.remove({ id });
        this.results = markRaw((this.results ?? []).filter((each) => each.id !== id));
        return true;
      } catch (thrown) {
        useToastsStore().showError(thrown);
        return false;
      }
    },
  },
});
