// SPDX-License-Identifier: GPL-2.0-only
/** Facts of the file system and of an inode. */
import type { Task } from '../../base/index.ts';
import type { NamedFact } from '../../vfs/index.ts';
import { COMPRESSION_NAMES, INODE, SB } from './layout.ts';
import type { BtrfsInode } from './inode.ts';
import { defaultSubvolume, subvolumeIds, type BtrfsState } from './state.ts';

const fact = (id: string, title: string, value: string | number): NamedFact => ({
  id,
  title,
  value: String(value),
});
const bytes = (value: number): string => `${String(value)} bytes`;

/** `2026-11-21 05:30:00 UTC`. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `${String(seconds)} s`;
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** `data 8388608 bytes single`, one for each kind of chunk. */
function profiles(state: BtrfsState): string {
  const sums = new Map<string, number>();
  for (const { type, lengthBytes } of state.chunks.all) {
    const kinds = ['data', 'system', 'metadata'].filter((_kind, bit) => (type & (1 << bit)) !== 0);
    const name = `${kinds.join('+')} ${(type & 0x20) !== 0 ? 'DUP' : 'single'}`;
    sums.set(name, (sums.get(name) ?? 0) + lengthBytes);
  }
  return [...sums].map(([name, sum]) => `${name} ${bytes(sum)}`).join(', ');
}

export function* superblockFacts(state: BtrfsState): Task<NamedFact[]> {
  const { superblock } = state;
  const { record } = superblock;
  const subvolumes = yield* subvolumeIds(state);
  return [
    fact('file-system', 'File system', 'btrfs'),
    fact('label', 'Label', superblock.label === '' ? 'none' : superblock.label),
    fact('uuid', 'UUID', record.uuid(SB.fsid)),
    fact('size', 'Size', bytes(superblock.totalBytes)),
    fact('used', 'Used', bytes(superblock.usedBytes)),
    fact('block-size', 'Block size', bytes(superblock.sectorBytes)),
    fact('node-size', 'Node size', bytes(superblock.nodeBytes)),
    fact('generation', 'Generation', superblock.generation),
    fact('chunks', 'Chunks', profiles(state)),
    fact('subvolumes', 'Subvolumes', subvolumes.length),
    fact('default-subvolume', 'Default subvolume', yield* defaultSubvolume(state)),
    fact('features', 'Features', superblock.features.join(', ')),
    fact('checksum', 'Checksums', 'crc32c'),
    fact('state', 'State', superblock.hasErrors ? 'errors' : 'clean'),
  ];
}

export function* inodeFacts(inode: BtrfsInode): Task<NamedFact[]> {
  const { record } = inode;
  const extents = inode.kind === 'file' ? yield* inode.loadExtents() : [];
  const compressions = new Set(extents.map(({ compression }) => compression));
  compressions.delete(0);
  const names = [...compressions].map((kind) => COMPRESSION_NAMES[kind]);
  const list = [
    fact('inode', 'Inode', inode.objectId),
    fact('subvolume', 'Subvolume', inode.subvolume.treeId),
    fact('kind', 'Kind', inode.kind),
    fact('mode', 'Mode', `0${record.u32(INODE.mode).toString(8)}`),
    fact('owner', 'Owner', `${String(record.u32(INODE.uid))}:${String(record.u32(INODE.gid))}`),
    fact('size', 'Size', bytes(inode.sizeBytes)),
    fact('disk-size', 'On the disk', bytes(record.u64(INODE.diskBytes))),
    fact('links', 'Links', record.u32(INODE.linkCount)),
    fact('generation', 'Generation', record.u64(INODE.generation)),
    fact('modified', 'Modified', timeText(record.u64(INODE.modifyTime))),
    fact('changed', 'Changed', timeText(record.u64(INODE.changeTime))),
  ];
  if (inode.kind !== 'file') return list;
  const mapped = extents.filter(({ state }) => state !== 'hole');
  list.push(fact('extents', 'Extents', mapped.length));
  if (names.length > 0) list.push(fact('compression', 'Compression', names.join(', ')));
  if (extents.some(({ state }) => state === 'inline')) {
    list.push(fact('inline', 'Content', 'inline, in the tree'));
  }
  return list;
}
