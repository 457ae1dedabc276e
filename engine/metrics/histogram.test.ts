// SPDX-License-Identifier: GPL-2.0-only
/** The histogram against hdr-histogram-js (64-bit buckets), against sorted samples, and at the edges of its buckets. */
import fc from 'fast-check';
import { build } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { Sfc32, uniform } from '../base/index.ts';
import { COARSE_SUB_BUCKET_BITS, Histogram, PERCENTILES, percentileKey } from './histogram.ts';

/** Latencies from 500 ns to 20 s, most of them short. */
function sampleLatencies(count: number, seed: number): number[] {
  const random = new Sfc32(seed);
  return Array.from({ length: count }, () => Math.floor(500 * 10 ** (7.6 * uniform(random) ** 3)));
}

describe('Histogram', () => {
  it('agrees with hdr-histogram-js on every percentile to three digits', () => {
    const own = new Histogram();
    const hdr = build({
      bitBucketSize: 64,
      numberOfSignificantValueDigits: 3,
      highestTrackableValue: 3.6e12,
    });
    for (const value of sampleLatencies(200_000, 7)) {
      own.record(value);
      hdr.recordValue(value);
    }
    const summary = own.summary();
    for (const percent of PERCENTILES) {
      const ours = summary.percentilesNs[percentileKey(percent)] as number;
      const theirs = hdr.getValueAtPercentile(percent);
      expect(Math.abs(ours - theirs) / theirs, `p${String(percent)}`).toBeLessThan(0.001);
      expect(own.percentile(percent)).toBe(ours);
    }
    expect(summary.count).toBe(hdr.totalCount);
    expect(summary.meanNs / hdr.mean).toBeCloseTo(1, 3);
    expect(summary.stddevNs / hdr.stdDeviation).toBeCloseTo(1, 3);
  });

  it('reports percentiles within a bucket of the sorted samples', () => {
    fc.assert(
      fc.property(
        fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 300 }),
        fc.constantFrom(...PERCENTILES),
        (values, percent) => {
          const histogram = new Histogram();
          for (const value of values) histogram.record(value);
          const sorted = [...values].sort((a, b) => a - b);
          const rank = Math.max(1, Math.ceil((percent / 100) * values.length - 1e-9));
          const exact = sorted[rank - 1] as number;
          const reported = histogram.percentile(percent);
          expect(reported).toBeGreaterThanOrEqual(exact);
          expect(reported - exact).toBeLessThanOrEqual(exact / 1000);
          expect(histogram.bins().reduce((sum, [, count]) => sum + count, 0)).toBe(values.length);
        },
      ),
    );
  });

  it('counts small values exactly and puts bucket edges where they belong', () => {
    const histogram = new Histogram();
    for (const value of [0, 1, 2047, 2048, 2049, 2050, 2 ** 31 - 1, 2 ** 31, 2 ** 40]) {
      histogram.record(value);
    }
    expect(histogram.bins().map(([edge]) => edge)).toEqual([
      0, 1, 2047, 2049, 2051, 2147483647, 2149580799, 1099511627776,
    ]);
    expect(histogram.min).toBe(0);
    expect(histogram.max).toBe(2 ** 40);
  });

  it('counts a clock that steps back as 0', () => {
    const histogram = new Histogram();
    histogram.record(-5);
    expect(histogram.bins()).toEqual([[0, 1]]);
  });

  it('is empty after a reset and right when used again', () => {
    const histogram = new Histogram(COARSE_SUB_BUCKET_BITS);
    for (const value of sampleLatencies(1000, 3)) histogram.record(value);
    histogram.reset();
    expect(histogram.summary()).toMatchObject({ count: 0, minNs: 0, maxNs: 0, meanNs: 0 });
    expect(histogram.bins()).toEqual([]);
    histogram.record(300);
    expect(histogram.percentile(99)).toBe(300);
  });

  it('adds up', () => {
    const values = sampleLatencies(2000, 9);
    const all = new Histogram();
    const first = new Histogram();
    const second = new Histogram();
    values.forEach((value, index) => {
      all.record(value);
      (index % 3 === 0 ? first : second).record(value);
    });
    first.add(second);
    expect(first.bins()).toEqual(all.bins());
    expect(first.summary().percentilesNs).toEqual(all.summary().percentilesNs);
  });
});
