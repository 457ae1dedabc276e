// SPDX-License-Identifier: GPL-2.0-only
/** Types of trust.mjs, for its test. */
export const SUITES: readonly string[];
export interface TrustRow {
  readonly suite: string;
  readonly name: string;
  readonly count: number;
  readonly seed: number;
  readonly details: Readonly<Record<string, number | string>>;
}
export function environmentOf(
  values: Readonly<Record<string, string | boolean | undefined>>,
  resultsPath: string,
): Readonly<Record<string, string>>;
export function rowsOf(lines: readonly string[]): readonly TrustRow[];
export function tableOf(rows: readonly TrustRow[]): string;
/** docs/TRUST.md */
export function page(
  table: string,
  values: Readonly<Record<string, string | boolean | undefined>>,
  isGood: boolean,
): string;
