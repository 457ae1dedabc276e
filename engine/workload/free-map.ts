// SPDX-License-Identifier: GPL-2.0-only
/**
 * Which blocks of the area were not touched yet in this pass: the random map for loads of mixed block sizes (fio's axmap). A
 * tree of bitmaps, 32 to one: a bit of a higher level says that all 32 below are taken, so the next free block is found in a few steps.
 */
import { assert } from '../base/index.ts';

export class FreeMap {
  /** Level 0: a bit a block; the last level is one word. */
  private readonly levels: Int32Array[] = [];
  freeCount: number;

  /** `count` at most 2^31 (256 MiB of bits). */
  constructor(readonly count: number) {
    assert(count >= 1 && count <= 2 ** 31, 'random map of an impossible size', { count });
    let bits = count;
    do {
      const words = Math.ceil(bits / 32);
      this.levels.push(new Int32Array(words));
      bits = words;
    } while (bits > 1);
    this.freeCount = 0;
    this.clear();
  }

  /** Everything is free again: a new pass. */
  clear(): void {
    let bits = this.count;
    for (const level of this.levels) {
      level.fill(0);
      // Bits past the end count as taken.
      if (bits % 32 !== 0) level[level.length - 1] = -1 << (bits % 32);
      bits = level.length;
    }
    this.freeCount = this.count;
  }

  isFree(block: number): boolean {
    return (((this.levels[0] as Int32Array)[block >>> 5] as number) & (1 << (block & 31))) === 0;
  }

  /** The first free block at or after `from`, else the first free one at all; -1 where none is left. */
  nextFree(from: number): number {
    if (this.freeCount === 0) return -1;
    const after = this.search(from);
    return after >= 0 ? after : this.search(0);
  }

  /** Takes up to `countMax` free blocks from `block` on, without a gap; says how many. `block` must be free. */
  take(block: number, countMax: number): number {
    let taken = 0;
    while (taken < countMax && block + taken < this.count && this.isFree(block + taken)) {
      this.mark(block + taken);
      taken++;
    }
    this.freeCount -= taken;
    return taken;
  }

  private mark(block: number): void {
    let bit = block;
    for (const level of this.levels) {
      const word = bit >>> 5;
      const value = (level[word] as number) | (1 << (bit & 31));
      level[word] = value;
      if (value !== -1) return;
      bit = word;
    }
  }

  /** The first free block at or after `from`, or -1: climbs until a word has a free bit behind `from`, then descends. */
  private search(from: number): number {
    let bit = from;
    for (let depth = 0; depth < this.levels.length; depth++) {
      const level = this.levels[depth] as Int32Array;
      const word = bit >>> 5;
      if (word < level.length) {
        const free = ~(level[word] as number) & (-1 << (bit & 31));
        if (free !== 0) return this.descend(depth, word * 32 + lowestBit(free));
      }
      bit = word + 1;
    }
    return -1;
  }

  private descend(depth: number, bit: number): number {
    let at = bit;
    for (let below = depth - 1; below >= 0; below--) {
      at = at * 32 + lowestBit(~((this.levels[below] as Int32Array)[at] as number));
    }
    return at;
  }
}

const lowestBit = (word: number): number => 31 - Math.clz32(word & -word);
