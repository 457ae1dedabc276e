// SPDX-License-Identifier: GPL-2.0-only
/**
 * Tests that drive programs of the machine: `describeWith(['e2fsprogs'], 'what e2fsck says', () => { ... })`. Where a program is
 * missing the block is skipped and its name says why; with DIOLAB_REQUIRE_ALL=1 it fails instead. Tools: scripts/tools-table.mjs.
 */
import { describe, expect, it } from 'vitest';
import { missingTools, tools } from '../../scripts/tools-table.mjs';

export { findProgram } from '../../scripts/tools-table.mjs';

/** True where everything must be there (.ci/run). */
export const requireAll = process.env['DIOLAB_REQUIRE_ALL'] === '1';

/** What is missing of these tools, in words; null where nothing is. */
export function missingReason(ids: readonly string[]): string | null {
  const rows = ids.map((id) => {
    const row = tools.find((tool) => tool.id === id);
    if (row === undefined) throw new Error(`${id} is not in scripts/tools-table.mjs`);
    return row;
  });
  const missing = missingTools(rows);
  if (missing.length === 0) return null;
  return `missing: ${missing.map((row) => `${row.programs.join(', ')} (Debian: ${row.package})`).join('; ')}`;
}

/** A block of tests that needs something; `reason` says what is missing, null: nothing. */
export function describeUnless(reason: string | null, name: string, define: () => void): void {
  if (reason === null) {
    describe(name, define);
  } else if (requireAll) {
    describe(name, () => {
      it(`has what it needs`, () => {
        expect.fail(reason);
      });
    });
  } else {
    describe.skip(`${name} [${reason}]`, define);
  }
}

/** A block of tests that drives programs of the machine. */
export function describeWith(ids: readonly string[], name: string, define: () => void): void {
  describeUnless(missingReason(ids), name, define);
}
