// SPDX-License-Identifier: GPL-2.0-only
/**
 * Draws the block map into pixels: every column of a row stands for its blocks, stacked by their shares. Pure; a pass over the columns
 * and over the ranges in view, whatever the size of the image.
 * Rule: a use that has a block in a column has a pixel in it, however few of the column's blocks it is. Nothing that is there is unseen.
 */
import { HATCHES, STACK_INDEXES, hasInk } from './block-uses.ts';
import { blocksInView, columnX, type MapPlace, type MapView } from './block-map.ts';
import type { LayoutIndex } from './layout-index.ts';

/** Blocks that stand out; the others are dimmed. Sorted by `start`, not overlapping. */
export interface Marks {
  readonly start: readonly number[];
  readonly count: readonly number[];
}
export interface MapInk {
  /** Pixels by index of use. */
  readonly ink: readonly number[];
  /** Index into HATCHES by index of use. */
  readonly hatch: readonly number[];
  /** Under a hatch, and between blocks. */
  readonly ground: number;
  /** As `ink` and `ground`, for what does not stand out. */
  readonly dimInk: readonly number[];
  readonly dimGround: number;
}
/** From this width on a block has a line before it. */
const SEPARATE_PX = 4;

/** How many of `height` pixels each use of a column gets; `counts` by index of use. In the order of the stack, into `heights`. */
export function stackHeights(
  counts: Float64Array,
  total: number,
  height: number,
  heights: Uint16Array,
): void {
  let given = 0;
  let largest = -1;
  heights.fill(0);
  for (let use = 0; use < counts.length; use += 1) {
    const count = counts[use] as number;
    if (count <= 0) continue;
    heights[use] = Math.max(1, Math.round((count / total) * height));
    given += heights[use] as number;
    if (largest < 0 || count > (counts[largest] as number)) largest = use;
  }
  // What rounding left goes to the largest; what it gave too much is taken from whichever is highest.
  if (largest < 0) return;
  if (given < height) heights[largest] = (heights[largest] as number) + height - given;
  for (; given > height; given -= 1) {
    let highest = 0;
    for (let use = 1; use < heights.length; use += 1) {
      if ((heights[use] as number) > (heights[highest] as number)) highest = use;
    }
    if (heights[highest] === 1) return;
    heights[highest] = (heights[highest] as number) - 1;
  }
}

/** Whether a column of blocks `from` to `to` has a marked block; goes on from where the column before it ended. */
class MarkReader {
  private at = 0;
  constructor(private readonly marks: Marks) {}
  has(from: number, to: number): boolean {
    const { start, count } = this.marks;
    while (
      this.at < start.length &&
      (start[this.at] as number) + (count[this.at] as number) <= from
    ) {
      this.at += 1;
    }
    return this.at < start.length && (start[this.at] as number) < to;
  }
}

/** Hatches as small tables, so that a pixel is a look-up. */
const TILE = 24;
const tiles: readonly Uint8Array[] = HATCHES.map((hatch) =>
  Uint8Array.from({ length: TILE * TILE }, (_, at) =>
    hasInk(hatch, at % TILE, Math.floor(at / TILE)) ? 1 : 0,
  ),
);

interface Column {
  readonly pixels: Uint32Array;
  readonly stride: number;
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
}
function paint(column: Column, use: number, from: number, to: number, ink: MapInk, isLit: boolean) {
  const color = (isLit ? ink.ink : ink.dimInk)[use] as number;
  const ground = isLit ? ink.ground : ink.dimGround;
  const tile = tiles[ink.hatch[use] as number] as Uint8Array;
  for (let y = column.y + from; y < column.y + to; y += 1) {
    const row = (y % TILE) * TILE;
    for (let x = column.x; x < column.x + column.width; x += 1) {
      column.pixels[y * column.stride + x] = tile[row + (x % TILE)] === 1 ? color : ground;
    }
  }
}

/** Adds the blocks from `from` to `to` to `counts`; returns the index of the range that holds `to`. */
function countUses(
  layout: LayoutIndex,
  at: number,
  from: number,
  to: number,
  counts: Float64Array,
): number {
  let index = at;
  for (let block = from; block < to && index < layout.length;) {
    const end = (layout.start[index] as number) + (layout.count[index] as number);
    const use = layout.use[index] as number;
    const next = Math.min(end, to);
    if (next > block) counts[use] = (counts[use] as number) + next - block;
    block = Math.max(block, next);
    if (end <= to) index += 1;
  }
  return index;
}

/** The map as pixels, `place.width` by `place.rows * place.rowPitch`; 0 (clear) where there is nothing. */
export function rasterMap(
  layout: LayoutIndex,
  view: MapView,
  place: MapPlace,
  ink: MapInk,
  marks: Marks | null,
): Uint32Array<ArrayBuffer> {
  const pixels = new Uint32Array(place.width * place.rows * place.rowPitch);
  const counts = new Float64Array(ink.ink.length);
  const heights = new Uint16Array(ink.ink.length);
  const reader = marks ? new MarkReader(marks) : null;
  const end = Math.min(place.blockCount, view.firstBlock + blocksInView(view, place));
  let index = Math.max(0, layout.indexOf(view.firstBlock));
  for (let row = 0; row < place.rows; row += 1) {
    const rowBlock = view.firstBlock + row * view.blocksPerRow;
    if (rowBlock >= end) break;
    for (let x = 0; x < place.width;) {
      const columnBlock = Math.floor((x * view.blocksPerRow) / place.width);
      const from = rowBlock + columnBlock;
      if (from >= end) break;
      // Pixels of one block are one column; a pixel of several blocks is a column of its own.
      const nextX = Math.max(x + 1, columnX(view, place, columnBlock + 1));
      const nextBlock = Math.max(
        columnBlock + 1,
        Math.floor((nextX * view.blocksPerRow) / place.width),
      );
      const to = Math.min(end, rowBlock + Math.min(view.blocksPerRow, nextBlock));
      counts.fill(0);
      index = countUses(layout, index, from, to, counts);
      const isLit = reader === null || reader.has(from, to);
      stackHeights(counts, to - from, place.rowHeight, heights);
      const gap = nextX - x >= SEPARATE_PX ? 1 : 0;
      const y = row * place.rowPitch;
      const column = { pixels, stride: place.width, x: x + gap, width: nextX - x - gap, y, height: place.rowHeight }; // prettier-ignore
      let top = 0;
      for (const use of STACK_INDEXES) {
        const height = Math.min(heights[use] ?? 0, place.rowHeight - top);
        if (height > 0) paint(column, use, top, top + height, ink, isLit);
        top += height;
      }
      x = nextX;
    }
  }
  return pixels;
}
