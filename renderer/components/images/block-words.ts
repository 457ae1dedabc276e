// SPDX-License-Identifier: GPL-2.0-only
/** What the block map says of blocks, in words. Pure. */
import { formatBytes, formatCount, formatPercent, joinShown } from '../../format/numbers.ts';
import { USE_WORDS, type ShownUse } from './block-uses.ts';
import type { LayoutIndex, LayoutRange } from './layout-index.ts';

const isWhole = (range: LayoutRange): boolean => range.count === 1;
/** `blocks 10 to 29`, `block 7`. */
export const rangeText = (start: number, count: number): string =>
  count === 1
    ? `block ${formatCount(start)}`
    : `blocks ${formatCount(start)} to ${formatCount(start + count - 1)}`;
/** Whose a range is: a path, an inode that was not found by a name, or nothing. */
export function ownerText(layout: LayoutIndex, range: LayoutRange): string | null {
  if (range.inodeNumber === 0) return null;
  return layout.pathOf(range.inodeNumber) ?? `inode ${formatCount(range.inodeNumber)}`;
}
/** One block in one line: `Block 15: data of /data.bin, its block 5. In blocks 10 to 29, 80 KiB.` */
export function blockText(layout: LayoutIndex, block: number): string {
  const range = layout.rangeAt(block);
  if (range === null) return `Block ${formatCount(block)} is beyond the end`;
  const owner = ownerText(layout, range);
  const parts = [`Block ${formatCount(block)}: ${USE_WORDS[range.use].title}`];
  if (owner !== null) parts.push(` of ${owner}`);
  if (range.fileBlock >= 0) {
    parts.push(`, its block ${formatCount(range.fileBlock + block - range.start)}`);
  }
  parts.push('. ');
  if (!isWhole(range)) {
    const size = joinShown(formatBytes(range.count * layout.blockSizeBytes));
    parts.push(`In ${rangeText(range.start, range.count)}, ${size}.`);
  }
  return parts.join('').trim();
}
export interface UseRow {
  readonly use: ShownUse;
  readonly title: string;
  readonly help: string;
  readonly blocks: string;
  readonly size: string;
  readonly share: string;
  readonly ranges: string;
}
/** The figures of each use, as the legend and the table have them. */
export const useRows = (layout: LayoutIndex): readonly UseRow[] =>
  layout.figures().map(({ use, blocks, ranges }) => {
    const percent = (100 * blocks) / Math.max(1, layout.blockCount);
    return {
      use,
      title: USE_WORDS[use].title,
      help: USE_WORDS[use].help,
      blocks: formatCount(blocks),
      size: joinShown(formatBytes(blocks * layout.blockSizeBytes)),
      share: percent > 0 && percent < 0.1 ? '<\u00a00.1\u00a0%' : formatPercent(percent),
      ranges: formatCount(ranges),
    };
  });
