// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the system sees of running runs: progress at the task bar, no suspension while one goes on, a notice at the end of a long one
 * that nobody watched. Lives in the main process, so that it goes on where a page died or was closed.
 *
 *   list says 'preparing' or 'running' --follow--> progress ... --'ended'--> notice where it was long and no window is in front
 *
 * Rules: 1. Nothing here touches a run. 2. The machine is kept awake from the first run that goes on to the end of the last.
 */
import type { RunEvent, RunListEntry, RunState } from '../contract/types.ts';

/** Runs at least so long are told of at their end. */
export const LONG_RUN_MS = 10_000;

export interface RunFeed {
  watchList(signal: AbortSignal): AsyncIterable<readonly RunListEntry[]>;
  watch(runId: string, signal: AbortSignal): AsyncIterable<RunEvent>;
}
export interface Notice {
  readonly runId: string;
  readonly title: string;
  readonly body: string;
}
/** The system, as far as runs show there. */
export interface PresencePort {
  /** 0..1; 'busy': no end known; null: nothing runs. */
  showProgress(progress: number | 'busy' | null): void;
  keepAwake(isOn: boolean): void;
  isAnyWindowInFront(): boolean;
  notify(notice: Notice): void;
  /** Milliseconds of a monotonic clock. */
  nowMs(): number;
  /** A stream that broke; the runs themselves are not touched by it. */
  onProblem(error: unknown): void;
}

const END_WORDS: Readonly<Partial<Record<RunState, string>>> = {
  finished: 'The run has ended',
  cancelled: 'The run was stopped',
  failed: 'The run failed',
  aborted: 'The run was cut off',
};

export class RunPresence {
  private readonly followed = new Map<string, number | 'busy'>();
  private readonly ended = new AbortController();

  constructor(
    private readonly feed: RunFeed,
    private readonly port: PresencePort,
  ) {}

  /** Follows until `close`. Never rejects. */
  async start(): Promise<void> {
    try {
      for await (const list of this.feed.watchList(this.ended.signal)) {
        for (const run of list) this.take(run);
      }
    } catch (error) {
      if (!this.ended.signal.aborted) this.port.onProblem(error);
    }
  }
  close(): void {
    this.ended.abort();
    this.followed.clear();
    this.show();
    this.port.keepAwake(false);
  }

  private take(run: RunListEntry): void {
    const isLive = run.state === 'preparing' || run.state === 'running';
    if (!isLive || this.followed.has(run.id) || this.ended.signal.aborted) return;
    this.followed.set(run.id, 'busy');
    if (this.followed.size === 1) this.port.keepAwake(true);
    this.show();
    void this.follow(run);
  }

  private async follow(run: RunListEntry): Promise<void> {
    const startedAtMs = this.port.nowMs();
    try {
      for await (const event of this.feed.watch(run.id, this.ended.signal)) {
        if (event.kind === 'progress') {
          this.followed.set(run.id, event.progress.fraction ?? 'busy');
          this.show();
        } else if (event.kind === 'ended') {
          this.tellEnd(run, event.state, event.failure?.message ?? null, startedAtMs);
        }
      }
    } catch (error) {
      if (!this.ended.signal.aborted) this.port.onProblem(error);
    } finally {
      if (this.followed.delete(run.id) && this.followed.size === 0) this.port.keepAwake(false);
      this.show();
    }
  }

  private tellEnd(
    run: RunListEntry,
    state: RunState,
    failure: string | null,
    startedAtMs: number,
  ): void {
    if (this.port.nowMs() - startedAtMs < LONG_RUN_MS || this.port.isAnyWindowInFront()) return;
    const title = END_WORDS[state] ?? 'The run is over';
    this.port.notify({
      runId: run.id,
      title,
      body: failure === null ? run.name : `${run.name}: ${failure}`,
    });
  }

  /** The mean of those with a known end; busy where none has one. */
  private show(): void {
    const known = [...this.followed.values()].filter((each) => each !== 'busy');
    if (this.followed.size === 0) this.port.showProgress(null);
    else if (known.length === 0) this.port.showProgress('busy');
    else this.port.showProgress(known.reduce((sum, each) => sum + each, 0) / known.length);
  }
}
