// SPDX-License-Identifier: GPL-2.0-only
/**
 * A file that the host's own kernel does the I/O of: a descriptor with an executor on it, and nothing of the engine between. It is what
 * the engine is measured against, by the same load, the same executor and the same clock.
 *
 *   read, write --slot filled, pushed--> commit --> host --reap--> ki_complete
 *
 * Rules: 1. One slot a request; there are as many slots as requests. 2. A synchronous request of a blocking executor is over when the
 * call returns; of another one it sleeps until it is reaped. 3. Alignment is the host kernel's affair: it refuses with EINVAL.
 */
import {
  assert,
  ERRNO,
  PAGE_BYTES,
  SECTOR_BYTES,
  succeed,
  WaitQueue,
  type KernelReturn,
  type MaybeTask,
  type Nanoseconds,
  type Result,
  type Task,
} from '../base/index.ts';
import {
  DEFAULT_LIMITS,
  QueueCounters,
  type BioOp,
  type BlockDevice,
  type QueueLimits,
} from '../block/index.ts';
import type { OpenImage } from '../devices/contract.ts';
import { RAW_FLAG, RAW_KIND, type Executor } from '../executor/contract.ts';
import type { IovIter } from '../memory/index.ts';
import {
  CoreInode,
  CoreSuperBlock,
  PageCache,
  PagePool,
  type FileExtent,
  type Kernel,
  type Kiocb,
  type OpenFile,
} from '../vfs/index.ts';

/** The file as an inode: its size, and a page cache that stays empty. */
class HostInode extends CoreInode {
  override readonly mapping: PageCache;
  constructor(kernel: Kernel, device: BlockDevice, sizeBytes: number) {
    super(kernel, new CoreSuperBlock(), 1, 'file', Math.log2(PAGE_BYTES));
    this.sizeBytes = sizeBytes;
    this.mapping = new PageCache(this, {
      pool: new PagePool(kernel, 16),
      device,
      getBlock: () => -ERRNO.EIO,
      cleanAliases: () => undefined,
    });
  }
}

/** Who waits for a request by itself. Its slot is another's before the sleeper has looked, so the result lies here. */
interface Waiter {
  result: number | null;
}

/** What is known of the request in a slot. */
class Pending {
  iocb: Kiocb | null = null;
  isWrite = false;
  offsetBytes = 0;
  waiter: Waiter | null = null;
}

export class HostFile implements BlockDevice, OpenFile {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  readonly isReadOnly: boolean;
  readonly inode: CoreInode;
  /** What the host was asked for, in the words of a request queue. */
  readonly counters = new QueueCounters();
  /** Requests that ended, so that the main loop sees progress where nothing is ever in flight. */
  endedCount = 0;
  private readonly pending: Pending[];
  private readonly ended: number[] = [];
  private readonly results: number[] = [];
  private readonly done = new WaitQueue('event', 'a request of the host');

  constructor(
    private readonly kernel: Kernel,
    private readonly image: OpenImage,
    private readonly executor: Executor,
  ) {
    this.name = image.path;
    this.isReadOnly = image.isReadOnly;
    this.capacitySectors = Math.floor(image.sizeBytes / SECTOR_BYTES);
    this.limits = {
      ...DEFAULT_LIMITS,
      logicalBlockBytes: image.isDirect ? Math.max(SECTOR_BYTES, image.offsetAlignBytes) : 512,
      dmaAlignmentBytes: image.isDirect ? Math.min(image.memoryAlignBytes, PAGE_BYTES) : 1,
    };
    this.pending = Array.from({ length: executor.depth }, () => new Pending());
    this.inode = new HostInode(kernel, this, image.sizeBytes);
  }

  // As a source of completions ---------------------------------------------------------------

  get inFlightCount(): number {
    return this.executor.inFlightCount;
  }
  commit(): void {
    this.executor.commit();
  }
  wait(timeoutNs: Nanoseconds): number {
    if (this.executor.inFlightCount === 0) return 0;
    this.executor.reap(1, timeoutNs, this.onReaped);
    return this.finishReaped();
  }
  submit(): never {
    throw new Error('a file of the host takes no bios');
  }
  close(): void {
    this.executor.close();
    this.image.close();
  }

  // As an open file --------------------------------------------------------------------------

  read(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    return this.transfer(iocb, iter, false);
  }
  write(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    return this.transfer(iocb, iter, true);
  }
  *fsync(dataOnly: boolean): Task<KernelReturn> {
    const slot = this.takeSlot();
    const { slots } = this.executor;
    slots.kind[slot] = dataOnly ? RAW_KIND.fdatasync : RAW_KIND.fsync;
    slots.fileOffsetBytes[slot] = 0;
    slots.bufferOffset[slot] = 0;
    slots.lengthBytes[slot] = 0;
    slots.flags[slot] = 0;
    const state = this.pending[slot] as Pending;
    const waiter: Waiter = { result: null };
    state.iocb = null;
    state.waiter = waiter;
    this.counters.flushes++;
    this.executor.push(slot);
    return yield* this.sleepFor(waiter);
  }
  *extents(): Task<Result<FileExtent[]>> {
    // Where the host keeps it is the host's affair: one stretch, so that plots have an axis.
    const count = Math.ceil(this.inode.sizeBytes / PAGE_BYTES);
    return yield* done(
      succeed([{ fileBlock: 0, count, deviceBlock: 0, state: 'mapped' } satisfies FileExtent]),
    );
  }

  private takeSlot(): number {
    const slot = this.executor.takeSlot();
    assert(slot >= 0, 'there is a slot for every request');
    const { slots } = this.executor;
    slots.fd[slot] = this.image.fd;
    slots.vectorCount[slot] = 0;
    return slot;
  }

  private transfer(iocb: Kiocb, iter: IovIter, isWrite: boolean): MaybeTask<KernelReturn> {
    const [segment] = iter.segments;
    assert(segment !== undefined && iter.segments.length === 1, 'a request of one buffer');
    const slot = this.takeSlot();
    const { executor } = this;
    const { slots } = executor;
    slots.kind[slot] = isWrite ? RAW_KIND.write : RAW_KIND.read;
    slots.flags[slot] =
      (iocb.isNowait ? RAW_FLAG.nowait : 0) | (isWrite && iocb.isDsync ? RAW_FLAG.dsync : 0);
    slots.fileOffsetBytes[slot] = iocb.positionBytes;
    slots.bufferOffset[slot] = segment.addressBytes;
    slots.lengthBytes[slot] = segment.lengthBytes;
    const state = this.pending[slot] as Pending;
    state.iocb = iocb;
    state.isWrite = isWrite;
    state.offsetBytes = iocb.positionBytes;
    executor.push(slot);
    if (iocb.onComplete !== null) {
      state.waiter = null;
      return -ERRNO.EIOCBQUEUED;
    }
    const waiter: Waiter = { result: null };
    state.waiter = waiter;
    if (!executor.supports.blocking) return this.sleepFor(waiter);
    executor.commit();
    executor.reap(1, Infinity, this.onReaped);
    this.finishReaped();
    assert(waiter.result !== null, 'a blocking executor ends what it was given');
    return waiter.result;
  }

  private *sleepFor(waiter: Waiter): Task<KernelReturn> {
    while (waiter.result === null) yield this.done;
    return waiter.result;
  }

  /** The executor frees the slot only when this returns, so the ends are told afterwards. */
  private readonly onReaped = (slot: number, result: number): void => {
    this.ended.push(slot);
    this.results.push(result);
  };

  private finishReaped(): number {
    const count = this.ended.length;
    for (let index = 0; index < count; index++) {
      const state = this.pending[this.ended[index] as number] as Pending;
      const result = this.results[index] as number;
      const { iocb, waiter } = state;
      state.iocb = null;
      if (iocb !== null) this.count(state, result);
      if (waiter === null) iocb?.onComplete?.(iocb, result);
      else {
        waiter.result = result;
        this.kernel.scheduler.wakeAll(this.done);
      }
    }
    this.ended.splice(0, count);
    this.results.splice(0, count);
    this.endedCount += count;
    return count;
  }

  private count(state: Pending, result: number): void {
    const { counters, inode } = this;
    const movedBytes = Math.max(0, result);
    if (state.isWrite) {
      counters.writes++;
      counters.writeBytes += movedBytes;
      inode.sizeBytes = Math.max(inode.sizeBytes, state.offsetBytes + movedBytes);
    } else {
      counters.reads++;
      counters.readBytes += movedBytes;
    }
  }
}

/** A task that is over at once. */
function* done<T>(value: T): Task<T> {
  return value;
}
