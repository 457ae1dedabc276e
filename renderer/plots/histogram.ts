// SPDX-License-Identifier: GPL-2.0-only
/** Latency histogram: requests per bin, both axes logarithmic. Bins are a twentieth of a decade wide, from the run's finer ones. */
import { percentileNs, totalsOf, type MergedLatency } from '../format/latency.ts';
import { formatCount, formatLatency, joinShown } from '../format/numbers.ts';
import type { ChartPlot, PlotTheme } from './contract.ts';
import { chartBase, decadeAxis, decadeText, lineSeries, shortCount, thinRows } from './scales.ts';

const BINS_PER_DECADE = 20;

/** [lower edge as log10 ns, count]: bins of equal width on the log axis, gaps included as zeros. */
export function rebin(latency: MergedLatency): [number, number][] {
  const counts = new Map<number, number>();
  for (const [edgeNs, count] of latency.bins) {
    const index = Math.floor(Math.log10(Math.max(1, edgeNs)) * BINS_PER_DECADE + 1e-9);
    counts.set(index, (counts.get(index) ?? 0) + count);
  }
  const indices = [...counts.keys()].sort((a, b) => a - b);
  const first = indices[0];
  const last = indices.at(-1);
  if (first === undefined || last === undefined) return [];
  return Array.from({ length: last - first + 1 }, (_, offset) => [
    (first + offset) / BINS_PER_DECADE,
    counts.get(first + offset) ?? 0,
  ]);
}

/** The outline of the bars: an area whose steps are the bins; empty bins reach the ground. */
function outline(bins: readonly (readonly [number, number])[]): [number, number][] {
  const width = 1 / BINS_PER_DECADE;
  const points: [number, number][] = [];
  for (const [low, count] of bins) {
    const height = count > 0 ? Math.log10(count) : FLOOR;
    points.push([low, height], [low + width, height]);
  }
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return [];
  return [[first[0], FLOOR], ...points, [last[0], FLOOR]];
}
/** log10 of the ground: below one request, so that a bin of one request is still seen. */
const FLOOR = -0.3;

const wholeDecades = (top: number): number[] =>
  Array.from({ length: Math.floor(top + 0.5) + 1 }, (_, decade) => decade);

const tooltipText = (bins: readonly (readonly [number, number])[]) => (params: unknown) => {
  const at = (params as { axisValue: number }[])[0]?.axisValue;
  if (at === undefined) return '';
  const bin = bins.find(([low]) => at >= low - 1e-9 && at < low + 1 / BINS_PER_DECADE);
  if (bin === undefined) return '';
  const from = joinShown(formatLatency(10 ** bin[0]));
  const to = joinShown(formatLatency(10 ** (bin[0] + 1 / BINS_PER_DECADE)));
  return `${from} to ${to}\n${formatCount(bin[1])} requests`;
};

const markers = (latency: MergedLatency, theme: PlotTheme): object => ({
  silent: true,
  symbol: 'none',
  lineStyle: { color: theme.faint, type: 'dashed', width: 1 },
  label: { color: theme.dim, fontFamily: theme.mono, fontSize: 10, distance: 2 },
  data: [50, 99, 99.9]
    .map((percentile) => ({ percentile, ns: percentileNs(latency, percentile) }))
    .filter((mark) => mark.ns !== null)
    .map((mark, index) => ({
      xAxis: Math.log10(Math.max(1, mark.ns as number)),
      // Neighbours stand at two heights, so that they do not cover each other.
      label: { formatter: `p${String(mark.percentile)}`, distance: index % 2 === 0 ? 2 : 13 },
    })),
});

export const histogramPlot: ChartPlot = {
  id: 'histogram',
  kind: 'chart',
  title: 'Histogram',
  subtitle: 'log axes',
  isTimeline: false,
  build({ result, theme }) {
    const all = totalsOf(result).latency;
    const directions = (['read', 'write'] as const)
      .map((name) => ({ name, latency: totalsOf(result, name).latency }))
      .filter((direction) => direction.latency.count > 0);
    const bins = rebin(all);
    const low = bins[0]?.[0] ?? 3;
    const high = (bins.at(-1)?.[0] ?? 6) + 1 / BINS_PER_DECADE;
    const top = Math.log10(Math.max(10, ...bins.map(([, count]) => count)));
    const base = chartBase(theme);
    return {
      isEmpty: all.count === 0,
      table: {
        caption: 'Latency histogram',
        columns: ['from', 'to', 'requests'],
        rows: thinRows(bins.filter(([, count]) => count > 0)).map(([edge, count]) => [
          joinShown(formatLatency(10 ** edge)),
          joinShown(formatLatency(10 ** (edge + 1 / BINS_PER_DECADE))),
          formatCount(count),
        ]),
      },
      option: {
        ...base,
        grid: { left: 8, right: 14, top: 30, bottom: 4, containLabel: true },
        tooltip: { ...(base['tooltip'] as object), formatter: tooltipText(bins) },
        xAxis: {
          ...decadeAxis(theme, [Math.floor(low * 2) / 2, Math.ceil(high * 2) / 2], decadeText),
          axisLine: { show: true, onZero: false, lineStyle: { color: theme.line } },
          splitLine: { show: false },
        },
        yAxis: decadeAxis(
          theme,
          [FLOOR, Math.ceil(top * 2) / 2],
          (d) => shortCount(10 ** d),
          wholeDecades(top),
        ),
        series: directions.map((direction, index) => ({
          ...lineSeries({
            name: direction.name,
            color: direction.name === 'read' ? theme.read : theme.write,
            width: 1.2,
            data: outline(rebin(direction.latency)),
          }),
          sampling: undefined,
          areaStyle: {
            color: direction.name === 'read' ? theme.read : theme.write,
            opacity: 0.22,
            origin: 'start',
          },
          ...(index === 0 && { markLine: markers(all, theme) }),
        })),
      },
    };
  },
};
