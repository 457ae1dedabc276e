// SPDX-License-Identifier: GPL-2.0-only
/** Seeded random numbers. The same seed gives the same numbers on every machine. */
import type { Random } from './ports.ts';

/** xorshift32 (Marsaglia 2003); seed 0 counts as 1. */
export class XorShift32 implements Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0 || 1;
  }
  next32(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }
}

/** sfc32 (Doty-Humphrey): passes the usual batteries, four words of state, seeded from one or two words. */
export class Sfc32 implements Random {
  private a: number;
  private b: number;
  private c = 0x9e3779b9;
  private counter = 1;
  constructor(seed: number, stream = 0) {
    this.a = seed | 0;
    this.b = stream | 0;
    for (let round = 0; round < 12; round++) this.next32();
  }
  next32(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + sum) | 0;
    return sum >>> 0;
  }
}

/** Uniform in [0, 1) with 53 bits. */
export function uniform(random: Random): number {
  return ((random.next32() >>> 5) * 67108864 + (random.next32() >>> 6)) / 9007199254740992;
}

/** Uniform in [0, limit), for any limit up to 2^53. */
export function below(random: Random, limit: number): number {
  if (limit <= 0x100000000) {
    // Rejection keeps it exact: the last incomplete stretch of 2^32 is drawn again.
    const whole = 0x100000000 - (0x100000000 % limit);
    for (;;) {
      const drawn = random.next32();
      if (drawn < whole) return drawn % limit;
    }
  }
  return Math.floor(uniform(random) * limit);
}
