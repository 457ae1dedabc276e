// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import { describe, expect, it } from 'vitest';
import { exhibitList, exhibitRun } from '../../../test/support/fake-lab/engine.ts';
import type { RevisionRun } from '../../../main/contract/index.ts';
import { contentParts, contentText, type Content } from './content.ts';
import ContentStrip from './ContentStrip.vue';
import ExhibitSide from './ExhibitSide.vue';

const content: Content = {
  revision: '2.5.47',
  of: 'disk',
  runs: [
    { offsetBytes: 4096, lengthBytes: 1024, what: 'stale' },
    { offsetBytes: 5120, lengthBytes: 3072, what: 'zeros' },
  ],
};

describe('the content of bytes', () => {
  it('is a strip of parts to scale, and a sentence', () => {
    expect(contentParts(content).map((part) => [part.from, part.share])).toEqual([
      [0, 0.25], [0.25, 0.75],
    ]); // prettier-ignore
    expect(contentText(content)).toBe(
      'on disk: 1\u00a0KiB stale at 4\u00a0KiB, 3\u00a0KiB zeros at 5\u00a0KiB',
    );
    expect(contentText({ ...content, runs: [] })).toBe('on disk: nothing');
    const strip = mount(ContentStrip, { props: { content } });
    expect(strip.get('[role=img]').attributes('aria-label')).toContain('1\u00a0KiB stale');
    expect(strip.findAll('.part').map((part) => part.text())).toEqual(['stale', 'zeros']);
    expect(strip.get('.ends').text()).toMatch(/4\sKiB\s*8\sKiB/);
  });
  it('of every exhibit fills its strip', () => {
    for (const { id } of exhibitList()) {
      for (const each of exhibitRun(id).content) {
        const parts = contentParts(each);
        expect(
          parts.reduce((sum, part) => sum + part.share, 0),
          id,
        ).toBeCloseTo(1);
      }
    }
  });
});

describe('a side of an exhibit', () => {
  it('says what was observed, and where the kernel stopped', () => {
    const stops = exhibitList()
      .map(({ id }) => exhibitRun(id))
      .find((done) => done.comparison.runs[0]?.stopped);
    const run = stops?.comparison.runs[0] as RevisionRun;
    const side = mount(ExhibitSide, {
      props: { role: 'old', run, observed: stops?.observed[0] ?? '', content: [content] },
    });
    expect(side.get('.observed').text()).toBe(stops?.observed[0]);
    expect(side.get('.stopped').text()).toContain(run.stopped?.what);
    expect(side.get('dl').text()).toContain('stopped');
    expect(side.findAll('.strip')).toHaveLength(1);
  });
});
