// SPDX-License-Identifier: GPL-2.0-only
/** Requests in flight over the time of the run. */
import { formatCount } from '../format/numbers.ts';
import { coarsen } from './intervals.ts';
import type { ChartPlot } from './contract.ts';
import {
  chartBase,
  lineSeries,
  thinRows,
  timeAxis,
  tooltipFormatter,
  valueAxis,
} from './scales.ts';

export const inFlightPlot: ChartPlot = {
  id: 'in-flight',
  kind: 'chart',
  title: 'In flight',
  subtitle: 'requests',
  isTimeline: true,
  build(input) {
    const { theme } = input;
    const series = coarsen(input.series, input.timeRangeNs);
    const base = chartBase(theme);
    return {
      isEmpty: series.length === 0,
      table: {
        caption: 'Requests in flight over time',
        columns: ['time in s', 'requests in flight'],
        rows: thinRows(series).map((point) => [
          (point.atNs / 1e9).toFixed(2),
          formatCount(point.inFlight),
        ]),
      },
      option: {
        ...base,
        tooltip: {
          ...(base['tooltip'] as object),
          formatter: tooltipFormatter(
            (at) => `${at.toFixed(2)} s`,
            (value) => `${formatCount(value)} requests`,
          ),
        },
        xAxis: timeAxis(input),
        yAxis: { ...valueAxis(theme, (value) => String(value)), min: 0, minInterval: 1 },
        series: [
          lineSeries({
            name: 'in flight',
            color: theme.accent,
            area: true,
            step: true,
            data: series.map((point) => [point.atNs / 1e9, point.inFlight]),
          }),
        ],
      },
    };
  },
};
