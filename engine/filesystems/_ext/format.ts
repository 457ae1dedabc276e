// SPDX-License-Identifier: GPL-2.0-only
/**
 * Making an ext2, ext3 or ext4 file system, as mke2fs makes one: `format-plan.ts` says where everything goes, this writes it. A root
 * directory, lost+found with room for what fsck may find, the journal with its superblock, and the inode that keeps room for more
 * descriptors.
 *
 * What is written: where group descriptors have checksums, only the bitmaps and inode tables of groups that have something in them;
 * elsewhere all of them. What must be zero is read first and written only where it is not, so that a sparse image stays sparse.
 *
 * The order: everything but group 0's superblock, flush, that superblock, flush. Cut short, the device holds no file system.
 */
import {
  below,
  errnoName,
  ERRNO,
  fail,
  PAGE_BYTES,
  SECTOR_BYTES,
  Sfc32,
  succeed,
  type Random,
  type Result,
  type Task,
} from '../../base/index.ts';
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
import { Checksums } from './checksum.ts';
import { writeEntry, writeFirstBlock } from './directory.ts';
import { DiskRecord } from './disk-record.ts';
import { mapByExtents, mapByPointers, type NewMap } from './format-map.ts';
import {
  FormatPlan,
  GROUPS_PER_FLEX,
  refuseFormat,
  type BlockRun,
  type FormatOptions,
} from './format-plan.ts';
import { newJournalSuperblock } from './journal-layout.ts';
import {
  CHECKSUM_TYPE_CRC32C,
  COMPAT,
  DESCRIPTOR_BYTES_64BIT,
  EXT_MAGIC,
  EXTRA_BYTES,
  FIRST_INODE_OLD,
  GD,
  GROUP_FLAG,
  groupHasSuperblock,
  INCOMPAT,
  INO,
  INODE_BYTES_MIN,
  INODE_FLAG,
  JOURNAL_INODE,
  MODE,
  POINTER_COUNT,
  RESIZE_INODE,
  RO_COMPAT,
  ROOT_INODE,
  SB,
  STATE_VALID,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
} from './layout.ts';
import { encodeName } from './text.ts';

export type { FormatOptions } from './format-plan.ts';

const LOST_AND_FOUND_INODE = FIRST_INODE_OLD;
/** Zeroes are checked and written in pieces of this size. */
const ZERO_PIECE_BYTES = 1024 * 1024;
/** Metadata blocks that are held before they are written. */
const BATCH_BLOCKS = 2048;
/** user_xattr and acl, what mke2fs gives as default mount options. */
const DEFAULT_MOUNT_OPTIONS = 0x000c;
const HASH_HALF_MD4 = 1;
const FLAG_SIGNED_HASH = 1;
/** The superblock holds a copy of the journal inode's block map. */
const JOURNAL_BACKUP_BLOCKS = 1;

/** Formats the device. A refusal of the options is a `HostError`; an I/O error is the result's. */
export function* formatExt(
  kernel: Kernel,
  device: BlockDevice,
  options: FormatOptions,
): Task<Result<void>> {
  if (device.isReadOnly) return fail('EROFS');
  const deviceBytes = device.capacitySectors * SECTOR_BYTES;
  if (device.limits.logicalBlockBytes > options.blockBytes) {
    const sector = String(device.limits.logicalBlockBytes);
    throw refuseFormat(
      `the device has sectors of ${sector} bytes`,
      `Choose blocks of ${sector} or more.`,
    );
  }
  const plan = new FormatPlan(deviceBytes, options);
  const builder = new Builder(kernel, plan);
  const error =
    (yield* clearHead(kernel, device, plan)) ||
    (yield* clearTables(kernel, device, builder)) ||
    (yield* clearJournal(kernel, device, plan)) ||
    (yield* writeGroups(kernel, device, builder)) ||
    (yield* flushDevice(kernel, device)) ||
    (yield* writeBlockImages(kernel, device, [builder.primarySuperblock()])) ||
    (yield* flushDevice(kernel, device));
  return error === 0 ? succeed(undefined) : fail(errnoName(error) ?? 'EIO');
}

/** What an earlier file system left at the start would mislead who probes. */
function* clearHead(kernel: Kernel, device: BlockDevice, plan: FormatPlan): Task<number> {
  const first = yield* clearRange(kernel, device, 0, Math.max(4096, plan.blockBytes));
  return first === 0 ? yield* flushDevice(kernel, device) : first;
}

function* clearTables(kernel: Kernel, device: BlockDevice, builder: Builder): Task<number> {
  const { plan } = builder;
  const length = plan.inodeTableBlocks * plan.blockBytes;
  for (let group = 0; group < plan.groupCount; group++) {
    const from = (plan.inodeTable[group] as number) * plan.blockBytes;
    if (builder.isTableLeft) continue;
    const error = yield* clearRange(kernel, device, from, length);
    if (error < 0) return error;
  }
  return 0;
}

/** A stale block in the log could pass for one of this journal. */
function* clearJournal(kernel: Kernel, device: BlockDevice, plan: FormatPlan): Task<number> {
  const { blockBytes } = plan;
  for (const { deviceBlock, count } of plan.journal) {
    const from = deviceBlock * blockBytes;
    const error = yield* clearRange(kernel, device, from, count * blockBytes);
    if (error < 0) return error;
  }
  return 0;
}

/** Makes a range zero: by the device's own means, else by looking, and writing where it is not. */
function* clearRange(
  kernel: Kernel,
  device: BlockDevice,
  firstByte: number,
  lengthBytes: number,
): Task<number> {
  if (device.ops.has('write-zeroes')) {
    return yield* writeZeroes(kernel, device, firstByte, lengthBytes);
  }
  let pages = ZERO_PIECE_BYTES / PAGE_BYTES;
  let first = kernel.memory.allocatePages(pages);
  if (first < 0) {
    pages = 1;
    first = kernel.memory.allocatePages(1);
  }
  if (first < 0) return -ERRNO.ENOMEM;
  let error = 0;
  for (let done = 0; done < lengthBytes && error === 0; done += pages * PAGE_BYTES) {
    const length = Math.min(pages * PAGE_BYTES, lengthBytes - done);
    error = yield* clearPiece(kernel, device, firstByte + done, length, first);
  }
  kernel.memory.freePages(first, pages);
  return error;
}

function* clearPiece(
  kernel: Kernel,
  device: BlockDevice,
  firstByte: number,
  lengthBytes: number,
  firstPage: number,
): Task<number> {
  const start = firstPage * PAGE_BYTES;
  const content = kernel.memory.bytes.subarray(start, start + lengthBytes);
  for (const op of ['read', 'write'] as const) {
    const group = new BioGroup(kernel, device, op, 0, 'zeroes');
    for (let at = 0; at < lengthBytes; at += PAGE_BYTES) {
      const length = Math.min(PAGE_BYTES, lengthBytes - at);
      group.add(firstByte + at, firstPage + at / PAGE_BYTES, 0, length);
    }
    const error = yield* group.wait();
    if (error < 0 || isZero(content)) return error;
    content.fill(0);
  }
  return 0;
}

function isZero(bytes: Uint8Array): boolean {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  // Whole GiB are looked at where an image is large: four words a turn, and no call.
  for (let at = 0; at < words.length; at += 4) {
    const first = (words[at] as number) | (words[at + 1] as number);
    if ((first | (words[at + 2] as number) | (words[at + 3] as number)) !== 0) return false;
  }
  return true;
}

function* writeGroups(kernel: Kernel, device: BlockDevice, builder: Builder): Task<number> {
  builder.buildFiles();
  for (let group = 0; group < builder.plan.groupCount; group++) {
    builder.buildGroup(group);
    if (builder.heldCount < BATCH_BLOCKS) continue;
    const error = yield* writeBlockImages(kernel, device, builder.takeImages());
    if (error < 0) return error;
  }
  builder.completeSuperblock();
  for (let group = 0; group < builder.plan.groupCount; group++) {
    builder.copyHead(group);
    if (builder.heldCount < BATCH_BLOCKS) continue;
    const error = yield* writeBlockImages(kernel, device, builder.takeImages());
    if (error < 0) return error;
  }
  return yield* writeBlockImages(kernel, device, builder.takeImages());
}

/** A file that formatting makes. */
interface NewFile {
  readonly number: number;
  readonly mode: number;
  readonly links: number;
  readonly sizeBytes: number;
  readonly blockCount: number;
  readonly flags: number;
  readonly pointers: Uint8Array;
}

/** The metadata blocks, in memory. */
class Builder {
  private images = new Map<number, Uint8Array>();
  private readonly superblock = new Uint8Array(SUPERBLOCK_BYTES);
  private readonly sb = new DiskRecord('superblock', 0, this.superblock, 0, SUPERBLOCK_BYTES);
  private readonly descriptors: Uint8Array;
  private readonly checksums: Checksums;
  private readonly now: number;
  private readonly random: Random;
  private freeBlocks = 0;
  private freeInodes = 0;
  private journalFile: NewFile | null = null;

  constructor(
    kernel: Kernel,
    readonly plan: FormatPlan,
  ) {
    const unixMs = kernel.unixMs?.() ?? 0;
    this.now = Math.floor(unixMs / 1000) >>> 0;
    this.random = kernel.random ?? new Sfc32(plan.blocksCount, unixMs % 2 ** 31);
    this.descriptors = new Uint8Array(plan.descriptorBlocks * plan.blockBytes);
    this.fillSuperblock();
    this.fillFeatures();
    this.checksums = new Checksums(this.sb);
  }

  /** The parts of inode tables that no inode uses stay as they are on the disk. */
  get isTableLeft(): boolean {
    return this.plan.options.isLazy && this.hasUnused;
  }
  /** Descriptors with checksums may say that bitmaps and inodes are not in use. */
  private get hasUnused(): boolean {
    return this.checksums.kind !== 'none';
  }
  private get usesExtents(): boolean {
    return (this.plan.options.incompat & INCOMPAT.extents) !== 0;
  }

  get heldCount(): number {
    return this.images.size;
  }
  takeImages(): BlockImage[] {
    const list = [...this.images].map(([deviceBlock, bytes]) => ({ deviceBlock, bytes }));
    this.images = new Map();
    return list;
  }

  primarySuperblock(): BlockImage {
    const { blockBytes } = this.plan;
    const deviceBlock = Math.floor(SUPERBLOCK_BYTE / blockBytes);
    const bytes = new Uint8Array(blockBytes);
    bytes.set(this.superblock, SUPERBLOCK_BYTE % blockBytes);
    return { deviceBlock, bytes };
  }

  private block(deviceBlock: number): Uint8Array {
    let bytes = this.images.get(deviceBlock);
    if (bytes === undefined) {
      bytes = new Uint8Array(this.plan.blockBytes);
      this.images.set(deviceBlock, bytes);
    }
    return bytes;
  }

  // Files -----------------------------------------------------------------------------------------

  /** Everything that has an inode; takes the last blocks of the plan, and therefore comes before the groups. */
  buildFiles(): void {
    const { plan } = this;
    // The first blocks of the table are written whole, whatever the rest of it is.
    this.inodeRecord(LOST_AND_FOUND_INODE);
    this.buildDirectories();
    if (plan.journal.length > 0) this.buildJournal();
    if (plan.resizeBlock > 0) this.buildResizeInode();
  }

  private buildDirectories(): void {
    const { plan, checksums } = this;
    const { blockBytes, rootBlock, lostBlocks } = plan;
    const room = checksums.directoryRoom(blockBytes);
    const root = this.block(rootBlock);
    writeFirstBlock(root.subarray(0, room), ROOT_INODE, ROOT_INODE, true);
    const name = encodeName('lost+found');
    new DiskRecord('root directory', rootBlock, root, 0, blockBytes).setU16(16, 12);
    writeEntry(root, 24, room - 24, LOST_AND_FOUND_INODE, name, 2);
    lostBlocks.forEach((deviceBlock, index) => {
      const bytes = this.block(deviceBlock).subarray(0, room);
      if (index === 0) writeFirstBlock(bytes, LOST_AND_FOUND_INODE, ROOT_INODE, true);
      else writeEntry(bytes, 0, room, 0, new Uint8Array(0), 0);
    });
    this.sealDirectory(ROOT_INODE, [rootBlock]);
    this.sealDirectory(LOST_AND_FOUND_INODE, lostBlocks);
    this.makeDirectory(ROOT_INODE, 0o755, 3, [rootBlock]);
    this.makeDirectory(LOST_AND_FOUND_INODE, 0o700, 2, lostBlocks);
  }

  private sealDirectory(number: number, blocks: readonly number[]): void {
    const seed = this.checksums.inodeSeed(number, 0);
    for (const deviceBlock of blocks) {
      this.checksums.writeDirectoryTail(this.block(deviceBlock));
      this.checksums.sealDirectory(this.block(deviceBlock), seed);
    }
  }

  private makeDirectory(
    number: number,
    mode: number,
    links: number,
    blocks: readonly number[],
  ): void {
    const runs = blocks.map((deviceBlock) => ({ deviceBlock, count: 1 }));
    this.makeFile(number, MODE.directory | mode, links, runs);
  }

  private makeFile(
    number: number,
    mode: number,
    links: number,
    runs: readonly BlockRun[],
  ): NewFile {
    const { plan, checksums } = this;
    const firstRun = runs[0] as BlockRun;
    const goal = Math.floor((firstRun.deviceBlock - plan.firstDataBlock) / plan.blocksPerGroup);
    const settings = {
      blockBytes: plan.blockBytes,
      checksums,
      inodeSeed: checksums.inodeSeed(number, 0),
      takeBlock: () => plan.takeOne(goal),
    };
    const map: NewMap | null = this.usesExtents
      ? mapByExtents(runs, settings)
      : mapByPointers(runs, settings);
    if (map === null) throw plan.tooSmall();
    for (const { deviceBlock, bytes } of map.images) this.images.set(deviceBlock, bytes);
    const dataCount = runs.reduce((sum, { count }) => sum + count, 0);
    const file: NewFile = {
      number,
      mode,
      links,
      sizeBytes: dataCount * plan.blockBytes,
      blockCount: dataCount + map.images.length,
      flags: this.usesExtents ? INODE_FLAG.extents : 0,
      pointers: map.pointers,
    };
    this.writeInode(file);
    return file;
  }

  private buildJournal(): void {
    const { plan, sb } = this;
    const file = this.makeFile(JOURNAL_INODE, MODE.file | 0o600, 1, plan.journal);
    const first = (plan.journal[0] as BlockRun).deviceBlock;
    const count = file.sizeBytes / plan.blockBytes;
    const uuid = sb.bytes(SB.uuid, 16);
    this.block(first).set(newJournalSuperblock(plan.blockBytes, count, uuid));
    sb.setU32(SB.journalInode, JOURNAL_INODE);
    sb.setU8(SB.journalBackupType, JOURNAL_BACKUP_BLOCKS);
    sb.bytes(SB.journalBlocks, POINTER_COUNT * 4).set(file.pointers);
    sb.setU32(SB.journalBlocks + POINTER_COUNT * 4, Math.floor(file.sizeBytes / 2 ** 32));
    sb.setU32(SB.journalBlocks + (POINTER_COUNT + 1) * 4, file.sizeBytes >>> 0);
    this.journalFile = file;
  }

  /**
   * ext2fs_create_resize_inode: its double indirect block points at the reserved descriptor blocks of group 0, each of which lists its
   * copies in the other groups that have them. Its size says "all that double indirection reaches".
   */
  private buildResizeInode(): void {
    const { plan } = this;
    const each = plan.blockBytes / 4;
    const double = new DataView(this.block(plan.resizeBlock).buffer);
    const copies: number[] = [];
    for (let group = 1; group < plan.groupCount; group++) {
      if (groupHasSuperblock(group, true)) copies.push(group);
    }
    for (let index = 0; index < plan.reservedDescriptorBlocks; index++) {
      const inTable = plan.descriptorBlocks + index;
      const deviceBlock = plan.firstDataBlock + 1 + inTable;
      double.setUint32((inTable % each) * 4, deviceBlock, true);
      const list = new DataView(this.block(deviceBlock).buffer);
      copies.slice(0, each).forEach((group, at) => {
        list.setUint32(at * 4, plan.firstBlockOf(group) + 1 + inTable, true);
      });
    }
    const pointers = new Uint8Array(POINTER_COUNT * 4);
    new DataView(pointers.buffer).setUint32((POINTER_COUNT - 2) * 4, plan.resizeBlock, true);
    this.writeInode({
      number: RESIZE_INODE,
      mode: MODE.file | 0o600,
      links: 1,
      sizeBytes: (12 + each + each * each) * plan.blockBytes,
      blockCount: 1 + plan.reservedDescriptorBlocks * (1 + Math.min(each, copies.length)),
      flags: 0,
      pointers,
    });
  }

  private inodeRecord(number: number): DiskRecord {
    const { plan } = this;
    const { inodeBytes } = plan.options;
    const byte = (number - 1) * inodeBytes;
    const table = plan.inodeTable[0] as number;
    const last = table + Math.floor(byte / plan.blockBytes);
    for (let deviceBlock = table; deviceBlock <= last; deviceBlock++) this.block(deviceBlock);
    const bytes = this.block(last);
    return new DiskRecord('inode', last, bytes, byte % plan.blockBytes, inodeBytes);
  }

  private writeInode(file: NewFile): void {
    const { plan, now } = this;
    const record = this.inodeRecord(file.number);
    const sectors = (file.blockCount * plan.blockBytes) / SECTOR_BYTES;
    record.setU16(INO.mode, file.mode);
    record.setU32(INO.sizeLow, file.sizeBytes >>> 0);
    record.setU32(INO.sizeHigh, Math.floor(file.sizeBytes / 2 ** 32));
    for (const field of [INO.accessTime, INO.changeTime, INO.modifyTime]) record.setU32(field, now);
    record.setU16(INO.linkCount, file.links);
    record.setU32(INO.sectors, sectors);
    record.setU32(INO.flags, file.flags);
    record.bytes(INO.pointers, POINTER_COUNT * 4).set(file.pointers);
    if (record.lengthBytes > INODE_BYTES_MIN) {
      record.setU16(INO.extraBytes, EXTRA_BYTES);
      record.setU32(INO.birthTime, now);
    }
    this.checksums.sealInode(record, file.number);
  }

  // Groups ----------------------------------------------------------------------------------------

  buildGroup(group: number): void {
    const { plan, checksums } = this;
    const at = group * plan.descriptorBytes;
    const { descriptorBytes } = plan;
    const record = new DiskRecord('group descriptor', 0, this.descriptors, at, descriptorBytes);
    const usedInodes = group === 0 ? FIRST_INODE_OLD : 0;
    const freeBlocks = plan.blocksIn(group) - plan.usedCount(group);
    const freeInodes = plan.inodesPerGroup - usedInodes;
    record.setU32(GD.blockBitmap, plan.blockBitmap[group] as number);
    record.setU32(GD.inodeBitmap, plan.inodeBitmap[group] as number);
    record.setU32(GD.inodeTable, plan.inodeTable[group] as number);
    this.setCount(record, GD.freeBlocks, GD.freeBlocksHigh, freeBlocks);
    this.setCount(record, GD.freeInodes, GD.freeInodesHigh, freeInodes);
    this.setCount(record, GD.directories, GD.directoriesHigh, group === 0 ? 2 : 0);
    this.freeBlocks += freeBlocks;
    this.freeInodes += freeInodes;
    const noInodes = this.hasUnused && usedInodes === 0;
    const noBlocks = this.hasUnused && plan.isUntouched(group);
    if (!noBlocks) this.buildBlockBitmap(group, record);
    if (!noInodes) this.buildInodeBitmap(group, record, usedInodes);
    if (!this.hasUnused) return;
    this.setCount(record, GD.unusedInodes, GD.unusedInodesHigh, freeInodes);
    const flags =
      (noInodes ? GROUP_FLAG.inodeUninit : 0) |
      (noBlocks ? GROUP_FLAG.blockUninit : 0) |
      (this.isTableLeft ? 0 : GROUP_FLAG.inodeTableZeroed);
    record.setU16(GD.flags, flags);
    const sum = checksums.descriptorChecksum(group, this.descriptors, at, descriptorBytes);
    record.setU16(GD.checksum, sum);
  }

  private setCount(record: DiskRecord, low: number, high: number, value: number): void {
    record.setU16(low, value & 0xffff);
    if (record.lengthBytes >= DESCRIPTOR_BYTES_64BIT) record.setU16(high, value >>> 16);
  }

  private buildBlockBitmap(group: number, record: DiskRecord): void {
    const { plan } = this;
    const bitmap = this.block(plan.blockBitmap[group] as number);
    const first = plan.firstBlockOf(group);
    for (const { deviceBlock, count } of plan.usedRuns(group)) {
      for (let index = 0; index < count; index++) setBit(bitmap, deviceBlock - first + index);
    }
    for (let bit = plan.blocksIn(group); bit < plan.blockBytes * 8; bit++) setBit(bitmap, bit);
    const length = plan.blocksPerGroup / 8;
    const sum = this.checksums.bitmapChecksum(bitmap, length);
    this.setCount(record, GD.blockBitmapChecksum, GD.blockBitmapChecksumHigh, sum);
  }

  private buildInodeBitmap(group: number, record: DiskRecord, usedInodes: number): void {
    const { plan } = this;
    const bitmap = this.block(plan.inodeBitmap[group] as number);
    for (let bit = 0; bit < usedInodes; bit++) setBit(bitmap, bit);
    for (let bit = plan.inodesPerGroup; bit < plan.blockBytes * 8; bit++) setBit(bitmap, bit);
    const sum = this.checksums.bitmapChecksum(bitmap, plan.inodesPerGroup / 8);
    this.setCount(record, GD.inodeBitmapChecksum, GD.inodeBitmapChecksumHigh, sum);
  }

  /** Superblock and descriptors of a group that has them; the first superblock is written last, by itself. */
  copyHead(group: number): void {
    const { plan } = this;
    if (!groupHasSuperblock(group, true)) return;
    const first = plan.firstBlockOf(group);
    for (let index = 0; index < plan.descriptorBlocks; index++) {
      const from = index * plan.blockBytes;
      this.block(first + 1 + index).set(this.descriptors.subarray(from, from + plan.blockBytes));
    }
    if (group === 0) return;
    const copy = this.block(first);
    copy.set(this.superblock);
    const record = new DiskRecord('superblock', first, copy, 0, SUPERBLOCK_BYTES);
    record.setU16(SB.groupNumber, group);
    this.checksums.sealSuperblock(record);
  }

  // Superblock ------------------------------------------------------------------------------------

  private fillSuperblock(): void {
    const { plan, now, sb } = this;
    const { options } = plan;
    const logBlockSize = Math.log2(plan.blockBytes / 1024);
    sb.setU32(SB.inodesCount, plan.inodesPerGroup * plan.groupCount);
    sb.setU32(SB.blocksCount, plan.blocksCount);
    sb.setU32(SB.reservedBlocks, Math.floor((plan.blocksCount * options.reservedPercent) / 100));
    sb.setU32(SB.firstDataBlock, plan.firstDataBlock);
    sb.setU32(SB.logBlockSize, logBlockSize);
    sb.setU32(SB.logFragSize, logBlockSize);
    sb.setU32(SB.blocksPerGroup, plan.blocksPerGroup);
    sb.setU32(SB.fragsPerGroup, plan.blocksPerGroup);
    sb.setU32(SB.inodesPerGroup, plan.inodesPerGroup);
    sb.setU32(SB.writeTime, now);
    sb.setU16(SB.maxMountCount, 0xffff);
    sb.setU16(SB.magic, EXT_MAGIC);
    sb.setU16(SB.state, STATE_VALID);
    sb.setU16(SB.errors, 1);
    sb.setU32(SB.lastCheck, now);
    sb.setU32(SB.revision, 1);
    sb.setU32(SB.firstInode, FIRST_INODE_OLD);
    sb.setU16(SB.inodeSize, options.inodeBytes);
    sb.bytes(SB.uuid, 16).set(this.uuid());
    sb.bytes(SB.label, 16).set(encodeName(options.label).subarray(0, 16));
    sb.bytes(SB.hashSeed, 16).set(this.uuid());
    sb.setU32(SB.mkfsTime, now);
  }

  private fillFeatures(): void {
    const { plan, sb } = this;
    const { options } = plan;
    // Where nothing was left to reserve there is no inode for it, either.
    const hasResize = plan.reservedDescriptorBlocks > 0;
    const compat = hasResize ? options.compat : options.compat & ~COMPAT.resize_inode;
    sb.setU32(SB.featureCompat, compat);
    sb.setU32(SB.featureIncompat, options.incompat);
    sb.setU32(SB.featureRoCompat, options.roCompat);
    sb.setU16(SB.reservedDescriptors, plan.reservedDescriptorBlocks);
    if ((compat & COMPAT.ext_attr) !== 0) sb.setU16(SB.defaultMountOptions, DEFAULT_MOUNT_OPTIONS);
    if ((compat & COMPAT.dir_index) !== 0) {
      sb.setU8(SB.defaultHashVersion, HASH_HALF_MD4);
      sb.setU32(SB.flags, FLAG_SIGNED_HASH);
    }
    if (options.inodeBytes > INODE_BYTES_MIN) {
      sb.setU16(SB.minExtraBytes, EXTRA_BYTES);
      sb.setU16(SB.wantExtraBytes, EXTRA_BYTES);
    }
    if ((options.incompat & INCOMPAT['64bit']) !== 0) {
      sb.setU16(SB.descriptorSize, DESCRIPTOR_BYTES_64BIT);
    }
    if ((options.incompat & INCOMPAT.flex_bg) !== 0) {
      sb.setU8(SB.logGroupsPerFlex, Math.log2(GROUPS_PER_FLEX));
    }
    if ((options.roCompat & RO_COMPAT.metadata_csum) !== 0) {
      sb.setU8(SB.checksumType, CHECKSUM_TYPE_CRC32C);
    }
  }

  /** Counters and the checksum, once all groups are built. */
  completeSuperblock(): void {
    const { plan, sb } = this;
    sb.setU32(SB.freeBlocks, this.freeBlocks);
    sb.setU32(SB.freeInodes, this.freeInodes);
    const journal = this.journalFile?.blockCount ?? 0;
    const files = 1 + plan.lostBlocks.length + (plan.resizeBlock > 0 ? 1 : 0);
    const overhead = plan.blocksCount - this.freeBlocks - files - plan.firstDataBlock;
    sb.setU32(SB.overheadClusters, Math.max(overhead, journal));
    this.checksums.sealSuperblock(sb);
  }

  /** RFC 9562, version 4. */
  private uuid(): Uint8Array {
    const bytes = Uint8Array.from({ length: 16 }, () => below(this.random, 256));
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
    return bytes;
  }
}
