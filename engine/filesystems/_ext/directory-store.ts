// SPDX-License-Identifier: GPL-2.0-only
/**
 * The blocks of directories: reading them checked, adding names to them, linear or by hash index (fs/ext4/namei.c, fs/ext2/dir.c).
 *
 *   one block, full --makeIndexed--> root over one leaf --splitLeaf--> root over leaves --growIndex--> root, nodes, leaves
 *
 * A directory of several blocks that has no index stays without one, as in the kernel.
 *
 * Rules: 1. A block is verified once while it is cached; every change seals it. 2. What moves from one block to another goes to a block
 * that the disk does not know yet; the one that gave it away is marked `isThinned`, and written last (commit.ts): cut between the two,
 * a name is there twice, and never lost. 3. Every step leaves a directory that could be written as it is; a step that finds no space
 * leaves the ones before it.
 */
import { fail, isTask, succeed, type Result, type Task } from '../../base/index.ts';
import { newMapping, type BlockBuffer } from '../../vfs/index.ts';
import { mapOne, type BlockMap } from './block-map.ts';
import {
  entryBytes,
  insertEntry,
  readEntries,
  sameName,
  writeEntry,
  type RawEntry,
} from './directory.ts';
import { hashName, HASH_UNSIGNED, type HashSettings } from './directory-hash.ts';
import {
  countOffsetOf,
  INDEX_LEVELS_MAX,
  IndexNode,
  NODE_COUNT_OFFSET,
  ROOT_COUNT_OFFSET,
  rootFlags,
  rootLevels,
  rootVersion,
  setRootLevels,
} from './directory-index.ts';
import { damaged } from './disk-record.ts';
import { errnoResult } from './errno-result.ts';
import type { ExtInode } from './inode.ts';
import { COMPAT, INODE_FLAG, SB } from './layout.ts';
import type { ExtState } from './state.ts';

const FLAG_UNSIGNED_HASH = 2;
/** Versions that a root may name; the sign of bytes is the superblock's affair. */
const ROOT_VERSION_MAX = 2;

/** A block that is pinned for whoever got it. */
export interface Found {
  readonly buffer: BlockBuffer;
  readonly entries: readonly RawEntry[];
  readonly entry: RawEntry;
}

interface NewName {
  readonly name: Uint8Array;
  readonly inodeNumber: number;
  readonly kind: number;
}

/** One step of the way from the root to a leaf. */
interface Frame {
  readonly buffer: BlockBuffer;
  readonly node: IndexNode;
  /** The child that was taken. */
  at: number;
}

export class DirectoryStore {
  private readonly seed: Uint32Array;
  private readonly isUnsigned: boolean;
  private readonly defaultVersion: number;
  private readonly hasChecksum: boolean;

  constructor(
    private readonly state: ExtState,
    private readonly blockMap: BlockMap,
  ) {
    const { record } = state.superblock;
    this.seed = new Uint32Array(record.bytes(SB.hashSeed, 16).slice().buffer);
    this.isUnsigned = (record.u32(SB.flags) & FLAG_UNSIGNED_HASH) !== 0;
    this.defaultVersion = record.u8(SB.defaultHashVersion);
    this.hasChecksum = state.checksums.coversAll;
  }

  /** Directories get and keep indexes: the feature is there, and the member of the family knows it (ext2 does not). */
  private get usesIndex(): boolean {
    const { superblock, member } = this.state;
    return (superblock.compat & COMPAT.dir_index) !== 0 && member.keepsIndex;
  }

  blockCount(directory: ExtInode): number {
    return Math.floor(directory.sizeBytes / this.state.geometry.blockBytes);
  }

  // Blocks ----------------------------------------------------------------------------------------

  /** Block `index` of a directory, pinned. One that comes up twice in `visited` is damage, and would never end. */
  *block(
    directory: ExtInode,
    index: number,
    visited: Set<number> | null,
  ): Task<Result<BlockBuffer>> {
    const mapping = newMapping(this.state.device);
    const mapped = mapOne(this.blockMap.getBlock, directory, index, mapping, false);
    const deviceBlock = isTask(mapped) ? yield* mapped : mapped;
    if (deviceBlock < 0) return errnoResult(deviceBlock);
    const name = `directory ${String(directory.inodeNumber)}`;
    if (deviceBlock === 0) return fail('EUCLEAN', `${name} has a hole at block ${String(index)}`);
    if (visited?.has(deviceBlock) === true) {
      return fail('EUCLEAN', `${name} holds block ${String(deviceBlock)} twice`);
    }
    visited?.add(deviceBlock);
    const buffer = yield* this.state.cache.load(deviceBlock);
    if (typeof buffer === 'number') return errnoResult(buffer);
    try {
      this.verify(directory, buffer);
    } catch (error) {
      this.state.cache.release(buffer);
      throw error;
    }
    return succeed(buffer);
  }

  /** A new, zeroed block at the end of a directory; pinned and dirty. */
  *append(directory: ExtInode): Task<Result<BlockBuffer>> {
    const mapping = newMapping(this.state.device);
    const index = this.blockCount(directory);
    const mapped = mapOne(this.blockMap.getBlock, directory, index, mapping, true);
    const deviceBlock = isTask(mapped) ? yield* mapped : mapped;
    if (deviceBlock < 0) return errnoResult(deviceBlock);
    const buffer = this.state.cache.create(deviceBlock, directory.inodeNumber);
    if (buffer === null) return fail('ENOMEM');
    this.state.checksums.writeDirectoryTail(buffer.bytes);
    directory.sizeBytes = (index + 1) * this.state.geometry.blockBytes;
    directory.markDirty();
    return succeed(buffer);
  }

  /** The part of a block that entries may take: all of it, or what the checksum's tail leaves. */
  roomOf(buffer: BlockBuffer): Uint8Array {
    const { checksums } = this.state;
    const { bytes } = buffer;
    if (!this.hasChecksum || !checksums.hasDirectoryTail(bytes)) return bytes;
    return bytes.subarray(0, checksums.directoryRoom(bytes.length));
  }

  /** A block of the directory has changed: seals it and makes it dirty. */
  changed(directory: ExtInode, buffer: BlockBuffer): void {
    const { checksums, cache } = this.state;
    if (this.hasChecksum) {
      const seed = directory.checksumSeed;
      if (checksums.hasDirectoryTail(buffer.bytes)) checksums.sealDirectory(buffer.bytes, seed);
      else checksums.sealIndex(buffer.bytes, countOffsetOf(buffer.bytes), seed);
    }
    cache.markDirty(buffer, directory.inodeNumber);
  }

  /** Something moved from here to a block that only this commit links: rule 2. */
  private thinned(directory: ExtInode, buffer: BlockBuffer): void {
    this.changed(directory, buffer);
    if (!buffer.isUnlinked) buffer.isThinned = true;
  }

  private verify(directory: ExtInode, buffer: BlockBuffer): void {
    if (!this.hasChecksum || buffer.isVerified) return;
    const { checksums } = this.state;
    const { bytes } = buffer;
    const seed = directory.checksumSeed;
    const name = `directory ${String(directory.inodeNumber)}`;
    const offset = checksums.hasDirectoryTail(bytes) ? 0 : countOffsetOf(bytes);
    if (offset < 0) {
      throw damaged(name, buffer.deviceBlock, 'tail', 'missing', 'a checksum behind the entries');
    }
    const isGood =
      offset === 0
        ? checksums.isDirectoryGood(bytes, seed)
        : checksums.isIndexGood(bytes, offset, seed);
    if (!isGood) {
      throw damaged(name, buffer.deviceBlock, 'checksum', 'wrong', 'that of the block’s bytes');
    }
    buffer.isVerified = true;
  }

  entriesOf(buffer: BlockBuffer): RawEntry[] {
    return readEntries(this.roomOf(buffer), buffer.deviceBlock, this.state.geometry);
  }

  // Looking up ------------------------------------------------------------------------------------

  /** ext4_find_entry: by hash where there is an index that can be followed, else through all blocks. */
  *find(directory: ExtInode, name: Uint8Array): Task<Result<Found>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    if ((directory.flags & INODE_FLAG.index) !== 0 && !isDots(name)) {
      const found = yield* this.findIndexed(directory, name);
      if (found !== null) return found;
    }
    const visited = new Set<number>();
    for (let index = 0; index < this.blockCount(directory); index++) {
      const buffer = yield* this.block(directory, index, visited);
      if (!buffer.ok) return buffer;
      const found = this.findIn(buffer.value, name);
      if (found !== null) return succeed(found);
    }
    return fail('ENOENT');
  }

  /** Looks in one pinned block, and lets it go where the name is not there. */
  private findIn(buffer: BlockBuffer, name: Uint8Array): Found | null {
    let found: Found | null = null;
    try {
      const entries = this.entriesOf(buffer);
      const entry = entries.find((one) => one.inodeNumber !== 0 && sameName(one.name, name));
      if (entry !== undefined) found = { buffer, entries, entry };
    } finally {
      if (found === null) this.state.cache.release(buffer);
    }
    return found;
  }

  /** Null: the index is of a kind that is not known here; the blocks still hold all names. */
  private *findIndexed(directory: ExtInode, name: Uint8Array): Task<Result<Found> | null> {
    const path = yield* this.walkIndex(directory, name);
    if (path === null) return null;
    if (!path.ok) return path;
    const { frames, hash } = path.value;
    try {
      for (;;) {
        const last = frames.at(-1) as Frame;
        const leaf = yield* this.block(directory, last.node.child(last.at), null);
        if (!leaf.ok) return leaf;
        const found = this.findIn(leaf.value, name);
        if (found !== null) return succeed(found);
        const next = yield* this.nextLeaf(directory, frames, hash);
        if (!next.ok) return next;
        if (!next.value) return fail('ENOENT');
      }
    } finally {
      this.releaseFrames(frames);
    }
  }

  /** ext4_htree_next_block: the next leaf, where the run of this hash goes on in it. */
  private *nextLeaf(directory: ExtInode, frames: Frame[], hash: number): Task<Result<boolean>> {
    let level = frames.length - 1;
    while (level >= 0) {
      const frame = frames[level] as Frame;
      if (++frame.at < frame.node.count) break;
      level--;
    }
    if (level < 0) return succeed(false);
    const frame = frames[level] as Frame;
    const start = frame.node.hash(frame.at);
    if ((start & 1) === 0 || (start & ~1) >>> 0 !== hash) return succeed(false);
    while (++level < frames.length) {
      const above = frames[level - 1] as Frame;
      const below = yield* this.nodeFrame(directory, above.node.child(above.at), 0);
      if (!below.ok) return below;
      this.state.cache.release((frames[level] as Frame).buffer);
      frames[level] = below.value;
    }
    return succeed(true);
  }

  /** dx_probe: the way to the leaf of a name. Null: an index of an unknown kind. */
  private *walkIndex(
    directory: ExtInode,
    name: Uint8Array,
  ): Task<Result<{ readonly frames: Frame[]; readonly hash: number }> | null> {
    const root = yield* this.block(directory, 0, null);
    if (!root.ok) return root;
    const frames: Frame[] = [];
    let isKept = false;
    try {
      const { bytes, deviceBlock } = root.value;
      const settings = this.settingsOf(bytes);
      const hash = settings === null ? null : hashName(name, settings);
      if (hash === null) {
        this.state.cache.release(root.value);
        return null;
      }
      const node = new IndexNode(bytes, ROOT_COUNT_OFFSET);
      const title = `index root of directory ${String(directory.inodeNumber)}`;
      frames.push({ buffer: root.value, node, at: 0 });
      node.check(title, deviceBlock, this.blockCount(directory), this.hasChecksum);
      (frames[0] as Frame).at = node.find(hash);
      for (let level = 0; level < rootLevels(bytes); level++) {
        const above = frames.at(-1) as Frame;
        const below = yield* this.nodeFrame(directory, above.node.child(above.at), hash);
        if (!below.ok) return below;
        frames.push(below.value);
      }
      isKept = true;
      return succeed({ frames, hash });
    } finally {
      if (!isKept) this.releaseFrames(frames);
    }
  }

  /** Null: not a root that this code can follow. */
  private settingsOf(root: Uint8Array): HashSettings | null {
    if (countOffsetOf(root) !== ROOT_COUNT_OFFSET) return null;
    const version = rootVersion(root);
    if (version > ROOT_VERSION_MAX || (rootFlags(root) & 1) !== 0) return null;
    if (rootLevels(root) > INDEX_LEVELS_MAX) return null;
    return { version: version + (this.isUnsigned ? HASH_UNSIGNED : 0), seed: this.seed };
  }

  private *nodeFrame(directory: ExtInode, index: number, hash: number): Task<Result<Frame>> {
    const buffer = yield* this.block(directory, index, null);
    if (!buffer.ok) return buffer;
    const { bytes, deviceBlock } = buffer.value;
    const title = `index node of directory ${String(directory.inodeNumber)}`;
    try {
      if (countOffsetOf(bytes) !== NODE_COUNT_OFFSET) {
        throw damaged(title, deviceBlock, 'rec_len', 'of an entry', 'the whole block');
      }
      const node = new IndexNode(bytes, NODE_COUNT_OFFSET);
      node.check(title, deviceBlock, this.blockCount(directory), this.hasChecksum);
      return succeed({ buffer: buffer.value, node, at: node.find(hash) });
    } catch (error) {
      this.state.cache.release(buffer.value);
      throw error;
    }
  }

  private releaseFrames(frames: Frame[]): void {
    for (const { buffer } of frames.splice(0)) this.state.cache.release(buffer);
  }

  // Adding ----------------------------------------------------------------------------------------

  /** ext4_add_entry: the caller has seen that the name is not there. */
  *insert(
    directory: ExtInode,
    name: Uint8Array,
    inodeNumber: number,
    kind: number,
  ): Task<Result<void>> {
    const added: NewName = { name, inodeNumber, kind };
    if ((directory.flags & INODE_FLAG.index) !== 0) {
      const done = this.usesIndex ? yield* this.insertIndexed(directory, added) : null;
      if (done !== null) return done;
      // Nodes have no room for the checksum that a block of entries needs.
      const detail = `the index of directory ${String(directory.inodeNumber)} is of an unknown kind`;
      if (this.hasChecksum) return fail('EUCLEAN', detail);
      directory.flags &= ~INODE_FLAG.index;
      directory.markDirty();
    }
    return yield* this.insertLinear(directory, added);
  }

  private *insertLinear(directory: ExtInode, added: NewName): Task<Result<void>> {
    const visited = new Set<number>();
    const count = this.blockCount(directory);
    for (let index = 0; index < count; index++) {
      const buffer = yield* this.block(directory, index, visited);
      if (!buffer.ok) return buffer;
      try {
        if (this.insertInto(directory, buffer.value, added)) return succeed(undefined);
      } finally {
        this.state.cache.release(buffer.value);
      }
    }
    if (count === 1 && this.usesIndex) {
      const indexed = yield* this.makeIndexed(directory);
      if (!indexed.ok) return indexed;
      if (indexed.value) {
        const done = yield* this.insertIndexed(directory, added);
        if (done !== null) return done;
      }
    }
    const buffer = yield* this.append(directory);
    if (!buffer.ok) return buffer;
    this.fill(directory, buffer.value, [added]);
    this.state.cache.release(buffer.value);
    return succeed(undefined);
  }

  private insertInto(directory: ExtInode, buffer: BlockBuffer, added: NewName): boolean {
    const { name, inodeNumber, kind } = added;
    const entries = this.entriesOf(buffer);
    const isIn = insertEntry(buffer.bytes, entries, name, inodeNumber, kind);
    if (isIn) this.changed(directory, buffer);
    return isIn;
  }

  /** Makes a block hold these names and no others. */
  private fill(directory: ExtInode, buffer: BlockBuffer, names: readonly NewName[]): void {
    const room = this.roomOf(buffer);
    room.fill(0);
    let at = 0;
    names.forEach(({ name, inodeNumber, kind }, index) => {
      const isLast = index === names.length - 1;
      const length = isLast ? room.length - at : entryBytes(name.length);
      writeEntry(room, at, length, inodeNumber, name, kind);
      at += length;
    });
    if (names.length === 0) writeEntry(room, 0, room.length, 0, new Uint8Array(0), 0);
    this.changed(directory, buffer);
  }

  /** make_indexed_dir: the names of the only block move to a leaf, and the block becomes the root. False: it begins with no dots. */
  private *makeIndexed(directory: ExtInode): Task<Result<boolean>> {
    const first = yield* this.block(directory, 0, null);
    if (!first.ok) return first;
    const { cache } = this.state;
    try {
      const entries = this.entriesOf(first.value);
      const [dot, dots] = entries;
      const isRegular = dot?.name.length === 1 && dot.length === 12 && dots?.name.length === 2;
      if (!isRegular || !isDots(dot.name) || !isDots(dots.name)) return succeed(false);
      const leaf = yield* this.append(directory);
      if (!leaf.ok) return leaf;
      this.fill(directory, leaf.value, namesOf(entries.slice(2)));
      cache.release(leaf.value);
      const version = Math.min(this.defaultVersion, ROOT_VERSION_MAX);
      IndexNode.makeRoot(first.value.bytes, version, 1, this.hasChecksum);
      this.thinned(directory, first.value);
      directory.flags |= INODE_FLAG.index;
      directory.markDirty();
      return succeed(true);
    } finally {
      cache.release(first.value);
    }
  }

  /** ext4_dx_add_entry. Null: an index of an unknown kind. */
  private *insertIndexed(directory: ExtInode, added: NewName): Task<Result<void> | null> {
    // Each round makes room at one level; a root, a node and a leaf are three.
    for (let round = 0; round <= INDEX_LEVELS_MAX + 2; round++) {
      const path = yield* this.walkIndex(directory, added.name);
      if (path === null) return null;
      if (!path.ok) return path;
      const { frames } = path.value;
      try {
        const done = yield* this.insertAtLeaf(directory, frames, added);
        if (!done.ok) return done;
        if (done.value) return succeed(undefined);
      } finally {
        this.releaseFrames(frames);
      }
    }
    return fail('ENOSPC', `the index of directory ${String(directory.inodeNumber)} is full`);
  }

  /** True: it is in. False: there is more room on the way now; look again. */
  private *insertAtLeaf(
    directory: ExtInode,
    frames: readonly Frame[],
    added: NewName,
  ): Task<Result<boolean>> {
    const last = frames.at(-1) as Frame;
    const leaf = yield* this.block(directory, last.node.child(last.at), null);
    if (!leaf.ok) return leaf;
    try {
      if (this.insertInto(directory, leaf.value, added)) return succeed(true);
      if (last.node.isFull) return yield* this.growIndex(directory, frames);
      return yield* this.splitLeaf(directory, frames, leaf.value);
    } finally {
      this.state.cache.release(leaf.value);
    }
  }

  /** do_split: half of a full leaf's names, those with the higher hashes, move to a new one. */
  private *splitLeaf(
    directory: ExtInode,
    frames: readonly Frame[],
    leaf: BlockBuffer,
  ): Task<Result<boolean>> {
    const root = (frames[0] as Frame).buffer.bytes;
    const settings = this.settingsOf(root);
    const sorted = this.entriesOf(leaf)
      .filter(({ inodeNumber }) => inodeNumber !== 0)
      .map((entry) => ({
        hash: settings === null ? 0 : (hashName(entry.name, settings) ?? 0),
        ...nameOf(entry),
      }))
      .sort((a, b) => a.hash - b.hash);
    const split = splitPoint(sorted, this.roomOf(leaf).length);
    if (split < 1 || split >= sorted.length) {
      return fail('EUCLEAN', `directory ${String(directory.inodeNumber)}: a leaf cannot be split`);
    }
    const fresh = yield* this.append(directory);
    if (!fresh.ok) return fresh;
    const upper = sorted.slice(split);
    this.fill(directory, fresh.value, upper);
    this.state.cache.release(fresh.value);
    const start = (upper[0] as { hash: number }).hash;
    const goesOn = sorted[split - 1]?.hash === start ? 1 : 0;
    const last = frames.at(-1) as Frame;
    last.node.insertAfter(last.at, start + goesOn, this.blockCount(directory) - 1);
    this.changed(directory, last.buffer);
    this.fill(directory, leaf, sorted.slice(0, split));
    this.thinned(directory, leaf);
    return succeed(false);
  }

  /** The lowest node of the way is full: splits it, or puts a level of nodes below a root that is full. */
  private *growIndex(directory: ExtInode, frames: readonly Frame[]): Task<Result<boolean>> {
    const root = frames[0] as Frame;
    const full = frames.at(-1) as Frame;
    const isRoot = full === root;
    if (!isRoot && root.node.isFull) {
      return fail('ENOSPC', `the index of directory ${String(directory.inodeNumber)} is full`);
    }
    const fresh = yield* this.append(directory);
    if (!fresh.ok) return fresh;
    const node = IndexNode.makeNode(fresh.value.bytes, this.hasChecksum);
    const child = this.blockCount(directory) - 1;
    const from = isRoot ? 0 : full.node.count >> 1;
    const start = full.node.hash(from);
    full.node.moveTo(node, from);
    this.changed(directory, fresh.value);
    this.state.cache.release(fresh.value);
    if (isRoot) {
      root.node.count = 1;
      root.node.setChild(0, child);
      setRootLevels(root.buffer.bytes, rootLevels(root.buffer.bytes) + 1);
    } else {
      root.node.insertAfter(root.at, start, child);
      this.thinned(directory, full.buffer);
    }
    this.changed(directory, root.buffer);
    return succeed(false);
  }
}

function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.length > 0 && name.every((byte) => byte === 0x2e);
}

function nameOf({ name, inodeNumber, kind }: RawEntry): NewName {
  return { name: name.slice(), inodeNumber, kind };
}
function namesOf(entries: readonly RawEntry[]): NewName[] {
  return entries.filter(({ inodeNumber }) => inodeNumber !== 0).map(nameOf);
}

/** How many of the sorted names stay: about half of the bytes go. */
function splitPoint(sorted: readonly NewName[], roomBytes: number): number {
  let moved = 0;
  let sizeBytes = 0;
  for (let index = sorted.length - 1; index > 0; index--) {
    const length = entryBytes((sorted[index] as NewName).name.length);
    if (moved > 0 && sizeBytes + length / 2 > roomBytes / 2) break;
    sizeBytes += length;
    moved++;
  }
  return sorted.length - moved;
}
