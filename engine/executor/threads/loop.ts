// SPDX-License-Identifier: GPL-2.0-only
/**
 * What an I/O thread runs, and the words that it shares with the executor. The function uses nothing outside itself: its text is
 * sent to the thread (main/host/native/io-threads.ts), so that no second program has to be built and found.
 *
 *   control words:  TAKEN | PUSHED | DONE | RESERVED | STOP | (padding) | work ring | done ring | results | slot columns
 *
 *   executor: work[PUSHED & mask] = slot, PUSHED++, notify        thread: waits while TAKEN = PUSHED
 *   thread:   TAKEN++ (compare and exchange), does the call, results[slot] = r, done[RESERVED++ & mask] = slot + 1, DONE++, notify
 *   executor: takes done[] entries in order until one is 0 (not written yet), clears each
 *
 * Invariants: 1. Counters wrap at 32 bits and are compared only for equality. 2. Rings have at least `depth` entries and a slot is
 * in one of them once, so neither overflows. 3. A thread sleeps only on PUSHED, the executor only on DONE.
 */
import type { SyscallNumbers } from '../linux.ts';

export const CONTROL = { taken: 0, pushed: 1, done: 2, reserved: 3, stop: 4 } as const;
export const CONTROL_WORDS = 16;

/** Plain data: sent to the threads as it is. Words are 32-bit indexes into the control arena, bytes are offsets. */
export interface IoThreadLayout {
  readonly numbers: SyscallNumbers;
  readonly dataAddress: number;
  readonly depth: number;
  readonly ringMask: number;
  readonly workWord: number;
  readonly doneWord: number;
  readonly resultsWord: number;
  readonly columnsBytes: number;
  /** A scratch iovec of 16 bytes for each thread. */
  readonly iovecsBytes: number;
  readonly controlAddress: number;
  readonly flagsAlways: number;
}

/** Runs until STOP is set, which the executor does once it has reaped all. `call` is a `SyscallTable.call` of the thread's own. */
export function ioThreadLoop(
  buffer: ArrayBufferLike,
  layout: IoThreadLayout,
  threadIndex: number,
  call: (n: number, a: number, b: number, c: number, d: number, e: number, f: number) => number,
): void {
  const TAKEN = 0;
  const PUSHED = 1;
  const DONE = 2;
  const RESERVED = 3;
  const STOP = 4;
  const EINTR = -4;
  const KIND = { write: 1, fsync: 2, fdatasync: 3 };
  const { depth, numbers, ringMask, columnsBytes } = layout;
  const words = new Int32Array(buffer);
  const fileOffset = new Float64Array(buffer, columnsBytes, depth);
  const bufferOffset = new Float64Array(buffer, columnsBytes + depth * 8, depth);
  const fds = new Int32Array(buffer, columnsBytes + depth * 16, depth);
  const lengths = new Uint32Array(buffer, columnsBytes + depth * 20, depth);
  const vectorCounts = new Uint16Array(buffer, columnsBytes + depth * 24, depth);
  const kinds = new Uint8Array(buffer, columnsBytes + depth * 26, depth);
  const flagsColumn = new Uint8Array(buffer, columnsBytes + depth * 27, depth);
  const iovecBytes = layout.iovecsBytes + threadIndex * 16;
  const iovecWords = new Int32Array(buffer, iovecBytes, 4);

  const perform = (slot: number): number => {
    const kind = kinds[slot] as number;
    const fd = fds[slot] as number;
    if (kind === KIND.fsync) return call(numbers.fsync, fd, 0, 0, 0, 0, 0);
    if (kind === KIND.fdatasync) return call(numbers.fdatasync, fd, 0, 0, 0, 0, 0);
    const isWrite = kind === KIND.write;
    const offset = fileOffset[slot] as number;
    const address = layout.dataAddress + (bufferOffset[slot] as number);
    const length = lengths[slot] as number;
    const vectorCount = vectorCounts[slot] as number;
    const flags = (flagsColumn[slot] as number) | layout.flagsAlways;
    if (vectorCount === 0 && flags === 0) {
      return call(isWrite ? numbers.pwrite64 : numbers.pread64, fd, address, length, offset, 0, 0);
    }
    const number = isWrite ? numbers.pwritev2 : numbers.preadv2;
    if (vectorCount > 0) return call(number, fd, address, vectorCount, offset, 0, flags);
    iovecWords[0] = address | 0;
    iovecWords[1] = Math.floor(address / 4294967296);
    iovecWords[2] = length;
    iovecWords[3] = 0;
    return call(number, fd, layout.controlAddress + iovecBytes, 1, offset, 0, flags);
  };

  for (;;) {
    const taken = Atomics.load(words, TAKEN);
    const pushed = Atomics.load(words, PUSHED);
    // STOP is set before the last change of PUSHED, so a thread that saw that change sees STOP too.
    if (Atomics.load(words, STOP) !== 0) return;
    if (taken === pushed) {
      Atomics.wait(words, PUSHED, pushed);
      continue;
    }
    const slot = Atomics.load(words, layout.workWord + (taken & ringMask));
    if (Atomics.compareExchange(words, TAKEN, taken, (taken + 1) | 0) !== taken) continue;
    let result = perform(slot);
    while (result === EINTR) result = perform(slot);
    words[layout.resultsWord + slot] = result;
    const place = Atomics.add(words, RESERVED, 1);
    Atomics.store(words, layout.doneWord + (place & ringMask), slot + 1);
    Atomics.add(words, DONE, 1);
    Atomics.notify(words, DONE, 1);
  }
}
