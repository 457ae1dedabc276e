// SPDX-License-Identifier: GPL-2.0-only
/** The file system of a scenario: one inode whose block map is a list of extents (FORMAT.md, section 2, "Map call"). */
import { ERRNO, MAP_FLAG, type Errno, type KernelReturn } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type { BlockMapping } from '../../vfs/index.ts';
import type { FullScenario } from './scenario.ts';

export interface Extent {
  fileBlock: number;
  count: number;
  diskBlock: number;
  isUnwritten: boolean;
}

/** -errno for a name of the format. */
export function errorNumber(name: string): number {
  const value = ERRNO[name as Errno] as number | undefined;
  return value === undefined ? -ERRNO.EIO : -value;
}

export class ScenarioFiles {
  extents: Extent[];
  private nextFreeBlock: number;
  private readonly allocationMax: number;
  private callCount = 0;
  private readonly errors: ReadonlyMap<number, number>;

  constructor(
    private readonly scenario: FullScenario,
    private readonly device: BlockDevice,
  ) {
    this.extents = scenario.extents.map((extent) => ({
      fileBlock: extent[0],
      count: extent[1],
      diskBlock: extent[2],
      isUnwritten: extent[3] === 'u',
    }));
    [this.nextFreeBlock, this.allocationMax] = scenario.alloc;
    this.errors = new Map(scenario.gberr.map(([call, name]) => [call, errorNumber(name)]));
  }

  /** The map call: rules 1 to 7 of the format, in their order. */
  readonly getBlock = (fileBlock: number, mapping: BlockMapping, create: boolean): KernelReturn => {
    const { scenario } = this;
    const call = ++this.callCount;
    const error = this.errors.get(call);
    if (error !== undefined) return error;
    const blockBytes = 1 << scenario.blkbits;
    const asked = mapping.lengthBytes / blockBytes;
    const extent = this.extentAt(fileBlock);
    const isHole = extent === undefined;
    let count = Math.min(asked, this.blocksLeft(fileBlock, extent));
    let flags = 0;
    if (extent !== undefined) {
      if (!extent.isUnwritten) flags = MAP_FLAG.mapped;
      else
        flags = create ? MAP_FLAG.mapped | MAP_FLAG.new | MAP_FLAG.unwritten : MAP_FLAG.unwritten;
    } else if (create && scenario.nocreate === 0) flags = MAP_FLAG.mapped | MAP_FLAG.new;
    const isMapped = (flags & MAP_FLAG.mapped) !== 0;
    if (scenario.maxmap > 0) count = Math.min(count, scenario.maxmap);
    const allocates = isHole && isMapped;
    if (allocates && this.allocationMax > 0) count = Math.min(count, this.allocationMax);
    if (isMapped && scenario.boundary > 0) {
      const toBoundary = scenario.boundary - (fileBlock % scenario.boundary);
      if (count >= toBoundary) {
        count = toBoundary;
        flags |= MAP_FLAG.boundary;
      }
    }
    let diskBlock = extent === undefined ? 0 : extent.diskBlock + (fileBlock - extent.fileBlock);
    if (allocates) {
      if ((this.nextFreeBlock + count) * blockBytes > scenario.sectors * 512) return -ERRNO.ENOSPC;
      diskBlock = this.nextFreeBlock;
      this.nextFreeBlock += count;
      this.extents.push({ fileBlock, count, diskBlock, isUnwritten: false });
    }
    if (scenario.defer !== 0 && (flags & MAP_FLAG.new) !== 0) flags |= MAP_FLAG.defer;
    mapping.flags = flags;
    mapping.lengthBytes = count * blockBytes;
    if (isMapped) {
      mapping.deviceBlock = diskBlock;
      mapping.device = this.device;
      if (scenario.priv !== 0) mapping.driverData = call;
    }
    return 0;
  };

  private extentAt(fileBlock: number): Extent | undefined {
    return this.extents.find(
      (extent) => extent.fileBlock <= fileBlock && fileBlock < extent.fileBlock + extent.count,
    );
  }

  /** To the end of the extent, or of the hole. */
  private blocksLeft(fileBlock: number, extent: Extent | undefined): number {
    if (extent !== undefined) return extent.fileBlock + extent.count - fileBlock;
    let left = Infinity;
    for (const next of this.extents) {
      if (next.fileBlock > fileBlock) left = Math.min(left, next.fileBlock - fileBlock);
    }
    return left;
  }

  /** Unwritten blocks that overlap a written range become mapped; their extent falls into at most three. */
  markWritten(firstByte: number, lastByte: number): void {
    const blockBytes = 1 << this.scenario.blkbits;
    const first = Math.floor(firstByte / blockBytes);
    const end = Math.floor(lastByte / blockBytes) + 1;
    const next: Extent[] = [];
    for (const extent of this.extents) {
      const extentEnd = extent.fileBlock + extent.count;
      if (!extent.isUnwritten || extentEnd <= first || extent.fileBlock >= end) {
        next.push(extent);
        continue;
      }
      const cuts = [extent.fileBlock, Math.max(extent.fileBlock, first)];
      cuts.push(Math.min(extentEnd, end), extentEnd);
      for (let part = 0; part < 3; part++) {
        const from = cuts[part] as number;
        const count = (cuts[part + 1] as number) - from;
        if (count === 0) continue;
        const diskBlock = extent.diskBlock + (from - extent.fileBlock);
        next.push({ fileBlock: from, count, diskBlock, isUnwritten: part !== 1 });
      }
    }
    this.extents = next;
  }

  /** vmtruncate: blocks from the new end on leave the map; their place on disk is not used again. */
  truncate(sizeBytes: number): void {
    const end = Math.ceil(sizeBytes / (1 << this.scenario.blkbits));
    this.extents = this.extents
      .filter((extent) => extent.fileBlock < end)
      .map((extent) => ({ ...extent, count: Math.min(extent.count, end - extent.fileBlock) }));
  }
}
