// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files mapped by a tree of extents (fs/ext4/extents.c): look up, allocate, convert, remove, walk. The nodes are drawn in extent-node.ts.
 *
 *   inode: root --index--> node --index--> leaf: extents in file order      depth 0: the root itself holds the extents
 *
 * Rules: 1. A look-up whose nodes are cached neither sleeps nor makes an object. 2. A node from the disk is checked before it is used,
 * its checksum, its header and every entry, once while it is cached; what is damaged answers -EUCLEAN, and its block is named in the
 * list of damage. 3. Functions that end in `Now` never sleep and change nothing that shows unless they succeed: `NEEDS_BLOCK` says
 * that `cache.missingBlock` has to be loaded first. 4. A node that the disk's tree has is never changed in place: the first change
 * after a commit moves it to a new block, and its index with it, up to the root in the inode's record. So the record alone switches from
 * one whole tree to the next (commit.ts); the old blocks go to `pendingFrees`. Only where the disk is full and nothing is split is a
 * node changed where it lies. 5. What extents lose goes to `pendingFrees`, too.
 */
import { ERRNO, MAP_FLAG, type KernelReturn, type Task } from '../../base/index.ts';
import type { BlockBuffer, BlockMapping } from '../../vfs/index.ts';
import { NEEDS_BLOCK, type Allocator } from './allocator.ts';
import {
  canJoin,
  childOf,
  entriesPerBlock,
  entryAt,
  ENTRY_WORDS,
  entryCount,
  EXTENT_DEPTH_MAX,
  FILE_BLOCKS_MAX,
  findEntry,
  keyOf,
  nodeDepth,
  nodeProblem,
  readExtent,
  ROOT_ENTRIES,
  setChild,
  setEntryCount,
  UNWRITTEN_BLOCKS_MAX,
  writeExtent,
  WRITTEN_BLOCKS_MAX,
  writeHeader,
  type Extent,
} from './extent-node.ts';
import type { BlockVisitor } from './block-map.ts';
import type { ExtInode } from './inode.ts';
import { noteDamage, type ExtState } from './state.ts';

const newExtent = (): Extent => ({ fileBlock: 0, count: 0, deviceBlock: 0, isUnwritten: false });
const LEVELS = EXTENT_DEPTH_MAX + 2;

/** Most entries that one change puts in the place of others. */
const FRESH_MAX = 3;

export class ExtentTree {
  private readonly sectorsPerBlock: number;
  private readonly room: number;
  // The path of the last look-up; valid until the next call.
  private depth = 0;
  private readonly nodes: Uint32Array[] = [];
  private readonly buffers: (BlockBuffer | null)[] = [];
  private readonly indexes = new Int32Array(LEVELS);
  /** File blocks below node `level` lie in keys[level]..ends[level] - 1. */
  private readonly keys = new Float64Array(LEVELS);
  private readonly ends = new Float64Array(LEVELS);
  /** The extent at or before the block that was looked up, where `indexes[depth]` is 0 or more. */
  private readonly found = newExtent();
  // What a change puts into a node.
  private readonly fresh: Extent[] = Array.from({ length: FRESH_MAX }, newExtent);
  private freshCount = 0;
  private readonly freshWords = new Uint32Array(FRESH_MAX * ENTRY_WORDS);
  private readonly neighbour = newExtent();
  private readonly spare: BlockBuffer[] = [];
  private readonly combined: Uint32Array;

  constructor(
    private readonly state: ExtState,
    private readonly allocator: Allocator,
  ) {
    const { blockBytes } = state.geometry;
    this.sectorsPerBlock = blockBytes / 512;
    this.room = entriesPerBlock(blockBytes);
    this.combined = new Uint32Array((this.room + FRESH_MAX) * ENTRY_WORDS);
  }

  /** An empty tree in a new inode. */
  makeEmpty(inode: ExtInode): void {
    inode.pointers.fill(0);
    writeHeader(inode.pointers, 0, ROOT_ENTRIES, 0);
    inode.isRootChecked = true;
  }

  // Look-up ---------------------------------------------------------------------------------------

  /** Fills the path to where `fileBlock` is or would be. 0, `NEEDS_BLOCK` or -EUCLEAN. */
  private findNow(inode: ExtInode, fileBlock: number): KernelReturn {
    if (!inode.isRootChecked && !this.checkRoot(inode)) return -ERRNO.EUCLEAN;
    const { nodes, buffers, indexes, keys, ends } = this;
    const { cache } = this.state;
    let words: Uint32Array = inode.pointers;
    nodes[0] = words;
    buffers[0] = null;
    keys[0] = 0;
    ends[0] = FILE_BLOCKS_MAX;
    const depth = nodeDepth(words);
    for (let level = 0; level < depth; level++) {
      const index = Math.max(0, findEntry(words, fileBlock));
      indexes[level] = index;
      const buffer = cache.peek(childOf(words, index));
      if (buffer === null) return NEEDS_BLOCK;
      const below = level + 1;
      keys[below] = keyOf(words, index);
      ends[below] =
        index + 1 < entryCount(words) ? keyOf(words, index + 1) : (ends[level] as number);
      if (!buffer.isVerified && !this.checkNode(inode, buffer, depth - below, below)) {
        return -ERRNO.EUCLEAN;
      }
      words = buffer.words;
      nodes[below] = words;
      buffers[below] = buffer;
    }
    this.depth = depth;
    const at = findEntry(words, fileBlock);
    indexes[depth] = at;
    if (at >= 0) readExtent(words, at, this.found);
    return 0;
  }

  private checkRoot(inode: ExtInode): boolean {
    const depth = nodeDepth(inode.pointers);
    const { geometry, groups } = this.state;
    const expected = { geometry, groups, room: ROOT_ENTRIES, from: 0, to: FILE_BLOCKS_MAX };
    let problem = depth > EXTENT_DEPTH_MAX ? `eh_depth is ${String(depth)}` : null;
    problem ??= nodeProblem(inode.pointers, { ...expected, depth });
    if (problem === null && depth > 0 && entryCount(inode.pointers) === 0) {
      problem = 'eh_entries is 0';
    }
    if (problem !== null) {
      noteDamage(this.state, `extents of inode ${String(inode.inodeNumber)}: ${problem}`);
    }
    inode.isRootChecked = problem === null;
    return inode.isRootChecked;
  }

  /** Rule 2, for a node below the root. */
  private checkNode(inode: ExtInode, buffer: BlockBuffer, depth: number, level: number): boolean {
    const from = this.keys[level] as number;
    const to = this.ends[level] as number;
    const problem = this.problemOf(inode, buffer, depth, from, to);
    buffer.isVerified = problem === null;
    if (problem === null) return true;
    const where = `extent block ${String(buffer.deviceBlock)} of inode ${String(inode.inodeNumber)}`;
    noteDamage(this.state, `${where}: ${problem}`);
    return false;
  }

  private problemOf(
    inode: ExtInode,
    buffer: BlockBuffer,
    depth: number,
    from: number,
    to: number,
  ): string | null {
    const { geometry, groups, checksums } = this.state;
    if (!checksums.isExtentsGood(buffer.bytes, inode.checksumSeed)) return 'wrong checksum';
    const expected = { geometry, groups, room: this.room, depth, from, to };
    const problem = nodeProblem(buffer.words, expected);
    if (problem !== null) return problem;
    return entryCount(buffer.words) === 0 ? 'eh_entries is 0' : null;
  }

  /** The block after `found` up to which there is nothing else. */
  private nextKey(): number {
    const { depth } = this;
    const words = this.nodes[depth] as Uint32Array;
    const next = (this.indexes[depth] as number) + 1;
    return next < entryCount(words) ? keyOf(words, next) : (this.ends[depth] as number);
  }

  /** True where the look-up found the block inside an extent. */
  private isInside(fileBlock: number): boolean {
    return (
      (this.indexes[this.depth] as number) >= 0 &&
      fileBlock < this.found.fileBlock + this.found.count
    );
  }

  /**
   * ext4_map_blocks. A hole: nothing is set; unwritten and not `create`: the unwritten flag alone, so that it reads as zeros.
   * `unwritten`: what is allocated, or is unwritten already, stays so; else it counts as written at once, and is new.
   */
  get(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    create: boolean,
    unwritten: boolean,
  ): KernelReturn | Task<KernelReturn> {
    if (fileBlock < 0 || fileBlock >= FILE_BLOCKS_MAX) return -ERRNO.EFBIG;
    const result = this.getNow(inode, fileBlock, mapping, create, unwritten);
    if (result !== NEEDS_BLOCK) return result;
    return this.retry(() => this.getNow(inode, fileBlock, mapping, create, unwritten));
  }

  private getNow(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    create: boolean,
    unwritten: boolean,
  ): KernelReturn {
    const status = this.findNow(inode, fileBlock);
    if (status !== 0) return status;
    const { found } = this;
    const isInside = this.isInside(fileBlock);
    if (isInside && (!found.isUnwritten || !create)) {
      const skipped = fileBlock - found.fileBlock;
      const count = Math.min(this.askedBlocks(mapping), found.count - skipped);
      const flags = found.isUnwritten ? MAP_FLAG.unwritten : MAP_FLAG.mapped;
      this.answer(mapping, found.deviceBlock + skipped, count, flags);
      return 0;
    }
    if (!create) return 0;
    if (isInside) return this.useUnwrittenNow(inode, fileBlock, mapping, unwritten);
    return this.allocateNow(inode, fileBlock, mapping, unwritten);
  }

  private askedBlocks(mapping: BlockMapping): number {
    return Math.max(1, Math.floor(mapping.lengthBytes / this.state.geometry.blockBytes));
  }

  private answer(mapping: BlockMapping, deviceBlock: number, count: number, flags: number): void {
    mapping.flags |= flags;
    mapping.deviceBlock = deviceBlock;
    mapping.lengthBytes = count * this.state.geometry.blockBytes;
    mapping.device = this.state.device;
  }

  /** Runs `attempt` until it needs nothing that is not cached. */
  private *retry(attempt: () => KernelReturn): Task<KernelReturn> {
    const { cache } = this.state;
    const pinned: BlockBuffer[] = [];
    try {
      for (;;) {
        const result = attempt();
        if (result !== NEEDS_BLOCK) return result;
        const buffer = yield* cache.load(cache.missingBlock);
        if (typeof buffer === 'number') return buffer;
        pinned.push(buffer);
      }
    } finally {
      for (const buffer of pinned) cache.release(buffer);
    }
  }

  // Allocation and conversion ---------------------------------------------------------------------

  /** After `findNow` met a hole: a run of blocks becomes an extent, or a part of a neighbour. */
  private allocateNow(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    unwritten: boolean,
  ): KernelReturn {
    const most = unwritten ? UNWRITTEN_BLOCKS_MAX : WRITTEN_BLOCKS_MAX;
    const wanted = Math.min(this.askedBlocks(mapping), this.nextKey() - fileBlock, most);
    const count = this.allocator.takeRunNow(this.findGoal(inode, fileBlock), wanted);
    if (count < 0) return count;
    const start = this.allocator.runStart;
    this.setFresh(0, fileBlock, count, start, unwritten);
    this.freshCount = 1;
    const status = this.replaceNow(inode, (this.indexes[this.depth] as number) + 1, 0, true);
    if (status !== 0) {
      this.allocator.returnRunNow(start, count);
      return status;
    }
    inode.lastLogicalBlock = fileBlock + count - 1;
    inode.lastDeviceBlock = start + count - 1;
    inode.sectorCount += count * this.sectorsPerBlock;
    const flags = MAP_FLAG.mapped | MAP_FLAG.new;
    this.answer(mapping, start, count, unwritten ? flags | MAP_FLAG.unwritten : flags);
    return 0;
  }

  /** ext4_ext_find_goal: where the file would go on, before its next extent, or near its inode. */
  private findGoal(inode: ExtInode, fileBlock: number): number {
    if (fileBlock === inode.lastLogicalBlock + 1 && inode.lastDeviceBlock !== 0) {
      return inode.lastDeviceBlock + 1;
    }
    if ((this.indexes[this.depth] as number) >= 0) {
      return this.found.deviceBlock + (fileBlock - this.found.fileBlock);
    }
    const { groups } = this.state;
    const group = groups.groupOfInode(inode.inodeNumber);
    const first = groups.firstBlock(group);
    // Files that grow side by side begin apart; the first part of the group is left to metadata and folders.
    const part = Math.floor(groups.blocksIn(group) / 16);
    return inode.kind === 'directory' ? first : first + ((inode.inodeNumber % 15) + 1) * part;
  }

  /** A write meets an unwritten extent: it is converted now, or cut to what is written so that the end of the write can convert it. */
  private useUnwrittenNow(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    unwritten: boolean,
  ): KernelReturn {
    const { found } = this;
    const to = Math.min(fileBlock + this.askedBlocks(mapping), found.fileBlock + found.count);
    const deviceBlock = found.deviceBlock + (fileBlock - found.fileBlock);
    if (!unwritten || fileBlock !== found.fileBlock || to !== found.fileBlock + found.count) {
      const status = this.cutNow(inode, fileBlock, to, unwritten, !unwritten);
      if (status !== 0) return status;
    }
    // New: what surrounds the written part of a block is not what the disk holds.
    const flags = MAP_FLAG.mapped | MAP_FLAG.new;
    const all = unwritten ? flags | MAP_FLAG.unwritten : flags;
    this.answer(mapping, deviceBlock, to - fileBlock, all);
    return 0;
  }

  /** After `findNow`: the part `from`..`to` - 1 of the extent found becomes an extent of its own, written or not. */
  private cutNow(
    inode: ExtInode,
    from: number,
    to: number,
    isUnwritten: boolean,
    joins: boolean,
  ): KernelReturn {
    this.takeFreshAround(from, to);
    // Room for the middle one between what is left and right of it.
    const left = from > this.found.fileBlock ? 1 : 0;
    for (let index = this.freshCount; index > left; index--) {
      Object.assign(this.fresh[index] as Extent, this.fresh[index - 1]);
    }
    this.freshCount++;
    const start = this.found.deviceBlock + (from - this.found.fileBlock);
    this.setFresh(left, from, to - from, start, isUnwritten);
    return this.replaceNow(inode, this.indexes[this.depth] as number, 1, joins);
  }

  /** `fresh`: what is left of the extent found without `from`..`to` - 1. */
  private takeFreshAround(from: number, to: number): void {
    const { fileBlock, count, deviceBlock, isUnwritten } = this.found;
    const end = fileBlock + count;
    this.freshCount = 0;
    if (from > fileBlock) {
      this.setFresh(this.freshCount++, fileBlock, from - fileBlock, deviceBlock, isUnwritten);
    }
    if (to < end) {
      const start = deviceBlock + (to - fileBlock);
      this.setFresh(this.freshCount++, to, end - to, start, isUnwritten);
    }
  }

  private setFresh(
    index: number,
    fileBlock: number,
    count: number,
    deviceBlock: number,
    isUnwritten: boolean,
  ): void {
    const extent = this.fresh[index] as Extent;
    extent.fileBlock = fileBlock;
    extent.count = count;
    extent.deviceBlock = deviceBlock;
    extent.isUnwritten = isUnwritten;
  }

  /**
   * ext4_convert_unwritten_extents, and back: every block of `from`..`to` - 1 that has its place is written, or unwritten, from now on.
   * Holes stay. 0 or minus an errno.
   */
  convert(
    inode: ExtInode,
    from: number,
    to: number,
    isUnwritten: boolean,
  ): KernelReturn | Task<KernelReturn> {
    const progress = { next: from };
    const attempt = (): KernelReturn => this.convertNow(inode, progress, to, isUnwritten);
    const result = attempt();
    return result === NEEDS_BLOCK ? this.retry(attempt) : result;
  }

  private convertNow(
    inode: ExtInode,
    progress: { next: number },
    to: number,
    isUnwritten: boolean,
  ): KernelReturn {
    while (progress.next < to) {
      const from = progress.next;
      const status = this.findNow(inode, from);
      if (status !== 0) return status;
      if (!this.isInside(from)) {
        progress.next = this.nextKey();
        continue;
      }
      const { found } = this;
      let end = Math.min(to, found.fileBlock + found.count);
      if (found.isUnwritten !== isUnwritten) {
        if (isUnwritten) end = Math.min(end, from + UNWRITTEN_BLOCKS_MAX);
        const cut = this.cutNow(inode, from, end, isUnwritten, true);
        if (cut !== 0) return cut;
      }
      progress.next = end;
    }
    return 0;
  }

  // Changing nodes --------------------------------------------------------------------------------

  /**
   * `removed` entries of the leaf found, from `index` on, give way to `fresh`; neighbours that fit are joined where `joins`. Splits,
   * grows and shrinks the tree as needed. 0, `NEEDS_BLOCK` or minus an errno, then nothing has changed.
   */
  private replaceNow(
    inode: ExtInode,
    index: number,
    removed: number,
    joins: boolean,
  ): KernelReturn {
    let at = index;
    let gone = removed;
    const words = this.nodes[this.depth] as Uint32Array;
    if (joins && this.freshCount > 0) {
      this.joinFresh();
      const first = this.fresh[0] as Extent;
      if (at > 0) {
        readExtent(words, at - 1, this.neighbour);
        if (canJoin(this.neighbour, first)) {
          first.fileBlock = this.neighbour.fileBlock;
          first.deviceBlock = this.neighbour.deviceBlock;
          first.count += this.neighbour.count;
          at--;
          gone++;
        }
      }
      const last = this.fresh[this.freshCount - 1] as Extent;
      if (at + gone < entryCount(words)) {
        readExtent(words, at + gone, this.neighbour);
        if (canJoin(last, this.neighbour)) {
          last.count += this.neighbour.count;
          gone++;
        }
      }
    }
    const status = this.prepareNow(inode, this.freshCount - gone);
    if (status !== 0) return status;
    for (let each = 0; each < this.freshCount; each++) {
      writeExtent(this.freshWords, each * ENTRY_WORDS, this.fresh[each] as Extent);
    }
    this.splice(inode, this.depth, at, gone, this.freshCount);
    inode.markDirty();
    return 0;
  }

  private joinFresh(): void {
    for (let each = this.freshCount - 1; each > 0; each--) {
      const before = this.fresh[each - 1] as Extent;
      const extent = this.fresh[each] as Extent;
      if (!canJoin(before, extent)) continue;
      before.count += extent.count;
      for (let next = each; next + 1 < this.freshCount; next++) {
        Object.assign(this.fresh[next] as Extent, this.fresh[next + 1]);
      }
      this.freshCount--;
    }
  }

  private roomAt(level: number): number {
    return level === 0 ? ROOT_ENTRIES : this.room;
  }

  /** Makes the path one that may be changed, with spare blocks for the splits that `added` more entries in the leaf bring. */
  private prepareNow(inode: ExtInode, added: number): KernelReturn {
    let moves = 0;
    let splits = 0;
    let carried = Math.max(0, added);
    for (let level = this.depth; level >= 1; level--) {
      if (!(this.buffers[level] as BlockBuffer).isUnlinked) moves++;
      const count = entryCount(this.nodes[level] as Uint32Array);
      if (carried > 0 && count + carried > this.room) {
        splits++;
        carried = 1;
      } else carried = 0;
    }
    const grows = carried > 0 && entryCount(inode.pointers) + carried > ROOT_ENTRIES;
    if (grows) splits++;
    if (grows && this.depth >= EXTENT_DEPTH_MAX) return -ERRNO.EFBIG;
    if (moves + splits === 0) return 0;
    const status = this.takeSpareNow(inode, moves + splits);
    // Rule 4: a full disk must not keep a file from getting smaller, nor written data from counting.
    if (status === -ERRNO.ENOSPC && splits === 0) return 0;
    if (status !== 0) return status;
    for (let level = 1; level <= this.depth; level++) this.move(inode, level);
    if (grows) this.grow(inode);
    return 0;
  }

  private takeSpareNow(inode: ExtInode, count: number): KernelReturn {
    const { cache, groups } = this.state;
    const { spare } = this;
    const old = this.buffers[this.depth];
    const goal =
      this.depth > 0 && old !== null && old !== undefined
        ? old.deviceBlock
        : groups.firstBlock(groups.groupOfInode(inode.inodeNumber));
    let status = 0;
    while (spare.length < count && status === 0) {
      const taken = this.allocator.takeRunNow(goal, 1);
      if (taken < 0) {
        status = taken;
        break;
      }
      const block = this.allocator.runStart;
      const buffer = cache.create(block, inode.inodeNumber);
      if (buffer === null) {
        this.allocator.returnRunNow(block, 1);
        status = -ERRNO.ENOMEM;
      } else {
        cache.release(buffer);
        spare.push(buffer);
      }
    }
    if (status === 0) return 0;
    for (const buffer of spare.splice(0)) {
      cache.forget(buffer.deviceBlock);
      this.allocator.returnRunNow(buffer.deviceBlock, 1);
    }
    return status;
  }

  /** Rule 4: a node that the disk knows goes on in a new block. Its parent may be changed already. */
  private move(inode: ExtInode, level: number): void {
    const old = this.buffers[level] as BlockBuffer;
    if (old.isUnlinked) return;
    const next = this.spare.pop() as BlockBuffer;
    next.bytes.set(old.bytes);
    setChild(
      this.nodes[level - 1] as Uint32Array,
      this.indexes[level - 1] as number,
      next.deviceBlock,
    );
    this.changed(inode, level - 1);
    this.buffers[level] = next;
    this.nodes[level] = next.words;
    this.changed(inode, level);
    inode.addPendingFree(old.deviceBlock, 1);
    this.state.cache.forget(old.deviceBlock);
  }

  /** ext4_ext_grow_indepth: the root's entries go to a block of their own, which becomes the root's only child. */
  private grow(inode: ExtInode): void {
    const child = this.spare.pop() as BlockBuffer;
    const root = inode.pointers;
    const depth = this.depth;
    child.words.set(root);
    writeHeader(child.words, entryCount(root), this.room, depth);
    const key = keyOf(root, 0);
    writeHeader(root, 1, ROOT_ENTRIES, depth + 1);
    root.fill(0, entryAt(0));
    root[entryAt(0)] = key;
    setChild(root, 0, child.deviceBlock);
    for (let level = depth; level >= 0; level--) {
      this.nodes[level + 1] = this.nodes[level] as Uint32Array;
      this.buffers[level + 1] = this.buffers[level] as BlockBuffer | null;
      this.indexes[level + 1] = this.indexes[level] as number;
    }
    this.nodes[1] = child.words;
    this.buffers[1] = child;
    this.indexes[0] = 0;
    this.depth = depth + 1;
    inode.sectorCount += this.sectorsPerBlock;
    this.changed(inode, 1);
  }

  /** A node has changed: seals it and makes it dirty. */
  private changed(inode: ExtInode, level: number): void {
    const buffer = this.buffers[level];
    if (level === 0 || buffer === null || buffer === undefined) return;
    this.state.checksums.sealExtents(buffer.bytes, inode.checksumSeed);
    this.state.cache.markDirty(buffer, inode.inodeNumber);
  }

  /** Entries `at`..`at + removed - 1` of a node that may be changed give way to `added` ones of `freshWords`. */
  private splice(inode: ExtInode, level: number, at: number, removed: number, added: number): void {
    const words = this.nodes[level] as Uint32Array;
    const count = entryCount(words);
    const total = count - removed + added;
    if (total > this.roomAt(level)) {
      this.split(inode, level, at, removed, added);
      return;
    }
    words.copyWithin(entryAt(at + added), entryAt(at + removed), entryAt(count));
    for (let word = 0; word < added * ENTRY_WORDS; word++) {
      words[entryAt(at) + word] = this.freshWords[word] as number;
    }
    if (total < count) words.fill(0, entryAt(total), entryAt(count));
    setEntryCount(words, total);
    if (total === 0) {
      this.dropNode(inode, level);
      return;
    }
    this.changed(inode, level);
    if (at === 0) this.correctKeys(inode, level);
  }

  /** ext4_ext_split of one level: what no longer fits goes to a new node on the right; at the end of the file that is the new entry alone. */
  private split(inode: ExtInode, level: number, at: number, removed: number, added: number): void {
    const words = this.nodes[level] as Uint32Array;
    const { combined, freshWords } = this;
    const count = entryCount(words);
    const total = count - removed + added;
    combined.set(words.subarray(entryAt(0), entryAt(at)));
    combined.set(freshWords.subarray(0, added * ENTRY_WORDS), at * ENTRY_WORDS);
    const rest = words.subarray(entryAt(at + removed), entryAt(count));
    combined.set(rest, (at + added) * ENTRY_WORDS);
    const leftCount = at + removed === count ? this.room : Math.ceil(total / 2);
    const right = this.spare.pop() as BlockBuffer;
    writeHeader(right.words, total - leftCount, this.room, nodeDepth(words));
    right.words.set(combined.subarray(leftCount * ENTRY_WORDS, total * ENTRY_WORDS), entryAt(0));
    this.state.checksums.sealExtents(right.bytes, inode.checksumSeed);
    words.set(combined.subarray(0, leftCount * ENTRY_WORDS), entryAt(0));
    words.fill(0, entryAt(leftCount), entryAt(this.room));
    setEntryCount(words, leftCount);
    inode.sectorCount += this.sectorsPerBlock;
    this.changed(inode, level);
    if (at === 0) this.correctKeys(inode, level);
    freshWords[0] = keyOf(right.words, 0);
    freshWords[1] = right.deviceBlock >>> 0;
    freshWords[2] = Math.floor(right.deviceBlock / 2 ** 32);
    this.splice(inode, level - 1, (this.indexes[level - 1] as number) + 1, 0, 1);
  }

  /** A node without entries goes, and its index; the root becomes an empty leaf. */
  private dropNode(inode: ExtInode, level: number): void {
    if (level === 0) {
      writeHeader(inode.pointers, 0, ROOT_ENTRIES, 0);
      return;
    }
    this.dropBlock(inode, (this.buffers[level] as BlockBuffer).deviceBlock);
    this.splice(inode, level - 1, this.indexes[level - 1] as number, 1, 0);
  }

  private dropBlock(inode: ExtInode, deviceBlock: number): void {
    this.state.cache.forget(deviceBlock);
    inode.sectorCount = Math.max(0, inode.sectorCount - this.sectorsPerBlock);
    inode.addPendingFree(deviceBlock, 1);
  }

  /** ext4_ext_correct_indexes: the first entry of a node has changed, and its indexes follow. */
  private correctKeys(inode: ExtInode, level: number): void {
    for (let below = level; below > 0; below--) {
      const key = keyOf(this.nodes[below] as Uint32Array, 0);
      const parent = this.nodes[below - 1] as Uint32Array;
      const index = this.indexes[below - 1] as number;
      if (keyOf(parent, index) === key) return;
      parent[entryAt(index)] = key;
      this.changed(inode, below - 1);
      if (index > 0) return;
    }
  }

  // Removing --------------------------------------------------------------------------------------

  /** ext4_ext_remove_space: `from`..`to` - 1 become a hole; the caller keeps writers and direct I/O away. 0 or minus an errno. */
  *remove(inode: ExtInode, from: number, to: number): Task<KernelReturn> {
    inode.lastLogicalBlock = -1;
    inode.lastDeviceBlock = 0;
    if (from === 0 && to >= FILE_BLOCKS_MAX) return yield* this.removeAll(inode);
    const progress = { end: Math.min(to, FILE_BLOCKS_MAX) };
    return yield* this.retry(() => this.removeNow(inode, from, progress));
  }

  /** From the end on, an extent at a time, so that entries seldom move. */
  private removeNow(inode: ExtInode, from: number, progress: { end: number }): KernelReturn {
    while (progress.end > from) {
      const status = this.findNow(inode, progress.end - 1);
      if (status !== 0) return status;
      const { found, depth } = this;
      if ((this.indexes[depth] as number) < 0) {
        // Nothing in this leaf; the one before it ends where this one's range begins.
        progress.end = Math.min(progress.end - 1, this.keys[depth] as number);
        continue;
      }
      const foundEnd = found.fileBlock + found.count;
      if (foundEnd <= from) return 0;
      const cutFrom = Math.max(from, found.fileBlock);
      const cutTo = Math.min(progress.end, foundEnd);
      const start = found.deviceBlock + (cutFrom - found.fileBlock);
      if (cutTo > cutFrom) {
        this.takeFreshAround(cutFrom, cutTo);
        const replaced = this.replaceNow(inode, this.indexes[depth] as number, 1, false);
        if (replaced !== 0) return replaced;
        this.dropRun(inode, start, cutTo - cutFrom);
      }
      progress.end = cutFrom;
    }
    return 0;
  }

  private dropRun(inode: ExtInode, deviceBlock: number, count: number): void {
    inode.sectorCount = Math.max(0, inode.sectorCount - count * this.sectorsPerBlock);
    if (inode.kind === 'directory') {
      for (let block = deviceBlock; block < deviceBlock + count; block++) {
        this.state.cache.forget(block);
      }
    }
    inode.addPendingFree(deviceBlock, count);
  }

  /** Everything goes: needs no block, and no node is written again. */
  private *removeAll(inode: ExtInode): Task<KernelReturn> {
    const nodes: number[] = [];
    const runs: number[] = [];
    const status = yield* this.walk(inode, {
      data: (_fileBlock, deviceBlock, count) => {
        runs.push(deviceBlock, count);
      },
      indirect: (deviceBlock) => {
        nodes.push(deviceBlock);
        return true;
      },
    });
    if (status < 0) return status;
    for (let at = 0; at < runs.length; at += 2) {
      this.dropRun(inode, runs[at] as number, runs[at + 1] as number);
    }
    for (const deviceBlock of nodes) this.dropBlock(inode, deviceBlock);
    this.makeEmpty(inode);
    inode.markDirty();
    return 0;
  }

  // Walking ---------------------------------------------------------------------------------------

  /** Visits every extent and node of the file in order. 0, or -EUCLEAN at the first node that cannot be. */
  *walk(inode: ExtInode, visitor: BlockVisitor): Task<KernelReturn> {
    if (!inode.isRootChecked && !this.checkRoot(inode)) return -ERRNO.EUCLEAN;
    return yield* this.walkNode(inode, inode.pointers, 0, FILE_BLOCKS_MAX, visitor);
  }

  private *walkNode(
    inode: ExtInode,
    words: Uint32Array,
    from: number,
    to: number,
    visitor: BlockVisitor,
  ): Task<KernelReturn> {
    const { cache } = this.state;
    const depth = nodeDepth(words);
    const extent = newExtent();
    for (let index = 0; index < entryCount(words); index++) {
      if (depth === 0) {
        readExtent(words, index, extent);
        visitor.data(extent.fileBlock, extent.deviceBlock, extent.count, extent.isUnwritten);
        continue;
      }
      const child = childOf(words, index);
      if (!visitor.indirect(child, depth)) continue;
      const key = Math.max(from, keyOf(words, index));
      const end = index + 1 < entryCount(words) ? keyOf(words, index + 1) : to;
      const buffer = yield* cache.load(child);
      if (typeof buffer === 'number') return buffer;
      const problem = this.problemOf(inode, buffer, depth - 1, key, end);
      let status = problem === null ? 0 : -ERRNO.EUCLEAN;
      if (problem === null) {
        buffer.isVerified = true;
        status = yield* this.walkNode(inode, buffer.words, key, end, visitor);
      } else {
        const where = `extent block ${String(child)} of inode ${String(inode.inodeNumber)}`;
        noteDamage(this.state, `${where}: ${problem}`);
      }
      cache.release(buffer);
      if (status < 0) return status;
    }
    return 0;
  }
}
