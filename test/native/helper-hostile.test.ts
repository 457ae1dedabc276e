// SPDX-License-Identifier: GPL-2.0-only
/** Hostile requests to the privileged helper: each is refused with its own status, and nothing on the system has changed. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { hostileCases } from '../support/helper-cases.ts';
import { HelperLab } from '../support/helper-lab.ts';
import { useHelper, whyNoHelper } from '../support/helper.ts';
import { describeUnless } from '../support/tools.ts';

for (const group of ['frames', 'fds', 'numbers', 'order', 'start'] as const) {
  describeUnless(whyNoHelper(), `hostile ${group}`, () => {
    let helper: ReturnType<typeof useHelper> | null = null;
    let lab: HelperLab | null = null;
    beforeAll(() => {
      helper = useHelper();
      lab = new HelperLab(helper.path);
    });
    afterEach(async () => {
      await lab?.clear();
      expect(lab?.loops()).toEqual([]);
    });
    afterAll(() => {
      lab?.dispose();
      helper?.dispose();
    });
    for (const row of hostileCases.filter((candidate) => candidate.group === group)) {
      const why = row.skipWhy?.() ?? null;
      it.skipIf(why !== null)(`${row.name}${why === null ? '' : ` [${why}]`}`, async () => {
        await row.run(lab as HelperLab);
      });
    }
  });
}
