// SPDX-License-Identifier: GPL-2.0-only
/**
 * What every block of an image is used for: the block map. Reads metadata only: descriptors, bitmaps, the inodes in use, and the blocks
 * of their maps.
 *
 *   claims (groups, then inodes in order) --sort--> sweep from block 0: a claim, or what the bitmaps say of the gap
 *
 * Rules: 1. Every block of the device comes once, in order. 2. Where two claim a block, which only a damaged image has, the claim that
 * begins first keeps it. 3. The number of claims is bounded by the size of the image; what a damaged map would add beyond that is left
 * out. 4. An inode whose map cannot be read claims nothing more; its blocks show as reserved.
 */
import { HostError, SECTOR_BYTES, succeed, type Result, type Task } from '../../base/index.ts';
import type { BlockRange, BlockUse } from '../../vfs/index.ts';
import type { BlockMap } from './block-map.ts';
import { testBit } from './bitmap.ts';
import { inodeRecord } from './commit.ts';
import { errnoResult } from './errno-result.ts';
import { descriptorBlock, hasSuperblock, headBlocks } from './groups.ts';
import { ExtInode } from './inode.ts';
import { GROUP_FLAG, INO, JOURNAL_INODE, MODE_KIND, RESIZE_INODE, SB } from './layout.ts';
import type { ExtState } from './state.ts';

/** The inode that holds blocks that cannot be used. */
const BAD_BLOCKS_INODE = 1;
/** Claims beyond this many for each block of the image are a damaged image's. */
const CLAIMS_PER_BLOCK = 2;
const CLAIMS_MAX = 8_000_000;

/** A block in between that maps a file's blocks, or holds its attributes: `fileBlock` is -1. */
interface Claim {
  readonly deviceBlock: number;
  readonly count: number;
  readonly use: BlockUse;
  /** 0: nobody's. */
  readonly inodeNumber: number;
  readonly fileBlock: number;
}

export class LayoutMap {
  private claims: Claim[] = [];
  private left = 0;

  constructor(
    private readonly state: ExtState,
    private readonly blockMap: BlockMap,
  ) {}

  /** Every block of the device once, in order, neighbours of one use and owner joined. */
  *ranges(): Task<Result<readonly BlockRange[]>> {
    const { blocksCount } = this.state.geometry;
    this.claims = [];
    this.left = Math.min(CLAIMS_MAX, blocksCount * CLAIMS_PER_BLOCK + 1000);
    this.claimGroups();
    const status = yield* this.claimInodes();
    if (status < 0) return errnoResult(status);
    this.claims.sort((a, b) => a.deviceBlock - b.deviceBlock);
    return yield* this.sweep();
  }

  // Claims ----------------------------------------------------------------------------------------

  private claim(
    deviceBlock: number,
    count: number,
    use: BlockUse,
    inodeNumber = 0,
    fileBlock = -1,
  ): void {
    const { blocksCount } = this.state.geometry;
    if (count < 1 || deviceBlock >= blocksCount || --this.left < 0) return;
    const inside = Math.min(count, blocksCount - deviceBlock);
    this.claims.push({ deviceBlock, count: inside, use, inodeNumber, fileBlock });
  }

  private claimGroups(): void {
    const { geometry, groups, superblock } = this.state;
    this.claim(0, geometry.firstDataBlock, 'reserved');
    const reserved = superblock.record.u16(SB.reservedDescriptors);
    const tableBlocks = Math.ceil(geometry.groupCount / geometry.descriptorsPerBlock);
    for (let index = 0; index < tableBlocks; index++) {
      this.claim(descriptorBlock(geometry, index), 1, 'descriptors');
    }
    for (let group = 0; group < geometry.groupCount; group++) {
      const first = groups.firstBlock(group);
      const head = headBlocks(geometry, group);
      const copies = hasSuperblock(geometry, group) ? 1 : 0;
      if (copies > 0) this.claim(first, 1, 'superblock');
      if (group > 0) this.claim(first + copies, head - copies, 'descriptors');
      const hasReserved = copies > 0 && geometry.firstMetaGroup === Infinity;
      if (hasReserved) this.claim(first + head, reserved, 'reserved', RESIZE_INODE);
      this.claim(groups.blockBitmap[group] as number, 1, 'bitmap');
      this.claim(groups.inodeBitmap[group] as number, 1, 'bitmap');
      this.claim(groups.inodeTable[group] as number, groups.inodeTableBlocks, 'inodes');
    }
  }

  private *claimInodes(): Task<number> {
    const { geometry, groups, cache } = this.state;
    for (let group = 0; group < geometry.groupCount; group++) {
      if (groups.hasFlag(group, GROUP_FLAG.inodeUninit)) continue;
      if (groups.freeInodes(group) === geometry.inodesPerGroup) continue;
      const bitmap = yield* cache.load(groups.inodeBitmap[group] as number);
      if (typeof bitmap === 'number') return bitmap;
      try {
        const status = yield* this.claimInodesOf(group, bitmap.bytes);
        if (status < 0) return status;
      } finally {
        cache.release(bitmap);
      }
    }
    return 0;
  }

  private *claimInodesOf(group: number, bitmap: Uint8Array): Task<number> {
    const { geometry, groups, cache } = this.state;
    const { inodesPerGroup, inodeBytes, blockBytes } = geometry;
    const perBlock = blockBytes / inodeBytes;
    const table = groups.inodeTable[group] as number;
    for (let first = 0; first < inodesPerGroup; first += perBlock) {
      const end = Math.min(inodesPerGroup, first + perBlock);
      let isUsed = false;
      for (let bit = first; bit < end && !isUsed; bit++) isUsed = testBit(bitmap, bit);
      if (!isUsed) continue;
      const block = yield* cache.load(table + first / perBlock);
      if (typeof block === 'number') return block;
      try {
        for (let bit = first; bit < end; bit++) {
          if (!testBit(bitmap, bit)) continue;
          const number = group * inodesPerGroup + bit + 1;
          const inode = this.decode(number, block);
          if (inode !== null) yield* this.claimInode(inode);
        }
      } finally {
        cache.release(block);
      }
    }
    return 0;
  }

  /** Null: it holds nothing, or cannot be used. */
  private decode(number: number, block: Parameters<typeof inodeRecord>[2]): ExtInode | null {
    const cached = this.state.inodes.get(number);
    if (cached !== undefined) return cached;
    try {
      const record = inodeRecord(this.state, number, block);
      const mode = record.u16(INO.mode);
      const isListed = record.u16(INO.linkCount) > 0 || number === BAD_BLOCKS_INODE;
      if (!isListed || ((mode & MODE_KIND) === 0 && number !== BAD_BLOCKS_INODE)) return null;
      const inode = new ExtInode(this.state, number, mode);
      inode.decode(record);
      return inode;
    } catch (error) {
      if (error instanceof HostError) return null;
      throw error;
    }
  }

  private *claimInode(inode: ExtInode): Task<void> {
    const { inodeNumber: number } = inode;
    if (inode.aclBlock > 0) this.claim(inode.aclBlock, 1, 'map', number);
    const isBad = number === BAD_BLOCKS_INODE;
    // Its other blocks are the descriptors' reserve, which the groups claim.
    if (number === RESIZE_INODE) {
      this.claim(inode.pointers[inode.pointers.length - 2] as number, 1, 'map', number);
      return;
    }
    if (!inode.hasBlockMap && !isBad) return;
    if (inode.unsupported().length > 0 && !isBad) return;
    const use = useOf(inode);
    yield* this.blockMap.walk(inode, {
      data: (fileBlock, deviceBlock, count, isUnwritten) => {
        const kind = isUnwritten && use === 'data' ? 'unwritten' : use;
        this.claim(deviceBlock, count, kind, number, fileBlock);
      },
      indirect: (deviceBlock) => {
        this.claim(deviceBlock, 1, 'map', number);
        return this.left > 0;
      },
    });
  }

  // Sweep -----------------------------------------------------------------------------------------

  private *sweep(): Task<Result<readonly BlockRange[]>> {
    const { geometry, device } = this.state;
    const { blocksCount, blockBytes } = geometry;
    const joined = new Joiner();
    let next = 0;
    for (const claim of this.claims) {
      const end = claim.deviceBlock + claim.count;
      if (end <= next) continue;
      if (claim.deviceBlock > next) {
        const status = yield* this.addGap(joined, next, claim.deviceBlock);
        if (status < 0) return errnoResult(status);
      }
      const from = Math.max(next, claim.deviceBlock);
      const fileBlock = claim.fileBlock < 0 ? -1 : claim.fileBlock + from - claim.deviceBlock;
      joined.add(from, end - from, claim.use, claim.inodeNumber, fileBlock);
      next = end;
    }
    const status = yield* this.addGap(joined, next, blocksCount);
    if (status < 0) return errnoResult(status);
    const deviceBlocks = Math.ceil((device.capacitySectors * SECTOR_BYTES) / blockBytes);
    joined.add(blocksCount, deviceBlocks - blocksCount, 'outside', 0, -1);
    this.claims = [];
    return succeed(joined.ranges);
  }

  /** Blocks that nobody claims: free, or in use by what this code does not know. */
  private *addGap(joined: Joiner, from: number, to: number): Task<number> {
    const { groups, cache, geometry } = this.state;
    for (let at = from; at < to;) {
      const group = groups.groupOf(at);
      const first = groups.firstBlock(group);
      const end = Math.min(to, first + geometry.blocksPerGroup);
      const isUntouched = groups.hasFlag(group, GROUP_FLAG.blockUninit);
      if (isUntouched || groups.freeBlocks(group) === groups.blocksIn(group)) {
        joined.add(at, end - at, 'free', 0, -1);
        at = end;
        continue;
      }
      const bitmap = yield* cache.load(groups.blockBitmap[group] as number);
      if (typeof bitmap === 'number') return bitmap;
      while (at < end) {
        const isSet = testBit(bitmap.bytes, at - first);
        const stop = first + runEnd(bitmap.bytes, at - first, end - first, isSet);
        joined.add(at, stop - at, isSet ? 'reserved' : 'free', 0, -1);
        at = stop;
      }
      cache.release(bitmap);
    }
    return 0;
  }
}

function useOf(inode: ExtInode): BlockUse {
  if (inode.inodeNumber === JOURNAL_INODE) return 'journal';
  if (inode.inodeNumber === BAD_BLOCKS_INODE) return 'reserved';
  return inode.kind === 'directory' ? 'directory' : 'data';
}

/** Where the run of bits like this one ends. */
function runEnd(bitmap: Uint8Array, from: number, end: number, isSet: boolean): number {
  const whole = isSet ? 0xff : 0;
  let bit = from;
  while (bit < end) {
    if ((bit & 7) === 0 && bitmap[bit >> 3] === whole) bit += 8;
    else if (testBit(bitmap, bit) === isSet) bit++;
    else break;
  }
  return Math.min(bit, end);
}

/** Joins neighbours of one use and owner. */
class Joiner {
  readonly ranges: BlockRange[] = [];

  add(
    deviceBlock: number,
    count: number,
    use: BlockUse,
    inodeNumber: number,
    fileBlock: number,
  ): void {
    if (count <= 0) return;
    const last = this.ranges.at(-1);
    const inode = inodeNumber === 0 ? null : inodeNumber;
    const place = fileBlock < 0 ? null : fileBlock;
    if (last?.use === use && last.inodeNumber === inode) {
      const follows =
        last.fileBlock === null ? place === null : last.fileBlock + last.count === place;
      if (follows) {
        this.ranges[this.ranges.length - 1] = { ...last, count: last.count + count };
        return;
      }
    }
    this.ranges.push({ deviceBlock, count, use, inodeNumber: inode, fileBlock: place });
  }
}

/** The range that a block lies in; the ranges are those of a whole device. */
export function rangeOf(ranges: readonly BlockRange[], deviceBlock: number): BlockRange | null {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle] as BlockRange;
    if (deviceBlock < range.deviceBlock) high = middle - 1;
    else if (deviceBlock >= range.deviceBlock + range.count) low = middle + 1;
    else return range;
  }
  return null;
}
