// SPDX-License-Identifier: GPL-2.0-only
/**
 * The host process's side of the engine: one fresh process for each run, one long-lived tools process that is started at the first
 * question and again after it died. Nothing is shared with them; when one dies, what it was asked fails with a `HostError` that names
 * the exit code or signal, and the app goes on.
 *
 *   const host = new EngineHost({ spawn: forkEngine, entryPath });
 *   const run = host.startRun(experiment, { onProgress, onBatch });
 *   run.stop();  const end = await run.ended;
 *   const info = await host.call('probe', { path });
 *   await host.close();
 */
import { existsSync } from 'node:fs';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import type { RunProgress, RunResult, SeriesPoint } from '../../engine/lab/result.ts';
import type { TransferOutcome, TransferPart } from '../../engine/lab/workbench.ts';
import { failureData } from './failure.ts';
import type { FromEngine, RowBatch, ToolAsk, ToolCalls, ToolName } from './messages.ts';
import type { EngineChild, EngineExit, SpawnEngine } from './spawn.ts';

export interface RunListener {
  onProgress(progress: RunProgress, points: readonly SeriesPoint[]): void;
  /** Columns, batch after batch, before the end. The next one comes when the promise settles; where it rejects, the run fails. */
  onBatch(batch: RowBatch): Promise<void>;
}
export type RunEnd =
  | { readonly kind: 'ended'; readonly result: RunResult }
  /** The engine refused or failed, and lived. */
  | { readonly kind: 'failed'; readonly error: HostErrorData }
  /** The process died. */
  | { readonly kind: 'died'; readonly error: HostErrorData };

export interface RunningEngine {
  readonly pid: number | null;
  /** Gives the stop order; settles when the engine process has acknowledged it (false: it had ended before). */
  stop(): Promise<boolean>;
  /** Never rejects. */
  readonly ended: Promise<RunEnd>;
}
export interface EngineHostOptions {
  readonly spawn: SpawnEngine;
  /** The built entry of the engine process. */
  readonly entryPath: string;
}

/** Why a process is gone, in words. `asked`: what it was doing. */
function deathData(
  asked: string,
  exit: EngineExit,
  lastWords: HostErrorData | null,
): HostErrorData {
  if (lastWords !== null) return lastWords;
  const how =
    exit.signal !== null
      ? `was ended by signal ${exit.signal}`
      : exit.code === null
        ? 'could not be started'
        : `ended with exit code ${String(exit.code)}`;
  const output = exit.lastOutput.trim().split('\n').slice(-3).join(' ').slice(0, 500);
  return {
    code: 'engine.died',
    message: `The engine process ${how} while it ${asked}`,
    hint:
      output === ''
        ? 'The image may need a check by its own fsck where the run was writing.'
        : `Its last words: ${output}`,
    exitCode: 74,
    data: { exitCode: exit.code, signal: exit.signal },
  };
}

/** One engine process that carries out one run. */
class RunProcess implements RunningEngine {
  readonly pid: number | null;
  readonly ended: Promise<RunEnd>;
  private settle: (end: RunEnd) => void = () => undefined;
  private lastWords: HostErrorData | null = null;
  private end: RunEnd | null = null;
  private readonly stopWaiters: ((acknowledged: boolean) => void)[] = [];

  constructor(
    private readonly child: EngineChild,
    private readonly listener: RunListener,
    experiment: Experiment,
  ) {
    this.pid = child.pid;
    this.ended = new Promise((resolve) => {
      this.settle = resolve;
    });
    child.onMessage((message) => {
      this.take(message);
    });
    child.onExit((exit) => {
      const error = deathData('carried out the run', exit, this.lastWords);
      this.settle(this.end ?? { kind: 'died', error });
      for (const tell of this.stopWaiters.splice(0)) tell(false);
    });
    child.send({ kind: 'run', experiment });
  }

  stop(): Promise<boolean> {
    if (this.end !== null) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.stopWaiters.push(resolve);
      this.child.send({ kind: 'stop' });
    });
  }

  private take(message: FromEngine): void {
    switch (message.kind) {
      case 'progress':
        this.listener.onProgress(message.progress, message.points);
        break;
      case 'batch':
        void this.takeBatch(message.batch);
        break;
      case 'stop-acknowledged':
        for (const tell of this.stopWaiters.splice(0)) tell(true);
        break;
      case 'run-ended':
        this.finish({ kind: 'ended', result: message.result });
        break;
      case 'run-failed':
        this.finish({ kind: 'failed', error: message.error });
        break;
      case 'last-words':
        this.lastWords = message.error;
        break;
      default:
        break;
    }
  }

  private async takeBatch(batch: RowBatch): Promise<void> {
    try {
      await this.listener.onBatch(batch);
      this.child.send({ kind: 'taken', callId: null });
    } catch (error) {
      this.finish({ kind: 'failed', error: failureData(error) });
    }
  }

  /** The process has no more to say: it may go, and the end is told when it is gone. */
  private finish(end: RunEnd): void {
    this.end ??= end;
    this.child.send({ kind: 'exit' });
  }
}

interface PendingCall {
  readonly asked: ToolName;
  resolve(answer: never): void;
  reject(error: HostError): void;
  /** Takes content of 'read'; settles when the reader has it. */
  onData?(bytes: Uint8Array): Promise<void>;
  /** Gives content of 'write'; null at the end. */
  nextData?(): Promise<Uint8Array | null>;
  /** Takes parts of 'get-tree' and 'lay-out'. */
  onPart?(part: TransferPart): Promise<void>;
  /** Gives parts of 'put-tree'; null at the end. */
  nextPart?(): Promise<TransferPart | null>;
}
/** Tools that are not just asked and answered. */
type StreamedTool = 'read' | 'write' | 'get-tree' | 'put-tree' | 'lay-out' | 'compare-mounted';
type Streams = Pick<PendingCall, 'onData' | 'nextData' | 'onPart' | 'nextPart'>;

/** The tools process: many calls, one after the other. */
class ToolsProcess {
  isGone = false;
  readonly gone: Promise<void>;
  private readonly calls = new Map<number, PendingCall>();
  private lastWords: HostErrorData | null = null;
  private isEnding = false;

  constructor(private readonly child: EngineChild) {
    child.onMessage((message) => {
      this.take(message);
      this.exitWhenIdle();
    });
    this.gone = new Promise((resolve) => {
      child.onExit((exit) => {
        this.isGone = true;
        for (const call of this.calls.values()) {
          const asked = `answered '${call.asked}'`;
          call.reject(HostError.fromJSON(deathData(asked, exit, this.lastWords)));
        }
        this.calls.clear();
        resolve();
      });
    });
  }

  ask(callId: number, call: ToolAsk, pending: PendingCall): void {
    this.calls.set(callId, pending);
    this.child.send({ kind: 'call', callId, call });
  }

  giveUp(callId: number): void {
    if (this.calls.has(callId)) this.child.send({ kind: 'give-up', callId });
  }

  /** The stop order; the process goes when its last call is answered. */
  end(): void {
    this.isEnding = true;
    this.child.send({ kind: 'stop' });
    this.exitWhenIdle();
  }

  private exitWhenIdle(): void {
    if (this.isEnding && this.calls.size === 0) this.child.send({ kind: 'exit' });
  }

  private take(message: FromEngine): void {
    if (message.kind === 'last-words') this.lastWords = message.error;
    if (!('callId' in message)) return;
    const call = this.calls.get(message.callId);
    if (call === undefined) return;
    switch (message.kind) {
      case 'answer':
        this.calls.delete(message.callId);
        call.resolve(message.answer as never);
        break;
      case 'call-failed':
        this.calls.delete(message.callId);
        call.reject(HostError.fromJSON(message.error));
        break;
      case 'data':
        void this.passOn(message.callId, call, () => call.onData?.(message.bytes));
        break;
      case 'part':
        void this.passOn(message.callId, call, () => call.onPart?.(message.part));
        break;
      case 'want-data':
        void this.bring(message.callId, call);
        break;
    }
  }

  private async passOn(
    callId: number,
    call: PendingCall,
    hand: () => Promise<void> | undefined,
  ): Promise<void> {
    try {
      await hand();
      this.child.send({ kind: 'taken', callId });
    } catch (error) {
      // The reader wants no more (a closed pipe).
      this.giveUp(callId);
      this.calls.delete(callId);
      call.reject(HostError.fromJSON(failureData(error)));
    }
  }

  private async bring(callId: number, call: PendingCall): Promise<void> {
    try {
      const bytes = (await call.nextData?.()) ?? null;
      const part = (await call.nextPart?.()) ?? null;
      this.child.send({ kind: 'data', callId, bytes, part, failed: false });
    } catch (error) {
      this.calls.delete(callId);
      call.reject(HostError.fromJSON(failureData(error)));
      this.child.send({ kind: 'data', callId, bytes: null, failed: true });
    }
  }
}

export class EngineHost {
  private tools: ToolsProcess | null = null;
  private nextCallId = 1;
  private readonly runs = new Set<RunProcess>();

  constructor(private readonly options: EngineHostOptions) {}

  /** Starts a fresh process for this run. Throws where the engine is not built. */
  startRun(experiment: Experiment, listener: RunListener): RunningEngine {
    const run = new RunProcess(this.spawn(), listener, experiment);
    this.runs.add(run);
    void run.ended.then(() => this.runs.delete(run));
    return run;
  }

  /** Asks the tools process; rejects with a `HostError`. */
  call<N extends Exclude<ToolName, StreamedTool>>(
    name: N,
    ask: ToolCalls[N]['ask'],
    signal?: AbortSignal,
  ): Promise<ToolCalls[N]['answer']> {
    return this.ask({ name, ask } as ToolAsk, {}, signal) as Promise<ToolCalls[N]['answer']>;
  }

  /** Reads a file inside an image; `onData` gets pieces of at most 1 MiB in order. */
  async readFile(
    ask: ToolCalls['read']['ask'],
    onData: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    // One piece after the other, whatever the consumer's promises do.
    let last: Promise<void> = Promise.resolve();
    await this.ask(
      { name: 'read', ask },
      {
        onData: (bytes) => {
          last = last.then(() => onData(bytes));
          return last;
        },
      },
    );
    await last;
  }

  /** Makes or replaces a file inside an image; `nextData` gives null at the end. */
  async writeFile(
    ask: ToolCalls['write']['ask'],
    nextData: () => Promise<Uint8Array | null>,
  ): Promise<void> {
    await this.ask({ name: 'write', ask }, { nextData });
  }

  /** Copies out of an image, lays files out in one, or compares one with its mount; `onPart` gets the parts in order. */
  async receiveParts<N extends 'get-tree' | 'lay-out' | 'compare-mounted'>(
    call: { readonly name: N; readonly ask: ToolCalls[N]['ask'] },
    onPart: (part: TransferPart) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<ToolCalls[N]['answer']> {
    // One part after the other, whatever the consumer's promises do.
    let last: Promise<void> = Promise.resolve();
    const outcome = await this.ask(
      call as ToolAsk,
      {
        onPart: (part) => {
          last = last.then(() => onPart(part));
          return last;
        },
      },
      signal,
    );
    await last;
    return outcome as ToolCalls[N]['answer'];
  }

  /** Copies into an image; `nextPart` gives null at the end. */
  async sendParts(
    ask: ToolCalls['put-tree']['ask'],
    nextPart: () => Promise<TransferPart | null>,
    signal?: AbortSignal,
  ): Promise<TransferOutcome> {
    const outcome = await this.ask({ name: 'put-tree', ask }, { nextPart }, signal);
    return outcome as TransferOutcome;
  }

  /** The stop order for every process; settles when all are gone. */
  async close(): Promise<void> {
    const runs = [...this.runs];
    for (const run of runs) void run.stop();
    const { tools } = this;
    this.tools = null;
    tools?.end();
    await Promise.all([...runs.map((run) => run.ended), tools?.gone]);
  }

  private spawn(): EngineChild {
    const { entryPath, spawn } = this.options;
    if (!existsSync(entryPath)) {
      throw new HostError({
        code: 'engine.missing',
        message: 'The engine process is not built',
        where: entryPath,
        hint: 'Build it with `npm run build`.',
        exitCode: 78,
      });
    }
    return spawn(entryPath);
  }

  private ask(call: ToolAsk, streams: Streams, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.tools === null || this.tools.isGone) this.tools = new ToolsProcess(this.spawn());
      const { tools } = this;
      const callId = this.nextCallId++;
      const giveUp = (): void => {
        tools.giveUp(callId);
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      const settled = (): void => {
        signal?.removeEventListener('abort', giveUp);
      };
      tools.ask(callId, call, {
        asked: call.name,
        resolve: (answer) => {
          settled();
          resolve(answer);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
        ...streams,
      });
      if (signal?.aborted === true) giveUp();
    });
  }
}
