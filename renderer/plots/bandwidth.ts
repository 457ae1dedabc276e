// SPDX-License-Identifier: GPL-2.0-only
/** Bytes a second over the time of the run. */
import { formatBandwidth, joinShown } from '../format/numbers.ts';
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

const MIB = 1024 * 1024;

export const bandwidthPlot: ChartPlot = {
  id: 'bandwidth',
  kind: 'chart',
  title: 'Bandwidth',
  subtitle: 'MiB/s',
  isTimeline: true,
  build(input) {
    const { theme } = input;
    const series = coarsen(input.series, input.timeRangeNs);
    const base = chartBase(theme);
    const line = (name: string, color: string, pick: (index: number) => number): object =>
      lineSeries({
        name,
        color,
        area: true,
        data: series.map((point, index) => [point.atNs / 1e9, pick(index) / MIB]),
      });
    const writes = series.some((point) => point.writeBytesPerSecond > 0);
    const reads = series.some((point) => point.readBytesPerSecond > 0);
    return {
      isEmpty: series.length === 0,
      table: {
        caption: 'Bandwidth over time',
        columns: ['time in s', 'read', 'write'],
        rows: thinRows(series).map((point) => [
          (point.atNs / 1e9).toFixed(2),
          joinShown(formatBandwidth(point.readBytesPerSecond)),
          joinShown(formatBandwidth(point.writeBytesPerSecond)),
        ]),
      },
      option: {
        ...base,
        tooltip: {
          ...(base['tooltip'] as object),
          formatter: tooltipFormatter(
            (at) => `${at.toFixed(2)} s`,
            (value) => joinShown(formatBandwidth(value * MIB)),
          ),
        },
        xAxis: timeAxis(input),
        yAxis: { ...valueAxis(theme, (value) => String(value)), min: 0 },
        series: [
          ...(reads || !writes
            ? [line('read ', theme.read, (index) => series[index]?.readBytesPerSecond ?? 0)]
            : []),
          ...(writes
            ? [line('write', theme.write, (index) => series[index]?.writeBytesPerSecond ?? 0)]
            : []),
        ],
      },
    };
  },
};
