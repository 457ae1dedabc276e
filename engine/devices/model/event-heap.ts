// SPDX-License-Identifier: GPL-2.0-only
/** What happens next: slots ordered by time, and by order of arrival where times are equal. A binary heap of fixed size. */
import { assert } from '../../base/index.ts';

export class EventHeap {
  count = 0;
  private readonly slots: Int32Array;
  private readonly atNs: Float64Array;
  private readonly sequence: Float64Array;
  private nextSequence = 0;

  /** `capacity`: slots are 0 .. capacity-1, each at most once in the heap. */
  constructor(capacity: number) {
    this.slots = new Int32Array(capacity);
    this.atNs = new Float64Array(capacity);
    this.sequence = new Float64Array(capacity);
  }

  push(slot: number, atNs: number): void {
    assert(this.count < this.slots.length, 'more events than slots', { slot });
    this.atNs[slot] = atNs;
    this.sequence[slot] = this.nextSequence++;
    let at = this.count++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = this.slots[parent] as number;
      if (!this.isBefore(slot, other)) break;
      this.slots[at] = other;
      at = parent;
    }
    this.slots[at] = slot;
  }

  /** Time of the next event; Infinity where there is none. */
  nextNs(): number {
    return this.count === 0 ? Infinity : (this.atNs[this.slots[0] as number] as number);
  }

  /** Takes the next event out; its slot. */
  pop(): number {
    const first = this.slots[0] as number;
    this.count--;
    if (this.count > 0) this.sink(this.slots[this.count] as number);
    return first;
  }

  /** Puts `slot` at the top and lets it down to its place. */
  private sink(slot: number): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.count) break;
      if (
        child + 1 < this.count &&
        this.isBefore(this.slots[child + 1] as number, this.slots[child] as number)
      ) {
        child++;
      }
      const other = this.slots[child] as number;
      if (!this.isBefore(other, slot)) break;
      this.slots[at] = other;
      at = child;
    }
    this.slots[at] = slot;
  }

  private isBefore(a: number, b: number): boolean {
    const difference = (this.atNs[a] as number) - (this.atNs[b] as number);
    if (difference !== 0) return difference < 0;
    return (this.sequence[a] as number) < (this.sequence[b] as number);
  }
}
