// SPDX-License-Identifier: GPL-2.0-only
/**
 * The superblock: read, checked before anything in it is used, and written back. The geometry is fixed at mount; counters and state
 * change. The raw block is kept, so that what this code does not know stays as it was.
 */
import { HostError, PAGE_BYTES } from '../../base/index.ts';
import type { FamilyMember } from './family.ts';
import { superblockChecksum } from './checksum.ts';
import { damaged, DiskRecord } from './disk-record.ts';
import {
  CHECKSUM_TYPE_CRC32C,
  COMPAT,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_BYTES_64BIT,
  EXT_MAGIC,
  EXTRA_BYTES,
  featureNames,
  FIRST_INODE_OLD,
  INCOMPAT,
  INODE_BYTES_MIN,
  RO_COMPAT,
  SB,
  STATE_ERRORS,
  STATE_VALID,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
} from './layout.ts';
import { decodeName } from './text.ts';

/** What does not change while mounted. */
export interface Geometry {
  readonly blockBytes: number;
  readonly blockBits: number;
  readonly blocksCount: number;
  readonly inodesCount: number;
  readonly reservedBlocks: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodeBytes: number;
  readonly firstInode: number;
  readonly groupCount: number;
  /** 32, or with the feature 64bit what the superblock says. */
  readonly descriptorBytes: number;
  readonly descriptorsPerBlock: number;
  /** First descriptor block that lies in its own group (meta_bg); Infinity without. */
  readonly firstMetaGroup: number;
  readonly hasSparseSuper: boolean;
  /** The groups with copies besides group 0, where the feature sparse_super2 names them; null without. */
  readonly backupGroups: readonly number[] | null;
  /** Blocks behind the descriptors, in groups that have copies of them, that the resize inode keeps. */
  readonly reservedDescriptorBlocks: number;
  /** Bitmaps and inode tables may lie in any group. */
  readonly hasFlexGroups: boolean;
  /** Bitmaps may never have been written, and inode tables not be zeroed (uninit_bg, metadata_csum). */
  readonly hasLazyGroups: boolean;
  readonly hasFileType: boolean;
  /** New files are mapped by extents. */
  readonly hasExtents: boolean;
  /** i_blocks has 48 bits, and may count in blocks. */
  readonly hasHugeFile: boolean;
  /** Folders may have more subfolders than links can count. */
  readonly hasManyLinks: boolean;
  /** i_extra_isize of new inodes; 0 where inodes have no room behind their first 128 bytes. */
  readonly extraBytes: number;
}

/** `bytes` hold at least 1024 bytes of superblock at `offset`; true where the magic number is there. */
export function hasExtMagic(bytes: Uint8Array, offset: number): boolean {
  const at = offset + SB.magic;
  return bytes[at] === (EXT_MAGIC & 0xff) && bytes[at + 1] === EXT_MAGIC >> 8;
}

export class Superblock {
  readonly record: DiskRecord;
  readonly geometry: Geometry;

  /** `block` is the whole block that holds the superblock, `offset` where in it; `deviceBytes` the size of the device. */
  constructor(
    readonly block: Uint8Array,
    offset: number,
    deviceBytes: number,
  ) {
    const deviceBlock = Math.floor(SUPERBLOCK_BYTE / block.length);
    this.record = new DiskRecord('superblock', deviceBlock, block, offset, SUPERBLOCK_BYTES);
    refuseUnreadable(this.record);
    this.geometry = readGeometry(this.record, deviceBytes);
  }

  get deviceBlock(): number {
    return Math.floor(SUPERBLOCK_BYTE / this.geometry.blockBytes);
  }
  get label(): string {
    const bytes = this.record.bytes(SB.label, 16);
    const end = bytes.indexOf(0);
    return decodeName(end < 0 ? bytes : bytes.subarray(0, end));
  }
  get state(): 'clean' | 'dirty' | 'errors' {
    const state = this.record.u16(SB.state);
    if ((state & STATE_ERRORS) !== 0) return 'errors';
    return (state & STATE_VALID) !== 0 ? 'clean' : 'dirty';
  }
  /** As the superblock says; the descriptors may know better. */
  get freeBlocks(): number {
    const has64bit = (this.incompat & INCOMPAT['64bit']) !== 0;
    const high = has64bit ? this.record.u32(SB.freeBlocksHigh) : 0;
    return this.record.u32(SB.freeBlocks) + high * 2 ** 32;
  }
  get incompat(): number {
    return this.record.u32(SB.featureIncompat);
  }
  get roCompat(): number {
    return this.record.u32(SB.featureRoCompat);
  }
  get compat(): number {
    return this.record.u32(SB.featureCompat);
  }

  /**
   * Refuses by name what this member of the family does not know. What it knows only how to read, and unknown read-only features, are
   * refused where the image is to be written.
   */
  checkFeatures(member: FamilyMember, writable: boolean): void {
    const refuse = (field: string, names: string[], hint: string): HostError =>
      unsupported(
        this.record,
        `${member.title} does not know ${names.join(', ')}`,
        field,
        names,
        hint,
      );
    const known = member.incompat | INCOMPAT.needs_recovery;
    const incompat = featureNames(this.incompat & ~(known | member.readIncompat), INCOMPAT);
    if (incompat.length > 0) {
      throw refuse('feature_incompat', incompat, 'Make an image with diolab mkfs --fs ext4.');
    }
    if (!writable) return;
    const onlyRead = featureNames(this.incompat & ~known, INCOMPAT);
    if (onlyRead.length > 0) {
      throw refuse('feature_incompat', onlyRead, 'It can be opened for reading only.');
    }
    if ((this.roCompat & RO_COMPAT.orphan_present & ~member.roCompat) !== 0) {
      const hint = 'Let e2fsck -fy IMAGE end them, on a copy, or open it for reading only.';
      throw refuse('feature_ro_compat', ['files deleted while open (orphan_present)'], hint);
    }
    const readOnly = featureNames(this.roCompat & ~member.roCompat, RO_COMPAT);
    if (readOnly.length > 0) {
      throw refuse('feature_ro_compat', readOnly, 'It can be opened for reading only.');
    }
  }

  /** The journal holds what has to be replayed before anything else is believed. */
  get needsRecovery(): boolean {
    return (this.incompat & INCOMPAT.needs_recovery) !== 0;
  }

  /** Names of all features of the image. */
  features(): string[] {
    return [
      ...featureNames(this.compat, COMPAT),
      ...featureNames(this.incompat, INCOMPAT),
      ...featureNames(this.roCompat, RO_COMPAT),
    ];
  }
}

/** A refusal of features by name. */
export function unsupported(
  record: DiskRecord,
  message: string,
  field: string,
  names: readonly string[],
  hint: string,
): HostError {
  const block = record.deviceBlock;
  return new HostError({
    code: 'image.unsupported-feature',
    message,
    where: `superblock, block ${String(block)}, field ${field}`,
    hint,
    exitCode: 65,
    data: { structure: 'superblock', block, field, found: names.join(',') },
  });
}

/** What changes the meaning of the geometry's own fields is refused before they are read; then the checksum. */
function refuseUnreadable(sb: DiskRecord): void {
  if (sb.u16(SB.magic) !== EXT_MAGIC) {
    throw sb.damaged('magic', `0x${sb.u16(SB.magic).toString(16)}`, '0xef53');
  }
  if (sb.u32(SB.revision) === 0) return;
  if ((sb.u32(SB.featureIncompat) & INCOMPAT.journal_dev) !== 0) {
    const message = 'this is an external journal (journal_dev), no file system';
    const hint = 'Give the image of the file system.';
    throw unsupported(sb, message, 'feature_incompat', ['journal_dev'], hint);
  }
  if ((sb.u32(SB.featureRoCompat) & RO_COMPAT.bigalloc) !== 0) {
    const message = 'clusters of several blocks (bigalloc) are not known';
    const hint = 'Copy the files out with the kernel, or make an image without bigalloc.';
    throw unsupported(sb, message, 'feature_ro_compat', ['bigalloc'], hint);
  }
  if ((sb.u32(SB.featureRoCompat) & RO_COMPAT.metadata_csum) === 0) return;
  const type = sb.u8(SB.checksumType);
  if (type !== CHECKSUM_TYPE_CRC32C) throw sb.damaged('checksum_type', type, '1 (crc32c)');
  const found = sb.u32(SB.checksum);
  const expected = superblockChecksum(sb);
  if (found !== expected) {
    throw sb.damaged('checksum', `0x${found.toString(16)}`, `0x${expected.toString(16)}`);
  }
}

interface Sizes {
  readonly blockBits: number;
  readonly blocksCount: number;
  readonly firstDataBlock: number;
}

function readSizes(sb: DiskRecord, deviceBytes: number): Sizes {
  const blockBits = 10 + sb.u32Within('log_block_size', SB.logBlockSize, 0, 2);
  const blockBytes = 2 ** blockBits;
  if (blockBytes > PAGE_BYTES) throw sb.damaged('log_block_size', blockBits - 10, '0 to 2');
  const has64bit = (sb.u32(SB.featureIncompat) & INCOMPAT['64bit']) !== 0;
  const high = has64bit ? sb.u32(SB.blocksCountHigh) : 0;
  const blocksCount = sb.u32(SB.blocksCount) + high * 2 ** 32;
  const deviceBlocks = Math.floor(deviceBytes / blockBytes);
  const firstDataBlock = sb.u32(SB.firstDataBlock);
  if (firstDataBlock !== (blockBytes === 1024 ? 1 : 0)) {
    throw sb.damaged('first_data_block', firstDataBlock, blockBytes === 1024 ? '1' : '0');
  }
  if (blocksCount > deviceBlocks) {
    throw sb.damaged(
      'blocks_count',
      blocksCount,
      `at most the ${String(deviceBlocks)} of the image: it is cut short, or not whole`,
    );
  }
  if (blocksCount < firstDataBlock + 8) throw sb.damaged('blocks_count', blocksCount, 'at least 8');
  return { blockBits, blocksCount, firstDataBlock };
}

function readInodeSize(sb: DiskRecord, blockBytes: number): number {
  const inodeBytes = sb.u32(SB.revision) === 0 ? INODE_BYTES_MIN : sb.u16(SB.inodeSize);
  if (inodeBytes < 128 || inodeBytes > blockBytes || (inodeBytes & (inodeBytes - 1)) !== 0) {
    throw sb.damaged('inode_size', inodeBytes, `a power of two from 128 to ${String(blockBytes)}`);
  }
  return inodeBytes;
}

function readDescriptorSize(sb: DiskRecord, blockBytes: number): number {
  if ((sb.u32(SB.featureIncompat) & INCOMPAT['64bit']) === 0) return DESCRIPTOR_BYTES;
  const bytes = sb.u16(SB.descriptorSize);
  if (bytes < DESCRIPTOR_BYTES_64BIT || bytes > blockBytes || (bytes & (bytes - 1)) !== 0) {
    const expected = `a power of two from 64 to ${String(blockBytes)}`;
    throw sb.damaged('desc_size', bytes, expected);
  }
  return bytes;
}

/** i_extra_isize of new inodes: what the kernel wants (32), where there is room for it. */
function readExtraBytes(sb: DiskRecord, inodeBytes: number): number {
  if (inodeBytes === INODE_BYTES_MIN) return 0;
  const room = inodeBytes - INODE_BYTES_MIN;
  let extra = EXTRA_BYTES;
  if ((sb.u32(SB.featureRoCompat) & RO_COMPAT.extra_isize) !== 0) {
    extra = Math.max(extra, sb.u16(SB.wantExtraBytes), sb.u16(SB.minExtraBytes));
    if (extra > room || extra % 4 !== 0) {
      throw sb.damaged('want_extra_isize', extra, `a multiple of 4, at most ${String(room)}`);
    }
  }
  return Math.min(extra, room);
}

function readGeometry(sb: DiskRecord, deviceBytes: number): Geometry {
  const { blockBits, blocksCount, firstDataBlock } = readSizes(sb, deviceBytes);
  const blockBytes = 2 ** blockBits;
  const revision = sb.u32Within('rev_level', SB.revision, 0, 1);
  const incompat = sb.u32(SB.featureIncompat);
  const roCompat = sb.u32(SB.featureRoCompat);
  const compat = sb.u32(SB.featureCompat);
  const bitsPerBlock = blockBytes * 8;
  const blocksPerGroup = sb.u32Within('blocks_per_group', SB.blocksPerGroup, 8, bitsPerBlock);
  const inodesPerGroup = sb.u32Within('inodes_per_group', SB.inodesPerGroup, 1, bitsPerBlock);
  const inodeBytes = readInodeSize(sb, blockBytes);
  const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  const inodesCount = sb.u32(SB.inodesCount);
  if (inodesCount !== groupCount * inodesPerGroup) {
    throw sb.damaged('inodes_count', inodesCount, String(groupCount * inodesPerGroup));
  }
  const firstInode = revision === 0 ? FIRST_INODE_OLD : sb.u32(SB.firstInode);
  if (firstInode < FIRST_INODE_OLD || firstInode > inodesCount) {
    throw sb.damaged('first_ino', firstInode, `11 to ${String(inodesCount)}`);
  }
  const descriptorBytes = readDescriptorSize(sb, blockBytes);
  const descriptorsPerBlock = blockBytes / descriptorBytes;
  const hasMetaGroups = (incompat & INCOMPAT.meta_bg) !== 0;
  const descriptorBlocks = Math.ceil(groupCount / descriptorsPerBlock);
  if (!hasMetaGroups && descriptorBlocks >= blocksPerGroup) {
    throw sb.damaged('blocks_per_group', blocksPerGroup, `more than ${String(descriptorBlocks)}`);
  }
  const has = (bits: number, bit: number): boolean => (bits & bit) !== 0;
  const isSparse2 = has(compat, COMPAT.sparse_super2);
  const reservedHigh = has(incompat, INCOMPAT['64bit']) ? sb.u32(SB.reservedBlocksHigh) : 0;
  return {
    blockBytes,
    blockBits,
    blocksCount,
    inodesCount,
    reservedBlocks: Math.min(sb.u32(SB.reservedBlocks) + reservedHigh * 2 ** 32, blocksCount),
    firstDataBlock,
    blocksPerGroup,
    inodesPerGroup,
    inodeBytes,
    firstInode,
    groupCount,
    descriptorBytes,
    descriptorsPerBlock,
    firstMetaGroup: hasMetaGroups ? sb.u32(SB.firstMetaGroup) : Infinity,
    hasSparseSuper: has(roCompat, RO_COMPAT.sparse_super),
    backupGroups: isSparse2 ? [sb.u32(SB.backupGroups), sb.u32(SB.backupGroups + 4)] : null,
    reservedDescriptorBlocks: sb.u16(SB.reservedDescriptors),
    hasFlexGroups: has(incompat, INCOMPAT.flex_bg),
    hasLazyGroups: has(roCompat, RO_COMPAT.uninit_bg | RO_COMPAT.metadata_csum),
    hasFileType: has(incompat, INCOMPAT.filetype),
    hasExtents: has(incompat, INCOMPAT.extents),
    hasHugeFile: has(roCompat, RO_COMPAT.huge_file),
    hasManyLinks: has(roCompat, RO_COMPAT.dir_nlink),
    extraBytes: readExtraBytes(sb, inodeBytes),
  };
}

/** A refusal for a pointer or number that leads outside the image. */
export function outsideImage(
  structure: string,
  block: number,
  field: string,
  found: number,
): HostError {
  return damaged(structure, block, field, found, 'a block inside the image');
}
