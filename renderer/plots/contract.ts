// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a plot is: one pure function from data to what is drawn, and to the same numbers as a table (for screen readers and CSV).
 * `chart` plots give an ECharts option as plain data; `raster` plots are drawn by our own density raster.
 * Rules: 1. No DOM, no clock, no randomness: the same input gives the same output. 2. Every axis has a unit; a log axis says so.
 */
import type { RequestColumns } from '../../main/contract/bulk.ts';
import type { GroundsResult } from '../../main/contract/grounds.ts';
import type { RunResult, SeriesPoint } from '../../main/contract/types.ts';

/** Colours and fonts as the page's tokens have them now. */
export interface PlotTheme {
  readonly text: string;
  readonly dim: string;
  readonly faint: string;
  readonly line: string;
  readonly grid: string;
  readonly panel: string;
  readonly accent: string;
  readonly read: string;
  readonly write: string;
  readonly warn: string;
  readonly bad: string;
  readonly mono: string;
  readonly font: string;
}

export interface PlotInput {
  readonly series: readonly SeriesPoint[];
  readonly result: RunResult | null;
  /** One job on several grounds, for the plots of those; absent elsewhere. */
  readonly grounds?: GroundsResult | null;
  /** Right end of the time axis while the run goes on (its planned length); null: the last point. */
  readonly plannedNs: number | null;
  /** Zoomed range of the time axis in ns; null: all. */
  readonly timeRangeNs: readonly [number, number] | null;
  readonly theme: PlotTheme;
}

export interface PlotTable {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}
/** Plain data for ECharts; typed loosely so that the plots do not pull ECharts in. */
export type ChartOption = Readonly<Record<string, unknown>>;
export interface ChartSpec {
  readonly option: ChartOption;
  readonly table: PlotTable;
  readonly isEmpty: boolean;
}

interface PlotBase {
  readonly id: string;
  readonly title: string;
  /** Small, behind the title: what the axes are. */
  readonly subtitle: string;
  /** True: the horizontal axis is the run's time, shared with the other plots of the run. */
  readonly isTimeline: boolean;
}
export interface ChartPlot extends PlotBase {
  readonly kind: 'chart';
  build(input: PlotInput): ChartSpec;
}
export interface RasterPlot extends PlotBase {
  readonly kind: 'raster';
  table(columns: RequestColumns, result: RunResult): PlotTable;
}
export type PlotModule = ChartPlot | RasterPlot;
