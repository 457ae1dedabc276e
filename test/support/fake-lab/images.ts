// SPDX-License-Identifier: GPL-2.0-only
/**
 * Images of the scripted lab and what the workbench asks of them: an ext4 image of 1 GiB with groups, tables and files in pieces (the
 * same at every start), one with a partition table, one in use elsewhere. Changes of names are kept until the page is loaded again.
 */
import { HostError } from '../../../engine/base/index.ts';
import { BLOCK_USES, type BlockUse } from '../../../main/contract/types.ts';
import type {
  BlockView,
  FileExtent,
  FileMap,
  FilePreview,
  Fragmentation,
  FsckResult,
  ImageEntry,
  ImageInfo,
  ImageLayout,
  ImageUse,
  PartitionTable,
  Place,
  PlaceFacts,
  SnapshotInfo,
  StructureField,
  TransferEvent,
} from '../../../main/contract/index.ts';
import { image, images as listed } from './data.ts';
import { makeRandom } from './numbers.ts';

const BLOCK_BYTES = 4096;
const GROUP_BLOCKS = 32768;
const GROUPS = 8;
const BLOCKS = GROUP_BLOCKS * GROUPS;
const AT_UNIX_MS = 1_772_000_000_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Piece {
  readonly start: number;
  readonly count: number;
  readonly use: BlockUse;
  readonly inode: number;
  readonly fileBlock: number;
}
interface FakeFile {
  path: string;
  readonly inode: number;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly sizeBytes: number;
}
const MANY = 10_000;
const files: FakeFile[] = [
  { path: '/lost+found', inode: 11, kind: 'directory', sizeBytes: 16384 },
  { path: '/data.bin', inode: 12, kind: 'file', sizeBytes: 2 ** 26 },
  { path: '/pieces.bin', inode: 13, kind: 'file', sizeBytes: 2 ** 25 },
  { path: '/sparse.bin', inode: 14, kind: 'file', sizeBytes: 2 ** 25 },
  { path: '/unwritten.bin', inode: 15, kind: 'file', sizeBytes: 2 ** 25 },
  { path: '/readme.txt', inode: 16, kind: 'file', sizeBytes: 1834 },
  { path: '/empty', inode: 17, kind: 'file', sizeBytes: 0 },
  { path: '/latest', inode: 18, kind: 'symlink', sizeBytes: 11 },
  { path: '/logs', inode: 19, kind: 'directory', sizeBytes: 4096 },
  { path: '/many', inode: 20, kind: 'directory', sizeBytes: 409_600 },
  { path: '/logs/day.log', inode: 21, kind: 'file', sizeBytes: 3_145_728 },
  { path: '/logs/night.log', inode: 22, kind: 'file', sizeBytes: 1_048_576 },
  ...Array.from({ length: MANY }, (_, index): FakeFile => ({
    path: `/many/photo-${String(index + 1)}.raw`, inode: 100 + index, kind: 'file', sizeBytes: 4096 * (1 + (index % 5)),
  })),
]; // prettier-ignore

/** Where everything lies: fixed parts of each group first, then the files into what is left, some of them in pieces. */
function layOutImage(): Piece[] {
  const pieces: Piece[] = [];
  const taken: { from: number; to: number }[] = [];
  const put = (start: number, count: number, use: BlockUse, inode = 0, fileBlock = -1): void => {
    pieces.push({ start, count, use, inode, fileBlock });
    taken.push({ from: start, to: start + count });
  };
  for (let group = 0; group < GROUPS; group += 1) {
    const first = group * GROUP_BLOCKS;
    const hasCopy = [0, 1, 3, 5, 7].includes(group);
    if (hasCopy) {
      put(first, 1, 'superblock');
      put(first + 1, 1, 'descriptors');
      put(first + 2, 127, 'reserved');
    }
    const tables = first + (hasCopy ? 129 : 0);
    put(tables, 2, 'bitmap');
    put(tables + 2, 512, 'inodes');
  }
  put(4096, 8192, 'journal', 8, 0);
  put(700, 4, 'directory', 11, 0);
  put(704, 1, 'directory', 19, 0);
  put(705, 100, 'directory', 20, 0);
  put(33_500, 16_384, 'data', 12, 0);
  for (let part = 0; part < 16; part += 1) put(66_500 + part * 900, 512, 'data', 13, part * 512);
  put(806, 1, 'map', 13);
  for (let part = 0; part < 9; part += 1) put(99_000 + part * 512, 482, 'data', 14, part * 964);
  put(132_000, 8192, 'unwritten', 15, 0);
  put(810, 1, 'data', 16, 0);
  for (let part = 0; part < 24; part += 1) put(82_000 + part * 70, 32, 'data', 21, part * 32);
  put(84_000, 256, 'data', 22, 0);
  const random = makeRandom(7);
  let at = 166_000;
  for (let index = 0; index < MANY; index += 1) {
    put(at, 1 + (index % 5), 'data', 100 + index, 0);
    at += 1 + (index % 5) + (random() < 0.35 ? Math.floor(random() * 6) : 0);
  }
  pieces.sort((a, b) => a.start - b.start);
  const all: Piece[] = [];
  let next = 0;
  for (const piece of pieces) {
    if (piece.start > next) all.push({ start: next, count: piece.start - next, use: 'free', inode: 0, fileBlock: -1 });
    all.push(piece);
    next = piece.start + piece.count;
  }
  if (next < BLOCKS - 64) all.push({ start: next, count: BLOCKS - 64 - next, use: 'free', inode: 0, fileBlock: -1 });
  all.push({ start: BLOCKS - 64, count: 64, use: 'outside', inode: 0, fileBlock: -1 });
  return all;
} // prettier-ignore
let laidOut: Piece[] | null = null;
const piecesOf = (): Piece[] => (laidOut ??= layOutImage());
const pathOf = (inode: number): string | null =>
  files.find((each) => each.inode === inode)?.path ?? null;

function layout(): ImageLayout {
  const pieces = piecesOf();
  return {
    fileSystemId: 'ext4',
    blockSizeBytes: BLOCK_BYTES,
    blockCount: BLOCKS,
    start: pieces.map((each) => each.start),
    count: pieces.map((each) => each.count),
    use: pieces.map((each) => BLOCK_USES.indexOf(each.use)),
    inodeNumber: pieces.map((each) => each.inode),
    fileBlock: pieces.map((each) => each.fileBlock),
    owners: files.map(({ inode, path }) => ({ inodeNumber: inode, path })),
  };
}
function fileOf(path: string): FakeFile {
  const found = files.find((each) => each.path === path);
  if (found) return found;
  throw new HostError({ code: 'file.missing', message: `There is no ${path} in this image`, where: path, exitCode: 66 });
} // prettier-ignore
function map(path: string): FileMap {
  const { inode, sizeBytes } = fileOf(path);
  const blocks = Math.ceil(sizeBytes / BLOCK_BYTES);
  const extents: FileExtent[] = [];
  let next = 0;
  const hole = (to: number): void => {
    if (to > next) extents.push({ fileBlock: next, count: to - next, deviceBlock: null, state: 'hole' }); // prettier-ignore
  };
  for (const { start, count, use, fileBlock } of piecesOf()
    .filter((each) => each.inode === inode && each.fileBlock >= 0)
    .sort((a, b) => a.fileBlock - b.fileBlock)) {
    hole(fileBlock);
    extents.push({ fileBlock, count, deviceBlock: start, state: use === 'unwritten' ? 'unwritten' : 'mapped' }); // prettier-ignore
    next = fileBlock + count;
  }
  hole(blocks);
  return { blockSizeBytes: BLOCK_BYTES, sizeBytes, extents };
}
function entries(folder: string): ImageEntry[] {
  const prefix = folder === '/' ? '/' : `${folder}/`;
  if (folder !== '/') fileOf(folder);
  return files
    .filter(({ path }) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
    .map(({ path, inode, kind, sizeBytes }) => ({
      name: path.slice(prefix.length), inodeNumber: inode, kind, sizeBytes,
    })); // prettier-ignore
}

const base64 = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};
const README = 'This image was made to be looked at.\n\nIt has a file in sixteen pieces, one with holes and one that was never written.\n'.repeat(16).slice(0, 1834); // prettier-ignore
function contentOf(file: FakeFile, offsetBytes: number, lengthBytes: number): Uint8Array {
  const length = Math.max(0, Math.min(lengthBytes, file.sizeBytes - offsetBytes));
  if (file.path === '/readme.txt') {
    return new TextEncoder().encode(README).slice(offsetBytes, offsetBytes + length);
  }
  return Uint8Array.from({ length }, (_, at) => ((offsetBytes + at) * 31 + file.inode) & 255);
}
function preview(path: string, offsetBytes: number, lengthBytes: number): FilePreview {
  const file = fileOf(path);
  return {
    sizeBytes: file.sizeBytes,
    offsetBytes,
    bytesBase64: base64(contentOf(file, offsetBytes, lengthBytes)),
    isText: file.path.endsWith('.txt'),
    extents: map(path).extents,
  };
}
/** Name, bytes, value, what it means: some fields of ext4's superblock. */
const SUPERBLOCK: readonly (readonly [string, number, number, string])[] = [
  ['s_inodes_count', 4, 65536, 'Inodes in all'], ['s_blocks_count_lo', 4, BLOCKS, 'Blocks in all'], ['s_r_blocks_count_lo', 4, 13107, 'Kept for the superuser'],
  ['s_free_blocks_count_lo', 4, 187_220, 'Blocks free'], ['s_free_inodes_count', 4, 55_517, 'Inodes free'], ['s_first_data_block', 4, 0, ''],
  ['s_log_block_size', 4, 2, 'Block size is 1024 << this'], ['s_log_cluster_size', 4, 2, ''], ['s_blocks_per_group', 4, 32768, ''], ['s_clusters_per_group', 4, 32768, ''],
  ['s_inodes_per_group', 4, 8192, ''], ['s_mtime', 4, 0, 'Mounted last'], ['s_wtime', 4, 1_772_000_000, 'Written last'], ['s_mnt_count', 2, 0, ''],
  ['s_max_mnt_count', 2, 65535, ''], ['s_magic', 2, 0xef53, 'Magic number of ext2, ext3 and ext4'], ['s_state', 2, 1, 'Clean'], ['s_errors', 2, 1, 'Goes on after errors'],
]; // prettier-ignore
function superblock(): { bytes: Uint8Array; fields: StructureField[] } {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  const fields: StructureField[] = [];
  let at = 1024;
  for (const [name, lengthBytes, value, help] of SUPERBLOCK) {
    if (lengthBytes === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
    fields.push({ name, offsetBytes: at, lengthBytes, value: name === 's_magic' ? '0xef53' : String(value), help });
    at += lengthBytes;
  }
  return { bytes, fields };
} // prettier-ignore
function block(deviceBlock: number): BlockView {
  const piece = piecesOf().find(({ start, count }) => deviceBlock >= start && deviceBlock < start + count); // prettier-ignore
  if (!piece) throw new HostError({ code: 'block.outside', message: `There is no block ${String(deviceBlock)}` }); // prettier-ignore
  const { start, use, inode, fileBlock } = piece;
  const group = Math.floor(deviceBlock / GROUP_BLOCKS);
  const owner = pathOf(inode);
  const file = files.find((each) => each.inode === inode);
  const { bytes, fields } =
    use === 'superblock'
      ? superblock()
      : { bytes: new Uint8Array(BLOCK_BYTES), fields: [] as StructureField[] }; // prettier-ignore
  if (use === 'data' && file) {
    const content = contentOf(file, (fileBlock + deviceBlock - start) * BLOCK_BYTES, BLOCK_BYTES);
    bytes.set(content);
  }
  if (use === 'bitmap') bytes.fill(255, 0, 900);
  const titles: Partial<Record<BlockUse, string>> = {
    free: 'free', data: `data of inode ${String(inode)}`, superblock: group === 0 ? 'superblock' : `copy of the superblock in group ${String(group)}`,
    descriptors: 'group descriptors', bitmap: `bitmap of group ${String(group)}`, inodes: `inode table of group ${String(group)}`, journal: 'journal',
  }; // prettier-ignore
  return {
    deviceBlock,
    offsetBytes: deviceBlock * BLOCK_BYTES,
    bytesBase64: base64(bytes),
    description: {
      range: { deviceBlock: start, count: piece.count, use, inodeNumber: inode || null, fileBlock: fileBlock < 0 ? null : fileBlock },
      title: titles[use] ?? use,
      fields,
    },
    ownerPath: owner,
  }; // prettier-ignore
}
function fragmentation(): Fragmentation {
  const free = piecesOf().filter((each) => each.use === 'free');
  const lengths = free.map((each) => each.count * BLOCK_BYTES);
  const bins = Array.from({ length: 18 }, (_, index) => {
    const belowBytes = 8192 * 2 ** index;
    const inBin = lengths.filter((each) => each < belowBytes && (index === 0 || each >= belowBytes / 2));
    return { belowBytes, extents: inBin.length, bytes: inBin.reduce((sum, each) => sum + each, 0) };
  });
  const worst = ['/logs/day.log', '/pieces.bin', '/sparse.bin'].map((path) => ({
    path, sizeBytes: fileOf(path).sizeBytes, extents: map(path).extents.filter((each) => each.deviceBlock !== null).length,
  }));
  return {
    blockSizeBytes: BLOCK_BYTES, freeBytes: lengths.reduce((sum, each) => sum + each, 0), freeExtents: free.length,
    largestFreeBytes: Math.max(...lengths), freeBins: bins, files: files.length - 4, fragmentedFiles: 3, extents: files.length + 46, worst,
  };
} // prettier-ignore

const fact = (id: string, title: string, value: string) => ({ id, title, value });
function stat(file: string | null): PlaceFacts {
  if (file === null) {
    return { fileSystemId: 'ext4', facts: [
      fact('label', 'Label', 'lab'), fact('uuid', 'UUID', '6d1f6a3c-8f0e-4c3f-9c64-3c1e6e0d7a11'), fact('block-size', 'Block size', '4 096 bytes'), fact('blocks', 'Blocks', '262 144'),
      fact('inodes', 'Inodes', '65 536, 55 517 free'), fact('features', 'Features', 'has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum'),
      fact('state', 'State', 'clean'), fact('written', 'Written last', '2026-02-25 06:13:20 UTC'), fact('made', 'Made', '2026-02-25 06:13:20 UTC'), fact('journal', 'Journal', 'inode 8, 32 MiB, empty'),
    ] };
  }
  const { inode } = fileOf(file);
  return { fileSystemId: 'ext4', facts: [
    fact('mode', 'Mode', '0100644'), fact('owner', 'Owner', '0:0'), fact('links', 'Links', '1'), fact('modified', 'Modified', '2026-02-25 06:13:20 UTC'),
    fact('flags', 'Flags', 'extents'), fact('generation', 'Generation', String(inode * 7919)),
  ] };
} // prettier-ignore

let snapshots: SnapshotInfo[] = [
  { id: 'snap-1', imagePath: image('first-light.img').path, createdAtUnixMs: AT_UNIX_MS - 86_400_000, sizeBytes: 2 ** 30, allocatedBytes: 2 ** 29, method: 'reflink', note: 'before the night run' },
  { id: 'snap-2', imagePath: image('first-light.img').path, createdAtUnixMs: AT_UNIX_MS, sizeBytes: 2 ** 30, allocatedBytes: 2 ** 29, method: 'copy', note: '' },
]; // prettier-ignore
function fsck(repair: boolean): FsckResult {
  return {
    tool: 'e2fsck', version: '1.47.0', command: `e2fsck -f${repair ? 'y' : 'n'} ${image('first-light.img').path}`, exitCode: repair ? 1 : 0,
    meaning: repair ? 'File system errors were corrected.' : 'No errors.', state: repair ? 'repaired' : 'clean', elapsedMs: 412,
    output: 'Pass 1: Checking inodes, blocks, and sizes\nPass 2: Checking directory structure\nPass 3: Checking directory connectivity\nPass 4: Checking reference counts\nPass 5: Checking group summary information\nlab: 10019/65536 files (0.0% non-contiguous), 74924/262144 blocks\n',
    snapshotId: repair ? 'snap-3' : null,
  };
} // prettier-ignore
async function* transfer(file: string, totalBytes: number, signal: AbortSignal | undefined): AsyncGenerator<TransferEvent> {
  for (let part = 1; part <= 40; part += 1) {
    if (signal?.aborted) return;
    yield { kind: 'progress', file, doneBytes: Math.round((totalBytes * part) / 40), totalBytes };
    await sleep(100);
  }
  yield { kind: 'done', files: 1, bytes: totalBytes };
} // prettier-ignore
const PARTITIONED = '/srv/images/card.img';
const partitionTable: PartitionTable = {
  kind: 'gpt', sectorBytes: 512, isBackup: false,
  partitions: [
    { isContainer: false, problem: null, number: 1, startBytes: 2 ** 20, sizeBytes: 2 ** 28, typeName: 'EFI System', label: 'EFI', uuid: '', fileSystemId: 'fat', probe: null },
    { isContainer: false, problem: null, number: 2, startBytes: 2 ** 28 + 2 ** 20, sizeBytes: 2 ** 30, typeName: 'Linux filesystem', label: 'root', uuid: '', fileSystemId: 'ext4',
      probe: { label: 'root', blockSizeBytes: 4096, sizeBytes: 2 ** 30, freeBytes: 2 ** 29, state: 'dirty', confidence: 'checksum' } },
    { isContainer: false, problem: null, number: 3, startBytes: 2 ** 31, sizeBytes: 2 ** 30, typeName: 'Linux swap', label: '', uuid: '', fileSystemId: null, probe: null },
  ],
}; // prettier-ignore
let known: ImageInfo[] = [
  ...listed.map((each) => ({ ...each, fileSystemId: 'ext4' })),
  image('card.img', { path: PARTITIONED, madeByLab: false, sizeBytes: 4 * 2 ** 30, allocatedBytes: 1.3 * 2 ** 30, fileSystemId: 'raw', probe: null }),
  image('xfs-root.img', { path: '/srv/images/xfs-root.img', madeByLab: false, fileSystemId: 'xfs', writable: false }),
]; // prettier-ignore
const forgotten = new Map<string, ImageInfo>();

/** What the scripted lab answers about images; `gate` holds it up or refuses, as the mode says. */
export function fakeImages(mode: string, gate: () => Promise<void>) {
  if (mode === 'first') known = [];
  type In<T = object> = Place & T;
  type Call = { readonly signal?: AbortSignal };
  const change = async (): Promise<void> => {
    await gate();
  };
  return {
    list: async () => { await gate(); return [...known]; },
    probe: async ({ path }: { path: string }) => {
      await gate();
      const found = known.find((each) => each.path === path) ?? forgotten.get(path);
      if (found) return found;
      throw new HostError({ code: 'image.missing', message: 'There is no such file', where: path });
    },
    make: async ({ name, sizeBytes }: { name: string | null; sizeBytes: number }) => {
      const made = image(name ?? 'disk.img', { sizeBytes });
      known = [...known, made];
      return made;
    },
    browse: async () => ({
      folder: '/srv/images', parent: '/srv',
      entries: [
        { name: 'archive', path: '/srv/images/archive', kind: 'folder', sizeBytes: 0 },
        { name: 'vm-root.img', path: '/srv/images/vm-root.img', kind: 'file', sizeBytes: 20 * 2 ** 30 },
      ],
    }),
    partitions: async ({ path }: { path: string }) => {
      await gate();
      return path === PARTITIONED ? partitionTable : { kind: null, sectorBytes: 512, isBackup: false, partitions: [] };
    },
    usedBy: async ({ path }: { path: string }): Promise<ImageUse[]> => {
      await gate();
      return path.endsWith('vm-root.img') ? [{ kind: 'lock', text: 'a lock of qemu-system-x86 (process 4711)' }] : [];
    },
    stat: async ({ file }: In<{ file: string | null }>) => { await gate(); return stat(file); },
    layout: async () => { await gate(); return layout(); },
    fragmentation: async () => { await gate(); return fragmentation(); },
    block: async ({ block: at }: In<{ block: number }>) => { await gate(); return block(at); },
    entries: async ({ folder }: In<{ folder: string }>) => { await gate(); return entries(folder); },
    map: async ({ file }: In<{ file: string }>) => { await gate(); return map(file); },
    preview: async (asked: In<{ file: string; offsetBytes: number; lengthBytes: number }>) => {
      await gate();
      return preview(asked.file, asked.offsetBytes, asked.lengthBytes);
    },
    makeFolder: async ({ folder }: In<{ folder: string }>) => {
      await change();
      files.push({ path: folder, inode: 20_000 + files.length, kind: 'directory', sizeBytes: 4096 });
      return { path: folder };
    },
    removeEntry: async ({ file }: In<{ file: string }>) => {
      await change();
      const before = files.length;
      const kept = files.filter(({ path }) => path !== file && !path.startsWith(`${file}/`));
      files.splice(0, files.length, ...kept);
      return { removed: before - files.length };
    },
    renameEntry: async ({ from, to }: In<{ from: string; to: string }>) => {
      await change();
      for (const file of files) {
        if (file.path === from || file.path.startsWith(`${from}/`)) file.path = to + file.path.slice(from.length);
      }
      return { path: to };
    },
    putFromHost: async ({ file }: In<{ file: string }>, call?: Call) => transfer(file, 3 * 2 ** 28, call?.signal),
    getToHost: async ({ file }: In<{ file: string }>, call?: Call) => transfer(file, fileOf(file).sizeBytes, call?.signal),
    layOut: async (_asked: object, call?: Call) => transfer('/pieces.bin', 2 ** 26, call?.signal),
    fsck: async ({ repair }: { repair: boolean }) => { await gate(); return fsck(repair); },
    snapshots: async ({ path }: { path: string | null }) => {
      await gate();
      return snapshots.filter((each) => path === null || each.imagePath === path);
    },
    snapshot: async ({ path, note }: { path: string; note: string }) => {
      const made: SnapshotInfo = { id: `snap-${String(snapshots.length + 1)}`, imagePath: path, createdAtUnixMs: AT_UNIX_MS, sizeBytes: 2 ** 30, allocatedBytes: 2 ** 29, method: 'reflink', note };
      snapshots = [...snapshots, made];
      return made;
    },
    restoreSnapshot: async ({ id }: { id: string }) => {
      const gone = forgotten.get(id);
      if (gone) known = [...known, gone];
      return snapshots.find((each) => each.id === id) ?? snapshots[0];
    },
    removeSnapshot: async ({ id }: { id: string }) => {
      snapshots = snapshots.filter((each) => each.id !== id);
      return { removed: true };
    },
    forget: async ({ path, alsoDelete }: { path: string; alsoDelete: boolean }) => {
      const found = known.find((each) => each.path === path);
      const id = `deleted-${path}`;
      if (found) forgotten.set(alsoDelete ? id : path, found);
      known = known.filter((each) => each.path !== path);
      return { deleted: alsoDelete, snapshotId: alsoDelete ? id : null };
    },
  };
} // prettier-ignore
