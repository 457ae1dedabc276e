// SPDX-License-Identifier: GPL-2.0-only
/**
 * One job on several grounds: a line for each, with the median, a bar from the smallest to the largest round, and every round as a
 * point. A hollow median is a number of memory, not of the disk; its line says so in words, too.
 */
import type { GroundRow, GroundSample, GroundsResult, Spread } from '../../main/contract/index.ts';
import {
  formatCount,
  formatIops,
  formatLatency,
  joinShown,
  significant,
} from '../format/numbers.ts';
import type { ChartPlot, ChartOption, PlotInput, PlotTheme } from './contract.ts';
import { chartBase, decadeAxis, decadeText, logRange, shortCount, valueAxis } from './scales.ts';

/** What a plot shows of a row: its name in words, the number, the same of one round. */
interface Measure {
  readonly name: string;
  readonly symbol: 'circle' | 'diamond';
  readonly color: (theme: PlotTheme) => string;
  readonly of: (row: GroundRow) => Spread;
  readonly ofSample: (sample: GroundSample) => number;
}
/** Rows with a number: those whose every run failed have none. */
const measured = (result: GroundsResult | null | undefined): readonly GroundRow[] =>
  (result?.rows ?? []).filter((row) => row.rounds > 0);

const axisOfGrounds = (theme: PlotTheme, rows: readonly GroundRow[]): ChartOption => ({
  type: 'category',
  inverse: true,
  data: rows.map((row) =>
    row.measuresMemoryWhy ? `${row.title}\nmemory, not the disk` : row.title,
  ),
  axisLine: { show: false },
  axisTick: { show: false },
  axisLabel: {
    color: theme.dim,
    fontFamily: theme.font,
    fontSize: 11,
    lineHeight: 15,
    width: 168,
    overflow: 'break',
    interval: 0,
  },
  splitLine: { show: true, lineStyle: { color: theme.grid, width: 1 } },
});

/** The medians first: the keyboard's cursor walks over them. */
function seriesOf(
  measure: Measure,
  result: GroundsResult,
  theme: PlotTheme,
  place: (value: number) => number,
): Record<string, unknown>[] {
  const rows = measured(result);
  const color = measure.color(theme);
  const plain = { type: 'line', symbol: measure.symbol, emphasis: { disabled: true } };
  const points = result.samples
    .filter((sample) => sample.failure === null)
    .map((sample) => [
      place(measure.ofSample(sample)),
      rows.findIndex((row) => row.ground === sample.ground),
    ]);
  const bars = rows.map((row, index) => ({
    ...plain,
    name: `${measure.name} of ${row.ground}`,
    symbol: 'rect',
    symbolSize: [1.5, 13],
    silent: true,
    z: 2,
    lineStyle: { color, width: 3, opacity: 0.55 },
    itemStyle: { color },
    data: [
      [place(measure.of(row).min), index],
      [place(measure.of(row).max), index],
    ],
  }));
  const medians = {
    ...plain,
    name: measure.name,
    symbolSize: 11,
    z: 4,
    lineStyle: { width: 0 },
    data: rows.map((row, index) => ({
      value: [place(measure.of(row).median), index],
      itemStyle: {
        color: row.measuresMemoryWhy ? theme.panel : color,
        borderColor: color,
        borderWidth: 2.5,
      },
    })),
  };
  const rounds = {
    ...plain,
    name: `${measure.name}, each round`,
    symbolSize: 4,
    silent: true,
    z: 3,
    lineStyle: { width: 0 },
    itemStyle: { color: theme.text, opacity: 0.5 },
    data: points,
  };
  return [medians, ...bars, ...(points.length > rows.length ? [rounds] : [])];
}

function optionOf(
  input: PlotInput,
  measures: readonly Measure[],
  xAxis: ChartOption,
  place: (value: number) => number,
  show: (value: number) => string,
): ChartOption {
  const { theme, grounds } = input;
  const rows = measured(grounds);
  const base = chartBase(theme);
  const all = grounds ? measures.map((each) => seriesOf(each, grounds, theme, place)) : [];
  return {
    ...base,
    grid: { left: 8, right: 22, top: 8, bottom: 4, containLabel: true },
    tooltip: {
      ...(base['tooltip'] as object),
      trigger: 'item',
      formatter: (params: unknown) => {
        const { seriesName, dataIndex } = params as { seriesName: string; dataIndex: number };
        const row = rows[dataIndex];
        const measure = measures.find((each) => each.name === seriesName);
        if (row === undefined || measure === undefined) return '';
        const { median, min, max } = measure.of(row);
        return [
          row.title,
          `${measure.name}  ${show(median)}`,
          `${show(min)} to ${show(max)} in ${formatCount(row.rounds)} rounds`,
        ].join('\n');
      },
    },
    xAxis,
    yAxis: axisOfGrounds(theme, rows),
    // Medians of all measures before the rest, so that the first series is one that can be walked over.
    series: [...all.flatMap((each) => each.slice(0, 1)), ...all.flatMap((each) => each.slice(1))],
  };
}

const IOPS: Measure = {
  name: 'IOPS',
  symbol: 'circle',
  color: (theme) => theme.accent,
  of: (row) => row.iops,
  ofSample: (sample) => sample.iops,
};
const P50: Measure = {
  name: 'p50',
  symbol: 'circle',
  color: (theme) => theme.accent,
  of: (row) => row.p50Ns,
  ofSample: (sample) => sample.p50Ns,
};
const P99: Measure = {
  name: 'p99',
  symbol: 'diamond',
  color: (theme) => theme.write,
  of: (row) => row.p99Ns,
  ofSample: (sample) => sample.p99Ns,
};
/** Without the label of its end, which is no round number. */
function rateAxis(theme: PlotTheme): ChartOption {
  const axis = valueAxis(theme, (value) => `${shortCount(value)}/s`);
  return { ...axis, axisLabel: { ...(axis['axisLabel'] as object), showMaxLabel: false } };
}
const memoryWord = (row: GroundRow): string => (row.measuresMemoryWhy ? 'memory' : 'disk');

export const groundsPlot: ChartPlot = {
  id: 'grounds',
  kind: 'chart',
  title: 'IOPS',
  subtitle: 'median, bar from least to most; hollow: measures memory',
  isTimeline: false,
  build(input) {
    const rows = measured(input.grounds);
    const most = Math.max(1, ...rows.map((row) => row.iops.max));
    return {
      isEmpty: rows.length === 0,
      table: {
        caption: 'IOPS on each ground',
        columns: ['ground', 'IOPS, median', 'least', 'most', 'of the engine', 'measures'],
        rows: rows.map((row) => [
          row.title,
          formatIops(row.iops.median),
          formatIops(row.iops.min),
          formatIops(row.iops.max),
          row.ratioToEngine === null ? '–' : `${significant(row.ratioToEngine.median, 3)} ×`,
          memoryWord(row),
        ]),
      },
      option: optionOf(
        input,
        [IOPS],
        {
          ...rateAxis(input.theme),
          min: 0,
          max: most * 1.04,
        },
        (value) => value,
        (value) => `${formatIops(value)}/s`,
      ),
    };
  },
};

export const groundsLatencyPlot: ChartPlot = {
  id: 'grounds-latency',
  kind: 'chart',
  title: 'Latency',
  subtitle: 'p50 (round) and p99 (diamond), log axis',
  isTimeline: false,
  build(input) {
    const rows = measured(input.grounds);
    const values = rows.flatMap((row) => [row.p50Ns.min, row.p99Ns.max]);
    const [low, high] = logRange(
      Math.min(...(values.length > 0 ? values : [1e3])) * 0.8,
      Math.max(...(values.length > 0 ? values : [1e6])) * 1.25,
    );
    const text = (ns: number): string => joinShown(formatLatency(ns));
    return {
      isEmpty: rows.length === 0,
      table: {
        caption: 'Latency on each ground',
        columns: [
          'ground',
          'p50, median',
          'p50, least',
          'p50, most',
          'p99, median',
          'p99, least',
          'p99, most',
          'measures',
        ],
        rows: rows.map((row) => [
          row.title,
          ...[row.p50Ns, row.p99Ns].flatMap(({ median, min, max }) => [median, min, max].map(text)),
          memoryWord(row),
        ]),
      },
      option: optionOf(
        input,
        [P50, P99],
        decadeAxis(input.theme, [Math.floor(low * 4) / 4, Math.ceil(high * 4) / 4], decadeText),
        (ns) => Math.log10(Math.max(1, ns)),
        text,
      ),
    };
  },
};
