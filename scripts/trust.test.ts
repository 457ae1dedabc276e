// SPDX-License-Identifier: GPL-2.0-only
/** The trust command: its options become the environment of the suites, and their lines a table. */
import { expect, it } from 'vitest';
import { environmentOf, rowsOf, tableOf } from './trust.mjs';

const values = {
  states: '10',
  images: '20',
  lists: '30',
  trees: '40',
  workloads: '50',
  minutes: '2',
  seed: '7',
};

it('hands sizes, seed and file systems to the suites', () => {
  const environment = environmentOf({ ...values, fs: 'ext2,fat' }, '/results');
  expect(environment).toMatchObject({
    DIOLAB_SEED: '7',
    DIOLAB_CRASH_STATES: '10',
    DIOLAB_HOSTILE_IMAGES: '20',
    DIOLAB_TRUST_FS: 'ext2,fat',
    DIOLAB_TRUST_RESULTS: '/results',
  });
  expect(environment).not.toHaveProperty('DIOLAB_WRITE_KERNEL_TRUTH');
  expect(environmentOf({ ...values, 'kernel-truth': true }, '')).toHaveProperty(
    'DIOLAB_WRITE_KERNEL_TRUTH',
    '1',
  );
});

it('adds up the mutants of a file system, and sorts rows by suite and image', () => {
  const line = (suite: string, name: string, details: object): string =>
    JSON.stringify({ suite, name, count: 1, seed: 7, details });
  const rows = rowsOf([
    line('mutants', 'ext2', { 'no flush': 'caught' }),
    line('crash', 'ext2, 1k', { writes: 9 }),
    line('mutants', 'ext2', { 'data late': 'caught' }),
  ]);
  const table = tableOf(rows).split('\n').slice(2);
  expect(table).toEqual([
    '| crash | ext2, 1k | 1 | 7 | writes 9 |',
    '| mutants | ext2 | 2 | 7 | no flush; data late |',
  ]);
});
