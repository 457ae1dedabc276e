// SPDX-License-Identifier: GPL-2.0-only
/** Progress as it is stored, seeds of an address, and the map of a file as a strip. */
import { describe, expect, it } from 'vitest';
import { mapRows, markOf, shownBlocks, stripParts, type MapEvidence } from './map-strip.ts';
import { drawSeed, progressText, readProgress, seedOf, withAnswer } from './progress.ts';

describe('progress', () => {
  it('takes what is progress of what is stored, and nothing else', () => {
    expect(readProgress(null)).toEqual({});
    expect(readProgress('all of it')).toEqual({});
    const stored = { a: { tried: 3, right: 2 }, b: { tried: -1, right: 0 }, c: null, d: { tried: 1, right: 5 } }; // prettier-ignore
    expect(readProgress(stored)).toEqual({ a: { tried: 3, right: 2 }, d: { tried: 1, right: 1 } });
  });

  it('counts answers by lesson', () => {
    const once = withAnswer({}, 'a', false);
    expect(once).toEqual({ a: { tried: 1, right: 0 } });
    expect(withAnswer(once, 'a', true)).toEqual({ a: { tried: 2, right: 1 } });
    expect(progressText({ tried: 2, right: 1 })).toBe('1 of 2 right');
    expect(progressText(undefined)).toBe('');
  });
});

describe('seeds', () => {
  it('are whole numbers of 32 bits', () => {
    expect([seedOf('0'), seedOf('4294967295')]).toEqual([0, 4_294_967_295]);
    for (const no of ['4294967296', '-1', '1.5', '', 'x', undefined, ['1']]) {
      expect(seedOf(no)).toBe(null);
    }
  });
  it('are never the last one again', () => {
    const first = drawSeed(null);
    for (let index = 0; index < 50; index += 1) expect(drawSeed(first)).not.toBe(first);
  });
});

describe('the strip of a file', () => {
  const map: MapEvidence = {
    kind: 'map',
    title: 'A file',
    blockSizeBytes: 4096,
    sizeBytes: 10 * 4096,
    extents: [
      { fileBlock: 0, count: 4, deviceBlock: 100, state: 'mapped' },
      { fileBlock: 4, count: 2, deviceBlock: 200, state: 'unwritten' },
      { fileBlock: 8, count: 2, deviceBlock: 300, state: 'mapped' },
    ],
    marked: { offsetBytes: 9 * 4096, lengthBytes: 3 * 4096 },
  };
  it('has extents, holes and what is behind the end, without gaps', () => {
    expect(shownBlocks(map)).toBe(12);
    const parts = stripParts(map);
    expect(parts.map(({ kind }) => kind)).toEqual(['data', 'unwritten', 'hole', 'data', 'beyond']);
    let at = 0;
    for (const { fromPercent, widthPercent } of parts) {
      expect(fromPercent).toBeCloseTo(at, 6);
      at = fromPercent + widthPercent;
    }
    expect(at).toBeCloseTo(100, 6);
  });
  it('marks the request, and says the same as rows', () => {
    expect(markOf(map)?.fromPercent).toBeCloseTo(75, 6);
    expect(markOf(map)?.widthPercent).toBeCloseTo(25, 6);
    expect(markOf({ ...map, marked: null })).toBe(null);
    expect(mapRows(map).map(({ file, image, state }) => [file, image, state])).toEqual([
      ['0 to 3', '100 to 103', 'written'],
      ['4 to 5', '200 to 201', 'unwritten'],
      ['6 to 7', 'none', 'hole'],
      ['8 to 9', '300 to 301', 'written'],
    ]);
  });
});
