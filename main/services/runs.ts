// SPDX-License-Identifier: GPL-2.0-only
/**
 * Runs: started, queued, watched, cancelled, kept. One run goes at a time in this process; the others wait as 'preparing' and say so.
 *
 *   start: checks, then the intent (on disk) --> waiting --its turn--> image made where asked --> engine process
 *     rows --> result file (partial) ... ended --> result file whole --> done      failed, died --> done without result
 */
import { watch as watchFolder, type FSWatcher } from 'node:fs';
import {
  HostError,
  TRACE,
  traceRows,
  type HostErrorData,
  type TraceKindId,
} from '../../engine/base/index.ts';
import { assertExperiment } from '../../engine/lab/check.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import {
  compareWithKernel,
  type DeviceTransfer,
  type KernelComparison,
} from '../../engine/lab/kernel-trace.ts';
import type { RunProgress, RunResult, SeriesPoint } from '../../engine/lab/result.ts';
import type { TracePage, VerifyResult } from '../contract/grounds.ts';
import type { KeptRunResult, RunEvent, RunListEntry, RunState } from '../contract/types.ts';
import type { EngineHost, RunEnd, RunningEngine } from '../host/engine-host.ts';
import { failureData } from '../host/failure.ts';
import type { RowBatch } from '../host/messages.ts';
import { makeFolder } from './durable.ts';
import { newRunId, summaryOf, type Done, type Journal, type JournalEntry } from './journal.ts';
import type { ResultFiles, ResultWriter } from './result-file.ts';
import { Signal } from './signal.ts';
import { summaryOfResult } from './summary.ts';
import type { Targets } from './targets.ts';

/** Points that a late watcher is given at most. */
const SERIES_MAX = 20_000;
/** How long changes of the folder are gathered before the list is told anew. */
const LIST_GATHER_MS = 150;
/** How often a run of another process is looked at. */
const ELSEWHERE_POLL_MS = 500;

type EndEvent = RunEvent & { readonly kind: 'ended' };

/** A run of this process that has not ended. */
class ActiveRun {
  state: 'preparing' | 'running' = 'preparing';
  progress: RunProgress;
  readonly series: SeriesPoint[] = [];
  /** Points that were dropped from the front of `series`. */
  seriesDropped = 0;
  engine: RunningEngine | null = null;
  ended: EndEvent | null = null;
  readonly abort = new AbortController();
  readonly changed = new Signal();

  constructor(
    readonly id: string,
    readonly experiment: Experiment,
    readonly startedAtUnixMs: number,
  ) {
    this.progress = waitingProgress('Waiting for the run before it', experiment);
  }

  takeProgress(progress: RunProgress, points: readonly SeriesPoint[]): void {
    this.progress = progress;
    if (progress.phase !== 'preparing') this.state = 'running';
    this.series.push(...points);
    if (this.series.length > SERIES_MAX) {
      const excess = this.series.length - SERIES_MAX;
      this.series.splice(0, excess);
      this.seriesDropped += excess;
    }
    this.changed.raise();
  }

  end(state: RunState, failure: HostErrorData | null): void {
    this.ended = { kind: 'ended', state, failure };
    this.changed.raise();
  }
}

function waitingProgress(phaseText: string, experiment: Experiment): RunProgress {
  return {
    phase: 'preparing',
    phaseText,
    elapsedNs: 0,
    fraction: null,
    remainingNs: null,
    doneIos: 0,
    doneBytes: 0,
    inFlight: 0,
    depth: experiment.jobs[0]?.ioDepth ?? 1,
    latest: null,
    engineUserPercent: 0,
    engineSystemPercent: 0,
  };
}

export interface RunsParts {
  readonly journal: Journal;
  readonly runsFolder: string;
  readonly files: ResultFiles;
  readonly engine: EngineHost;
  readonly targets: Targets;
}

export class Runs {
  private readonly active = new Map<string, ActiveRun>();
  /** What waits for its turn: a run, or work that wants the machine for itself. Each ends without throwing. */
  private readonly queue: (() => Promise<void>)[] = [];
  private current: Promise<void> | null = null;
  private readonly listChanged = new Signal();
  private watcher: FSWatcher | null = null;
  private isClosing = false;

  constructor(private readonly parts: RunsParts) {}

  /** Checks the experiment, writes the intent, and queues the run. Throws `HostError` where it cannot run. */
  async start(experiment: Experiment): Promise<{ runId: string }> {
    if (this.isClosing) {
      throw new HostError({ code: 'lab.closing', message: 'The lab is closing', exitCode: 74 });
    }
    assertExperiment(experiment);
    const ready = await this.parts.targets.prepare(experiment);
    const startedAtUnixMs = Date.now();
    const id = newRunId(startedAtUnixMs);
    await this.parts.journal.begin(id, ready, startedAtUnixMs);
    const run = new ActiveRun(id, ready, startedAtUnixMs);
    this.active.set(id, run);
    this.queue.push(() => this.carryOutRun(run));
    this.listChanged.raise();
    this.startNext();
    return { runId: id };
  }

  /** Gives the stop order. False: it had ended before, or is not known here. */
  async cancel(id: string): Promise<{ acknowledged: boolean }> {
    const run = this.active.get(id);
    if (run === undefined) {
      const entry = await this.parts.journal.entry(id);
      if (entry.isOwnerAlive) {
        throw new HostError({
          code: 'run.elsewhere',
          message: `The run belongs to another diolab (process ${String(entry.intent.owner.pid)})`,
          where: id,
          hint: 'Cancel it there.',
          exitCode: 77,
        });
      }
      return { acknowledged: false };
    }
    if (run.ended !== null) return { acknowledged: false };
    run.abort.abort();
    if (run.engine === null) return { acknowledged: true };
    return { acknowledged: await run.engine.stop() };
  }

  async list(): Promise<RunListEntry[]> {
    await this.recover();
    const entries = await this.parts.journal.entries();
    return entries.filter((entry) => !entry.isRemoved).map((entry) => this.listEntry(entry));
  }

  /** The list now, and again whenever it has changed, here or in another process. */
  async *watchList(signal?: AbortSignal): AsyncGenerator<RunListEntry[]> {
    await this.watchRunsFolder();
    let last = '';
    while (signal?.aborted !== true && !this.isClosing) {
      const seen = this.listChanged.count;
      const list = await this.list();
      const text = JSON.stringify(list);
      if (text !== last) yield list;
      last = text;
      await this.listChanged.wait(seen, signal);
    }
  }

  /** Progress from now on, then the end. The series so far comes first; of frames that were not taken, only the last is given. */
  async *watch(id: string, signal?: AbortSignal): AsyncGenerator<RunEvent> {
    const run = this.active.get(id);
    if (run === undefined) {
      yield await this.endElsewhere(id, signal);
      return;
    }
    let given = 0;
    let lastProgress: RunProgress | null = null;
    for (;;) {
      const seen = run.changed.count;
      const from = Math.max(0, given - run.seriesDropped);
      given = run.seriesDropped + run.series.length;
      if (from < run.series.length) yield { kind: 'series', points: run.series.slice(from) };
      if (run.progress !== lastProgress) {
        lastProgress = run.progress;
        yield { kind: 'progress', progress: lastProgress };
      }
      if (signal?.aborted === true) return;
      if (run.ended !== null && given === run.seriesDropped + run.series.length) {
        yield run.ended;
        return;
      }
      await run.changed.wait(seen, signal);
    }
  }

  /** The result of a run that ended with one. */
  async get(id: string): Promise<KeptRunResult> {
    const entry = await this.readyEntry(id);
    const result = await this.parts.files.result(this.parts.journal.resultPath(entry.intent.id));
    return { ...result, verify: entry.verify };
  }

  /** A page of the trace of a run that ended with one. */
  async trace(
    id: string,
    from: number,
    count: number,
    kinds: readonly TraceKindId[] | null,
  ): Promise<TracePage> {
    const entry = await this.readyEntry(id);
    const path = this.parts.journal.resultPath(entry.intent.id);
    const chosen = kinds === null ? null : kinds.map((kind) => TRACE[kind]);
    const page = await this.parts.files.traceOfKinds(path, chosen, from, count);
    const { totalRows, columns, rowNumbers } = page;
    const rows = traceRows(columns).map((row, at) => ({ ...row, index: rowNumbers[at] ?? 0 }));
    return { totalRows, rows, droppedCount: columns.droppedCount };
  }

  /** What the engine asked of the device and what the host's kernel did there; null: the kernel was not watched, or told nothing. */
  async kernelComparison(id: string): Promise<KernelComparison | null> {
    const entry = await this.readyEntry(id);
    const path = this.parts.journal.resultPath(entry.intent.id);
    const kinds = [TRACE.dispatch, TRACE['kernel-queue']];
    const { columns, rowNumbers } = await this.parts.files.traceOfKinds(path, kinds, 0, Infinity);
    const found = compareWithKernel(columns);
    if (found === null) return null;
    const inTrace = (transfer: DeviceTransfer): DeviceTransfer => ({
      ...transfer,
      row: rowNumbers[transfer.row] ?? 0,
    });
    return {
      ...found,
      onlyPredicted: found.onlyPredicted.map(inTrace),
      onlyActual: found.onlyActual.map(inTrace),
    };
  }

  /** Keeps with a run what was found out about its image. */
  async keepVerify(id: string, verify: VerifyResult): Promise<void> {
    await this.parts.journal.label(id, { verify });
    this.listChanged.raise();
  }

  /** The entry of a run that has a result; else a `HostError` that says why there is none. */
  async readyEntry(id: string): Promise<JournalEntry> {
    await this.recover();
    const entry = await this.parts.journal.entry(id);
    const { state } = this.listEntry(entry);
    if (entry.done !== null && entry.hasResult) return entry;
    const failure = entry.done?.failure ?? null;
    const why: Partial<Record<RunState, string>> = {
      preparing: 'The run has not ended yet',
      running: 'The run has not ended yet',
      unfinished: 'The run was cut off before its end; there is no result',
      cancelled: 'The run was cancelled before it began; there is no result',
    };
    throw new HostError({
      code: 'run.no-result',
      message: failure?.message ?? why[state] ?? 'The run has no result',
      where: failure?.where ?? id,
      ...(failure?.hint !== undefined && { hint: failure.hint }),
      exitCode: failure?.exitCode ?? 66,
      data: { state, code: failure?.code ?? null },
    });
  }

  async rename(id: string, name: string): Promise<RunListEntry> {
    await this.parts.journal.label(id, { name });
    return this.changedEntry(id);
  }

  async remove(id: string): Promise<{ removed: boolean }> {
    const entry = await this.parts.journal.entry(id);
    if (entry.isOwnerAlive) {
      throw new HostError({
        code: 'run.not-ended',
        message: 'A run that has not ended cannot be removed',
        where: id,
        hint: 'Cancel it first.',
        exitCode: 73,
      });
    }
    await this.parts.journal.label(id, { isRemoved: true });
    this.listChanged.raise();
    return { removed: !entry.isRemoved };
  }

  async restore(id: string): Promise<RunListEntry> {
    await this.parts.journal.label(id, { isRemoved: false });
    return this.changedEntry(id);
  }

  /** Stops what runs and waits until it is kept. */
  async close(): Promise<void> {
    this.isClosing = true;
    this.watcher?.close();
    await Promise.allSettled([...this.active.keys()].map((id) => this.cancel(id)));
    while (this.current !== null) await this.current;
    this.listChanged.raise();
  }

  private async changedEntry(id: string): Promise<RunListEntry> {
    this.listChanged.raise();
    return this.listEntry(await this.parts.journal.entry(id));
  }

  private listEntry(entry: JournalEntry): RunListEntry {
    const { intent, done } = entry;
    return {
      id: intent.id,
      name: entry.name,
      state: this.stateOf(entry),
      startedAtUnixMs: intent.startedAtUnixMs,
      elapsedNs: done?.elapsedNs ?? null,
      summary: done?.summary ?? summaryOf(intent.experiment),
      verify: entry.verify,
    };
  }

  private stateOf({ intent, done, isOwnerAlive }: JournalEntry): RunState {
    if (done !== null) return done.state;
    const active = this.active.get(intent.id);
    if (active !== undefined) return active.state;
    return isOwnerAlive ? 'running' : 'unfinished';
  }

  /** A result without a done was whole when its process was killed: its done is written now (journal.ts, rule 3). */
  private async recover(): Promise<void> {
    for (const entry of await this.parts.journal.entries()) {
      const { id } = entry.intent;
      if (entry.done !== null || !entry.hasResult || entry.isOwnerAlive) continue;
      const result = await this.parts.files.result(this.parts.journal.resultPath(id));
      await this.parts.journal.finish(id, doneOfResult(result));
    }
  }

  private startNext(): void {
    if (this.current !== null) return;
    const next = this.queue.shift();
    if (next === undefined) return;
    this.current = next().then(() => {
      this.current = null;
      this.startNext();
    });
  }

  /** Waits for its turn among the runs, and has the machine for itself while `work` goes on. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.queue.push(() => work().then(resolve, reject));
      this.startNext();
    });
  }

  private async carryOutRun(run: ActiveRun): Promise<void> {
    const done = await this.carryOut(run);
    this.active.delete(run.id);
    run.end(done.state, done.failure);
    this.listChanged.raise();
  }

  /** One run from its turn to its end. Never rejects: what cannot be written down is told to the watchers all the same. */
  private async carryOut(run: ActiveRun): Promise<Done> {
    const { journal } = this.parts;
    let done: Done;
    try {
      done = await this.runEngine(run);
    } catch (error) {
      done = doneWithout(
        run,
        run.abort.signal.aborted ? 'cancelled' : 'failed',
        failureData(error),
      );
      if (done.state === 'cancelled') done = { ...done, failure: null };
    }
    try {
      await journal.finish(run.id, done);
      return done;
    } catch (error) {
      return { ...done, state: 'failed', failure: failureData(error) };
    }
  }

  private async runEngine(run: ActiveRun): Promise<Done> {
    const { files, engine, journal, targets } = this.parts;
    run.abort.signal.throwIfAborted();
    run.takeProgress(waitingProgress('Starting', run.experiment), []);
    const { signal } = run.abort;
    const onPhase = (text: string): void => {
      run.takeProgress(waitingProgress(text, run.experiment), []);
    };
    const guard = await targets.guard(run.experiment, signal, onPhase);
    const target = await targets.make(run.experiment.target, signal, onPhase);
    signal.throwIfAborted();
    const kept = new KeptRows(() => files.create(journal.resultPath(run.id)));
    run.engine = engine.startRun(
      { ...run.experiment, target },
      {
        onProgress: (progress, points) => {
          run.takeProgress(progress, points);
        },
        onBatch: (batch) => kept.append(batch),
      },
    );
    if (run.abort.signal.aborted) void run.engine.stop();
    this.listChanged.raise();
    const end = await run.engine.ended;
    run.takeProgress({ ...run.progress, phase: 'finishing', phaseText: 'Keeping the result' }, []);
    await guard.restore();
    if (end.kind === 'ended') {
      const result = { ...end.result, experiment: run.experiment };
      await kept.finish(result);
      return doneOfResult(result);
    }
    await kept.discard();
    return doneWithout(run, stateAfter(end), end.error);
  }

  /** The end of a run that is not active here: at once, or when the process that it belongs to has written it. */
  private async endElsewhere(id: string, signal?: AbortSignal): Promise<EndEvent> {
    for (;;) {
      const entry = await this.parts.journal.entry(id);
      const state = this.stateOf(entry);
      const isOver = entry.done !== null || !entry.isOwnerAlive;
      if (isOver || signal?.aborted === true) {
        return { kind: 'ended', state, failure: entry.done?.failure ?? null };
      }
      await new Promise((resolve) => setTimeout(resolve, ELSEWHERE_POLL_MS));
    }
  }

  /** Other processes write into the same folder. */
  private async watchRunsFolder(): Promise<void> {
    if (this.watcher !== null) return;
    await makeFolder(this.parts.runsFolder);
    let gathering: NodeJS.Timeout | null = null;
    this.watcher ??= watchFolder(
      this.parts.runsFolder,
      { persistent: false, recursive: true },
      () => {
        gathering ??= setTimeout(() => {
          gathering = null;
          this.listChanged.raise();
        }, LIST_GATHER_MS).unref();
      },
    );
    // Where the host has no more watches, other processes' runs show at the next change here.
    this.watcher.on('error', () => this.watcher?.close());
  }
}

/** The rows of a run on their way into its file, one batch after the other; the file is made at the first one. */
class KeptRows {
  private writer: ResultWriter | null = null;
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly create: () => Promise<ResultWriter>) {}

  append(batch: RowBatch): Promise<void> {
    this.last = this.last.then(async () => {
      this.writer ??= await this.create();
      if (batch.table === 'requests') await this.writer.appendRequests(batch.columns);
      else await this.writer.appendTrace(batch.columns);
    });
    return this.last;
  }

  async finish(result: RunResult): Promise<void> {
    await this.last;
    this.writer ??= await this.create();
    await this.writer.finish(result);
  }

  /** After the engine died a batch may still be on its way: nothing of it remains either. */
  async discard(): Promise<void> {
    await this.last.catch(() => undefined); // why it failed was told to the engine's host
    await this.writer?.discard();
  }
}

const stateAfter = (end: RunEnd): 'aborted' | 'failed' =>
  end.kind === 'died' ? 'aborted' : 'failed';

function doneOfResult(result: RunResult): Done {
  return {
    version: 1,
    state: result.state,
    elapsedNs: result.elapsedNs,
    summary: summaryOfResult(result),
    failure: result.failure,
  };
}

function doneWithout(run: ActiveRun, state: Done['state'], failure: HostErrorData | null): Done {
  const elapsedNs = run.progress.elapsedNs === 0 ? null : run.progress.elapsedNs;
  return { version: 1, state, elapsedNs, summary: summaryOf(run.experiment), failure };
}
