// SPDX-License-Identifier: GPL-2.0-only
/** Directories of a mounted ext file system: look up, list, create, unlink, rename (fs/ext2/namei.c, dir.c). */
import { fail, HostError, succeed, type Result, type Task } from '../../base/index.ts';
import type { DirectoryEntry } from '../../vfs/index.ts';
import type { Allocator } from './allocator.ts';
import type { BlockMap } from './block-map.ts';
import { DirectoryStore } from './directory-store.ts';
import { entryKindOf, publicEntry, removeEntry, writeEntry, writeFirstBlock } from './directory.ts';
import { errnoResult } from './errno-result.ts';
import { ExtInode } from './inode.ts';
import { addFolderLink, canLink, dropFolderLink } from './links.ts';
import { MODE, NAME_BYTES_MAX } from './layout.ts';
import { deletionSeconds, noteDamage, unixExtra, unixSeconds, type ExtState } from './state.ts';
import { encodeName } from './text.ts';

const DEFAULT_FILE_MODE = MODE.file | 0o644;
const DEFAULT_DIRECTORY_MODE = MODE.directory | 0o755;

export { errnoResult } from './errno-result.ts';

export class Namespace {
  private readonly store: DirectoryStore;

  constructor(
    private readonly state: ExtState,
    private readonly blockMap: BlockMap,
    private readonly allocator: Allocator,
  ) {
    this.store = new DirectoryStore(state, blockMap);
  }

  *lookup(directory: ExtInode, name: string): Task<Result<number>> {
    const found = yield* this.store.find(directory, encodeName(name));
    if (!found.ok) return found;
    this.state.cache.release(found.value.buffer);
    return succeed(found.value.entry.inodeNumber);
  }

  *list(directory: ExtInode): Task<Result<DirectoryEntry[]>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    const entries: DirectoryEntry[] = [];
    const visited = new Set<number>();
    for (let index = 0; index < this.store.blockCount(directory); index++) {
      const buffer = yield* this.store.block(directory, index, visited);
      if (!buffer.ok) return buffer;
      try {
        for (const entry of this.store.entriesOf(buffer.value)) {
          if (entry.inodeNumber !== 0) entries.push(publicEntry(entry));
        }
      } finally {
        this.state.cache.release(buffer.value);
      }
    }
    return succeed(entries);
  }

  *create(directory: ExtInode, name: string, kind: 'file' | 'directory'): Task<Result<ExtInode>> {
    const bytes = checkedName(name);
    if (!bytes.ok) return bytes;
    yield* directory.lock.lockExclusive();
    try {
      return yield* this.createLocked(directory, bytes.value, kind);
    } finally {
      directory.lock.unlockExclusive();
    }
  }

  private *createLocked(
    directory: ExtInode,
    name: Uint8Array,
    kind: 'file' | 'directory',
  ): Task<Result<ExtInode>> {
    if (directory.isDeleted) return fail('ENOENT');
    const existing = yield* this.store.find(directory, name);
    if (existing.ok) {
      this.state.cache.release(existing.value.buffer);
      return fail('EEXIST');
    }
    if (existing.error !== 'ENOENT') return existing;
    const isDirectory = kind === 'directory';
    if (isDirectory && !canLink(directory)) return fail('EMLINK');
    const number = yield* this.allocator.takeInode(directory, isDirectory);
    if (number < 0) return errnoResult(number);
    const inode = this.makeInode(number, isDirectory);
    const filled = isDirectory ? yield* this.makeEmpty(inode, directory) : succeed(undefined);
    const added = filled.ok ? yield* this.add(directory, name, inode) : filled;
    if (!added.ok) {
      yield* this.dispose(inode);
      return added;
    }
    if (isDirectory) addFolderLink(directory);
    directory.touch();
    directory.markDirty();
    return succeed(inode);
  }

  /** unlink and rmdir. The inode's blocks are given up at once, whoever has it open. */
  *unlink(directory: ExtInode, name: string, load: InodeLoader): Task<Result<void>> {
    const bytes = checkedName(name);
    if (!bytes.ok) return bytes;
    yield* directory.lock.lockExclusive();
    try {
      const found = yield* this.store.find(directory, bytes.value);
      if (!found.ok) return found;
      const { buffer, entries, entry } = found.value;
      try {
        const inode = yield* load(entry.inodeNumber);
        if (!inode.ok) return inode;
        const removable = yield* this.checkRemovable(directory, inode.value);
        if (!removable.ok) return removable;
        removeEntry(buffer.bytes, entries, entry);
        this.store.changed(directory, buffer);
        yield* this.dropLink(directory, inode.value);
        return succeed(undefined);
      } finally {
        this.state.cache.release(buffer);
      }
    } finally {
      directory.lock.unlockExclusive();
    }
  }

  /** rename within one file system; an existing target is refused. */
  *rename(
    from: ExtInode,
    fromName: string,
    to: ExtInode,
    toName: string,
    load: InodeLoader,
  ): Task<Result<void>> {
    const oldName = checkedName(fromName);
    if (!oldName.ok) return oldName;
    const newName = checkedName(toName);
    if (!newName.ok) return newName;
    const locks = [...new Set([from, to])].sort((a, b) => a.inodeNumber - b.inodeNumber);
    for (const inode of locks) yield* inode.lock.lockExclusive();
    try {
      return yield* this.renameLocked(from, oldName.value, to, newName.value, load);
    } finally {
      for (const inode of locks) inode.lock.unlockExclusive();
    }
  }

  private *renameLocked(
    from: ExtInode,
    oldName: Uint8Array,
    to: ExtInode,
    newName: Uint8Array,
    load: InodeLoader,
  ): Task<Result<void>> {
    const { cache } = this.state;
    const source = yield* this.store.find(from, oldName);
    if (!source.ok) return source;
    cache.release(source.value.buffer);
    const target = yield* this.store.find(to, newName);
    if (target.ok) {
      cache.release(target.value.buffer);
      return fail('EEXIST');
    }
    if (target.error !== 'ENOENT') return target;
    const inode = yield* load(source.value.entry.inodeNumber);
    if (!inode.ok) return inode;
    const moved = inode.value;
    const changesParent = moved.kind === 'directory' && from !== to;
    if (changesParent) {
      const inside = yield* this.isInside(to, moved, load);
      if (!inside.ok) return inside;
      if (inside.value) return fail('EINVAL');
      if (!canLink(to)) return fail('EMLINK');
    }
    const added = yield* this.add(to, newName, moved);
    if (!added.ok) return added;
    const removed = yield* this.removeName(from, oldName);
    if (!removed.ok) return removed;
    if (changesParent) {
      const turned = yield* this.setParent(moved, to);
      if (!turned.ok) return turned;
      dropFolderLink(from);
      addFolderLink(to);
    }
    for (const inode of [from, to]) {
      inode.touch();
      inode.markDirty();
    }
    return succeed(undefined);
  }

  private *removeName(directory: ExtInode, name: Uint8Array): Task<Result<void>> {
    const found = yield* this.store.find(directory, name);
    if (!found.ok) return found;
    const { buffer, entries, entry } = found.value;
    removeEntry(buffer.bytes, entries, entry);
    this.store.changed(directory, buffer);
    this.state.cache.release(buffer);
    return succeed(undefined);
  }

  private *setParent(moved: ExtInode, parent: ExtInode): Task<Result<void>> {
    const found = yield* this.store.find(moved, encodeName('..'));
    if (!found.ok) return found;
    const { buffer, entry } = found.value;
    const { offset, length, name, kind } = entry;
    writeEntry(buffer.bytes, offset, length, parent.inodeNumber, name.slice(), kind);
    this.store.changed(moved, buffer);
    moved.markDirty();
    this.state.cache.release(buffer);
    return succeed(undefined);
  }

  /** `directory` is `ancestor` or lies below it. */
  private *isInside(
    directory: ExtInode,
    ancestor: ExtInode,
    load: InodeLoader,
  ): Task<Result<boolean>> {
    const seen = new Set<number>();
    let current = directory;
    for (;;) {
      if (current === ancestor) return succeed(true);
      if (seen.has(current.inodeNumber)) return succeed(false);
      seen.add(current.inodeNumber);
      const parent = yield* this.lookup(current, '..');
      if (!parent.ok) return parent;
      const inode = yield* load(parent.value);
      if (!inode.ok) return inode;
      current = inode.value;
    }
  }

  // Parts -----------------------------------------------------------------------------------------

  private makeInode(inodeNumber: number, isDirectory: boolean): ExtInode {
    const { state } = this;
    const mode = isDirectory ? DEFAULT_DIRECTORY_MODE : DEFAULT_FILE_MODE;
    const inode = new ExtInode(state, inodeNumber, mode);
    inode.linkCount = isDirectory ? 2 : 1;
    inode.accessTime = unixSeconds(state);
    inode.accessTimeExtra = unixExtra(state);
    inode.extraBytes = state.geometry.extraBytes;
    inode.isNew = true;
    this.blockMap.initialise(inode);
    inode.touch();
    inode.markDirty();
    state.inodes.set(inodeNumber, inode);
    return inode;
  }

  /** Frees an inode that never got a name. */
  private *dispose(inode: ExtInode): Task<void> {
    yield* this.blockMap.truncate(inode, 0);
    this.markDeleted(inode);
  }

  private markDeleted(inode: ExtInode): void {
    inode.linkCount = 0;
    inode.isDeleted = true;
    inode.sizeBytes = 0;
    inode.deleteTime = deletionSeconds(this.state);
    inode.markDirty();
  }

  private *makeEmpty(inode: ExtInode, parent: ExtInode): Task<Result<void>> {
    const buffer = yield* this.store.append(inode);
    if (!buffer.ok) return buffer;
    const { hasFileType } = this.state.geometry;
    const room = this.store.roomOf(buffer.value);
    writeFirstBlock(room, inode.inodeNumber, parent.inodeNumber, hasFileType);
    this.store.changed(inode, buffer.value);
    this.state.cache.release(buffer.value);
    return succeed(undefined);
  }

  private *add(directory: ExtInode, name: Uint8Array, inode: ExtInode): Task<Result<void>> {
    const kind = this.state.geometry.hasFileType ? entryKindOf(inode.kind) : 0;
    return yield* this.store.insert(directory, name, inode.inodeNumber, kind);
  }

  private *checkRemovable(directory: ExtInode, inode: ExtInode): Task<Result<void>> {
    if (inode === directory) return fail('EINVAL');
    if (inode.kind !== 'directory') return succeed(undefined);
    const listed = yield* this.list(inode);
    if (!listed.ok) return listed;
    const isEmpty = listed.value.every(({ name }) => name === '.' || name === '..');
    return isEmpty ? succeed(undefined) : fail('ENOTEMPTY');
  }

  /** The entry is gone; the inode follows with its last link. */
  private *dropLink(directory: ExtInode, inode: ExtInode): Task<void> {
    directory.touch();
    directory.markDirty();
    yield* inode.lock.lockExclusive();
    try {
      if (inode.kind === 'directory') {
        dropFolderLink(directory);
        inode.linkCount = 0;
      } else inode.linkCount = Math.max(0, inode.linkCount - 1);
      inode.touch();
      inode.markDirty();
      if (inode.linkCount > 0) return;
      yield* inode.waitForDirectIo();
      yield* inode.mapping.truncate(0);
      if (inode.hasBlockMap) yield* this.blockMap.truncate(inode, 0);
      yield* this.dropAcl(inode);
      this.markDeleted(inode);
    } finally {
      inode.lock.unlockExclusive();
    }
  }

  /** ext2_xattr_delete_inode: the block of extended attributes has a reference count. */
  private *dropAcl(inode: ExtInode): Task<void> {
    const { cache, geometry, groups } = this.state;
    const block = inode.aclBlock;
    if (block === 0) return;
    inode.aclBlock = 0;
    if (block >= geometry.blocksCount || groups.isSystemBlock(block)) {
      noteDamage(
        this.state,
        `inode ${String(inode.inodeNumber)} has its attributes in block ${String(block)}`,
      );
      return;
    }
    const buffer = yield* cache.load(block);
    if (typeof buffer === 'number') return;
    if (!this.state.checksums.isAttributesGood(buffer.bytes, block)) {
      noteDamage(this.state, `attributes in block ${String(block)}: wrong checksum`);
      cache.release(buffer);
      return;
    }
    const references = buffer.words[1] as number;
    inode.sectorCount = Math.max(0, inode.sectorCount - geometry.blockBytes / 512);
    if (references > 1) {
      buffer.words[1] = references - 1;
      this.state.checksums.sealAttributes(buffer.bytes, block);
      cache.markDirty(buffer, 0);
    } else inode.addPendingFree(block, 1);
    cache.release(buffer);
    if (references <= 1) cache.forget(block);
  }
}

export type InodeLoader = (inodeNumber: number) => Task<Result<ExtInode>>;

function checkedName(name: string): Result<Uint8Array> {
  const bytes = encodeName(name);
  if (bytes.length > NAME_BYTES_MAX) return fail('ENAMETOOLONG');
  if (bytes.length === 0 || name === '.' || name === '..') return fail('EINVAL');
  if (bytes.includes(0) || bytes.includes(0x2f)) return fail('EINVAL');
  return succeed(bytes);
}

/** Turns a thrown refusal of damaged content into the kernel's answer, for callers that speak results. */
export function* guarded<T>(task: Task<Result<T>>): Task<Result<T>> {
  try {
    return yield* task;
  } catch (error) {
    if (error instanceof HostError) return fail('EUCLEAN', error.message);
    throw error;
  }
}
