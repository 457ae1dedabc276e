// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files mapped by indirect blocks (fs/ext2/inode.c): look up, allocate, truncate, walk.
 *
 *   pointers[0..11] -> data      [12] -> indirect -> data      [13] -> double -> indirect -> data      [14] -> triple -> ...
 *
 * Rules: 1. A look-up whose indirect blocks are cached neither sleeps nor makes an object. 2. An answer never crosses the end of an
 * indirect block; one that reaches it carries the boundary flag, since the next block's place takes a metadata read. 3. Every pointer
 * from the disk is checked to lie inside the image before it is used; what is damaged answers -EUCLEAN. 4. Blocks that a file loses
 * go to its `pendingFrees`; the commit frees them.
 */
import { ERRNO, MAP_FLAG, type KernelReturn, type MaybeTask, type Task } from '../../base/index.ts';
import type { BlockBuffer, BlockMapping } from '../../vfs/index.ts';
import { NEEDS_BLOCK, type Allocator } from './allocator.ts';
import type { BlockVisitor } from './block-map.ts';
import type { ExtInode } from './inode.ts';
import { DIRECT_POINTERS } from './layout.ts';
import { noteDamage, type ExtState } from './state.ts';

export class IndirectMap {
  private readonly pointerBits: number;
  private readonly pointersPerBlock: number;
  private readonly sectorsPerBlock: number;
  // The last path that was walked; valid until the next call.
  private depth = 0;
  private readonly offsets = new Int32Array(4);
  private blocksToBoundary = 0;
  /** Level at which the path ended in a zero pointer, and the words and block that hold it. */
  private holeLevel = 0;
  private holeWords: Uint32Array = new Uint32Array(0);
  private holeBuffer: BlockBuffer | null = null;

  constructor(
    private readonly state: ExtState,
    private readonly allocator: Allocator,
  ) {
    const { blockBits, blockBytes } = state.geometry;
    this.pointerBits = blockBits - 2;
    this.pointersPerBlock = blockBytes / 4;
    this.sectorsPerBlock = blockBytes / 512;
  }

  /** ext2_get_block */
  get(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    create: boolean,
  ): MaybeTask<KernelReturn> {
    const result = this.mapNow(inode, fileBlock, mapping);
    if (result !== NEEDS_BLOCK && (!create || result !== 0 || (mapping.flags & 1) !== 0)) {
      return result;
    }
    if (!create) return this.mapSlowly(inode, fileBlock, mapping);
    if (result === 0) {
      const allocated = this.allocateNow(inode, fileBlock, mapping);
      if (allocated !== NEEDS_BLOCK) return allocated;
    }
    return this.allocateSlowly(inode, fileBlock, mapping);
  }

  /** Largest file in bytes that pointers and the 32-bit sector count allow (ext2_max_size). */
  sizeBytesMax(): number {
    const { blockBytes } = this.state.geometry;
    const each = this.pointersPerBlock;
    const all = DIRECT_POINTERS + each + each ** 2 + each ** 3;
    const limit = Math.floor((2 ** 32 - 1) / this.sectorsPerBlock);
    const withMetadata = (data: number): number => {
      const single = Math.min(1, data - DIRECT_POINTERS);
      const double = Math.max(0, Math.min(each ** 2, data - DIRECT_POINTERS - each));
      const triple = Math.max(0, data - DIRECT_POINTERS - each - each ** 2);
      const doubleBlocks = double === 0 ? 0 : 1 + Math.ceil(double / each);
      const tripleBlocks =
        triple === 0 ? 0 : 1 + Math.ceil(triple / each ** 2) + Math.ceil(triple / each);
      return data + single + doubleBlocks + tripleBlocks;
    };
    let low = DIRECT_POINTERS;
    let high = all;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (withMetadata(middle) <= limit) low = middle;
      else high = middle - 1;
    }
    return low * blockBytes;
  }

  private isBlock(pointer: number): boolean {
    const { firstDataBlock, blocksCount } = this.state.geometry;
    return pointer > firstDataBlock && pointer < blocksCount;
  }

  /** ext2_block_to_path: fills `offsets`, `depth` and `blocksToBoundary`. False: beyond the largest file. */
  private findPath(fileBlock: number): boolean {
    const { offsets, pointerBits, pointersPerBlock: each } = this;
    const mask = each - 1;
    let rest = fileBlock;
    if (rest < DIRECT_POINTERS) {
      this.depth = 1;
      offsets[0] = rest;
      this.blocksToBoundary = DIRECT_POINTERS - 1 - rest;
      return rest >= 0;
    }
    rest -= DIRECT_POINTERS;
    if (rest < each) {
      this.depth = 2;
      offsets[0] = DIRECT_POINTERS;
      offsets[1] = rest;
    } else if ((rest -= each) < each * each) {
      this.depth = 3;
      offsets[0] = DIRECT_POINTERS + 1;
      offsets[1] = rest >>> pointerBits;
      offsets[2] = rest & mask;
    } else {
      rest -= each * each;
      const first = Math.floor(rest / (each * each));
      if (first >= each) return false;
      this.depth = 4;
      offsets[0] = DIRECT_POINTERS + 2;
      offsets[1] = first;
      offsets[2] = (rest >>> pointerBits) & mask;
      offsets[3] = rest & mask;
    }
    this.blocksToBoundary = mask - (rest & mask);
    return true;
  }

  /** Look-up without sleeping. 0 with the mapping filled (a hole: not mapped), `NEEDS_BLOCK`, or minus an errno. */
  private mapNow(inode: ExtInode, fileBlock: number, mapping: BlockMapping): KernelReturn {
    if (!this.findPath(fileBlock)) return -ERRNO.EFBIG;
    const { offsets, depth } = this;
    const { cache, geometry } = this.state;
    let words: Uint32Array = inode.pointers;
    let buffer: BlockBuffer | null = null;
    let at = offsets[0] as number;
    for (let level = 0; level < depth - 1; level++) {
      const pointer = words[at] as number;
      if (pointer === 0) return this.hole(level, words, buffer);
      if (!this.isBlock(pointer)) return -ERRNO.EUCLEAN;
      buffer = cache.peek(pointer);
      if (buffer === null) return NEEDS_BLOCK;
      words = buffer.words;
      at = offsets[level + 1] as number;
    }
    const first = words[at] as number;
    if (first === 0) return this.hole(depth - 1, words, buffer);
    const most = Math.min(
      Math.max(1, Math.floor(mapping.lengthBytes / geometry.blockBytes)),
      this.blocksToBoundary + 1,
    );
    let count = 1;
    while (count < most && words[at + count] === first + count) count++;
    if (!this.isBlock(first) || !this.isBlock(first + count - 1)) return -ERRNO.EUCLEAN;
    this.answer(mapping, first, count, MAP_FLAG.mapped);
    return 0;
  }

  private answer(mapping: BlockMapping, deviceBlock: number, count: number, flags: number): void {
    mapping.flags |= count > this.blocksToBoundary ? flags | MAP_FLAG.boundary : flags;
    mapping.deviceBlock = deviceBlock;
    mapping.lengthBytes = count * this.state.geometry.blockBytes;
    mapping.device = this.state.device;
  }

  private hole(level: number, words: Uint32Array, buffer: BlockBuffer | null): number {
    this.holeLevel = level;
    this.holeWords = words;
    this.holeBuffer = buffer;
    return 0;
  }

  /** The same look-up, reading indirect blocks as they are missing. */
  private *mapSlowly(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const { cache } = this.state;
    const pinned: BlockBuffer[] = [];
    try {
      for (;;) {
        const result = this.mapNow(inode, fileBlock, mapping);
        if (result !== NEEDS_BLOCK) return result;
        const buffer = yield* cache.load(cache.missingBlock);
        if (typeof buffer === 'number') return buffer;
        pinned.push(buffer);
      }
    } finally {
      for (const buffer of pinned) cache.release(buffer);
    }
  }

  // Allocation ------------------------------------------------------------------------------------

  /** After `mapNow` found a hole: allocates where the bitmaps are cached and one run does. */
  private allocateNow(inode: ExtInode, fileBlock: number, mapping: BlockMapping): KernelReturn {
    const indirect = this.depth - 1 - this.holeLevel;
    const wanted = indirect + this.wantedBlocks(mapping, indirect);
    const taken = this.allocator.takeRunNow(this.findGoal(inode, fileBlock), wanted);
    if (taken < 0) return taken;
    const start = this.allocator.runStart;
    if (taken <= indirect) {
      // Not even the indirect blocks fit together: the slow way gathers runs.
      this.allocator.returnRunNow(start, taken);
      return NEEDS_BLOCK;
    }
    const chain: number[] = [];
    for (let index = 0; index < indirect; index++) chain.push(start + index);
    return this.splice(inode, fileBlock, mapping, chain, start + indirect, taken - indirect);
  }

  /** The general case: loads what is missing, gathers single blocks for the branch and one run for the data. */
  private *allocateSlowly(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const { cache } = this.state;
    const pinned: BlockBuffer[] = [];
    const chain: number[] = [];
    try {
      for (;;) {
        let result = this.mapNow(inode, fileBlock, mapping);
        if (result === 0 && (mapping.flags & MAP_FLAG.mapped) === 0) {
          result = this.gatherNow(inode, fileBlock, mapping, chain);
        }
        if (result !== NEEDS_BLOCK) {
          if (result < 0 && chain.length > 0) yield* this.giveBack(chain);
          return result;
        }
        const buffer = yield* cache.load(cache.missingBlock);
        if (typeof buffer === 'number') {
          yield* this.giveBack(chain);
          return buffer;
        }
        pinned.push(buffer);
      }
    } finally {
      for (const buffer of pinned) cache.release(buffer);
    }
  }

  /** ext2_alloc_blocks: takes runs until the branch (`chain`) is complete and at least one data block follows. */
  private gatherNow(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    chain: number[],
  ): KernelReturn {
    const indirect = this.depth - 1 - this.holeLevel;
    const data = this.wantedBlocks(mapping, indirect);
    for (;;) {
      const goal =
        chain.length > 0 ? (chain.at(-1) as number) + 1 : this.findGoal(inode, fileBlock);
      const taken = this.allocator.takeRunNow(goal, indirect - chain.length + data);
      if (taken < 0) return taken;
      let start = this.allocator.runStart;
      let left = taken;
      for (; chain.length < indirect && left > 0; left--) chain.push(start++);
      if (left > 0) return this.splice(inode, fileBlock, mapping, chain.splice(0), start, left);
    }
  }

  private *giveBack(chain: number[]): Task<void> {
    for (const block of chain.splice(0)) yield* this.allocator.returnRun(block, 1);
  }

  /** ext2_blks_to_allocate: data blocks that are holes from here on, inside this indirect block. */
  private wantedBlocks(mapping: BlockMapping, indirect: number): number {
    const asked = Math.max(1, Math.floor(mapping.lengthBytes / this.state.geometry.blockBytes));
    const most = Math.min(asked, this.blocksToBoundary + 1);
    if (indirect > 0) return most;
    const at = this.offsets[this.depth - 1] as number;
    let count = 1;
    while (count < most && this.holeWords[at + count] === 0) count++;
    return count;
  }

  /** ext2_find_goal: behind the last allocation, else near the neighbours, the indirect block, or the inode. */
  private findGoal(inode: ExtInode, fileBlock: number): number {
    if (fileBlock === inode.lastLogicalBlock + 1 && inode.lastDeviceBlock !== 0) {
      return inode.lastDeviceBlock + 1;
    }
    const at = this.offsets[this.holeLevel] as number;
    for (let index = at - 1; index >= 0; index--) {
      if (this.holeWords[index] !== 0) return this.holeWords[index] as number;
    }
    if (this.holeBuffer !== null) return this.holeBuffer.deviceBlock;
    const { groups } = this.state;
    return groups.firstBlock(groups.groupOfInode(inode.inodeNumber));
  }

  /** ext2_alloc_branch and ext2_splice_branch: fills the new indirect blocks, then hangs the branch into the hole. */
  private splice(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    chain: readonly number[],
    firstData: number,
    count: number,
  ): KernelReturn {
    const { cache } = this.state;
    const { offsets, holeLevel } = this;
    for (let index = chain.length - 1; index >= 0; index--) {
      const buffer = cache.create(chain[index] as number, inode.inodeNumber);
      if (buffer === null) {
        for (const block of chain) cache.forget(block);
        for (const block of chain) this.allocator.returnRunNow(block, 1);
        this.allocator.returnRunNow(firstData, count);
        return -ERRNO.ENOMEM;
      }
      const at = offsets[holeLevel + 1 + index] as number;
      if (index === chain.length - 1) fillRun(buffer.words, at, firstData, count);
      else buffer.words[at] = chain[index + 1] as number;
      cache.release(buffer);
    }
    const at = offsets[holeLevel] as number;
    if (chain.length === 0) fillRun(this.holeWords, at, firstData, count);
    else this.holeWords[at] = chain[0] as number;
    if (this.holeBuffer !== null) cache.markDirty(this.holeBuffer, inode.inodeNumber);
    inode.lastLogicalBlock = fileBlock + count - 1;
    inode.lastDeviceBlock = firstData + count - 1;
    inode.sectorCount += (chain.length + count) * this.sectorsPerBlock;
    inode.markDirty();
    this.answer(mapping, firstData, count, MAP_FLAG.mapped | MAP_FLAG.new);
    return 0;
  }

  // Truncation and walking ------------------------------------------------------------------------

  /** ext2_truncate_blocks: frees every block at or beyond `keepBlocks`; the inode lock is held. 0 or minus an errno. */
  *truncate(inode: ExtInode, keepBlocks: number): Task<KernelReturn> {
    inode.lastLogicalBlock = -1;
    inode.lastDeviceBlock = 0;
    const visited = new Set<number>();
    const { pointers } = inode;
    for (let index = Math.min(keepBlocks, DIRECT_POINTERS); index < DIRECT_POINTERS; index++) {
      this.dropData(inode, pointers[index] as number);
      pointers[index] = 0;
    }
    let first = DIRECT_POINTERS;
    let spanned = this.pointersPerBlock;
    let status = 0;
    for (let level = 1; level <= 3 && status === 0; level++) {
      const index = DIRECT_POINTERS + level - 1;
      const pointer = pointers[index] as number;
      if (pointer !== 0 && keepBlocks < first + spanned) {
        const keep = Math.max(0, keepBlocks - first);
        status = yield* this.truncateBranch(inode, pointer, level, keep, visited);
        if (keep === 0) {
          this.dropIndirect(inode, pointer);
          pointers[index] = 0;
        }
      }
      first += spanned;
      spanned *= this.pointersPerBlock;
    }
    inode.markDirty();
    return status;
  }

  /** Frees what an indirect block at `level` (1: points at data) maps beyond its first `keep` blocks. */
  private *truncateBranch(
    inode: ExtInode,
    deviceBlock: number,
    level: number,
    keep: number,
    visited: Set<number>,
  ): Task<KernelReturn> {
    const { cache } = this.state;
    if (!this.isBlock(deviceBlock) || visited.has(deviceBlock)) return -ERRNO.EUCLEAN;
    visited.add(deviceBlock);
    const buffer = yield* cache.load(deviceBlock);
    if (typeof buffer === 'number') return buffer;
    const each = this.pointersPerBlock ** (level - 1);
    let status = 0;
    let changed = false;
    for (let at = Math.floor(keep / each); at < this.pointersPerBlock; at++) {
      const pointer = buffer.words[at] as number;
      if (pointer === 0) continue;
      const keepBelow = Math.max(0, keep - at * each);
      if (level === 1) this.dropData(inode, pointer);
      else {
        const error = yield* this.truncateBranch(inode, pointer, level - 1, keepBelow, visited);
        if (error < 0) status = error;
        if (keepBelow > 0) continue;
        this.dropIndirect(inode, pointer);
      }
      buffer.words[at] = 0;
      changed = true;
    }
    if (changed && keep > 0) cache.markDirty(buffer, inode.inodeNumber);
    cache.release(buffer);
    return status;
  }

  private dropData(inode: ExtInode, pointer: number): void {
    if (pointer === 0) return;
    this.drop(inode, pointer);
  }

  private dropIndirect(inode: ExtInode, pointer: number): void {
    this.state.cache.forget(pointer);
    this.drop(inode, pointer);
  }

  private drop(inode: ExtInode, pointer: number): void {
    inode.sectorCount = Math.max(0, inode.sectorCount - this.sectorsPerBlock);
    if (!this.isBlock(pointer) || this.state.groups.isSystemBlock(pointer)) {
      noteDamage(
        this.state,
        `inode ${String(inode.inodeNumber)} held block ${String(pointer)}, which is no data block`,
      );
      return;
    }
    if (inode.kind === 'directory') this.state.cache.forget(pointer);
    inode.addPendingFree(pointer, 1);
  }

  /** Visits every block of the file in order; holes cost nothing. 0, or -EUCLEAN at the first pointer that cannot be. */
  *walk(inode: ExtInode, visitor: BlockVisitor): Task<KernelReturn> {
    const run = new RunCollector(visitor);
    const visited = new Set<number>();
    for (let index = 0; index < DIRECT_POINTERS; index++) {
      const pointer = inode.pointers[index] as number;
      if (pointer !== 0 && !this.isBlock(pointer)) return -ERRNO.EUCLEAN;
      run.add(index, pointer);
    }
    let first = DIRECT_POINTERS;
    let spanned = this.pointersPerBlock;
    for (let level = 1; level <= 3; level++) {
      const pointer = inode.pointers[DIRECT_POINTERS + level - 1] as number;
      const status =
        pointer === 0 ? 0 : yield* this.walkBranch(pointer, level, first, run, visitor, visited);
      if (status < 0) return status;
      first += spanned;
      spanned *= this.pointersPerBlock;
    }
    run.flush();
    return 0;
  }

  private *walkBranch(
    deviceBlock: number,
    level: number,
    firstFileBlock: number,
    run: RunCollector,
    visitor: BlockVisitor,
    visited: Set<number>,
  ): Task<KernelReturn> {
    const { cache } = this.state;
    if (!this.isBlock(deviceBlock) || visited.has(deviceBlock)) return -ERRNO.EUCLEAN;
    visited.add(deviceBlock);
    if (!visitor.indirect(deviceBlock, level)) return 0;
    const buffer = yield* cache.load(deviceBlock);
    if (typeof buffer === 'number') return buffer;
    const each = this.pointersPerBlock ** (level - 1);
    let status = 0;
    for (let at = 0; at < this.pointersPerBlock && status === 0; at++) {
      const pointer = buffer.words[at] as number;
      if (pointer === 0) continue;
      const fileBlock = firstFileBlock + at * each;
      if (level > 1) {
        status = yield* this.walkBranch(pointer, level - 1, fileBlock, run, visitor, visited);
      } else if (this.isBlock(pointer)) run.add(fileBlock, pointer);
      else status = -ERRNO.EUCLEAN;
    }
    cache.release(buffer);
    return status;
  }
}

/** Joins single blocks to runs. */
class RunCollector {
  private fileBlock = 0;
  private deviceBlock = 0;
  private count = 0;
  constructor(private readonly visitor: BlockVisitor) {}

  add(fileBlock: number, deviceBlock: number): void {
    if (deviceBlock === 0) return;
    if (
      this.count > 0 &&
      fileBlock === this.fileBlock + this.count &&
      deviceBlock === this.deviceBlock + this.count
    ) {
      this.count++;
      return;
    }
    this.flush();
    this.fileBlock = fileBlock;
    this.deviceBlock = deviceBlock;
    this.count = 1;
  }
  flush(): void {
    if (this.count > 0) this.visitor.data(this.fileBlock, this.deviceBlock, this.count, false);
    this.count = 0;
  }
}

function fillRun(words: Uint32Array, at: number, first: number, count: number): void {
  for (let index = 0; index < count; index++) words[at + index] = first + index;
}
