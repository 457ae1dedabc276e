// SPDX-License-Identifier: GPL-2.0-only
/**
 * File extents: what maps a file (kernel: fs/btrfs/file-item.c, extent_map.c).
 *
 *   EXTENT_DATA items of an inode, key offset = byte in the file
 *   regular      disk byte and bytes of the whole extent, the part that is meant (offset, length); disk byte 0: a hole
 *   prealloc     the same, never written: reads as zeros
 *   inline       the content itself, in the item
 *   compressed   regular or inline, its bytes on the disk are not the file's: no block of the file has a place of its own
 *
 * A part of an extent may be another file's as well (reflink), and an extent may be longer than what anybody means of it (bookend). Holes
 * need no item (no-holes). The list here covers the file from 0 to its end without gaps, in blocks.
 */
import type { Task } from '../../base/index.ts';
import type { FileExtent } from '../../vfs/index.ts';
import type { ChunkMap } from './chunks.ts';
import { COMPRESSION_NAMES, EXTENT, EXTENT_TYPE, KEY_TYPE } from './layout.ts';
import type { TreeRoot } from './superblock.ts';
import type { Item, Trees } from './tree.ts';

/** One item, decoded and checked. Bytes; places are logical. */
export interface RawExtent {
  readonly fileByte: number;
  readonly lengthBytes: number;
  readonly kind: 'hole' | 'regular' | 'prealloc' | 'inline';
  /** 0: not compressed. */
  readonly compression: number;
  /** Logical byte of the part that is meant; of the whole extent where it is compressed. 0: none. */
  readonly logicalByte: number;
  /** Bytes there. */
  readonly diskBytes: number;
  /** The content of an inline extent as it is on the disk. */
  readonly inline: Uint8Array | null;
}

/** Decodes an EXTENT_DATA item. Throws `HostError`. */
export function decodeExtent(item: Item, blockBytes: number): RawExtent {
  const { data, offset: fileByte } = item;
  const type = data.u8(EXTENT.type);
  const compression = data.u8(EXTENT.compression);
  if (compression >= COMPRESSION_NAMES.length) {
    throw data.damaged('compression', compression, '0 to 3');
  }
  if (data.u8(EXTENT.encryption) !== 0) {
    throw data.damaged('encryption', data.u8(EXTENT.encryption), '0');
  }
  if (data.u16(EXTENT.otherEncoding) !== 0) {
    throw data.damaged('other_encoding', data.u16(EXTENT.otherEncoding), '0');
  }
  if (fileByte % blockBytes !== 0 || fileByte > Number.MAX_SAFE_INTEGER) {
    throw data.damaged('key offset', fileByte, 'a whole block');
  }
  if (type === EXTENT_TYPE.inline) {
    const inline = data.slice(EXTENT.inline, data.lengthBytes - EXTENT.inline);
    const lengthBytes = data.u64(EXTENT.ramBytes);
    const isPlain = compression === 0;
    if (fileByte !== 0 || lengthBytes > blockBytes || (isPlain && lengthBytes !== inline.length)) {
      throw data.damaged('ram_bytes', lengthBytes, 'the bytes of an inline extent at byte 0');
    }
    const diskBytes = inline.length;
    return {
      fileByte,
      lengthBytes,
      kind: 'inline',
      compression,
      logicalByte: 0,
      diskBytes,
      inline,
    };
  }
  if (type !== EXTENT_TYPE.regular && type !== EXTENT_TYPE.prealloc) {
    throw data.damaged('type', type, '0 to 2');
  }
  const diskByte = data.u64(EXTENT.diskByte);
  const diskBytes = data.u64(EXTENT.diskBytes);
  const offset = data.u64(EXTENT.offset);
  const lengthBytes = data.u64(EXTENT.lengthBytes);
  for (const [field, value] of [
    ['disk_bytenr', diskByte],
    ['disk_num_bytes', diskBytes],
    ['offset', offset],
    ['num_bytes', lengthBytes],
  ] as const) {
    if (value % blockBytes !== 0 || value > Number.MAX_SAFE_INTEGER) {
      throw data.damaged(field, value, 'whole blocks');
    }
  }
  if (lengthBytes === 0) throw data.damaged('num_bytes', 0, 'at least a block');
  if (fileByte + lengthBytes > Number.MAX_SAFE_INTEGER) {
    throw data.damaged('num_bytes', lengthBytes, 'an end below 2^53');
  }
  const common = { fileByte, lengthBytes, compression, inline: null };
  if (diskByte === 0) return { ...common, kind: 'hole', logicalByte: 0, diskBytes: 0 };
  const ramBytes = data.u64(EXTENT.ramBytes);
  const wholeBytes = compression === 0 ? diskBytes : ramBytes;
  if (offset + lengthBytes > wholeBytes) {
    throw data.damaged('offset + num_bytes', offset + lengthBytes, `at most ${String(wholeBytes)}`);
  }
  const kind = type === EXTENT_TYPE.prealloc ? 'prealloc' : 'regular';
  if (compression !== 0) return { ...common, kind, logicalByte: diskByte, diskBytes };
  return { ...common, kind, logicalByte: diskByte + offset, diskBytes: lengthBytes };
}

/** A run of blocks of the file; the whole list has no gaps and does not overlap. */
export interface MappedExtent extends FileExtent {
  readonly compression: number;
  readonly inline: Uint8Array | null;
}

/** The map of an inode of `sizeBytes`, and beyond it what is preallocated there. Throws `HostError`. */
export function* loadExtents(
  trees: Trees,
  root: TreeRoot,
  objectId: number,
  sizeBytes: number,
  place: { readonly chunks: ChunkMap; readonly blockBytes: number },
): Task<MappedExtent[]> {
  const { blockBytes } = place;
  const list: MappedExtent[] = [];
  let nextBlock = 0;
  const hole = (toBlock: number): void => {
    if (toBlock <= nextBlock) return;
    push(list, plain(nextBlock, toBlock - nextBlock, null, 'hole'));
    nextBlock = toBlock;
  };
  yield* trees.walk(root, { objectId, type: KEY_TYPE.fileExtent, offset: 0 }, (item) => {
    if (item.objectId !== objectId || item.type !== KEY_TYPE.fileExtent) return false;
    const raw = decodeExtent(item, blockBytes);
    const fileBlock = raw.fileByte / blockBytes;
    if (fileBlock < nextBlock) {
      throw item.data.damaged(
        'key offset',
        item.offset,
        `at least ${String(nextBlock * blockBytes)}`,
      );
    }
    hole(fileBlock);
    const count = Math.ceil(raw.lengthBytes / blockBytes);
    if (count === 0) return true;
    if (raw.kind === 'hole') hole(fileBlock + count);
    else mapRaw(list, item, raw, place);
    nextBlock = fileBlock + count;
    return true;
  });
  hole(Math.ceil(sizeBytes / blockBytes));
  return list;
}

function plain(
  fileBlock: number,
  count: number,
  deviceBlock: number | null,
  state: FileExtent['state'],
): MappedExtent {
  return { fileBlock, count, deviceBlock, state, compression: 0, inline: null };
}

function mapRaw(
  list: MappedExtent[],
  item: Item,
  raw: RawExtent,
  { chunks, blockBytes }: { readonly chunks: ChunkMap; readonly blockBytes: number },
): void {
  const count = Math.ceil(raw.lengthBytes / blockBytes);
  let fileBlock = raw.fileByte / blockBytes;
  if (raw.inline !== null || raw.compression !== 0) {
    const state = raw.compression !== 0 ? 'compressed' : 'inline';
    const { compression, inline } = raw;
    list.push({ fileBlock, count, deviceBlock: null, state, compression, inline });
    return;
  }
  const state = raw.kind === 'prealloc' ? 'unwritten' : 'mapped';
  for (let done = 0; done < raw.lengthBytes;) {
    const place = chunks.find(raw.logicalByte + done);
    if (place === null) {
      throw item.data.damaged('disk_bytenr', raw.logicalByte + done, 'inside a chunk');
    }
    const bytes = Math.min(raw.lengthBytes - done, place.lengthBytes);
    push(list, plain(fileBlock, bytes / blockBytes, place.byte / blockBytes, state));
    fileBlock += bytes / blockBytes;
    done += bytes;
  }
}

/** Appends, joined to the last one where it goes on there. */
function push(list: MappedExtent[], extent: MappedExtent): void {
  const last = list.at(-1);
  if (last?.state === extent.state && last.inline === null && last.compression === 0) {
    const goesOn =
      last.deviceBlock === null
        ? extent.deviceBlock === null
        : last.deviceBlock + last.count === extent.deviceBlock;
    if (goesOn && last.state !== 'compressed') {
      list[list.length - 1] = { ...last, count: last.count + extent.count };
      return;
    }
  }
  list.push(extent);
}

/** The extent that holds a block; null: behind the last one. */
export function extentAt(list: readonly MappedExtent[], fileBlock: number): MappedExtent | null {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as MappedExtent).fileBlock <= fileBlock) low = middle + 1;
    else high = middle;
  }
  const found = list[low - 1];
  return found !== undefined && fileBlock < found.fileBlock + found.count ? found : null;
}
