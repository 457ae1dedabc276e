// SPDX-License-Identifier: GPL-2.0-only
/** The list of plots. A new plot is one file and one line here; cards, tables and exports follow from it. */
import { bandwidthPlot } from './bandwidth.ts';
import type { PlotModule } from './contract.ts';
import { groundsLatencyPlot, groundsPlot } from './grounds.ts';
import { histogramPlot } from './histogram.ts';
import { inFlightPlot } from './in-flight.ts';
import { latencySeriesPlot } from './latency-series.ts';
import { percentilesPlot } from './percentiles.ts';
import { sectorTimePlot } from './sector-time.ts';
import { throughputPlot } from './throughput.ts';

export const plots = [
  throughputPlot,
  bandwidthPlot,
  inFlightPlot,
  latencySeriesPlot,
  histogramPlot,
  percentilesPlot,
  sectorTimePlot,
  groundsPlot,
  groundsLatencyPlot,
] as const satisfies readonly PlotModule[];
export type PlotId = (typeof plots)[number]['id'];
