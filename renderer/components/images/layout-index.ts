// SPDX-License-Identifier: GPL-2.0-only
/** The block map of an image, made ready for questions: which range a block is in, what a file has, how much each use takes. Pure. */
import type { ImageLayout } from '../../../main/contract/index.ts';
import { BLOCK_USES, SHOWN_USES, type BlockUse, type ShownUse } from './block-uses.ts';

/** Neighbouring blocks of one use and one owner. */
export interface LayoutRange {
  readonly index: number;
  readonly start: number;
  readonly count: number;
  readonly use: ShownUse;
  /** 0: of no file. */
  readonly inodeNumber: number;
  /** Which block of the owner the first one is; -1: not its content. */
  readonly fileBlock: number;
}
export interface UseFigure {
  readonly use: BlockUse;
  readonly blocks: number;
  readonly ranges: number;
}

export class LayoutIndex {
  readonly start: Float64Array;
  readonly count: Float64Array;
  readonly use: Uint8Array;
  readonly inodeNumber: Float64Array;
  readonly fileBlock: Float64Array;
  readonly blockCount: number;
  readonly blockSizeBytes: number;
  readonly fileSystemId: string;
  private readonly pathByInode = new Map<number, string>();
  private readonly inodeByPath = new Map<string, number>();
  private rangesByInode: Map<number, number[]> | null = null;

  constructor(layout: ImageLayout) {
    this.start = Float64Array.from(layout.start);
    this.count = Float64Array.from(layout.count);
    this.use = Uint8Array.from(layout.use);
    this.inodeNumber = Float64Array.from(layout.inodeNumber);
    this.fileBlock = Float64Array.from(layout.fileBlock);
    this.blockCount = layout.blockCount;
    this.blockSizeBytes = layout.blockSizeBytes;
    this.fileSystemId = layout.fileSystemId;
    for (const { inodeNumber, path } of layout.owners) {
      // The first path is the one shown; a hard link finds the same inode.
      if (!this.pathByInode.has(inodeNumber)) this.pathByInode.set(inodeNumber, path);
      this.inodeByPath.set(path, inodeNumber);
    }
  }
  get length(): number {
    return this.start.length;
  }
  /** Index of the range that holds a block; -1: beyond the device. */
  indexOf(block: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.start[middle] as number) <= block) low = middle;
      else high = middle - 1;
    }
    const start = this.start[low];
    if (start === undefined || block < start) return -1;
    return block < start + (this.count[low] as number) ? low : -1;
  }
  range(index: number): LayoutRange | null {
    const start = this.start[index];
    if (start === undefined) return null;
    return {
      index,
      start,
      count: this.count[index] as number,
      use: SHOWN_USES[this.use[index] as number] ?? 'outside',
      inodeNumber: this.inodeNumber[index] as number,
      fileBlock: this.fileBlock[index] as number,
    };
  }
  rangeAt(block: number): LayoutRange | null {
    return this.range(this.indexOf(block));
  }
  /** The first block of the range before (-1) or after (+1) the one that holds `block`, at the ends the block itself. */
  stepRange(block: number, step: 1 | -1): number {
    const index = this.indexOf(block);
    if (index < 0) return block;
    // Back from the middle of a range is to its own start, as in text.
    if (step < 0 && (this.start[index] as number) < block) return this.start[index] as number;
    return this.start[index + step] ?? block;
  }
  pathOf(inodeNumber: number): string | null {
    return this.pathByInode.get(inodeNumber) ?? null;
  }
  inodeOf(path: string): number | null {
    return this.inodeByPath.get(path) ?? null;
  }
  /** Ranges of a file in the order of the device: its content and the map of it. */
  rangesOf(inodeNumber: number): readonly LayoutRange[] {
    if (inodeNumber === 0) return [];
    if (this.rangesByInode === null) {
      this.rangesByInode = new Map();
      for (let index = 0; index < this.length; index += 1) {
        const owner = this.inodeNumber[index] as number;
        if (owner === 0) continue;
        const known = this.rangesByInode.get(owner);
        if (known) known.push(index);
        else this.rangesByInode.set(owner, [index]);
      }
    }
    const indexes = this.rangesByInode.get(inodeNumber) ?? [];
    return indexes.map((index) => this.range(index) as LayoutRange);
  }
  rangesOfUse(use: BlockUse): readonly LayoutRange[] {
    const wanted = BLOCK_USES.indexOf(use);
    const found: LayoutRange[] = [];
    for (let index = 0; index < this.length; index += 1) {
      if (this.use[index] === wanted) found.push(this.range(index) as LayoutRange);
    }
    return found;
  }
  /** How much each use takes, those that are there, in the order of `BLOCK_USES`. */
  figures(): readonly UseFigure[] {
    const blocks = new Float64Array(BLOCK_USES.length);
    const ranges = new Float64Array(BLOCK_USES.length);
    for (let index = 0; index < this.length; index += 1) {
      const use = this.use[index] as number;
      blocks[use] = (blocks[use] as number) + (this.count[index] as number);
      ranges[use] = (ranges[use] as number) + 1;
    }
    return BLOCK_USES.map((use, index) => ({
      use,
      blocks: blocks[index] as number,
      ranges: ranges[index] as number,
    })).filter((figure) => figure.blocks > 0);
  }
  /** Paths with these letters, at most `most`; those that begin with them or whose name does come first. */
  find(text: string, most: number): readonly string[] {
    const wanted = text.trim().toLowerCase();
    if (wanted === '') return [];
    const first: string[] = [];
    const rest: string[] = [];
    for (const path of this.inodeByPath.keys()) {
      const lower = path.toLowerCase();
      if (!lower.includes(wanted)) continue;
      const name = lower.slice(lower.lastIndexOf('/') + 1);
      if (lower.startsWith(wanted) || name.startsWith(wanted)) first.push(path);
      else if (rest.length < most) rest.push(path);
      if (first.length >= most) break;
    }
    return [...first, ...rest].slice(0, most);
  }
}
