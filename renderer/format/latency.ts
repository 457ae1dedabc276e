// SPDX-License-Identifier: GPL-2.0-only
/** Latency summaries of several jobs and directions as one: bins are added, percentiles read from the sum. Pure. */
import type { DirectionResult, LatencySummary, RunResult } from '../../main/contract/types.ts';

/** What the tiles, the histogram and the percentile curve need. `bins`: [upper edge in ns, count], ascending. */
export interface MergedLatency {
  readonly count: number;
  readonly minNs: number;
  readonly maxNs: number;
  readonly meanNs: number;
  readonly bins: readonly (readonly [number, number])[];
}

export const EMPTY_LATENCY: MergedLatency = { count: 0, minNs: 0, maxNs: 0, meanNs: 0, bins: [] };

/** Adds the bins edge by edge. */
export function mergeLatency(summaries: readonly LatencySummary[]): MergedLatency {
  const filled = summaries.filter((summary) => summary.count > 0);
  if (filled.length === 0) return EMPTY_LATENCY;
  const counts = new Map<number, number>();
  let count = 0;
  let total = 0;
  for (const summary of filled) {
    count += summary.count;
    total += summary.meanNs * summary.count;
    for (const [edge, amount] of summary.bins) counts.set(edge, (counts.get(edge) ?? 0) + amount);
  }
  return {
    count,
    minNs: Math.min(...filled.map((summary) => summary.minNs)),
    maxNs: Math.max(...filled.map((summary) => summary.maxNs)),
    meanNs: total / count,
    bins: [...counts].sort((a, b) => a[0] - b[0]),
  };
}

/** The upper edge of the bin that holds the percentile, at most the maximum; null where nothing was measured. */
export function percentileNs(latency: MergedLatency, percentile: number): number | null {
  if (latency.count === 0) return null;
  const wanted = Math.max(1, Math.ceil((latency.count * percentile) / 100 - 1e-9));
  let seen = 0;
  for (const [edge, amount] of latency.bins) {
    seen += amount;
    if (seen >= wanted) return Math.min(edge, latency.maxNs);
  }
  return latency.maxNs;
}

export interface RunTotals {
  readonly requests: number;
  readonly bytes: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly latency: MergedLatency;
}
const NO_TOTALS: RunTotals = {
  requests: 0, bytes: 0, iops: 0, bytesPerSecond: 0, latency: EMPTY_LATENCY,
}; // prettier-ignore

/** Sums over all jobs of a run, of one direction or of both. */
export function totalsOf(result: RunResult | null, direction?: 'read' | 'write'): RunTotals {
  if (result === null) return NO_TOTALS;
  const parts: DirectionResult[] = result.jobs.flatMap((job) =>
    direction === undefined ? [job.read, job.write] : [job[direction]],
  );
  const sum = (pick: (part: DirectionResult) => number): number =>
    parts.reduce((total, part) => total + pick(part), 0);
  return {
    requests: sum((part) => part.totalIos),
    bytes: sum((part) => part.bytes),
    iops: sum((part) => part.iops),
    bytesPerSecond: sum((part) => part.bytesPerSecond),
    latency: mergeLatency(parts.map((part) => part.lat)),
  };
}
