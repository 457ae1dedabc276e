// SPDX-License-Identifier: GPL-2.0-only
/** Latency at each percentile up to p99.999: the horizontal axis is the share of slower requests, logarithmic, so the tail has room. */
import { percentileNs, totalsOf, type MergedLatency } from '../format/latency.ts';
import { formatLatency, joinShown } from '../format/numbers.ts';
import type { ChartPlot } from './contract.ts';
import { chartBase, decadeAxis, decadeText, lineSeries, logRange } from './scales.ts';

/** Where the curve is read: evenly on the axis, from 0 to p99.999. */
const DECADES_MAX = 5;
const POINTS_PER_DECADE = 16;
const TABLE_PERCENTILES = [50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999] as const;

/** [decades, log10 ns]: 0 is p0, 1 is p90, 2 is p99. Ends where fewer than one request is slower. */
export function percentileCurve(latency: MergedLatency): [number, number][] {
  if (latency.count === 0) return [];
  const end = Math.min(DECADES_MAX, Math.log10(latency.count));
  const points: [number, number][] = [];
  for (let step = 0; step / POINTS_PER_DECADE <= end + 1e-9; step += 1) {
    const decades = step / POINTS_PER_DECADE;
    const ns = percentileNs(latency, 100 * (1 - 10 ** -decades)) ?? 1;
    points.push([decades, Math.log10(Math.max(1, ns))]);
  }
  return points;
}
/** 1 gives 'p90', 3 gives 'p99.9'. */
const percentileText = (decades: number): string =>
  decades === 0 ? 'p0' : `p${String(Number((100 * (1 - 10 ** -decades)).toFixed(decades)))}`;

export const percentilesPlot: ChartPlot = {
  id: 'percentiles',
  kind: 'chart',
  title: 'Percentiles',
  subtitle: 'log axes',
  isTimeline: false,
  build({ result, theme }) {
    const all = totalsOf(result).latency;
    const directions = (['read', 'write'] as const)
      .map((name) => ({ name, latency: totalsOf(result, name).latency }))
      .filter((direction) => direction.latency.count > 0);
    const [low, high] = logRange(all.minNs * 0.8, all.maxNs * 1.25);
    const base = chartBase(theme);
    return {
      isEmpty: all.count === 0,
      table: {
        caption: 'Latency percentiles',
        columns: ['percentile', ...directions.map((direction) => direction.name)],
        rows: TABLE_PERCENTILES.map((percentile) => [
          `p${String(percentile)}`,
          ...directions.map((direction) =>
            joinShown(formatLatency(percentileNs(direction.latency, percentile))),
          ),
        ]),
      },
      option: {
        ...base,
        tooltip: {
          ...(base['tooltip'] as object),
          formatter: (params: unknown) => {
            const rows = params as { seriesName: string; value: [number, number] }[];
            const at = rows[0]?.value[0] ?? 0;
            const share = 100 * (1 - 10 ** -at);
            return [
              `p${share.toFixed(Math.max(1, Math.ceil(at)))}`,
              ...rows.map((r) => `${r.seriesName}  ${joinShown(formatLatency(10 ** r.value[1]))}`),
            ].join('\n');
          },
        },
        xAxis: {
          ...decadeAxis(theme, [0, DECADES_MAX], percentileText),
          axisLine: { show: true, onZero: false, lineStyle: { color: theme.line } },
        },
        yAxis: decadeAxis(theme, [Math.floor(low * 4) / 4, Math.ceil(high * 4) / 4], decadeText),
        series: directions.map((direction) =>
          lineSeries({
            name: direction.name,
            color: direction.name === 'read' ? theme.read : theme.write,
            width: 1.8,
            data: percentileCurve(direction.latency),
          }),
        ),
      },
    };
  },
};
