// SPDX-License-Identifier: GPL-2.0-only
/**
 * The load of a run: the requests in flight of every clone of every job. One `LoadSlot` a request in flight; it is the kiocb, and owns
 * its buffer and its iov_iter, so that a request allocates nothing.
 *
 *   free --submit--> submitting --(value)----------------------------------------> free
 *                        |------(-EIOCBQUEUED)--> in flight --complete(kiocb)----> free
 *                        '------(a task)--> asleep in submit --(its value)--> one of the above
 *
 * Rules: 1. sync: the kiocb is synchronous, the request is over when read or write returns; there is no submission latency (as in fio).
 * 2. threads, libaio, io_uring: the kiocb is asynchronous. Where the submission itself sleeps (a lock, a metadata read, an allocating or
 * extending write), libaio's submitter sleeps with it and submits nothing else of this clone meanwhile; threads has a thread a
 * request, and io_uring hands such a request to a worker, so there the others go on. All of it is counted: that is the truth about AIO.
 * 3. The first error of a clone stops that clone, as fio does (continue_on_error=none). What is in flight still ends and counts.
 * 4. A short transfer is counted and not continued: the lab shows requests as they went.
 * 5. Latency starts before the submission and ends when the completion is seen.
 */
import {
  ERRNO,
  errnoName,
  isTask,
  nanoseconds,
  PAGE_BYTES,
  TRACE,
  type KernelReturn,
  type Task,
  type Trace,
} from '../base/index.ts';
import { IovIter, type Memory } from '../memory/index.ts';
import { Histogram, type RequestRows, type TimeSeries } from '../metrics/index.ts';
import type { Inode, Kernel, Kiocb, OpenFile } from '../vfs/index.ts';
import { writesData, type RequestStream, type WorkloadRequest } from '../workload/index.ts';
import type { Job } from './experiment.ts';
import type { JobResult } from './result.ts';

/** Requests that one clone submits before the others and the completions get their turn. */
const BURST_MAX = 64;

/** Below it a return is no errno (MAX_ERRNO). */
const ERRNO_MAX = 4095;
/** What such a return is counted as. */
export const NEGATIVE_COUNT = 'a negative count';

const PHASE = { free: 0, submitting: 1, inFlight: 2 } as const;

/** How submission itself behaved. */
export interface SubmitRecord {
  /** Asynchronous requests submitted. */
  submits: number;
  /** Of those: the submission slept. */
  slept: number;
  sleptNs: number;
  sleptMaxNs: number;
  /** Of those: complete when the submission returned, so nothing was asynchronous about them. */
  completedInSubmit: number;
}

/** What a job counted; the clones of a job share it. */
export class JobRecord {
  readonly directions = [new DirectionRecord(), new DirectionRecord()] as const;
  readonly syncs = new Histogram();
  readonly errors: Record<string, number> = {};
  firstError: JobResult['firstError'] = null;
  readonly submit: SubmitRecord = {
    submits: 0,
    slept: 0,
    sleptNs: 0,
    sleptMaxNs: 0,
    completedInSubmit: 0,
  };
  /** End of the last request, since the start of the run. */
  lastEndNs = 0;

  countError(
    op: 'read' | 'write' | 'fsync',
    fileOffsetBytes: number,
    lengthBytes: number,
    error: number,
  ): void {
    // A value below every errno is a count that came out negative, which a program would take for an error without a name.
    const known = errnoName(error) ?? `errno ${String(-error)}`;
    const errno = error < -ERRNO_MAX ? NEGATIVE_COUNT : known;
    this.errors[errno] = (this.errors[errno] ?? 0) + 1;
    if (op !== 'fsync') this.firstError ??= { op, fileOffsetBytes, lengthBytes, errno };
  }
}

/** Reads, or writes, of a job. */
export class DirectionRecord {
  totalIos = 0;
  shortIos = 0;
  bytes = 0;
  readonly slat = new Histogram();
  readonly clat = new Histogram();
  readonly lat = new Histogram();
}

/** What all clones of a run share. */
export interface LoadContext {
  readonly kernel: Kernel;
  readonly file: OpenFile;
  readonly series: TimeSeries;
  readonly rows: RequestRows;
  /** Null: no request rows in the trace. */
  readonly trace: Trace | null;
  /** All times of the load count from here. */
  startNs: number;
  inFlight: number;
  doneIos: number;
  doneBytes: number;
  /** The request whose submission threw first: where the modelled kernel stopped. */
  stoppedAt: StoppedRequest | null;
}

/** A request that stopped the run, for words about it. */
export interface StoppedRequest {
  readonly jobName: string;
  readonly isWrite: boolean;
  readonly isAsync: boolean;
  readonly fileOffsetBytes: number;
  readonly lengthBytes: number;
  /** Into its first page. */
  readonly memoryOffsetBytes: number;
}

/** One request in flight, used again and again. */
class LoadSlot implements Kiocb {
  readonly inode: Inode;
  readonly isDirect: boolean;
  readonly isNowait: boolean;
  readonly isDsync: boolean;
  readonly isAppend = false;
  positionBytes = 0;
  readonly onComplete: Kiocb['onComplete'];

  phase: number = PHASE.free;
  request: WorkloadRequest = { isWrite: false, fileOffsetBytes: 0, lengthBytes: 0 };
  startNs = 0;
  submittedNs = 0;
  /** The completion came while the submission was still under way. */
  earlyResult: number | null = null;
  readonly segment: { addressBytes: number; lengthBytes: number };
  readonly readIter: IovIter;
  readonly writeIter: IovIter;
  readonly onTaskEnd: (result: KernelReturn) => void;
  readonly onTaskFailed: (error: unknown) => void;

  constructor(
    readonly clone: JobClone,
    readonly id: number,
    memory: Memory,
    addressBytes: number,
  ) {
    const { job, context } = clone;
    this.inode = context.file.inode;
    this.isDirect = job.direct;
    this.isNowait = job.nowait;
    this.isDsync = job.sync !== 'none';
    this.onComplete = clone.isAsync ? onComplete : null;
    this.segment = { addressBytes, lengthBytes: 0 };
    this.readIter = new IovIter(memory, 'read', 'user', [this.segment]);
    this.writeIter = new IovIter(memory, 'write', 'user', [this.segment]);
    this.onTaskEnd = (result): void => {
      clone.submitAwoke(this, result);
    };
    this.onTaskFailed = (error): void => {
      throw clone.stoppedAt(this, error);
    };
  }
}

/** ki_complete of every slot. */
function onComplete(kiocb: Kiocb, result: KernelReturn): void {
  const slot = kiocb as LoadSlot;
  if (slot.phase === PHASE.inFlight) slot.clone.complete(slot, result);
  else if (slot.phase === PHASE.submitting) slot.earlyResult = result;
}

/** Buffer and iodepth of one clone of a job. */
export class JobClone {
  readonly isAsync: boolean;
  readonly slots: LoadSlot[] = [];
  private readonly free: LoadSlot[] = [];
  private readonly blocksSubmitter: boolean;
  private readonly writes: boolean;
  /** libaio: a submission sleeps. */
  private sleepingSubmits = 0;
  private writesSinceSync = 0;
  private isExhausted = false;
  private hasEndSync: boolean;
  isStopped = false;
  /** Since the start of the run; before it nothing is recorded, and after `stopAtNs` nothing is submitted. */
  readonly measureFromNs: number;
  readonly stopAtNs: number;

  /** `buffers`: arena offset of each slot's buffer, memory dial included. */
  constructor(
    readonly context: LoadContext,
    readonly job: Job,
    readonly jobIndex: number,
    readonly stream: RequestStream,
    readonly record: JobRecord,
    buffers: readonly number[],
    firstSlotId: number,
  ) {
    this.isAsync = job.ioEngine !== 'sync';
    this.blocksSubmitter = job.ioEngine === 'libaio';
    this.writes = writesData(job.rw);
    this.hasEndSync = job.endFsync && this.writes;
    this.measureFromNs = job.rampSeconds * 1e9;
    this.stopAtNs =
      job.runtimeSeconds > 0 ? (job.rampSeconds + job.runtimeSeconds) * 1e9 : Infinity;
    buffers.forEach((address, index) => {
      this.slots.push(new LoadSlot(this, firstSlotId + index, context.kernel.memory, address));
    });
    for (let index = this.slots.length - 1; index >= 0; index--) {
      this.free.push(this.slots[index] as LoadSlot);
    }
  }

  get usedSlots(): number {
    return this.slots.length - this.free.length;
  }
  /** Nothing more will be submitted, and all is back. */
  get isFinished(): boolean {
    return this.isStopped && this.usedSlots === 0;
  }

  /** Submits into free slots, at most a burst; says how many. `nowNs`: the clock. */
  fill(nowNs: number): number {
    if (this.isStopped) return 0;
    if (nowNs - this.context.startNs >= this.stopAtNs) {
      this.stop();
      return 0;
    }
    const batch = this.job.submitBatch;
    const burst = Math.min(BURST_MAX, this.free.length);
    const { kernel } = this.context;
    let submitted = 0;
    let startNs = nowNs;
    // The kernel plugs only around a submission of more than two requests (AIO_PLUG_THRESHOLD).
    const plugs = batch > 2 && burst > 2;
    if (plugs) kernel.startPlug();
    while (submitted < burst && !this.isStopped && this.free.length > 0) {
      if (this.blocksSubmitter && this.sleepingSubmits > 0) break;
      startNs = this.submitNext(startNs);
      if (startNs < 0) break;
      submitted++;
      if (plugs && submitted % batch === 0) {
        kernel.finishPlug();
        kernel.startPlug();
      }
    }
    if (plugs) kernel.finishPlug();
    return submitted;
  }

  /** No more submissions. The fsync at the end still comes. */
  stop(): void {
    this.isStopped = true;
  }

  /** fsync at the end, once everything is back; null where there is none. */
  takeEndSync(): Task<void> | null {
    if (!this.hasEndSync) return null;
    this.hasEndSync = false;
    return this.sync();
  }

  /** Submits the next request; the time after it, or -1 where there is none. */
  private submitNext(startNs: number): number {
    const { context, job } = this;
    if (this.writesSinceSync > 0 && this.writesSinceSync === job.fsyncEvery)
      return this.submitSync(startNs);
    const slot = this.free[this.free.length - 1] as LoadSlot;
    if (this.isExhausted || !this.stream.next(slot.request)) {
      this.isExhausted = true;
      this.stop();
      return -1;
    }
    this.free.pop();
    context.inFlight++;
    const { request } = slot;
    slot.segment.lengthBytes = request.lengthBytes;
    slot.positionBytes = request.fileOffsetBytes;
    slot.phase = PHASE.submitting;
    slot.earlyResult = null;
    slot.startNs = startNs;
    if (this.isAsync) this.record.submit.submits++;
    let returned;
    try {
      if (request.isWrite) {
        if (job.fsyncEvery > 0) this.writesSinceSync++;
        slot.writeIter.rewind();
        returned = context.file.write(slot, slot.writeIter);
      } else {
        slot.readIter.rewind();
        returned = context.file.read(slot, slot.readIter);
      }
    } catch (error) {
      throw this.stoppedAt(slot, error);
    }
    const nowNs = context.kernel.clock.nowNs();
    if (isTask(returned)) {
      if (this.isAsync) this.sleepingSubmits++;
      context.kernel.scheduler.spawn('submit', returned, slot.onTaskEnd, slot.onTaskFailed);
    } else {
      this.submitReturned(slot, returned, nowNs);
    }
    return nowNs;
  }

  /** Remembers which request threw; the error goes on. Its slot is never free again: bios may use the buffer. */
  stoppedAt(slot: LoadSlot, error: unknown): unknown {
    const { isWrite, fileOffsetBytes, lengthBytes } = slot.request;
    this.context.stoppedAt ??= {
      jobName: this.job.name,
      isWrite,
      isAsync: this.isAsync,
      fileOffsetBytes,
      lengthBytes,
      memoryOffsetBytes: slot.segment.addressBytes % PAGE_BYTES,
    };
    return error;
  }

  /** The task of a submission that slept has its value. */
  submitAwoke(slot: LoadSlot, result: KernelReturn): void {
    const nowNs = this.context.kernel.clock.nowNs();
    if (this.isAsync) {
      this.sleepingSubmits--;
      const sleptNs = nowNs - slot.startNs;
      const { submit } = this.record;
      submit.slept++;
      submit.sleptNs += sleptNs;
      if (sleptNs > submit.sleptMaxNs) submit.sleptMaxNs = sleptNs;
    }
    this.submitReturned(slot, result, nowNs);
  }

  private submitReturned(slot: LoadSlot, returned: KernelReturn, nowNs: number): void {
    slot.submittedNs = nowNs;
    if (returned === -ERRNO.EIOCBQUEUED) {
      if (slot.earlyResult === null) slot.phase = PHASE.inFlight;
      else this.end(slot, slot.earlyResult, nowNs);
      return;
    }
    if (this.isAsync) this.record.submit.completedInSubmit++;
    this.end(slot, returned, nowNs);
  }

  /** The completion of a request in flight. */
  complete(slot: LoadSlot, result: KernelReturn): void {
    this.end(slot, result, this.context.kernel.clock.nowNs());
  }

  /** The request is over: counts it and frees the slot. */
  private end(slot: LoadSlot, result: KernelReturn, nowNs: number): void {
    const { context, record } = this;
    const { request } = slot;
    const atNs = nowNs - context.startNs;
    const latencyNs = nowNs - slot.startNs;
    const movedBytes = result > 0 ? result : 0;
    slot.phase = PHASE.free;
    this.free.push(slot);
    context.inFlight--;
    context.doneIos++;
    context.doneBytes += movedBytes;
    record.lastEndNs = atNs;
    if (result < 0) this.failed(request, result);
    else if (slot.startNs - context.startNs >= this.measureFromNs) {
      const direction = record.directions[request.isWrite ? 1 : 0];
      direction.totalIos++;
      direction.bytes += movedBytes;
      if (movedBytes < request.lengthBytes) direction.shortIos++;
      if (this.isAsync) direction.slat.record(slot.submittedNs - slot.startNs);
      direction.clat.record(this.isAsync ? nowNs - slot.submittedNs : latencyNs);
      direction.lat.record(latencyNs);
    }
    context.series.record(request.isWrite, movedBytes, latencyNs);
    context.rows.add(
      atNs,
      latencyNs,
      request.fileOffsetBytes,
      request.lengthBytes,
      request.isWrite ? 1 : 0,
      result < 0 ? result : 0,
      this.jobIndex,
    );
    context.trace?.add(
      TRACE['request-done'],
      slot.id,
      -1,
      request.isWrite ? 1 : 0,
      request.fileOffsetBytes,
      request.lengthBytes,
      latencyNs,
      slot.submittedNs - slot.startNs,
      result,
    );
  }

  private failed(request: WorkloadRequest, error: number): void {
    const op = request.isWrite ? 'write' : 'read';
    this.record.countError(op, request.fileOffsetBytes, request.lengthBytes, error);
    this.stop();
  }

  /** An fsync takes a slot of the queue, as in fio. */
  private submitSync(startNs: number): number {
    this.writesSinceSync = 0;
    const slot = this.free.pop() as LoadSlot;
    this.context.inFlight++;
    this.context.kernel.scheduler.spawn('fsync', this.sync(), () => {
      this.context.inFlight--;
      this.free.push(slot);
    });
    return startNs;
  }

  private *sync(): Task<void> {
    const { context, record } = this;
    const startNs = context.kernel.clock.nowNs();
    const result = yield* context.file.fsync(false);
    record.syncs.record(nanoseconds(context.kernel.clock.nowNs() - startNs));
    if (result < 0) {
      record.countError('fsync', 0, 0, result);
      this.stop();
    }
  }
}
