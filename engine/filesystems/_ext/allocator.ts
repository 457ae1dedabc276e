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
import { headBlocks } from './groups.ts';
import { LINKS_MAX, ROOT_INODE } from './layout.ts';
import type { ExtInode } from './inode.ts';
import { noteDamage, type ExtState } from './state.ts';

/** A block has to be loaded before the answer is known. Above every errno and no count of blocks. */
export const NEEDS_BLOCK = -4096;

export class Allocator {
  /** First block of the run that `takeRunNow` took. */
  runStart = 0;
  /** Groups whose block bitmap was seen to mark the group's own metadata. */
  private readonly checked: Uint8Array;

  constructor(private readonly state: ExtState) {
    this.checked = new Uint8Array(state.geometry.groupCount);
  }

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
      const bitmap = cache.peek(groups.blockBitmap[group] as number);
      if (bitmap === null) return false;
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
      cache.markDirty(bitmap, 0);
    }
    return true;
  }

  /** `returnRunNow` where bitmaps may have to be read first. 0 or minus an errno. */
  *returnRun(start: number, count: number): Task<KernelReturn> {
    const { groups } = this.state;
    for (let block = start; block < start + count;) {
      const group = groups.groupOf(block);
      const end = Math.min(start + count, groups.firstBlock(group) + groups.blocksIn(group));
      const bitmap = yield* this.bitmap(groups.blockBitmap[group] as number);
      if (typeof bitmap === 'number') return bitmap;
      this.returnRunNow(block, end - block);
      this.state.cache.release(bitmap);
      block = end;
    }
    return 0;
  }

  private takeInGroupNow(group: number, goalBit: number, wanted: number): number {
    const { groups, cache } = this.state;
    const bitmap = cache.peek(groups.blockBitmap[group] as number);
    if (bitmap === null) return NEEDS_BLOCK;
    if (this.checked[group] === 0) {
      if (!this.marksOwnBlocks(group, bitmap)) {
        noteDamage(this.state, `block bitmap of group ${String(group)} frees its own metadata`);
        return -ERRNO.EUCLEAN;
      }
      this.checked[group] = 1;
    }
    const end = groups.blocksIn(group);
    const start = findRun(bitmap.bytes, goalBit, end);
    if (start < 0) return 0;
    let count = 0;
    while (count < wanted && start + count < end && !testBit(bitmap.bytes, start + count)) {
      setBit(bitmap.bytes, start + count);
      count++;
    }
    groups.addFreeBlocks(group, -Math.min(count, groups.freeBlocks(group)));
    cache.markDirty(bitmap, 0);
    this.runStart = groups.firstBlock(group) + start;
    return count;
  }

  /** ext2_valid_block_bitmap */
  private marksOwnBlocks(group: number, bitmap: BlockBuffer): boolean {
    const { groups, geometry } = this.state;
    const first = groups.firstBlock(group);
    for (let bit = 0; bit < headBlocks(geometry, group); bit++) {
      if (!testBit(bitmap.bytes, bit)) return false;
    }
    const table = groups.inodeTable[group] as number;
    for (let block = table; block < table + groups.inodeTableBlocks; block++) {
      if (!testBit(bitmap.bytes, block - first)) return false;
    }
    return (
      testBit(bitmap.bytes, (groups.blockBitmap[group] as number) - first) &&
      testBit(bitmap.bytes, (groups.inodeBitmap[group] as number) - first)
    );
  }

  // Inodes ----------------------------------------------------------------------------------------

  /** ext2_new_inode: the number of a free inode, marked in use; or minus an errno. */
  *takeInode(parent: ExtInode, isDirectory: boolean): Task<number> {
    const { groups, geometry, cache } = this.state;
    const first = isDirectory ? this.directoryGroup(parent) : this.fileGroup(parent);
    if (first < 0) return -ERRNO.ENOSPC;
    for (let step = 0; step < geometry.groupCount; step++) {
      const group = (first + step) % geometry.groupCount;
      if (groups.freeInodes(group) === 0) continue;
      const bitmap = yield* this.bitmap(groups.inodeBitmap[group] as number);
      if (typeof bitmap === 'number') return bitmap;
      const from = group === 0 ? geometry.firstInode - 1 : 0;
      const bit = findClear(bitmap.bytes, from, geometry.inodesPerGroup);
      if (bit >= 0) {
        setBit(bitmap.bytes, bit);
        cache.markDirty(bitmap, 0);
        groups.addFreeInodes(group, -1);
        if (isDirectory) groups.addDirectories(group, 1);
      }
      cache.release(bitmap);
      if (bit >= 0) return group * geometry.inodesPerGroup + bit + 1;
    }
    return -ERRNO.ENOSPC;
  }

  /** ext2_free_inode, after the commit that made the inode's end durable. 0 or minus an errno. */
  *returnInode(inodeNumber: number, isDirectory: boolean): Task<KernelReturn> {
    const { groups, geometry, cache } = this.state;
    const group = groups.groupOfInode(inodeNumber);
    const bitmap = yield* this.bitmap(groups.inodeBitmap[group] as number);
    if (typeof bitmap === 'number') return bitmap;
    const bit = (inodeNumber - 1) % geometry.inodesPerGroup;
    if (testBit(bitmap.bytes, bit)) {
      clearBit(bitmap.bytes, bit);
      cache.markDirty(bitmap, 0);
      groups.addFreeInodes(group, 1);
      if (isDirectory && groups.directories(group) > 0) groups.addDirectories(group, -1);
    } else noteDamage(this.state, `inode ${String(inodeNumber)} was freed but is not in use`);
    cache.release(bitmap);
    return 0;
  }

  /** Pinned. */
  private *bitmap(deviceBlock: number): Task<BlockBuffer | number> {
    return yield* this.state.cache.load(deviceBlock);
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

/** ext2_try_to_allocate's choice of a free bit: the goal, near it, a free byte, any; then back over a few free bits. */
function findRun(bytes: Uint8Array, goalBit: number, end: number): number {
  if (goalBit >= 0 && goalBit < end && !testBit(bytes, goalBit)) return goalBit;
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

/** Room for one more link (i_links_count of ext2 ends at 32000). */
export function canLink(inode: ExtInode): boolean {
  return inode.linkCount < LINKS_MAX;
}
