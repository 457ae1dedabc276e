// SPDX-License-Identifier: GPL-2.0-only
/**
 * Group descriptors: where each group's bitmaps and inode table are, and what is free in it. The raw table is kept in memory and is
 * the truth; changed blocks of it are written by the commit, sealed there.
 *
 * With flexible groups a bitmap or table may lie in another group; what is metadata is then a question of ranges (`isSystemBlock`).
 */
import type { Checksums } from './checksum.ts';
import { DiskRecord, damaged } from './disk-record.ts';
import { DESCRIPTOR_BYTES, GD, groupHasSuperblock } from './layout.ts';
import { setBit } from './bitmap.ts';
import type { Geometry } from './superblock.ts';

export class GroupTable {
  readonly blockBitmap: Float64Array;
  readonly inodeBitmap: Float64Array;
  readonly inodeTable: Float64Array;
  readonly inodeTableBlocks: number;
  /** Groups whose descriptors differ from the disk. */
  readonly dirtyGroups = new Set<number>();
  /** Groups whose bitmap changed since its checksum was put into the descriptor. */
  readonly unsealedBlockBitmaps = new Set<number>();
  readonly unsealedInodeBitmaps = new Set<number>();
  freeBlocksTotal = 0;
  freeInodesTotal = 0;
  private readonly isWide: boolean;
  /** Starts and ends of ranges of metadata, ascending and apart: start, end, start, end ... */
  private readonly systemRanges: Float64Array;

  constructor(
    readonly geometry: Geometry,
    private readonly checksums: Checksums,
    /** The blocks of the table, one after the other. */
    private readonly raw: Uint8Array,
  ) {
    const { groupCount, inodesPerGroup, inodeBytes, blockBytes, descriptorBytes } = geometry;
    this.isWide = descriptorBytes > DESCRIPTOR_BYTES;
    this.inodeTableBlocks = Math.ceil((inodesPerGroup * inodeBytes) / blockBytes);
    this.blockBitmap = new Float64Array(groupCount);
    this.inodeBitmap = new Float64Array(groupCount);
    this.inodeTable = new Float64Array(groupCount);
    for (let group = 0; group < groupCount; group++) this.readDescriptor(group);
    this.systemRanges = this.findSystemRanges();
  }

  private readDescriptor(group: number): void {
    const { geometry } = this;
    const record = this.record(group);
    this.verify(group, record);
    const first = geometry.hasFlexGroups ? geometry.firstDataBlock : this.firstBlock(group);
    const last = geometry.hasFlexGroups
      ? geometry.blocksCount - 1
      : first + this.blocksIn(group) - 1;
    const within = (field: string, low: number, high: number, count: number): number => {
      const value = record.u32(low) + (this.isWide ? record.u32(high) * 2 ** 32 : 0);
      if (value < first || value + count - 1 > last) {
        throw record.damaged(field, value, `blocks ${String(first)} to ${String(last)}`);
      }
      return value;
    };
    this.blockBitmap[group] = within('block_bitmap', GD.blockBitmap, GD.blockBitmapHigh, 1);
    this.inodeBitmap[group] = within('inode_bitmap', GD.inodeBitmap, GD.inodeBitmapHigh, 1);
    const { inodeTableBlocks } = this;
    this.inodeTable[group] = within(
      'inode_table',
      GD.inodeTable,
      GD.inodeTableHigh,
      inodeTableBlocks,
    );
    const free = this.freeBlocks(group);
    if (free > this.blocksIn(group)) {
      throw record.damaged('free_blocks_count', free, `at most ${String(this.blocksIn(group))}`);
    }
    for (const [field, value] of [
      ['free_inodes_count', this.freeInodes(group)],
      ['used_dirs_count', this.directories(group)],
      ['itable_unused', this.unusedInodes(group)],
    ] as const) {
      if (value <= geometry.inodesPerGroup) continue;
      throw record.damaged(field, value, `at most ${String(geometry.inodesPerGroup)}`);
    }
    this.freeBlocksTotal += free;
    this.freeInodesTotal += this.freeInodes(group);
  }

  private verify(group: number, record: DiskRecord): void {
    const { checksums, geometry } = this;
    if (checksums.kind === 'none') return;
    const { descriptorBytes } = geometry;
    const at = group * descriptorBytes;
    const expected = checksums.descriptorChecksum(group, this.raw, at, descriptorBytes);
    const found = record.u16(GD.checksum);
    if (found === expected) return;
    throw record.damaged('checksum', `0x${found.toString(16)}`, `0x${expected.toString(16)}`);
  }

  /** Ranges of all metadata that belongs to no file. Throws where two parts share a block. */
  private findSystemRanges(): Float64Array {
    const { geometry } = this;
    const parts: { start: number; end: number; group: number; field: string }[] = [];
    const add = (group: number, field: string, start: number, count: number): void => {
      if (count > 0) parts.push({ start, end: start + count, group, field });
    };
    for (let group = 0; group < geometry.groupCount; group++) {
      add(group, 'superblock', this.firstBlock(group), headBlocks(geometry, group));
      add(group, 'block_bitmap', this.blockBitmap[group] as number, 1);
      add(group, 'inode_bitmap', this.inodeBitmap[group] as number, 1);
      add(group, 'inode_table', this.inodeTable[group] as number, this.inodeTableBlocks);
    }
    parts.sort((a, b) => a.start - b.start);
    const ranges: number[] = [];
    let end = -1;
    for (const part of parts) {
      if (part.start < end) {
        throw this.record(part.group).damaged(part.field, part.start, 'blocks of its own');
      }
      if (part.start === end) ranges[ranges.length - 1] = part.end;
      else ranges.push(part.start, part.end);
      end = part.end;
    }
    return Float64Array.from(ranges);
  }

  firstBlock(group: number): number {
    return this.geometry.firstDataBlock + group * this.geometry.blocksPerGroup;
  }
  blocksIn(group: number): number {
    const { blocksCount, blocksPerGroup } = this.geometry;
    return Math.min(blocksPerGroup, blocksCount - this.firstBlock(group));
  }
  groupOf(deviceBlock: number): number {
    const { firstDataBlock, blocksPerGroup } = this.geometry;
    return Math.floor((deviceBlock - firstDataBlock) / blocksPerGroup);
  }
  groupOfInode(inodeNumber: number): number {
    return Math.floor((inodeNumber - 1) / this.geometry.inodesPerGroup);
  }

  /** Superblock, descriptors, bitmaps and inode tables: blocks that belong to no file. */
  isSystemBlock(deviceBlock: number): boolean {
    return this.touchesSystem(deviceBlock, 1);
  }

  /** Some block of the run is one of those (ext4_inode_block_valid). */
  touchesSystem(deviceBlock: number, count: number): boolean {
    if (deviceBlock < this.geometry.firstDataBlock) return true;
    const { systemRanges: ranges } = this;
    // First range that ends behind the run's start.
    let low = 0;
    let high = ranges.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ranges[middle * 2 + 1] as number) > deviceBlock) high = middle;
      else low = middle + 1;
    }
    return low * 2 < ranges.length && (ranges[low * 2] as number) < deviceBlock + count;
  }

  /** Calls back with every run of metadata inside a group, as bits of its bitmap: first bit, end bit. */
  eachSystemRun(group: number, visit: (from: number, to: number) => void): void {
    const first = this.firstBlock(group);
    const last = first + this.blocksIn(group);
    const { systemRanges: ranges } = this;
    for (let at = 0; at < ranges.length; at += 2) {
      const from = Math.max(first, ranges[at] as number);
      const to = Math.min(last, ranges[at + 1] as number);
      if (from < to) visit(from - first, to - first);
    }
  }

  // Bitmaps that were never written ---------------------------------------------------------------

  hasFlag(group: number, flag: number): boolean {
    return this.geometry.hasLazyGroups && (this.u16(group, GD.flags) & flag) !== 0;
  }
  clearFlag(group: number, flag: number): void {
    this.setU16(group, GD.flags, this.u16(group, GD.flags) & ~flag);
    this.dirtyGroups.add(group);
  }
  setFlag(group: number, flag: number): void {
    this.setU16(group, GD.flags, this.u16(group, GD.flags) | flag);
    this.dirtyGroups.add(group);
  }

  /** ext4_init_block_bitmap: what the bitmap of a group with BLOCK_UNINIT stands for. */
  fillBlockBitmap(group: number, bytes: Uint8Array): void {
    const { geometry } = this;
    bytes.fill(0);
    this.eachSystemRun(group, (from, to) => {
      for (let bit = from; bit < to; bit++) setBit(bytes, bit);
    });
    const head = headBlocks(geometry, group);
    if (head > 0 && hasSuperblock(geometry, group) && geometry.firstMetaGroup === Infinity) {
      for (let bit = head; bit < head + geometry.reservedDescriptorBlocks; bit++)
        setBit(bytes, bit);
    }
    fillTail(bytes, this.blocksIn(group));
  }

  /** ext4_init_inode_bitmap, for INODE_UNINIT: all are free. */
  fillInodeBitmap(bytes: Uint8Array): void {
    bytes.fill(0);
    fillTail(bytes, this.geometry.inodesPerGroup);
  }

  /** bg_itable_unused: inodes at the end of the group's table that were never used. */
  unusedInodes(group: number): number {
    return this.geometry.hasLazyGroups ? this.wide(group, GD.unusedInodes, GD.unusedInodesHigh) : 0;
  }
  setUnusedInodes(group: number, count: number): void {
    this.setWide(group, GD.unusedInodes, GD.unusedInodesHigh, count);
    this.dirtyGroups.add(group);
  }

  // Checksums of the bitmaps ----------------------------------------------------------------------

  isBlockBitmapGood(group: number, bytes: Uint8Array): boolean {
    const length = this.geometry.blocksPerGroup / 8;
    return this.isBitmapGood(
      group,
      bytes,
      length,
      GD.blockBitmapChecksum,
      GD.blockBitmapChecksumHigh,
    );
  }
  isInodeBitmapGood(group: number, bytes: Uint8Array): boolean {
    const length = this.geometry.inodesPerGroup / 8;
    return this.isBitmapGood(
      group,
      bytes,
      length,
      GD.inodeBitmapChecksum,
      GD.inodeBitmapChecksumHigh,
    );
  }
  sealBlockBitmap(group: number, bytes: Uint8Array): void {
    const length = this.geometry.blocksPerGroup / 8;
    this.sealBitmap(group, bytes, length, GD.blockBitmapChecksum, GD.blockBitmapChecksumHigh);
  }
  sealInodeBitmap(group: number, bytes: Uint8Array): void {
    const length = this.geometry.inodesPerGroup / 8;
    this.sealBitmap(group, bytes, length, GD.inodeBitmapChecksum, GD.inodeBitmapChecksumHigh);
  }

  private isBitmapGood(
    group: number,
    bytes: Uint8Array,
    lengthBytes: number,
    low: number,
    high: number,
  ): boolean {
    if (!this.checksums.coversAll) return true;
    const crc = this.checksums.bitmapChecksum(bytes, lengthBytes);
    if (this.u16(group, low) !== (crc & 0xffff)) return false;
    return !this.isWide || this.u16(group, high) === crc >>> 16;
  }
  private sealBitmap(
    group: number,
    bytes: Uint8Array,
    lengthBytes: number,
    low: number,
    high: number,
  ): void {
    if (!this.checksums.coversAll) return;
    const crc = this.checksums.bitmapChecksum(bytes, lengthBytes);
    this.setU16(group, low, crc & 0xffff);
    if (this.isWide) this.setU16(group, high, crc >>> 16);
    this.dirtyGroups.add(group);
  }

  // Counters --------------------------------------------------------------------------------------

  freeBlocks(group: number): number {
    return this.wide(group, GD.freeBlocks, GD.freeBlocksHigh);
  }
  freeInodes(group: number): number {
    return this.wide(group, GD.freeInodes, GD.freeInodesHigh);
  }
  directories(group: number): number {
    return this.wide(group, GD.directories, GD.directoriesHigh);
  }
  addFreeBlocks(group: number, change: number): void {
    this.add(group, GD.freeBlocks, GD.freeBlocksHigh, change);
    this.freeBlocksTotal += change;
  }
  addFreeInodes(group: number, change: number): void {
    this.add(group, GD.freeInodes, GD.freeInodesHigh, change);
    this.freeInodesTotal += change;
  }
  addDirectories(group: number, change: number): void {
    this.add(group, GD.directories, GD.directoriesHigh, change);
  }

  /** Copies of the changed blocks of the table, sealed; they count as written. `groups`: whose descriptors they hold. */
  takeDirty(): {
    readonly images: { readonly deviceBlock: number; readonly bytes: Uint8Array }[];
    readonly groups: readonly number[];
  } {
    const { blockBytes, descriptorBytes, descriptorsPerBlock } = this.geometry;
    const blocks = new Set<number>();
    for (const group of this.dirtyGroups) {
      const at = group * descriptorBytes;
      const crc = this.checksums.descriptorChecksum(group, this.raw, at, descriptorBytes);
      if (this.checksums.kind !== 'none') this.setU16(group, GD.checksum, crc);
      blocks.add(Math.floor(group / descriptorsPerBlock));
    }
    const images = [...blocks].map((index) => ({
      deviceBlock: descriptorBlock(this.geometry, index),
      bytes: this.raw.slice(index * blockBytes, (index + 1) * blockBytes),
    }));
    const groups = [...this.dirtyGroups];
    this.dirtyGroups.clear();
    return { images, groups };
  }

  /** The descriptor of a group as it is in memory. */
  record(group: number): DiskRecord {
    const { descriptorBytes, descriptorsPerBlock } = this.geometry;
    const block = descriptorBlock(this.geometry, Math.floor(group / descriptorsPerBlock));
    const name = `group descriptor ${String(group)}`;
    return new DiskRecord(name, block, this.raw, group * descriptorBytes, descriptorBytes);
  }
  private u16(group: number, offset: number): number {
    const at = group * this.geometry.descriptorBytes + offset;
    return (this.raw[at] as number) | ((this.raw[at + 1] as number) << 8);
  }
  private setU16(group: number, offset: number, value: number): void {
    const at = group * this.geometry.descriptorBytes + offset;
    this.raw[at] = value & 0xff;
    this.raw[at + 1] = value >> 8;
  }
  private wide(group: number, low: number, high: number): number {
    const upper = this.isWide ? this.u16(group, high) : 0;
    return this.u16(group, low) + upper * 0x10000;
  }
  private setWide(group: number, low: number, high: number, value: number): void {
    const most = this.isWide ? 0xffffffff : 0xffff;
    if (value < 0 || value > most) {
      const { deviceBlock } = this.record(group);
      const expected = `0 to ${String(most)}`;
      throw damaged(
        `group descriptor ${String(group)}`,
        deviceBlock,
        'free counts',
        value,
        expected,
      );
    }
    this.setU16(group, low, value & 0xffff);
    if (this.isWide) this.setU16(group, high, Math.floor(value / 0x10000));
  }
  private add(group: number, low: number, high: number, change: number): void {
    this.setWide(group, low, high, this.wide(group, low, high) + change);
    this.dirtyGroups.add(group);
  }
}

/** Bits of a bitmap block from `end` on are set: they stand for nothing. */
function fillTail(bytes: Uint8Array, end: number): void {
  let bit = end;
  for (; bit % 8 !== 0 && bit < bytes.length * 8; bit++) setBit(bytes, bit);
  bytes.fill(0xff, bit >> 3);
}

/** True where a group begins with a superblock or a copy of it (ext4_bg_has_super). */
export function hasSuperblock(geometry: Geometry, group: number): boolean {
  const { backupGroups } = geometry;
  if (backupGroups !== null) return group === 0 || backupGroups.includes(group);
  return groupHasSuperblock(group, geometry.hasSparseSuper);
}

/** Where block `index` of the descriptor table lies (descriptor_loc). */
export function descriptorBlock(geometry: Geometry, index: number): number {
  const { firstDataBlock, firstMetaGroup, descriptorsPerBlock, blocksPerGroup } = geometry;
  if (index < firstMetaGroup) return firstDataBlock + 1 + index;
  const group = index * descriptorsPerBlock;
  return firstDataBlock + group * blocksPerGroup + (hasSuperblock(geometry, group) ? 1 : 0);
}

/** Blocks at the start of a group that hold copies of the superblock and the descriptors (ext4_bg_num_gdb). */
export function headBlocks(geometry: Geometry, group: number): number {
  const { descriptorsPerBlock, firstMetaGroup, groupCount } = geometry;
  const superblocks = hasSuperblock(geometry, group) ? 1 : 0;
  const metaGroup = Math.floor(group / descriptorsPerBlock);
  if (metaGroup < firstMetaGroup) {
    const all = Math.ceil(groupCount / descriptorsPerBlock);
    return superblocks === 0 ? 0 : 1 + Math.min(all, firstMetaGroup);
  }
  const inMetaGroup = group % descriptorsPerBlock;
  const hasDescriptors =
    inMetaGroup === 0 || inMetaGroup === 1 || inMetaGroup === descriptorsPerBlock - 1;
  return superblocks + (hasDescriptors ? 1 : 0);
}
