// SPDX-License-Identifier: GPL-2.0-only
/** Types of start.mjs, as much of it as tests take. */
export interface StartOptions {
  readonly face: 'window' | 'browser' | null;
  readonly port: number | null;
  readonly open: boolean;
  readonly help: boolean;
  readonly problem: string | null;
}
export function parseOptions(words: readonly string[]): StartOptions;
export function decideFace(facts: {
  readonly asked?: string | null;
  readonly hasDisplay?: boolean;
  readonly isRoot?: boolean;
  readonly runtime?: string;
  readonly runtimeWhy?: string;
}): { readonly face: 'window' | 'browser' | 'fetch'; readonly why: string };
/** The runtime's program; null where it is not here. */
export function electronProgram(): string | null;
