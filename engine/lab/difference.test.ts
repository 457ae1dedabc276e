// SPDX-License-Identifier: GPL-2.0-only
/** A difference between two revisions is found where they part, and named by the change that makes it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { traceRows } from '../base/index.ts';
import { findRevision, REVISIONS, type RevisionSpec } from '../dio/index.ts';
import { runScenario, type Scenario } from './conformance/index.ts';
import { leakedReferencesOf } from './gallery/exhibit.ts';
import { firstDifference, type ComparedRun } from './difference.ts';

/** Scenarios of the published vectors by name, each once. */
const scenarios = new Map<string, Scenario>();
for (const { id } of REVISIONS) {
  const file = new URL(`../../test/golden/${id}-named.jsonl`, import.meta.url);
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const { name, scenario } = JSON.parse(line) as { name: string; scenario: Scenario };
    if (!scenarios.has(name)) scenarios.set(name, scenario);
  }
}

function runOf(revision: string | RevisionSpec, scenario: Scenario): ComparedRun {
  const spec = typeof revision === 'string' ? findRevision(revision) : revision;
  const run = runScenario(spec, scenario, () => '');
  const stopped = run.stopped?.what ?? null;
  const leakedReferences = leakedReferencesOf(run.trace);
  return {
    spec,
    rows: traceRows(run.rows),
    returned: run.returned,
    leakedReferences,
    stopped,
  };
}

function difference(left: string, right: string, name: string): ReturnType<typeof firstDifference> {
  const scenario = scenarios.get(name);
  if (scenario === undefined) throw new Error(`no published scenario ${name}`);
  return firstDifference(runOf(left, scenario), runOf(right, scenario));
}

/** [one, other, scenario, beginning of the change]. */
const NAMED = [
  ['6.4', '3.1', 'write-last-partial-block', 'The last partial block'],
  ['6.4', '3.1', 'boundary', 'A boundary cuts'],
  ['6.4', '3.1', 'boundary-inside-page', 'A boundary cuts'],
  ['6.4', '3.1', 'read-beyond-eof', 'A read from beyond'],
  ['6.4', '3.1', 'efault-read', 'EFAULT hides'],
  ['6.4', '3.1', 'efault-write-map-end', 'EFAULT hides'],
  ['6.4', '3.1', 'aio-short-read', 'A short asynchronous read'],
  ['6.4', '3.1', 'eighty-pages', 'Queue limits decide'],
  ['6.4', '3.1', 'contiguous-pages', 'Queue limits decide'],
  ['6.4', '3.1', 'multi-iovec', 'Each segment is mapped'],
  ['6.4', '3.1', 'aio-write-pagecache', 'Completion never goes'],
  ['6.4', '3.1', 'aio-dsync-overwrite', 'Completion never goes'],
  ['6.4', '3.1', 'nowait-eagain', 'A bio that could not be done'],
  ['6.4', '3.1', 'end-io-error', 'end_io has no value'],
  ['6.4', '3.1', 'aligned-overwrite', 'Bios of a write are marked'],
  ['6.4', '2.6.31', 'logical-gap-disk-adjacent', 'Pieces that are neighbours'],
  ['3.1', '2.6.31', 'subblock-write-new-block', 'Pieces that are neighbours'],
  ['3.1', '2.6.31', 'write-hole-no-skip', 'Lock types decide'],
  ['3.1', '2.6.31', 'locking-read', 'i_alloc_sem is held'],
  ['3.1', '2.6.31', 'failed-extending-write', 'A failed extending write'],
  ['2.6.31', '2.6.31-pages', 'multi-iovec', 'Each segment is a request'],
  ['2.6.31', '2.6.31-pages', 'kernel-pages', 'Pages of the kernel'],
  ['2.6.31', '2.6.31-pages', 'page-array-offset', 'A buffer that starts inside'],
  ['2.6.31', '2.6.31-pages', 'efault-read', 'Memory that is only partly'],
  ['2.6.31', '2.6.31-pages', 'efault-write-blocks-mapped', 'Memory that is only partly'],
  ['2.6.31', '2.6.31-pages', 'misaligned', 'A misaligned request leaks'],
  ['2.6.31', '2.6.31-pages', 'locking-read', 'Reads under core locks'],
  ['2.6.31', '2.6.31-pages', 'aio-extending-write', 'An asynchronous write that extends'],
  ['2.6.31', '2.6.31-pages', 'failed-extending-write', 'A failed extending write'],
  ['2.6.31', '2.6.20', 'failed-extending-write', 'Blocks that a failed'],
  ['2.6.20', '2.5.47', 'write-hole-inside-size', 'Every write may allocate'],
  ['6.4', '2.5.47', 'hole-write-refused', 'A write that meets'],
  ['2.6.20', '2.5.47', 'read-across-eof', 'Reads are not cut'],
  ['2.6.20', '2.5.47', 'read-beyond-eof', 'Reads are not cut'],
  ['6.4', '2.5.47', 'efault-write-blocks-mapped', 'After a fault'],
  ['2.6.20', '2.5.47', 'aio-read', 'An asynchronous request returns'],
  ['2.6.20', '2.5.47', 'aio-extending-write', 'An asynchronous write that extends'],
  ['2.6.20', '2.5.47', 'reap-error', 'Reaping reports'],
  ['2.6.20', '2.5.47', 'alias-count', 'No lock is taken'],
  ['2.6.20', '2.5.47', 'boundary-inside-page', 'Every piece of a page'],
] as const;

describe('the first difference', () => {
  it.each(NAMED)('of %s and %s in %s is named "%s..."', (left, right, name, beginning) => {
    const found = difference(left, right, name);
    expect(found?.change?.what.slice(0, beginning.length)).toBe(beginning);
    // The other way round it is the same place and the same change.
    const turned = difference(right, left, name);
    expect(turned?.change).toEqual(found?.change);
    expect([turned?.leftRow, turned?.rightRow]).toEqual([found?.rightRow, found?.leftRow]);
  });

  it('is none between a revision and itself, or one without an effect', () => {
    for (const name of scenarios.keys()) {
      expect(difference('2.6.31-pages', '2.6.31-pages', name)).toBeNull();
      expect(difference('6.4', '6.5-merge', name)).toBeNull();
    }
  });

  it('has a name for every published scenario and every pair of neighbours', () => {
    const unnamed: string[] = [];
    for (const spec of REVISIONS) {
      if (spec.basedOn === null) continue;
      for (const name of scenarios.keys()) {
        const found = difference(spec.basedOn.id, spec.id, name);
        if (found !== null && found.change === null) unnamed.push(`${spec.id} ${name}`);
      }
    }
    expect(unnamed).toEqual([]);
  });

  it('is named from what the list says, for a revision that nobody knew before', () => {
    const eager: RevisionSpec = {
      id: 'eager',
      title: 'A revision that allocates in every write',
      releasedOn: '2026-01',
      basedOn: findRevision('6.4'),
      traits: { createRule: 'always' },
      steps: {},
      changes: [
        {
          what: 'Every write may allocate.',
          reason: 'To show that a difference is named by data.',
          effect: 'core',
          shows: [{ at: 'both', row: 'map', column: 'create' }],
        },
      ],
    };
    const scenario = scenarios.get('write-hole-inside-size') as Scenario;
    const found = firstDifference(runOf('6.4', scenario), runOf(eager, scenario));
    expect(found?.change).toMatchObject({ revision: 'eager', what: 'Every write may allocate.' });
  });
});

it('every change that has an effect on the trace says where it shows', () => {
  /** The zero page's count: no row has it. */
  const silent = ['reference count'];
  for (const { id, changes } of REVISIONS) {
    for (const { what, effect, shows } of changes) {
      if (effect === 'none' || silent.some((word) => what.includes(word))) continue;
      expect({ id, what, count: shows?.length ?? 0 }).not.toMatchObject({ count: 0 });
    }
  }
});
