// SPDX-License-Identifier: GPL-2.0-only
/** Names of a mounted FAT: look up, list, make, remove, move (fs/fat/namei_vfat.c). */
import { fail, succeed, type KernelReturn, type Result, type Task } from '../../base/index.ts';
import type { DirectoryEntry } from '../../vfs/index.ts';
import { isCluster } from './boot-sector.ts';
import type { Chains } from './chains.ts';
import {
  DirectoryIndex,
  errnoResult,
  slotRecordBytes,
  type Directories,
  type FatEntry,
} from './directory.ts';
import { FatInode } from './inode.ts';
import { ATTRIBUTE, ENTRY, ENTRY_BYTES, ROOT_INODE } from './layout.ts';
import { encodeLongName, exactShortName, keptName, makeAlias, nameError } from './names.ts';
import { FatRecord } from './record.ts';
import type { FatState } from './state.ts';
import { encodeTime } from './time.ts';

/** Numbers that no entry's place gives. */
export const FIRST_ALIAS_NUMBER = 2 ** 44;

export class Namespace {
  constructor(
    private readonly state: FatState,
    private readonly chains: Chains,
    readonly directories: Directories,
  ) {}

  // Numbers ---------------------------------------------------------------------------------------

  /** The number of an entry: its place / 32, as long as no inode that moved away still has that. */
  numberOf(parent: FatInode, entryByte: number): number {
    const { state } = this;
    const loaded = state.byEntry.get(entryByte);
    if (loaded !== undefined) return loaded.inodeNumber;
    let number = entryByte / ENTRY_BYTES;
    const taken = state.inodes.get(number);
    if (taken !== undefined) {
      for (const [each, known] of state.known) {
        if (each >= FIRST_ALIAS_NUMBER && known.entryByte === entryByte) return each;
      }
      number = state.nextAlias++;
    }
    state.known.set(number, { parent, entryByte });
    return number;
  }

  /** fat_iget, fat_build_inode. */
  *load(inodeNumber: number): Task<Result<FatInode>> {
    const { state } = this;
    const cached = state.inodes.get(inodeNumber);
    if (cached !== undefined) return cached.isDeleted ? fail('ENOENT') : succeed(cached);
    const known = state.known.get(inodeNumber);
    if (known === undefined || known.parent.isDeleted) return fail('ENOENT');
    const { geometry, cache } = state;
    const buffer = yield* cache.load(Math.floor(known.entryByte / geometry.sectorBytes));
    if (typeof buffer === 'number') return errnoResult(buffer);
    const raced = state.inodes.get(inodeNumber) ?? state.byEntry.get(known.entryByte);
    if (raced !== undefined) {
      cache.release(buffer);
      return succeed(raced);
    }
    const bytes = slotRecordBytes(buffer, known.entryByte);
    const record = new FatRecord('directory entry', buffer.deviceBlock, bytes);
    const isDirectory = (record.u8(ENTRY.attributes) & ATTRIBUTE.directory) !== 0;
    const inode = new FatInode(state, inodeNumber, isDirectory ? 'directory' : 'file');
    inode.parent = known.parent;
    inode.entryByte = known.entryByte;
    inode.decode(record);
    cache.release(buffer);
    const checked = yield* this.check(inode);
    if (!checked.ok) return checked;
    const late = state.inodes.get(inodeNumber);
    if (late !== undefined) return succeed(late);
    state.inodes.set(inodeNumber, inode);
    state.byEntry.set(inode.entryByte, inode);
    return succeed(inode);
  }

  private *check(inode: FatInode): Task<Result<void>> {
    const number = String(inode.inodeNumber);
    const { startCluster } = inode;
    if (startCluster !== 0 && !isCluster(this.state.geometry, startCluster)) {
      return fail('EUCLEAN', `inode ${number} starts in cluster ${String(startCluster)}`);
    }
    if (inode.kind !== 'directory') return succeed(undefined);
    for (let above = inode.parent; above !== null; above = above.parent) {
      if (above.startCluster === startCluster && startCluster !== 0) {
        return fail('EUCLEAN', `directory ${number} contains itself`);
      }
    }
    const status = yield* this.directories.measure(inode);
    return status < 0
      ? fail('EUCLEAN', `directory ${number} has a broken chain`)
      : succeed(undefined);
  }

  // Reading ---------------------------------------------------------------------------------------

  *lookup(directory: FatInode, name: string): Task<Result<number>> {
    const index = yield* this.directories.open(directory);
    if (!index.ok) return index;
    if (name === '.') return succeed(directory.inodeNumber);
    if (name === '..') return succeed((directory.parent ?? directory).inodeNumber);
    const entry = index.value.find(name);
    if (entry === null) return fail('ENOENT');
    return succeed(this.numberOf(directory, entry.entryByte));
  }

  *list(directory: FatInode): Task<Result<DirectoryEntry[]>> {
    const index = yield* this.directories.open(directory);
    if (!index.ok) return index;
    const parent = directory.parent ?? directory;
    const entries: DirectoryEntry[] = [
      { name: '.', inodeNumber: directory.inodeNumber, kind: 'directory' },
      { name: '..', inodeNumber: parent.inodeNumber, kind: 'directory' },
    ];
    for (const entry of inOrder(index.value)) {
      if (entry.isLabel || isDots(entry)) continue;
      const inodeNumber = this.numberOf(directory, entry.entryByte);
      const kind = entry.isDirectory ? 'directory' : 'file';
      entries.push({ name: entry.name, inodeNumber, kind });
    }
    return succeed(entries);
  }

  // Making ----------------------------------------------------------------------------------------

  *create(directory: FatInode, name: string, kind: 'file' | 'directory'): Task<Result<FatInode>> {
    yield* directory.lock.lockExclusive();
    try {
      const index = yield* this.directories.open(directory);
      if (!index.ok) return index;
      const error = nameError(name);
      if (error !== null) return fail(error);
      if (name === '.' || name === '..' || index.value.find(name) !== null) return fail('EEXIST');
      return yield* this.createLocked(directory, index.value, keptName(name), kind);
    } finally {
      directory.lock.unlockExclusive();
    }
  }

  private *createLocked(
    directory: FatInode,
    index: DirectoryIndex,
    name: string,
    kind: 'file' | 'directory',
  ): Task<Result<FatInode>> {
    const short = new Uint8Array(ENTRY_BYTES);
    stamp(short, this.state.kernel.unixMs?.() ?? 0);
    short[ENTRY.attributes] = kind === 'directory' ? ATTRIBUTE.directory : ATTRIBUTE.archive;
    // The inode's number comes with its entry; a directory's cluster is made before.
    const made = new FatInode(this.state, -1, kind);
    if (kind === 'directory') {
      const filled = yield* this.makeEmpty(made, directory, short);
      if (!filled.ok) return filled;
    }
    putStart(short, made.startCluster);
    const entry = yield* this.insert(directory, index, name, short);
    if (!entry.ok) {
      if (made.startCluster !== 0) yield* this.chains.truncate(made, 0);
      return entry;
    }
    const number = this.numberOf(directory, entry.value.entryByte);
    const inode = new FatInode(this.state, number, kind);
    inode.parent = directory;
    inode.entryByte = entry.value.entryByte;
    inode.decode(new FatRecord('directory entry', 0, short));
    inode.runs = made.runs;
    inode.walkedClusters = made.walkedClusters;
    inode.isWalked = true;
    inode.index = made.index;
    if (kind === 'directory') inode.sizeBytes = this.state.geometry.clusterBytes;
    this.state.inodes.set(number, inode);
    this.state.byEntry.set(inode.entryByte, inode);
    inode.isEntryNew = true;
    inode.markDirty();
    return succeed(inode);
  }

  /** fat_alloc_new_dir: a cluster with `.` and `..`. */
  private *makeEmpty(inode: FatInode, parent: FatInode, template: Uint8Array): Task<Result<void>> {
    const cluster = yield* this.chains.addCluster(inode);
    if (cluster < 0) return errnoResult(cluster);
    const index = new DirectoryIndex(this.state.geometry.sectorBytes);
    const cleared = this.directories.clearCluster(inode, index, cluster);
    if (!cleared.ok) return cleared;
    const isInRoot = parent.inodeNumber === ROOT_INODE;
    const dots = ['.', '..'].map((name, at) => {
      const bytes = template.slice();
      bytes.fill(0x20, 0, 11);
      for (let place = 0; place < name.length; place++) bytes[place] = 0x2e;
      putStart(bytes, at === 0 ? cluster : isInRoot ? 0 : parent.startCluster);
      return bytes;
    });
    const status = yield* this.directories.write(index, 0, dots);
    if (status < 0) return errnoResult(status);
    dots.forEach((bytes, slot) => {
      const entryByte = index.byteOfSlot(slot);
      const alias = bytes.slice(0, 11);
      const name = slot === 0 ? '.' : '..';
      const place = { firstSlot: slot, slotCount: 1, entryByte };
      index.add({ name, alias, isDirectory: true, isLabel: false, ...place });
    });
    inode.index = index;
    return succeed(undefined);
  }

  /** vfat_add_entry: name and short entry into free slots. */
  private *insert(
    directory: FatInode,
    index: DirectoryIndex,
    name: string,
    short: Uint8Array,
  ): Task<Result<FatEntry>> {
    const exact = exactShortName(name);
    const alias = exact ?? makeAlias(name, (key) => index.isTaken(key));
    if (alias === null) return fail('ENOSPC', 'every short name is taken');
    short.set(alias, 0);
    const entries = exact === null ? [...encodeLongName(name, alias), short] : [short];
    const slot = yield* this.directories.makeRoom(directory, index, entries.length);
    if (!slot.ok) return slot;
    const status = yield* this.directories.write(index, slot.value, entries);
    if (status < 0) return errnoResult(status);
    const entryByte = index.byteOfSlot(slot.value + entries.length - 1);
    const entry: FatEntry = {
      name,
      alias,
      isDirectory: (short[ENTRY.attributes] as number) === ATTRIBUTE.directory,
      isLabel: false,
      firstSlot: slot.value,
      slotCount: entries.length,
      entryByte,
    };
    index.add(entry);
    return succeed(entry);
  }

  // Removing --------------------------------------------------------------------------------------

  /** vfat_unlink, vfat_rmdir. The clusters are given up at once, whoever has the file open. */
  *unlink(directory: FatInode, name: string, mustBeDirectory: boolean): Task<Result<void>> {
    yield* directory.lock.lockExclusive();
    try {
      const index = yield* this.directories.open(directory);
      if (!index.ok) return index;
      if (name === '.' || name === '..') return fail('EINVAL');
      const entry = index.value.find(name);
      if (entry === null) return fail('ENOENT');
      const inode = yield* this.load(this.numberOf(directory, entry.entryByte));
      if (!inode.ok) return inode;
      if (mustBeDirectory && inode.value.kind !== 'directory') return fail('ENOTDIR');
      const empty = yield* this.checkEmpty(inode.value);
      if (!empty.ok) return empty;
      const erased = yield* this.directories.erase(index.value, entry);
      if (typeof erased === 'number') return errnoResult(erased);
      yield* this.drop(inode.value);
      return succeed(undefined);
    } finally {
      directory.lock.unlockExclusive();
    }
  }

  private *checkEmpty(inode: FatInode): Task<Result<void>> {
    if (inode.kind !== 'directory') return succeed(undefined);
    const index = yield* this.directories.open(inode);
    if (!index.ok) return index;
    const isEmpty = [...index.value.entries.values()].every(isDots);
    return isEmpty ? succeed(undefined) : fail('ENOTEMPTY');
  }

  private *drop(inode: FatInode): Task<void> {
    const { state } = this;
    yield* inode.lock.lockExclusive();
    try {
      yield* inode.waitForDirectIo();
      yield* inode.mapping.truncate(0);
      inode.sizeBytes = 0;
      inode.allocatedBytes = 0;
      yield* this.chains.truncate(inode, 0);
      inode.isDeleted = true;
      inode.isDirty = false;
      inode.areTimesDirty = false;
      inode.index = null;
      state.dirtyInodes.delete(inode);
      state.inodes.delete(inode.inodeNumber);
      state.byEntry.delete(inode.entryByte);
      state.known.delete(inode.inodeNumber);
    } finally {
      inode.lock.unlockExclusive();
    }
  }

  // Moving ----------------------------------------------------------------------------------------

  /** vfat_rename; an existing target is refused. */
  *rename(from: FatInode, fromName: string, to: FatInode, toName: string): Task<Result<void>> {
    const error = nameError(toName);
    if (error !== null) return fail(error);
    const locks = [...new Set([from, to])].sort((a, b) => a.inodeNumber - b.inodeNumber);
    for (const inode of locks) yield* inode.lock.lockExclusive();
    try {
      return yield* this.renameLocked(from, fromName, to, keptName(toName));
    } finally {
      for (const inode of locks) inode.lock.unlockExclusive();
    }
  }

  private *renameLocked(
    from: FatInode,
    fromName: string,
    to: FatInode,
    toName: string,
  ): Task<Result<void>> {
    const source = yield* this.directories.open(from);
    if (!source.ok) return source;
    const target = yield* this.directories.open(to);
    if (!target.ok) return target;
    const entry = source.value.find(fromName);
    if (entry === null || isDots(entry)) return fail(entry === null ? 'ENOENT' : 'EINVAL');
    const existing = target.value.find(toName);
    // A change of case only is a move of the name onto itself.
    if (existing !== null && (existing !== entry || existing.name === toName)) {
      return fail('EEXIST');
    }
    const loaded = yield* this.load(this.numberOf(from, entry.entryByte));
    if (!loaded.ok) return loaded;
    const inode = loaded.value;
    for (let above: FatInode | null = to; above !== null; above = above.parent) {
      if (above === inode) return fail('EINVAL');
    }
    return yield* this.move(inode, entry, [from, source.value], [to, target.value], toName);
  }

  private *move(
    inode: FatInode,
    entry: FatEntry,
    [from, source]: readonly [FatInode, DirectoryIndex],
    [to, target]: readonly [FatInode, DirectoryIndex],
    toName: string,
  ): Task<Result<void>> {
    const { state } = this;
    const short = yield* this.bytesOf(inode);
    if (typeof short === 'number') return errnoResult(short);
    inode.encode(new FatRecord('directory entry', 0, short));
    short[ENTRY.lowerCase] = 0;
    const isOnItself = target.find(toName) === entry;
    // Its names are free for the new entry, its slots are not before they are erased below.
    if (isOnItself) target.forgetNames(entry);
    const added = yield* this.insert(to, target, toName, short);
    if (isOnItself && !added.ok) source.add(entry);
    if (!added.ok) return added;
    const erased = yield* this.directories.erase(source, entry);
    if (typeof erased === 'number') return errnoResult(erased);
    // A place that the disk never had needs not stay there: an earlier one does.
    if (!inode.isEntryNew) {
      for (const [byte, bytes] of erased) state.movedAway.set(byte, bytes);
    }
    inode.isEntryNew = true;
    state.byEntry.delete(inode.entryByte);
    inode.entryByte = added.value.entryByte;
    inode.parent = to;
    state.byEntry.set(inode.entryByte, inode);
    state.known.set(inode.inodeNumber, { parent: to, entryByte: inode.entryByte });
    inode.markDirty();
    if (inode.kind !== 'directory' || from === to) return succeed(undefined);
    const status = yield* this.setParent(inode, to);
    return status < 0 ? errnoResult(status) : succeed(undefined);
  }

  private *bytesOf(inode: FatInode): Task<Uint8Array | number> {
    const { cache, geometry } = this.state;
    const buffer = yield* cache.load(Math.floor(inode.entryByte / geometry.sectorBytes));
    if (typeof buffer === 'number') return buffer;
    const bytes = slotRecordBytes(buffer, inode.entryByte).slice();
    cache.release(buffer);
    return bytes;
  }

  /** The `..` of a directory that has another parent now. */
  private *setParent(inode: FatInode, parent: FatInode): Task<KernelReturn> {
    const index = yield* this.directories.open(inode);
    if (!index.ok) return 0;
    const dots = [...index.value.entries.values()].find(
      (entry) => entry.alias[0] === 0x2e && entry.alias[1] === 0x2e,
    );
    if (dots === undefined) return 0;
    const { cache, geometry } = this.state;
    const buffer = yield* cache.load(Math.floor(dots.entryByte / geometry.sectorBytes));
    if (typeof buffer === 'number') return buffer;
    const isRoot = parent.inodeNumber === ROOT_INODE;
    putStart(slotRecordBytes(buffer, dots.entryByte), isRoot ? 0 : parent.startCluster);
    cache.markDirty(buffer, 0);
    cache.release(buffer);
    return 0;
  }
}

/** `.` or `..`, which begin with a dot as no other short name does. */
export function isDots(entry: FatEntry): boolean {
  return entry.alias[0] === 0x2e;
}

export function inOrder(index: DirectoryIndex): FatEntry[] {
  return [...index.entries.values()].sort((a, b) => a.firstSlot - b.firstSlot);
}

function putStart(bytes: Uint8Array, cluster: number): void {
  const record = new FatRecord('directory entry', 0, bytes);
  record.setU16(ENTRY.clusterLow, cluster & 0xffff);
  record.setU16(ENTRY.clusterHigh, cluster >>> 16);
}

function stamp(bytes: Uint8Array, unixMs: number): void {
  const record = new FatRecord('directory entry', 0, bytes);
  const { date, time, hundredths } = encodeTime(unixMs);
  record.setU8(ENTRY.createHundredths, hundredths);
  record.setU16(ENTRY.createTime, time);
  record.setU16(ENTRY.createDate, date);
  record.setU16(ENTRY.accessDate, date);
  record.setU16(ENTRY.modifyTime, time);
  record.setU16(ENTRY.modifyDate, date);
}
