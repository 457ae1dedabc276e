// SPDX-License-Identifier: GPL-2.0-only
/** engine/lab/conformance: scenarios of the golden format, run, encoded and compared. */
export * from './compare.ts';
export * from './conform.ts';
export * from './run-scenario.ts';
export type * from './scenario.ts';
export { shrinkScenario } from './shrink.ts';
