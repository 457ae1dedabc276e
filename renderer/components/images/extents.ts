// SPDX-License-Identifier: GPL-2.0-only
/** How a file lies: its extents as a layout of its own (by file block, holes included), counted, and in words. Pure. */
import type { FileExtent } from '../../../main/contract/index.ts';
import { formatBytes, formatCount, joinShown } from '../../format/numbers.ts';
import { SHOWN_USES, type ShownUse } from './block-uses.ts';
import { LayoutIndex } from './layout-index.ts';

const USE_OF_STATE: Readonly<Record<FileExtent['state'], ShownUse>> = {
  hole: 'hole',
  mapped: 'data',
  unwritten: 'unwritten',
  inline: 'data',
  compressed: 'data',
};
/** For the raster: the file's blocks in the place of the device's. */
export function extentIndex(extents: readonly FileExtent[], blockSizeBytes: number): LayoutIndex {
  const last = extents.at(-1);
  return new LayoutIndex({
    fileSystemId: '',
    blockSizeBytes,
    blockCount: last ? last.fileBlock + last.count : 0,
    start: extents.map((each) => each.fileBlock),
    count: extents.map((each) => each.count),
    use: extents.map((each) => SHOWN_USES.indexOf(USE_OF_STATE[each.state])),
    inodeNumber: extents.map(() => 0),
    fileBlock: extents.map(() => -1),
    owners: [],
  });
}
export interface ExtentCounts {
  /** Pieces of the device, neighbours joined. */
  readonly extents: number;
  readonly mappedBlocks: number;
  readonly holes: number;
  readonly unwrittenBlocks: number;
  /** Not mapped to blocks as they are: kept in the metadata, or compressed. */
  readonly indirect: number;
}
export function extentCounts(extents: readonly FileExtent[]): ExtentCounts {
  let pieces = 0;
  let next = -1;
  const sum = (state: FileExtent['state']): number =>
    extents.reduce((total, each) => total + (each.state === state ? each.count : 0), 0);
  for (const { deviceBlock, count } of extents) {
    if (deviceBlock === null) continue;
    if (deviceBlock !== next) pieces += 1;
    next = deviceBlock + count;
  }
  return {
    extents: pieces,
    mappedBlocks: sum('mapped'),
    holes: extents.filter((each) => each.state === 'hole').length,
    unwrittenBlocks: sum('unwritten'),
    indirect: extents.filter(({ state }) => state === 'inline' || state === 'compressed').length,
  };
}
/** `16 extents, 3 holes, 12 blocks unwritten`. */
export function extentText(counts: ExtentCounts): string {
  const many = (count: number, one: string): string =>
    `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;
  if (counts.extents === 0) {
    if (counts.indirect > 0)
      return 'Kept in the metadata or compressed: not block by block on the device';
    return counts.holes > 0 ? 'All of it is a hole: no block of the device' : 'No block of its own';
  }
  const parts = [counts.extents === 1 ? 'In one piece' : `In ${many(counts.extents, 'piece')}`];
  if (counts.holes > 0) parts.push(many(counts.holes, 'hole'));
  if (counts.unwrittenBlocks > 0) parts.push(`${many(counts.unwrittenBlocks, 'block')} unwritten`);
  if (counts.indirect > 0) parts.push(`${many(counts.indirect, 'piece')} inline or compressed`);
  return parts.join(', ');
}
/** A length for the axis of a histogram: `8 KiB`. */
export const sizeText = (bytes: number): string => joinShown(formatBytes(bytes));
