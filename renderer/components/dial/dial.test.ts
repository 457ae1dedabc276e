// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import { beforeAll, describe, expect, it } from 'vitest';
import { compareInPage, FILE_BYTES, revisionList } from '../../../test/support/fake-lab/engine.ts';
import type { RevisionRun } from '../../../main/contract/index.ts';
import { differenceTitle, sideWords } from './difference-words.ts';
import { revisionColumns, revisionLines } from './revision-cells.ts';
import RevisionDial from './RevisionDial.vue';
import RevisionTable from './RevisionTable.vue';
import { byAge, layOutDial, nearestDetent, yearOf } from './timeline.ts';

const revisions = revisionList();
const ids = byAge(revisions).map((each) => each.id);
const comparison = compareInPage({
  request: {
    target: null as never, op: 'write', offsetBytes: FILE_BYTES + 1024, lengthBytes: 6144, memoryOffsetBytes: 0,
    isAsync: false, isDsync: false,
  },
  revisions: ['2.6.20', ...ids.filter((id) => id !== '2.6.20')],
}); // prettier-ignore
const runOf = (id: string): RevisionRun =>
  comparison.runs.find((run) => run.revision === id) as RevisionRun;
beforeAll(() => {
  globalThis.ResizeObserver = class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  };
});

describe('the timeline', () => {
  it('reads dates of any precision', () => {
    expect(yearOf('2009')).toBe(2009.5);
    expect(yearOf('2009-01-01')).toBe(2009);
    expect(yearOf('2006-12')).toBeGreaterThan(2006.9);
    expect(yearOf('2009-08-17')).toBeLessThan(yearOf('2009-09-09'));
  });
  it('sets revisions evenly apart, oldest first, and ties them to their years', () => {
    expect(ids).toEqual(['2.5.47', '2.6.20', '2.6.31-pages', '2.6.31', '3.1', '6.4', '6.5-merge']);
    const { detents, years } = layOutDial(revisions, 888);
    const gaps = detents.slice(1).map((detent, index) => detent.x - (detents[index]?.x ?? 0));
    for (const gap of gaps) expect(gap).toBeCloseTo(800 / 6);
    expect(detents.map((detent) => detent.timeX)).toEqual(
      detents.map((detent) => detent.timeX).toSorted((a, b) => a - b),
    );
    expect([years[0]?.year, years.at(-1)?.year]).toEqual([2002, 2024]);
    expect(nearestDetent(detents, 0)).toBe(0);
    expect(nearestDetent(detents, 700)).toBe(5);
    expect(layOutDial(revisions.slice(0, 1), 400).detents[0]?.x).toBe(200);
  });
});

describe('the dial', () => {
  const dial = () => mount(RevisionDial, { props: { revisions, left: '2.6.20', right: '6.4' } });
  it('has two sliders that say which revision they are at', () => {
    const [a, b] = dial().findAll('[role=slider]');
    expect(a?.attributes('aria-valuetext')).toContain('2.6.20');
    expect(b?.attributes()).toMatchObject({ 'aria-valuenow': '6', 'aria-valuemax': '7' });
  });
  it('moves a knob by the keys, to the ends and no further', async () => {
    const wrapper = dial();
    const [a, b] = wrapper.findAll('[role=slider]');
    await a?.trigger('keydown', { key: 'ArrowRight' });
    await a?.trigger('keydown', { key: 'Home' });
    await b?.trigger('keydown', { key: 'End' });
    await b?.trigger('keydown', { key: 'ArrowRight' });
    await b?.trigger('keydown', { key: 'x' });
    expect(wrapper.emitted('update:left')).toEqual([['2.6.31-pages'], ['2.5.47']]);
    expect(wrapper.emitted('update:right')).toEqual([['6.5-merge'], ['6.5-merge']]);
  });
  it('moves the nearer knob to a revision that is clicked', async () => {
    const wrapper = dial();
    await wrapper.findAll('.detent')[0]?.trigger('click');
    await wrapper.findAll('.detent')[6]?.trigger('click');
    await wrapper.findAll('.detent')[3]?.trigger('click');
    expect(wrapper.emitted('update:left')).toEqual([['2.5.47']]);
    expect(wrapper.emitted('update:right')).toEqual([['6.5-merge'], ['2.6.31']]);
  });
});

describe('the table over revisions', () => {
  it('marks what is unlike A, and leaves out what nobody has', () => {
    const columns = revisionColumns(comparison).map((column) => column.id);
    expect(columns).not.toContain('completed');
    const lines = revisionLines(comparison, ids);
    expect(lines.map((line) => line.id)).toEqual(ids);
    const cell = (id: string, column: string) =>
      lines.find((line) => line.id === id)?.cells[columns.indexOf(column)];
    expect(cell('2.6.20', 'bios')).toEqual({ text: '1', differs: false });
    expect(cell('6.4', 'bios')).toEqual({ text: '2', differs: true });
    expect(lines.find((line) => line.id === '2.6.20')?.difference).toBeNull();
    expect(lines.find((line) => line.id === '6.4')?.difference).toMatch(/\w+/);
  });
  it('chooses A and B by buttons, and B by a click on the line', async () => {
    const table = mount(RevisionTable, {
      props: { comparison, revisions, left: '2.6.20', right: '6.4' },
    });
    await table.get('[data-revision="3.1"]').trigger('click');
    await table.get('[aria-label="2.5.47 as A"]').trigger('click');
    expect(table.emitted()).toMatchObject({
      'update:right': [['3.1']], 'update:left': [['2.5.47']],
    }); // prettier-ignore
    expect(table.get('[aria-label="6.4 as B"]').attributes('aria-pressed')).toBe('true');
  });
});

describe('the words of a difference', () => {
  it('name the change, or say that there is none', () => {
    const [a, b] = [runOf('2.6.20'), runOf('6.4')];
    const difference = comparison.differences[comparison.runs.indexOf(b)] ?? null;
    expect(differenceTitle(difference, a, b)).toBe(difference?.change?.what);
    expect(differenceTitle(null, a, b)).toBe('2.6.20 and 6.4 do the same');
    expect(differenceTitle(null, a, a)).toBe('A and B are the same revision');
    expect(sideWords(b, difference?.rightRow ?? null)).toMatch(/^row \d+: /);
    expect(sideWords(b, null)).toBe('its trace has ended');
    expect(sideWords(b, 1_000_000)).toContain('beyond what is shown');
  });
});
