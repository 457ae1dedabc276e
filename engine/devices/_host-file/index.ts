// SPDX-License-Identifier: GPL-2.0-only
/**
 * A disk that is an open descriptor of the host: an image file (kernel: drivers/block/loop.c with direct I/O) or a block device. Requests
 * become operations of an executor, one slot each; flush becomes fdatasync. The device modules that open such a descriptor share it.
 *
 *   request --submit--> slot pushed --commit--> host --reap--> result --all there--> ends
 *                          ^                                     |--short, or interrupted--> the rest is pushed again
 *                          '-------------------------------------'--an errno, or nothing moved--> ends with it, or EIO
 *
 * Rules: 1. Neighbouring vectors that touch in the arena are one buffer; a request of one buffer is a plain read or write, any other
 * takes an iovec array, which lies in a page of its own from a small pool. 2. No slot or no iovec page left: 'busy'. 3. Results are
 * collected first and acted on when the executor has freed their slots; those that go on are pushed before any end is told. 4. A read
 * or write of which nothing is done has met the end of the file (somebody has cut it): EIO. 5. With O_DIRECT the host's alignment is
 * the device's: offset and length are multiples of the logical block, addresses of the DMA alignment.
 *
 * Limits: at most 1280 KiB and 256 vectors a request; bytes of the file beyond the last whole logical block are not part of the disk.
 */
import { alignDown, assert, ERRNO, HostError, PAGE_BYTES, SECTOR_BYTES } from '../../base/index.ts';
import {
  DEFAULT_LIMITS,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import { RAW_KIND, type Executor } from '../../executor/contract.ts';
import type { Memory } from '../../memory/index.ts';
import type { DeviceFault, DevicePorts, OpenDevice, OpenImage } from '../contract.ts';
import { BufferRuns } from './buffer-runs.ts';
import { IovecPages } from './iovec-pages.ts';

/** What is known of the operation in a slot. */
class SlotState {
  request: DeviceRequest | null = null;
  doneBytes = 0;
  /** Bytes asked of the host this time. */
  askedBytes = 0;
  iovecPage = -1;
}

/** A completion that was reaped and is not yet acted on. */
class Completion {
  request: DeviceRequest | null = null;
  doneBytes = 0;
  askedBytes = 0;
  result = 0;
}

export class HostFileDevice implements BlockDevice {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  readonly isReadOnly: boolean;
  /** The first error that the host gave. */
  firstFault: DeviceFault | null = null;
  private readonly slots: SlotState[];
  private readonly completions: Completion[] = [];
  private completionCount = 0;
  /** Completions that have been reaped, and whose requests have not ended. */
  private unfinishedCount = 0;
  private readonly iovecs: IovecPages;
  private readonly runs: BufferRuns;
  private isClosed = false;
  private isActing = false;

  constructor(
    private readonly image: OpenImage,
    private readonly executor: Executor,
    memory: Memory,
    logicalBlockBytes: number,
    /** The executor is done with a request when it has taken it, and the request may end at once. */
    private readonly endsInSubmit: boolean,
  ) {
    this.name = image.path;
    this.isReadOnly = image.isReadOnly;
    this.limits = {
      ...DEFAULT_LIMITS,
      logicalBlockBytes,
      dmaAlignmentBytes: image.isDirect ? Math.min(image.memoryAlignBytes, PAGE_BYTES) : 1,
      hasVolatileCache: true,
    };
    this.capacitySectors = alignDown(image.sizeBytes, logicalBlockBytes) / SECTOR_BYTES;
    this.slots = Array.from({ length: executor.depth }, () => new SlotState());
    this.iovecs = new IovecPages(memory, Math.min(executor.depth, IOVEC_PAGES_MAX), image.path);
    this.runs = new BufferRuns(this.limits.segmentCountMax);
  }

  get inFlightCount(): number {
    return this.executor.inFlightCount + this.unfinishedCount;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    if (!this.push(request, 0)) return 'busy';
    // Not from inside an end function: the list of completions is being walked then, and `wait` has the rest.
    if (this.endsInSubmit && !this.isActing) this.wait(0);
    return 'queued';
  }

  commit(): void {
    this.executor.commit();
  }

  wait(timeoutNs: number): number {
    if (this.executor.inFlightCount === 0) return 0;
    this.executor.reap(1, timeoutNs, this.onReaped);
    return this.act();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    let failure: { readonly error: unknown } | null = null;
    try {
      this.executor.cancelAll();
      while (this.executor.inFlightCount > 0) {
        this.executor.commit();
        this.executor.reap(1, Infinity, this.onReaped);
        // Whatever an end function throws (the run may be broken already), no buffer is let go while the host has it.
        try {
          this.act();
        } catch (error) {
          failure ??= { error };
        }
      }
    } finally {
      this.executor.close();
      this.image.close();
    }
    this.iovecs.release();
    if (failure !== null) throw failure.error;
  }

  /** Fills a slot with what is left of the request; false where there is no room. */
  private push(request: DeviceRequest, doneBytes: number): boolean {
    const { executor, runs } = this;
    const isFlush = request.op === 'flush';
    let iovecPage = -1;
    if (!isFlush) {
      runs.collect(request, doneBytes);
      if (runs.count > 1) {
        iovecPage = this.iovecs.take();
        if (iovecPage < 0) return false;
      }
    }
    const slot = executor.takeSlot();
    if (slot < 0) {
      if (iovecPage >= 0) this.iovecs.give(iovecPage);
      return false;
    }
    const state = this.slots[slot] as SlotState;
    state.request = request;
    state.doneBytes = doneBytes;
    state.askedBytes = isFlush ? 0 : request.sizeBytes - doneBytes;
    state.iovecPage = iovecPage;
    const columns = executor.slots;
    columns.fd[slot] = this.image.fd;
    columns.flags[slot] = 0;
    columns.lengthBytes[slot] = state.askedBytes;
    if (isFlush) {
      columns.kind[slot] = RAW_KIND.fdatasync;
      columns.fileOffsetBytes[slot] = 0;
      columns.bufferOffset[slot] = 0;
      columns.vectorCount[slot] = 0;
    } else {
      columns.kind[slot] = request.op === 'read' ? RAW_KIND.read : RAW_KIND.write;
      columns.fileOffsetBytes[slot] = request.sectorStart * SECTOR_BYTES + doneBytes;
      if (iovecPage < 0) {
        columns.bufferOffset[slot] = runs.offsets[0] as number;
        columns.vectorCount[slot] = 0;
      } else {
        columns.bufferOffset[slot] = this.iovecs.fill(iovecPage, runs);
        columns.vectorCount[slot] = runs.count;
      }
    }
    executor.push(slot);
    return true;
  }

  /** Called by the executor, which frees the slot only when this returns: so only take down what happened. */
  private readonly onReaped = (slot: number, result: number): void => {
    const state = this.slots[slot] as SlotState;
    let completion = this.completions[this.completionCount];
    if (completion === undefined) {
      completion = new Completion();
      this.completions.push(completion);
    }
    completion.request = state.request;
    completion.doneBytes = state.doneBytes;
    completion.askedBytes = state.askedBytes;
    completion.result = result;
    this.completionCount++;
    state.request = null;
    if (state.iovecPage >= 0) this.iovecs.give(state.iovecPage);
    state.iovecPage = -1;
  };

  /** Acts on what was reaped: first what goes on, then the ends. Returns how many requests ended. */
  private act(): number {
    const count = this.completionCount;
    this.completionCount = 0;
    this.isActing = true;
    try {
      return this.endCompletions(count);
    } finally {
      this.isActing = false;
    }
  }

  private endCompletions(count: number): number {
    let endedCount = 0;
    for (let index = 0; index < count; index++) {
      const completion = this.completions[index] as Completion;
      if (completion.result === completion.askedBytes) continue;
      if (this.goOn(completion)) completion.request = null;
    }
    this.unfinishedCount = count;
    for (let index = 0; index < count; index++) {
      const completion = this.completions[index] as Completion;
      const { request } = completion;
      this.unfinishedCount--;
      if (request === null) continue;
      completion.request = null;
      endedCount++;
      request.onEnd(request, this.statusOf(request, completion));
    }
    return endedCount;
  }

  /** Pushes the rest of a transfer that came out short or was interrupted; false where it is over. */
  private goOn(completion: Completion): boolean {
    const { result, doneBytes } = completion;
    const request = completion.request as DeviceRequest;
    if (this.isClosed) return false;
    if (result === -ERRNO.EINTR) return this.pushAgain(request, doneBytes);
    if (result < 0 || request.op === 'flush') return false;
    // The next piece has to start on a logical block again; what is beyond it is moved twice.
    const movedBytes = alignDown(result, this.limits.logicalBlockBytes);
    return movedBytes > 0 && this.pushAgain(request, doneBytes + movedBytes);
  }

  private pushAgain(request: DeviceRequest, doneBytes: number): boolean {
    const isPushed = this.push(request, doneBytes);
    assert(isPushed, 'a freed slot cannot be taken again', { request: request.id });
    return true;
  }

  /** 0 or minus an errno. */
  private statusOf(request: DeviceRequest, completion: Completion): number {
    const { result } = completion;
    if (result === completion.askedBytes) return 0;
    const status = result < 0 ? result : -ERRNO.EIO;
    this.firstFault ??= {
      op: request.op,
      status,
      offsetBytes: request.sectorStart * SECTOR_BYTES + completion.doneBytes,
      lengthBytes: completion.askedBytes,
      isEndOfFile: result >= 0,
    };
    return status;
  }
}

/** Requests with scattered memory that can be at the host at the same time. */
export const IOVEC_PAGES_MAX = 128;

/**
 * Puts a disk of blocks of `logicalBlockBytes` over an open descriptor, with the executor that the run asks for. The descriptor belongs
 * to the disk from here on: it is closed with it, and where this throws (`HostError`).
 */
export function openHostFile(
  ports: DevicePorts,
  image: OpenImage,
  logicalBlockBytes: number,
): OpenDevice {
  const { executors, io, memory } = ports;
  let executor: Executor | null = null;
  try {
    assert(executors !== undefined, 'a file of the host needs an executor');
    if (image.sizeBytes < logicalBlockBytes) {
      throw new HostError({
        code: 'image.too-small',
        message: `the file has ${String(image.sizeBytes)} bytes, less than one block of ${String(logicalBlockBytes)}`,
        where: image.path,
        hint: 'Make the image larger, for example with truncate -s 256M.',
        exitCode: 65,
      });
    }
    const asked = { depth: io.depth, submitBatch: io.submitBatch, polled: false };
    const opened = executors.open(io.ioEngine, asked, memory.arena);
    executor = opened.executor;
    const endsInSubmit = executor.supports.blocking && (io.endsInSubmit ?? false);
    const device = new HostFileDevice(image, executor, memory, logicalBlockBytes, endsInSubmit);
    return {
      device,
      executorChoice: opened.choice,
      image,
      firstFault: () => device.firstFault,
    };
  } catch (error) {
    executor?.close();
    image.close();
    throw error;
  }
}
