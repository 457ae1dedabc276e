// SPDX-License-Identifier: GPL-2.0-only
/**
 * Directory blocks (fs/ext2/dir.c): entries chained by their length through each block.
 *
 * Rules: 1. A block's chain is checked before it is used: every length a multiple of 4, long enough for its name, inside the block,
 * the last one ending with it; every inode number inside the image. 2. Functions here work on one block's bytes and never sleep.
 */
import type { DirectoryEntry, InodeKind } from '../../vfs/index.ts';
import { damaged } from './disk-record.ts';
import { ENTRY_HEADER_BYTES, ENTRY_KIND } from './layout.ts';
import type { Geometry } from './superblock.ts';
import { decodeName } from './text.ts';

const kindOfEntry: Readonly<Record<number, InodeKind>> = {
  [ENTRY_KIND.file]: 'file',
  [ENTRY_KIND.directory]: 'directory',
  [ENTRY_KIND.symlink]: 'symlink',
  [ENTRY_KIND.blockDevice]: 'block-device',
};

export function entryKindOf(kind: InodeKind): number {
  if (kind === 'file') return ENTRY_KIND.file;
  if (kind === 'directory') return ENTRY_KIND.directory;
  return kind === 'symlink' ? ENTRY_KIND.symlink : ENTRY_KIND.unknown;
}

/** Bytes that an entry with such a name takes up. */
export function entryBytes(nameBytes: number): number {
  return (ENTRY_HEADER_BYTES + nameBytes + 3) & ~3;
}

/** One entry as it lies in its block. */
export interface RawEntry {
  readonly offset: number;
  readonly length: number;
  readonly inodeNumber: number;
  readonly kind: number;
  readonly name: Uint8Array;
}

/** The entries of a checked block, unused ones (inode 0) included. Throws `HostError` naming the block and the field. */
export function readEntries(
  bytes: Uint8Array,
  deviceBlock: number,
  geometry: Geometry,
): RawEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: RawEntry[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const where = `directory entry at byte ${String(offset)}`;
    const left = bytes.length - offset;
    if (left < ENTRY_HEADER_BYTES) throw damaged(where, deviceBlock, 'rec_len', left, 'at least 8');
    const inodeNumber = view.getUint32(offset, true);
    const length = view.getUint16(offset + 4, true);
    // Without the filetype feature the name's length has 16 bits, of which the upper ones are 0.
    const nameBytes = bytes[offset + 6] as number;
    const kind = geometry.hasFileType ? (bytes[offset + 7] as number) : ENTRY_KIND.unknown;
    if (length % 4 !== 0 || length < entryBytes(nameBytes) || length > left) {
      const expected = `a multiple of 4 from ${String(entryBytes(nameBytes))} to ${String(left)}`;
      throw damaged(where, deviceBlock, 'rec_len', length, expected);
    }
    if (inodeNumber > geometry.inodesCount) {
      const expected = `at most ${String(geometry.inodesCount)}`;
      throw damaged(where, deviceBlock, 'inode', inodeNumber, expected);
    }
    const start = offset + ENTRY_HEADER_BYTES;
    const name = bytes.subarray(start, start + nameBytes);
    entries.push({ offset, length, inodeNumber, kind, name });
    offset += length;
  }
  return entries;
}

export function publicEntry(entry: RawEntry): DirectoryEntry {
  return {
    name: decodeName(entry.name),
    inodeNumber: entry.inodeNumber,
    kind: kindOfEntry[entry.kind] ?? 'other',
  };
}

export function sameName(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Puts an entry into a checked block where there is room; false: there is none. */
export function insertEntry(
  bytes: Uint8Array,
  entries: readonly RawEntry[],
  name: Uint8Array,
  inodeNumber: number,
  kind: number,
): boolean {
  const needed = entryBytes(name.length);
  for (const entry of entries) {
    const used = entry.inodeNumber === 0 ? 0 : entryBytes(entry.name.length);
    if (entry.length - used < needed) continue;
    if (used > 0) writeLength(bytes, entry.offset, used);
    writeEntry(bytes, entry.offset + used, entry.length - used, inodeNumber, name, kind);
    return true;
  }
  return false;
}

/** Takes an entry out: the one before it swallows it; the first of a block is marked unused. */
export function removeEntry(
  bytes: Uint8Array,
  entries: readonly RawEntry[],
  entry: RawEntry,
): void {
  const index = entries.indexOf(entry);
  const before = index > 0 ? entries[index - 1] : undefined;
  if (before !== undefined) writeLength(bytes, before.offset, before.length + entry.length);
  bytes.fill(0, entry.offset, entry.offset + 4);
}

export function writeEntry(
  bytes: Uint8Array,
  offset: number,
  length: number,
  inodeNumber: number,
  name: Uint8Array,
  kind: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(offset, inodeNumber, true);
  view.setUint16(offset + 4, length, true);
  bytes[offset + 6] = name.length;
  bytes[offset + 7] = kind;
  bytes.set(name, offset + ENTRY_HEADER_BYTES);
}

function writeLength(bytes: Uint8Array, offset: number, length: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint16(offset + 4, length, true);
}

/** Makes an empty directory's first block: '.' and '..'. */
export function writeFirstBlock(
  bytes: Uint8Array,
  self: number,
  parent: number,
  hasFileType: boolean,
): void {
  const kind = hasFileType ? ENTRY_KIND.directory : 0;
  const dot = Uint8Array.from([0x2e]);
  writeEntry(bytes, 0, 12, self, dot, kind);
  writeEntry(bytes, 12, bytes.length - 12, parent, Uint8Array.from([0x2e, 0x2e]), kind);
}
