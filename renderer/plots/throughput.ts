// SPDX-License-Identifier: GPL-2.0-only
/** IOPS over the time of the run; reads and writes as lines of their own where there are both. */
import { formatBandwidth, formatIops, joinShown } from '../format/numbers.ts';
import { coarsen } from './intervals.ts';
import type { ChartPlot, PlotInput } from './contract.ts';
import {
  chartBase, lineSeries, shortCount, thinRows, timeAxis, tooltipFormatter, valueAxis,
} from './scales.ts'; // prettier-ignore

const seconds = (ns: number): number => ns / 1e9;

function table(input: PlotInput): ReturnType<ChartPlot['build']>['table'] {
  return {
    caption: 'Throughput over time',
    columns: ['time in s', 'read IOPS', 'write IOPS', 'read bandwidth', 'write bandwidth'],
    rows: thinRows(input.series).map((point) => [
      seconds(point.atNs).toFixed(2),
      formatIops(point.readIops),
      formatIops(point.writeIops),
      joinShown(formatBandwidth(point.readBytesPerSecond)),
      joinShown(formatBandwidth(point.writeBytesPerSecond)),
    ]),
  };
}

export const throughputPlot: ChartPlot = {
  id: 'throughput',
  kind: 'chart',
  title: 'Throughput',
  subtitle: 'IOPS',
  isTimeline: true,
  build(input) {
    const { theme } = input;
    const series = coarsen(input.series, input.timeRangeNs);
    const reads = series.some((point) => point.readIops > 0);
    const writes = series.some((point) => point.writeIops > 0);
    const lines = [
      ...(reads || !writes
        ? [lineSeries({ name: 'read ', color: theme.read, area: true,
            data: series.map((point) => [seconds(point.atNs), point.readIops]) })]
        : []),
      ...(writes
        ? [lineSeries({ name: 'write', color: theme.write, area: true,
            data: series.map((point) => [seconds(point.atNs), point.writeIops]) })]
        : []),
    ]; // prettier-ignore
    const base = chartBase(theme);
    return {
      isEmpty: series.length === 0,
      table: table(input),
      option: {
        ...base,
        tooltip: {
          ...(base['tooltip'] as object),
          formatter: tooltipFormatter(
            (at) => `${at.toFixed(2)} s`,
            (value) => `${formatIops(value)} IOPS`,
          ),
        },
        xAxis: timeAxis(input),
        yAxis: { ...valueAxis(theme, shortCount), min: 0 },
        series: lines,
      },
    };
  },
};
