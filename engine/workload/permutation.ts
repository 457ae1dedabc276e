// SPDX-License-Identifier: GPL-2.0-only
/**
 * A random order of [0, count) without a table: a Feistel network over the next even power of two, walked until it lands inside
 * (cycle walking). Every index comes exactly once, memory is constant for any area, and the order is spread better than that of an
 * LFSR, fio's answer to the same problem. Also scatters the ranks of zipf and pareto over the area.
 */
import type { Random } from '../base/index.ts';

const ROUNDS = 5;

export class Permutation {
  private readonly halfBits: number;
  private readonly halfMask: number;
  private readonly keys = new Int32Array(ROUNDS);

  constructor(readonly count: number) {
    let halfBits = 1;
    while (4 ** halfBits < count) halfBits++;
    this.halfBits = halfBits;
    this.halfMask = 2 ** halfBits - 1;
  }

  /** A new order. */
  reseed(random: Random): void {
    for (let round = 0; round < ROUNDS; round++) this.keys[round] = random.next32() | 0;
  }

  /** The element at place `index` of the order; a bijection of [0, count). */
  at(index: number): number {
    let value = index;
    do value = this.encipher(value);
    while (value >= this.count);
    return value;
  }

  private encipher(value: number): number {
    const { halfMask, keys } = this;
    const scale = halfMask + 1;
    let left = Math.floor(value / scale);
    let right = value - left * scale;
    for (let round = 0; round < ROUNDS; round++) {
      let mixed = Math.imul(right ^ (keys[round] as number), 0x85ebca6b);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0xc2b2ae35);
      mixed ^= mixed >>> 13;
      const next = left ^ (mixed >>> (32 - this.halfBits));
      left = right;
      right = next & halfMask;
    }
    return left * scale + right;
  }
}
