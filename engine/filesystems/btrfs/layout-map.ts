// SPDX-License-Identifier: GPL-2.0-only
/**
 * The use of every block of the device. The extent tree says what is in use and for what, on both copies of a DUP chunk; the trees of
 * the subvolumes say whose the data are. Of several owners (snapshots, reflinks) the first found counts, by tree and inode.
 *
 *   0 .. 1 MiB      reserved, the superblock in it
 *   chunks          tree, data, unwritten; the rest of them free
 *   between chunks  free; behind the file system: outside
 *
 * Data of compressed extents have an owner and no place in the file.
 */
import { SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { BlockRange, BlockUse } from '../../vfs/index.ts';
import { decodeExtent } from './extents.ts';
import {
  KEY_TYPE,
  LAST_FREE_OBJECT,
  RESERVED_BYTES,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_PLACES,
  TREE,
} from './layout.ts';
import { BtrfsRecord } from './record.ts';
import { findRoot, numberOf, subvolumeIds, type BtrfsState, type Subvolume } from './state.ts';
import { FIRST_KEY } from './tree.ts';

/** In blocks of the device. */
interface Piece {
  readonly start: number;
  readonly end: number;
  readonly use: BlockUse;
  readonly inodeNumber: number | null;
  readonly fileBlock: number | null;
}

export interface DeviceLayout {
  readonly ranges: readonly BlockRange[];
  /** First blocks of tree nodes, both copies, ascending. */
  readonly nodeBlocks: readonly number[];
}

/** Reads the extent tree and all subvolumes. Throws `HostError`. */
export function* readLayout(state: BtrfsState): Task<DeviceLayout> {
  const { sectorBytes, totalBytes } = state.superblock;
  const deviceBlocks = Math.floor((state.device.capacitySectors * SECTOR_BYTES) / sectorBytes);
  const nodeBlocks: number[] = [];
  const used = yield* usedPieces(state, nodeBlocks);
  for (const place of SUPERBLOCK_PLACES) {
    if (place + SUPERBLOCK_BYTES > totalBytes) continue;
    const start = place / sectorBytes;
    const end = start + SUPERBLOCK_BYTES / sectorBytes;
    used.push({ start, end, use: 'superblock', inodeNumber: null, fileBlock: null });
  }
  const owned = yield* ownedPieces(state);
  const painter = new Painter();
  const endOfFileSystem = Math.min(deviceBlocks, Math.floor(totalBytes / sectorBytes));
  const reservedEnd = Math.min(RESERVED_BYTES / sectorBytes, endOfFileSystem);
  used.sort((a, b) => a.start - b.start);
  owned.sort((a, b) => a.start - b.start);
  let at = 0;
  const gap = (to: number): void => {
    for (const [end, use] of [
      [reservedEnd, 'reserved'],
      [endOfFileSystem, 'free'],
      [deviceBlocks, 'outside'],
    ] as const) {
      const stop = Math.min(to, end);
      if (stop <= at) continue;
      painter.add({ start: at, end: stop, use, inodeNumber: null, fileBlock: null });
      at = stop;
    }
  };
  const owners = new OwnedPieces(owned);
  for (const piece of used) {
    const start = Math.max(at, piece.start);
    const end = Math.min(piece.end, deviceBlocks);
    if (end <= start) continue;
    gap(start);
    if (piece.use === 'data') owners.paint(painter, { ...piece, start, end });
    else painter.add({ ...piece, start, end });
    at = end;
  }
  gap(deviceBlocks);
  nodeBlocks.sort((a, b) => a - b);
  return { ranges: painter.ranges, nodeBlocks };
}

/** Joins neighbours of one use and one owner. */
class Painter {
  readonly ranges: BlockRange[] = [];

  add({ start, end, use, inodeNumber, fileBlock }: Piece): void {
    if (end <= start) return;
    const count = end - start;
    const last = this.ranges.at(-1);
    if (
      last?.use === use &&
      last.inodeNumber === inodeNumber &&
      (last.fileBlock === null ? fileBlock === null : last.fileBlock + last.count === fileBlock)
    ) {
      this.ranges[this.ranges.length - 1] = { ...last, count: last.count + count };
      return;
    }
    this.ranges.push({ deviceBlock: start, count, use, inodeNumber, fileBlock });
  }
}

/** Pieces with owners, ascending by start; asked for in ascending order. */
class OwnedPieces {
  private index = 0;

  constructor(private readonly pieces: readonly Piece[]) {}

  /** Paints a run of data with what is known of its parts. */
  paint(painter: Painter, run: Piece): void {
    let at = run.start;
    while (this.index < this.pieces.length) {
      const piece = this.pieces[this.index] as Piece;
      if (piece.start >= run.end) break;
      const start = Math.max(at, piece.start);
      const end = Math.min(run.end, piece.end);
      if (end > start) {
        painter.add({ ...run, start: at, end: start });
        const fileBlock = piece.fileBlock === null ? null : piece.fileBlock + start - piece.start;
        painter.add({ ...piece, start, end, fileBlock });
        at = end;
      }
      if (piece.end > run.end) break;
      this.index++;
    }
    painter.add({ ...run, start: at });
  }
}

/** What the extent tree says is in use. */
function* usedPieces(state: BtrfsState, nodeBlocks: number[]): Task<Piece[]> {
  const { sectorBytes, nodeBytes } = state.superblock;
  const pieces: Piece[] = [];
  const root = yield* findRoot(state, TREE.extent);
  if (!root.ok) {
    throw new BtrfsRecord('root tree', 0, new Uint8Array(0)).damaged('extent tree', 'absent', 'its root');
  } // prettier-ignore
  yield* state.trees.walk(root.value, FIRST_KEY, (item) => {
    const { objectId: logical, type, offset, data } = item;
    if (type !== KEY_TYPE.extent && type !== KEY_TYPE.metadata) return true;
    const isNode = type === KEY_TYPE.metadata || (data.u32(16) & 2) !== 0;
    const lengthBytes = type === KEY_TYPE.metadata ? nodeBytes : offset;
    if (lengthBytes === 0 || lengthBytes % sectorBytes !== 0 || logical % sectorBytes !== 0) {
      throw data.damaged('key', `(${String(logical)} ${String(offset)})`, 'whole sectors');
    }
    const place = state.chunks.find(logical);
    if (place === null || place.lengthBytes < lengthBytes) {
      throw data.damaged('key objectid', logical, 'an extent inside a chunk');
    }
    for (const byte of [place.byte, place.copyByte]) {
      if (byte === null) continue;
      const start = byte / sectorBytes;
      const use = isNode ? 'tree' : 'data';
      const end = start + lengthBytes / sectorBytes;
      pieces.push({ start, end, use, inodeNumber: null, fileBlock: null });
      if (isNode) nodeBlocks.push(start);
    }
    return true;
  });
  return pieces;
}

/** Whose the data are. */
function* ownedPieces(state: BtrfsState): Task<Piece[]> {
  const pieces: Piece[] = [];
  for (const treeId of yield* subvolumeIds(state)) {
    const root = yield* findRoot(state, treeId);
    if (root.ok) yield* piecesOfTree(state, root.value, pieces);
  }
  return pieces;
}

function* piecesOfTree(state: BtrfsState, root: Subvolume, pieces: Piece[]): Task<void> {
  const { sectorBytes } = state.superblock;
  yield* state.trees.walk(root, FIRST_KEY, (item) => {
    if (item.objectId > LAST_FREE_OBJECT) return false;
    if (item.type !== KEY_TYPE.fileExtent) return true;
    const raw = decodeExtent(item, sectorBytes);
    if (raw.kind === 'inline' || raw.kind === 'hole') return true;
    const place = state.chunks.find(raw.logicalByte);
    if (place === null || place.lengthBytes < raw.diskBytes) {
      throw item.data.damaged('disk_bytenr', raw.logicalByte, 'an extent inside a chunk');
    }
    const inodeNumber = numberOf(root.treeId, item.objectId);
    const fileBlock = raw.compression === 0 ? raw.fileByte / sectorBytes : null;
    for (const byte of [place.byte, place.copyByte]) {
      if (byte === null) continue;
      const start = byte / sectorBytes;
      const end = start + raw.diskBytes / sectorBytes;
      const use = raw.kind === 'prealloc' ? 'unwritten' : 'data';
      pieces.push({ start, end, use, inodeNumber, fileBlock });
    }
    return true;
  });
}
