// SPDX-License-Identifier: GPL-2.0-only
/**
 * Directories (xfs_dir2*.c): names inside the inode (short form), one block with names and hashes, or data blocks of names with the
 * hashes in blocks of their own, 32 GiB further on in the directory's address space.
 *
 *   data block   header (64 bytes; version 4: 16) | entry | entry | unused | entry ...   [block form: hashes, then count and stale]
 *   entry        inode 8 | length 1 | name | file type 1 | padding | tag 2, which is its own offset; whole 8 bytes
 *   unused       0xffff | length 2 | ... | tag 2
 *   hash block   header | (hash 4, place / 8: 4) ...  in the order of the hashes; several are found by a B+tree of node blocks
 *
 * Listing reads the data blocks in order. Looking a name up goes by its hash, and reads one block a level and the data blocks of
 * equal hashes.
 */
import type { Task } from '../../base/index.ts';
import type { DirectoryEntry, InodeKind } from '../../vfs/index.ts';
import { decodeName } from '../_ext/text.ts';
import type { ExtentList } from './extent-list.ts';
import type { InodeRecord } from './inode.ts';
import { DIR_LEAF_BYTE, FORK_FORMAT, HASH_MAGIC, LEVELS_MAX, MAGIC } from './layout.ts';
import { hex, XfsRecord } from './record.ts';
import type { XfsVolume } from './volume.ts';

/** struct xfs_dir3_data_hdr and xfs_da3_blkinfo, where version 5 has them. */
const DATA_HEADER = { crc: 4, bno: 8, uuid: 24, owner: 40, bytes: [16, 64] } as const;
const HASH_HEADER = { forw: 0, magic: 8, crc: 12, bno: 16, uuid: 32, owner: 48 } as const;
/** Bytes of the header of a hash block; its count is at the place before, the level of a node behind that. */
const HASH_BYTES = [16, 64] as const;
const HASH_COUNT = [12, 56] as const;
const FREE_TAG = 0xffff;
const BLOCK_TAIL_BYTES = 8;

const fileTypes: Readonly<Record<number, InodeKind>> = {
  1: 'file',
  2: 'directory',
  3: 'other',
  4: 'block-device',
  5: 'other',
  6: 'other',
  7: 'symlink',
};

/** An entry; `kind` is null where the image keeps none. */
export interface RawEntry {
  readonly nameBytes: Uint8Array;
  readonly inodeNumber: number;
  readonly kind: InodeKind | null;
}

/** xfs_da_hashname */
export function hashName(name: Uint8Array): number {
  let hash = 0;
  let at = 0;
  const byte = (offset: number): number => name[at + offset] as number;
  const roll = (bits: number): number => (hash << bits) | (hash >>> (32 - bits));
  for (; name.length - at >= 4; at += 4) {
    hash = (byte(0) << 21) ^ (byte(1) << 14) ^ (byte(2) << 7) ^ byte(3) ^ roll(28);
  }
  switch (name.length - at) {
    case 3:
      hash = (byte(0) << 14) ^ (byte(1) << 7) ^ byte(2) ^ roll(21);
      break;
    case 2:
      hash = (byte(0) << 7) ^ byte(1) ^ roll(14);
      break;
    case 1:
      hash = byte(0) ^ roll(7);
      break;
    default:
      break;
  }
  return hash >>> 0;
}

export class DirectoryReader {
  private readonly version: 0 | 1;
  private readonly blocksEach: number;
  private readonly blockBytes: number;

  constructor(
    private readonly volume: XfsVolume,
    private readonly inode: InodeRecord,
    private readonly extents: ExtentList,
  ) {
    const { geometry } = volume;
    this.version = geometry.hasCrc ? 1 : 0;
    this.blockBytes = geometry.directoryBlockBytes;
    this.blocksEach = geometry.directoryBlockBytes / geometry.blockBytes;
  }

  /** All entries, with '.' and '..' first. */
  *list(): Task<RawEntry[]> {
    if (this.inode.data.format === FORK_FORMAT.local) return this.shortForm();
    const entries: RawEntry[] = [];
    for (const block of this.dataBlocks()) {
      const { record, end } = yield* this.dataBlock(block);
      this.entriesOf(record, end, entries);
    }
    return entries;
  }

  /** The inode of a name, or -1. */
  *lookup(name: Uint8Array): Task<number> {
    const { inode } = this;
    if (inode.data.format === FORK_FORMAT.local) return found(this.shortForm(), name);
    const leafBlock = DIR_LEAF_BYTE / this.volume.geometry.blockBytes;
    if (this.extents.placeOf(leafBlock) >= 0) return yield* this.lookupByHash(name, leafBlock);
    for (const block of this.dataBlocks()) {
      const { record, end } = yield* this.dataBlock(block);
      const entries: RawEntry[] = [];
      this.entriesOf(record, end, entries);
      const number = found(entries, name);
      if (number >= 0) return number;
    }
    return -1;
  }

  /** First file block of each data block. */
  dataBlocks(): number[] {
    const { extents, blocksEach } = this;
    const leafBlock = DIR_LEAF_BYTE / this.volume.geometry.blockBytes;
    const blocks: number[] = [];
    let next = 0;
    for (let index = 0; index < extents.count; index++) {
      const end = Math.min(extents.endOf(index), leafBlock);
      const first = extents.fileBlocks[index] as number;
      let block = Math.max(next, Math.floor(first / blocksEach) * blocksEach);
      for (; block < end; block += blocksEach) blocks.push(block);
      next = Math.max(next, block);
    }
    return blocks;
  }

  // The inode's own bytes ---------------------------------------------------------------------------

  private shortForm(): RawEntry[] {
    const { inode } = this;
    const { literal } = inode.data;
    const record = literal.part(
      `short directory of inode ${String(inode.inodeNumber)}`,
      0,
      Math.min(inode.sizeBytes, literal.bytes.length),
    );
    if (inode.sizeBytes > literal.bytes.length) {
      throw record.damaged('core.size', inode.sizeBytes, `at most ${String(literal.bytes.length)}`);
    }
    const count = record.u8(0);
    const numberBytes = record.u8(1) > 0 ? 8 : 4;
    const number = (at: number): number =>
      numberBytes === 8 ? record.u64(at, 'inumber') : record.u32(at);
    const entries: RawEntry[] = [
      { nameBytes: Uint8Array.of(46), inodeNumber: inode.inodeNumber, kind: 'directory' },
      { nameBytes: Uint8Array.of(46, 46), inodeNumber: number(2), kind: 'directory' },
    ];
    let at = 2 + numberBytes;
    const { hasFileType } = this.volume.geometry;
    for (let index = 0; index < count; index++) {
      const length = record.u8(at);
      const nameBytes = this.checkedName(record, record.slice(at + 3, length), at);
      at += 3 + length;
      const kind = hasFileType ? this.kindOf(record, record.u8(at)) : null;
      if (hasFileType) at++;
      entries.push({ nameBytes, inodeNumber: number(at), kind });
      at += numberBytes;
    }
    if (at !== inode.sizeBytes) {
      throw record.damaged('core.size', inode.sizeBytes, `${String(at)}, where its entries end`);
    }
    return entries;
  }

  // Data blocks -------------------------------------------------------------------------------------

  private *read(fileBlock: number, structure: string): Task<XfsRecord> {
    const blocks: number[] = [];
    for (let index = 0; index < this.blocksEach; index++) {
      const place = this.extents.placeOf(fileBlock + index);
      if (place < 0) {
        const { record } = this.inode;
        const name = `block ${String(fileBlock + index)} of the directory`;
        throw record.damaged(name, 'a hole', 'a mapped block');
      }
      blocks.push(place);
    }
    const name = `${structure} of inode ${String(this.inode.inodeNumber)}`;
    return new XfsRecord(name, blocks[0] as number, yield* this.volume.joined(blocks));
  }

  /** Where version 5 keeps what every block carries. */
  private verify(
    record: XfsRecord,
    at: { crc: number; bno: number; uuid: number; owner: number },
  ): void {
    if (this.version === 0) return;
    record.verifyCrc(at.crc);
    record.verifyUuid(at.uuid, this.volume.geometry.uuid);
    const address = this.volume.addressOf(record.deviceBlock);
    record.expectNumber('bno', record.u64(at.bno, 'bno'), address);
    record.expectNumber('owner', record.u64(at.owner, 'owner'), this.inode.inodeNumber);
  }

  /** A data block or the one block of a small directory, and where its entries end. */
  private *dataBlock(fileBlock: number): Task<{ record: XfsRecord; end: number }> {
    const { version } = this;
    const record = yield* this.read(fileBlock, 'directory block');
    const single = MAGIC.dirBlock[version];
    const magic = record.magic(0, 'magic', single, MAGIC.dirData[version]);
    this.verify(record, DATA_HEADER);
    if (magic !== single) return { record, end: this.blockBytes };
    const tail = this.blockBytes - BLOCK_TAIL_BYTES;
    const count = record.u32(tail);
    const end = tail - count * 8;
    if (end < DATA_HEADER.bytes[version]) {
      throw record.damaged('btail.count', count, 'as many hashes as fit');
    }
    return { record, end };
  }

  private entriesOf(record: XfsRecord, end: number, into: RawEntry[]): void {
    let at: number = DATA_HEADER.bytes[this.version];
    while (at < end) {
      if (record.u16(at) === FREE_TAG) {
        const length = record.u16(at + 2);
        if (length === 0 || length % 8 !== 0 || at + length > end) {
          throw record.damaged(`unused at ${String(at)}: length`, length, 'whole 8 bytes inside');
        }
        at += length;
        continue;
      }
      const entry = this.entryAt(record, at, end);
      into.push(entry.entry);
      at = entry.next;
    }
  }

  private entryAt(record: XfsRecord, at: number, end: number): { entry: RawEntry; next: number } {
    const { hasFileType } = this.volume.geometry;
    const length = record.u8(at + 8);
    const typeBytes = hasFileType ? 1 : 0;
    const next = at + Math.ceil((8 + 1 + length + typeBytes + 2) / 8) * 8;
    const name = `entry at ${String(at)}`;
    if (next > end) throw record.damaged(`${name}: namelen`, length, 'an entry inside its block');
    const tag = record.u16(next - 2);
    if (tag !== at) throw record.damaged(`${name}: tag`, tag, String(at));
    const nameBytes = this.checkedName(record, record.slice(at + 9, length), at);
    const kind = hasFileType ? this.kindOf(record, record.u8(at + 9 + length)) : null;
    return { entry: { nameBytes, inodeNumber: record.u64(at, `${name}: inumber`), kind }, next };
  }

  private checkedName(record: XfsRecord, bytes: Uint8Array, at: number): Uint8Array {
    const isGood = bytes.length > 0 && !bytes.includes(0) && !bytes.includes(0x2f);
    if (isGood) return bytes;
    throw record.damaged(
      `entry at ${String(at)}: name`,
      JSON.stringify(decodeName(bytes)),
      'a name',
    );
  }

  private kindOf(record: XfsRecord, type: number): InodeKind {
    const kind = fileTypes[type];
    if (kind === undefined) throw record.damaged('filetype', type, '1 to 7');
    return kind;
  }

  // Hashes ------------------------------------------------------------------------------------------

  private *lookupByHash(name: Uint8Array, leafBlock: number): Task<number> {
    const hash = hashName(name);
    const visited = new Set<number>();
    let block = leafBlock;
    for (let level = 0; level <= LEVELS_MAX; level++) {
      const { record, isNode } = yield* this.hashBlock(block, visited);
      if (!isNode) return yield* this.lookupInLeaves(record, hash, name, visited);
      const count = this.countOf(record, true);
      const index = this.firstHash(record, count, hash);
      if (index === count) return -1;
      block = record.u32(HASH_BYTES[this.version] + index * 8 + 4);
    }
    const structure = new XfsRecord('directory', this.inode.record.deviceBlock, new Uint8Array(0));
    throw structure.damaged('level', 'too deep', `at most ${String(LEVELS_MAX)}`);
  }

  private *hashBlock(
    fileBlock: number,
    visited: Set<number>,
  ): Task<{ record: XfsRecord; isNode: boolean }> {
    const { version } = this;
    const record = yield* this.read(fileBlock, 'directory hash block');
    if (visited.has(fileBlock)) {
      throw record.damaged('hdr.info.hdr.forw', fileBlock, 'a block that was not met before');
    }
    visited.add(fileBlock);
    const magic = record.u16(HASH_HEADER.magic);
    const { node, leafOne, leafN } = HASH_MAGIC;
    if (![node[version], leafOne[version], leafN[version]].includes(magic as never)) {
      throw record.damaged('hdr.info.hdr.magic', hex(magic, 4), hex(node[version], 4));
    }
    this.verify(record, HASH_HEADER);
    return { record, isNode: magic === node[version] };
  }

  private countOf(record: XfsRecord, isNode: boolean): number {
    const count = record.u16(HASH_COUNT[this.version]);
    const room = (this.blockBytes - HASH_BYTES[this.version]) / 8;
    if (count > room || (isNode && count === 0)) {
      throw record.damaged('hdr.count', count, `${isNode ? '1' : '0'} to ${String(room)}`);
    }
    return count;
  }

  /** The first entry whose hash is not below. */
  private firstHash(record: XfsRecord, count: number, hash: number): number {
    const first = HASH_BYTES[this.version];
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (record.u32(first + middle * 8) < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private *lookupInLeaves(
    start: XfsRecord,
    hash: number,
    name: Uint8Array,
    visited: Set<number>,
  ): Task<number> {
    let record = start;
    for (;;) {
      const count = this.countOf(record, false);
      let index = this.firstHash(record, count, hash);
      for (; index < count; index++) {
        const at = HASH_BYTES[this.version] + index * 8;
        if (record.u32(at) !== hash) return -1;
        const number = yield* this.compare(record.u32(at + 4), name);
        if (number >= 0) return number;
      }
      const next = record.u32(HASH_HEADER.forw);
      if (next === 0) return -1;
      const sibling = yield* this.hashBlock(next, visited);
      if (sibling.isNode) throw record.damaged('hdr.info.hdr.forw', next, 'a leaf');
      record = sibling.record;
    }
  }

  /** The entry at an address (in units of 8 bytes): its inode where the name is this one, else -1. 0: the hash is stale. */
  private *compare(address: number, name: Uint8Array): Task<number> {
    if (address === 0) return -1;
    const byte = address * 8;
    const fileBlock = Math.floor(byte / this.blockBytes) * this.blocksEach;
    const { record, end } = yield* this.dataBlock(fileBlock);
    const at = byte % this.blockBytes;
    if (at < DATA_HEADER.bytes[this.version] || record.u16(at) === FREE_TAG) {
      throw record.damaged(`entry at ${String(at)}`, 'unused', 'the entry that its hash points at');
    }
    const { entry } = this.entryAt(record, at, end);
    return same(entry.nameBytes, name) ? entry.inodeNumber : -1;
  }
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

function found(entries: readonly RawEntry[], name: Uint8Array): number {
  return entries.find((entry) => same(entry.nameBytes, name))?.inodeNumber ?? -1;
}

/** The entry as the lab shows it. */
export const publicEntry = (entry: RawEntry, kind: InodeKind): DirectoryEntry => ({
  name: decodeName(entry.nameBytes),
  inodeNumber: entry.inodeNumber,
  kind,
});
