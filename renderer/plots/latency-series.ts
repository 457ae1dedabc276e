// SPDX-License-Identifier: GPL-2.0-only
/** Percentiles of each interval over the time of the run, on a log axis. */
import { formatLatency, joinShown } from '../format/numbers.ts';
import type { SeriesPoint } from '../../main/contract/types.ts';
import { coarsen } from './intervals.ts';
import type { ChartPlot } from './contract.ts';
import {
  chartBase, decadeAxis, decadeText, lineSeries, logRange, thinRows, timeAxis, tooltipFormatter,
} from './scales.ts'; // prettier-ignore

const latency = (ns: number): string => joinShown(formatLatency(ns));
const positives = (series: readonly SeriesPoint[]): number[] =>
  series.flatMap((point) => [point.p50Ns, point.p999Ns]).filter((ns) => ns > 0);

/** The range of the log axis, in decades: a little wider than what was measured. */
function rangeOf(series: readonly SeriesPoint[]): [number, number] {
  let min = Infinity;
  let max = 0;
  for (const ns of positives(series)) {
    if (ns < min) min = ns;
    if (ns > max) max = ns;
  }
  if (max === 0) return [3, 6];
  const [low, high] = logRange(min * 0.8, max * 1.25);
  return [Math.floor(low * 4) / 4, Math.ceil(high * 4) / 4];
}

export const latencySeriesPlot: ChartPlot = {
  id: 'latency-series',
  kind: 'chart',
  title: 'Latency',
  subtitle: 'percentiles, log axis',
  isTimeline: true,
  build(input) {
    const { theme } = input;
    const series = coarsen(input.series, input.timeRangeNs);
    const base = chartBase(theme);
    const line = (name: string, color: string, pick: (point: SeriesPoint) => number): object => ({
      ...lineSeries({
        name,
        color,
        width: 1.4,
        data: series.map((point) => {
          const ns = pick(point);
          return [point.atNs / 1e9, ns > 0 ? Math.log10(ns) : null];
        }),
      }),
      labelLayout: { moveOverlap: 'shiftY' },
      endLabel: {
        show: series.length > 3,
        formatter: name.trim(),
        color,
        fontFamily: theme.mono,
        fontSize: 10,
        distance: 4,
      },
    });
    return {
      isEmpty: series.length === 0,
      table: {
        caption: 'Latency percentiles over time',
        columns: ['time in s', 'p50', 'p99', 'p99.9'],
        rows: thinRows(series).map((point) => [
          (point.atNs / 1e9).toFixed(2),
          latency(point.p50Ns),
          latency(point.p99Ns),
          latency(point.p999Ns),
        ]),
      },
      option: {
        ...base,
        grid: { left: 8, right: 40, top: 14, bottom: 4, containLabel: true },
        tooltip: {
          ...(base['tooltip'] as object),
          formatter: tooltipFormatter(
            (at) => `${at.toFixed(2)} s`,
            (value) => latency(10 ** value),
          ),
        },
        xAxis: timeAxis(input),
        yAxis: decadeAxis(theme, rangeOf(series), decadeText),
        series: [
          line('p99.9', theme.bad, (point) => point.p999Ns),
          line('p99  ', theme.warn, (point) => point.p99Ns),
          line('p50  ', theme.read, (point) => point.p50Ns),
        ],
      },
    };
  },
};
