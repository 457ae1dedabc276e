// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type {
  GroundInfo,
  GroundsResult,
  TraceRow,
  VerifyResult,
} from '../../../main/contract/index.ts';
import { experiment } from '../../../test/support/fake-lab/data.ts';
import { groundsOf } from '../../../test/support/fake-lab/grounds.ts';
import { tableToCsv } from '../run/download.ts';
import { alignRows, countMarks, filterLines } from './align.ts';
import { FIRST_CHOICE, keepChoice, possibleGrounds, readChoice } from './choice.ts';
import GroundsSetup from './GroundsSetup.vue';
import GroundsTable from './GroundsTable.vue';
import {
  cellOf,
  GROUND_COLUMNS,
  groundsTable,
  leastSeconds,
  secondsOf,
  tableLines,
} from './rows.ts';
import { shortWords, verifiable, worstTone } from './verify-words.ts';

const result = groundsOf('some-grounds', 0, experiment('a job'), 3);
const info = (id: GroundInfo['id'], unavailableWhy: string | null = null): GroundInfo => ({
  id, title: `Title of ${id}`, help: `What ${id} is`, unavailableWhy,
}); // prettier-ignore
const infos = [info('engine'), info('host-file'), info('loop-direct', 'no helper: install it')];

beforeEach(() => {
  localStorage.clear();
});

describe('the table of a measurement', () => {
  it('has a line for every ground asked for before anything is measured', () => {
    const begun: GroundsResult = { ...result, state: 'running', samples: [], rows: [] };
    const lines = tableLines(begun, infos);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({ ground: 'engine', title: 'Title of engine', row: null });
    expect(new Set(lines.map((line) => line.state))).toEqual(new Set(['waits for its turn']));
    expect(tableLines({ ...begun, state: 'cancelled' }, infos)[0]?.state).toBe('not measured');
  });
  it('counts the rounds that gave a number', () => {
    const states = tableLines(result, []).map((line) => line.state);
    expect(states.slice(0, 4)).toEqual(Array(4).fill('median of 3 rounds'));
    expect(states[4]).toBe('median of 2 of 3 rounds');
    const [cell, least] = [GROUND_COLUMNS[0], GROUND_COLUMNS[2]].map((column) =>
      column ? cellOf(column, result.rows[0] ?? null) : null,
    );
    expect(cell?.spread).toMatch(/^\d+\u2009\d{3} to \d+\u2009\d{3}$/);
    expect(least).toMatchObject({ unit: 'µs' });
  });
  it('is a table with a head for each line and column, and says why a number is memory’s', () => {
    const table = mount(GroundsTable, { props: { result, infos } });
    expect(table.findAll('thead th').every((head) => head.attributes('scope') === 'col')).toBe(
      true,
    );
    expect(table.findAll('tbody th[scope=row]')).toHaveLength(5);
    const cached = table.find('[data-ground=loop-buffered]');
    expect(cached.text()).toContain('Measures memory, not the disk: the disk moved 11 %');
    const described = cached.find('th').attributes('aria-describedby');
    expect(cached.find(`[id="${String(described)}"]`).text()).toContain('memory');
    expect(table.find('[data-ground=engine]').text()).not.toContain('memory');
    expect(table.find('[data-ground=kernel-mount]').text()).toContain('EIO');
  });
  it('is saved as CSV in base units, with a line for each ground', () => {
    const lines = tableToCsv(groundsTable(result)).trim().split('\n');
    expect(lines).toHaveLength(6);
    expect(lines[0]).toContain('iops_median,iops_min,iops_max');
    const [ground, rounds, median, min, max] = lines[1]?.split(',') ?? [];
    expect([ground, rounds]).toEqual(['engine', '3']);
    expect(Number(min)).toBeLessThanOrEqual(Number(median));
    expect(Number(median)).toBeLessThanOrEqual(Number(max));
  });
  it('knows how long it takes at least', () => {
    expect(secondsOf(experiment('a job'))).toBe(5);
    expect(secondsOf(experiment('a job', { timeBased: false }))).toBeNull();
    expect([leastSeconds(5, 2, 0.3), leastSeconds(5, 2, null)]).toEqual([3, null]);
  });
});

describe('what is chosen', () => {
  it('is kept for the next time, but not whose experiment', () => {
    keepChoice({ ...FIRST_CHOICE, runId: 'some-run', rounds: 7, grounds: ['engine'] });
    expect(readChoice()).toEqual({ ...FIRST_CHOICE, rounds: 7, grounds: ['engine'] });
  });
  it.each([[null], [7], [{ rounds: 0, seed: -1, secondsPerRun: 1e9, grounds: ['nothing'] }]])(
    'is sound whatever was stored: %j',
    (stored) => {
      localStorage.setItem('diolab.grounds', JSON.stringify(stored));
      const choice = readChoice();
      expect([choice.rounds, choice.seed, choice.runId]).toEqual([5, 1, '']);
    },
  );
  it('leaves out what is not possible here', () => {
    expect(possibleGrounds(FIRST_CHOICE, infos)).toEqual(['engine', 'host-file']);
    expect(possibleGrounds(FIRST_CHOICE, null)).toEqual([]);
  });
  it('shows why a ground is not possible, and gives the others on and off', async () => {
    const setup = mount(GroundsSetup, {
      props: { choice: FIRST_CHOICE, experiment: experiment('a job'), infos, error: null, runs: [], disabled: false },
    }); // prettier-ignore
    const boxes = setup.findAll<HTMLInputElement>('input[type=checkbox]');
    expect(boxes.map((box) => [box.element.checked, box.element.disabled])).toEqual([
      [true, false], [true, false], [false, true],
    ]); // prettier-ignore
    expect(setup.find('[data-choose=loop-direct]').text()).toContain('no helper: install it');
    await boxes[1]?.setValue(false);
    const change = setup.emitted('change')?.[0]?.[0] as { grounds: string[] };
    expect(change.grounds).not.toContain('host-file');
    const seconds = setup.find<HTMLInputElement>('#grounds-seconds');
    await seconds.setValue('');
    await seconds.setValue('0.3');
    await seconds.setValue('0.01');
    expect(setup.emitted('change')?.slice(1)).toEqual([
      [{ secondsPerRun: null }], [{ secondsPerRun: 0.3 }],
    ]); // prettier-ignore
  });
});

describe('predicted and actual requests', () => {
  const row = (kind: 'dispatch' | 'kernel-queue', atNs: number, op: number, sector: number, bytes: number): TraceRow => ({
    index: atNs, kind, atNs, dioId: -1, bioId: null, values: [sector, bytes, op],
  }); // prettier-ignore
  it('are one line where operation, place and length are the same', () => {
    const lines = alignRows([
      row('dispatch', 1, 0, 8, 4096), row('kernel-queue', 2, 0, 8, 4096),
      row('dispatch', 3, 0, 8, 4096), row('kernel-queue', 4, 1, 8, 4096),
      row('dispatch', 5, 2, 0, 0), row('kernel-queue', 6, 2, 99, 0),
    ]); // prettier-ignore
    expect(lines.map((line) => line.mark)).toEqual([
      'equal',
      'only-predicted',
      'only-actual',
      'equal',
    ]);
    expect(filterLines(lines, { mark: 'equal', operation: 2 })).toHaveLength(1);
    expect(filterLines(lines, { mark: 'all', operation: 1 })).toEqual([lines[2]]);
  });
  it('lose and invent no row, whatever their order', () => {
    const rows = fc.array(
      fc.record({
        kind: fc.constantFrom('dispatch' as const, 'kernel-queue' as const),
        atNs: fc.nat(1000), op: fc.nat(2), sector: fc.nat(3), bytes: fc.constantFrom(512, 1024),
      }),
    ); // prettier-ignore
    fc.assert(
      fc.property(rows, (list) => {
        const given = list.map((each) =>
          row(each.kind, each.atNs, each.op, each.sector, each.bytes),
        );
        const lines = alignRows(given);
        const back = lines
          .flatMap((line) => [line.predicted, line.actual])
          .filter((each) => each !== null);
        expect(new Set(back)).toEqual(new Set(given));
        expect(back).toHaveLength(given.length);
        const counts = countMarks(lines);
        expect(2 * counts.equal + counts['only-predicted'] + counts['only-actual']).toBe(
          given.length,
        );
        const times = lines.map((line) => line.predicted?.atNs ?? line.actual?.atNs ?? 0);
        expect(times).toEqual([...times].sort((a, b) => a - b));
      }),
    );
  });
});

describe('verifying the image of a run', () => {
  const verify = (fsck: VerifyResult['fsck']['state'], comparison: VerifyResult['comparison']['state']): VerifyResult => ({
    imagePath: '/a.img', partition: null, atUnixMs: 0, fsck: { state: fsck, text: '', output: '' },
    comparison: { state: comparison, files: 0, bytes: 0, text: '', firstDifference: null },
  }); // prettier-ignore
  it('is for runs that wrote to an image', () => {
    const writing = experiment('a job', { rw: 'randwrite' });
    expect(verifiable(writing)).toMatchObject({ partition: null });
    expect(verifiable(experiment('a job'))).toBeNull();
    expect(verifiable({ ...writing, target: { ...writing.target, by: 'host' } })).toBeNull();
    const memory = { ...writing.target, device: { id: 'memory', options: {} } };
    expect(verifiable({ ...writing, target: memory })).toBeNull();
  });
  it('says in short what was found, the worst first', () => {
    expect(shortWords(verify('clean', 'equal'))).toBe('clean, equal');
    expect(worstTone(verify('clean', 'equal'))).toBe('good');
    expect(worstTone(verify('damaged', 'equal'))).toBe('bad');
    expect(worstTone(verify('not-run', 'not-run'))).toBe('dim');
  });
});
