// SPDX-License-Identifier: GPL-2.0-only
/** docs/REVISIONS.md is the page that the revisions' own lists give. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { REVISIONS } from '../engine/dio/index.ts';
import { pagePath, revisionsPage } from './revisions.mjs';

it('the page of revisions is current (npm run revisions -- --write)', async () => {
  expect(readFileSync(pagePath, 'utf8')).toBe(await revisionsPage(REVISIONS));
});

it('every change of every revision is on it, with what shows it', async () => {
  const page = await revisionsPage(REVISIONS);
  for (const { id, changes } of REVISIONS) {
    expect(page).toContain(`## ${id}\n`);
    for (const { what, exhibit } of changes) {
      expect(page).toContain(what.replaceAll('|', '\\|').replaceAll('*', '\\*'));
      if (exhibit !== undefined) expect(page).toContain(`diolab gallery ${exhibit}`);
    }
  }
});
