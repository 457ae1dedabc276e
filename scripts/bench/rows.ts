// SPDX-License-Identifier: GPL-2.0-only
/** What a bench gives: one row for each thing measured, against its peer where it has one. */

export interface BenchRow {
  /** Stable, for example 'executor.io_uring.randread-4k-qd32'. */
  readonly id: string;
  readonly title: string;
  /** Of `ours` and `peer`, for example 'IOPS'. */
  readonly unit: string;
  /** Medians over the pairs. */
  readonly ours: number;
  readonly peer: number | null;
  /** Median of ours / peer of each pair: above 1 is faster than the peer where the unit is a rate. */
  readonly ratioMedian: number | null;
  readonly ratios: readonly number[];
  /** Least ratio that the project promises; null: none. */
  readonly bar: number | null;
}

/** The middle value; the mean of the two middle ones of an even number. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/**
 * Measures both sides in pairs and swaps who goes first from pair to pair, so that a drift of the machine (a warm cache, another
 * program) falls on both.
 */
export function pairedRow(
  head: Pick<BenchRow, 'id' | 'title' | 'unit' | 'bar'>,
  pairs: number,
  ours: () => number,
  peer: () => number,
): BenchRow {
  const ourValues: number[] = [];
  const peerValues: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 0) ourValues.push(ours());
    peerValues.push(peer());
    if (pair % 2 === 1) ourValues.push(ours());
  }
  const ratios = ourValues.map((value, index) => value / (peerValues[index] as number));
  return {
    ...head,
    ours: median(ourValues),
    peer: median(peerValues),
    ratioMedian: median(ratios),
    ratios,
  };
}
