// SPDX-License-Identifier: GPL-2.0-only
/**
 * The main thread of an engine process: keeps the message loop while the engine thread blocks in the kernel. `engine-process.ts` calls
 * it with the real thread; tests with a scripted one.
 *
 *   born --thread ready--> idle --run--> running --run-ended--> sending rows --last 'taken'--> idle
 *                                           |
 *                                         stop --> draining --run-ended--> ...
 *                                                     | 3 s without a sign of the thread
 *                                                     v
 *                                                 SIGKILL to itself
 *
 * Rules: 1. Nobody outside ends this process while I/O is in flight; it ends itself by the stop order. 2. The watchdog ends the process
 * rather than free memory that the kernel may still write to. 3. When the host process is gone, this is a stop order too.
 */
import { Worker, MessageChannel } from 'node:worker_threads';
import type { HostErrorData, TraceColumns } from '../../engine/base/index.ts';
import type { RequestColumns } from '../../engine/lab/result.ts';
import { failureData } from './failure.ts';
import {
  CONTROL,
  CONTROL_WORDS,
  DATA_CREDIT,
  EVERY_CALL,
  ROWS_PER_BATCH,
  type DataForThread,
  type FromEngine,
  type FromThread,
  type RowBatch,
  type ToEngine,
  type ToThread,
} from './messages.ts';

/** How long the engine thread may take to drain after the stop order without a sign of life. */
export const STOP_WATCHDOG_MS = 3000;

/** The way to the host process: a child's IPC channel or a utility process's port. */
export interface EngineChannel {
  send(message: FromEngine): void;
  onMessage(listener: (message: ToEngine) => void): void;
  /** The host process is gone. */
  onGone(listener: () => void): void;
}

interface UtilityPort {
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
  postMessage(message: unknown): void;
}

/** The channel of this process, whichever way it was started. */
export function channelOfThisProcess(): EngineChannel {
  const utilityPort = (process as unknown as { parentPort?: UtilityPort }).parentPort;
  if (utilityPort !== undefined) {
    return {
      send: (message) => {
        utilityPort.postMessage(message);
      },
      onMessage: (listener) => {
        utilityPort.on('message', (event) => {
          listener(event.data as ToEngine);
        });
      },
      // The runtime ends a utility process together with its parent.
      onGone: () => undefined,
    };
  }
  if (process.send === undefined) {
    process.stderr.write('diolab: the engine process is started by the lab, not by hand\n');
    process.exit(64);
  }
  return {
    send: (message) => {
      // Fails only where the host process is gone, which 'disconnect' tells.
      process.send?.(message, undefined, undefined, () => undefined);
    },
    onMessage: (listener) => {
      process.on('message', listener);
    },
    onGone: (listener) => {
      // It may have died while this process was starting: then nobody would tell.
      if (process.connected) process.once('disconnect', listener);
      else setImmediate(listener);
    },
  };
}

/** `rows` of columns from `from` on, as copies of their own. */
function sliceColumns<C extends RequestColumns | TraceColumns>(
  columns: C,
  from: number,
  rows: number,
): C {
  const sliced = Object.entries(columns).map(([name, value]: [string, unknown]) => {
    if (name === 'rowCount') return [name, rows];
    if (!ArrayBuffer.isView(value)) return [name, value];
    const column = value as Float64Array;
    const perRow = name === 'values' ? column.length / Math.max(1, columns.rowCount) : 1;
    return [name, column.slice(from * perRow, (from + rows) * perRow)];
  });
  return Object.fromEntries(sliced) as C;
}

function* batchesOf(requests: RequestColumns, trace: TraceColumns | null): Generator<RowBatch> {
  for (let fromRow = 0; fromRow < requests.rowCount; fromRow += ROWS_PER_BATCH) {
    const rows = Math.min(ROWS_PER_BATCH, requests.rowCount - fromRow);
    yield { table: 'requests', fromRow, columns: sliceColumns(requests, fromRow, rows) };
  }
  for (let fromRow = 0; trace !== null && fromRow < trace.rowCount; fromRow += ROWS_PER_BATCH) {
    const rows = Math.min(ROWS_PER_BATCH, trace.rowCount - fromRow);
    yield { table: 'trace', fromRow, columns: sliceColumns(trace, fromRow, rows) };
  }
}

class EngineProcess {
  private readonly control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  private readonly dataChannel = new MessageChannel();
  private readonly worker: Worker;
  /** What the thread works on; null: it is idle. */
  private current: ToThread | null = null;
  private readonly waiting: ToThread[] = [];
  private isStopping = false;
  private isParentGone = false;
  private watchdog: NodeJS.Timeout | null = null;
  private rest: Iterator<RowBatch> | null = null;
  private ending: (FromThread & { kind: 'run-ended' }) | null = null;

  constructor(
    threadUrl: URL,
    private readonly channel: EngineChannel,
  ) {
    Atomics.store(this.control, CONTROL.credit, DATA_CREDIT);
    const dataPort = this.dataChannel.port2;
    this.worker = new Worker(threadUrl, {
      workerData: { control: this.control.buffer, dataPort },
      transferList: [dataPort],
    });
    this.worker.on('message', (message: FromThread) => {
      this.fromThread(message);
    });
    this.worker.on('error', (error) => {
      this.endWithWords(failureData(error));
    });
    channel.onMessage((message) => {
      this.fromHost(message);
    });
    process.on('SIGTERM', () => {
      if (this.current === null) process.exit(0);
      this.stop();
    });
    channel.onGone(() => {
      this.isParentGone = true;
      this.waiting.length = 0;
      if (this.current !== null) this.stop();
      else process.exit(0);
    });
  }

  /** One question at a time: control words are about the current one. */
  private toThread(message: ToThread): void {
    if (this.current !== null) {
      this.waiting.push(message);
      return;
    }
    this.current = message;
    Atomics.store(this.control, CONTROL.credit, DATA_CREDIT);
    this.worker.postMessage(message);
  }

  private isCurrentCall(callId: number): boolean {
    return this.current?.kind === 'call' && this.current.callId === callId;
  }

  private fromHost(message: ToEngine): void {
    switch (message.kind) {
      case 'run':
      case 'call':
        this.toThread(message);
        break;
      case 'stop':
        this.channel.send({ kind: 'stop-acknowledged' });
        this.stop();
        break;
      case 'taken':
        if (message.callId === null) this.sendNextBatch();
        else if (this.isCurrentCall(message.callId)) this.addCredit();
        break;
      case 'data':
        this.dataChannel.port1.postMessage(message satisfies DataForThread);
        Atomics.add(this.control, CONTROL.dataSequence, 1);
        Atomics.notify(this.control, CONTROL.dataSequence);
        break;
      case 'give-up':
        this.giveUp(message.callId);
        break;
      case 'exit':
        process.exit(0);
    }
  }

  private addCredit(): void {
    Atomics.add(this.control, CONTROL.credit, 1);
    Atomics.notify(this.control, CONTROL.credit);
  }

  private giveUp(callId: number): void {
    Atomics.store(this.control, CONTROL.givenUp, callId);
    Atomics.notify(this.control, CONTROL.dataSequence);
    Atomics.notify(this.control, CONTROL.credit);
  }

  private fromThread(message: FromThread): void {
    switch (message.kind) {
      case 'progress':
        if (this.isStopping && /^(draining|finishing)$/.test(message.progress.phase)) {
          this.armWatchdog();
        }
        this.channel.send(message);
        return;
      case 'run-ended':
        this.threadIsIdle();
        this.ending = message;
        this.rest = batchesOf(message.requests, message.trace);
        this.sendNextBatch();
        return;
      case 'answer':
      case 'call-failed':
      case 'run-failed':
        this.threadIsIdle();
        break;
      default:
        break;
    }
    this.channel.send(message);
  }

  private threadIsIdle(): void {
    this.current = null;
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.watchdog = null;
    if (this.isParentGone) process.exit(0);
    const next = this.waiting.shift();
    if (next !== undefined) this.toThread(next);
  }

  /** One batch at a time: the next goes when the host has taken the last one. */
  private sendNextBatch(): void {
    const next = this.rest?.next();
    if (next === undefined || this.ending === null) return;
    if (next.done !== true) {
      this.channel.send({ kind: 'batch', batch: next.value });
      return;
    }
    const { result } = this.ending;
    this.rest = null;
    this.ending = null;
    this.channel.send({ kind: 'run-ended', result });
  }

  private stop(): void {
    this.isStopping = true;
    Atomics.store(this.control, CONTROL.stop, 1);
    Atomics.notify(this.control, CONTROL.stop);
    this.giveUp(EVERY_CALL);
    if (this.current !== null && this.watchdog === null) this.armWatchdog();
  }

  private armWatchdog(): void {
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.endWithWords({
        code: 'engine.watchdog',
        message: `The engine did not drain its I/O within ${String(STOP_WATCHDOG_MS / 1000)} s of the stop order and was ended`,
        hint: 'A device that hangs can cause this. The image may need a check by its own fsck.',
        exitCode: 74,
      });
    }, STOP_WATCHDOG_MS);
  }

  /**
   * Ends the process without running anything else: memory that the kernel may still write to is given back by the kernel itself,
   * after it has reaped what is in flight.
   */
  private endWithWords(error: HostErrorData): void {
    this.channel.send({ kind: 'last-words', error });
    setTimeout(() => {
      process.kill(process.pid, 'SIGKILL');
    }, 20);
  }
}

/** Runs the main thread of an engine process whose thread is the module at `threadUrl`. Call once, from the entry of the process. */
export function serveEngineProcess(threadUrl: URL): void {
  // A Ctrl-C in a terminal reaches the whole group: the host process answers it, and gives the stop order.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  new EngineProcess(threadUrl, channelOfThisProcess());
}
