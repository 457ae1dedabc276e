// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import { describe, expect, it } from 'vitest';
import { experiment } from '../../../test/support/fake-lab/data.ts';
import { makeResult } from '../../../test/support/fake-lab/numbers.ts';
import type { RunListEntry, RunResult } from '../../../main/contract/index.ts';
import { askedGroups } from './asked.ts';
import { fileNameOf, tableToCsv } from './download.ts';
import { factGroups, findFact } from './facts.ts';
import PlotTableView from './PlotTableView.vue';
import ResultSide from './ResultSide.vue';
import { matchesRun, RUN_COLUMNS } from './run-columns.ts';
import { liveTiles, resultTiles, spreadPercent } from './tiles.ts';

const result = makeResult(experiment('a run'), 0);
const side = (change: object): ReturnType<typeof mount> =>
  mount(ResultSide, {
    props: { result: null, progress: null, failure: null, isLive: false, ...change },
  });

describe('tiles', () => {
  it('are six, with a unit or a count, before, during and after', () => {
    expect(liveTiles(null).map((tile) => tile.shown.value)).toEqual(['–', '–', '–', '–', '–', '–']);
    const after = resultTiles(result);
    expect(after.map((tile) => tile.id)).toEqual(liveTiles(null).map((tile) => tile.id));
    expect(after[0]?.shown.value).toBe('104\u2009912');
    expect(after[5]?.shown.unit).toBe('of 32');
  });
  it('know a spread only of several intervals', () => {
    expect(spreadPercent([1, 2])).toBeNull();
    expect(spreadPercent([10, 10, 10, 10])).toBe(0);
  });
});

describe('facts of a run', () => {
  const failed: RunResult = {
    ...result,
    jobs: result.jobs.map((job) => ({
      ...job,
      errors: { EINVAL: 3, EIO: 1 },
      firstError: { op: 'read', fileOffsetBytes: 1000, lengthBytes: 4096, errno: 'EINVAL' },
    })),
  };
  it('are found by the names of a verdict’s evidence', () => {
    const groups = factGroups(result);
    for (const claim of result.verdict)
      for (const name of claim.evidence) expect(findFact(groups, name), name).not.toBeNull();
    expect(findFact(groups, 'jobs.submit')?.name).toBe('slat');
    expect(findFact(groups, 'a rule')).toBeNull();
  });
  it('list errors by errno, the most frequent first', () => {
    const errors = factGroups(failed).find((group) => group.id === 'errors')?.facts ?? [];
    expect(errors.slice(0, 4).map((fact) => [fact.title, fact.value])).toEqual([
      ['failed requests', '4'], ['EINVAL', '3'], ['EIO', '1'], ['first', 'read of 4\u2009096 B at 1\u2009000'],
    ]); // prettier-ignore
  });
});

describe('the side of a run', () => {
  it('says before a run what will happen, with its problems', () => {
    const check = {
      problems: [{ code: 'x', message: 'The depth is 9 000', hint: '1 to 4 096' }],
      alignment: [],
      summary: ['It reads.'],
      estimateSeconds: 5,
      willWriteBytes: null,
      needsConsent: false,
    };
    const text = side({ check }).text();
    expect(text).toContain('What will happen');
    expect(text).toContain('The depth is 9 000');
    expect(text).toContain('It reads.');
  });
  it('links a claim to its number', async () => {
    const box = side({ result });
    await box.get('.evidence button').trigger('click');
    await new Promise((resolve) => setTimeout(resolve));
    expect(box.findAll('.lit')).toHaveLength(1);
  });
  it('shows a failure with where and what would be right', () => {
    const text = side({
      failure: {
        code: 'image.gone',
        message: 'The image is gone',
        where: '/a.img',
        hint: 'Bring it back',
      },
    }).text();
    expect(text).toContain('/a.img');
    expect(text).toContain('Bring it back');
  });
});

describe('the list of runs', () => {
  const run: RunListEntry = {
    id: 'run-00000001', name: 'Night', state: 'aborted', startedAtUnixMs: 0, elapsedNs: null,
    summary: { rw: 'randread', blockSizeBytes: 4096, ioEngine: 'libaio', ioDepth: 8, fileSystem: 'ext2', revision: '6.4', iops: null, bytesPerSecond: null, p50Ns: null, p99Ns: null },
  }; // prettier-ignore
  it('shows no unit where there is no number, and sorts those last', () => {
    const iops = RUN_COLUMNS.find((column) => column.id === 'bandwidth');
    expect(iops?.show(run)).toEqual({ text: '–' });
    expect(iops?.sort(run)).toBe(-1);
  });
  it('is searched by every word, in any column', () => {
    expect(
      ['night libaio', 'ABORTED 4 kib', '6.4 ext2', ''].map((text) => matchesRun(run, text)),
    ).toEqual([true, true, true, true]);
    expect(matchesRun(run, 'night io_uring')).toBe(false);
  });
});

describe('what was asked, and exports', () => {
  it('names the ground and leaves out what says nothing', () => {
    const groups = askedGroups(experiment('x', { rampSeconds: 0, nowait: true }));
    expect(groups.map((group) => group.title)).toEqual(['Ground', 'Load', 'Alignment', 'Engine']);
    const load = new Map(groups[1]?.rows);
    expect(load.get('RWF_NOWAIT')).toBe('yes');
    expect(load.has('ramp')).toBe(false);
  });
  it('writes CSV that a program reads', () => {
    expect(tableToCsv({ caption: '', columns: ['a', 'b'], rows: [['1\u2009024', 'x, "y"']] })).toBe(
      'a,b\n1024,"x, ""y"""\n',
    );
    expect(fileNameOf('512 in 4096!')).toBe('512-in-4096');
  });
  it('shows a plot as a table with a caption', () => {
    const table = mount(PlotTableView, {
      props: { table: { caption: 'Throughput', columns: ['s', 'IOPS'], rows: [['1', '2']] } },
    });
    expect(table.get('caption').text()).toBe('Throughput');
    expect(table.findAll('td').map((cell) => cell.text())).toEqual(['1', '2']);
  });
});
