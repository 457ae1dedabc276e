// SPDX-License-Identifier: GPL-2.0-only
/** The list of revisions, how one resolves, and what adding one costs. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runScenario, type Scenario } from '../../lab/conformance/index.ts';
import type { RevisionSpec } from '../revision.ts';
import { DEFAULT_REVISION_ID, findRevision, REVISIONS } from './index.ts';
import { resolveRevision } from './resolve.ts';

const lengthHash = (bytes: Uint8Array): string => String(bytes.length);

describe('the list of revisions', () => {
  it('has each once, newest first, with a file named after it', () => {
    const ids = REVISIONS.map((spec) => spec.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain(DEFAULT_REVISION_ID);
    const files = readdirSync(new URL('.', import.meta.url));
    for (const id of ids) expect(files).toContain(`${id}.ts`);
    const dates = REVISIONS.map((spec) => spec.releasedOn.slice(0, 4));
    expect(dates).toEqual(dates.toSorted().toReversed());
  });

  it('refuses an id that is not in it, and says which are', () => {
    expect(() => findRevision('1.0')).toThrow(
      expect.objectContaining({ code: 'revision.unknown', exitCode: 65 }),
    );
  });

  it.each(REVISIONS)(
    '$id resolves to a full record and gives reasons for what it changes',
    (spec) => {
      const root = resolveRevision(findRevision('6.4'));
      const revision = resolveRevision(spec);
      expect(Object.keys(revision).toSorted()).toEqual(Object.keys(root).toSorted());
      expect(Object.keys(revision.traits).toSorted()).toEqual(Object.keys(root.traits).toSorted());
      for (const change of spec.changes) {
        expect(change.what).toMatch(/\.$/);
        expect(change.reason.length).toBeGreaterThan(10);
      }
      if (spec.basedOn === null) return;
      expect(REVISIONS).toContain(spec.basedOn);
      expect(spec.changes.length).toBeGreaterThan(0);
      // What a revision lists differs from its base: a line that changes nothing would be a lie.
      const base = resolveRevision(spec.basedOn);
      for (const [name, value] of Object.entries(spec.traits)) {
        expect(base.traits[name as keyof typeof base.traits], name).not.toEqual(value);
      }
      for (const [name, step] of Object.entries(spec.steps)) {
        expect(base[name as keyof typeof base], name).not.toBe(step);
      }
    },
  );

  it('takes one more as one object based on another', () => {
    const eager: RevisionSpec = {
      id: 'eager',
      title: 'A revision that allocates in every write',
      releasedOn: '2026-01',
      basedOn: findRevision('6.4'),
      traits: { createRule: 'always' },
      steps: {},
      changes: [{ what: 'Allocates always.', reason: 'To show what it costs.', effect: 'core' }],
    };
    const scenario = {
      size: 8192,
      alloc: [20, 0] as const,
      reqs: [{ op: 'w' as const, pos: 0, iov: [[0, 4096]] as const, skip: 1 }],
    };
    const base = runScenario('6.4', scenario, lengthHash).trace;
    const changed = runScenario(eager, scenario, lengthHash).trace;
    expect(base.reqs[0]?.ret).toBe(0);
    expect(changed.reqs[0]?.ret).toBe(4096);
  });

  it('keeps the result of a read far beyond the end of the file in as many bits as the kernel did', () => {
    const gibibyte = 2 ** 30;
    const far = 5 * gibibyte;
    const scenario: Scenario = {
      size: 4096,
      extents: [[far / 4096, 1, 3]],
      reqs: [
        { op: 'r', pos: far, iov: [[0, 4096]], endio: 1 },
        { op: 'r', pos: far, iov: [[0, 4096]], endio: 1, async: 1 },
      ],
    };
    const run = (revision: string) => {
      const { reqs } = runScenario(revision, scenario, lengthHash).trace;
      return reqs.map(({ ret, ev }) => [ret, ev.find(([name]) => name === 'endio')?.at(4)]);
    };
    const whole = 4096 - far;
    const inInt = 4096 - gibibyte;
    expect(run('2.6.31')).toEqual([[inInt, undefined], [inInt, undefined]]); // prettier-ignore
    expect(run('3.1')).toEqual([[whole, inInt], [whole, inInt]]); // prettier-ignore
    expect(run('6.4')).toEqual([[0, undefined], [0, undefined]]); // prettier-ignore
  });

  it('takes ENOTBLK of a map call for a stop: in a write always, in a read where the code does not look', () => {
    const ofOp = (revision: string, op: 'r' | 'w') => {
      const reqs = [{ op, pos: 0, iov: [[0, 4096]] as const, own: 1 }];
      const scenario: Scenario = { size: 8192, gberr: [[1, 'ENOTBLK']], reqs };
      return runScenario(revision, scenario, lengthHash).trace.reqs[0]?.ret;
    };
    for (const revision of ['6.4', '3.1', '2.6.31', '2.6.20']) expect(ofOp(revision, 'w')).toBe(0);
    expect([ofOp('6.4', 'r'), ofOp('3.1', 'r')]).toEqual([0, 0]);
    expect([ofOp('2.6.31', 'r'), ofOp('2.6.20', 'r')]).toEqual(['ENOTBLK', 'ENOTBLK']);
  });

  it('dirties only the page of a vector that leaves it', () => {
    const scenario: Scenario = {
      blkbits: 9,
      size: 8192,
      extents: [[0, 16, 4]],
      pages: 3,
      reqs: [{ op: 'r', pos: 0, iov: [[11776, 512]], async: 1 }],
    };
    const { trace } = runScenario('2.6.31-pages', scenario, lengthHash);
    expect(trace.bug).toBe('BUG: vector outside its page');
    expect(trace.reqs[0]?.ev.slice(-2)).toEqual([['predirty'], ['dirty', 2]]);
  });

  it('is the only place that names a kernel version', () => {
    const folder = new URL('../', import.meta.url);
    const files = ['state.ts', 'traits.ts', 'run.ts', 'revision.ts', 'index.ts'].concat(
      readdirSync(new URL('steps/', folder)).map((name) => `steps/${name}`),
    );
    for (const file of files) {
      const text = readFileSync(new URL(file, folder), 'utf8');
      const named = text.match(/\b(?:2\.[56]\.\d+|[3-6]\.\d{1,2}|[3-6]\.x)\b/g);
      expect({ file, named }).toEqual({ file, named: null });
    }
  });
});
