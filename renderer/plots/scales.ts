// SPDX-License-Identifier: GPL-2.0-only
/** Axis arithmetic that plots share: round ticks, decades, and the base of a chart option. Pure. */
import { formatLatency, THIN_SPACE } from '../format/numbers.ts';
import type { ChartOption, PlotInput, PlotTheme } from './contract.ts';

/** Round values from `from` to `to`, about `count` of them, at steps of 1, 2 or 5 times a power of ten. */
export function niceTicks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span) || count < 1) return [];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * 0.999) ?? 10;
  const step = factor * power;
  const ticks: number[] = [];
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to + step * 1e-9; index += 1) {
    ticks.push(index === 0 ? 0 : index * step);
  }
  return ticks;
}

/** As `niceTicks`, but at powers of two: for bytes. */
export function binaryTicks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span) || count < 1) return [];
  const step = 2 ** Math.ceil(Math.log2(span / count) - 1e-9);
  const ticks: number[] = [];
  for (let value = Math.ceil(from / step) * step; value <= to; value += step) ticks.push(value);
  return ticks;
}

/** The log10 range of positive values, widened to whole decades where it is narrower than one. */
export function logRange(min: number, max: number): [number, number] {
  const low = Math.log10(Math.max(min, 1));
  const high = Math.log10(Math.max(max, 1));
  return high - low < 1
    ? [Math.floor(low), Math.max(Math.ceil(high), Math.floor(low) + 1)]
    : [low, high];
}

/** A power of ten of nanoseconds as text, whole: 3 gives '1 µs', log10(5000) gives '5 µs'. */
export function decadeText(decade: number): string {
  const { value, unit } = formatLatency(Math.round(10 ** decade));
  return `${String(Number(value.replaceAll(THIN_SPACE, '')))}\u00a0${unit}`;
}
/** Short form of a count for an axis: 12 000 is '12 k'. */
export function shortCount(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 1e9) return `${String(Number((value / 1e9).toPrecision(3)))} G`;
  if (magnitude >= 1e6) return `${String(Number((value / 1e6).toPrecision(3)))} M`;
  if (magnitude >= 1e3) return `${String(Number((value / 1e3).toPrecision(3)))} k`;
  return String(Number(value.toPrecision(3)));
}

/** Text, tooltip and zoom that all charts have alike. The tooltip is drawn on the canvas: the page's CSP allows no markup from text. */
export function chartBase(theme: PlotTheme): Record<string, unknown> {
  return {
    animation: false,
    textStyle: { fontFamily: theme.font, color: theme.dim },
    grid: { left: 8, right: 14, top: 14, bottom: 4, containLabel: true },
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText',
      confine: true,
      backgroundColor: theme.panel,
      borderColor: theme.line,
      borderWidth: 1,
      padding: [6, 8],
      textStyle: { color: theme.text, fontFamily: theme.mono, fontSize: 11, lineHeight: 16 },
      axisPointer: { type: 'line', lineStyle: { color: theme.faint, width: 1, type: 'solid' } },
    },
  };
}
const axisText = (theme: PlotTheme): ChartOption => ({
  color: theme.dim,
  fontFamily: theme.mono,
  fontSize: 10,
  hideOverlap: true,
});

export function valueAxis(theme: PlotTheme, formatter: (value: number) => string): ChartOption {
  return {
    type: 'value',
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { ...axisText(theme), formatter },
    splitLine: { lineStyle: { color: theme.grid, width: 1 } },
    splitNumber: 4,
  };
}
/** The time of the run in seconds. While it goes on the axis has its planned length, so that nothing shifts. */
export function timeAxis(input: PlotInput): ChartOption {
  const { theme, series, plannedNs, timeRangeNs } = input;
  const lastNs = series.at(-1)?.atNs ?? 0;
  const [from, to] = timeRangeNs ?? [0, Math.max(plannedNs ?? 0, lastNs, 1e8)];
  return {
    type: 'value',
    min: from / 1e9,
    max: to / 1e9,
    axisLine: { lineStyle: { color: theme.line } },
    axisTick: { show: false },
    axisLabel: {
      ...axisText(theme),
      showMaxLabel: false,
      showMinLabel: timeRangeNs === null,
      formatter: (value: number) => `${String(Number(value.toPrecision(4)))} s`,
    },
    splitLine: { show: false },
    splitNumber: 5,
  };
}
/** Where a log axis has its ticks: at powers of ten; at 2 and 5 times those, too, where it shows less than two and a half decades. */
export function decadeTicks([from, to]: readonly [number, number]): number[] {
  const factors = to - from < 2.5 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let decade = Math.floor(from); decade <= to; decade += 1) {
    for (const factor of factors) {
      const tick = decade + Math.log10(factor);
      if (tick >= from - 1e-9 && tick <= to + 1e-9) ticks.push(tick);
    }
  }
  return ticks;
}
/** An axis of log10 values. The plot's subtitle must say that it is logarithmic. */
export function decadeAxis(
  theme: PlotTheme,
  range: readonly [number, number],
  formatter: (decade: number) => string,
  ticks: readonly number[] = decadeTicks(range),
): ChartOption {
  return {
    type: 'value',
    min: range[0],
    max: range[1],
    axisLine: { show: false },
    axisTick: { show: false, customValues: ticks },
    axisLabel: { ...axisText(theme), customValues: ticks, formatter },
    splitLine: { lineStyle: { color: theme.grid, width: 1 } },
  };
}

export interface LineStyle {
  readonly name: string;
  readonly color: string;
  readonly data: readonly (readonly [number, number | null])[];
  readonly area?: boolean;
  readonly width?: number;
  readonly step?: boolean;
  readonly dashed?: boolean;
}
/** One line of a chart. */
export function lineSeries(style: LineStyle): Record<string, unknown> {
  return {
    type: 'line',
    name: style.name,
    data: style.data,
    showSymbol: false,
    symbol: 'circle',
    symbolSize: 5,
    sampling: 'minmax',
    step: style.step ? 'middle' : false,
    lineStyle: {
      color: style.color,
      width: style.width ?? 1.5,
      type: style.dashed ? 'dashed' : 'solid',
    },
    itemStyle: { color: style.color },
    emphasis: { disabled: true },
    ...(style.area && { areaStyle: { color: style.color, opacity: 0.13 } }),
  };
}
/** Thins a table to at most `rowsMax` rows, evenly, the last one included: a screen reader's user reads it row by row. */
export function thinRows<T>(rows: readonly T[], rowsMax = 60): T[] {
  if (rows.length <= rowsMax) return [...rows];
  return Array.from(
    { length: rowsMax },
    (_, index) => rows[Math.round((index * (rows.length - 1)) / (rowsMax - 1))] as T,
  );
}
/** Tooltip lines: the head, then one line a series with its value as `show` writes it. */
export function tooltipFormatter(
  head: (x: number) => string,
  show: (value: number, name: string) => string,
): (params: unknown) => string {
  return (params) => {
    const rows = params as { seriesName: string; value: [number, number | null] }[];
    const first = rows[0];
    if (first === undefined) return '';
    const lines = rows
      .filter((row) => row.value[1] !== null)
      .map((row) => `${row.seriesName}  ${show(row.value[1] as number, row.seriesName)}`);
    return [head(first.value[0]), ...lines].join('\n');
  };
}
