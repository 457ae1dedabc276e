// SPDX-License-Identifier: GPL-2.0-only
/**
 * Block and inode allocation (fs/ext2/balloc.c, ialloc.c), as with the mount option noreservation.
 *
 * Rules: 1. Functions that end in `Now` never sleep and change nothing unless they succeed: `NEEDS_BLOCK` says that the block in
 * `cache.missingBlock` has to be loaded first. 2. A bitmap is checked against the descriptors when it is first used. 3. Freed blocks
 * come here only after a commit (commit.ts), so a block is never used again while the disk still says whose it was.
 */
import { ERRNO, type KernelReturn, type Task } from '../../base/index.ts';
import type { BlockBuffer } from '../../vfs/index.ts';
import { clearBit, findClear, findClearByte, setBit, testBit } from './bitmap.ts';
import { GROUP_FLAG, ROOT_INODE } from './layout.ts';
import type { ExtInode } from './inode.ts';
import { noteDamage, type ExtState } from './state.ts';

/** A block has to be loaded before the answer is known. Above every errno and no count of blocks. */
export const NEEDS_BLOCK = -4096;

export class Allocator {
  /** First block of the run that `takeRunNow` took. */
  runStart = 0;

  constructor(private readonly state: ExtState) {}

  /**
   * ext2_new_blocks: takes a run of 1..`wanted` contiguous blocks near `goal`; its length, with `runStart` set. -ENOSPC, -EUCLEAN or
   * `NEEDS_BLOCK`.
   */
  takeRunNow(goal: number, wanted: number): number {
    const { groups, geometry } = this.state;
    if (groups.freeBlocksTotal <= 0) return -ERRNO.ENOSPC;
    const from =
      goal < geometry.firstDataBlock || goal >= geometry.blocksCount
        ? geometry.firstDataBlock
        : goal;
    const goalGroup = groups.groupOf(from);
    if (groups.freeBlocks(goalGroup) > 0) {
      const taken = this.takeInGroupNow(goalGroup, from - groups.firstBlock(goalGroup), wanted);
      if (taken !== 0) return taken;
    }
    for (let step = 1; step <= geometry.groupCount; step++) {
      const group = (goalGroup + step) % geometry.groupCount;
      if (groups.freeBlocks(group) === 0) continue;
      const taken = this.takeInGroupNow(group, -1, wanted);
      if (taken !== 0) return taken;
    }
    return -ERRNO.ENOSPC;
  }

  /** Gives back a run that was just taken and that nothing points at; its bitmaps are cached. False: `NEEDS_BLOCK`. */
  returnRunNow(start: number, count: number): boolean {
    const { groups, cache } = this.state;
    for (let block = start; block < start + count;) {
      const group = groups.groupOf(block);
      const first = groups.firstBlock(group);
      const end = Math.min(start + count, first + groups.blocksIn(group));
      const bitmap = this.blockBitmapNow(group);
      if (typeof bitmap === 'number') return bitmap !== NEEDS_BLOCK;
      let freed = 0;
      for (; block < end; block++) {
        if (!testBit(bitmap.bytes, block - first) || groups.isSystemBlock(block)) {
          noteDamage(this.state, `block ${String(block)} was freed but is not in use`);
          continue;
        }
        clearBit(bitmap.bytes, block - first);
        freed++;
      }
      if (freed > 0) groups.addFreeBlocks(group, freed);
      groups.unsealedBlockBitmaps.add(group);
      cache.markDirty(bitmap, 0);
    }
    return true;
  }

  /** `returnRunNow` where bitmaps may have to be read first. 0 or minus an errno. */
  *returnRun(start: number, count: number): Task<KernelReturn> {
    const { groups, cache } = this.state;
    for (let block = start; block < start + count;) {
      const group = groups.groupOf(block);
      const end = Math.min(start + count, groups.firstBlock(group) + groups.blocksIn(group));
      let bitmap = this.blockBitmapNow(group);
      while (typeof bitmap === 'number') {
        if (bitmap !== NEEDS_BLOCK) return bitmap;
        const loaded = yield* cache.load(groups.blockBitmap[group] as number);
        if (typeof loaded === 'number') return loaded;
        bitmap = this.blockBitmapNow(group);
        cache.release(loaded);
      }
      this.returnRunNow(block, end - block);
      block = end;
    }
    return 0;
  }

  private takeInGroupNow(group: number, goalBit: number, wanted: number): number {
    const { groups, cache } = this.state;
    const bitmap = this.blockBitmapNow(group);
    if (typeof bitmap === 'number') return bitmap;
    const end = groups.blocksIn(group);
    const start = findRun(bitmap.bytes, goalBit, end, wanted);
    if (start < 0) return 0;
    let count = 0;
    while (count < wanted && start + count < end && !testBit(bitmap.bytes, start + count)) {
      setBit(bitmap.bytes, start + count);
      count++;
    }
    groups.addFreeBlocks(group, -Math.min(count, groups.freeBlocks(group)));
    groups.unsealedBlockBitmaps.add(group);
    cache.markDirty(bitmap, 0);
    this.runStart = groups.firstBlock(group) + start;
    return count;
  }

  /** The bitmap of a group, verified; one that was never written is made. `NEEDS_BLOCK` or minus an errno. */
  private blockBitmapNow(group: number): BlockBuffer | number {
    const { groups, cache } = this.state;
    const deviceBlock = groups.blockBitmap[group] as number;
    if (groups.hasFlag(group, GROUP_FLAG.blockUninit)) {
      const made = cache.create(deviceBlock, 0);
      if (made === null) return -ERRNO.ENOMEM;
      groups.fillBlockBitmap(group, made.bytes);
      made.isUnlinked = false;
      groups.clearFlag(group, GROUP_FLAG.blockUninit);
      groups.unsealedBlockBitmaps.add(group);
      cache.release(made);
      return made;
    }
    const bitmap = cache.peek(deviceBlock);
    if (bitmap === null) return NEEDS_BLOCK;
    if (!bitmap.isVerified) {
      if (!this.isBlockBitmapSound(group, bitmap)) return -ERRNO.EUCLEAN;
      bitmap.isVerified = true;
    }
    return bitmap;
  }

  /** ext4_validate_block_bitmap */
  private isBlockBitmapSound(group: number, bitmap: BlockBuffer): boolean {
    const { groups } = this.state;
    const where = `block bitmap of group ${String(group)}, block ${String(bitmap.deviceBlock)}`;
    const isUnsealed = groups.unsealedBlockBitmaps.has(group);
    if (!isUnsealed && !groups.isBlockBitmapGood(group, bitmap.bytes)) {
      noteDamage(this.state, `${where}: wrong checksum`);
      return false;
    }
    let isMarked = true;
    groups.eachSystemRun(group, (from, to) => {
      for (let bit = from; bit < to; bit++) isMarked = isMarked && testBit(bitmap.bytes, bit);
    });
    if (!isMarked) noteDamage(this.state, `${where}: frees its own metadata`);
    return isMarked;
  }

  // Inodes ----------------------------------------------------------------------------------------

  /** ext4_new_inode's choice: the number of a free inode, marked in use; or minus an errno. */
  *takeInode(parent: ExtInode, isDirectory: boolean): Task<number> {
    const { groups, geometry, cache } = this.state;
    const first = isDirectory ? this.directoryGroup(parent) : this.fileGroup(parent);
    if (first < 0) return -ERRNO.ENOSPC;
    for (let step = 0; step < geometry.groupCount; step++) {
      const group = (first + step) % geometry.groupCount;
      if (groups.freeInodes(group) === 0) continue;
      const bitmap = yield* this.inodeBitmap(group);
      if (typeof bitmap === 'number') return bitmap;
      const from = group === 0 ? geometry.firstInode - 1 : 0;
      let bit = findClear(bitmap.bytes, from, geometry.inodesPerGroup);
      let error = 0;
      if (bit >= 0) {
        error = yield* this.extendTable(group, bit + 1);
        // Reading the table may have slept, and another task have taken the bit.
        bit = error < 0 ? -1 : findClear(bitmap.bytes, bit, geometry.inodesPerGroup);
      }
      if (bit >= 0) {
        setBit(bitmap.bytes, bit);
        groups.unsealedInodeBitmaps.add(group);
        cache.markDirty(bitmap, 0);
        groups.addFreeInodes(group, -1);
        if (isDirectory) groups.addDirectories(group, 1);
        const used = geometry.inodesPerGroup - groups.unusedInodes(group);
        if (bit >= used) groups.setUnusedInodes(group, geometry.inodesPerGroup - bit - 1);
      }
      cache.release(bitmap);
      if (error < 0) return error;
      if (bit >= 0) return group * geometry.inodesPerGroup + bit + 1;
    }
    return -ERRNO.ENOSPC;
  }

  /** ext2_free_inode, after the commit that made the inode's end durable. 0 or minus an errno. */
  *returnInode(inodeNumber: number, isDirectory: boolean): Task<KernelReturn> {
    const { groups, geometry, cache } = this.state;
    const group = groups.groupOfInode(inodeNumber);
    const bitmap = yield* this.inodeBitmap(group);
    if (typeof bitmap === 'number') return bitmap;
    const bit = (inodeNumber - 1) % geometry.inodesPerGroup;
    if (testBit(bitmap.bytes, bit)) {
      clearBit(bitmap.bytes, bit);
      groups.unsealedInodeBitmaps.add(group);
      cache.markDirty(bitmap, 0);
      groups.addFreeInodes(group, 1);
      if (isDirectory && groups.directories(group) > 0) groups.addDirectories(group, -1);
    } else noteDamage(this.state, `inode ${String(inodeNumber)} was freed but is not in use`);
    cache.release(bitmap);
    return 0;
  }

  /** Pinned and verified; one that was never written is made. Or minus an errno. */
  private *inodeBitmap(group: number): Task<BlockBuffer | number> {
    const { groups, cache } = this.state;
    const deviceBlock = groups.inodeBitmap[group] as number;
    if (groups.hasFlag(group, GROUP_FLAG.inodeUninit)) {
      const made = cache.create(deviceBlock, 0);
      if (made === null) return -ERRNO.ENOMEM;
      groups.fillInodeBitmap(made.bytes);
      made.isUnlinked = false;
      groups.clearFlag(group, GROUP_FLAG.inodeUninit);
      groups.setUnusedInodes(group, this.state.geometry.inodesPerGroup);
      groups.unsealedInodeBitmaps.add(group);
      return made;
    }
    const bitmap = yield* cache.load(deviceBlock);
    if (typeof bitmap === 'number' || bitmap.isVerified) return bitmap;
    const isUnsealed = groups.unsealedInodeBitmaps.has(group);
    if (!isUnsealed && !groups.isInodeBitmapGood(group, bitmap.bytes)) {
      const where = `inode bitmap of group ${String(group)}, block ${String(deviceBlock)}`;
      noteDamage(this.state, `${where}: wrong checksum`);
      cache.release(bitmap);
      return -ERRNO.EUCLEAN;
    }
    bitmap.isVerified = true;
    return bitmap;
  }

  /**
   * Makes the first `usedCount` inodes of a group's table readable: what mkfs left unwritten behind the ones that were used is zeroed
   * before it counts (what the kernel's lazy initialisation does for the whole table).
   */
  private *extendTable(group: number, usedCount: number): Task<KernelReturn> {
    const { groups, geometry, cache } = this.state;
    const { inodesPerGroup, inodeBytes, blockBytes } = geometry;
    const before = inodesPerGroup - groups.unusedInodes(group);
    if (usedCount <= before || groups.hasFlag(group, GROUP_FLAG.inodeTableZeroed)) return 0;
    const table = groups.inodeTable[group] as number;
    const from = before * inodeBytes;
    const lastBlock = Math.floor((usedCount * inodeBytes - 1) / blockBytes);
    for (let index = Math.floor(from / blockBytes); index <= lastBlock; index++) {
      // A second task may have been here while this one slept.
      if (inodesPerGroup - groups.unusedInodes(group) !== before) return 0;
      const kept = Math.max(0, from - index * blockBytes);
      const buffer = kept > 0 ? yield* cache.load(table + index) : cache.create(table + index, 0);
      if (buffer === null) return -ERRNO.ENOMEM;
      if (typeof buffer === 'number') return buffer;
      buffer.bytes.fill(0, kept);
      buffer.isUnlinked = false;
      cache.markDirty(buffer, 0);
      cache.release(buffer);
    }
    return 0;
  }

  /** find_group_other: the parent's group, else a quadratic probe for one with inodes and blocks, else any with inodes. */
  private fileGroup(parent: ExtInode): number {
    const { groups, geometry } = this.state;
    const { groupCount } = geometry;
    const home = groups.groupOfInode(parent.inodeNumber);
    const fits = (group: number): boolean =>
      groups.freeInodes(group) > 0 && groups.freeBlocks(group) > 0;
    if (fits(home)) return home;
    let group = (home + parent.inodeNumber) % groupCount;
    for (let step = 1; step < groupCount; step *= 2) {
      group = (group + step) % groupCount;
      if (fits(group)) return group;
    }
    for (let step = 0; step < groupCount; step++) {
      group = (home + step) % groupCount;
      if (groups.freeInodes(group) > 0) return group;
    }
    return -1;
  }

  /**
   * Orlov's idea: folders of the root are spread over groups with above-average space, deeper ones stay near their parent where it
   * is not worse than average.
   */
  private directoryGroup(parent: ExtInode): number {
    const { groups, geometry } = this.state;
    const { groupCount } = geometry;
    const inodesAverage = groups.freeInodesTotal / groupCount;
    const blocksAverage = groups.freeBlocksTotal / groupCount;
    const good = (group: number): boolean =>
      groups.freeInodes(group) > 0 &&
      groups.freeInodes(group) >= inodesAverage &&
      groups.freeBlocks(group) >= blocksAverage;
    const home = groups.groupOfInode(parent.inodeNumber);
    let best = -1;
    for (let step = 0; step < groupCount; step++) {
      const group = (home + step) % groupCount;
      if (!good(group)) continue;
      if (parent.inodeNumber !== ROOT_INODE) return group;
      if (best < 0 || groups.directories(group) < groups.directories(best)) best = group;
    }
    return best >= 0 ? best : this.fileGroup(parent);
  }
}

/**
 * Where a run of `wanted` blocks should begin: at the goal where that is free; for a single block near the goal, at a free byte, or
 * anywhere, then back over a few free bits (ext2_try_to_allocate); for more the first run that is long enough behind the goal, else the
 * longest of the group (mballoc's best extent).
 */
function findRun(bytes: Uint8Array, goalBit: number, end: number, wanted: number): number {
  if (goalBit >= 0 && goalBit < end && !testBit(bytes, goalBit)) return goalBit;
  if (wanted > 1) return findLongRun(bytes, Math.max(0, goalBit), end, wanted);
  let found = -1;
  const from = Math.max(0, goalBit);
  if (goalBit > 0) found = findClear(bytes, from, Math.min(end, (from + 63) & ~63));
  if (found < 0) {
    found = findClearByte(bytes, from, end);
    if (found < 0) found = findClear(bytes, from, end);
    for (let step = 0; step < 7 && found > from && !testBit(bytes, found - 1); step++) found--;
  }
  return found;
}

function findLongRun(bytes: Uint8Array, goalBit: number, end: number, wanted: number): number {
  let best = -1;
  let bestCount = 0;
  for (const [from, to] of [
    [goalBit, end],
    [0, goalBit],
  ] as const) {
    for (let start = findClear(bytes, from, to); start >= 0;) {
      const stop = runEnd(bytes, start, Math.min(to, start + wanted));
      if (stop - start >= wanted) return start;
      if (stop - start > bestCount) {
        best = start;
        bestCount = stop - start;
      }
      start = stop < to ? findClear(bytes, stop, to) : -1;
    }
  }
  return best;
}

/** First set bit in `from`..`end` - 1, or `end`. */
function runEnd(bytes: Uint8Array, from: number, end: number): number {
  let bit = from;
  while (bit < end) {
    if ((bit & 7) === 0 && bytes[bit >> 3] === 0) bit += 8;
    else if (testBit(bytes, bit)) return bit;
    else bit++;
  }
  return end;
}
