// SPDX-License-Identifier: GPL-2.0-only
/** One test per rule that cuts a bio, with the numbers of each piece. */
import { describe, expect, it } from 'vitest';
import { Bio } from './bio.ts';
import type { QueueLimits } from './device.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { SPLIT_RULES, Splitter, surelyFits } from './split.ts';

/** [first sector, bytes, segments, rule that cut it, or null for the last]. */
type Piece = readonly [number, number, number, string | null];

function pieces(limits: Partial<QueueLimits>, bio: Bio): Piece[] {
  const all = { ...DEFAULT_LIMITS, physicalBlockBytes: 512, ...limits };
  const splitter = new Splitter(all);
  splitter.begin(bio);
  const found: Piece[] = [];
  let vectors = '';
  while (splitter.leftBytes > 0) {
    splitter.plan();
    expect(splitter.pieceBytes).toBeGreaterThan(0);
    const piece = new Bio(256);
    splitter.take(piece);
    expect(piece.sizeBytes).toBe(splitter.pieceBytes);
    const rule = splitter.leftBytes === 0 ? null : (SPLIT_RULES[splitter.rule] as string);
    found.push([piece.sectorStart, piece.sizeBytes, splitter.pieceSegments, rule]);
    for (let index = 0; index < piece.vectorCount * 3; index += 3) {
      vectors += coverOf(piece.vectors.subarray(index, index + 3));
    }
  }
  let expected = '';
  for (let index = 0; index < bio.vectorCount * 3; index += 3) {
    expected += coverOf(bio.vectors.subarray(index, index + 3));
  }
  expect(vectors).toBe(expected);
  if (surelyFits(all, bio)) expect(found).toHaveLength(1);
  return found;
}

/** Every sector of memory that a vector covers, as text. */
function coverOf(vector: Int32Array): string {
  const [page, offset, length] = vector as unknown as [number, number, number];
  let text = '';
  for (let at = 0; at < length; at += 512) text += `${String(page * 4096 + offset + at)} `;
  return text;
}

function bioOf(sectorStart: number, vectors: readonly (readonly [number, number, number])[]): Bio {
  const bio = new Bio(256);
  bio.sectorStart = sectorStart;
  for (const [page, offset, length] of vectors) bio.pushVector(page, offset, length);
  return bio;
}
const pages = (count: number): [number, number, number][] =>
  Array.from({ length: count }, (_, index) => [10 + 2 * index, 0, 4096]);

describe('split', () => {
  it('leaves a bio alone that keeps every limit', () => {
    expect(pieces({}, bioOf(0, pages(16)))).toEqual([[0, 65536, 16, null]]);
  });

  it('by the longest request', () => {
    expect(pieces({ ioSizeSectorsMax: 24 }, bioOf(8, pages(8)))).toEqual([
      [8, 12288, 3, 'ioSizeSectorsMax'],
      [32, 12288, 3, 'ioSizeSectorsMax'],
      [56, 8192, 2, null],
    ]);
  });

  it('by the longest request inside a vector', () => {
    expect(pieces({ ioSizeSectorsMax: 12 }, bioOf(0, pages(2)))).toEqual([
      [0, 6144, 2, 'ioSizeSectorsMax'],
      [12, 2048, 1, null],
    ]);
  });

  it('ends a piece on a physical block where it can', () => {
    const limits = { ioSizeSectorsMax: 255, physicalBlockBytes: 4096 };
    expect(pieces(limits, bioOf(3, pages(64)))).toEqual([
      [3, 253 * 512, 32, 'ioSizeSectorsMax'],
      [256, 248 * 512, 32, 'ioSizeSectorsMax'],
      [504, 11 * 512, 2, null],
    ]);
  });

  it('by whole logical blocks where a physical block does not fit', () => {
    const limits = { ioSizeSectorsMax: 7, physicalBlockBytes: 4096, logicalBlockBytes: 1024 };
    expect(pieces(limits, bioOf(0, pages(1)))).toEqual([
      [0, 3072, 1, 'ioSizeSectorsMax'],
      [6, 1024, 1, null],
    ]);
  });

  it('at every multiple of the chunk', () => {
    expect(pieces({ chunkSectors: 16 }, bioOf(12, pages(4)))).toEqual([
      [12, 2048, 1, 'chunkSectors'],
      [16, 8192, 3, 'chunkSectors'],
      [32, 6144, 2, null],
    ]);
  });

  it('by a chunk that is no power of two', () => {
    expect(pieces({ chunkSectors: 24 }, bioOf(20, pages(2)))).toEqual([
      [20, 2048, 1, 'chunkSectors'],
      [24, 6144, 2, null],
    ]);
  });

  it('by the smaller of chunk and longest request', () => {
    expect(pieces({ chunkSectors: 32, ioSizeSectorsMax: 24 }, bioOf(0, pages(6)))).toEqual([
      [0, 12288, 3, 'ioSizeSectorsMax'],
      [24, 4096, 1, 'chunkSectors'],
      [32, 8192, 2, null],
    ]);
  });

  it('by the number of segments', () => {
    expect(pieces({ segmentCountMax: 3 }, bioOf(0, pages(7)))).toEqual([
      [0, 12288, 3, 'segmentCountMax'],
      [24, 12288, 3, 'segmentCountMax'],
      [48, 4096, 1, null],
    ]);
  });

  it('counts a vector longer than a segment as several', () => {
    const limits = { segmentSizeBytesMax: 4096, segmentCountMax: 4 };
    expect(pieces(limits, bioOf(0, [[10, 0, 5 * 4096]]))).toEqual([
      [0, 4 * 4096, 4, 'segmentSizeBytesMax'],
      [32, 4096, 1, null],
    ]);
    expect(pieces({ ...limits, segmentCountMax: 8 }, bioOf(0, [[10, 0, 5 * 4096]]))).toEqual([
      [0, 5 * 4096, 5, null],
    ]);
  });

  it('rounds a piece down to whole logical blocks', () => {
    const limits = { logicalBlockBytes: 1024, physicalBlockBytes: 1024, segmentCountMax: 3 };
    const bio = bioOf(0, [[10, 0, 1024], [12, 512, 1024], [14, 0, 512], [16, 0, 512], [18, 0, 1024]]); // prettier-ignore
    expect(pieces(limits, bio)).toEqual([
      [0, 2048, 3, 'segmentCountMax'],
      [4, 2048, 3, null],
    ]);
  });

  it('says so where not even a logical block fits', () => {
    const limits = { ...DEFAULT_LIMITS, logicalBlockBytes: 1024, segmentCountMax: 1 };
    const splitter = new Splitter(limits);
    splitter.begin(bioOf(0, [[10, 0, 512], [12, 0, 512]])); // prettier-ignore
    splitter.plan();
    expect(splitter.pieceBytes).toBe(0);
  });

  it('splits what has no vectors by size and chunk', () => {
    const bio = new Bio(4);
    bio.op = 'discard';
    bio.sectorStart = 10;
    bio.sizeBytes = 40 * 512;
    expect(pieces({ ioSizeSectorsMax: 16, chunkSectors: 32 }, bio)).toEqual([
      [10, 16 * 512, 0, 'ioSizeSectorsMax'],
      [26, 6 * 512, 0, 'chunkSectors'],
      [32, 16 * 512, 0, 'ioSizeSectorsMax'],
      [48, 2 * 512, 0, null],
    ]);
  });
});
