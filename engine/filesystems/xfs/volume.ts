// SPDX-License-Identifier: GPL-2.0-only
/**
 * The blocks of a mounted XFS: where they are, and reading them with every check that a metadata block allows (xfs_buf_ops): magic
 * number, checksum, UUID, its own address and its owner. Nothing is ever written.
 */
import { PAGE_BYTES } from '../../base/index.ts';
import type { Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { BufferCache, type Kernel } from '../../vfs/index.ts';
import { LONG_BLOCK, SHORT_BLOCK, type TreeKind } from './layout.ts';
import { damagedXfs, XfsReadError, XfsRecord } from './record.ts';
import type { Geometry, Superblock } from './superblock.ts';

/** Pages that metadata may take in the arena. */
const BUFFER_PAGES_MAX = 4096;
const SECTORS_PER_KIB = 2;

export interface TreeBlock {
  readonly record: XfsRecord;
  readonly level: number;
  readonly count: number;
  readonly headerBytes: number;
}

export class XfsVolume {
  readonly geometry: Geometry;
  readonly cache: BufferCache;

  constructor(
    readonly kernel: Kernel,
    readonly device: BlockDevice,
    readonly superblock: Superblock,
  ) {
    const { geometry } = superblock;
    this.geometry = geometry;
    const pages = Math.min(BUFFER_PAGES_MAX, Math.max(16, kernel.memory.pageCount >> 2));
    const buffers = pages * (PAGE_BYTES / geometry.blockBytes);
    const { blockBits, blocksCount } = geometry;
    this.cache = new BufferCache(kernel, device, blockBits, blocksCount, buffers);
  }

  /** A copy of a block. Throws `XfsReadError`. */
  *bytes(deviceBlock: number): Task<Uint8Array> {
    const buffer = yield* this.cache.load(deviceBlock);
    if (typeof buffer === 'number') throw new XfsReadError(deviceBlock, buffer);
    const copy = buffer.bytes.slice();
    this.cache.release(buffer);
    return copy;
  }
  /** A copy of several blocks, which need not be neighbours, as one. */
  *joined(deviceBlocks: readonly number[]): Task<Uint8Array> {
    const { blockBytes } = this.geometry;
    const all = new Uint8Array(deviceBlocks.length * blockBytes);
    for (const [index, block] of deviceBlocks.entries()) {
      all.set(yield* this.bytes(block), index * blockBytes);
    }
    return all;
  }

  groupOf(deviceBlock: number): number {
    return Math.floor(deviceBlock / this.geometry.groupBlocks);
  }
  groupLength(group: number): number {
    const { groupBlocks, blocksCount } = this.geometry;
    return Math.min(groupBlocks, blocksCount - group * groupBlocks);
  }
  /** XFS_FSB_TO_DADDR in blocks, or -1 where `count` blocks from there are not inside one group behind its headers. */
  placeOf(fsblock: number, count: number): number {
    const { groupBlockBits, groupBlocks, groupCount, headerBlocks } = this.geometry;
    const group = Math.floor(fsblock / 2 ** groupBlockBits);
    const inGroup = fsblock % 2 ** groupBlockBits;
    if (group >= groupCount || inGroup < headerBlocks) return -1;
    if (inGroup + count > this.groupLength(group)) return -1;
    return group * groupBlocks + inGroup;
  }
  /** What a block's header says is its own address: in sectors of 512 bytes. */
  addressOf(deviceBlock: number): number {
    return deviceBlock * (this.geometry.blockBytes / 1024) * SECTORS_PER_KIB;
  }

  /** One header of a group: `index` sectors behind its start. */
  *header(group: number, index: number, structure: string): Task<XfsRecord> {
    const { groupBlocks, sectorBytes, blockBytes } = this.geometry;
    const byte = index * sectorBytes;
    const deviceBlock = group * groupBlocks + Math.floor(byte / blockBytes);
    const bytes = yield* this.bytes(deviceBlock);
    const at = byte % blockBytes;
    const name = `${structure} of group ${String(group)}`;
    return new XfsRecord(name, deviceBlock, bytes.subarray(at, at + sectorBytes));
  }

  /** A block of a tree of a group: 32-bit pointers. `level` -1: any. */
  *shortBlock(kind: TreeKind, group: number, inGroup: number, level: number): Task<TreeBlock> {
    const { hasCrc, uuid, groupBlocks } = this.geometry;
    const deviceBlock = group * groupBlocks + inGroup;
    const name = `${kind.id} block of group ${String(group)}`;
    const record = new XfsRecord(name, deviceBlock, yield* this.bytes(deviceBlock));
    record.magic(0, 'magic', kind.magic[hasCrc ? 1 : 0]);
    const headerBytes = hasCrc ? 56 : 16;
    if (hasCrc) {
      record.verifyCrc(SHORT_BLOCK.crc.at);
      record.verifyUuid(SHORT_BLOCK.uuid.at, uuid);
      record.expectNumber('bno', record.number(SHORT_BLOCK.bno), this.addressOf(deviceBlock));
      record.expectNumber('owner', record.number(SHORT_BLOCK.owner), group);
    }
    const room = record.bytes.length - headerBytes;
    return checkedTreeBlock(record, level, headerBytes, (isLeaf) =>
      Math.floor(room / (isLeaf ? kind.recordBytes : kind.keyBytes + 4)),
    );
  }

  /** A block of a file's map: 64-bit pointers. */
  *longBlock(
    magics: readonly [number, number],
    deviceBlock: number,
    owner: number,
    level: number,
  ): Task<TreeBlock> {
    const { hasCrc, uuid } = this.geometry;
    const name = `bmbt block of inode ${String(owner)}`;
    const record = new XfsRecord(name, deviceBlock, yield* this.bytes(deviceBlock));
    record.magic(0, 'magic', magics[hasCrc ? 1 : 0]);
    const headerBytes = hasCrc ? 72 : 24;
    if (hasCrc) {
      record.verifyCrc(LONG_BLOCK.crc.at);
      record.verifyUuid(LONG_BLOCK.uuid.at, uuid);
      record.expectNumber('bno', record.number(LONG_BLOCK.bno), this.addressOf(deviceBlock));
      record.expectNumber('owner', record.number(LONG_BLOCK.owner), owner);
    }
    const room = Math.floor((record.bytes.length - headerBytes) / 16);
    return checkedTreeBlock(record, level, headerBytes, () => room);
  }

  /** Refuses a block of a group that cannot be what a pointer says. */
  checkInGroup(record: XfsRecord, field: string, group: number, inGroup: number): void {
    if (inGroup >= this.geometry.headerBlocks && inGroup < this.groupLength(group)) return;
    const expected = `a block of group ${String(group)}, ${String(this.geometry.headerBlocks)} to ${String(this.groupLength(group) - 1)}`;
    throw damagedXfs(record.structure, record.deviceBlock, field, inGroup, expected);
  }
}

function checkedTreeBlock(
  record: XfsRecord,
  level: number,
  headerBytes: number,
  roomFor: (isLeaf: boolean) => number,
): TreeBlock {
  const found = record.number(SHORT_BLOCK.level);
  if (level >= 0) record.expectNumber('level', found, level);
  const count = record.within(SHORT_BLOCK.numrecs, 0, roomFor(found === 0));
  return { record, level: found, count, headerBytes };
}
