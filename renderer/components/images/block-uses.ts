// SPDX-License-Identifier: GPL-2.0-only
/**
 * The colour language of the block map: for each use of a block its words, its token (`--use-ID` in tokens.css) and its hatch. Pure.
 * Rule: two uses of one hatch differ in lightness by at least `LIGHTNESS_STEP`, whatever colours the eye can tell apart; uses that
 * look alike in grey differ in hatch. The test of this file holds both themes to it.
 */
import { BLOCK_USES, type BlockUse } from '../../../main/contract/types.ts';

export { BLOCK_USES, type BlockUse };
/** What a file can have that no block of the device is used for. */
export type ShownUse = BlockUse | 'hole';
/** Index of a use in everything that is drawn: as in `BLOCK_USES`, then 'hole'. */
export const SHOWN_USES: readonly ShownUse[] = [...BLOCK_USES, 'hole'];

/** How a use is drawn: 'solid' in its colour, the others as ink of its colour on the panel. */
export const HATCHES = [
  'solid', 'falling', 'rising', 'cross', 'upright', 'level', 'dots', 'checker', 'bars', 'sparse', 'brick',
] as const; // prettier-ignore
export type Hatch = (typeof HATCHES)[number];

export interface UseWords {
  readonly title: string;
  readonly help: string;
  readonly hatch: Hatch;
}
/** Least difference in lightness (CIE L*, 0 to 100) of two uses that share a hatch. */
export const LIGHTNESS_STEP = 9;

export const USE_WORDS: Readonly<Record<ShownUse, UseWords>> = {
  free: { title: 'free', help: 'Belongs to nobody.', hatch: 'solid' },
  data: { title: 'data', help: 'Content of a file.', hatch: 'solid' },
  unwritten: { title: 'unwritten', help: 'Allocated to a file and never written: reads as zeros.', hatch: 'falling' },
  directory: { title: 'directory', help: 'Names in a folder.', hatch: 'checker' },
  map: { title: 'file map', help: 'Where a file lies: indirect blocks or nodes of extents.', hatch: 'solid' },
  superblock: { title: 'superblock', help: 'What the file system is, and its copies.', hatch: 'solid' },
  descriptors: { title: 'descriptors', help: 'Where the parts of each group are.', hatch: 'level' },
  bitmap: { title: 'bitmap', help: 'Which blocks or inodes are taken.', hatch: 'dots' },
  inodes: { title: 'inodes', help: 'Tables of inodes: size, times and map of each file.', hatch: 'upright' },
  fat: { title: 'FAT', help: 'The file allocation table and its copies.', hatch: 'brick' },
  tree: { title: 'tree', help: 'Nodes of a B+tree of the file system.', hatch: 'rising' },
  journal: { title: 'journal', help: 'The log of changes of metadata.', hatch: 'bars' },
  reserved: { title: 'reserved', help: 'Set aside by the file system; not for files.', hatch: 'cross' },
  outside: { title: 'outside', help: 'Beyond the file system, or between its parts.', hatch: 'sparse' },
  hole: { title: 'hole', help: 'No block at all: reads as zeros.', hatch: 'sparse' },
}; // prettier-ignore

/** From the top of a column of the map to its bottom, where it holds several uses: what is rare and tells most stands on top. */
export const STACK_ORDER: readonly ShownUse[] = [
  'superblock', 'descriptors', 'bitmap', 'inodes', 'fat', 'tree', 'map', 'directory', 'journal', 'data',
  'unwritten', 'reserved', 'outside', 'hole', 'free',
]; // prettier-ignore
export const STACK_INDEXES: readonly number[] = STACK_ORDER.map((use) => SHOWN_USES.indexOf(use));

/** Whether a pixel of a hatch has ink. Patterns repeat every 24 pixels in both directions at most. */
export function hasInk(hatch: Hatch, x: number, y: number): boolean {
  switch (hatch) {
    case 'solid':
      return true;
    case 'falling':
      return (x + y) % 4 < 1;
    case 'rising':
      return (x + 3 * y) % 4 < 2;
    case 'cross':
      return (x + y) % 6 < 1 || (x + 5 * y) % 6 < 1;
    case 'upright':
      return x % 3 < 2;
    case 'level':
      return y % 3 < 2;
    case 'dots':
      return x % 3 < 2 && y % 3 < 2;
    case 'checker':
      return x % 4 < 2 === y % 4 < 2;
    case 'bars':
      return x % 6 < 4;
    case 'sparse':
      return x % 4 === 0 && y % 4 === 0;
    case 'brick':
      return y % 4 !== 0 && (x + (y % 8 < 4 ? 0 : 3)) % 6 !== 0;
  }
}
/** The token of a use. */
export const useToken = (use: ShownUse): string => `use-${use}`;

/** '#rrggbb' or '#rgb' (what a build makes of '#rrggbb' where it can) as a number. */
function rgbOf(color: string): number {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(color);
  const digits = short
    ? short
        .slice(1)
        .map((digit) => digit + digit)
        .join('')
    : color.slice(1, 7);
  return Number.parseInt(digits, 16) || 0;
}
/** An RGBA colour as one number, as a 32-bit pixel of a canvas has it in memory (little endian). */
export function pixelOf(color: string): number {
  const value = rgbOf(color);
  const [red, green, blue] = [(value >> 16) & 255, (value >> 8) & 255, value & 255];
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
/** A pixel between two others: `share` 0 is `from`, 1 is `to`. */
export function mixPixels(from: number, to: number, share: number): number {
  const part = (bits: number): number => {
    const a = (from >>> bits) & 255;
    return Math.round(a + (((to >>> bits) & 255) - a) * share) << bits;
  };
  return (part(0) | part(8) | part(16) | (255 << 24)) >>> 0;
}
const linear = (value: number): number => {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
};
/** CIE L* of a colour: what is left of a colour for an eye that sees none, and in print. */
export function lightnessOf(color: string): number {
  const value = rgbOf(color);
  const y =
    0.2126 * linear((value >> 16) & 255) +
    0.7152 * linear((value >> 8) & 255) +
    0.0722 * linear(value & 255);
  return y <= 0.008856 ? y * 903.3 : 116 * Math.cbrt(y) - 16;
}
