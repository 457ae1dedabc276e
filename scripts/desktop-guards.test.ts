// SPDX-License-Identifier: GPL-2.0-only
/** The list of the window's guards is whole and true of the code; that each is held by a test is what the script itself checks. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { documentText, FUSES, guards, ITEMS, staleGuards } from './desktop-guards.mjs';

it('has every item of the checklist and every fuse', () => {
  expect([...new Set(guards.map(({ item }) => item))]).toEqual(ITEMS.map((_, index) => index + 1));
  expect(ITEMS).toHaveLength(20);
  for (const [name] of FUSES) {
    expect(guards.filter(({ what }) => what.includes(`fuse ${name}:`))).toHaveLength(1);
  }
});
it('names guards that stand once in the code', () => {
  expect(staleGuards()).toEqual([]);
});
it('is what the documentation says', async () => {
  const path = join(import.meta.dirname, '../docs/DESKTOP-SECURITY.md');
  expect(readFileSync(path, 'utf8')).toBe(await documentText());
});
