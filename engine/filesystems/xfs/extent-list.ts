// SPDX-License-Identifier: GPL-2.0-only
/**
 * The extents of a fork, as XFS keeps them in memory: all of them, read once (xfs_iext_tree.c, xfs_iread_extents), so that looking a
 * block up never sleeps.
 *
 *   record, 128 bits:  | unwritten 1 | file block 54 | fsblock 52 | count 21 |
 *
 * Rules: 1. Extents are in the order of their file blocks, do not overlap and lie inside one group each, behind its headers: all
 * checked while they are read. 2. A map of several levels (`btree`) has as many records as the inode says, each block is seen once,
 * and each level is one below its parent's.
 */
import { HostError, type Task } from '../../base/index.ts';
import { BMAP_MAGIC, EXTENT_BYTES, FORK_FORMAT, LEVELS_MAX } from './layout.ts';
import type { Fork } from './inode.ts';
import type { XfsRecord } from './record.ts';
import type { TreeBlock, XfsVolume } from './volume.ts';

/** A file of more extents than this is refused: its map alone would take more than 80 MiB. */
const EXTENTS_MAX = 2_000_000;
const FIRST_ROOM = 16;

export class ExtentList {
  count = 0;
  fileBlocks = new Float64Array(FIRST_ROOM);
  deviceBlocks = new Float64Array(FIRST_ROOM);
  /** Blocks; unwritten ones are negative. */
  lengths = new Int32Array(FIRST_ROOM);
  /** Blocks of the map itself. */
  readonly mapBlocks: number[] = [];

  push(fileBlock: number, deviceBlock: number, length: number, isUnwritten: boolean): void {
    if (this.count === this.lengths.length) this.grow();
    this.fileBlocks[this.count] = fileBlock;
    this.deviceBlocks[this.count] = deviceBlock;
    this.lengths[this.count] = isUnwritten ? -length : length;
    this.count++;
  }

  /** The extent that holds the block, else the one behind it; `count` where there is none. */
  find(fileBlock: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.endOf(middle) <= fileBlock) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  /** First file block behind an extent. */
  endOf(index: number): number {
    return (this.fileBlocks[index] as number) + Math.abs(this.lengths[index] as number);
  }
  /** Where a file block is, unwritten or not; -1: a hole. */
  placeOf(fileBlock: number): number {
    const index = this.find(fileBlock);
    if (index === this.count) return -1;
    const first = this.fileBlocks[index] as number;
    return first > fileBlock ? -1 : (this.deviceBlocks[index] as number) + fileBlock - first;
  }

  private grow(): void {
    const room = this.count * 2;
    const fileBlocks = new Float64Array(room);
    const deviceBlocks = new Float64Array(room);
    const lengths = new Int32Array(room);
    fileBlocks.set(this.fileBlocks);
    deviceBlocks.set(this.deviceBlocks);
    lengths.set(this.lengths);
    this.fileBlocks = fileBlocks;
    this.deviceBlocks = deviceBlocks;
    this.lengths = lengths;
  }
}

/** Reads the map of a fork. Throws `HostError` where it cannot be. */
export function* readExtents(volume: XfsVolume, inodeNumber: number, fork: Fork): Task<ExtentList> {
  const list = new ExtentList();
  if (fork.format !== FORK_FORMAT.extents && fork.format !== FORK_FORMAT.btree) return list;
  const { extentsCount, literal } = fork;
  if (extentsCount > EXTENTS_MAX) {
    throw new HostError({
      code: 'image.too-many-extents',
      message: `inode ${String(inodeNumber)} has ${String(extentsCount)} extents`,
      where: `inode ${String(inodeNumber)}, block ${String(literal.deviceBlock)}, field core.nextents`,
      hint: `The lab maps files of at most ${String(EXTENTS_MAX)} extents.`,
      exitCode: 65,
    });
  }
  const reader = new MapReader(volume, inodeNumber, list, extentsCount);
  if (fork.format === FORK_FORMAT.extents) reader.records(literal, 0, extentsCount);
  else yield* reader.root(literal);
  if (list.count !== extentsCount) {
    throw literal.damaged('core.nextents', extentsCount, `${String(list.count)}, as in its map`);
  }
  return list;
}

class MapReader {
  private readonly visited = new Set<number>();
  constructor(
    private readonly volume: XfsVolume,
    private readonly inodeNumber: number,
    private readonly list: ExtentList,
    private readonly extentsCount: number,
  ) {}

  /** xfs_bmdr_block: level and count, then room for keys, then as much room for pointers. */
  *root(literal: XfsRecord): Task<void> {
    const level = literal.u16(0);
    const count = literal.u16(2);
    const room = Math.floor((literal.bytes.length - 4) / 16);
    if (level < 1 || level >= LEVELS_MAX) {
      throw literal.damaged('bmbt.level', level, `1 to ${String(LEVELS_MAX - 1)}`);
    }
    if (count < 1 || count > room) {
      throw literal.damaged('bmbt.numrecs', count, `1 to ${String(room)}`);
    }
    yield* this.children(literal, 4 + room * 8, count, level - 1);
  }

  private *children(
    record: XfsRecord,
    pointersAt: number,
    count: number,
    level: number,
  ): Task<void> {
    for (let index = 0; index < count; index++) {
      const name = `ptrs[${String(index + 1)}]`;
      const pointer = record.u64(pointersAt + index * 8, name);
      const deviceBlock = this.volume.placeOf(pointer, 1);
      if (deviceBlock < 0) throw record.damaged(name, pointer, 'a block inside the image');
      if (this.visited.has(deviceBlock)) {
        throw record.damaged(name, pointer, 'a block that is not in the map already');
      }
      this.visited.add(deviceBlock);
      this.list.mapBlocks.push(deviceBlock);
      const { inodeNumber } = this;
      const block = yield* this.volume.longBlock(BMAP_MAGIC, deviceBlock, inodeNumber, level);
      yield* this.block(block);
    }
  }

  private *block(block: TreeBlock): Task<void> {
    const { record, level, count, headerBytes } = block;
    if (count === 0) throw record.damaged('numrecs', 0, 'at least 1');
    if (level === 0) {
      this.records(record, headerBytes, count);
      return;
    }
    const room = Math.floor((record.bytes.length - headerBytes) / 16);
    yield* this.children(record, headerBytes + room * 8, count, level - 1);
  }

  /** Takes `count` records from `at` on. */
  records(record: XfsRecord, at: number, count: number): void {
    const { list } = this;
    if (list.count + count > this.extentsCount) {
      const found = list.count + count;
      throw record.damaged('numrecs', found, `${String(this.extentsCount)} extents in all`);
    }
    for (let index = 0; index < count; index++) {
      const from = at + index * EXTENT_BYTES;
      const extent = decodeExtent(record, from);
      const name = `recs[${String(index + 1)}]`;
      const before = list.count === 0 ? 0 : list.endOf(list.count - 1);
      if (extent.fileBlock < before) {
        throw record.damaged(`${name}.startoff`, extent.fileBlock, `at least ${String(before)}`);
      }
      if (extent.length === 0) throw record.damaged(`${name}.blockcount`, 0, 'at least 1');
      if (extent.fileBlock + extent.length > Number.MAX_SAFE_INTEGER) {
        throw record.damaged(`${name}.startoff`, extent.fileBlock, 'below 2^53');
      }
      const place = this.volume.placeOf(extent.fsblock, extent.length);
      if (place < 0) {
        const expected = `${String(extent.length)} blocks inside one group of the image`;
        throw record.damaged(`${name}.startblock`, extent.fsblock, expected);
      }
      list.push(extent.fileBlock, place, extent.length, extent.isUnwritten);
    }
  }
}

export interface DiskExtent {
  readonly fileBlock: number;
  readonly fsblock: number;
  readonly length: number;
  readonly isUnwritten: boolean;
}

/** xfs_bmbt_disk_get_all */
export function decodeExtent(record: XfsRecord, at: number): DiskExtent {
  const first = record.u32(at);
  const second = record.u32(at + 4);
  const third = record.u32(at + 8);
  const fourth = record.u32(at + 12);
  return {
    isUnwritten: first >>> 31 === 1,
    fileBlock: (first & 0x7fffffff) * 2 ** 23 + (second >>> 9),
    fsblock: (second & 0x1ff) * 2 ** 43 + third * 2 ** 11 + (fourth >>> 21),
    length: fourth & 0x1fffff,
  };
}
