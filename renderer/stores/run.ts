// SPDX-License-Identifier: GPL-2.0-only
/**
 * The run that the Lab shows: live while it runs, its result afterwards.
 *
 *   idle --start--> starting --runId--> preparing, running --'ended'--> finished, cancelled, failed, aborted (result loaded)
 *
 * Rules: 1. Points of the series go into a plain array; `tick` says that there are more (at most 20 times a second), so that drawing
 * never queues up behind the stream. 2. After a lost connection the stream is opened again; what was missed is in the result.
 */
import { defineStore } from 'pinia';
import { markRaw } from 'vue';
import type {
  Experiment, HostErrorData, RunEvent, RunProgress, RunResult, RunState, SeriesPoint,
} from '../../main/contract/index.ts'; // prettier-ignore
import { asHostError, asSent } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';

const TICK_MS = 50;
const SERIES_MAX = 20_000;

interface RunStoreState {
  runId: string | null;
  state: RunState | 'starting' | null;
  experiment: Experiment | null;
  progress: RunProgress | null;
  result: RunResult | null;
  failure: HostErrorData | null;
  isStopping: boolean;
  /** Grows when there is more to draw. */
  tick: number;
  /** Raw on purpose: see rule 1. */
  series: SeriesPoint[];
  tickTimer: ReturnType<typeof setTimeout> | 0;
  /** The newest progress, not shown yet. */
  latest: { value: RunProgress | null };
  watching: string;
}

export const useRunStore = defineStore('run', {
  state: (): RunStoreState => ({
    runId: null,
    state: null,
    experiment: null,
    progress: null,
    result: null,
    failure: null,
    isStopping: false,
    tick: 0,
    series: markRaw([]),
    tickTimer: 0,
    latest: markRaw({ value: null }),
    watching: '',
  }),
  getters: {
    isLive: (run): boolean =>
      run.state === 'starting' || run.state === 'preparing' || run.state === 'running',
  },
  actions: {
    tickSoon(): void {
      if (this.tickTimer !== 0) return;
      this.tickTimer = setTimeout(() => {
        this.tickTimer = 0;
        this.progress = this.latest.value === null ? null : markRaw(this.latest.value);
        this.tick += 1;
      }, TICK_MS);
    },
    clear(): void {
      this.series = markRaw([]);
      this.latest.value = null;
      this.progress = null;
      this.result = null;
      this.failure = null;
      this.isStopping = false;
      this.tick += 1;
    },
    append(points: readonly SeriesPoint[]): void {
      for (const point of points) {
        if (point.atNs > (this.series.at(-1)?.atNs ?? -1)) this.series.push(point);
      }
      if (this.series.length > SERIES_MAX) this.series.splice(0, this.series.length - SERIES_MAX);
      this.tickSoon();
    },
    async loadResult(id: string): Promise<void> {
      try {
        const loaded = markRaw(await useConnectionStore().client().runs.get({ runId: id }));
        if (this.runId !== id) return;
        this.result = loaded;
        this.experiment = loaded.experiment;
        this.series = markRaw([...loaded.series]);
        this.tick += 1;
      } catch (thrown) {
        if (this.runId === id && this.failure === null) this.failure = asHostError(thrown);
      }
    },
    async take(event: RunEvent, id: string): Promise<void> {
      if (event.kind === 'series') {
        this.append(event.points);
      } else if (event.kind === 'progress') {
        this.latest.value = event.progress;
        this.state = event.progress.phase === 'preparing' ? 'preparing' : 'running';
        this.tickSoon();
      } else {
        this.failure = event.failure;
        await this.loadResult(id);
        if (this.runId !== id) return;
        this.state = event.state;
        this.isStopping = false;
      }
    },
    async follow(id: string): Promise<void> {
      if (this.watching === id) return;
      this.watching = id;
      const connection = useConnectionStore();
      try {
        for await (const event of await connection.client().runs.watch({ runId: id })) {
          if (this.runId !== id) break;
          await this.take(event, id);
        }
      } catch (thrown) {
        // A lost connection is told by the connection's own state, and the stream is opened again when it is back.
        if (connection.isOpen && this.runId === id) this.failure = asHostError(thrown);
      } finally {
        if (this.watching === id) this.watching = '';
      }
    },
    /** Starts a run; a refusal leaves the result before it in place and is thrown. */
    async start(wanted: Experiment): Promise<void> {
      if (this.isLive) return;
      const before = this.state;
      this.state = 'starting';
      try {
        const started = await useConnectionStore().client().runs.start(asSent(wanted));
        this.clear();
        this.runId = started.runId;
        this.experiment = markRaw(wanted);
        this.state = 'preparing';
        void this.follow(started.runId);
      } catch (thrown) {
        this.state = before;
        throw thrown;
      }
    },
    /** Shows a run that is going on already (the page was closed, or another face started it). */
    attach(id: string): void {
      if (this.isLive) return;
      this.clear();
      this.runId = id;
      this.state = 'running';
      void this.follow(id);
    },
    /** After the connection was lost and is open again. */
    resume(): void {
      this.watching = '';
      if (this.runId !== null && this.isLive) void this.follow(this.runId);
    },
    /** Asks the host to stop; the run ends through its stream. */
    async cancel(): Promise<void> {
      if (this.runId === null || !this.isLive || this.isStopping) return;
      this.isStopping = true;
      try {
        await useConnectionStore().client().runs.cancel({ runId: this.runId });
      } catch (thrown) {
        this.isStopping = false;
        throw thrown;
      }
    },
  },
});
