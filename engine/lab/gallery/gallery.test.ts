// SPDX-License-Identifier: GPL-2.0-only
/** Every exhibit shows on its old revision what it claims, and not on its fixed one. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findRevision } from '../../dio/index.ts';
import { EXHIBITS, findExhibit, runExhibit } from './index.ts';
import { runExhibitOn } from './run.ts';

const STOPPED = 'The kernel stopped here';

describe('the bug gallery', () => {
  it('lists each exhibit once, in a file named after it', () => {
    const ids = EXHIBITS.map(({ info }) => info.id);
    expect(new Set(ids).size).toBe(ids.length);
    const files = readdirSync(new URL('exhibits/', import.meta.url));
    expect(files.toSorted()).toEqual(ids.map((id) => `${id}.ts`).toSorted());
  });

  it('refuses an exhibit that is not there, and says which are', () => {
    expect(() => findExhibit('none')).toThrow(
      expect.objectContaining({ code: 'gallery.unknown', exitCode: 65 }),
    );
  });

  describe.each(EXHIBITS.map((exhibit) => [exhibit.info.id, exhibit] as const))(
    '%s',
    (id, exhibit) => {
      const { info } = exhibit;

      it('shows on the old revision and not on the fixed one', () => {
        const old = runExhibitOn(exhibit, info.oldRevision);
        const fixed = runExhibitOn(exhibit, info.fixedRevision);
        expect({ old: exhibit.isHit(old), fixed: exhibit.isHit(fixed) }).toEqual({
          old: true,
          fixed: false,
        });
        expect(findRevision(info.oldRevision)).not.toBe(findRevision(info.fixedRevision));
      });

      it('asks, says what is set up, and answers from the runs', () => {
        const { observed, answer, content, comparison } = runExhibit(id);
        expect(info.question).toMatch(/\?$/);
        for (const sentence of [...info.setting, ...answer, ...observed]) {
          expect(sentence).toMatch(/^[A-Z0-9].*[.]$/);
        }
        expect(observed[0]).not.toBe(observed[1]);
        expect(comparison.runs.map(({ revision }) => revision)).toEqual([
          info.oldRevision,
          info.fixedRevision,
        ]);
        // What differs first is named by the revisions' own list.
        expect(comparison.differences[0]).toBeNull();
        expect(comparison.differences[1]?.change).toBeTruthy();
        for (const { runs } of content) {
          expect(runs[0]?.offsetBytes).toBe(0);
          for (const [at, next] of runs.slice(1).entries()) {
            expect(next.offsetBytes).toBe(
              (runs[at]?.offsetBytes ?? 0) + (runs[at]?.lengthBytes ?? 0),
            );
          }
        }
        for (const { explanation, stopped } of comparison.runs) {
          expect(explanation.steps.length).toBeGreaterThan(0);
          expect(stopped === null).toBe(explanation.steps.at(-1)?.title !== STOPPED);
        }
      });
    },
  );
});
