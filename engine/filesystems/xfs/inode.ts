// SPDX-License-Identifier: GPL-2.0-only
/** Inodes of XFS: where they are, and their record on disk, checked (xfs_inode_buf.c: xfs_dinode_verify). */
import type { Task } from '../../base/index.ts';
import {
  CoreInode,
  PageCache,
  type CoreSuperBlock,
  type InodeKind,
  type Kernel,
  type PageCacheSettings,
} from '../../vfs/index.ts';
import type { ExtentList } from './extent-list.ts';
import {
  EXTENT_BYTES,
  FORK_FORMAT,
  INODE,
  INODE3,
  INODE_CORE_BYTES,
  INODE_FLAG_REALTIME,
  INODE_FLAG2,
  INODE_MAGIC,
  MODE_KIND,
} from './layout.ts';
import { damagedXfs, hex, XfsRecord } from './record.ts';
import type { Geometry } from './superblock.ts';
import type { XfsVolume } from './volume.ts';

const kinds: Readonly<Record<number, InodeKind>> = {
  0x8000: 'file',
  0x4000: 'directory',
  0xa000: 'symlink',
  0x6000: 'block-device',
};

/** One fork of an inode: its content or its extended attributes. */
export interface Fork {
  readonly format: number;
  readonly extentsCount: number;
  /** The fork's bytes inside the inode. */
  readonly literal: XfsRecord;
}

export interface InodeRecord {
  readonly record: XfsRecord;
  readonly inodeNumber: number;
  readonly mode: number;
  readonly kind: InodeKind;
  readonly linkCount: number;
  readonly sizeBytes: number;
  readonly blocksCount: number;
  readonly isRealtime: boolean;
  readonly isBigTime: boolean;
  readonly data: Fork;
  /** Null: it has none. */
  readonly attributes: Fork | null;
}

export interface InodePlace {
  readonly deviceBlock: number;
  readonly offsetBytes: number;
}

/** Where an inode is, or null where its number cannot be one of this image. */
export function inodePlace(geometry: Geometry, inodeNumber: number): InodePlace | null {
  const { groupBlockBits, inodesPerBlockBits, groupCount, groupBlocks, blocksCount } = geometry;
  if (!Number.isSafeInteger(inodeNumber) || inodeNumber < 1) return null;
  const group = Math.floor(inodeNumber / 2 ** (groupBlockBits + inodesPerBlockBits));
  const rest = inodeNumber % 2 ** (groupBlockBits + inodesPerBlockBits);
  const inGroup = Math.floor(rest / 2 ** inodesPerBlockBits);
  const length = Math.min(groupBlocks, blocksCount - group * groupBlocks);
  if (group >= groupCount || inGroup < geometry.headerBlocks || inGroup >= length) return null;
  return {
    deviceBlock: group * groupBlocks + inGroup,
    offsetBytes: (rest % 2 ** inodesPerBlockBits) * geometry.inodeBytes,
  };
}

/** Reads an inode and checks it; null where it is free. Throws `HostError`. */
export function* readInodeRecord(volume: XfsVolume, inodeNumber: number): Task<InodeRecord | null> {
  const place = inodePlace(volume.geometry, inodeNumber);
  if (place === null) {
    throw damagedXfs('inode number', 0, 'inumber', inodeNumber, 'an inode inside the image');
  }
  const bytes = yield* volume.bytes(place.deviceBlock);
  const { inodeBytes } = volume.geometry;
  const own = bytes.subarray(place.offsetBytes, place.offsetBytes + inodeBytes);
  const record = new XfsRecord(`inode ${String(inodeNumber)}`, place.deviceBlock, own);
  return decodeInode(volume.geometry, record, inodeNumber);
}

/** Null: free. */
export function decodeInode(
  geometry: Geometry,
  record: XfsRecord,
  inodeNumber: number,
): InodeRecord | null {
  const { hasCrc } = geometry;
  const magic = record.number(INODE.magic);
  if (magic !== INODE_MAGIC) throw record.damaged(INODE.magic.name, hex(magic, 4), '0x494e');
  const version = record.within(INODE.version, hasCrc ? 3 : 1, hasCrc ? 3 : 2);
  if (hasCrc) {
    record.verifyCrc(INODE3.crc.at);
    record.verifyUuid(INODE3.uuid.at, geometry.uuid);
    record.expectNumber(INODE3.inumber.name, record.number(INODE3.inumber), inodeNumber);
  }
  const mode = record.number(INODE.mode);
  if (mode === 0) return null;
  const flags2 = hasCrc ? record.u32(INODE3.flags2.at + 4) : 0;
  const coreBytes = INODE_CORE_BYTES[version === 3 ? 1 : 0];
  const room = record.bytes.length - coreBytes;
  const forkOffset = record.number(INODE.forkoff) * 8;
  if (forkOffset >= room) {
    throw record.damaged('core.forkoff', forkOffset / 8, `at most ${String(room / 8 - 1)}`);
  }
  const kind = kinds[mode & MODE_KIND] ?? 'other';
  const counts = extentCounts(record, (flags2 & INODE_FLAG2.nrext64) !== 0);
  const dataRoom = forkOffset === 0 ? room : forkOffset;
  const data = readFork(record, {
    at: coreBytes,
    room: dataRoom,
    format: record.number(INODE.format),
    count: counts.data,
    name: 'core.format',
  });
  checkFormat(record, kind, data.format);
  const attributes =
    forkOffset === 0
      ? null
      : readFork(record, {
          at: coreBytes + forkOffset,
          room: room - forkOffset,
          format: record.number(INODE.aformat),
          count: counts.attributes,
          name: 'core.aformat',
        });
  return {
    record,
    inodeNumber,
    mode,
    kind,
    linkCount: version === 1 ? record.number(INODE.onlink) : record.number(INODE.nlink),
    sizeBytes: record.number(INODE.size),
    blocksCount: record.u64Rounded(INODE.nblocks.at),
    isRealtime: (record.number(INODE.flags) & INODE_FLAG_REALTIME) !== 0,
    isBigTime: (flags2 & INODE_FLAG2.bigtime) !== 0,
    data,
    attributes,
  };
}

function extentCounts(record: XfsRecord, isBig: boolean): { data: number; attributes: number } {
  if (!isBig) {
    return { data: record.number(INODE.nextents), attributes: record.number(INODE.naextents) };
  }
  return {
    data: record.number(INODE3.bigExtents),
    attributes: record.number(INODE3.bigAttributeExtents),
  };
}

function readFork(
  record: XfsRecord,
  from: { at: number; room: number; format: number; count: number; name: string },
): Fork {
  const { at, room, format, count, name } = from;
  if (format > FORK_FORMAT.btree) {
    throw record.damaged(name, format, '0 (dev), 1 (local), 2 (extents) or 3 (btree)');
  }
  if (format === FORK_FORMAT.extents && count * EXTENT_BYTES > room) {
    const field = name === 'core.format' ? 'core.nextents' : 'core.naextents';
    throw record.damaged(field, count, `at most ${String(Math.floor(room / EXTENT_BYTES))}`);
  }
  return { format, extentsCount: count, literal: record.part(record.structure, at, room) };
}

function checkFormat(record: XfsRecord, kind: InodeKind, format: number): void {
  const { device, local, extents, btree } = FORK_FORMAT;
  const allowed: readonly number[] =
    kind === 'file'
      ? [extents, btree]
      : kind === 'directory'
        ? [local, extents, btree]
        : kind === 'symlink'
          ? [local, extents]
          : [device];
  if (allowed.includes(format)) return;
  throw record.damaged('core.format', format, `${allowed.join(' or ')} for a ${kind}`);
}

/** An inode in memory. */
export class XfsInode extends CoreInode {
  override readonly mapping: PageCache;
  /** The map of its blocks; null until something needs it. */
  extents: ExtentList | null = null;

  constructor(
    kernel: Kernel,
    superBlock: CoreSuperBlock,
    settings: PageCacheSettings,
    blockBits: number,
    readonly content: InodeRecord,
  ) {
    super(kernel, superBlock, content.inodeNumber, content.kind, blockBits);
    this.sizeBytes = content.sizeBytes;
    this.mapping = new PageCache(this, settings);
  }
}
