// SPDX-License-Identifier: GPL-2.0-only
/** engine/metrics: histograms, time series and request rows. Imports base only. */
export * from './histogram.ts';
export * from './request-rows.ts';
export * from './time-series.ts';
