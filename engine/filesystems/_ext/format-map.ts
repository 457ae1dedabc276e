// SPDX-License-Identifier: GPL-2.0-only
/**
 * The block map of a file that formatting makes: 60 bytes of an inode and the blocks of metadata below, from the runs of the file.
 *
 *   extents    up to four in the inode; more in leaves, which up to four entries of the inode point at
 *   pointers   twelve in the inode, then indirect and double indirect blocks
 */
import type { BlockImage } from '../../vfs/index.ts';
import type { Checksums } from './checksum.ts';
import { DIRECT_POINTERS, POINTER_COUNT } from './layout.ts';
import type { BlockRun } from './format-plan.ts';

const EXTENT_MAGIC = 0xf30a;
const EXTENT_RECORD_BYTES = 12;
const EXTENTS_IN_INODE = 4;
const EXTENT_BLOCKS_MAX = 32768;
const POINTER_BYTES = 4;

export interface NewMap {
  /** i_block */
  readonly pointers: Uint8Array;
  readonly images: readonly BlockImage[];
}

export interface MapSettings {
  readonly blockBytes: number;
  readonly checksums: Checksums;
  readonly inodeSeed: number;
  /** A block for the map itself. */
  readonly takeBlock: () => number;
}

interface Extent {
  readonly fileBlock: number;
  readonly deviceBlock: number;
  readonly count: number;
}

function extentsOf(runs: readonly BlockRun[]): Extent[] {
  const extents: Extent[] = [];
  let fileBlock = 0;
  for (const run of runs) {
    for (let done = 0; done < run.count; done += EXTENT_BLOCKS_MAX) {
      const count = Math.min(EXTENT_BLOCKS_MAX, run.count - done);
      const last = extents.at(-1);
      const deviceBlock = run.deviceBlock + done;
      const joins =
        last?.deviceBlock !== undefined &&
        last.deviceBlock + last.count === deviceBlock &&
        last.count + count <= EXTENT_BLOCKS_MAX;
      if (joins) extents[extents.length - 1] = { ...last, count: last.count + count };
      else extents.push({ fileBlock, deviceBlock, count });
      fileBlock += count;
    }
  }
  return extents;
}

function writeHeader(view: DataView, entries: number, most: number, depth: number): void {
  view.setUint16(0, EXTENT_MAGIC, true);
  view.setUint16(2, entries, true);
  view.setUint16(4, most, true);
  view.setUint16(6, depth, true);
}

function writeExtents(view: DataView, extents: readonly Extent[], most: number): void {
  writeHeader(view, extents.length, most, 0);
  extents.forEach(({ fileBlock, deviceBlock, count }, index) => {
    const at = (index + 1) * EXTENT_RECORD_BYTES;
    view.setUint32(at, fileBlock, true);
    view.setUint16(at + 4, count, true);
    view.setUint32(at + 8, deviceBlock, true);
  });
}

/** Null: more extents than one level of leaves takes. */
export function mapByExtents(runs: readonly BlockRun[], settings: MapSettings): NewMap | null {
  const { blockBytes, checksums, inodeSeed } = settings;
  const extents = extentsOf(runs);
  const pointers = new Uint8Array(POINTER_COUNT * POINTER_BYTES);
  const root = new DataView(pointers.buffer);
  if (extents.length <= EXTENTS_IN_INODE) {
    writeExtents(root, extents, EXTENTS_IN_INODE);
    return { pointers, images: [] };
  }
  const perLeaf = Math.floor((blockBytes - EXTENT_RECORD_BYTES) / EXTENT_RECORD_BYTES);
  const leafCount = Math.ceil(extents.length / perLeaf);
  if (leafCount > EXTENTS_IN_INODE) return null;
  writeHeader(root, leafCount, EXTENTS_IN_INODE, 1);
  const images: BlockImage[] = [];
  for (let leaf = 0; leaf < leafCount; leaf++) {
    const part = extents.slice(leaf * perLeaf, (leaf + 1) * perLeaf);
    const deviceBlock = settings.takeBlock();
    const bytes = new Uint8Array(blockBytes);
    writeExtents(new DataView(bytes.buffer), part, perLeaf);
    checksums.sealExtents(bytes, inodeSeed);
    images.push({ deviceBlock, bytes });
    const at = (leaf + 1) * EXTENT_RECORD_BYTES;
    root.setUint32(at, (part[0] as Extent).fileBlock, true);
    root.setUint32(at + 4, deviceBlock, true);
  }
  return { pointers, images };
}

/** Null: more blocks than double indirection reaches. */
export function mapByPointers(runs: readonly BlockRun[], settings: MapSettings): NewMap | null {
  const { blockBytes } = settings;
  const each = blockBytes / POINTER_BYTES;
  const pointers = new Uint8Array(POINTER_COUNT * POINTER_BYTES);
  const words = new DataView(pointers.buffer);
  const blocks = runs.flatMap(({ deviceBlock, count }) =>
    Array.from({ length: count }, (_, index) => deviceBlock + index),
  );
  if (blocks.length > DIRECT_POINTERS + each + each * each) return null;
  const images: BlockImage[] = [];
  const indirect = (list: readonly number[]): number => {
    const bytes = new Uint8Array(blockBytes);
    const view = new DataView(bytes.buffer);
    list.forEach((block, index) => {
      view.setUint32(index * POINTER_BYTES, block, true);
    });
    const deviceBlock = settings.takeBlock();
    images.push({ deviceBlock, bytes });
    return deviceBlock;
  };
  blocks.slice(0, DIRECT_POINTERS).forEach((block, index) => {
    words.setUint32(index * POINTER_BYTES, block, true);
  });
  const singles: number[] = [];
  for (let at = DIRECT_POINTERS; at < blocks.length; at += each) {
    singles.push(indirect(blocks.slice(at, at + each)));
  }
  const [first, ...rest] = singles;
  if (first !== undefined) words.setUint32(DIRECT_POINTERS * POINTER_BYTES, first, true);
  if (rest.length > 0) words.setUint32((DIRECT_POINTERS + 1) * POINTER_BYTES, indirect(rest), true);
  return { pointers, images };
}
