// SPDX-License-Identifier: GPL-2.0-only
/**
 * The executor over Linux native AIO (io_setup and friends, "libaio"). iocbs lie in our arena; the events that io_getevents
 * writes too.
 *
 *   push: iocb of the slot, pointer queued --commit: io_submit--> kernel --reap: io_getevents--> onEnd --> free
 *                    \--(io_submit refuses the first one)--> ready with minus that errno
 *
 *   struct iocb, 64 bytes                          struct io_event, 32 bytes
 *     0  aio_data       u64  <- the slot             0  data  u64  <- the slot
 *     8  aio_key        u32                          8  obj   u64
 *    12  aio_rw_flags   s32  <- RWF_*               16  res   s64  <- bytes, or minus an errno
 *    16  aio_lio_opcode u16, aio_reqprio s16        24  res2  s64
 *    20  aio_fildes     u32
 *    24  aio_buf        u64                        control arena: context, timespec | iocbs | pointers | events
 *    32  aio_nbytes     u64
 *    40  aio_offset     s64
 *    48  aio_reserved2  u64, aio_flags u32, aio_resfd u32: 0
 *
 * Invariants: 1. `queued` pointers are the first ones of the pointer list. 2. `submitted` counts what the kernel owes an event for.
 * 3. The context has room for `depth` requests, so io_submit never lacks a place (EAGAIN) for long.
 */
import {
  alignUp,
  assert,
  ERRNO,
  errnoName,
  PAGE_BYTES,
  type SyscallTable,
} from '../../base/index.ts';
import {
  RAW_KIND,
  type Executor,
  type ExecutorCapabilities,
  type ExecutorOptions,
  type RawSlots,
} from '../contract.ts';
import { storeTimespec, storeU64, type SyscallNumbers } from '../linux.ts';
import {
  executorFailure,
  ExecutorRefusal,
  type ExecutorHost,
  type ExecutorModule,
} from '../ports.ts';
import { SlotTable } from '../slot-table.ts';

const OPCODE = { pread: 0, pwrite: 1, fsync: 2, fdsync: 3, preadv: 7, pwritev: 8 } as const;
const IOCB_BYTES = 64;
const IOCB_WORDS = 16;
const IOCB = {
  dataWord: 0,
  flagsWord: 3,
  opcodeWord: 4,
  fdWord: 5,
  bufferWord: 6,
  lengthWord: 8,
  offsetWord: 10,
} as const;
const EVENT_BYTES = 32;
const EVENT_WORDS = 8;
const EVENT = { dataWord: 0, resultWord: 4 } as const;
const POINTER_BYTES = 8;
const TWO_POW_32 = 2 ** 32;

/** Bytes of the control arena before the iocbs, and where the parts of it lie. */
const HEADER_BYTES = 64;
const CONTEXT_WORD = 0;
const TIMESPEC_WORD = 4;

/** Where a slot's iocb is: the kernel has it, or it waits in the pointer list. */
const SLOT_IDLE = 0;
const SLOT_SUBMITTED = 1;

class LibaioExecutor implements Executor {
  readonly id = 'libaio';
  readonly supports: ExecutorCapabilities = {
    polled: false,
    fixedBuffers: false,
    fsync: true,
    blocking: false,
  };
  readonly slots: RawSlots;
  private readonly table: SlotTable;
  private readonly syscalls: SyscallTable;
  private readonly numbers: SyscallNumbers;
  private readonly dataAddress: number;
  private readonly words: Int32Array;
  private readonly iocbsWord = HEADER_BYTES / 4;
  private readonly pointersWord: number;
  private readonly eventsWord: number;
  private readonly state: Uint8Array;
  private readonly queuedSlots: Int32Array;
  private queued = 0;
  private submitted = 0;
  private closed = false;
  private reaping = false;

  constructor(
    host: ExecutorHost,
    readonly depth: number,
    private readonly control: LibaioControl,
    private readonly submitBatch: number,
  ) {
    this.table = new SlotTable(depth);
    this.slots = this.table.slots;
    this.syscalls = host.syscalls;
    this.numbers = host.numbers;
    this.dataAddress = host.data.baseAddress;
    this.words = control.words;
    this.pointersWord = this.iocbsWord + depth * IOCB_WORDS;
    this.eventsWord = this.pointersWord + depth * (POINTER_BYTES / 4);
    this.state = new Uint8Array(depth);
    this.queuedSlots = new Int32Array(depth);
  }

  get inFlightCount(): number {
    return this.table.takenCount;
  }
  takeSlot(): number {
    return this.table.take();
  }

  push(slot: number): void {
    this.writeIocb(slot);
    this.setPointer(this.queued, slot);
    this.queued++;
    if (this.queued >= this.submitBatch) this.commit();
  }

  commit(): void {
    let start = 0;
    while (start < this.queued) {
      const result = this.syscalls.call(
        this.numbers.io_submit,
        this.control.context,
        this.queued - start,
        this.address(this.pointersWord + start * 2),
        0,
        0,
        0,
      );
      if (result > 0) {
        for (let index = start; index < start + result; index++) {
          this.state[this.queuedSlots[index] as number] = SLOT_SUBMITTED;
        }
        this.submitted += result;
        start += result;
      } else if (result === -ERRNO.EAGAIN || result === 0) {
        break;
      } else if (result !== -ERRNO.EINTR) {
        // The first one is what it refuses; the others have not been looked at.
        this.table.ready(this.queuedSlots[start] as number, result);
        start++;
      }
    }
    const left = this.queued - start;
    for (let index = 0; index < left; index++) {
      this.setPointer(index, this.queuedSlots[start + index] as number);
    }
    this.queued = left;
  }

  reap(
    completionsMin: number,
    timeoutNs: number,
    onEnd: (slot: number, result: number) => void,
  ): number {
    let done = this.table.readyCount > 0 ? this.table.deliver(onEnd) : 0;
    for (;;) {
      if (this.queued > 0) this.commit();
      if (this.submitted === 0) return done + this.table.deliver(onEnd);
      const missing = Math.max(0, Math.min(completionsMin - done, this.submitted));
      const wait = timeoutNs === 0 ? 0 : missing;
      const count = this.getEvents(wait, timeoutNs);
      if (count > 0) done += this.deliverEvents(count, onEnd);
      if (this.table.readyCount > 0) done += this.table.deliver(onEnd);
      if (done >= completionsMin || timeoutNs !== Infinity) return done;
    }
  }

  cancelAll(): void {
    this.commit();
    for (let index = 0; index < this.queued; index++) {
      this.table.ready(this.queuedSlots[index] as number, -ERRNO.ECANCELED);
    }
    this.queued = 0;
    for (let slot = 0; slot < this.depth; slot++) {
      if (this.state[slot] !== SLOT_SUBMITTED) continue;
      // Direct I/O that the device has cannot be taken back (EINVAL); its event comes as usual, and so does a cancelled one's.
      const iocb = this.address(this.iocbsWord + slot * IOCB_WORDS);
      const { numbers, control } = this;
      this.syscalls.call(numbers.io_cancel, control.context, iocb, control.eventAddress, 0, 0, 0);
    }
  }

  close(): void {
    if (this.closed) return;
    this.cancelAll();
    while (this.submitted + this.table.readyCount > 0) this.reap(1, Infinity, () => undefined);
    this.closed = true;
    this.syscalls.call(this.numbers.io_destroy, this.control.context, 0, 0, 0, 0, 0);
  }

  private address(word: number): number {
    return this.control.baseAddress + word * 4;
  }

  private setPointer(index: number, slot: number): void {
    this.queuedSlots[index] = slot;
    const iocb = this.address(this.iocbsWord + slot * IOCB_WORDS);
    storeU64(this.words, this.pointersWord + index * 2, iocb);
  }

  private writeIocb(slot: number): void {
    const { slots, words } = this;
    const at = this.iocbsWord + slot * IOCB_WORDS;
    const kind = slots.kind[slot] as number;
    words[at + IOCB.dataWord] = slot;
    words[at + IOCB.fdWord] = slots.fd[slot] as number;
    if (kind >= RAW_KIND.fsync) {
      words[at + IOCB.opcodeWord] = kind === RAW_KIND.fsync ? OPCODE.fsync : OPCODE.fdsync;
      // The kernel refuses an fsync with anything else in it.
      words[at + IOCB.flagsWord] = 0;
      words.fill(0, at + IOCB.bufferWord, at + IOCB.offsetWord + 2);
      return;
    }
    const offset = slots.fileOffsetBytes[slot] as number;
    const address = this.dataAddress + (slots.bufferOffset[slot] as number);
    const vectorCount = slots.vectorCount[slot] as number;
    const isRead = kind === RAW_KIND.read;
    words[at + IOCB.flagsWord] = slots.flags[slot] as number;
    words[at + IOCB.bufferWord] = address | 0;
    words[at + IOCB.bufferWord + 1] = Math.floor(address / TWO_POW_32);
    words[at + IOCB.offsetWord] = offset | 0;
    words[at + IOCB.offsetWord + 1] = Math.floor(offset / TWO_POW_32);
    if (vectorCount === 0) {
      words[at + IOCB.opcodeWord] = isRead ? OPCODE.pread : OPCODE.pwrite;
      words[at + IOCB.lengthWord] = slots.lengthBytes[slot] as number;
    } else {
      words[at + IOCB.opcodeWord] = isRead ? OPCODE.preadv : OPCODE.pwritev;
      words[at + IOCB.lengthWord] = vectorCount;
    }
  }

  /** How many events lie at `eventsWord`; 0 also where the time was up or a signal came. */
  private getEvents(completionsMin: number, timeoutNs: number): number {
    const hasLimit = timeoutNs !== Infinity;
    if (hasLimit) storeTimespec(this.words, TIMESPEC_WORD, timeoutNs);
    const result = this.syscalls.call(
      this.numbers.io_getevents,
      this.control.context,
      completionsMin,
      this.depth,
      this.address(this.eventsWord),
      hasLimit ? this.address(TIMESPEC_WORD) : 0,
      0,
    );
    if (result >= 0) return result;
    if (result === -ERRNO.EINTR) return 0;
    throw executorFailure('libaio', 'io_getevents', errnoName(result) ?? String(-result));
  }

  private deliverEvents(count: number, onEnd: (slot: number, result: number) => void): number {
    const { words } = this;
    assert(!this.reaping, 'reap called from onEnd');
    this.reaping = true;
    for (let index = 0; index < count; index++) {
      const at = this.eventsWord + index * EVENT_WORDS;
      const slot = words[at + EVENT.dataWord] as number;
      this.submitted--;
      this.state[slot] = SLOT_IDLE;
      this.table.finish(slot, words[at + EVENT.resultWord] as number, onEnd);
    }
    this.reaping = false;
    return count;
  }
}

/** What io_setup gave, and the memory beside it. */
interface LibaioControl {
  readonly words: Int32Array;
  readonly baseAddress: number;
  readonly context: number;
  /** Where io_cancel may write an event that nobody reads. */
  readonly eventAddress: number;
}

function setupRefusal(result: number): string {
  switch (-result) {
    case ERRNO.ENOSYS:
      return 'this kernel has no native AIO (ENOSYS)';
    case ERRNO.EAGAIN:
      return 'all AIO requests of the host are taken (EAGAIN: see fs.aio-max-nr)';
    default:
      return `io_setup failed with ${errnoName(result) ?? String(result)}`;
  }
}

/** Halves the depth until the host has room for it (fs.aio-max-nr counts every process). */
function openLibaio(host: ExecutorHost, options: ExecutorOptions): LibaioExecutor {
  let depth = options.depth;
  for (;;) {
    const bytes = HEADER_BYTES + depth * (IOCB_BYTES + POINTER_BYTES + EVENT_BYTES) + EVENT_BYTES;
    const control = host.makeArena(alignUp(bytes, PAGE_BYTES) / PAGE_BYTES);
    const { words, baseAddress } = control;
    words.fill(0, 0, HEADER_BYTES / 4);
    const { syscalls, numbers } = host;
    const result = syscalls.call(numbers.io_setup, depth, baseAddress, 0, 0, 0, 0);
    if (result >= 0) {
      const low = (words[CONTEXT_WORD] as number) >>> 0;
      const context = (words[CONTEXT_WORD + 1] as number) * TWO_POW_32 + low;
      const eventAddress = baseAddress + bytes - EVENT_BYTES;
      const parts = { words, baseAddress, context, eventAddress };
      return new LibaioExecutor(host, depth, parts, options.submitBatch);
    }
    if (result !== -ERRNO.EAGAIN || depth === 1) {
      throw new ExecutorRefusal('libaio', setupRefusal(result));
    }
    depth = Math.floor(depth / 2);
  }
}

export const libaioExecutor: ExecutorModule = {
  id: 'libaio',
  title: 'libaio',
  help: 'Linux native AIO: io_submit and io_getevents; asynchronous for direct I/O only.',
  options: {},
  depthMax: 65_536,
  open: (host, options) => {
    const executor = openLibaio(host, options);
    return {
      executor,
      notes:
        executor.depth < options.depth
          ? [
              `libaio has room for ${String(executor.depth)} of ${String(options.depth)} requests` +
                ' (fs.aio-max-nr counts every process of the host)',
            ]
          : [],
    };
  },
};
