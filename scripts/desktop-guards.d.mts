// SPDX-License-Identifier: GPL-2.0-only
/** Types of desktop-guards.mjs for its test. */
export interface Guard {
  readonly item: number;
  readonly what: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly test: string;
}
export const ITEMS: readonly string[];
export const FUSES: readonly (readonly [name: string, isOn: boolean])[];
export const guards: readonly Guard[];
export function staleGuards(): readonly Guard[];
export function documentText(): Promise<string>;
