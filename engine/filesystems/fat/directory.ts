// SPDX-License-Identifier: GPL-2.0-only
/**
 * Directories (fs/fat/dir.c): slots of 32 bytes, in a fixed place (root of FAT12 and FAT16) or in a chain of clusters. A directory is
 * read once, and kept as an index of names and slots that every change keeps up.
 *
 * Rules: 1. As in the kernel, a slot that begins with 0 or 0xe5 is free, wherever it is. 2. A slot that was given up is not used
 * again before a commit, and one whose old content names clusters is cleared first: a torn sector must not join a new name with an old
 * file's clusters. 3. What hostile entries say is dropped (long names that do not fit together) or refused where it is used.
 */
import {
  ERRNO,
  fail,
  succeed,
  type KernelReturn,
  type Result,
  type Task,
} from '../../base/index.ts';
import { errnoName } from '../../base/index.ts';
import type { BlockBuffer } from '../../vfs/index.ts';
import { sectorOfCluster } from './boot-sector.ts';
import { BEYOND, WHOLE_CHAIN, type Chains } from './chains.ts';
import type { FatInode } from './inode.ts';
import {
  ATTRIBUTE,
  DIRECTORY_ENTRIES_MAX,
  ENTRY,
  ENTRY_BYTES,
  ENTRY_DELETED,
  SHORT_NAME_BYTES,
} from './layout.ts';
import { aliasKey, foldName, LongNameReader, shortNameText } from './names.ts';
import { noteDamage, type FatState } from './state.ts';

export interface FatEntry {
  readonly name: string;
  /** The eleven bytes of the short name. */
  readonly alias: Uint8Array;
  readonly isDirectory: boolean;
  readonly isLabel: boolean;
  /** Slots it takes: the first one, how many. The last one is the short entry. */
  readonly firstSlot: number;
  readonly slotCount: number;
  /** Byte on the device of the short entry. */
  readonly entryByte: number;
}

const SLOT_USED = 0;
const SLOT_FREE = 1;
/** Free, but with clusters of an old file in it. */
const SLOT_STALE = 2;

export class DirectoryIndex {
  /** Byte on the device of each sector. */
  readonly sectorBytesAt: number[] = [];
  readonly slots: number[] = [];
  readonly entries = new Map<number, FatEntry>();
  private readonly byName = new Map<string, FatEntry>();
  /** Long-name slots that belong to nothing. */
  readonly orphans: number[] = [];

  constructor(private readonly sectorBytes: number) {}

  byteOfSlot(slot: number): number {
    const perSector = this.sectorBytes / ENTRY_BYTES;
    const sector = this.sectorBytesAt[Math.floor(slot / perSector)] as number;
    return sector + (slot % perSector) * ENTRY_BYTES;
  }
  find(name: string): FatEntry | null {
    return this.byName.get(foldName(name)) ?? null;
  }
  isTaken(key: string): boolean {
    return this.byName.has(key);
  }
  add(entry: FatEntry): void {
    this.entries.set(entry.firstSlot, entry);
    this.slots.fill(SLOT_USED, entry.firstSlot, entry.firstSlot + entry.slotCount);
    if (entry.isLabel) return;
    // Of two entries with one name the first counts, as it does in the kernel.
    for (const key of [foldName(entry.name), aliasKey(entry.alias)]) {
      if (!this.byName.has(key)) this.byName.set(key, entry);
    }
  }
  remove(entry: FatEntry): void {
    this.entries.delete(entry.firstSlot);
    this.slots.fill(SLOT_FREE, entry.firstSlot, entry.firstSlot + entry.slotCount);
    this.forgetNames(entry);
  }
  /** Look-ups do not find it any more; its slots stay in use. */
  forgetNames(entry: FatEntry): void {
    for (const key of [foldName(entry.name), aliasKey(entry.alias)]) {
      if (this.byName.get(key) === entry) this.byName.delete(key);
    }
  }
  /** The first of so many free slots in a row, or -1. `isReserved` tells by the byte on the device. */
  findSlots(count: number, isReserved: (byte: number) => boolean): number {
    let run = 0;
    for (let slot = 0; slot < this.slots.length; slot++) {
      const isFree = this.slots[slot] === SLOT_FREE && !isReserved(this.byteOfSlot(slot));
      run = isFree ? run + 1 : 0;
      if (run === count) return slot - count + 1;
    }
    return -1;
  }
  /** Slots that have to be cleared before they can be used. */
  staleSlots(): number[] {
    return this.slots.flatMap((state, slot) => (state === SLOT_STALE ? [slot] : []));
  }
  markFree(slot: number): void {
    this.slots[slot] = SLOT_FREE;
  }
  addSector(deviceByte: number, isEmpty: boolean): void {
    this.sectorBytesAt.push(deviceByte);
    if (!isEmpty) return;
    for (let at = 0; at < this.sectorBytes; at += ENTRY_BYTES) this.slots.push(SLOT_FREE);
  }
}

export function slotRecordBytes(buffer: BlockBuffer, entryByte: number): Uint8Array {
  const at = entryByte % buffer.bytes.length;
  return buffer.bytes.subarray(at, at + ENTRY_BYTES);
}

export function errnoResult(value: number): Result<never> {
  return fail(errnoName(value) ?? 'EIO');
}

export class Directories {
  constructor(
    private readonly state: FatState,
    private readonly chains: Chains,
  ) {}

  /** Byte on the device of each sector of a directory, in order. */
  *sectorsOf(directory: FatInode): Task<Result<number[]>> {
    const { geometry } = this.state;
    const { sectorBytes, sectorsPerCluster } = geometry;
    const sectors: number[] = [];
    if (directory.entryByte < 0 && geometry.fatBits !== 32) {
      for (let at = 0; at < geometry.rootSectors; at++) {
        sectors.push((geometry.rootSector + at) * sectorBytes);
      }
      return succeed(sectors);
    }
    const limit = Math.ceil((DIRECTORY_ENTRIES_MAX * ENTRY_BYTES) / geometry.clusterBytes);
    const status = yield* this.chains.walk(directory, limit);
    if (status < 0) return errnoResult(status);
    const number = String(directory.inodeNumber);
    if (status !== BEYOND) {
      noteDamage(this.state, `directory ${number} has more than ${String(limit)} clusters`);
      return fail('EUCLEAN', `directory ${number} has too many clusters, or goes in a circle`);
    }
    for (let at = 0; at < directory.runs.length; at += 3) {
      const first = sectorOfCluster(geometry, directory.runs[at + 1] as number);
      const count = (directory.runs[at + 2] as number) * sectorsPerCluster;
      for (let sector = 0; sector < count; sector++) sectors.push((first + sector) * sectorBytes);
    }
    if (sectors.length === 0) return fail('EUCLEAN', `directory ${number} has no cluster`);
    return succeed(sectors);
  }

  /** The index of a directory, read where it is not in memory. */
  *open(directory: FatInode): Task<Result<DirectoryIndex>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    if (directory.isDeleted) return fail('ENOENT');
    if (directory.index !== null) return succeed(directory.index);
    const sectors = yield* this.sectorsOf(directory);
    if (!sectors.ok) return sectors;
    const { cache, geometry } = this.state;
    const index = new DirectoryIndex(geometry.sectorBytes);
    const reader = new SlotReader(index);
    for (const byte of sectors.value) {
      const buffer = yield* cache.load(byte / geometry.sectorBytes);
      if (typeof buffer === 'number') return errnoResult(buffer);
      index.addSector(byte, false);
      reader.readSector(buffer.bytes, byte);
      cache.release(buffer);
    }
    reader.finish();
    // Somebody else may have been faster, and have changed it since.
    directory.index ??= index;
    return succeed(directory.index);
  }

  /** Free slots in a row: the first one's number; the directory grows where there are none. */
  *makeRoom(directory: FatInode, index: DirectoryIndex, count: number): Task<Result<number>> {
    const { state } = this;
    const isReserved = (byte: number): boolean => state.reservedSlots.has(byte);
    const found = index.findSlots(count, isReserved);
    if (found >= 0) return succeed(found);
    const cleared = yield* this.clearStale(index);
    if (cleared < 0) return errnoResult(cleared);
    const isFixed = directory.entryByte < 0 && state.geometry.fatBits !== 32;
    if (isFixed) return fail('ENOSPC', 'the root directory is full');
    for (;;) {
      const status = yield* this.grow(directory, index);
      if (!status.ok) return status;
      const slot = index.findSlots(count, isReserved);
      if (slot >= 0) return succeed(slot);
    }
  }

  /** Rule 2: what an old file left in free slots goes; after the next commit they can be used. */
  private *clearStale(index: DirectoryIndex): Task<KernelReturn> {
    const { cache, geometry, reservedSlots } = this.state;
    for (const slot of index.staleSlots()) {
      const byte = index.byteOfSlot(slot);
      const buffer = yield* cache.load(Math.floor(byte / geometry.sectorBytes));
      if (typeof buffer === 'number') return buffer;
      const bytes = slotRecordBytes(buffer, byte);
      bytes.fill(0);
      bytes[0] = ENTRY_DELETED;
      cache.markDirty(buffer, 0);
      cache.release(buffer);
      index.markFree(slot);
      reservedSlots.add(byte);
    }
    return 0;
  }

  /** fat_add_new_entries: one more cluster, of zeros. */
  private *grow(directory: FatInode, index: DirectoryIndex): Task<Result<void>> {
    const { state } = this;
    const { clusterBytes } = state.geometry;
    const bytes = (directory.walkedClusters + 1) * clusterBytes;
    if (bytes > DIRECTORY_ENTRIES_MAX * ENTRY_BYTES) return fail('ENOSPC', 'the directory is full');
    const cluster = yield* this.chains.addCluster(directory);
    if (cluster < 0) return errnoResult(cluster);
    return this.clearCluster(directory, index, cluster);
  }

  /** A new cluster of a directory, of zeros, in memory. */
  clearCluster(directory: FatInode, index: DirectoryIndex, cluster: number): Result<void> {
    const { cache, geometry } = this.state;
    const first = sectorOfCluster(geometry, cluster);
    for (let sector = first; sector < first + geometry.sectorsPerCluster; sector++) {
      const buffer = cache.create(sector, 0);
      if (buffer === null) return fail('ENOMEM');
      cache.release(buffer);
      index.addSector(sector * geometry.sectorBytes, true);
    }
    directory.sizeBytes = directory.walkedClusters * geometry.clusterBytes;
    this.state.newDirectoryClusters.push(cluster);
    return succeed(undefined);
  }

  /** Writes entries (32 bytes each) into slots in a row. */
  *write(index: DirectoryIndex, slot: number, entries: readonly Uint8Array[]): Task<KernelReturn> {
    const { cache, geometry } = this.state;
    const buffers: BlockBuffer[] = [];
    let status = 0;
    for (let at = 0; at < entries.length && status === 0; at++) {
      const byte = index.byteOfSlot(slot + at);
      const buffer = yield* cache.load(Math.floor(byte / geometry.sectorBytes));
      if (typeof buffer === 'number') status = buffer;
      else buffers.push(buffer);
    }
    if (status === 0) {
      entries.forEach((entry, at) => {
        const buffer = buffers[at] as BlockBuffer;
        slotRecordBytes(buffer, index.byteOfSlot(slot + at)).set(entry);
        cache.markDirty(buffer, 0);
      });
    }
    for (const buffer of buffers) cache.release(buffer);
    return status;
  }

  /** fat_remove_entries. The old bytes of each slot come back, by their byte on the device. */
  *erase(index: DirectoryIndex, entry: FatEntry): Task<Map<number, Uint8Array> | number> {
    const { cache, geometry, reservedSlots } = this.state;
    const old = new Map<number, Uint8Array>();
    const buffers: BlockBuffer[] = [];
    for (let at = 0; at < entry.slotCount; at++) {
      const byte = index.byteOfSlot(entry.firstSlot + at);
      const buffer = yield* cache.load(Math.floor(byte / geometry.sectorBytes));
      if (typeof buffer === 'number') {
        for (const each of buffers) cache.release(each);
        return buffer;
      }
      buffers.push(buffer);
    }
    for (const [at, buffer] of buffers.entries()) {
      const byte = index.byteOfSlot(entry.firstSlot + at);
      const bytes = slotRecordBytes(buffer, byte);
      old.set(byte, bytes.slice());
      bytes[0] = ENTRY_DELETED;
      if (at === buffers.length - 1) {
        bytes.fill(0, ENTRY.clusterHigh, ENTRY.modifyTime);
        bytes.fill(0, ENTRY.clusterLow, ENTRY_BYTES);
      }
      cache.markDirty(buffer, 0);
      cache.release(buffer);
      reservedSlots.add(byte);
    }
    index.remove(entry);
    return old;
  }

  /** Clusters of a directory, for its size. */
  *measure(directory: FatInode): Task<KernelReturn> {
    const { geometry } = this.state;
    if (directory.entryByte < 0 && geometry.fatBits !== 32) {
      directory.sizeBytes = geometry.rootEntries * ENTRY_BYTES;
      return 0;
    }
    const limit = Math.ceil((DIRECTORY_ENTRIES_MAX * ENTRY_BYTES) / geometry.clusterBytes);
    const status = yield* this.chains.walk(directory, Math.min(limit, WHOLE_CHAIN));
    if (status < 0) return status;
    if (status !== BEYOND || directory.walkedClusters === 0) return -ERRNO.EUCLEAN;
    directory.sizeBytes = directory.walkedClusters * geometry.clusterBytes;
    return 0;
  }
}

/** Puts entries together, slot by slot. */
class SlotReader {
  private readonly long = new LongNameReader();
  private slot = 0;

  constructor(private readonly index: DirectoryIndex) {}

  readSector(bytes: Uint8Array, deviceByte: number): void {
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      this.readSlot(bytes.subarray(at, at + ENTRY_BYTES), deviceByte + at);
      this.slot++;
    }
  }

  finish(): void {
    this.dropLong();
  }

  private dropLong(): void {
    for (let back = 1; back <= this.long.count; back++) this.index.orphans.push(this.slot - back);
    this.long.reset();
  }

  private readSlot(bytes: Uint8Array, entryByte: number): void {
    const { index } = this;
    const first = bytes[0] as number;
    if (first === 0 || first === ENTRY_DELETED) {
      this.dropLong();
      const hasClusters = [20, 21, 26, 27].some((at) => bytes[at] !== 0);
      const isLongName = bytes[ENTRY.attributes] === ATTRIBUTE.longName;
      index.slots.push(hasClusters && !isLongName ? SLOT_STALE : SLOT_FREE);
      return;
    }
    index.slots.push(SLOT_USED);
    const attributes = bytes[ENTRY.attributes] as number;
    if (attributes === ATTRIBUTE.longName) {
      if ((first & 0x40) !== 0) this.dropLong();
      const before = this.long.count;
      if (!this.long.add(bytes)) {
        for (let back = 0; back <= before; back++) index.orphans.push(this.slot - back);
      }
      return;
    }
    const alias = bytes.slice(0, SHORT_NAME_BYTES);
    const longName = (attributes & ATTRIBUTE.label) === 0 ? this.long.take(alias) : null;
    if (longName === null) this.dropLong();
    const slotCount = 1 + this.long.count;
    this.long.reset();
    index.add({
      name: longName ?? shortNameText(alias, bytes[ENTRY.lowerCase] as number),
      alias,
      isDirectory: (attributes & ATTRIBUTE.directory) !== 0,
      isLabel: (attributes & ATTRIBUTE.label) !== 0,
      firstSlot: this.slot - slotCount + 1,
      slotCount,
      entryByte,
    });
  }
}
