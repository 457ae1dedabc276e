// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TraceRow } from '../../../main/contract/index.ts';
import BioBuilder from './BioBuilder.vue';
import { layOut, markOfRow, panView, wholeView, zoomView } from './bio-layout.ts';
import {
  bioOfRow,
  bioStateAt,
  buildModels,
  modelAt,
  runEndAt,
  type BuilderModel,
} from './bio-model.ts';
import { biosTable, bioText, cellText, runsTable, runText, summaryText } from './bio-words.ts';

type Line = readonly [kind: TraceRow['kind'], values: readonly number[], bioId?: number];
const trace = (lines: readonly Line[], dioId = 1): TraceRow[] =>
  lines.map(([kind, values, bioId], index) => ({
    index, kind, atNs: index, dioId, bioId: bioId ?? null, values: [...values],
  })); // prettier-ignore
const MAPPED = 1;
const NEW = 3;
const BOUNDARY = 5;
const only = (rows: readonly TraceRow[]): BuilderModel => {
  const models = buildModels(rows);
  expect(models).toHaveLength(1);
  return models[0] as BuilderModel;
};

/** 2 KiB written from 512 B into a page, 1 KiB into a new 4 KiB block: head and tail come from the zero page. */
const newBlock = trace([
  ['request', [1, 9216, 2048, 0, 8192, 0]],
  ['align', [512, 4096, 0, 0]],
  ['align', [512, 512, 1, 1]],
  ['block-factor', [9, 3]],
  ['map', [2, 1, 1, NEW, 40, 1]],
  ['pin', [1, 7]],
  ['zero-edge', [0, 1024, 320]],
  ['section', [0, 0, 1024, 320, 0]],
  ['section', [7, 512, 2048, 322, 0]],
  ['bio-close', [1], 5],
  ['bio-submit', [320, 1024, 1, 0, 1], 5],
  ['bio-vector', [-1, 0, 1024], 5],
  ['zero-edge', [1, 1024, 326]],
  ['section', [0, 0, 1024, 326, 0]],
  ['bio-close', [4], 6],
  ['bio-submit', [322, 3072, 1, 0, 2], 6],
  ['wait', [2]],
  ['bio-end', [0], 5],
  ['bio-end', [-5], 6],
]);
/** Reads five blocks: two mapped, a hole of two, one mapped elsewhere behind a boundary. */
const holes = trace([
  ['request', [0, 0, 20480, 0, 20480, 0]],
  ['align', [0, 4096, 1, 0]],
  ['block-factor', [12, 0]],
  ['pin', [5, 10]],
  ['map', [0, 5, 0, MAPPED, 100, 2]],
  ['section', [10, 0, 4096, 100, 0]],
  ['section', [11, 0, 4096, 101, 0]],
  ['map', [2, 3, 0, 0, 0, 3]],
  ['hole', [2, 0]],
  ['zero', [12, 0, 4096]],
  ['map', [3, 2, 0, 0, 0, 2]],
  ['hole', [3, 0]],
  ['zero', [13, 0, 4096]],
  ['map', [4, 1, 0, BOUNDARY, 50, 1]],
  ['section', [14, 0, 4096, 50, 0]],
  ['bio-close', [0], 1],
  ['bio-submit', [800, 8192, 0, 0, 1], 1],
  ['bio-close', [3], 2],
  ['bio-submit', [400, 4096, 0, 0, 1], 2],
  ['bio-end', [0], 1],
  ['bio-end', [0], 2],
]);

describe('the model of a trace', () => {
  it('places head, data and tail of a new block, and says what came from the zero page', () => {
    const model = only(newBlock);
    expect(model).toMatchObject({
      unitBytes: 512,
      blockBytes: 4096,
      isRefused: false,
      op: 'write',
    });
    expect(
      model.pieces.map((piece) => [piece.source, piece.fileBytes, piece.lengthBytes, piece.bio]),
    ).toEqual([['head', 8192, 1024, 0], ['user', 9216, 2048, 1], ['tail', 11264, 1024, 1]]); // prettier-ignore
    expect(model.pages).toEqual([{ page: 7, index: 0, fileBytes: 8704, pinRow: 5 }]);
    expect(model.bios.map((bio) => [bio.id, bio.reason, bio.zeroBytes, bio.error])).toEqual([
      [5, 'not contiguous in the file', 1024, 0], [6, 'end of the request', 1024, -5],
    ]); // prettier-ignore
    expect(model.runs[0]).toMatchObject({ kind: 'mapped', isNew: true, deviceBytes: 40 * 4096 });
    expect(model.waitRows).toEqual([16]);
  });
  it('joins the units of a hole as they are met, and zeroes memory for them', () => {
    const model = only(holes);
    expect(model.runs.map((run) => [run.kind, run.fromBytes, run.toBytes, run.calls])).toEqual([
      ['mapped', 0, 8192, 1], ['hole', 8192, 16384, 2], ['mapped', 16384, 20480, 1],
    ]); // prettier-ignore
    const [, hole] = model.runs;
    expect([7, 8, 10, 11].map((row) => hole && runEndAt(hole, row))).toEqual([
      null, 12288, 12288, 16384,
    ]); // prettier-ignore
    expect(model.zeroed.map((part) => [part.fileBytes, part.pageIndex])).toEqual([
      [8192, 2], [12288, 3],
    ]); // prettier-ignore
    expect(model.bios.map((bio) => bio.parts)).toEqual([
      [{ fromBytes: 0, toBytes: 8192 }], [{ fromBytes: 16384, toBytes: 20480 }],
    ]); // prettier-ignore
  });
  it('knows a bio’s life by the row', () => {
    const [bio] = only(newBlock).bios;
    expect([6, 7, 9, 10, 16, 17].map((row) => bio && bioStateAt(bio, row))).toEqual([
      'later', 'building', 'building', 'in flight', 'in flight', 'done',
    ]); // prettier-ignore
    const model = only(newBlock);
    expect(model.bios[1] && bioStateAt(model.bios[1], 18)).toBe('failed');
    expect(bioOfRow(model, newBlock[7])?.id).toBe(5);
    expect(bioOfRow(model, newBlock[15])?.id).toBe(6);
    expect(bioOfRow(model, newBlock[4])).toBeNull();
  });
  it('shows pages that would have been pinned where the request was refused', () => {
    const rows = trace([
      ['request', [0, 100, 8192, 0, 20480, 0]],
      ['align', [100, 4096, 0, 0]],
      ['align', [100, 512, 0, 1]],
    ]);
    const [model] = buildModels(rows, { memoryBytes: 512 });
    expect(model).toMatchObject({ isRefused: true, unitBytes: 512, blockBytes: 4096 });
    expect(model?.pages.map((page) => [page.fileBytes, page.pinRow])).toEqual([
      [-412, Infinity], [3684, Infinity], [7780, Infinity],
    ]); // prettier-ignore
    const layout = layOut(model as BuilderModel, wholeView(model as BuilderModel), 600, 2);
    expect(layout.offEdges.map((edge) => edge.label)).toEqual([
      '100 B past a unit',
      '100 B past a unit',
    ]);
    expect(summaryText(model as BuilderModel)).toContain('ended before anything');
  });
  it('keeps requests that follow each other in one picture, and others apart', () => {
    const at = (offset: number, dioId: number): TraceRow[] =>
      trace(
        [
          ['request', [0, offset, 4096, 0, 65536, 0]],
          ['align', [0, 4096, 1, 0]],
        ],
        dioId,
      );
    const rows = [...at(0, 1), ...at(4096, 2), ...at(32768, 3)].map((row, index) => ({
      ...row,
      index,
    }));
    const models = buildModels(rows);
    expect(models.map((model) => [model.offsetBytes, model.endBytes])).toEqual([
      [0, 8192], [32768, 36864],
    ]); // prettier-ignore
    expect(modelAt(models, 3)?.offsetBytes).toBe(0);
    expect(modelAt(models, 4)?.offsetBytes).toBe(32768);
    expect(modelAt([], 0)).toBeNull();
    expect(buildModels([])).toEqual([]);
  });
});

describe('the layout', () => {
  it('draws every page and unit of a small request, and what is there at the cursor', () => {
    const model = only(newBlock);
    const view = wholeView(model);
    expect(view).toEqual({ fromBytes: 8192, toBytes: 12800 });
    const all = layOut(model, view, 720, 18);
    expect(all).toMatchObject({ pagesPerCell: 1, unitsPerCell: 1 });
    expect(all.units).toHaveLength(9);
    expect(all.zeros).toHaveLength(2);
    expect(all.bios.map((bio) => [bio.first, bio.state])).toEqual([
      [0, 'done'],
      [1, 'failed'],
    ]);
    const before = layOut(model, view, 720, 4);
    expect(before.bios).toEqual([]);
    expect(before.data).toEqual([]);
    expect(before.pages.map((page) => page.isTaken)).toEqual([false]);
    expect(before.runs.map((run) => run.isThere)).toEqual([true]);
    expect(layOut(model, view, 720, 3).runs.map((run) => run.isThere)).toEqual([false]);
  });
  it('puts the disk in its own order and leaves gaps out', () => {
    const model = only(holes);
    const layout = layOut(model, wholeView(model), 700, 20);
    expect(layout.disk.map((place) => place.deviceBytes)).toEqual([50 * 4096, 100 * 4096]);
    const [first, second] = layout.disk;
    expect((second?.x ?? 0) - (first?.x ?? 0) - (first?.width ?? 0)).toBeCloseTo(16);
    expect(layout.ribbons).toHaveLength(2);
    expect(layout.runs.map((run) => [run.kind, run.isBoundary])).toEqual([
      ['mapped', false], ['hole', false], ['mapped', true],
    ]); // prettier-ignore
    expect(layout.endOfFileX).toBeNull();
  });
  it('marks what a row is about', () => {
    const model = only(holes);
    expect(markOfRow(model, holes[3])).toEqual({ fromBytes: 0, toBytes: 20480, lanes: ['pages'] });
    expect(markOfRow(model, holes[4])?.lanes).toEqual(['map']);
    expect(markOfRow(model, holes[9])).toMatchObject({
      fromBytes: 8192,
      lanes: ['pages', 'units'],
    });
    expect(markOfRow(model, holes[16])).toEqual({ fromBytes: 0, toBytes: 8192, lanes: ['bios'] });
    expect(markOfRow(model, holes[0])).toBeNull();
  });
  it('draws a few hundred shapes a lane at most, however long and scattered the request', () => {
    const blocks = 4096;
    const lines: Line[] = [
      ['request', [0, 0, blocks * 4096, 0, blocks * 4096, 0]],
      ['block-factor', [12, 0]],
      ['pin', [blocks, 10]],
    ];
    for (let block = 0; block < blocks; block += 1) {
      const device = (block * 7919) % 8192;
      lines.push(
        ['map', [block, 1, 0, MAPPED, device, 1]],
        ['section', [10 + block, 0, 4096, device, 0]],
        ['bio-close', [0], block],
        ['bio-submit', [device * 8, 4096, 0, 0, 1], block],
        ['bio-end', [0], block],
      );
    }
    const model = only(trace(lines));
    expect(model.bios).toHaveLength(blocks);
    const layout = layOut(model, wholeView(model), 760, lines.length);
    for (const lane of ['pages', 'units', 'bios', 'runs', 'disk', 'ribbons', 'ticks'] as const) {
      expect(layout[lane].length, lane).toBeLessThanOrEqual(400);
      expect(layout[lane].length, lane).toBeGreaterThan(0);
    }
    expect(layout.pagesPerCell).toBe(32);
    expect(layout.bios.reduce((sum, bio) => sum + bio.count, 0)).toBe(blocks);
    const near = zoomView(wholeView(model), wholeView(model), 4096 * 2000, 1 / 512);
    expect(layOut(model, near, 760, lines.length).pagesPerCell).toBe(1);
    expect(biosTable(model).caption).toContain('the first 300 of 4\u2009096');
  });
  it('zooms and moves within the whole', () => {
    const whole = { fromBytes: 0, toBytes: 1 << 20 };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0.1, max: 4, noNaN: true }), fc.nat(1 << 20)), {
          maxLength: 20,
        }),
        (steps) => {
          let view = whole;
          for (const [factor, at] of steps) {
            view = zoomView(
              view,
              whole,
              Math.min(view.toBytes, Math.max(view.fromBytes, at)),
              factor,
            );
            view = panView(view, whole, at - (1 << 19));
            expect(view.fromBytes).toBeGreaterThanOrEqual(0);
            expect(view.toBytes).toBeLessThanOrEqual(whole.toBytes + 1e-6);
            expect(view.toBytes - view.fromBytes).toBeGreaterThanOrEqual(1024 - 1e-6);
          }
        },
      ),
    );
  });
});

describe('the words', () => {
  it('say of a bio what is in it and why it ended', () => {
    const model = only(newBlock);
    const [first, second] = model.bios;
    if (!first || !second) throw new Error('two bios');
    expect(bioText(model, second, 18)).toBe(
      'Bio 6, failed: write of 3\u00a0KiB at sector 322, 2 vectors, page 0. 1\u00a0KiB of it from the zero page. It ended because the request ends here.',
    );
    expect(bioText(model, first, 7)).toContain('being built');
    expect(biosTable(model).rows[0]).toEqual([
      '5',
      'none',
      '320',
      '1\u2009024',
      '1',
      '1\u2009024',
      'not contiguous in the file',
      '11',
    ]);
    expect(summaryText(model)).toContain('2\u00a0KiB written from the zero page');
  });
  it('say of a run and of a cell where it lies', () => {
    const model = only(holes);
    const [mapped, hole, last] = model.runs;
    expect(mapped && runText(mapped)).toContain('mapped from block 100');
    expect(hole && runText(hole)).toContain('met unit by unit in 2 steps');
    expect(last && runText(last)).toContain('metadata comes behind it');
    expect(runsTable(model).rows[1]?.slice(2, 4)).toEqual(['hole', '–']);
    const layout = layOut(model, wholeView(model), 700, 20);
    expect(layout.pages[0] && cellText(model, layout.pages[0], 'page')).toContain(
      'Page 0 of the buffer',
    );
  });
});

describe('the builder', () => {
  beforeAll(() => {
    globalThis.ResizeObserver = class {
      observe(): void {}
      unobserve(): void {}
      disconnect(): void {}
    };
  });
  const mounted = (cursor: number) =>
    mount(BioBuilder, { props: { rows: holes, cursor, title: 'Bio builder' } });
  it('steps with the keys, and lights the pages and blocks of a chosen bio', async () => {
    const builder = mounted(20);
    const picture = builder.get('.picture');
    await picture.trigger('keydown', { key: 'ArrowLeft' });
    await picture.trigger('keydown', { key: 'Home' });
    await picture.trigger('keydown', { key: 'PageUp' });
    expect(builder.emitted('update:cursor')).toEqual([[19], [0], [18]]);
    expect(builder.findAll('.lit')).toHaveLength(0);
    await picture.trigger('keydown', { key: 'ArrowDown' });
    expect(builder.get('.bio.lit').attributes('data-bio')).toBe('0');
    expect(
      builder
        .findAll('.page')
        .filter((page) => page.element.parentElement?.classList.contains('lit')),
    ).toHaveLength(2);
    expect(builder.get('.words').text()).toContain('Bio 1: read of 8');
    await picture.trigger('keydown', { key: 'Escape' });
    expect(builder.findAll('.lit')).toHaveLength(0);
    builder.unmount();
  });
  it('has the same facts as tables, for the eye when asked', async () => {
    const builder = mounted(20);
    expect(builder.findAll('.sr table caption').map((each) => each.text())).toEqual([
      'Bios',
      'Mapping runs',
    ]);
    await builder.get('[aria-label="Show as table"]').trigger('click');
    expect(builder.find('svg.read').exists()).toBe(false);
    expect(builder.findAll('.tables tbody tr')).toHaveLength(5);
    builder.unmount();
  });
  it('says so where no request entered direct I/O', () => {
    const builder = mount(BioBuilder, { props: { rows: [], cursor: 0, title: 'Bio builder' } });
    expect(builder.text()).toContain('there is nothing to build');
    builder.unmount();
  });
});
