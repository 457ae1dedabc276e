// SPDX-License-Identifier: GPL-2.0-only
/**
 * Nodes of an extent tree: the root in an inode's 60 bytes of pointers, the others a block each. Drawn once, little endian:
 *
 *   header, 12 bytes    0 magic 0xf30a u16   2 entries u16   4 most entries u16   6 depth u16 (0: a leaf)   8 generation
 *   extent, 12 bytes    0 file block   4 length u16   6 device block high u16   8 device block low
 *                       a length above 32768 is 32768 less, and the extent unwritten: it has its blocks and reads as zeros
 *   index, 12 bytes     0 first file block below   4 child low   8 child high u16   10 nothing u16
 *   tail                4 bytes of checksum behind the room for entries, with metadata_csum
 *
 * A node is handled as 32-bit words: word 0 magic and entries, word 1 most and depth, entry i at words 3 + 3i to 5 + 3i.
 */
import type { GroupTable } from './groups.ts';
import type { Geometry } from './superblock.ts';

export const EXTENT_MAGIC = 0xf30a;
/** Entries of the root: 60 bytes, less the header. */
export const ROOT_ENTRIES = 4;
/** EXT4_MAX_EXTENT_DEPTH */
export const EXTENT_DEPTH_MAX = 5;
/** EXT_INIT_MAX_LEN, EXT_UNWRITTEN_MAX_LEN: blocks an extent can have. */
export const WRITTEN_BLOCKS_MAX = 32768;
export const UNWRITTEN_BLOCKS_MAX = 32767;
/** Blocks a file can have: file block numbers have 32 bits, and the last one is the end's. */
export const FILE_BLOCKS_MAX = 2 ** 32 - 1;

const HEADER_WORDS = 3;
export const ENTRY_WORDS = 3;
const NODE_HEADER_BYTES = 12;
const ENTRY_BYTES = 12;

/** Entries that a block has room for. */
export function entriesPerBlock(blockBytes: number): number {
  return Math.floor((blockBytes - NODE_HEADER_BYTES) / ENTRY_BYTES);
}

export function entryCount(words: Uint32Array): number {
  return (words[0] as number) >>> 16;
}
export function setEntryCount(words: Uint32Array, count: number): void {
  words[0] = (EXTENT_MAGIC | (count << 16)) >>> 0;
}
export function nodeDepth(words: Uint32Array): number {
  return (words[1] as number) >>> 16;
}
export function writeHeader(words: Uint32Array, count: number, most: number, depth: number): void {
  setEntryCount(words, count);
  words[1] = (most | (depth << 16)) >>> 0;
  words[2] = 0;
}

/** Word at which entry `index` begins. */
export function entryAt(index: number): number {
  return HEADER_WORDS + index * ENTRY_WORDS;
}
/** First file block of an entry of either kind. */
export function keyOf(words: Uint32Array, index: number): number {
  return words[HEADER_WORDS + index * ENTRY_WORDS] as number;
}
export function childOf(words: Uint32Array, index: number): number {
  const at = entryAt(index);
  return (words[at + 1] as number) + ((words[at + 2] as number) & 0xffff) * 2 ** 32;
}
export function setChild(words: Uint32Array, index: number, deviceBlock: number): void {
  const at = entryAt(index);
  words[at + 1] = deviceBlock >>> 0;
  words[at + 2] = Math.floor(deviceBlock / 2 ** 32);
}
export function extentCount(words: Uint32Array, index: number): number {
  const raw = (words[entryAt(index) + 1] as number) & 0xffff;
  return raw > WRITTEN_BLOCKS_MAX ? raw - WRITTEN_BLOCKS_MAX : raw;
}
export function isUnwritten(words: Uint32Array, index: number): boolean {
  return ((words[entryAt(index) + 1] as number) & 0xffff) > WRITTEN_BLOCKS_MAX;
}
export function extentStart(words: Uint32Array, index: number): number {
  const at = entryAt(index);
  return (words[at + 2] as number) + ((words[at + 1] as number) >>> 16) * 2 ** 32;
}

/** An extent as numbers. */
export interface Extent {
  fileBlock: number;
  count: number;
  deviceBlock: number;
  isUnwritten: boolean;
}

export function readExtent(words: Uint32Array, index: number, extent: Extent): void {
  extent.fileBlock = keyOf(words, index);
  extent.count = extentCount(words, index);
  extent.deviceBlock = extentStart(words, index);
  extent.isUnwritten = isUnwritten(words, index);
}

/** Writes an extent at word `at`. */
export function writeExtent(words: Uint32Array, at: number, extent: Extent): void {
  const length = extent.isUnwritten ? extent.count + WRITTEN_BLOCKS_MAX : extent.count;
  words[at] = extent.fileBlock;
  words[at + 1] = (length | (Math.floor(extent.deviceBlock / 2 ** 32) << 16)) >>> 0;
  words[at + 2] = extent.deviceBlock >>> 0;
}

/** Last entry whose first file block is not behind `fileBlock`, or -1. */
export function findEntry(words: Uint32Array, fileBlock: number): number {
  let low = 0;
  let high = entryCount(words);
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((words[HEADER_WORDS + middle * ENTRY_WORDS] as number) <= fileBlock) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** b follows a in the file and on the device, and both are one extent (ext4_can_extents_be_merged). */
export function canJoin(a: Extent, b: Extent): boolean {
  const most = a.isUnwritten ? UNWRITTEN_BLOCKS_MAX : WRITTEN_BLOCKS_MAX;
  return (
    a.isUnwritten === b.isUnwritten &&
    a.fileBlock + a.count === b.fileBlock &&
    a.deviceBlock + a.count === b.deviceBlock &&
    a.count + b.count <= most
  );
}

/** What a node is checked against. */
export interface NodeExpectation {
  readonly geometry: Geometry;
  readonly groups: GroupTable;
  /** Most entries that there is room for. */
  readonly room: number;
  readonly depth: number;
  /** File blocks below the node lie in `from`..`to` - 1. */
  readonly from: number;
  readonly to: number;
}

/** What is wrong with a node's header or entries, as `field is value`; null: nothing (ext4_ext_check). */
export function nodeProblem(words: Uint32Array, expected: NodeExpectation): string | null {
  const magic = (words[0] as number) & 0xffff;
  if (magic !== EXTENT_MAGIC) return `eh_magic is 0x${magic.toString(16)}`;
  const depth = nodeDepth(words);
  if (depth !== expected.depth) return `eh_depth is ${String(depth)}`;
  const most = (words[1] as number) & 0xffff;
  if (most === 0 || most > expected.room) return `eh_max is ${String(most)}`;
  const count = entryCount(words);
  if (count > most) return `eh_entries is ${String(count)}`;
  let next = expected.from;
  for (let index = 0; index < count; index++) {
    const key = keyOf(words, index);
    const name = depth === 0 ? 'ee_block' : 'ei_block';
    if (key < next || key >= expected.to) return `${name} ${String(index)} is ${String(key)}`;
    const problem =
      depth === 0 ? extentProblem(words, index, expected) : childProblem(words, index, expected);
    if (problem !== null) return problem;
    next = depth === 0 ? key + extentCount(words, index) : key + 1;
  }
  return null;
}

function extentProblem(
  words: Uint32Array,
  index: number,
  expected: NodeExpectation,
): string | null {
  const count = extentCount(words, index);
  if (count === 0 || keyOf(words, index) + count > expected.to) {
    return `ee_len ${String(index)} is ${String(count)}`;
  }
  const start = extentStart(words, index);
  if (isDataRun(expected, start, count)) return null;
  return `ee_start ${String(index)} is ${String(start)}`;
}

function childProblem(words: Uint32Array, index: number, expected: NodeExpectation): string | null {
  const child = childOf(words, index);
  return isDataRun(expected, child, 1) ? null : `ei_leaf ${String(index)} is ${String(child)}`;
}

function isDataRun({ geometry, groups }: NodeExpectation, start: number, count: number): boolean {
  return (
    start > geometry.firstDataBlock &&
    start + count <= geometry.blocksCount &&
    !groups.touchesSystem(start, count)
  );
}
