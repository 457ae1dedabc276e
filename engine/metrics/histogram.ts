// SPDX-License-Identifier: GPL-2.0-only
/**
 * A log-linear histogram of non-negative integers (nanoseconds): constant memory, no allocation per record, counts of 64-bit width
 * (doubles, exact to 2^53). It stands in for hdr-histogram-js on the hot path, where that one costs over 100 ns a record; the tests
 * hold the two against each other.
 *
 *   value < 2 * S:      one bucket a value                      (S = 2^subBucketBits)
 *   else, 2^e <= value < 2^(e+1):  S buckets of 2^(e - subBucketBits) values each
 *
 * Rules: 1. A value's bucket is at most value / S wide: with 10 bits better than three digits, with 6 bits what fio has.
 * 2. `highestInBucket` is what percentiles and bins report, but never more than the largest value recorded.
 * 3. Values above 2^53 and not-a-number are assertions, negative ones count as 0 (a clock that steps back).
 */
import { assert } from '../base/index.ts';

/** Percentiles that fio prints by default, and three more at the far end. */
export const PERCENTILES: readonly number[] = [
  1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999,
];
/** Three decimal digits, as the result promises. */
export const FINE_SUB_BUCKET_BITS = 10;
/** 1 %: for interval percentiles, which are reset many times a second. */
export const COARSE_SUB_BUCKET_BITS = 6;

/** Same shape as the lab's LatencySummary. */
export interface DistributionSummary {
  readonly count: number;
  readonly minNs: number;
  readonly maxNs: number;
  readonly meanNs: number;
  readonly stddevNs: number;
  readonly percentilesNs: Readonly<Record<string, number>>;
  readonly bins: readonly (readonly [number, number])[];
}

/** fio's key of a percentile: '99.900000'. */
export const percentileKey = (percent: number): string => percent.toFixed(6);

export class Histogram {
  /** Grows by doubling up to the largest value seen. */
  private counts: Float64Array;
  private readonly subBuckets: number;
  private readonly linearBelow: number;
  count = 0;
  private sum = 0;
  private sumOfSquares = 0;
  private smallest = Infinity;
  private largest = 0;

  constructor(readonly subBucketBits: number = FINE_SUB_BUCKET_BITS) {
    this.subBuckets = 2 ** subBucketBits;
    this.linearBelow = this.subBuckets * 2;
    this.counts = new Float64Array(this.subBuckets * 8);
  }

  /** Counts one value. */
  record(value: number): void {
    const counted = value > 0 ? value : 0;
    const index = this.indexOf(counted);
    if (index >= this.counts.length) this.grow(index);
    this.counts[index] = (this.counts[index] as number) + 1;
    this.count++;
    this.sum += counted;
    this.sumOfSquares += counted * counted;
    if (counted < this.smallest) this.smallest = counted;
    if (counted > this.largest) this.largest = counted;
  }

  /** Forgets everything, keeps the memory. */
  reset(): void {
    if (this.count > 0) this.counts.fill(0, 0, this.indexOf(this.largest) + 1);
    this.count = 0;
    this.sum = 0;
    this.sumOfSquares = 0;
    this.smallest = Infinity;
    this.largest = 0;
  }

  /** Adds what another histogram of the same resolution holds. */
  add(other: Histogram): void {
    assert(other.subBucketBits === this.subBucketBits, 'histograms of different resolution');
    if (other.count === 0) return;
    const last = other.indexOf(other.largest);
    if (last >= this.counts.length) this.grow(last);
    for (let index = 0; index <= last; index++) {
      this.counts[index] = (this.counts[index] as number) + (other.counts[index] as number);
    }
    this.count += other.count;
    this.sum += other.sum;
    this.sumOfSquares += other.sumOfSquares;
    this.smallest = Math.min(this.smallest, other.smallest);
    this.largest = Math.max(this.largest, other.largest);
  }

  get min(): number {
    return this.count === 0 ? 0 : this.smallest;
  }
  get max(): number {
    return this.largest;
  }
  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }
  /** Of the population. */
  get stddev(): number {
    if (this.count === 0) return 0;
    const { mean } = this;
    return Math.sqrt(Math.max(0, this.sumOfSquares / this.count - mean * mean));
  }

  /** Value at or below which `percent` of all values lie (the top of its bucket); 0 where nothing was recorded. */
  percentile(percent: number): number {
    if (this.count === 0) return 0;
    const wanted = Math.max(1, Math.ceil((percent / 100) * this.count - 1e-9));
    let seen = 0;
    const last = this.indexOf(this.largest);
    for (let index = 0; index <= last; index++) {
      seen += this.counts[index] as number;
      if (seen >= wanted) return Math.min(this.highestInBucket(index), this.largest);
    }
    return this.largest;
  }

  /** [upper edge, count] of every bucket in use, in order. */
  bins(): [number, number][] {
    const bins: [number, number][] = [];
    if (this.count === 0) return bins;
    const last = this.indexOf(this.largest);
    for (let index = 0; index <= last; index++) {
      const count = this.counts[index] as number;
      if (count > 0) bins.push([Math.min(this.highestInBucket(index), this.largest), count]);
    }
    return bins;
  }

  /** Everything that a result keeps of a distribution; values in ns. */
  summary(): DistributionSummary {
    return {
      count: this.count,
      minNs: this.min,
      maxNs: this.max,
      meanNs: this.mean,
      stddevNs: this.stddev,
      percentilesNs: this.percentiles(),
      bins: this.bins(),
    };
  }

  /** All of `PERCENTILES` in one walk. */
  private percentiles(): Record<string, number> {
    const values: Record<string, number> = {};
    let seen = 0;
    let index = -1;
    for (const percent of PERCENTILES) {
      const wanted = Math.max(1, Math.ceil((percent / 100) * this.count - 1e-9));
      while (this.count > 0 && seen < wanted) seen += this.counts[++index] as number;
      values[percentileKey(percent)] =
        this.count === 0 ? 0 : Math.min(this.highestInBucket(index), this.largest);
    }
    return values;
  }

  private indexOf(value: number): number {
    const whole = Math.floor(value);
    if (whole < this.linearBelow) return whole;
    if (whole < 0x80000000) {
      const shift = 31 - Math.clz32(whole) - this.subBucketBits;
      return shift * this.subBuckets + (whole >>> shift);
    }
    const high = Math.floor(whole / 0x80000000);
    assert(high < 0x400000, 'value beyond the histogram', { value });
    const shift = 62 - Math.clz32(high) - this.subBucketBits;
    return shift * this.subBuckets + Math.floor(whole / 2 ** shift);
  }

  private highestInBucket(index: number): number {
    if (index < this.linearBelow) return index;
    const shift = Math.floor(index / this.subBuckets) - 1;
    return (index - shift * this.subBuckets + 1) * 2 ** shift - 1;
  }

  private grow(index: number): void {
    let length = this.counts.length;
    while (length <= index) length *= 2;
    const counts = new Float64Array(length);
    counts.set(this.counts);
    this.counts = counts;
  }
}
