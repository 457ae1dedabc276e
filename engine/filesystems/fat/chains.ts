// SPDX-License-Identifier: GPL-2.0-only
/**
 * Chains of clusters: mapping, growing, cutting (fs/fat/cache.c, inode.c, file.c). Each inode keeps the runs of its chain as far as
 * they were walked, so a chain is walked once, whatever the order of requests.
 *
 * Rules: 1. A block is a sector, and one call maps to the end of its cluster at most, as in the kernel. 2. What lies between the end
 * of the data and a write is filled with zeros through the page cache (cont_write_begin): a file has no holes. 3. A chain has no more
 * clusters than the volume: a longer one is a circle. 4. Clusters that a cut frees are used again only after a commit.
 */
import {
  ERRNO,
  isTask,
  MAP_FLAG,
  PAGE_BYTES,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { BlockMapping, GetBlock, Inode } from '../../vfs/index.ts';
import { isCluster, sectorOfCluster } from './boot-sector.ts';
import { MISSING } from './fat-table.ts';
import type { FatInode } from './inode.ts';
import { BAD, END } from './layout.ts';
import { noteDamage, type FatState } from './state.ts';

/** The chain ends before the cluster that was asked for. */
export const BEYOND = 0;
/** A piece of the FAT has to be read first. */
const SLEEPS = -100_000;
/** The end of a chain, for `walk`. */
export const WHOLE_CHAIN = Number.MAX_SAFE_INTEGER;
/** Pages of zeros are written back in such batches. */
const ZERO_BATCH_BYTES = 4 * 1024 * 1024;

export class Chains {
  constructor(private readonly state: FatState) {}

  /** fat_get_block */
  readonly getBlock: GetBlock = (inode, fileBlock, mapping, create) =>
    this.map(inode as FatInode, fileBlock, mapping, create, false);

  /** The page cache's: pages of zeros on their way to a larger size are written back before the size is there. */
  readonly getBlockOfPage: GetBlock = (inode: Inode, fileBlock, mapping, create) =>
    this.map(inode as FatInode, fileBlock, mapping, create, true);

  private map(
    inode: FatInode,
    fileBlock: number,
    mapping: BlockMapping,
    create: boolean,
    isPage: boolean,
  ): MaybeTask<KernelReturn> {
    const { sectorBytes, sectorsPerCluster } = this.state.geometry;
    let limit = Math.ceil(inode.sizeBytes / sectorBytes);
    if (fileBlock >= limit && (create || isPage)) {
      limit = Math.ceil(inode.allocatedBytes / sectorBytes);
    }
    if (fileBlock >= limit) return create ? this.append(inode, fileBlock, mapping) : 0;
    const cluster = this.find(inode, Math.floor(fileBlock / sectorsPerCluster));
    if (cluster === SLEEPS) return this.mapLater(inode, fileBlock, mapping, limit);
    return this.answer(inode, cluster, fileBlock, mapping, limit);
  }

  private *mapLater(
    inode: FatInode,
    fileBlock: number,
    mapping: BlockMapping,
    limit: number,
  ): Task<KernelReturn> {
    const index = Math.floor(fileBlock / this.state.geometry.sectorsPerCluster);
    const cluster = yield* this.walk(inode, index);
    return this.answer(inode, cluster, fileBlock, mapping, limit);
  }

  private answer(
    inode: FatInode,
    cluster: number,
    fileBlock: number,
    mapping: BlockMapping,
    limit: number,
  ): KernelReturn {
    if (cluster < 0) return cluster;
    if (cluster === BEYOND) {
      noteDamage(this.state, `inode ${String(inode.inodeNumber)} is longer than its chain`);
      return -ERRNO.EIO;
    }
    const { geometry, device } = this.state;
    const offset = fileBlock % geometry.sectorsPerCluster;
    const count = Math.min(geometry.sectorsPerCluster - offset, limit - fileBlock);
    mapping.device = device;
    mapping.deviceBlock = sectorOfCluster(geometry, cluster) + offset;
    mapping.flags |= MAP_FLAG.mapped;
    const bytes = count * geometry.sectorBytes;
    if (mapping.lengthBytes > bytes) mapping.lengthBytes = bytes;
    return 0;
  }

  /** The end of __fat_get_block: the next block of a file that grows, in its last cluster or a new one. */
  private *append(inode: FatInode, fileBlock: number, mapping: BlockMapping): Task<KernelReturn> {
    const { sectorBytes, sectorsPerCluster } = this.state.geometry;
    if (fileBlock !== Math.floor(inode.allocatedBytes / sectorBytes)) return -ERRNO.EIO;
    const index = Math.floor(fileBlock / sectorsPerCluster);
    let cluster = yield* this.walk(inode, index);
    if (cluster === BEYOND) cluster = yield* this.addCluster(inode);
    if (cluster < 0) return cluster;
    const left = sectorsPerCluster - (fileBlock % sectorsPerCluster);
    const asked = Math.max(1, Math.floor(mapping.lengthBytes / sectorBytes));
    const count = Math.min(left, asked);
    inode.allocatedBytes = (fileBlock + count) * sectorBytes;
    mapping.flags |= MAP_FLAG.new;
    return this.answer(inode, cluster, fileBlock, mapping, fileBlock + count);
  }

  // Walking ---------------------------------------------------------------------------------------

  /** fat_get_cluster: the cluster at an index of the chain, BEYOND, SLEEPS, or minus an errno. Never sleeps. */
  private find(inode: FatInode, index: number): number {
    if (index < inode.walkedClusters) return runAt(inode.runs, index);
    if (inode.isWalked) return BEYOND;
    const { table, geometry } = this.state;
    while (inode.walkedClusters <= index) {
      const { runs } = inode;
      let next = inode.startCluster;
      if (runs.length > 0) {
        const last = runs.length - 3;
        const entry = table.peek((runs[last + 1] as number) + (runs[last + 2] as number) - 1);
        if (entry === MISSING) return SLEEPS;
        next = entry;
      }
      const isEmpty = runs.length === 0 && next === 0;
      if (next === END || isEmpty) {
        inode.isWalked = true;
        return BEYOND;
      }
      if (!isCluster(geometry, next) || inode.walkedClusters >= geometry.clusterCount) {
        const why = next === BAD ? 'a bad cluster' : `cluster ${String(next)}`;
        const where = `cluster ${String(inode.walkedClusters)} of inode ${String(inode.inodeNumber)}`;
        noteDamage(this.state, `the chain is broken: ${where} is ${why}`);
        return -ERRNO.EIO;
      }
      pushRun(inode, next);
    }
    return runAt(inode.runs, index);
  }

  /** The same, reading what has to be read. */
  *walk(inode: FatInode, index: number): Task<number> {
    for (;;) {
      const cluster = this.find(inode, index);
      if (cluster !== SLEEPS) return cluster;
      const last = inode.runs.length - 3;
      const from = (inode.runs[last + 1] as number) + (inode.runs[last + 2] as number) - 1;
      const status = yield* this.state.table.load(from);
      if (status < 0) return status;
    }
  }

  // Growing ---------------------------------------------------------------------------------------

  /** fat_add_cluster: one more at the end of the chain, whose end is known. The cluster, or minus an errno. */
  *addCluster(inode: FatInode): Task<number> {
    const { state } = this;
    const { table } = state;
    const walked = yield* this.walk(inode, WHOLE_CHAIN);
    if (walked < 0) return walked;
    const last = inode.runs.length - 3;
    const tail =
      last < 0 ? 0 : (inode.runs[last + 1] as number) + (inode.runs[last + 2] as number) - 1;
    table.holdCount++;
    try {
      if (tail !== 0) {
        const status = yield* table.load(tail);
        if (status < 0) return status;
      }
      const cluster = yield* table.findFree(state.lastAllocated + 1);
      if (cluster < 0) return cluster;
      if (cluster === 0) return -ERRNO.ENOSPC;
      table.set(cluster, END);
      if (tail !== 0) table.set(tail, cluster);
      else inode.startCluster = cluster;
      state.lastAllocated = cluster;
      state.freeClusters--;
      state.isInfoDirty = true;
      pushRun(inode, cluster);
      inode.markDirty();
      return cluster;
    } finally {
      table.holdCount--;
    }
  }

  /**
   * cont_expand_zero: everything from the end of the data to `endBytes` becomes zeros; the size follows. What was there before stays
   * where it fails: the caller cuts. The lock is held.
   */
  *zeroTo(inode: FatInode, endBytes: number): Task<KernelReturn> {
    const { sectorBytes } = this.state.geometry;
    let unbalanced = 0;
    while (inode.allocatedBytes < endBytes) {
      const from = inode.allocatedBytes;
      const pageIndex = Math.floor(from / PAGE_BYTES);
      const start = pageIndex * PAGE_BYTES;
      const to = Math.min(PAGE_BYTES, endBytes - start);
      inode.allocatedBytes = Math.ceil(from / sectorBytes) * sectorBytes;
      const status = yield* this.zeroPart(inode, pageIndex, from - start, to);
      if (status < 0) return status;
      if (inode.sizeBytes < start + to) {
        inode.sizeBytes = start + to;
        inode.markDirty();
      }
      unbalanced += to;
      if (unbalanced < ZERO_BATCH_BYTES) continue;
      unbalanced = 0;
      yield* inode.mapping.writeRange(0, Number.MAX_SAFE_INTEGER, false);
    }
    if (inode.sizeBytes < endBytes) {
      inode.sizeBytes = endBytes;
      inode.markDirty();
    }
    return 0;
  }

  /** Zeros into a part of one page, through the page cache. */
  *zeroPart(inode: FatInode, pageIndex: number, from: number, to: number): Task<KernelReturn> {
    const { mapping } = inode;
    const page = yield* mapping.lockPage(pageIndex);
    if (typeof page === 'number') return page;
    const error = yield* mapping.prepareWrite(page, from, to);
    if (error === 0) {
      this.state.kernel.memory.bytes.fill(0, page.address + from, page.address + to);
      mapping.markDirty(page, from, to);
    }
    mapping.unlockPage(page);
    return error;
  }

  /** cont_write_begin, before the first byte of a buffered write. What fails leaves the file as it was. */
  beforeBufferedWrite(
    inode: FatInode,
    positionBytes: number,
    endBytes: number,
  ): MaybeTask<KernelReturn> {
    if (endBytes <= inode.allocatedBytes) return 0;
    const { sectorBytes } = this.state.geometry;
    if (positionBytes > inode.allocatedBytes) return this.fillGap(inode, positionBytes);
    inode.allocatedBytes = Math.ceil(inode.allocatedBytes / sectorBytes) * sectorBytes;
    return 0;
  }

  private *fillGap(inode: FatInode, positionBytes: number): Task<KernelReturn> {
    const sizeBytes = inode.sizeBytes;
    const { sectorBytes } = this.state.geometry;
    const status = yield* this.zeroTo(inode, positionBytes);
    if (status < 0) {
      yield* this.cut(inode, sizeBytes);
      return status;
    }
    inode.allocatedBytes = Math.ceil(inode.allocatedBytes / sectorBytes) * sectorBytes;
    return 0;
  }

  // Cutting ---------------------------------------------------------------------------------------

  /** Size, pages and clusters go back to `sizeBytes`. The lock is held, and nothing is in flight. */
  *cut(inode: FatInode, sizeBytes: number): Task<KernelReturn> {
    if (inode.sizeBytes !== sizeBytes) {
      inode.sizeBytes = sizeBytes;
      inode.noteCut();
      inode.markDirty();
    }
    yield* inode.mapping.truncate(sizeBytes);
    if (inode.allocatedBytes > sizeBytes) inode.allocatedBytes = sizeBytes;
    return yield* this.truncate(inode, Math.ceil(sizeBytes / this.state.geometry.clusterBytes));
  }

  /** fat_free: the chain ends after `keep` clusters; the rest is free once the disk knows. */
  *truncate(inode: FatInode, keep: number): Task<KernelReturn> {
    const { state } = this;
    const status = yield* this.walk(inode, WHOLE_CHAIN);
    // A broken chain gives up what could be walked; the rest is for fsck.
    if (inode.walkedClusters <= keep) return status < 0 ? status : 0;
    inode.noteCut();
    if (keep > 0) {
      const tail = runAt(inode.runs, keep - 1);
      const loaded = yield* state.table.load(tail);
      if (loaded < 0) return loaded;
      state.table.set(tail, END);
    } else inode.startCluster = 0;
    const kept: number[] = [];
    for (let at = 0; at < inode.runs.length; at += 3) {
      const [index, cluster, count] = inode.runs.slice(at, at + 3) as [number, number, number];
      const stays = Math.min(count, Math.max(0, keep - index));
      if (stays > 0) kept.push(index, cluster, stays);
      if (stays < count) state.pendingFrees.push(cluster + stays, count - stays);
      state.pendingFreeClusters += count - stays;
    }
    inode.runs = kept;
    inode.walkedClusters = keep;
    inode.isWalked = true;
    inode.markDirty();
    return 0;
  }
}

/** The cluster at an index that lies inside the runs. */
export function runAt(runs: readonly number[], index: number): number {
  let low = 0;
  let high = runs.length / 3 - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((runs[middle * 3] as number) <= index) low = middle;
    else high = middle - 1;
  }
  return (runs[low * 3 + 1] as number) + index - (runs[low * 3] as number);
}

function pushRun(inode: FatInode, cluster: number): void {
  const { runs } = inode;
  const last = runs.length - 3;
  if (last >= 0 && (runs[last + 1] as number) + (runs[last + 2] as number) === cluster) {
    runs[last + 2] = (runs[last + 2] as number) + 1;
  } else runs.push(inode.walkedClusters, cluster, 1);
  inode.walkedClusters++;
}

/** Waits where something is a task. */
export function* settled<T>(value: MaybeTask<T>): Task<T> {
  return isTask(value) ? yield* value : value;
}
