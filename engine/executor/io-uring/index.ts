// SPDX-License-Identifier: GPL-2.0-only
/**
 * The executor over io_uring. SQEs are written where the kernel reads them, completions are read where it writes them; the only
 * system call is io_uring_enter.
 *
 *   push: SQE at sqTail --commit: publish tail, enter--> kernel --CQE--> reap: cqHead..cqTail --> onEnd --> free
 *
 * Invariants: 1. `queued` SQEs lie between what the kernel took and `sqTail`. 2. `submitted` counts operations the kernel owes a
 * CQE for; only `drain` lowers it. 3. The CQ ring has twice the entries, so it cannot overflow (a cancel adds one CQE).
 * 4. The thread that opens the ring is the only one that enters it (SINGLE_ISSUER).
 */
import { assert, ERRNO, errnoName, type SyscallTable } from '../../base/index.ts';
import {
  RAW_KIND,
  type Executor,
  type ExecutorCapabilities,
  type ExecutorOptions,
  type RawSlots,
} from '../contract.ts';
import { storeTimespec, type SyscallNumbers } from '../linux.ts';
import { executorFailure, type ExecutorHost, type ExecutorModule } from '../ports.ts';
import { SlotTable } from '../slot-table.ts';
import {
  CANCEL,
  CQE,
  CQE_WORDS,
  ENTER,
  FSYNC_DATASYNC,
  GETEVENTS_ARG_BYTES,
  OPCODE,
  SQE,
  SQE_WORDS,
} from './layout.ts';
import { ENTRIES_MAX, openRing, type Ring } from './ring.ts';

const TWO_POW_32 = 2 ** 32;
/** user_data of a cancel request: no slot has this number. */
const CANCEL_USER_DATA = -1;

class IoUringExecutor implements Executor {
  readonly id = 'io_uring';
  readonly supports: ExecutorCapabilities;
  readonly depth: number;
  readonly slots: RawSlots;
  private readonly table: SlotTable;
  private readonly syscalls: SyscallTable;
  private readonly numbers: SyscallNumbers;
  private readonly dataAddress: number;
  private readonly words: Int32Array;
  private readonly submitBatch: number;
  private sqTail = 0;
  private cqHead = 0;
  private queued = 0;
  private submitted = 0;
  private closed = false;

  constructor(
    host: ExecutorHost,
    private readonly ring: Ring,
    options: ExecutorOptions,
  ) {
    this.depth = Math.min(options.depth, ring.entries);
    this.table = new SlotTable(this.depth);
    this.slots = this.table.slots;
    this.syscalls = host.syscalls;
    this.numbers = host.numbers;
    this.dataAddress = host.data.baseAddress;
    this.words = ring.control.words;
    this.submitBatch = options.submitBatch;
    this.supports = {
      polled: true,
      fixedBuffers: false,
      fsync: !options.polled,
      blocking: false,
    };
  }

  get inFlightCount(): number {
    return this.table.takenCount;
  }
  takeSlot(): number {
    return this.table.take();
  }

  push(slot: number): void {
    const { slots, words, ring } = this;
    const at = ring.sqesWord + (this.sqTail & ring.sqMask) * SQE_WORDS;
    const kind = slots.kind[slot] as number;
    const vectorCount = slots.vectorCount[slot] as number;
    words[at + SQE.fdWord] = slots.fd[slot] as number;
    words[at + SQE.userDataWord] = slot;
    words[at + SQE.userDataWord + 1] = 0;
    if (kind >= RAW_KIND.fsync) {
      words.fill(0, at + SQE.offsetWord, at + SQE.userDataWord);
      words[at + SQE.opcodeWord] = OPCODE.fsync;
      words[at + SQE.opFlagsWord] = kind === RAW_KIND.fdatasync ? FSYNC_DATASYNC : 0;
    } else {
      const offset = slots.fileOffsetBytes[slot] as number;
      const address = this.dataAddress + (slots.bufferOffset[slot] as number);
      const isRead = kind === RAW_KIND.read;
      words[at + SQE.offsetWord] = offset | 0;
      words[at + SQE.offsetWord + 1] = Math.floor(offset / TWO_POW_32);
      words[at + SQE.addressWord] = address | 0;
      words[at + SQE.addressWord + 1] = Math.floor(address / TWO_POW_32);
      words[at + SQE.opFlagsWord] = slots.flags[slot] as number;
      if (vectorCount === 0) {
        words[at + SQE.opcodeWord] = isRead ? OPCODE.read : OPCODE.write;
        words[at + SQE.lengthWord] = slots.lengthBytes[slot] as number;
      } else {
        words[at + SQE.opcodeWord] = isRead ? OPCODE.readv : OPCODE.writev;
        words[at + SQE.lengthWord] = vectorCount;
      }
    }
    this.sqTail = (this.sqTail + 1) | 0;
    this.queued++;
    if (this.queued >= this.submitBatch) this.commit();
  }

  commit(): void {
    if (this.queued > 0) this.enter(0, 0, 0, 0);
  }

  reap(
    completionsMin: number,
    timeoutNs: number,
    onEnd: (slot: number, result: number) => void,
  ): number {
    let done = this.drain(onEnd);
    if (done >= completionsMin && done > 0) return done;
    // With deferred task work and with polling, completions appear only inside an enter that asks for events.
    if (timeoutNs === 0 || completionsMin === 0) {
      if (this.submitted + this.queued === 0) return done;
      this.enter(0, ENTER.getEvents, 0, 0);
      return done + this.drain(onEnd);
    }
    while (done < completionsMin) {
      const owed = this.submitted + this.queued;
      if (owed === 0) break;
      if (!this.waitFor(Math.min(completionsMin - done, owed), timeoutNs)) {
        done += this.drain(onEnd);
        break;
      }
      done += this.drain(onEnd);
    }
    return done;
  }

  cancelAll(): void {
    this.commit();
    if (this.submitted === 0 || this.queued > 0) return;
    const { words, ring } = this;
    const at = ring.sqesWord + (this.sqTail & ring.sqMask) * SQE_WORDS;
    words.fill(0, at, at + SQE_WORDS);
    words[at + SQE.opcodeWord] = OPCODE.cancel;
    words[at + SQE.opFlagsWord] = CANCEL.all | CANCEL.any;
    words[at + SQE.userDataWord] = CANCEL_USER_DATA;
    words[at + SQE.userDataWord + 1] = CANCEL_USER_DATA;
    this.sqTail = (this.sqTail + 1) | 0;
    this.queued++;
    this.commit();
  }

  close(): void {
    if (this.closed) return;
    this.cancelAll();
    while (this.submitted + this.queued > 0) this.reap(1, Infinity, () => undefined);
    this.closed = true;
    this.syscalls.call(this.numbers.close, this.ring.fd, 0, 0, 0, 0, 0);
  }

  /** False once the time is up. */
  private waitFor(completionsMin: number, timeoutNs: number): boolean {
    if (timeoutNs === Infinity) {
      return this.enter(completionsMin, ENTER.getEvents, 0, 0) !== -ERRNO.ETIME;
    }
    const { ring } = this;
    storeTimespec(this.words, ring.timespecWord, timeoutNs);
    const result = this.enter(
      completionsMin,
      ENTER.getEvents | ENTER.extArg,
      ring.argumentAddress,
      GETEVENTS_ARG_BYTES,
    );
    // A signal counts as time up: the caller has a clock and asks again.
    return result !== -ERRNO.ETIME && result !== -ERRNO.EINTR;
  }

  /** io_uring_enter: publishes what is queued, and waits. What could not be taken stays queued. */
  private enter(completionsMin: number, flags: number, argument: number, size: number): number {
    const { ring, words } = this;
    Atomics.store(words, ring.sqTailWord, this.sqTail);
    const result = this.syscalls.call(
      this.numbers.io_uring_enter,
      ring.fd,
      this.queued,
      completionsMin,
      flags,
      argument,
      size,
    );
    if (this.queued > 0) {
      // Also on an error: the kernel's head says what it took.
      const left = (this.sqTail - Atomics.load(words, ring.sqHeadWord)) | 0;
      this.submitted += this.queued - left;
      this.queued = left;
    }
    if (result >= 0) return result;
    switch (-result) {
      case ERRNO.EINTR:
      case ERRNO.ETIME:
      // No memory, or too many completions unread: what is queued goes with the next call.
      case ERRNO.EAGAIN:
      case ERRNO.EBUSY:
        return result;
      default:
        throw executorFailure('io_uring', 'io_uring_enter', errnoName(result) ?? String(-result));
    }
  }

  private drain(onEnd: (slot: number, result: number) => void): number {
    const { ring, words } = this;
    const tail = Atomics.load(words, ring.cqTailWord);
    let done = 0;
    while (this.cqHead !== tail) {
      const at = ring.cqesWord + (this.cqHead & ring.cqMask) * CQE_WORDS;
      const userData = words[at + CQE.userDataWord] as number;
      const result = words[at + CQE.resultWord] as number;
      this.cqHead = (this.cqHead + 1) | 0;
      // Before `onEnd`, which may push, commit and so enter the kernel again.
      Atomics.store(words, ring.cqHeadWord, this.cqHead);
      this.submitted--;
      if (userData === CANCEL_USER_DATA) continue;
      this.table.finish(userData, result, onEnd);
      done++;
    }
    assert(words[ring.cqOverflowWord] === 0, 'io_uring lost a completion');
    return done;
  }
}

export const ioUringExecutor: ExecutorModule = {
  id: 'io_uring',
  title: 'io_uring',
  help: 'Submission and completion rings shared with the kernel; Linux 6.6 or later.',
  options: {},
  depthMax: ENTRIES_MAX,
  open: (host, options) => {
    const ring = openRing(host, options.depth, options.polled);
    const executor = new IoUringExecutor(host, ring, options);
    return {
      executor,
      notes:
        executor.depth < options.depth
          ? [
              `io_uring has ${String(executor.depth)} entries here instead of ${String(options.depth)}` +
                ` (older kernels: one page for the ring; all kernels: at most ${String(ENTRIES_MAX)})`,
            ]
          : [],
    };
  },
};
