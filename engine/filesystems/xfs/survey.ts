// SPDX-License-Identifier: GPL-2.0-only
/**
 * Who has which block: walks the trees of every group and the forks of every inode, metadata only. The result serves the block map,
 * the hex view and the check. Blocks that several files share (reflink) are shown as the first one's.
 */
import { HostError, type Task } from '../../base/index.ts';
import { SECTOR_BYTES } from '../../base/index.ts';
import type { BlockRange, BlockUse } from '../../vfs/index.ts';
import { readExtents } from './extent-list.ts';
import {
  readFreeHeader,
  readFreeList,
  readInodeHeader,
  walkTree,
  type TreeRoot,
} from './group-trees.ts';
import { decodeInode, type Fork, type InodeRecord } from './inode.ts';
import { AGF, AGI, INODES_PER_CHUNK, TREE, type TreeKind } from './layout.ts';
import { XfsRecord, type Field } from './record.ts';
import type { XfsVolume } from './volume.ts';

/** Counts of a group, as its trees say. */
export interface GroupCounts {
  readonly group: number;
  freeBlocks: number;
  longestFree: number;
  inodes: number;
  freeInodes: number;
}

export interface Survey {
  /** Every block of the device once, in order. */
  readonly ranges: readonly BlockRange[];
  readonly groups: readonly GroupCounts[];
  /** Two owners of one block that may not share it. */
  readonly overlaps: readonly { readonly deviceBlock: number; readonly what: string }[];
}

interface Chunk {
  readonly firstInode: number;
  readonly firstBlock: number;
  readonly freeHigh: number;
  readonly freeLow: number;
  readonly holeMask: number;
}

const OVERLAPS_MAX = 100;

/** Where damage goes: thrown, or to a list where the walk is to go on. */
export type OnDamage = ((error: HostError) => void) | null;

export function* surveyVolume(volume: XfsVolume, onDamage: OnDamage = null): Task<Survey> {
  const walk = new SurveyWalk(volume, onDamage);
  for (let group = 0; group < volume.geometry.groupCount; group++) yield* walk.group(group);
  walk.log();
  return walk.finish();
}

class SurveyWalk {
  private readonly claims: BlockRange[] = [];
  private readonly groups: GroupCounts[] = [];

  constructor(
    private readonly volume: XfsVolume,
    private readonly onDamage: OnDamage,
  ) {}

  private claim(
    deviceBlock: number,
    count: number,
    use: BlockUse,
    inodeNumber: number | null = null,
    fileBlock: number | null = null,
  ): void {
    this.claims.push({ deviceBlock, count, use, inodeNumber, fileBlock });
  }

  /** Runs a part of the walk; where damage is collected it goes on behind it. */
  private *attempt(part: Task<void>): Task<void> {
    try {
      yield* part;
    } catch (error) {
      if (!(error instanceof HostError) || this.onDamage === null) throw error;
      this.onDamage(error);
    }
  }

  *group(group: number): Task<void> {
    const { groupBlocks, headerBlocks } = this.volume.geometry;
    const start = group * groupBlocks;
    this.claim(start, 1, 'superblock');
    if (headerBlocks > 1) this.claim(start + 1, headerBlocks - 1, 'descriptors');
    const counts = { group, freeBlocks: 0, longestFree: 0, inodes: 0, freeInodes: 0 };
    this.groups.push(counts);
    yield* this.attempt(this.space(group, counts));
    const chunks: Chunk[] = [];
    yield* this.attempt(this.inodeTrees(group, counts, chunks));
    for (const chunk of chunks) yield* this.attempt(this.chunk(chunk));
  }

  private *space(group: number, counts: GroupCounts): Task<void> {
    const { volume } = this;
    const { groupBlocks, hasReverseMap, hasReflink } = volume.geometry;
    const start = group * groupBlocks;
    const agf = yield* readFreeHeader(volume, group);
    for (const block of yield* readFreeList(volume, group, agf)) {
      this.claim(start + block, 1, 'reserved');
    }
    const free = (leaf: XfsRecord, at: number, index: number): void => {
      const first = leaf.u32(at);
      const count = leaf.u32(at + 4);
      const name = `recs[${String(index + 1)}]`;
      volume.checkInGroup(leaf, `${name}.startblock`, group, first);
      if (count < 1 || first + count > volume.groupLength(group)) {
        throw leaf.damaged(`${name}.blockcount`, count, 'blocks inside the group');
      }
      counts.freeBlocks += count;
      counts.longestFree = Math.max(counts.longestFree, count);
      this.claim(start + first, count, 'free');
    };
    yield* this.tree(TREE.bno, rootOf(group, agf, AGF.bnoroot, AGF.bnolevel), free);
    yield* this.tree(TREE.cnt, rootOf(group, agf, AGF.cntroot, AGF.cntlevel));
    if (hasReverseMap) {
      yield* this.tree(TREE.rmap, rootOf(group, agf, AGF.rmaproot, AGF.rmaplevel));
    }
    if (hasReflink) {
      yield* this.tree(TREE.refcount, rootOf(group, agf, AGF.refcntroot, AGF.refcntlevel));
    }
  }

  private *tree(
    kind: TreeKind,
    root: TreeRoot,
    record: (leaf: XfsRecord, at: number, index: number) => void = () => undefined,
  ): Task<void> {
    const start = root.group * this.volume.geometry.groupBlocks;
    const block = (inGroup: number): void => {
      this.claim(start + inGroup, 1, 'tree');
    };
    yield* walkTree(this.volume, kind, root, { block, record });
  }

  private *inodeTrees(group: number, counts: GroupCounts, chunks: Chunk[]): Task<void> {
    const { volume } = this;
    const { hasFreeInodeTree } = volume.geometry;
    const agi = yield* readInodeHeader(volume, group);
    yield* this.tree(TREE.ino, rootOf(group, agi, AGI.root, AGI.level), (leaf, at, index) => {
      const chunk = this.chunkOf(leaf, at, index, group);
      chunks.push(chunk);
      const holes = bitCount(chunk.holeMask) * 4;
      const free = bitCount(chunk.freeHigh) + bitCount(chunk.freeLow);
      counts.inodes += INODES_PER_CHUNK - holes;
      counts.freeInodes += free - holes;
    });
    if (hasFreeInodeTree) {
      yield* this.tree(TREE.fino, rootOf(group, agi, AGI.free_root, AGI.free_level));
    }
  }

  private chunkOf(leaf: XfsRecord, at: number, index: number, group: number): Chunk {
    const { geometry } = this.volume;
    const { inodesPerBlock, inodesPerBlockBits, groupBlockBits, groupBlocks } = geometry;
    const start = leaf.u32(at);
    const inGroup = Math.floor(start / inodesPerBlock);
    const holeMask = geometry.hasSparseInodes ? leaf.u16(at + 4) : 0;
    const name = `recs[${String(index + 1)}].startino`;
    const blocks = INODES_PER_CHUNK / inodesPerBlock;
    const isInside =
      start % inodesPerBlock === 0 &&
      inGroup >= geometry.headerBlocks &&
      (holeMask !== 0 || inGroup + blocks <= this.volume.groupLength(group));
    if (!isInside) throw leaf.damaged(name, start, 'a chunk of inodes inside the group');
    return {
      firstInode: group * 2 ** (groupBlockBits + inodesPerBlockBits) + start,
      firstBlock: group * groupBlocks + inGroup,
      freeHigh: leaf.u32(at + 8),
      freeLow: leaf.u32(at + 12),
      holeMask,
    };
  }

  /** The blocks of a chunk, and the forks of its inodes in use. */
  private *chunk(chunk: Chunk): Task<void> {
    const { volume } = this;
    const { inodesPerBlock, blocksCount, inodeBytes } = volume.geometry;
    for (let block = 0; block < INODES_PER_CHUNK / inodesPerBlock; block++) {
      const firstIndex = block * inodesPerBlock;
      const deviceBlock = chunk.firstBlock + block;
      if ((chunk.holeMask & (1 << (firstIndex >> 2))) !== 0) continue;
      if (deviceBlock >= blocksCount) continue;
      this.claim(deviceBlock, 1, 'inodes');
      const bytes = yield* volume.bytes(deviceBlock);
      for (let slot = 0; slot < inodesPerBlock; slot++) {
        const index = firstIndex + slot;
        const word = index < 32 ? chunk.freeLow : chunk.freeHigh;
        if (((word >>> (index & 31)) & 1) !== 0) continue;
        const number = chunk.firstInode + index;
        const own = bytes.subarray(slot * inodeBytes, (slot + 1) * inodeBytes);
        const record = new XfsRecord(`inode ${String(number)}`, deviceBlock, own);
        yield* this.attempt(this.inode(record, number));
      }
    }
  }

  private *inode(record: XfsRecord, number: number): Task<void> {
    const content = decodeInode(this.volume.geometry, record, number);
    if (content === null) {
      throw record.damaged('core.mode', 0, 'one of an inode in use, as the inode tree says');
    }
    yield* this.fork(content, content.data, false);
    if (content.attributes !== null) yield* this.fork(content, content.attributes, true);
  }

  private *fork(content: InodeRecord, fork: Fork, isAttributes: boolean): Task<void> {
    const { inodeNumber, kind } = content;
    const list = yield* readExtents(this.volume, inodeNumber, fork);
    for (const block of list.mapBlocks) this.claim(block, 1, 'map', inodeNumber);
    for (let index = 0; index < list.count; index++) {
      const length = list.lengths[index] as number;
      const place = list.deviceBlocks[index] as number;
      const use = isAttributes
        ? 'reserved'
        : kind === 'directory'
          ? 'directory'
          : length < 0
            ? 'unwritten'
            : 'data';
      const fileBlock = isAttributes ? null : (list.fileBlocks[index] as number);
      this.claim(place, Math.abs(length), use, inodeNumber, fileBlock);
    }
  }

  log(): void {
    const { logStart, logBlocks } = this.volume.geometry;
    this.claim(logStart, logBlocks, 'journal');
  }

  finish(): Survey {
    const { geometry, device } = this.volume;
    const deviceBlocks = Math.floor((device.capacitySectors * SECTOR_BYTES) / geometry.blockBytes);
    const overlaps: { deviceBlock: number; what: string }[] = [];
    const sorted = this.claims.sort((a, b) => a.deviceBlock - b.deviceBlock);
    const ranges = new RangeList();
    for (const claim of sorted) {
      const cut = Math.max(0, ranges.end - claim.deviceBlock);
      if (cut > 0 && !this.mayShare(ranges.last, claim) && overlaps.length < OVERLAPS_MAX) {
        overlaps.push({ deviceBlock: claim.deviceBlock, what: overlapText(ranges.last, claim) });
      }
      if (cut >= claim.count) continue;
      ranges.gap(claim.deviceBlock + cut, 'reserved');
      ranges.add({
        ...claim,
        deviceBlock: claim.deviceBlock + cut,
        count: claim.count - cut,
        fileBlock: claim.fileBlock === null ? null : claim.fileBlock + cut,
      });
    }
    ranges.gap(geometry.blocksCount, 'reserved');
    ranges.gap(deviceBlocks, 'outside');
    return { ranges: ranges.ranges, groups: this.groups, overlaps };
  }

  private mayShare(one: BlockRange | undefined, other: BlockRange): boolean {
    const isData = (use: BlockUse | undefined): boolean => use === 'data' || use === 'unwritten';
    return this.volume.geometry.hasReflink && isData(one?.use) && isData(other.use);
  }
}

function rootOf(group: number, header: XfsRecord, root: Field, levels: Field): TreeRoot {
  const inGroup = header.number(root);
  return { group, inGroup, levels: header.number(levels), header, field: root.name };
}

function bitCount(word: number): number {
  let count = 0;
  for (let left = word >>> 0; left !== 0; left = (left & (left - 1)) >>> 0) count++;
  return count;
}

const owner = (range: BlockRange | undefined): string =>
  range === undefined
    ? 'nothing'
    : range.inodeNumber === null
      ? range.use
      : `${range.use} of inode ${String(range.inodeNumber)}`;

const overlapText = (one: BlockRange | undefined, other: BlockRange): string =>
  `it is ${owner(one)} and ${owner(other)}`;

/** Ranges in order, joined where use, owner and place go on. */
class RangeList {
  readonly ranges: BlockRange[] = [];
  end = 0;

  get last(): BlockRange | undefined {
    return this.ranges.at(-1);
  }
  gap(to: number, use: BlockUse): void {
    if (to <= this.end) return;
    const { end } = this;
    const count = to - end;
    this.add({ deviceBlock: end, count, use, inodeNumber: null, fileBlock: null });
  }
  add(range: BlockRange): void {
    const { last } = this;
    this.end = range.deviceBlock + range.count;
    const joins =
      last?.use === range.use &&
      last.inodeNumber === range.inodeNumber &&
      (last.fileBlock === null
        ? range.fileBlock === null
        : last.fileBlock + last.count === range.fileBlock);
    if (joins) this.ranges[this.ranges.length - 1] = { ...last, count: last.count + range.count };
    else this.ranges.push(range);
  }
}
