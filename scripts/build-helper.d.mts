// SPDX-License-Identifier: GPL-2.0-only
/** Types of build-helper.mjs, for the tests that build the helper. */
export const helperSource: string;
export const helperPath: string;
export function findCompiler(): string | null;
export function isHelperFresh(path?: string): boolean;
export function buildHelper(options?: {
  readonly source?: string;
  readonly path?: string;
  readonly force?: boolean;
}): { readonly path: string } | { readonly missing: string };
