// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import type { LatencySummary } from '../../main/contract/types.ts';
import { mergeLatency, percentileNs } from './latency.ts';

const summary = (bins: [number, number][]): LatencySummary => ({
  count: bins.reduce((sum, [, count]) => sum + count, 0),
  minNs: bins[0]?.[0] ?? 0,
  maxNs: bins.at(-1)?.[0] ?? 0,
  meanNs: 0,
  stddevNs: 0,
  percentilesNs: {},
  bins,
});

describe('merged latencies', () => {
  it('adds bins of equal edges and keeps them in order', () => {
    const merged = mergeLatency([summary([[100, 2], [300, 1]]), summary([[200, 4], [300, 2]]), summary([])]); // prettier-ignore
    expect(merged.bins).toEqual([[100, 2], [200, 4], [300, 3]]); // prettier-ignore
    expect(merged).toMatchObject({ count: 9, minNs: 100, maxNs: 300 });
  });
  it('reads percentiles by the nearest rank', () => {
    const merged = mergeLatency([summary([[100, 50], [200, 49], [900, 1]])]); // prettier-ignore
    expect([50, 51, 99, 99.9, 100].map((p) => percentileNs(merged, p))).toEqual([
      100, 200, 200, 900, 900,
    ]);
  });
  it('knows nothing of nothing', () => {
    expect(percentileNs(mergeLatency([]), 50)).toBeNull();
  });
});
