// SPDX-License-Identifier: GPL-2.0-only
/** Lines of results for scripts/trust.mjs: one JSON object a line in the file that DIOLAB_TRUST_RESULTS names; nothing without it. */
import { appendFileSync } from 'node:fs';
import { SEED } from './images.ts';

export interface TrustResult {
  readonly suite: string;
  readonly name: string;
  readonly count: number;
  readonly seed: number;
  readonly details: Readonly<Record<string, number | string>>;
}

/** A suite reached this count without finding anything. */
export function recordResult(
  suite: string,
  name: string,
  count: number,
  details: Readonly<Record<string, number | string>> = {},
): void {
  const path = process.env['DIOLAB_TRUST_RESULTS'];
  if (path === undefined || path === '') return;
  const result: TrustResult = { suite, name, count, seed: SEED, details };
  appendFileSync(path, `${JSON.stringify(result)}\n`);
}
