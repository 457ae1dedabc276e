// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImageLayout } from '../../../main/contract/index.ts';
import {
  blockAt, blocksInView, boxesOf, boxOf, clampView, FEWEST_BLOCKS_PER_ROW, isWhole, overviewFrame, panRows, rowStarts,
  viewOf, viewShowing, wholeView, zoomAround, type MapPlace, type MapView,
} from './block-map.ts'; // prettier-ignore
import { rasterMap, stackHeights, type MapInk } from './block-raster.ts';
import {
  BLOCK_USES, hasInk, HATCHES, LIGHTNESS_STEP, lightnessOf, mixPixels, pixelOf, SHOWN_USES, STACK_INDEXES, USE_WORDS, useToken, type ShownUse,
} from './block-uses.ts'; // prettier-ignore
import { LayoutIndex } from './layout-index.ts';

const place: MapPlace = { blockCount: 262_144, width: 800, rows: 24, rowPitch: 14, rowHeight: 12 };
const places = fc.record({
  blockCount: fc.integer({ min: 1, max: 2 ** 34 }),
  width: fc.integer({ min: 40, max: 4000 }),
  rows: fc.integer({ min: 1, max: 90 }),
  rowPitch: fc.constantFrom(14, 20),
  rowHeight: fc.constantFrom(12, 9),
});
/** A place, a view of it, and a number that picks a block. */
const cases = fc
  .tuple(places, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat())
  .map(([where, zoom, pan, pick]) => {
    const whole = wholeView(where).blocksPerRow;
    const view = clampView(
      { blocksPerRow: FEWEST_BLOCKS_PER_ROW * (whole / FEWEST_BLOCKS_PER_ROW) ** zoom, firstBlock: pan * where.blockCount },
      where,
    );
    const shown = Math.min(blocksInView(view, where), where.blockCount - view.firstBlock);
    return { where, view, block: view.firstBlock + (pick % shown) };
  }); // prettier-ignore

describe('the geometry of the block map', () => {
  it('shows the whole device first, without a block left over', () => {
    const view = wholeView(place);
    expect(view).toEqual({ firstBlock: 0, blocksPerRow: 10_923 });
    expect(blocksInView(view, place)).toBeGreaterThanOrEqual(place.blockCount);
    expect(blockAt(view, place, 0, 0)).toBe(0);
    expect(blockAt(view, { ...place, blockCount: 262_000 }, 799, 23 * 14)).toBeNull();
    expect(boxOf(view, place, place.blockCount - 1)?.y).toBe(23 * 14);
  });
  it('has every block in the pixels of its box, at every zoom', () => {
    fc.assert(
      fc.property(cases, ({ where, view, block }) => {
        const box = boxOf(view, where, block);
        if (box === null) throw new Error('a block in view has a box');
        expect(box.width).toBeGreaterThanOrEqual(1);
        for (const x of [box.x, box.x + box.width - 1]) {
          const found = blockAt(view, where, x, box.y) as number;
          const row = Math.floor((block - view.firstBlock) / view.blocksPerRow);
          const rowEnd = view.firstBlock + (row + 1) * view.blocksPerRow;
          const next = x + 1 < where.width ? blockAt(view, where, x + 1, box.y) : rowEnd;
          expect(found).toBeLessThanOrEqual(block);
          if (view.blocksPerRow <= where.width) expect(found).toBe(block);
          else expect(block).toBeLessThan(next ?? Infinity);
        }
      }),
    );
  });
  it('keeps a block in its row and near its pixel while it zooms, away from the ends', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(0.5, 0.8, 1.25, 2), ({ where, view, block }, factor) => {
        const next = zoomAround(view, where, block, factor);
        expect(clampView(next, where)).toEqual(next);
        const box = boxOf(next, where, block);
        expect(box).not.toBeNull();
        const before = boxOf(view, where, block);
        const isFree =
          next.firstBlock > 0 && next.firstBlock + blocksInView(next, where) < where.blockCount;
        if (!isFree || !box || !before) return;
        expect(box.y).toBe(before.y);
        const slack = 2 + where.width / Math.min(next.blocksPerRow, view.blocksPerRow);
        expect(Math.abs(box.x - before.x)).toBeLessThanOrEqual(slack);
      }),
    );
  });
  it('comes down to a few blocks in a row, and back to the whole', () => {
    let view: MapView = wholeView(place);
    for (let step = 0; step < 60; step += 1) view = zoomAround(view, place, 77_777, 0.7);
    expect(view.blocksPerRow).toBe(FEWEST_BLOCKS_PER_ROW);
    expect(boxOf(view, place, 77_777)?.width).toBeGreaterThan(100);
    for (let step = 0; step < 60; step += 1) view = zoomAround(view, place, 77_777, 1.4);
    expect(isWhole(view, place)).toBe(true);
    expect(view).toEqual(wholeView(place));
  });
  it('draws a range as one box for each row', () => {
    const view = { firstBlock: 0, blocksPerRow: 100 };
    expect(boxesOf(view, place, 250, 200)).toEqual([
      { x: 400, y: 28, width: 400, height: 12 },
      { x: 0, y: 42, width: 800, height: 12 },
      { x: 0, y: 56, width: 400, height: 12 },
    ]);
    expect(boxesOf(view, place, 100_000, 5)).toEqual([]);
  });
  it('moves a view only where it has to, to show a block or a range', () => {
    const view = { firstBlock: 1000, blocksPerRow: 100 };
    expect(viewShowing(view, place, 1000 + 2399)).toBe(view);
    const moved = viewShowing(view, place, 50_000);
    expect(boxOf(moved, place, 50_000)?.y).toBe(12 * 14);
    expect(moved.blocksPerRow).toBe(100);
    const near = viewOf(place, 70_000, 40);
    expect([boxOf(near, place, 70_000), boxOf(near, place, 70_039)]).not.toContain(null);
    expect(panRows(view, place, -50).firstBlock).toBe(0);
  });
  it('says where it is on the overview, and which block each row begins with', () => {
    expect(overviewFrame(wholeView(place), place, 800)).toEqual({ x: 0, width: 800 });
    const frame = overviewFrame({ firstBlock: 131_072, blocksPerRow: 100 }, place, 800);
    expect(frame.x).toBeCloseTo(400);
    expect(frame.width).toBeCloseTo(7.32, 1);
    const small = { ...place, blockCount: 40 };
    expect(rowStarts(wholeView(small), small)).toEqual([0, 6, 12, 18, 24, 30, 36]);
  });
});

const use = (name: ShownUse): number => SHOWN_USES.indexOf(name);
/** `parts`: use, count, inode, file block. */
function layoutOf(parts: readonly (readonly [number, number, number?, number?])[]): ImageLayout {
  const columns = { start: [] as number[], count: [] as number[], use: [] as number[], inodeNumber: [] as number[], fileBlock: [] as number[] }; // prettier-ignore
  let at = 0;
  for (const [each, count, inodeNumber = 0, fileBlock = -1] of parts) {
    columns.start.push(at);
    columns.count.push(count);
    columns.use.push(each);
    columns.inodeNumber.push(inodeNumber);
    columns.fileBlock.push(fileBlock);
    at += count;
  }
  return {
    fileSystemId: 'ext4', blockSizeBytes: 4096, blockCount: at, ...columns,
    owners: [{ inodeNumber: 12, path: '/data.bin' }, { inodeNumber: 12, path: '/same.bin' }, { inodeNumber: 13, path: '/logs/day.log' }],
  }; // prettier-ignore
}
const sample = new LayoutIndex(
  layoutOf([
    [use('superblock'), 1], [use('inodes'), 9], [use('data'), 20, 12, 0], [use('free'), 5], [use('data'), 10, 13, 0],
    [use('data'), 15, 12, 20], [use('map'), 1, 12], [use('free'), 39],
  ]),
); // prettier-ignore

describe('the index of a layout', () => {
  it('finds the range of every block, and none beyond the end', () => {
    expect(sample.rangeAt(0)?.use).toBe('superblock');
    expect(sample.rangeAt(29)).toMatchObject({ start: 10, count: 20, inodeNumber: 12, fileBlock: 0 });
    expect(sample.rangeAt(30)?.use).toBe('free');
    expect(sample.rangeAt(99)?.use).toBe('free');
    expect(sample.rangeAt(100)).toBeNull();
  }); // prettier-ignore
  it('knows what a file has, by each of its names', () => {
    expect(sample.inodeOf('/same.bin')).toBe(12);
    expect(sample.pathOf(12)).toBe('/data.bin');
    expect(sample.rangesOf(12).map((each) => each.start)).toEqual([10, 45, 60]);
    expect(sample.rangesOf(0)).toEqual([]);
  });
  it('steps from range to range', () => {
    expect([sample.stepRange(15, 1), sample.stepRange(15, -1), sample.stepRange(10, -1)]).toEqual([30, 10, 1]);
    expect([sample.stepRange(0, -1), sample.stepRange(99, 1)]).toEqual([0, 99]);
  }); // prettier-ignore
  it('adds up each use, and misses no block', () => {
    const figures = sample.figures();
    expect(figures.reduce((sum, each) => sum + each.blocks, 0)).toBe(sample.blockCount);
    expect(figures.find((each) => each.use === 'data')).toEqual({ use: 'data', blocks: 45, ranges: 3 });
    expect(sample.rangesOfUse('free').map((each) => each.start)).toEqual([30, 61]);
  }); // prettier-ignore
  it('finds files by a part of their names, beginnings first', () => {
    expect(sample.find('da', 5)).toEqual(['/data.bin', '/logs/day.log']);
    expect(sample.find('IN', 1)).toHaveLength(1);
    expect(sample.find(' ', 5)).toEqual([]);
  });
});

describe('the raster', () => {
  const ink: MapInk = {
    ink: SHOWN_USES.map((_, index) => index + 1),
    hatch: SHOWN_USES.map(() => 0),
    ground: 100,
    dimInk: SHOWN_USES.map((_, index) => index + 1001),
    dimGround: 1100,
  };
  it('stacks shares, and leaves none without a pixel', () => {
    const heights = new Uint16Array(BLOCK_USES.length);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.nat(1_000_000)), { minLength: BLOCK_USES.length, maxLength: BLOCK_USES.length }),
        (list) => {
          const counts = Float64Array.from(list);
          const total = list.reduce((sum, each) => sum + each, 0);
          fc.pre(total > 0);
          stackHeights(counts, total, 20, heights);
          expect(heights.reduce((sum, each) => sum + each, 0)).toBe(20);
          expect(list.every((count, index) => (count > 0) === ((heights[index] as number) > 0))).toBe(true);
        },
      ),
    );
  }); // prettier-ignore
  it('draws each block where the geometry says that it is', () => {
    const where: MapPlace = { blockCount: 100, width: 200, rows: 10, rowPitch: 6, rowHeight: 5 };
    const view = wholeView(where);
    const pixels = rasterMap(sample, view, where, ink, null);
    for (let block = 0; block < 100; block += 1) {
      const box = boxOf(view, where, block);
      if (!box) throw new Error('in view');
      const range = sample.rangeAt(block);
      const seen = pixels[box.y * where.width + box.x + box.width - 1];
      expect(seen).toBe(use(range?.use ?? 'outside') + 1);
      // The gap under the row stays clear.
      expect(pixels[(box.y + 5) * where.width + box.x]).toBe(0);
    }
  });
  it('shows a single block among a hundred thousand', () => {
    const large = new LayoutIndex(
      layoutOf([[use('free'), 500_000], [use('directory'), 1], [use('free'), 499_999]]),
    ); // prettier-ignore
    const where: MapPlace = { blockCount: 1_000_000, width: 300, rows: 4, rowPitch: 14, rowHeight: 12 };
    const pixels = rasterMap(large, wholeView(where), where, ink, null);
    expect(pixels.filter((pixel) => pixel === use('directory') + 1)).toHaveLength(1);
  }); // prettier-ignore
  it('counts every block once where there are many ranges and any zoom', () => {
    const parts = Array.from({ length: 20_000 }, (_, index) => [index % 2 === 0 ? use('data') : use('free'), 1 + (index % 7)] as const);
    const many = new LayoutIndex(layoutOf(parts));
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 400 }), fc.integer({ min: 1, max: 40 }), fc.double({ min: 0, max: 1, noNaN: true }), (width, rows, share) => {
        const where: MapPlace = { blockCount: many.blockCount, width, rows, rowPitch: 3, rowHeight: 2 };
        const whole = wholeView(where).blocksPerRow;
        const view = clampView({ blocksPerRow: whole ** share * 6 ** (1 - share), firstBlock: share * many.blockCount }, where);
        const pixels = rasterMap(many, view, where, ink, null);
        for (let x = 0; x < width; x += 7) {
          const block = blockAt(view, where, x, 0);
          const next = x + 1 < width ? blockAt(view, where, x + 1, 0) : null;
          const isSingle = block !== null && next !== null && next - block === 1;
          const used = isSingle ? many.rangeAt(block)?.use : null;
          if (used) expect([pixels[x], pixels[x + width]]).toContain(use(used) + 1);
        }
      }),
      { numRuns: 60 },
    );
  }); // prettier-ignore
  it('dims what is not of the file', () => {
    const where: MapPlace = { blockCount: 100, width: 200, rows: 10, rowPitch: 6, rowHeight: 5 };
    const marks = { start: [45, 60], count: [15, 1] };
    const pixels = rasterMap(sample, wholeView(where), where, ink, marks);
    const seen = (block: number): number | undefined => {
      const box = boxOf(wholeView(where), where, block);
      return box ? pixels[box.y * where.width + box.x + box.width - 1] : undefined;
    };
    expect([seen(44), seen(45), seen(59), seen(60), seen(61)]).toEqual([
      use('data') + 1001, use('data') + 1, use('data') + 1, use('map') + 1, use('free') + 1001,
    ]); // prettier-ignore
  });
});

describe('the colours of the uses', () => {
  const tokens = readFileSync(join(import.meta.dirname, '../../style/tokens.css'), 'utf8');
  const [, dark = '', light = ''] = tokens.split(/\[data-theme='(?:dark|light)'\] \{/);
  const colorOf = (theme: string, name: string): string => {
    const found = new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(theme)?.[1];
    if (found === undefined) throw new Error(`there is no --${name}`);
    return found;
  };
  it.each([['dark', dark], ['light', light]])('can be told apart without seeing colours, in the %s theme', (_, theme) => {
    for (const [index, one] of BLOCK_USES.entries()) {
      for (const other of BLOCK_USES.slice(index + 1)) {
        if (USE_WORDS[one].hatch !== USE_WORDS[other].hatch) continue;
        const difference = Math.abs(
          lightnessOf(colorOf(theme, useToken(one))) - lightnessOf(colorOf(theme, useToken(other))),
        );
        expect(difference, `${one} and ${other}`).toBeGreaterThanOrEqual(LIGHTNESS_STEP);
      }
    }
  }); // prettier-ignore
  it('stack every use once', () => {
    expect([...STACK_INDEXES].sort((a, b) => a - b)).toEqual(SHOWN_USES.map((_, index) => index));
  });
  it('repeat their hatches after 24 pixels, and each hatch is its own', () => {
    const pictures = HATCHES.map((hatch) => {
      let text = '';
      for (let y = 0; y < 24; y += 1) {
        for (let x = 0; x < 24; x += 1) {
          text += hasInk(hatch, x, y) ? '#' : '.';
          expect(hasInk(hatch, x + 24, y + 24)).toBe(hasInk(hatch, x, y));
        }
      }
      expect(text).toContain('#');
      return text;
    });
    expect(new Set(pictures).size).toBe(HATCHES.length);
  });
  it('become pixels', () => {
    expect([pixelOf('#102030'), pixelOf('#fff')]).toEqual([0xff302010, 0xffffffff]);
    expect(mixPixels(pixelOf('#000000'), pixelOf('#ffffff'), 0.5)).toBe(0xff808080);
    expect(lightnessOf('#ffffff')).toBeCloseTo(100, 0);
    expect(lightnessOf('#000000')).toBe(0);
  });
});
