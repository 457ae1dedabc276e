// SPDX-License-Identifier: GPL-2.0-only
/** Power cuts under every writable file system, and mutants of the order of writing, each of which has to be caught. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeUnless, missingReason } from '../support/tools.ts';
import { crashSuite } from './crash.ts';
import { casesOf, imageFolder, isWritable, SEED, sizeOf } from './images.ts';
import { recordResult } from './results.ts';

const STATES = sizeOf('DIOLAB_CRASH_STATES', 12);
const MINUTES = sizeOf('DIOLAB_TRUST_MINUTES', 60);

let folder: ReturnType<typeof imageFolder>;
beforeAll(() => {
  folder = imageFolder('crash');
});
afterAll(() => {
  folder.remove();
});

const cases = casesOf('crash').filter(({ adapter }) => isWritable(adapter));

describe(`power cuts, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const { adapter, variant, name } of cases) {
    describeUnless(missingReason(adapter.tools), name, () => {
      it(`${String(STATES)} states are repaired, keep what was acknowledged, and show nothing stale`, () => {
        const untilMs = Date.now() + MINUTES * 60_000;
        const options = { adapter, variant, seed: SEED, states: STATES, folder: folder.path };
        const report = crashSuite({ ...options, untilMs });
        expect(report.distinct).toBeGreaterThan(0);
        recordResult('crash', name, report.distinct, { ...report });
      });
    });
  }
});

describe(`mutants of the order of writing, seed ${String(SEED)}`, () => {
  const first = new Map(cases.map((one) => [one.adapter.moduleId, one] as const).reverse());
  for (const { adapter, variant } of first.values()) {
    describeUnless(missingReason(adapter.tools), adapter.moduleId, () => {
      const mutants =
        sizeOf('DIOLAB_TRUST_FULL', 0) > 0
          ? adapter.orderMutants
          : adapter.orderMutants.slice(1, 3);
      for (const mutant of mutants) {
        it(`catches: ${mutant.name}`, () => {
          const options = { adapter, variant, seed: SEED, states: 1200, folder: folder.path };
          expect(() => crashSuite({ ...options, mutant })).toThrow(/seed/);
          recordResult('mutants', adapter.moduleId, 1, { [mutant.name]: 'caught' });
        });
      }
    });
  }
});
