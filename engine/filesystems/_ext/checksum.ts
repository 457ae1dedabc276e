// SPDX-License-Identifier: GPL-2.0-only
/**
 * Checksums of metadata (fs/ext4/super.c, inode.c, bitmap.c, extents.c, namei.c).
 *
 *   metadata_csum      crc32c of every structure, begun from a seed that the file system's UUID gives (metadata_csum_seed: that the
 *                      superblock holds, so that the UUID may change)
 *   uninit_bg alone    crc16 of the group descriptors, nothing else
 *   neither            nothing; every verification holds and sealing changes nothing
 *
 * How it is used: `state.checksums.seal...` on the bytes right before they are written, `state.checksums.is...Good` on bytes right
 * after they were read. The checksum's own field counts as zeros, or as not there, as drawn beside each function. What belongs to an
 * inode begins from `inodeSeed`, which mixes its number and generation in.
 */
import type { DiskRecord } from './disk-record.ts';
import { GD, INCOMPAT, INO, INODE_BYTES_MIN, RO_COMPAT, SB } from './layout.ts';

/** Castagnoli's polynomial, bits reversed. */
const CRC32C_POLYNOMIAL = 0x82f63b78;
/** x^16 + x^15 + x^2 + 1, bits reversed. */
const CRC16_POLYNOMIAL = 0xa001;

/** Table k: what byte value v contributes when k more bytes follow in the same step. */
const CRC32C_TABLES: readonly Int32Array[] = makeCrc32cTables(8);
const CRC16_TABLE: Uint16Array = Uint16Array.from({ length: 256 }, (_, value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit++)
    crc = (crc & 1) !== 0 ? (crc >>> 1) ^ CRC16_POLYNOMIAL : crc >>> 1;
  return crc;
});

function makeCrc32cTables(count: number): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, value) => {
    let crc = value;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1) !== 0 ? (crc >>> 1) ^ CRC32C_POLYNOMIAL : crc >>> 1;
    }
    return crc;
  });
  const tables = [first];
  while (tables.length < count) {
    const before = tables.at(-1) as Int32Array;
    tables.push(before.map((crc) => (crc >>> 8) ^ (first[crc & 0xff] as number)));
  }
  return tables;
}

/**
 * crc32c of bytes `from`..`to` - 1, begun from `seed` and not inverted at the end, as ext4_chksum has it: pieces may be chained.
 * The result is unsigned.
 */
export function crc32c(seed: number, bytes: Uint8Array, from = 0, to = bytes.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = CRC32C_TABLES as [
    Int32Array, Int32Array, Int32Array, Int32Array,
    Int32Array, Int32Array, Int32Array, Int32Array,
  ]; // prettier-ignore
  let crc = seed | 0;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    crc =
      (t7[(crc ^ (bytes[at] as number)) & 0xff] as number) ^
      (t6[((crc >>> 8) ^ (bytes[at + 1] as number)) & 0xff] as number) ^
      (t5[((crc >>> 16) ^ (bytes[at + 2] as number)) & 0xff] as number) ^
      (t4[((crc >>> 24) ^ (bytes[at + 3] as number)) & 0xff] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number);
  }
  for (; at < to; at++) {
    crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] as number)) & 0xff] as number);
  }
  return crc >>> 0;
}

/** crc16 of bytes `from`..`to` - 1, begun from `seed`; pieces may be chained. */
export function crc16(seed: number, bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = seed & 0xffff;
  for (let at = from; at < to; at++) {
    crc = (crc >>> 8) ^ (CRC16_TABLE[(crc ^ (bytes[at] as number)) & 0xff] as number);
  }
  return crc;
}

/** crc32c of a little-endian 32-bit number. */
export function crc32cOfWord(seed: number, value: number): number {
  word[0] = value & 0xff;
  word[1] = (value >>> 8) & 0xff;
  word[2] = (value >>> 16) & 0xff;
  word[3] = value >>> 24;
  return crc32c(seed, word);
}
const word = new Uint8Array(4);
const ZEROS = new Uint8Array(4);

/** Bytes at the end of a directory block that hold its checksum: an entry without inode, 12 bytes long, of kind 0xde. */
export const DIRECTORY_TAIL_BYTES = 12;
export const DIRECTORY_TAIL_KIND = 0xde;
/** The entry '.', first of a directory. */
const DOT_BYTES = 12;
/** Behind the room for entries of an extent block: the checksum. */
const EXTENT_HEADER_BYTES = 12;
const EXTENT_BYTES = 12;
/** An entry of a hash index; its tail is as long: 4 bytes of nothing, then the checksum. */
const INDEX_ENTRY_BYTES = 8;

export type ChecksumKind = 'none' | 'crc16' | 'crc32c';

export class Checksums {
  readonly kind: ChecksumKind;
  /** crc32c that everything of this file system begins from; 0 without. */
  readonly seed: number;
  private readonly uuid: Uint8Array;

  /** From a superblock whose features were checked. */
  constructor(superblock: DiskRecord) {
    const roCompat = superblock.u32(SB.featureRoCompat);
    this.uuid = superblock.bytes(SB.uuid, 16).slice();
    if ((roCompat & RO_COMPAT.metadata_csum) !== 0) this.kind = 'crc32c';
    else this.kind = (roCompat & RO_COMPAT.uninit_bg) !== 0 ? 'crc16' : 'none';
    const hasSeed = (superblock.u32(SB.featureIncompat) & INCOMPAT.metadata_csum_seed) !== 0;
    if (this.kind !== 'crc32c') this.seed = 0;
    else if (hasSeed) this.seed = superblock.u32(SB.checksumSeed);
    else this.seed = crc32c(~0, this.uuid);
  }

  /** Structures other than group descriptors have checksums. */
  get coversAll(): boolean {
    return this.kind === 'crc32c';
  }

  // Superblock: | 1020 bytes | checksum | ---------------------------------------------------------

  /** ext4_superblock_csum_set; `bytes` begin with the superblock, whose own first group's copy it need not be. */
  sealSuperblock(record: DiskRecord): void {
    if (this.coversAll) record.setU32(SB.checksum, superblockChecksum(record));
  }

  // Group descriptor: | 30 bytes | checksum u16 | rest of a 64-byte one | -------------------------

  /** ext4_group_desc_csum: of the descriptor at `offset`, its checksum's place aside. */
  descriptorChecksum(
    group: number,
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
  ): number {
    const rest = offset + GD.checksum + 2;
    const end = offset + lengthBytes;
    if (this.kind === 'crc32c') {
      let crc = crc32cOfWord(this.seed, group);
      crc = crc32c(crc, bytes, offset, offset + GD.checksum);
      crc = crc32c(crc, ZEROS, 0, 2);
      return crc32c(crc, bytes, rest, end) & 0xffff;
    }
    if (this.kind === 'none') return 0;
    const number = Uint8Array.of(group, group >>> 8, group >>> 16, group >>> 24);
    let crc = crc16(0xffff, this.uuid);
    crc = crc16(crc, number);
    crc = crc16(crc, bytes, offset, offset + GD.checksum);
    return crc16(crc, bytes, rest, end);
  }

  // Bitmaps: the low half in the descriptor, the high half in a 64-byte one -----------------------

  /** ext4_block_bitmap_csum_set, ext4_inode_bitmap_csum_set: `lengthBytes` of a bitmap that count. */
  bitmapChecksum(bytes: Uint8Array, lengthBytes: number): number {
    return this.coversAll ? crc32c(this.seed, bytes, 0, lengthBytes) : 0;
  }

  // Inodes and what belongs to them ---------------------------------------------------------------

  /** i_csum_seed */
  inodeSeed(inodeNumber: number, generation: number): number {
    if (!this.coversAll) return 0;
    return crc32cOfWord(crc32cOfWord(this.seed, inodeNumber), generation);
  }

  /** ext4_inode_csum of a whole record: | 124 | low u16 | 2 | extra u16 | high u16, where there is room | rest | */
  inodeChecksum(record: DiskRecord, inodeNumber: number): number {
    const bytes = record.bytes(0, record.lengthBytes);
    let crc = this.inodeSeed(inodeNumber, record.u32(INO.generation));
    crc = crc32c(crc, bytes, 0, INO.checksum);
    crc = crc32c(crc, ZEROS, 0, 2);
    crc = crc32c(crc, bytes, INO.checksum + 2, INODE_BYTES_MIN);
    if (record.lengthBytes === INODE_BYTES_MIN) return crc;
    crc = crc32c(crc, bytes, INODE_BYTES_MIN, INO.checksumHigh);
    if (!hasHighChecksum(record)) return crc32c(crc, bytes, INO.checksumHigh);
    crc = crc32c(crc, ZEROS, 0, 2);
    return crc32c(crc, bytes, INO.checksumHigh + 2);
  }

  sealInode(record: DiskRecord, inodeNumber: number): void {
    if (!this.coversAll) return;
    const crc = this.inodeChecksum(record, inodeNumber);
    record.setU16(INO.checksum, crc & 0xffff);
    if (hasHighChecksum(record)) record.setU16(INO.checksumHigh, crc >>> 16);
  }

  isInodeGood(record: DiskRecord, inodeNumber: number): boolean {
    if (!this.coversAll) return true;
    const crc = this.inodeChecksum(record, inodeNumber);
    if (record.u16(INO.checksum) !== (crc & 0xffff)) return false;
    return !hasHighChecksum(record) || record.u16(INO.checksumHigh) === crc >>> 16;
  }

  // Extent block: | header 12 | room for `max` entries of 12 | checksum | -------------------------

  sealExtents(bytes: Uint8Array, inodeSeed: number): void {
    if (!this.coversAll) return;
    const tail = extentTail(bytes);
    if (tail >= 0) putWord(bytes, tail, crc32c(inodeSeed, bytes, 0, tail));
  }
  isExtentsGood(bytes: Uint8Array, inodeSeed: number): boolean {
    if (!this.coversAll) return true;
    const tail = extentTail(bytes);
    return tail >= 0 && wordAt(bytes, tail) === crc32c(inodeSeed, bytes, 0, tail);
  }

  // Directory block: | entries | 0 u32, 12 u16, 0 u8, 0xde u8, checksum | -------------------------

  /** Bytes of a directory block that entries may take. */
  directoryRoom(blockBytes: number): number {
    return this.coversAll ? blockBytes - DIRECTORY_TAIL_BYTES : blockBytes;
  }
  /** Makes the tail of a new directory block; the entries before it end at `directoryRoom`. */
  writeDirectoryTail(bytes: Uint8Array): void {
    if (!this.coversAll) return;
    const tail = bytes.length - DIRECTORY_TAIL_BYTES;
    bytes.fill(0, tail);
    bytes[tail + 4] = DIRECTORY_TAIL_BYTES;
    bytes[tail + 7] = DIRECTORY_TAIL_KIND;
  }
  /**
   * True for a block of entries with its tail. Not for an index block, whose entries cover it whole: what looks like a tail there is
   * what the block held as a leaf.
   */
  hasDirectoryTail(bytes: Uint8Array): boolean {
    const first = halfAt(bytes, 4);
    const isNode = first === bytes.length;
    const isRoot = first === DOT_BYTES && halfAt(bytes, DOT_BYTES + 4) === bytes.length - DOT_BYTES;
    if (isNode || isRoot) return false;
    const tail = bytes.length - DIRECTORY_TAIL_BYTES;
    return (
      wordAt(bytes, tail) === 0 &&
      wordAt(bytes, tail + 4) === ((DIRECTORY_TAIL_KIND << 24) | DIRECTORY_TAIL_BYTES) >>> 0
    );
  }
  /** ext4_dirblock_csum_set; the tail is there already. */
  sealDirectory(bytes: Uint8Array, inodeSeed: number): void {
    if (!this.coversAll) return;
    const tail = bytes.length - DIRECTORY_TAIL_BYTES;
    putWord(bytes, tail + 8, crc32c(inodeSeed, bytes, 0, tail));
  }
  /** False also where the tail is missing. */
  isDirectoryGood(bytes: Uint8Array, inodeSeed: number): boolean {
    if (!this.coversAll) return true;
    if (!this.hasDirectoryTail(bytes)) return false;
    const tail = bytes.length - DIRECTORY_TAIL_BYTES;
    return wordAt(bytes, tail + 8) === crc32c(inodeSeed, bytes, 0, tail);
  }

  // Hash index block: | ... | limit u16, count u16 at `countOffset` | entries of 8 | 4 + checksum | --

  /** ext4_dx_csum_set. `countOffset`: where limit and count are, 32 in a root and 8 in a node. */
  sealIndex(bytes: Uint8Array, countOffset: number, inodeSeed: number): void {
    if (!this.coversAll) return;
    const tail = indexTail(bytes, countOffset);
    if (tail >= 0) putWord(bytes, tail + 4, indexChecksum(bytes, countOffset, tail, inodeSeed));
  }
  isIndexGood(bytes: Uint8Array, countOffset: number, inodeSeed: number): boolean {
    if (!this.coversAll) return true;
    const tail = indexTail(bytes, countOffset);
    if (tail < 0) return false;
    return wordAt(bytes, tail + 4) === indexChecksum(bytes, countOffset, tail, inodeSeed);
  }

  // Block of extended attributes: | magic, references, blocks, hash 16 | checksum | rest | --------

  /** ext4_xattr_block_csum */
  attributesChecksum(bytes: Uint8Array, deviceBlock: number): number {
    let crc = crc32cOfWord(this.seed, deviceBlock >>> 0);
    crc = crc32cOfWord(crc, Math.floor(deviceBlock / 2 ** 32));
    crc = crc32c(crc, bytes, 0, ATTRIBUTES_CHECKSUM);
    crc = crc32c(crc, ZEROS);
    return crc32c(crc, bytes, ATTRIBUTES_CHECKSUM + 4);
  }
  sealAttributes(bytes: Uint8Array, deviceBlock: number): void {
    if (!this.coversAll) return;
    putWord(bytes, ATTRIBUTES_CHECKSUM, this.attributesChecksum(bytes, deviceBlock));
  }
  isAttributesGood(bytes: Uint8Array, deviceBlock: number): boolean {
    if (!this.coversAll) return true;
    return wordAt(bytes, ATTRIBUTES_CHECKSUM) === this.attributesChecksum(bytes, deviceBlock);
  }

  // Block of the orphan file: | inode numbers | magic u32 | checksum | -----------------------------

  orphansChecksum(bytes: Uint8Array, deviceBlock: number, inodeSeed: number): number {
    let crc = crc32cOfWord(inodeSeed, deviceBlock >>> 0);
    crc = crc32cOfWord(crc, Math.floor(deviceBlock / 2 ** 32));
    return crc32c(crc, bytes, 0, bytes.length - 8);
  }
}

const ATTRIBUTES_CHECKSUM = 16;

/** ext4_superblock_csum */
export function superblockChecksum(record: DiskRecord): number {
  return crc32c(~0, record.bytes(0, SB.checksum));
}

/** EXT4_FITS_IN_INODE(i_checksum_hi) */
function hasHighChecksum(record: DiskRecord): boolean {
  if (record.lengthBytes <= INODE_BYTES_MIN) return false;
  return INODE_BYTES_MIN + record.u16(INO.extraBytes) >= INO.checksumHigh + 2;
}

function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  return (low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0;
}
function halfAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}
function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
  bytes[at + 2] = (value >>> 16) & 0xff;
  bytes[at + 3] = value >>> 24;
}

/** Where the checksum of an extent block is, by its own `max`; -1: that leads out of the block. */
function extentTail(bytes: Uint8Array): number {
  const tail = EXTENT_HEADER_BYTES + halfAt(bytes, 4) * EXTENT_BYTES;
  return tail + 4 <= bytes.length ? tail : -1;
}

/** Where the tail of a hash index block is, by its own limit and count; -1: they cannot be. */
function indexTail(bytes: Uint8Array, countOffset: number): number {
  const limit = halfAt(bytes, countOffset);
  const count = halfAt(bytes, countOffset + 2);
  const tail = countOffset + limit * INDEX_ENTRY_BYTES;
  return count <= limit && tail + INDEX_ENTRY_BYTES <= bytes.length ? tail : -1;
}

function indexChecksum(
  bytes: Uint8Array,
  countOffset: number,
  tail: number,
  inodeSeed: number,
): number {
  const count = halfAt(bytes, countOffset + 2);
  let crc = crc32c(inodeSeed, bytes, 0, countOffset + count * INDEX_ENTRY_BYTES);
  crc = crc32c(crc, bytes, tail, tail + 4);
  return crc32c(crc, ZEROS);
}
