// SPDX-License-Identifier: GPL-2.0-only
/**
 * The slab of slots that every executor has: the caller's columns, the free list, and a queue of completions that are known before
 * the host was asked (refused at submission, cancelled while queued, done inside `push`).
 *
 * Invariants: 1. A slot is free, or taken; `takenCount` = depth - free ones. 2. Only `finish` frees, after the caller's `onEnd`.
 * 3. The ready queue never holds a slot twice, so `depth` entries are enough.
 */
import { assert } from '../base/index.ts';
import type { RawSlots } from './contract.ts';

/** Bytes a slot's columns take, by `slotColumns`. */
export const SLOT_COLUMN_BYTES = 8 + 8 + 4 + 4 + 2 + 1 + 1;

/** Lays the columns over `buffer` from `startBytes` (a multiple of 8), widest first so that each is aligned. */
export function slotColumns(buffer: ArrayBufferLike, startBytes: number, depth: number): RawSlots {
  let at = startBytes;
  const next = (bytesEach: number): number => {
    const start = at;
    at += bytesEach * depth;
    return start;
  };
  return {
    fileOffsetBytes: new Float64Array(buffer, next(8), depth),
    bufferOffset: new Float64Array(buffer, next(8), depth),
    fd: new Int32Array(buffer, next(4), depth),
    lengthBytes: new Uint32Array(buffer, next(4), depth),
    vectorCount: new Uint16Array(buffer, next(2), depth),
    kind: new Uint8Array(buffer, next(1), depth),
    flags: new Uint8Array(buffer, next(1), depth),
  };
}

export class SlotTable {
  takenCount = 0;
  /** Completions that wait for `deliver`. */
  readyCount = 0;
  private readonly freeSlots: Int32Array;
  private readonly readySlots: Int32Array;
  private readonly readyResults: Int32Array;
  private readyHead = 0;

  constructor(
    readonly depth: number,
    readonly slots: RawSlots = slotColumns(new ArrayBuffer(depth * SLOT_COLUMN_BYTES), 0, depth),
  ) {
    // Handed out from the end, so that slot 0 goes first.
    this.freeSlots = Int32Array.from({ length: depth }, (_, index) => depth - 1 - index);
    this.readySlots = new Int32Array(depth);
    this.readyResults = new Int32Array(depth);
  }

  take(): number {
    const free = this.depth - this.takenCount;
    if (free === 0) return -1;
    this.takenCount++;
    const slot = this.freeSlots[free - 1] as number;
    this.slots.flags[slot] = 0;
    this.slots.vectorCount[slot] = 0;
    return slot;
  }

  /** Tells the caller, then frees the slot. */
  finish(slot: number, result: number, onEnd: (slot: number, result: number) => void): void {
    onEnd(slot, result);
    this.takenCount--;
    this.freeSlots[this.depth - this.takenCount - 1] = slot;
  }

  /** Notes a completion for the next `deliver`. */
  ready(slot: number, result: number): void {
    assert(this.readyCount < this.depth, 'more completions than slots', { slot });
    const at = (this.readyHead + this.readyCount) % this.depth;
    this.readySlots[at] = slot;
    this.readyResults[at] = result;
    this.readyCount++;
  }

  /** Finishes what was ready when it was called; how many. What `onEnd` makes ready waits for the next call. */
  deliver(onEnd: (slot: number, result: number) => void): number {
    const count = this.readyCount;
    for (let done = 0; done < count; done++) {
      const at = this.readyHead;
      this.readyHead = at + 1 === this.depth ? 0 : at + 1;
      this.readyCount--;
      this.finish(this.readySlots[at] as number, this.readyResults[at] as number, onEnd);
    }
    return count;
  }
}
