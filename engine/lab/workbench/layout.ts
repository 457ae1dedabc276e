// SPDX-License-Identifier: GPL-2.0-only
/** The block map of a whole image, and the figures of fragmentation that follow from it. */
import { HostError, type Task } from '../../base/index.ts';
import { BLOCK_USES, type BlockRange } from '../../vfs/contract.ts';
import { statOf, taken } from '../image/paths.ts';
import type { Fragmentation, ImageLayout } from '../workbench.ts';
import { notKnown, type OpenPlace } from './place.ts';
import { walkTree, type Tree } from './tree.ts';

const OWNERS_MAX = 100_000;
const RANGES_MAX = 2_000_000;
const WORST_MAX = 100;
/** Bins of free space: below 16 KiB, 64 KiB, ... 4 GiB, and everything longer. */
const BIN_POWERS = [14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 50] as const;

function* rangesOf(open: OpenPlace): Task<readonly BlockRange[]> {
  const { fileSystem, image } = open;
  if (fileSystem.layout === undefined) throw notKnown(open, 'The use of each block');
  const ranges = taken(yield* fileSystem.layout(), image, '/');
  if (ranges.length <= RANGES_MAX) return ranges;
  throw new HostError({
    code: 'image.too-fragmented',
    message: `the block map has ${String(ranges.length)} runs of blocks, more than the ${String(RANGES_MAX)} that are shown`,
    where: image,
    hint: 'Look at single files with diolab map, or at single blocks with diolab block.',
    exitCode: 65,
  });
}

/** `layout` of the contract. */
export function* imageLayout(open: OpenPlace): Task<ImageLayout> {
  const { fileSystem } = open;
  const ranges = yield* rangesOf(open);
  const wanted = new Set<number>();
  for (const { inodeNumber } of ranges) if (inodeNumber !== null) wanted.add(inodeNumber);
  const { rootInodeNumber, moduleId, blockSizeBytes } = fileSystem;
  const { entries } = yield* walkTree(fileSystem, rootInodeNumber, OWNERS_MAX);
  const owners: { inodeNumber: number; path: string }[] = [];
  for (const { inodeNumber, path } of [{ inodeNumber: rootInodeNumber, path: '' }, ...entries]) {
    if (!wanted.delete(inodeNumber)) continue;
    owners.push({ inodeNumber, path: `/${path}` });
  }
  const last = ranges.at(-1);
  return {
    fileSystemId: moduleId,
    blockSizeBytes,
    blockCount: last === undefined ? 0 : last.deviceBlock + last.count,
    start: ranges.map((range) => range.deviceBlock),
    count: ranges.map((range) => range.count),
    use: ranges.map((range) => BLOCK_USES.indexOf(range.use)),
    inodeNumber: ranges.map((range) => range.inodeNumber ?? 0),
    fileBlock: ranges.map((range) => range.fileBlock ?? -1),
    owners,
  };
}

/** `fragmentation` of the contract. An extent is a run without a gap in the file and on the disk. */
export function* fragmentation(open: OpenPlace): Task<Fragmentation> {
  const { fileSystem } = open;
  const { blockSizeBytes, rootInodeNumber } = fileSystem;
  const ranges = yield* rangesOf(open);
  const tree = yield* walkTree(fileSystem, rootInodeNumber, OWNERS_MAX);
  const extentsOf = countExtents(ranges);
  const free = ranges
    .filter(({ use }) => use === 'free')
    .map(({ count }) => count * blockSizeBytes);
  const numbers = [...extentsOf.values()];
  return {
    blockSizeBytes,
    freeBytes: sum(free),
    freeExtents: free.length,
    largestFreeBytes: free.reduce((most, bytes) => Math.max(most, bytes), 0),
    freeBins: binsOf(free),
    files: tree.entries.filter(({ kind }) => kind === 'file').length,
    fragmentedFiles: numbers.filter((count) => count > 1).length,
    extents: sum(numbers),
    worst: yield* worstOf(open, tree, extentsOf),
  };
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

/** Extents of each inode's content. */
function countExtents(ranges: readonly BlockRange[]): Map<number, number> {
  const content = ranges.filter(
    ({ use, inodeNumber, fileBlock }) =>
      (use === 'data' || use === 'unwritten') && inodeNumber !== null && fileBlock !== null,
  );
  content.sort(
    (a, b) =>
      (a.inodeNumber as number) - (b.inodeNumber as number) ||
      (a.fileBlock as number) - (b.fileBlock as number),
  );
  const extents = new Map<number, number>();
  let before: BlockRange | null = null;
  for (const range of content) {
    const inodeNumber = range.inodeNumber as number;
    const continues =
      before?.inodeNumber === inodeNumber &&
      before.use === range.use &&
      before.deviceBlock + before.count === range.deviceBlock &&
      (before.fileBlock as number) + before.count === range.fileBlock;
    if (!continues) extents.set(inodeNumber, (extents.get(inodeNumber) ?? 0) + 1);
    before = range;
  }
  return extents;
}

function binsOf(freeBytes: readonly number[]): Fragmentation['freeBins'] {
  const bins = BIN_POWERS.map((power) => ({ belowBytes: 2 ** power, extents: 0, bytes: 0 }));
  for (const bytes of freeBytes) {
    const bin = bins.find(({ belowBytes }) => bytes < belowBytes);
    if (bin === undefined) continue;
    bin.extents += 1;
    bin.bytes += bytes;
  }
  while (bins.length > 1 && bins.at(-1)?.extents === 0) bins.pop();
  return bins;
}

function* worstOf(
  open: OpenPlace,
  tree: Tree,
  extentsOf: ReadonlyMap<number, number>,
): Task<Fragmentation['worst']> {
  const seen = new Set<number>();
  const files = tree.entries.filter(({ kind, inodeNumber }) => {
    const isFirst = kind === 'file' && !seen.has(inodeNumber);
    seen.add(inodeNumber);
    return isFirst && (extentsOf.get(inodeNumber) ?? 0) > 1;
  });
  const extents = (inodeNumber: number): number => extentsOf.get(inodeNumber) ?? 0;
  files.sort(
    (a, b) => extents(b.inodeNumber) - extents(a.inodeNumber) || (a.path < b.path ? -1 : 1),
  );
  const worst: { path: string; sizeBytes: number; extents: number }[] = [];
  for (const { path, inodeNumber } of files.slice(0, WORST_MAX)) {
    const stat = yield* statOf(open.fileSystem, inodeNumber);
    const { sizeBytes } = taken(stat, open.image, `/${path}`);
    worst.push({ path: `/${path}`, sizeBytes, extents: extents(inodeNumber) });
  }
  return worst;
}
