// SPDX-License-Identifier: GPL-2.0-only
/**
 * Group descriptors: where each group's bitmaps and inode table are, and what is free in it. The raw table is kept in memory and is
 * the truth; changed blocks of it are written by the commit.
 */
import { DiskRecord, damaged } from './disk-record.ts';
import { DESCRIPTOR_BYTES, GD, groupHasSuperblock } from './layout.ts';
import type { Geometry } from './superblock.ts';

export class GroupTable {
  readonly blockBitmap: Uint32Array;
  readonly inodeBitmap: Uint32Array;
  readonly inodeTable: Uint32Array;
  readonly inodeTableBlocks: number;
  /** Blocks of the table that differ from the disk. */
  readonly dirtyBlocks = new Set<number>();
  freeBlocksTotal = 0;
  freeInodesTotal = 0;

  constructor(
    readonly geometry: Geometry,
    /** The blocks of the table, one after the other. */
    private readonly raw: Uint8Array,
  ) {
    const { groupCount, inodesPerGroup, inodeBytes, blockBytes } = geometry;
    this.inodeTableBlocks = Math.ceil((inodesPerGroup * inodeBytes) / blockBytes);
    this.blockBitmap = new Uint32Array(groupCount);
    this.inodeBitmap = new Uint32Array(groupCount);
    this.inodeTable = new Uint32Array(groupCount);
    for (let group = 0; group < groupCount; group++) this.readDescriptor(group);
  }

  private readDescriptor(group: number): void {
    const { geometry } = this;
    const block = descriptorBlock(geometry, Math.floor(group / geometry.descriptorsPerBlock));
    const record = this.record(group, block);
    const first = this.firstBlock(group);
    const last = first + this.blocksIn(group) - 1;
    const within = (field: string, offset: number, count: number): number => {
      const value = record.u32(offset);
      if (value < first || value + count - 1 > last) {
        throw record.damaged(field, value, `blocks ${String(first)} to ${String(last)}`);
      }
      return value;
    };
    this.blockBitmap[group] = within('block_bitmap', GD.blockBitmap, 1);
    this.inodeBitmap[group] = within('inode_bitmap', GD.inodeBitmap, 1);
    this.inodeTable[group] = within('inode_table', GD.inodeTable, this.inodeTableBlocks);
    this.checkOverlap(group, record);
    const free = record.u16(GD.freeBlocks);
    if (free > this.blocksIn(group)) {
      throw record.damaged('free_blocks_count', free, `at most ${String(this.blocksIn(group))}`);
    }
    if (record.u16(GD.freeInodes) > geometry.inodesPerGroup) {
      const most = `at most ${String(geometry.inodesPerGroup)}`;
      throw record.damaged('free_inodes_count', record.u16(GD.freeInodes), most);
    }
    this.freeBlocksTotal += free;
    this.freeInodesTotal += record.u16(GD.freeInodes);
  }

  /** Bitmaps, table, superblock and descriptors of a group must not share a block. */
  private checkOverlap(group: number, record: DiskRecord): void {
    const blocks = this.blockBitmap[group] as number;
    const inodes = this.inodeBitmap[group] as number;
    const table = this.inodeTable[group] as number;
    const inTable = (block: number): boolean =>
      block >= table && block < table + this.inodeTableBlocks;
    if (blocks === inodes || inTable(blocks)) {
      throw record.damaged('block_bitmap', blocks, 'a block of its own');
    }
    if (inTable(inodes)) throw record.damaged('inode_bitmap', inodes, 'a block of its own');
    const headEnd = this.firstBlock(group) + headBlocks(this.geometry, group);
    if (blocks < headEnd) throw record.damaged('block_bitmap', blocks, 'a block of its own');
    if (inodes < headEnd) throw record.damaged('inode_bitmap', inodes, 'a block of its own');
    if (table < headEnd) throw record.damaged('inode_table', table, 'blocks of its own');
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
    if (deviceBlock < this.geometry.firstDataBlock) return true;
    const group = this.groupOf(deviceBlock);
    const table = this.inodeTable[group] as number;
    return (
      deviceBlock === this.blockBitmap[group] ||
      deviceBlock === this.inodeBitmap[group] ||
      (deviceBlock >= table && deviceBlock < table + this.inodeTableBlocks) ||
      deviceBlock < this.firstBlock(group) + headBlocks(this.geometry, group)
    );
  }

  freeBlocks(group: number): number {
    return this.u16(group, GD.freeBlocks);
  }
  freeInodes(group: number): number {
    return this.u16(group, GD.freeInodes);
  }
  directories(group: number): number {
    return this.u16(group, GD.directories);
  }
  addFreeBlocks(group: number, change: number): void {
    this.add(group, GD.freeBlocks, change);
    this.freeBlocksTotal += change;
  }
  addFreeInodes(group: number, change: number): void {
    this.add(group, GD.freeInodes, change);
    this.freeInodesTotal += change;
  }
  addDirectories(group: number, change: number): void {
    this.add(group, GD.directories, change);
  }

  /** Copies of the changed blocks of the table; they count as written. */
  takeDirty(): { readonly deviceBlock: number; readonly bytes: Uint8Array }[] {
    const { blockBytes } = this.geometry;
    const images = [...this.dirtyBlocks].map((index) => ({
      deviceBlock: descriptorBlock(this.geometry, index),
      bytes: this.raw.slice(index * blockBytes, (index + 1) * blockBytes),
    }));
    this.dirtyBlocks.clear();
    return images;
  }

  private record(group: number, deviceBlock: number): DiskRecord {
    const name = `group descriptor ${String(group)}`;
    return new DiskRecord(name, deviceBlock, this.raw, group * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES);
  }
  private u16(group: number, offset: number): number {
    const at = group * DESCRIPTOR_BYTES + offset;
    return (this.raw[at] as number) | ((this.raw[at + 1] as number) << 8);
  }
  private add(group: number, offset: number, change: number): void {
    const at = group * DESCRIPTOR_BYTES + offset;
    const value = this.u16(group, offset) + change;
    const block = Math.floor(group / this.geometry.descriptorsPerBlock);
    if (value < 0 || value > 0xffff) {
      const where = descriptorBlock(this.geometry, block);
      throw damaged(`group descriptor ${String(group)}`, where, 'free counts', value, '0 to 65535');
    }
    this.raw[at] = value & 0xff;
    this.raw[at + 1] = value >> 8;
    this.dirtyBlocks.add(block);
  }
}

/** Where block `index` of the descriptor table lies (descriptor_loc). */
export function descriptorBlock(geometry: Geometry, index: number): number {
  const { firstDataBlock, firstMetaGroup, descriptorsPerBlock, blocksPerGroup } = geometry;
  if (index < firstMetaGroup) return firstDataBlock + 1 + index;
  const group = index * descriptorsPerBlock;
  const hasSuperblock = groupHasSuperblock(group, geometry.hasSparseSuper);
  return firstDataBlock + group * blocksPerGroup + (hasSuperblock ? 1 : 0);
}

/** Blocks at the start of a group that hold copies of the superblock and the descriptors (ext2_bg_num_gdb). */
export function headBlocks(geometry: Geometry, group: number): number {
  const { descriptorsPerBlock, firstMetaGroup, groupCount } = geometry;
  const superblocks = groupHasSuperblock(group, geometry.hasSparseSuper) ? 1 : 0;
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
