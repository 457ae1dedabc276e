// SPDX-License-Identifier: GPL-2.0-only
/**
 * The file allocation table in memory (fs/fat/fatent.c): pieces of the first copy, read as they are needed, changed here, and written
 * by a commit into every copy.
 *
 *   absent --load--> clean --set--> dirty (by sector) --snapshot--> clean
 *                      ^---evict (never while dirty or held)---|
 *
 * Rules: 1. `peek` and `set` never sleep; where `peek` gives MISSING, `load` brings the piece. 2. An entry is checked where it is
 * used, not here: `peek` gives it as it is, with every end mark as END and a bad mark as BAD. 3. The upper 4 bits of a FAT32 entry
 * belong to nobody and stay.
 */
import { BIO_FLAG, PAGE_BYTES, type KernelReturn, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { BioGroup, type Kernel } from '../../vfs/index.ts';
import type { Geometry } from './boot-sector.ts';
import { BAD, END, FIRST_CLUSTER, FREE, type FatBits } from './layout.ts';

/** What `peek` gives where the piece is not in memory. */
export const MISSING = -1;

const PIECE_PAGES = 16;
const PIECE_BYTES = PIECE_PAGES * PAGE_BYTES;
/** Clean pieces kept at most: 32 MiB of FAT, which maps 8 million clusters of FAT32. */
const PIECES_MAX = 512;

export class FatTable {
  /** The entries 0 and 1, and one a cluster. */
  readonly entryCount: number;
  /** Above 0 nothing is evicted: a commit collects what it writes, or an allocation is under way. */
  holdCount = 0;
  private readonly pieces = new Map<number, Uint8Array>();
  private readonly dirtySectors = new Set<number>();
  /** Free entries of each piece, once counted. */
  private readonly freeInPiece = new Map<number, number>();
  private readonly bits: FatBits;
  private readonly sectorBytes: number;
  private readonly firstByte: number;
  private readonly usedBytes: number;
  private readonly entriesPerPiece: number;

  constructor(
    private readonly kernel: Kernel,
    private readonly device: BlockDevice,
    geometry: Geometry,
  ) {
    this.bits = geometry.fatBits;
    this.sectorBytes = geometry.sectorBytes;
    this.entryCount = geometry.clusterCount + FIRST_CLUSTER;
    this.firstByte = geometry.reservedSectors * geometry.sectorBytes;
    const bytes = Math.ceil((this.entryCount * this.bits) / 8);
    this.usedBytes = Math.ceil(bytes / this.sectorBytes) * this.sectorBytes;
    // A FAT12 has at most 6,126 bytes: one piece, and so no entry lies in two.
    this.entriesPerPiece = (PIECE_BYTES * 8) / (this.bits === 12 ? 16 : this.bits);
  }

  get dirtyCount(): number {
    return this.dirtySectors.size;
  }

  /** The entry of a cluster, or MISSING. */
  peek(cluster: number): number {
    const bytes = this.pieces.get(Math.floor(cluster / this.entriesPerPiece));
    if (bytes === undefined) return MISSING;
    return this.widen(readEntry(bytes, this.bits, this.byteInPiece(cluster), cluster));
  }

  /** Entries 0 and 1 hold the media and two marks, not links: as they are. */
  raw(cluster: number): number {
    const bytes = this.pieces.get(Math.floor(cluster / this.entriesPerPiece));
    if (bytes === undefined) return MISSING;
    return readEntry(bytes, this.bits, this.byteInPiece(cluster), cluster);
  }

  private widen(value: number): number {
    if (this.bits === 32) return value >= 0x0ffffff8 ? END : value;
    const end = this.bits === 12 ? 0xff8 : 0xfff8;
    if (value >= end) return END;
    return value === end - 1 ? BAD : value;
  }

  /** Changes an entry whose piece is in memory. */
  set(cluster: number, value: number): void {
    const piece = Math.floor(cluster / this.entriesPerPiece);
    const bytes = this.pieces.get(piece) as Uint8Array;
    const at = this.byteInPiece(cluster);
    const old = this.peek(cluster);
    const count = this.freeInPiece.get(piece);
    if (count !== undefined) {
      const change = (value === FREE ? 1 : 0) - (old === FREE ? 1 : 0);
      this.freeInPiece.set(piece, count + change);
    }
    writeEntry(bytes, this.bits, at, cluster, value);
    const first = piece * PIECE_BYTES + at;
    const last = first + (this.bits === 32 ? 3 : 1);
    this.dirtySectors.add(Math.floor(first / this.sectorBytes));
    this.dirtySectors.add(Math.floor(last / this.sectorBytes));
  }

  /** Brings the piece of a cluster into memory. 0 or minus an errno. */
  *load(cluster: number): Task<KernelReturn> {
    const piece = Math.floor(cluster / this.entriesPerPiece);
    if (this.pieces.has(piece)) return 0;
    const bytes = new Uint8Array(PIECE_BYTES);
    const from = piece * PIECE_BYTES;
    const length = Math.min(PIECE_BYTES, this.usedBytes - from);
    const status = yield* this.readInto(bytes, from, length);
    if (status < 0) return status;
    // Somebody else may have been faster, and have changed it since.
    if (!this.pieces.has(piece)) {
      this.evict();
      this.pieces.set(piece, bytes);
    }
    return 0;
  }

  private *readInto(bytes: Uint8Array, from: number, length: number): Task<KernelReturn> {
    const { memory } = this.kernel;
    const first = memory.allocatePages(PIECE_PAGES);
    const pages = first < 0 ? 1 : PIECE_PAGES;
    const bounce = first < 0 ? memory.allocatePages(1) : first;
    if (bounce < 0) return -12;
    let status = 0;
    for (let done = 0; done < length && status === 0; done += pages * PAGE_BYTES) {
      const flags = BIO_FLAG.sync | BIO_FLAG.metadata;
      const group = new BioGroup(this.kernel, this.device, 'read', flags, 'FAT read');
      const count = Math.min(pages * PAGE_BYTES, length - done);
      for (let at = 0; at < count; at += PAGE_BYTES) {
        const size = Math.min(PAGE_BYTES, count - at);
        group.add(this.firstByte + from + done + at, bounce + at / PAGE_BYTES, 0, size);
      }
      status = yield* group.wait();
      bytes.set(memory.bytes.subarray(bounce * PAGE_BYTES, bounce * PAGE_BYTES + count), done);
    }
    memory.freePages(bounce, pages);
    return status;
  }

  private evict(): void {
    if (this.holdCount > 0 || this.pieces.size < PIECES_MAX) return;
    const perPiece = PIECE_BYTES / this.sectorBytes;
    const dirty = new Set([...this.dirtySectors].map((sector) => Math.floor(sector / perPiece)));
    for (const piece of this.pieces.keys()) {
      if (dirty.has(piece)) continue;
      this.pieces.delete(piece);
      return;
    }
  }

  /** Counts the free entries of the piece with this cluster, which is in memory; remembers it. */
  private freeAround(cluster: number): number {
    const piece = Math.floor(cluster / this.entriesPerPiece);
    const known = this.freeInPiece.get(piece);
    if (known !== undefined) return known;
    const end = Math.min(this.entryCount, (piece + 1) * this.entriesPerPiece);
    let count = 0;
    for (let at = Math.max(FIRST_CLUSTER, piece * this.entriesPerPiece); at < end; at++) {
      if (this.peek(at) === FREE) count++;
    }
    this.freeInPiece.set(piece, count);
    return count;
  }

  /** Free clusters of the whole table, or minus an errno: reads all of it. */
  *countFree(): Task<number> {
    let total = 0;
    for (let cluster = 0; cluster < this.entryCount; cluster += this.entriesPerPiece) {
      const status = yield* this.load(cluster);
      if (status < 0) return status;
      total += this.freeAround(cluster);
    }
    return total;
  }

  /** The first free cluster from `from` on, going around; 0: there is none; or minus an errno. Its piece is in memory. */
  *findFree(from: number): Task<number> {
    let cluster = from >= this.entryCount || from < FIRST_CLUSTER ? FIRST_CLUSTER : from;
    let left = this.entryCount - FIRST_CLUSTER + this.entriesPerPiece;
    while (left > 0) {
      const status = yield* this.load(cluster);
      if (status < 0) return status;
      const next = (Math.floor(cluster / this.entriesPerPiece) + 1) * this.entriesPerPiece;
      const end = Math.min(this.entryCount, next);
      if (this.freeAround(cluster) > 0) {
        for (let at = cluster; at < end; at++) if (this.peek(at) === FREE) return at;
      }
      left -= Math.max(1, end - cluster);
      cluster = end >= this.entryCount ? FIRST_CLUSTER : end;
    }
    return 0;
  }

  /** Copies of the dirty sectors, which count as clean from now on. Keys: sector within the FAT. */
  takeDirty(): Map<number, Uint8Array> {
    const images = new Map<number, Uint8Array>();
    for (const sector of this.dirtySectors) images.set(sector, this.copySector(sector));
    this.dirtySectors.clear();
    return images;
  }

  /** A commit that failed. */
  putBack(sectors: Iterable<number>): void {
    for (const sector of sectors) this.dirtySectors.add(sector);
  }

  markAllDirty(): void {
    for (let at = 0; at < this.usedBytes / this.sectorBytes; at++) this.dirtySectors.add(at);
  }

  /** Zeroes the entry of a freed cluster in the copies that a commit writes, adding what is missing there. */
  freeInCopies(images: Map<number, Uint8Array>, cluster: number): void {
    const at = Math.floor(cluster / this.entriesPerPiece) * PIECE_BYTES + this.byteInPiece(cluster);
    const width = this.bits === 32 ? 4 : 2;
    const entry = new Uint8Array(width);
    for (let index = 0; index < width; index++) {
      entry[index] = this.copyIn(images, at + index)[(at + index) % this.sectorBytes] as number;
    }
    writeEntry(entry, this.bits, 0, cluster, FREE);
    for (let index = 0; index < width; index++) {
      this.copyIn(images, at + index)[(at + index) % this.sectorBytes] = entry[index] as number;
    }
  }

  /** After that commit: the entry is free in memory as it is on the disk. */
  freeInMemory(cluster: number): void {
    const isDirty = new Set<number>();
    const piece = Math.floor(cluster / this.entriesPerPiece);
    const first = piece * PIECE_BYTES + this.byteInPiece(cluster);
    for (const byte of [first, first + (this.bits === 32 ? 3 : 1)]) {
      const sector = Math.floor(byte / this.sectorBytes);
      if (this.dirtySectors.has(sector)) isDirty.add(sector);
    }
    this.set(cluster, FREE);
    for (const byte of [first, first + (this.bits === 32 ? 3 : 1)]) {
      const sector = Math.floor(byte / this.sectorBytes);
      if (!isDirty.has(sector)) this.dirtySectors.delete(sector);
    }
  }

  /** Sectors of the FAT in which the entry of a cluster lies. */
  sectorsOf(cluster: number): readonly number[] {
    const at = Math.floor(cluster / this.entriesPerPiece) * PIECE_BYTES + this.byteInPiece(cluster);
    const last = at + (this.bits === 32 ? 3 : 1);
    return [Math.floor(at / this.sectorBytes), Math.floor(last / this.sectorBytes)];
  }

  private copyIn(images: Map<number, Uint8Array>, byte: number): Uint8Array {
    const sector = Math.floor(byte / this.sectorBytes);
    let copy = images.get(sector);
    if (copy === undefined) {
      copy = this.copySector(sector);
      images.set(sector, copy);
    }
    return copy;
  }

  private copySector(sector: number): Uint8Array {
    const byte = sector * this.sectorBytes;
    const bytes = this.pieces.get(Math.floor(byte / PIECE_BYTES)) as Uint8Array;
    const at = byte % PIECE_BYTES;
    return bytes.slice(at, at + this.sectorBytes);
  }

  private byteInPiece(cluster: number): number {
    const within = cluster % this.entriesPerPiece;
    return this.bits === 12 ? within + (within >> 1) : (within * this.bits) / 8;
  }
}

/** The entry at a byte. FAT12 packs two into three bytes: the even one has the low nibble of the middle byte. */
export function readEntry(bytes: Uint8Array, bits: FatBits, at: number, cluster: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (bits === 16) return low;
  if (bits === 12) return (cluster & 1) === 0 ? low & 0xfff : low >> 4;
  return low | ((bytes[at + 2] as number) << 16) | (((bytes[at + 3] as number) & 15) << 24);
}

export function writeEntry(
  bytes: Uint8Array,
  bits: FatBits,
  at: number,
  cluster: number,
  value: number,
): void {
  if (bits === 12) {
    const even = (cluster & 1) === 0;
    const old = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    const new12 = value & 0xfff;
    const word = even ? (old & 0xf000) | new12 : (old & 0x000f) | (new12 << 4);
    bytes[at] = word & 0xff;
    bytes[at + 1] = word >> 8;
    return;
  }
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >> 8) & 0xff;
  if (bits === 16) return;
  bytes[at + 2] = (value >> 16) & 0xff;
  bytes[at + 3] = ((bytes[at + 3] as number) & 0xf0) | ((value >> 24) & 15);
}
