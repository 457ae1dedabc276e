// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { experiment } from '../../test/support/fake-lab/data.ts';
import {
  makeRandom,
  makeResult,
  pointAt,
  requestColumns,
} from '../../test/support/fake-lab/numbers.ts';
import { groundsOf } from '../../test/support/fake-lab/grounds.ts';
import type { PlotInput, PlotTheme } from './contract.ts';
import { groundsPlot } from './grounds.ts';
import { histogramPlot, rebin } from './histogram.ts';
import { plots } from './index.ts';
import { coarsen } from './intervals.ts';
import { percentileCurve } from './percentiles.ts';
import {
  binaryTicks,
  decadeText,
  decadeTicks,
  logRange,
  niceTicks,
  shortCount,
  thinRows,
} from './scales.ts';
import { sectorTimePlot } from './sector-time.ts';

const theme = new Proxy({}, { get: (_, name) => `color-${String(name)}` }) as PlotTheme;
const result = makeResult(experiment('a run', { rw: 'randrw' }), 0);
const full: PlotInput = {
  series: result.series,
  result,
  grounds: groundsOf('some-grounds', 0, experiment('a job'), 3),
  plannedNs: null,
  timeRangeNs: null,
  theme,
};
const empty: PlotInput = { series: [], result: null, plannedNs: 20e9, timeRangeNs: null, theme };
const charts = plots.filter((plot) => plot.kind === 'chart');

describe.each(charts)('plot $id', (plot) => {
  it('is empty without data, and still has axes and a table head', () => {
    const spec = plot.build(empty);
    expect(spec.isEmpty).toBe(true);
    expect(spec.option['xAxis']).toBeDefined();
    expect(
      spec.table.rows.filter((row) =>
        row.some((cell) => /[1-9]/.test(String(cell)) && !/^p/.test(String(cell))),
      ),
    ).toEqual([]);
  });
  it('has lines, and a table as wide as its head', () => {
    const spec = plot.build(full);
    expect(spec.isEmpty).toBe(false);
    const series = spec.option['series'] as { data: unknown[] }[];
    expect(series.length).toBeGreaterThan(0);
    expect(series.every((line) => line.data.length > 1)).toBe(true);
    expect(spec.table.rows.length).toBeGreaterThan(0);
    expect(spec.table.rows.every((row) => row.length === spec.table.columns.length)).toBe(true);
  });
  it('gives the same for the same', () => {
    const text = (input: PlotInput): string => JSON.stringify(plot.build(input).option);
    expect(text(full)).toBe(text({ ...full }));
  });
  it('says so where an axis is logarithmic', () => {
    const axes = JSON.stringify([
      plot.build(full).option['xAxis'],
      plot.build(full).option['yAxis'],
    ]);
    expect(axes.includes('customValues')).toBe(plot.subtitle.includes('log'));
  });
});

describe('the list of plots', () => {
  it('has each id once', () => {
    expect(new Set(plots.map((plot) => plot.id)).size).toBe(plots.length);
  });
  it('keeps the whole time axis of a run from its start', () => {
    for (const plot of charts.filter((each) => each.isTimeline)) {
      expect(plot.build({ ...full, plannedNs: 20e9 }).option['xAxis']).toMatchObject({
        min: 0,
        max: 20,
      });
      expect(plot.build({ ...full, timeRangeNs: [1e9, 2e9] }).option['xAxis']).toMatchObject({
        min: 1,
        max: 2,
      });
    }
  });
});

describe('histogram and percentiles', () => {
  it('loses no request when bins are joined', () => {
    const latency = { count: 6, minNs: 1000, maxNs: 90_000, meanNs: 0, bins: [[1000, 1], [1001, 2], [90_000, 3]] as const }; // prettier-ignore
    const bins = rebin(latency);
    expect(bins.reduce((sum, [, count]) => sum + count, 0)).toBe(6);
    expect(bins[0]).toEqual([3, 3]);
    expect(bins.some(([, count]) => count === 0)).toBe(true);
  });
  it('marks p50, p99 and p99.9 once', () => {
    const series = histogramPlot.build(full).option['series'] as {
      markLine?: { data: unknown[] };
    }[];
    expect(series.map((line) => line.markLine?.data.length ?? 0)).toEqual([3, 0]);
  });
  it('never falls, and ends where the requests do', () => {
    const bins = Array.from({ length: 100 }, (_, index) => [1000 * (index + 1), 1] as const);
    const curve = percentileCurve({ count: 100, minNs: 1000, maxNs: 100_000, meanNs: 0, bins });
    expect(
      curve.every((point, index) => index === 0 || point[1] >= (curve[index - 1]?.[1] ?? 0)),
    ).toBe(true);
    expect(curve.at(-1)?.[0]).toBeCloseTo(2);
  });
});

describe('grounds side by side', () => {
  it('mark a number of memory in words and by a hollow median', () => {
    const { option, table } = groundsPlot.build(full);
    const [medians] = option['series'] as { data: { itemStyle: { color: string } }[] }[];
    const hollow = medians?.data.map((point) => point.itemStyle.color === theme.panel);
    expect(hollow).toEqual([false, false, false, true, false]);
    expect(table.rows.map((row) => row.at(-1) === 'memory')).toEqual(hollow);
    expect((option['yAxis'] as { data: string[] }).data[3]).toContain('memory');
  });
  it('leave out a ground of which every round failed', () => {
    const result = groundsOf('some-grounds', 0, experiment('a job'), 3);
    const rows = result.rows.map((row, index) => (index === 0 ? { ...row, rounds: 0 } : row));
    const spec = groundsPlot.build({ ...full, grounds: { ...result, rows } });
    expect(spec.table.rows).toHaveLength(4);
  });
});

describe('where and when as a table', () => {
  it('counts every request once', () => {
    const columns = requestColumns(5000, 5, 0.7);
    const table = sectorTimePlot.table(columns, result);
    const sum = table.rows
      .flatMap((row) => row.slice(1, 5))
      .reduce<number>((all, cell) => all + Number(String(cell).replaceAll('\u2009', '')), 0);
    expect(sum).toBe(5000);
    expect(table.rows).toHaveLength(10);
  });
});

describe('scales', () => {
  it('finds round ticks', () => {
    expect(niceTicks(0, 10, 5)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(niceTicks(3, 3, 5)).toEqual([]);
    expect(binaryTicks(0, 4096, 4)).toEqual([0, 1024, 2048, 3072, 4096]);
  });
  it('puts ticks of a log axis at decades, and between them where few are shown', () => {
    expect(decadeTicks([3, 8])).toEqual([3, 4, 5, 6, 7, 8]);
    expect(decadeTicks([5.2, 6]).map((tick) => Math.round(10 ** tick))).toEqual([
      200_000, 500_000, 1_000_000,
    ]);
    expect([decadeText(3), decadeText(6), decadeText(5)]).toEqual([
      '1\u00a0µs',
      '1\u00a0ms',
      '100\u00a0µs',
    ]);
    expect(logRange(5000, 6000)).toEqual([3, 4]);
  });
  it('shortens counts and thins tables with the last row kept', () => {
    expect([shortCount(0), shortCount(12_000), shortCount(2.5e6)]).toEqual(['0', '12 k', '2.5 M']);
    const thin = thinRows(
      Array.from({ length: 1000 }, (_, index) => index),
      60,
    );
    expect([thin.length, thin[0], thin.at(-1)]).toEqual([60, 0, 999]);
  });
});

describe('a coarser series', () => {
  const random = makeRandom(1);
  const series = Array.from({ length: 1000 }, (_, index) => ({
    ...pointAt(index, random, 1, 4096),
    atNs: (index + 1) * 25e6,
  }));
  it('keeps the mean rate and the worst tail', () => {
    const coarse = coarsen(series, null);
    expect(coarse.length).toBeLessThanOrEqual(170);
    const mean = (points: readonly { readIops: number }[]): number =>
      points.reduce((sum, point) => sum + point.readIops, 0) / points.length;
    expect(mean(coarse) / mean(series)).toBeCloseTo(1, 2);
    expect(Math.max(...coarse.map((point) => point.p999Ns))).toBe(
      Math.max(...series.map((point) => point.p999Ns)),
    );
  });
  it('shows the points themselves where one looks closely', () => {
    expect(coarsen(series, [0, 1e9]).length).toBeGreaterThanOrEqual(40);
    expect(coarsen(series.slice(0, 100), null)).toEqual(series.slice(0, 100));
  });
});
