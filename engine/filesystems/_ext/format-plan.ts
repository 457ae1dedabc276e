// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where everything of a new ext file system goes, as mke2fs lays one out; pure, nothing is read or written here.
 *
 *   without flex_bg   each group: | superblock copy, descriptors, reserved | block bitmap | inode bitmap | inode table | data |
 *   with flex_bg      the first group of so many holds the bitmaps and inode tables of all of them, one kind after the other;
 *                     what finds no room there goes to the next group
 *
 * Rules: 1. Every structure lies inside one group. 2. A group without anything but its own superblock copy stays "uninitialised".
 * 3. `take` gives out what is free, first fit from a group on, and remembers it.
 */
import { HostError } from '../../base/index.ts';
import { COMPAT, DESCRIPTOR_BYTES, DESCRIPTOR_BYTES_64BIT } from './layout.ts';
import { groupHasSuperblock, INCOMPAT } from './layout.ts';

export interface FormatOptions {
  readonly title: string;
  readonly blockBytes: number;
  readonly inodeBytes: number;
  /** One inode for so many bytes of the device. */
  readonly bytesPerInode: number;
  readonly reservedPercent: number;
  readonly label: string;
  /** Feature words of the superblock; they decide what is made. */
  readonly compat: number;
  readonly incompat: number;
  readonly roCompat: number;
  /** Bytes of the journal; 'auto' as mke2fs chooses by the size of the image. Of meaning with has_journal only. */
  readonly journalBytes: number | 'auto';
  /** Inode tables that are marked unused are left as they are on the disk. Of meaning with group checksums only. */
  readonly isLazy: boolean;
}

/** A run of blocks. */
export interface BlockRun {
  readonly deviceBlock: number;
  readonly count: number;
}

/** Smallest last group that is worth having: its own metadata and this many blocks. */
const LAST_GROUP_SPARE_BLOCKS = 50;
const LOST_AND_FOUND_BYTES = 16384;
/** Room for the backups of 1,024 times as many blocks is kept for growing. */
const GROWTH_FACTOR = 1024;
export const GROUPS_PER_FLEX = 16;
const JOURNAL_BLOCKS_MIN = 1024;

/** Journal blocks by blocks of the file system (ext2fs_default_journal_size): the first row whose limit is above. */
const JOURNAL_BLOCKS: readonly (readonly [number, number])[] = [
  [2048, 0],
  [32_768, 1024],
  [262_144, 4096],
  [524_288, 8192],
  [4_194_304, 16_384],
  [8_388_608, 32_768],
  [16_777_216, 65_536],
  [33_554_432, 131_072],
  [Infinity, 262_144],
];

export function refuseFormat(message: string, hint: string): HostError {
  return new HostError({ code: 'format.bad-size', message, hint, exitCode: 65 });
}

interface Sizes {
  readonly blocksCount: number;
  readonly groupCount: number;
  readonly descriptorBlocks: number;
  readonly reservedDescriptorBlocks: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
}

export class FormatPlan {
  readonly blockBytes: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly descriptorBytes: number;
  readonly blocksCount: number;
  readonly groupCount: number;
  readonly descriptorBlocks: number;
  readonly reservedDescriptorBlocks: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly blockBitmap: Float64Array;
  readonly inodeBitmap: Float64Array;
  readonly inodeTable: Float64Array;
  readonly rootBlock: number;
  readonly lostBlocks: readonly number[];
  /** Double indirect block of the inode that keeps the reserved descriptor blocks; 0: there is none. */
  readonly resizeBlock: number;
  readonly journal: readonly BlockRun[];
  /** Used blocks of each group beyond its superblock copy, as [from, to) pairs in order. */
  private readonly used: number[][];

  /** Throws `HostError` where the device is too small or too large. */
  constructor(
    deviceBytes: number,
    readonly options: FormatOptions,
  ) {
    const { blockBytes } = options;
    this.blockBytes = blockBytes;
    this.firstDataBlock = blockBytes === 1024 ? 1 : 0;
    this.blocksPerGroup = blockBytes * 8;
    const is64Bit = (options.incompat & INCOMPAT['64bit']) !== 0;
    this.descriptorBytes = is64Bit ? DESCRIPTOR_BYTES_64BIT : DESCRIPTOR_BYTES;
    const sizes = this.measure(deviceBytes);
    this.blocksCount = sizes.blocksCount;
    this.groupCount = sizes.groupCount;
    this.descriptorBlocks = sizes.descriptorBlocks;
    this.reservedDescriptorBlocks = sizes.reservedDescriptorBlocks;
    this.inodesPerGroup = sizes.inodesPerGroup;
    this.inodeTableBlocks = sizes.inodeTableBlocks;
    this.blockBitmap = new Float64Array(this.groupCount);
    this.inodeBitmap = new Float64Array(this.groupCount);
    this.inodeTable = new Float64Array(this.groupCount);
    this.used = Array.from({ length: this.groupCount }, () => []);
    this.placeGroups();
    this.rootBlock = this.takeOne(0);
    const lost = Math.min(12, Math.max(2, LOST_AND_FOUND_BYTES / blockBytes));
    this.lostBlocks = Array.from({ length: lost }, () => this.takeOne(0));
    this.resizeBlock = this.reservedDescriptorBlocks > 0 ? this.takeOne(0) : 0;
    this.journal = this.take(this.journalBlocks(), Math.floor(this.groupCount / 2));
  }

  firstBlockOf(group: number): number {
    return this.firstDataBlock + group * this.blocksPerGroup;
  }
  blocksIn(group: number): number {
    return Math.min(this.blocksPerGroup, this.blocksCount - this.firstBlockOf(group));
  }
  /** Blocks of the superblock copy, the descriptors and those reserved for more of them. */
  headOf(group: number): number {
    if (!groupHasSuperblock(group, true)) return 0;
    return 1 + this.descriptorBlocks + this.reservedDescriptorBlocks;
  }
  /** The runs in use of a group, its head first. */
  usedRuns(group: number): readonly BlockRun[] {
    const runs: BlockRun[] = [];
    const head = this.headOf(group);
    if (head > 0) runs.push({ deviceBlock: this.firstBlockOf(group), count: head });
    const pairs = this.used[group] as number[];
    for (let at = 0; at < pairs.length; at += 2) {
      const from = pairs[at] as number;
      runs.push({ deviceBlock: from, count: (pairs[at + 1] as number) - from });
    }
    return runs;
  }
  /** Blocks in use in a group. */
  usedCount(group: number): number {
    return this.usedRuns(group).reduce((sum, { count }) => sum + count, 0);
  }
  /** True where a group's block bitmap is what its head alone makes it: it need not be written. */
  isUntouched(group: number): boolean {
    return (
      (this.used[group] as number[]).length === 0 && this.blocksIn(group) === this.blocksPerGroup
    );
  }

  /** Takes `count` blocks, first fit from a group on; throws where they are not there. */
  take(count: number, fromGroup: number): BlockRun[] {
    const runs: BlockRun[] = [];
    let left = count;
    for (let step = 0; step < this.groupCount && left > 0; step++) {
      const group = (fromGroup + step) % this.groupCount;
      for (const gap of this.gapsIn(group)) {
        if (left === 0) break;
        const taken = Math.min(left, gap.count);
        this.mark(group, gap.deviceBlock, taken);
        runs.push({ deviceBlock: gap.deviceBlock, count: taken });
        left -= taken;
      }
    }
    if (left > 0) throw this.tooSmall();
    return runs;
  }
  takeOne(fromGroup: number): number {
    return (this.take(1, fromGroup)[0] as BlockRun).deviceBlock;
  }

  tooSmall(): HostError {
    return refuseFormat(
      `the image is too small for ${this.options.title} with these options`,
      'Give a larger image, smaller blocks, fewer inodes or a smaller journal.',
    );
  }

  // Parts -----------------------------------------------------------------------------------------

  private measure(deviceBytes: number): Sizes {
    const { blockBytes, firstDataBlock, blocksPerGroup, options } = this;
    let blocksCount = Math.floor(deviceBytes / blockBytes);
    if (blocksCount >= 2 ** 32) {
      const message = `${options.title} is made with 2^32 - 1 blocks at most`;
      throw refuseFormat(message, 'Choose larger blocks or a smaller image.');
    }
    for (;;) {
      const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
      if (groupCount < 1) throw this.tooSmall();
      const perBlock = blockBytes / this.descriptorBytes;
      const descriptorBlocks = Math.ceil(groupCount / perBlock);
      const reserved = this.reservedFor(blocksCount, descriptorBlocks);
      const inodes = this.inodesFor(blocksCount, groupCount);
      const head = 1 + descriptorBlocks + reserved;
      const most = head + 2 * GROUPS_PER_FLEX + inodes.inodeTableBlocks + LAST_GROUP_SPARE_BLOCKS;
      if (most > blocksPerGroup) throw this.crowded();
      const own = groupHasSuperblock(groupCount - 1, true) ? head : 0;
      const overhead = own + 2 + inodes.inodeTableBlocks;
      const inLast = blocksCount - firstDataBlock - (groupCount - 1) * blocksPerGroup;
      if (groupCount > 1 && inLast < overhead + LAST_GROUP_SPARE_BLOCKS) {
        blocksCount -= inLast;
        continue;
      }
      if (inLast < overhead + LOST_AND_FOUND_BYTES / blockBytes + 8) throw this.tooSmall();
      const reservedDescriptorBlocks = reserved;
      return { blocksCount, groupCount, descriptorBlocks, reservedDescriptorBlocks, ...inodes };
    }
  }

  private crowded(): HostError {
    const message = `descriptors and inodes fill the groups of ${this.options.title} with these options`;
    return refuseFormat(message, 'Choose larger blocks, fewer or smaller inodes.');
  }

  /** calc_reserved_gdt_blocks */
  private reservedFor(blocksCount: number, descriptorBlocks: number): number {
    if ((this.options.compat & COMPAT.resize_inode) === 0) return 0;
    const perBlock = this.blockBytes / this.descriptorBytes;
    const most = Math.min(2 ** 32 - 1, blocksCount * GROWTH_FACTOR);
    const groups = Math.ceil((most - this.firstDataBlock) / this.blocksPerGroup);
    const wanted = Math.ceil(groups / perBlock) - descriptorBlocks;
    return Math.max(0, Math.min(wanted, this.blockBytes / 4));
  }

  private inodesFor(
    blocksCount: number,
    groupCount: number,
  ): { readonly inodesPerGroup: number; readonly inodeTableBlocks: number } {
    const { blockBytes, options } = this;
    const perBlock = blockBytes / options.inodeBytes;
    const share = (blocksCount * blockBytes) / options.bytesPerInode / groupCount;
    const wanted = Math.max(Math.ceil(share), 16);
    const step = Math.max(8, perBlock);
    const inodesPerGroup = Math.min(Math.ceil(wanted / step) * step, blockBytes * 8);
    if (inodesPerGroup * groupCount >= 2 ** 32) {
      const message = `${options.title} has 2^32 - 1 inodes at most`;
      throw refuseFormat(message, 'Give more bytes per inode.');
    }
    return { inodesPerGroup, inodeTableBlocks: Math.ceil(inodesPerGroup / perBlock) };
  }

  private placeGroups(): void {
    const isFlexible = (this.options.incompat & INCOMPAT.flex_bg) !== 0;
    const flex = isFlexible ? GROUPS_PER_FLEX : 1;
    for (let first = 0; first < this.groupCount; first += flex) {
      const end = Math.min(this.groupCount, first + flex);
      for (let group = first; group < end; group++) {
        this.blockBitmap[group] = this.takeTogether(1, first, end);
      }
      for (let group = first; group < end; group++) {
        this.inodeBitmap[group] = this.takeTogether(1, first, end);
      }
      for (let group = first; group < end; group++) {
        this.inodeTable[group] = this.takeTogether(this.inodeTableBlocks, first, end);
      }
    }
  }

  /** Takes one run of `count` blocks inside one of these groups. */
  private takeTogether(count: number, fromGroup: number, endGroup: number): number {
    for (let group = fromGroup; group < endGroup; group++) {
      for (const gap of this.gapsIn(group)) {
        if (gap.count < count) continue;
        this.mark(group, gap.deviceBlock, count);
        return gap.deviceBlock;
      }
    }
    throw this.crowded();
  }

  private gapsIn(group: number): BlockRun[] {
    const gaps: BlockRun[] = [];
    let next = this.firstBlockOf(group) + this.headOf(group);
    const pairs = this.used[group] as number[];
    for (let at = 0; at < pairs.length; at += 2) {
      const from = pairs[at] as number;
      if (from > next) gaps.push({ deviceBlock: next, count: from - next });
      next = pairs[at + 1] as number;
    }
    const end = this.firstBlockOf(group) + this.blocksIn(group);
    if (end > next) gaps.push({ deviceBlock: next, count: end - next });
    return gaps;
  }

  /** Joins a run that begins right behind a used one, or puts it in between. */
  private mark(group: number, deviceBlock: number, count: number): void {
    const pairs = this.used[group] as number[];
    let at = 0;
    while (at < pairs.length && (pairs[at] as number) < deviceBlock) at += 2;
    if (at > 0 && pairs[at - 1] === deviceBlock) pairs[at - 1] = deviceBlock + count;
    else pairs.splice(at, 0, deviceBlock, deviceBlock + count);
  }

  private journalBlocks(): number {
    const { options, blockBytes, blocksCount } = this;
    if ((options.compat & COMPAT.has_journal) === 0) return 0;
    if (options.journalBytes === 'auto') {
      const row = JOURNAL_BLOCKS.find(([limit]) => blocksCount < limit);
      const blocks = row?.[1] ?? 0;
      if (blocks === 0) {
        const message = `${String(blocksCount)} blocks are too few for a journal`;
        const least = `${String((2048 * blockBytes) / 1024)} KiB`;
        throw refuseFormat(message, `Give ${least} or more, smaller blocks, or no journal.`);
      }
      return blocks;
    }
    const blocks = Math.floor(options.journalBytes / blockBytes);
    if (blocks < JOURNAL_BLOCKS_MIN || blocks > blocksCount / 2) {
      const least = `${String((JOURNAL_BLOCKS_MIN * blockBytes) / 1024)} KiB`;
      const message = `a journal of ${String(options.journalBytes)} bytes does not fit`;
      throw refuseFormat(message, `It takes ${least} to half of the image.`);
    }
    return blocks;
  }
}
