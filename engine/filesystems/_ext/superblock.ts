// SPDX-License-Identifier: GPL-2.0-only
/**
 * The superblock: read, checked before anything in it is used, and written back. The geometry is fixed at mount; counters and state
 * change. The raw block is kept, so that what this code does not know stays as it was.
 */
import { HostError, PAGE_BYTES } from '../../base/index.ts';
import type { FamilyMember } from './family.ts';
import { damaged, DiskRecord } from './disk-record.ts';
import {
  COMPAT,
  DESCRIPTOR_BYTES,
  EXT_MAGIC,
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
  readonly descriptorsPerBlock: number;
  /** First descriptor block that lies in its own group (meta_bg); Infinity without. */
  readonly firstMetaGroup: number;
  readonly hasSparseSuper: boolean;
  readonly hasFileType: boolean;
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
  get incompat(): number {
    return this.record.u32(SB.featureIncompat);
  }
  get roCompat(): number {
    return this.record.u32(SB.featureRoCompat);
  }
  get compat(): number {
    return this.record.u32(SB.featureCompat);
  }

  /** Refuses by name what this member of the family does not know; unknown read-only features only where it is to be written. */
  checkFeatures(member: FamilyMember, writable: boolean): void {
    const refuse = (field: string, names: string[], hint: string): HostError =>
      new HostError({
        code: 'image.unsupported-feature',
        message: `${member.title} does not know ${names.join(', ')}`,
        where: `superblock, block ${String(this.deviceBlock)}, field ${field}`,
        hint,
        exitCode: 65,
        data: { structure: 'superblock', block: this.deviceBlock, field, found: names.join(',') },
      });
    if ((this.incompat & INCOMPAT.needs_recovery & ~member.incompat) !== 0) {
      throw refuse(
        'feature_incompat',
        ['a journal that has to be replayed first (needs_recovery)'],
        'Replay it on a copy: e2fsck -fy IMAGE.',
      );
    }
    const incompat = featureNames(this.incompat & ~member.incompat, INCOMPAT);
    if (incompat.length > 0) {
      throw refuse('feature_incompat', incompat, 'Make an image with diolab mkfs --fs ext2.');
    }
    const readOnly = featureNames(this.roCompat & ~member.roCompat, RO_COMPAT);
    if (writable && readOnly.length > 0) {
      throw refuse('feature_ro_compat', readOnly, 'It can be opened for reading only.');
    }
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

function readGeometry(sb: DiskRecord, deviceBytes: number): Geometry {
  if (sb.u16(SB.magic) !== EXT_MAGIC) {
    throw sb.damaged('magic', `0x${sb.u16(SB.magic).toString(16)}`, '0xef53');
  }
  const blockBits = 10 + sb.u32Within('log_block_size', SB.logBlockSize, 0, 2);
  const blockBytes = 2 ** blockBits;
  if (blockBytes > PAGE_BYTES) throw sb.damaged('log_block_size', blockBits - 10, '0 to 2');
  const revision = sb.u32Within('rev_level', SB.revision, 0, 1);
  const incompat = sb.u32(SB.featureIncompat);
  const blocksCount = sb.u32(SB.blocksCount);
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
  const bitsPerBlock = blockBytes * 8;
  const blocksPerGroup = sb.u32Within('blocks_per_group', SB.blocksPerGroup, 8, bitsPerBlock);
  const inodesPerGroup = sb.u32Within('inodes_per_group', SB.inodesPerGroup, 1, bitsPerBlock);
  const inodeBytes = revision === 0 ? INODE_BYTES_MIN : sb.u16(SB.inodeSize);
  if (inodeBytes < 128 || inodeBytes > blockBytes || (inodeBytes & (inodeBytes - 1)) !== 0) {
    throw sb.damaged('inode_size', inodeBytes, `a power of two from 128 to ${String(blockBytes)}`);
  }
  const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  const inodesCount = sb.u32(SB.inodesCount);
  if (inodesCount !== groupCount * inodesPerGroup) {
    throw sb.damaged('inodes_count', inodesCount, String(groupCount * inodesPerGroup));
  }
  const firstInode = revision === 0 ? FIRST_INODE_OLD : sb.u32(SB.firstInode);
  if (firstInode < FIRST_INODE_OLD || firstInode > inodesCount) {
    throw sb.damaged('first_ino', firstInode, `11 to ${String(inodesCount)}`);
  }
  const descriptorsPerBlock = blockBytes / DESCRIPTOR_BYTES;
  const hasMetaGroups = (incompat & INCOMPAT.meta_bg) !== 0;
  const descriptorBlocks = Math.ceil(groupCount / descriptorsPerBlock);
  if (!hasMetaGroups && descriptorBlocks >= blocksPerGroup) {
    throw sb.damaged('blocks_per_group', blocksPerGroup, `more than ${String(descriptorBlocks)}`);
  }
  return {
    blockBytes,
    blockBits,
    blocksCount,
    inodesCount,
    reservedBlocks: Math.min(sb.u32(SB.reservedBlocks), blocksCount),
    firstDataBlock,
    blocksPerGroup,
    inodesPerGroup,
    inodeBytes,
    firstInode,
    groupCount,
    descriptorsPerBlock,
    firstMetaGroup: hasMetaGroups ? sb.u32(SB.firstMetaGroup) : Infinity,
    hasSparseSuper: (sb.u32(SB.featureRoCompat) & RO_COMPAT.sparse_super) !== 0,
    hasFileType: (incompat & INCOMPAT.filetype) !== 0,
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
