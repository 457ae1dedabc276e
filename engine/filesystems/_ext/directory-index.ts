// SPDX-License-Identifier: GPL-2.0-only
/**
 * The blocks of a directory's hash index (fs/ext4/namei.c); all numbers little endian.
 *
 *   root, block 0 of the directory                    node, any block
 *     0 entry '.' of 12 bytes                           0 unused entry as long as the block
 *    12 entry '..' as long as the rest of the block     8 limit u16, count u16, block of the first child
 *    24 0 u32                                          16 hash, block; hash, block; ...
 *    28 hash version u8, 29 length 8 u8,
 *    30 levels of nodes u8, 31 flags u8
 *    32 limit u16, count u16, block of the first child
 *    40 hash, block; hash, block; ...
 *   with checksums the last 8 bytes hold one (checksum.ts)
 *
 * A reader that does not know indexes sees a directory whose root has two entries and whose nodes have none.
 *
 * Rules: 1. Children are blocks of the directory, not of the device. 2. Child k has the hashes from its own to that of child k + 1;
 * the first child's hash is 0 and not stored. 3. A hash with its lowest bit set says that entries of the hash before it are in the
 * child before, too. 4. What was read is checked before it is used: limit, count, order of the hashes, children inside the directory.
 */
import { damaged } from './disk-record.ts';

export const ROOT_COUNT_OFFSET = 32;
export const NODE_COUNT_OFFSET = 8;
const ROOT_INFO = 24;
const ROOT_INFO_BYTES = 8;
const DOT_BYTES = 12;
const INDEX_ENTRY_BYTES = 8;
/** Levels of nodes below the root; large_dir would allow one more. */
export const INDEX_LEVELS_MAX = 1;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Where limit and count are in a block of an indexed directory that holds no tail of entries: 32 in a root, 8 in a node, -1 in
 * neither (get_dx_countlimit).
 */
export function countOffsetOf(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  const length = view.getUint16(4, true);
  if (length === bytes.length && view.getUint32(0, true) === 0) return NODE_COUNT_OFFSET;
  const isRoot =
    length === DOT_BYTES &&
    view.getUint16(DOT_BYTES + 4, true) === bytes.length - DOT_BYTES &&
    view.getUint32(ROOT_INFO, true) === 0 &&
    bytes[ROOT_INFO + 5] === ROOT_INFO_BYTES;
  return isRoot ? ROOT_COUNT_OFFSET : -1;
}

/** Entries of 8 bytes that such a block has room for. */
export function indexLimit(blockBytes: number, countOffset: number, hasChecksum: boolean): number {
  return Math.floor((blockBytes - countOffset) / INDEX_ENTRY_BYTES) - (hasChecksum ? 1 : 0);
}

/** A root or node over its block's bytes. */
export class IndexNode {
  private readonly view: DataView;
  constructor(
    readonly bytes: Uint8Array,
    readonly countOffset: number,
  ) {
    this.view = viewOf(bytes);
  }

  get limit(): number {
    return this.view.getUint16(this.countOffset, true);
  }
  get count(): number {
    return this.view.getUint16(this.countOffset + 2, true);
  }
  set count(value: number) {
    this.view.setUint16(this.countOffset + 2, value, true);
  }
  get isFull(): boolean {
    return this.count >= this.limit;
  }
  /** 0 for the first child. */
  hash(index: number): number {
    return index === 0 ? 0 : this.view.getUint32(this.at(index), true);
  }
  /** Block of the directory. */
  child(index: number): number {
    return this.view.getUint32(this.at(index) + 4, true) & 0x0fffffff;
  }
  setChild(index: number, child: number): void {
    this.view.setUint32(this.at(index) + 4, child, true);
  }

  /** The last child whose hash is not above this one. */
  find(hash: number): number {
    let low = 1;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.hash(middle) > hash) high = middle - 1;
      else low = middle + 1;
    }
    return low - 1;
  }

  /** dx_insert_block: puts a child behind child `index`. */
  insertAfter(index: number, hash: number, child: number): void {
    const from = this.at(index + 1);
    this.bytes.copyWithin(from + INDEX_ENTRY_BYTES, from, this.at(this.count));
    this.view.setUint32(from, hash, true);
    this.view.setUint32(from + 4, child, true);
    this.count++;
  }

  /** Moves the children from `index` on to an empty node; the first of them loses its hash, which the caller gives to the parent. */
  moveTo(target: IndexNode, index: number): void {
    const { count } = this;
    target.setChild(0, this.child(index));
    const rest = this.bytes.subarray(this.at(index + 1), this.at(count));
    target.bytes.set(rest, target.at(1));
    target.count = count - index;
    // In the place of the first one are limit and count, too.
    this.bytes.fill(0, this.at(Math.max(1, index)), this.at(count));
    this.count = index;
  }

  /** The structure is what it should be; throws `HostError` naming the field. */
  check(name: string, deviceBlock: number, blockCount: number, hasChecksum: boolean): void {
    const expected = indexLimit(this.bytes.length, this.countOffset, hasChecksum);
    const { limit, count } = this;
    if (limit !== expected) throw damaged(name, deviceBlock, 'limit', limit, String(expected));
    if (count < 1 || count > limit) {
      throw damaged(name, deviceBlock, 'count', count, `1 to ${String(limit)}`);
    }
    for (let index = 0; index < count; index++) {
      const child = this.child(index);
      if (child < 1 || child >= blockCount) {
        throw damaged(name, deviceBlock, 'block', child, `1 to ${String(blockCount - 1)}`);
      }
      if (index > 1 && this.hash(index) < this.hash(index - 1)) {
        throw damaged(name, deviceBlock, 'hash', this.hash(index), 'hashes in order');
      }
    }
  }

  private at(index: number): number {
    return this.countOffset + index * INDEX_ENTRY_BYTES;
  }

  /** Makes the block an empty node (its first child is set by who fills it). */
  static makeNode(bytes: Uint8Array, hasChecksum: boolean): IndexNode {
    bytes.fill(0);
    const view = viewOf(bytes);
    view.setUint16(4, bytes.length, true);
    view.setUint16(
      NODE_COUNT_OFFSET,
      indexLimit(bytes.length, NODE_COUNT_OFFSET, hasChecksum),
      true,
    );
    return new IndexNode(bytes, NODE_COUNT_OFFSET);
  }

  /** Makes the first block of a directory, whose first two entries stay, the root over one child. */
  static makeRoot(
    bytes: Uint8Array,
    version: number,
    child: number,
    hasChecksum: boolean,
  ): IndexNode {
    const view = viewOf(bytes);
    view.setUint16(DOT_BYTES + 4, bytes.length - DOT_BYTES, true);
    bytes.fill(0, ROOT_INFO);
    bytes[ROOT_INFO + 4] = version;
    bytes[ROOT_INFO + 5] = ROOT_INFO_BYTES;
    const limit = indexLimit(bytes.length, ROOT_COUNT_OFFSET, hasChecksum);
    view.setUint16(ROOT_COUNT_OFFSET, limit, true);
    const root = new IndexNode(bytes, ROOT_COUNT_OFFSET);
    root.setChild(0, child);
    root.count = 1;
    return root;
  }
}

export function rootVersion(bytes: Uint8Array): number {
  return bytes[ROOT_INFO + 4] as number;
}
export function rootLevels(bytes: Uint8Array): number {
  return bytes[ROOT_INFO + 6] as number;
}
export function setRootLevels(bytes: Uint8Array, levels: number): void {
  bytes[ROOT_INFO + 6] = levels;
}
/** dx_root_info's flags; none is known. */
export function rootFlags(bytes: Uint8Array): number {
  return bytes[ROOT_INFO + 7] as number;
}
