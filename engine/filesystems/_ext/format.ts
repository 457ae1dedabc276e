// SPDX-License-Identifier: GPL-2.0-only
/**
 * Making an ext2 file system, as mke2fs lays one out: groups of as many blocks as a bitmap block has bits, copies of superblock and
 * descriptors in groups 0, 1 and powers of 3, 5, 7, bitmaps and inode table at the start of each group, a root directory, and
 * lost+found with room for what fsck may find.
 *
 * The order: everything but group 0's superblock, flush, that superblock, flush. Cut short, the device holds no file system.
 */
import {
  below,
  fail,
  HostError,
  PAGE_BYTES,
  SECTOR_BYTES,
  Sfc32,
  succeed,
  type Random,
  type Result,
  type Task,
} from '../../base/index.ts';
import { errnoName } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  BioGroup,
  flushDevice,
  writeBlockImages,
  writeZeroes,
  type BlockImage,
  type Kernel,
} from '../../vfs/index.ts';
import { setBit } from './bitmap.ts';
import { writeEntry, writeFirstBlock } from './directory.ts';
import { DiskRecord } from './disk-record.ts';
import {
  DESCRIPTOR_BYTES,
  EXT_MAGIC,
  FIRST_INODE_OLD,
  GD,
  groupHasSuperblock,
  INCOMPAT,
  INO,
  MODE,
  RO_COMPAT,
  ROOT_INODE,
  SB,
  STATE_VALID,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
} from './layout.ts';
import { encodeName } from './text.ts';

export interface FormatOptions {
  readonly blockBytes: number;
  readonly inodeBytes: number;
  /** One inode for so many bytes of the device. */
  readonly bytesPerInode: number;
  readonly reservedPercent: number;
  readonly label: string;
}

/** Smallest last group that is worth having: its own metadata and this many blocks. */
const LAST_GROUP_SPARE_BLOCKS = 50;
const LOST_AND_FOUND_BYTES = 16384;
const LOST_AND_FOUND_INODE = FIRST_INODE_OLD;
/** Zeroes are written in pieces of this size. */
const ZERO_PIECE_BYTES = 1024 * 1024;

interface Layout {
  readonly blockBytes: number;
  readonly blocksCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly groupCount: number;
  readonly descriptorBlocks: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly inodeBytes: number;
}

function refuse(message: string, hint: string): HostError {
  return new HostError({ code: 'format.bad-size', message, hint, exitCode: 65 });
}

/** Where everything goes on a device of so many bytes. Throws `HostError` where it is too small or too large. */
function planLayout(deviceBytes: number, options: FormatOptions): Layout {
  const { blockBytes, inodeBytes } = options;
  const firstDataBlock = blockBytes === 1024 ? 1 : 0;
  const blocksPerGroup = blockBytes * 8;
  let blocksCount = Math.floor(deviceBytes / blockBytes);
  if (blocksCount >= 2 ** 32) {
    throw refuse('ext2 has 2^32 - 1 blocks at most', 'Choose larger blocks or a smaller image.');
  }
  for (;;) {
    const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
    const descriptorBlocks = Math.ceil((groupCount * DESCRIPTOR_BYTES) / blockBytes);
    const perBlock = blockBytes / inodeBytes;
    const wanted = Math.max(
      Math.ceil((blocksCount * blockBytes) / options.bytesPerInode / Math.max(1, groupCount)),
      16,
    );
    const step = Math.max(8, perBlock);
    const inodesPerGroup = Math.min(Math.ceil(wanted / step) * step, blockBytes * 8);
    const inodeTableBlocks = Math.ceil(inodesPerGroup / perBlock);
    const head = groupHasSuperblock(groupCount - 1, true) ? 1 + descriptorBlocks : 0;
    const overhead = head + 2 + inodeTableBlocks;
    const inLast = blocksCount - firstDataBlock - (groupCount - 1) * blocksPerGroup;
    if (groupCount > 1 && inLast < overhead + LAST_GROUP_SPARE_BLOCKS) {
      blocksCount -= inLast;
      continue;
    }
    if (groupCount < 1 || inLast < overhead + LOST_AND_FOUND_BYTES / blockBytes + 8) {
      const bytes = String(deviceBytes);
      throw refuse(`${bytes} bytes are too few for an ext2 file system`, 'Give 128 KiB or more.');
    }
    return {
      blockBytes,
      blocksCount,
      firstDataBlock,
      blocksPerGroup,
      groupCount,
      descriptorBlocks,
      inodesPerGroup,
      inodeTableBlocks,
      inodeBytes,
    };
  }
}

/** Formats the device. A refusal of the options is a `HostError`; an I/O error is the result's. */
export function* formatExt2(
  kernel: Kernel,
  device: BlockDevice,
  options: FormatOptions,
): Task<Result<void>> {
  if (device.isReadOnly) return fail('EROFS');
  const deviceBytes = device.capacitySectors * SECTOR_BYTES;
  if (device.limits.logicalBlockBytes > options.blockBytes) {
    const sector = String(device.limits.logicalBlockBytes);
    throw refuse(
      `the device has sectors of ${sector} bytes`,
      `Choose blocks of ${sector} or more.`,
    );
  }
  const layout = planLayout(deviceBytes, options);
  const builder = new Builder(kernel, layout, options);
  const error =
    (yield* clearHead(kernel, device, layout)) ||
    (yield* clearInodeTables(kernel, device, layout)) ||
    (yield* writeBlockImages(kernel, device, builder.build())) ||
    (yield* flushDevice(kernel, device)) ||
    (yield* writeBlockImages(kernel, device, [builder.primarySuperblock()])) ||
    (yield* flushDevice(kernel, device));
  return error === 0 ? succeed(undefined) : fail(errnoName(error) ?? 'EIO');
}

/** What an earlier file system left at the start would mislead who probes. */
function* clearHead(kernel: Kernel, device: BlockDevice, layout: Layout): Task<number> {
  const first = yield* clearRange(kernel, device, 0, Math.max(4096, layout.blockBytes));
  return first === 0 ? yield* flushDevice(kernel, device) : first;
}

function* clearInodeTables(kernel: Kernel, device: BlockDevice, layout: Layout): Task<number> {
  for (let group = 0; group < layout.groupCount; group++) {
    const from = inodeTableOf(layout, group) * layout.blockBytes;
    const length = layout.inodeTableBlocks * layout.blockBytes;
    const error = yield* clearRange(kernel, device, from, length);
    if (error < 0) return error;
  }
  return 0;
}

function* clearRange(
  kernel: Kernel,
  device: BlockDevice,
  firstByte: number,
  lengthBytes: number,
): Task<number> {
  if (device.ops.has('write-zeroes')) {
    return yield* writeZeroes(kernel, device, firstByte, lengthBytes);
  }
  const page = kernel.memory.allocatePages(1);
  if (page < 0) return -12;
  kernel.memory.view(page, 0, PAGE_BYTES).fill(0);
  let error = 0;
  for (let done = 0; done < lengthBytes && error === 0; done += ZERO_PIECE_BYTES) {
    const group = new BioGroup(kernel, device, 'write', 0, 'zeroes');
    const end = Math.min(lengthBytes, done + ZERO_PIECE_BYTES);
    for (let at = done; at < end; at += PAGE_BYTES) {
      group.add(firstByte + at, page, 0, Math.min(PAGE_BYTES, end - at));
    }
    error = yield* group.wait();
  }
  kernel.memory.freePages(page, 1);
  return error;
}

function firstBlockOf(layout: Layout, group: number): number {
  return layout.firstDataBlock + group * layout.blocksPerGroup;
}
function headOf(layout: Layout, group: number): number {
  return groupHasSuperblock(group, true) ? 1 + layout.descriptorBlocks : 0;
}
function inodeTableOf(layout: Layout, group: number): number {
  return firstBlockOf(layout, group) + headOf(layout, group) + 2;
}
function blocksInGroup(layout: Layout, group: number): number {
  const { blocksCount, blocksPerGroup } = layout;
  return Math.min(blocksPerGroup, blocksCount - firstBlockOf(layout, group));
}

/** The metadata blocks, in memory. */
class Builder {
  private readonly images = new Map<number, Uint8Array>();
  private readonly superblock = new Uint8Array(SUPERBLOCK_BYTES);
  private readonly now: number;
  private readonly random: Random;
  private freeBlocks = 0;
  private freeInodes = 0;

  constructor(
    kernel: Kernel,
    private readonly layout: Layout,
    private readonly options: FormatOptions,
  ) {
    const unixMs = kernel.unixMs?.() ?? 0;
    this.now = Math.floor(unixMs / 1000) >>> 0;
    this.random = kernel.random ?? new Sfc32(layout.blocksCount, unixMs % 2 ** 31);
  }

  /** Every block but the one with the first superblock. */
  build(): BlockImage[] {
    const { layout } = this;
    const lostBlocks = Math.max(2, LOST_AND_FOUND_BYTES / layout.blockBytes);
    const rootBlock = inodeTableOf(layout, 0) + layout.inodeTableBlocks;
    const dataBlocks = 1 + Math.min(lostBlocks, 12);
    const descriptors = new Uint8Array(layout.descriptorBlocks * layout.blockBytes);
    for (let group = 0; group < layout.groupCount; group++) {
      this.buildGroup(group, descriptors, group === 0 ? dataBlocks : 0);
    }
    this.buildDirectories(rootBlock, dataBlocks - 1);
    this.fillSuperblock();
    for (let group = 0; group < layout.groupCount; group++) this.copyHead(group, descriptors);
    return [...this.images].map(([deviceBlock, bytes]) => ({ deviceBlock, bytes }));
  }

  primarySuperblock(): BlockImage {
    const { blockBytes } = this.layout;
    const deviceBlock = Math.floor(SUPERBLOCK_BYTE / blockBytes);
    const bytes = new Uint8Array(blockBytes);
    bytes.set(this.superblock, SUPERBLOCK_BYTE % blockBytes);
    return { deviceBlock, bytes };
  }

  private block(deviceBlock: number): Uint8Array {
    let bytes = this.images.get(deviceBlock);
    if (bytes === undefined) {
      bytes = new Uint8Array(this.layout.blockBytes);
      this.images.set(deviceBlock, bytes);
    }
    return bytes;
  }

  private buildGroup(group: number, descriptors: Uint8Array, dataBlocks: number): void {
    const { layout } = this;
    const first = firstBlockOf(layout, group);
    const head = headOf(layout, group);
    const usedBlocks = head + 2 + layout.inodeTableBlocks + dataBlocks;
    const usedInodes = group === 0 ? FIRST_INODE_OLD : 0;
    const bits = layout.blockBytes * 8;
    const inGroup = blocksInGroup(layout, group);
    const blockBitmap = this.block(first + head);
    for (let bit = 0; bit < bits; bit++) {
      if (bit < usedBlocks || bit >= inGroup) setBit(blockBitmap, bit);
    }
    const inodeBitmap = this.block(first + head + 1);
    for (let bit = 0; bit < bits; bit++) {
      if (bit < usedInodes || bit >= layout.inodesPerGroup) setBit(inodeBitmap, bit);
    }
    const at = group * DESCRIPTOR_BYTES;
    const record = new DiskRecord('group descriptor', 0, descriptors, at, DESCRIPTOR_BYTES);
    record.setU32(GD.blockBitmap, first + head);
    record.setU32(GD.inodeBitmap, first + head + 1);
    record.setU32(GD.inodeTable, first + head + 2);
    record.setU16(GD.freeBlocks, inGroup - usedBlocks);
    record.setU16(GD.freeInodes, layout.inodesPerGroup - usedInodes);
    record.setU16(GD.directories, group === 0 ? 2 : 0);
    this.freeBlocks += inGroup - usedBlocks;
    this.freeInodes += layout.inodesPerGroup - usedInodes;
  }

  private buildDirectories(rootBlock: number, lostBlocks: number): void {
    const { blockBytes } = this.layout;
    const root = this.block(rootBlock);
    writeFirstBlock(root, ROOT_INODE, ROOT_INODE, true);
    const name = encodeName('lost+found');
    new DiskRecord('root directory', rootBlock, root, 0, blockBytes).setU16(16, 12);
    writeEntry(root, 24, blockBytes - 24, LOST_AND_FOUND_INODE, name, 2);
    this.writeInode(ROOT_INODE, 0o755, 3, [rootBlock]);
    const blocks = Array.from({ length: lostBlocks }, (_, index) => rootBlock + 1 + index);
    blocks.forEach((deviceBlock, index) => {
      const bytes = this.block(deviceBlock);
      if (index === 0) writeFirstBlock(bytes, LOST_AND_FOUND_INODE, ROOT_INODE, true);
      else writeEntry(bytes, 0, blockBytes, 0, new Uint8Array(0), 0);
    });
    this.writeInode(LOST_AND_FOUND_INODE, 0o700, 2, blocks);
  }

  private writeInode(number: number, mode: number, links: number, blocks: readonly number[]): void {
    const { layout, now } = this;
    const byte = (number - 1) * layout.inodeBytes;
    const deviceBlock = inodeTableOf(layout, 0) + Math.floor(byte / layout.blockBytes);
    const bytes = this.block(deviceBlock);
    const at = byte % layout.blockBytes;
    const record = new DiskRecord('inode', deviceBlock, bytes, at, layout.inodeBytes);
    record.setU16(INO.mode, MODE.directory | mode);
    record.setU32(INO.sizeLow, blocks.length * layout.blockBytes);
    for (const field of [INO.accessTime, INO.changeTime, INO.modifyTime]) record.setU32(field, now);
    record.setU16(INO.linkCount, links);
    record.setU32(INO.sectors, (blocks.length * layout.blockBytes) / SECTOR_BYTES);
    blocks.forEach((block, index) => {
      record.setU32(INO.pointers + index * 4, block);
    });
  }

  private fillSuperblock(): void {
    const { layout, options, now } = this;
    const sb = new DiskRecord('superblock', 0, this.superblock, 0, SUPERBLOCK_BYTES);
    const logBlockSize = Math.log2(layout.blockBytes / 1024);
    sb.setU32(SB.inodesCount, layout.inodesPerGroup * layout.groupCount);
    sb.setU32(SB.blocksCount, layout.blocksCount);
    sb.setU32(SB.reservedBlocks, Math.floor((layout.blocksCount * options.reservedPercent) / 100));
    sb.setU32(SB.freeBlocks, this.freeBlocks);
    sb.setU32(SB.freeInodes, this.freeInodes);
    sb.setU32(SB.firstDataBlock, layout.firstDataBlock);
    sb.setU32(SB.logBlockSize, logBlockSize);
    sb.setU32(SB.logFragSize, logBlockSize);
    sb.setU32(SB.blocksPerGroup, layout.blocksPerGroup);
    sb.setU32(SB.fragsPerGroup, layout.blocksPerGroup);
    sb.setU32(SB.inodesPerGroup, layout.inodesPerGroup);
    sb.setU32(SB.writeTime, now);
    sb.setU16(SB.maxMountCount, 0xffff);
    sb.setU16(SB.magic, EXT_MAGIC);
    sb.setU16(SB.state, STATE_VALID);
    sb.setU16(SB.errors, 1);
    sb.setU32(SB.lastCheck, now);
    sb.setU32(SB.revision, 1);
    sb.setU32(SB.firstInode, FIRST_INODE_OLD);
    sb.setU16(SB.inodeSize, layout.inodeBytes);
    sb.setU32(SB.featureIncompat, INCOMPAT.filetype);
    sb.setU32(SB.featureRoCompat, RO_COMPAT.sparse_super | RO_COMPAT.large_file);
    sb.bytes(SB.uuid, 16).set(this.uuid());
    sb.bytes(SB.label, 16).set(encodeName(options.label).subarray(0, 16));
    sb.bytes(SB.hashSeed, 16).set(this.uuid());
    sb.setU32(SB.mkfsTime, now);
  }

  /** RFC 9562, version 4. */
  private uuid(): Uint8Array {
    const bytes = Uint8Array.from({ length: 16 }, () => below(this.random, 256));
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
    return bytes;
  }

  /** Superblock and descriptors of a group that has them; the first superblock is written last, by itself. */
  private copyHead(group: number, descriptors: Uint8Array): void {
    const { layout } = this;
    if (!groupHasSuperblock(group, true)) return;
    const first = firstBlockOf(layout, group);
    for (let index = 0; index < layout.descriptorBlocks; index++) {
      const from = index * layout.blockBytes;
      this.block(first + 1 + index).set(descriptors.subarray(from, from + layout.blockBytes));
    }
    if (group === 0) return;
    const copy = this.block(first);
    copy.set(this.superblock);
    new DiskRecord('superblock', first, copy, 0, SUPERBLOCK_BYTES).setU16(SB.groupNumber, group);
  }
}
