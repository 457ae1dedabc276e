// SPDX-License-Identifier: GPL-2.0-only
/** The bio builder over traces of the engine itself: what it derives holds for every revision, and every exhibit can be drawn. */
import { describe, expect, it } from 'vitest';
import {
  explainInPage,
  exhibitList,
  exhibitRun,
  FILE_BYTES,
  revisionList,
} from '../../../test/support/fake-lab/engine.ts';
import type { TraceRow } from '../../../main/contract/index.ts';
import { layOut, markOfRow, wholeView } from './bio-layout.ts';
import { bioOfRow, buildModels } from './bio-model.ts';
import { biosTable, bioText, runsTable, summaryText } from './bio-words.ts';
import { stepOfRow } from './step-words.ts';

/** Every bio is made of whole pieces that lie behind each other on the disk. */
function checkModels(rows: readonly TraceRow[]): void {
  for (const model of buildModels(rows)) {
    for (const bio of model.bios) {
      const pieces = model.pieces.filter((piece) => piece.bio === bio.index);
      expect(pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0)).toBe(bio.sizeBytes);
      let device = bio.sectorStart * 512;
      for (const piece of pieces) {
        expect(piece.deviceBytes).toBe(device);
        expect(piece.row).toBeLessThan(bio.submitRow);
        device += piece.lengthBytes;
      }
      expect(bioText(model, bio, bio.submitRow)).toContain('ended because');
    }
    for (const cursor of [model.firstRow, (model.firstRow + model.lastRow) >> 1, model.lastRow]) {
      const layout = layOut(model, wholeView(model), 420, cursor);
      for (const lane of [
        'pages',
        'units',
        'bios',
        'runs',
        'disk',
        'data',
        'zeros',
        'holes',
      ] as const) {
        for (const shape of layout[lane]) {
          expect(shape.x, lane).toBeGreaterThanOrEqual(-0.01);
          expect(shape.x + shape.width, lane).toBeLessThanOrEqual(420.01);
        }
      }
    }
    for (const row of rows.slice(0, 400)) {
      markOfRow(model, row);
      bioOfRow(model, row);
    }
    expect(biosTable(model).rows.length).toBe(Math.min(300, model.bios.length));
    expect(runsTable(model).rows.length).toBe(Math.min(300, model.runs.length));
    expect(summaryText(model)).toMatch(/^(Read|Write) of /);
  }
}
const request = {
  target: null as never, memoryOffsetBytes: 0, isAsync: false, isDsync: false,
}; // prettier-ignore

describe.each(revisionList().map((revision) => revision.id))('on revision %s', (revision) => {
  it.each([
    ['a read across an indirect block', { op: 'read', offsetBytes: 40960, lengthBytes: 65536 }],
    ['a read of sectors', { op: 'read', offsetBytes: 1536, lengthBytes: 4096 }],
    ['a write into new blocks', { op: 'write', offsetBytes: FILE_BYTES + 1024, lengthBytes: 6144 }],
    ['a refused one', { op: 'read', offsetBytes: 100, lengthBytes: 4096 }],
  ] as const)('%s is drawn as it was built', (_, part) => {
    const { trace, steps } = explainInPage({ ...request, ...part, revision });
    expect(trace.length).toBeGreaterThan(2);
    checkModels(trace);
    expect(stepOfRow(steps, trace.length - 1)).toBeGreaterThan(0);
    expect(stepOfRow(steps, -1)).toBe(-1);
  });
});
it.each(exhibitList().map((exhibit) => exhibit.id))('the exhibit %s is drawn', (id) => {
  const { comparison } = exhibitRun(id);
  for (const run of comparison.runs) checkModels(run.explanation.trace);
});
it('draws 4 096 pages in a moment', () => {
  const { trace } = explainInPage({
    ...request, op: 'read', offsetBytes: 4096, lengthBytes: 2 ** 24, memoryOffsetBytes: 512, revision: '6.4',
  }); // prettier-ignore
  const [model] = buildModels(trace);
  expect(model?.pages).toHaveLength(4097);
  checkModels(trace);
});
