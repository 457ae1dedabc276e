// SPDX-License-Identifier: GPL-2.0-only
/**
 * XFS against the real tools and the real kernel: mkfs.xfs makes images of several kinds, the kernel fills them and says where every
 * file is (FIEMAP), and names, sizes, bytes and maps read here are the same. Then what is refused, and by which name.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostError, Sfc32 } from '../../engine/base/index.ts';
import { xfs } from '../../engine/filesystems/xfs/index.ts';
import type { FileExtent, Inode, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';
import { XfsStructures } from '../trust/adapters/xfs-structures.ts';
import { Mutator } from '../trust/mutator.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const HOSTILE_IMAGES = Number(process.env['DIOLAB_HOSTILE_IMAGES'] ?? 60);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-xfs-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** mkfs.xfs makes images below 300 MiB only where its own tests ask for it. */
const SMALL_IMAGES = { TEST_DIR: '1', TEST_DEV: '1', QA_CHECK_FS: '1' };

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, {
    encoding: 'utf8',
    stdio: 'pipe',
    env: { ...process.env, ...SMALL_IMAGES },
  });
}

function makeImage(name: string, options: readonly string[], sizeBytes = 64 * MIB): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  tool('mkfs.xfs', '-q', '-f', ...options, path);
  return path;
}

/** Mounts an image, runs, unmounts. */
function mounted<T>(path: string, action: (point: string) => T): T {
  const point = mkdtempSync(join(folder, 'mount-'));
  const loop = tool('losetup', '-f', '--show', path).trim();
  try {
    tool('mount', '-t', 'xfs', loop, point);
    try {
      return action(point);
    } finally {
      tool('umount', point);
    }
  } finally {
    tool('losetup', '-d', loop);
  }
}

function whyNoMount(): string | null {
  const missing = missingReason(['xfsprogs', 'mount']);
  if (missing !== null) return missing;
  if (process.getuid?.() !== 0) return 'missing: root, for loop mounts';
  return readFileSync('/proc/filesystems', 'utf8').includes('\txfs\n')
    ? null
    : 'missing: XFS in this kernel';
}

interface Piece {
  readonly byte: number;
  readonly deviceByte: number;
  readonly lengthBytes: number;
  readonly isUnwritten: boolean;
}

function joined(pieces: readonly Piece[]): Piece[] {
  const list: Piece[] = [];
  for (const piece of pieces) {
    const last = list.at(-1);
    const joins =
      last?.isUnwritten === piece.isUnwritten &&
      last.byte + last.lengthBytes === piece.byte &&
      last.deviceByte + last.lengthBytes === piece.deviceByte;
    if (joins)
      list[list.length - 1] = { ...last, lengthBytes: last.lengthBytes + piece.lengthBytes };
    else list.push(piece);
  }
  return list;
}

const UNWRITTEN = 0x800;
/** FIEMAP by xfs_io, for many files: `0: [0..7]: 104..111 8 0x1`, in sectors of 512. */
function fiemaps(paths: readonly string[]): Map<string, Piece[]> {
  const maps = new Map<string, Piece[]>();
  for (const path of paths) {
    const text = tool('xfs_io', '-r', '-c', 'fiemap -v', path);
    const pieces: Piece[] = [];
    const row = /^\s*\d+: \[(\d+)\.\.(\d+)\]:\s+(\d+)\.\.\d+\s+\d+\s+(0x[0-9a-f]+)/gm;
    for (const [, from, to, first, flags] of text.matchAll(row)) {
      pieces.push({
        byte: Number(from) * 512,
        deviceByte: Number(first) * 512,
        lengthBytes: (Number(to) - Number(from) + 1) * 512,
        isUnwritten: (Number(flags) & UNWRITTEN) !== 0,
      });
    }
    maps.set(path, joined(pieces));
  }
  return maps;
}

function piecesOf(extents: readonly FileExtent[], blockBytes: number): Piece[] {
  return joined(
    extents.flatMap(({ fileBlock, deviceBlock, count, state }) =>
      deviceBlock === null
        ? []
        : [
            {
              byte: fileBlock * blockBytes,
              deviceByte: deviceBlock * blockBytes,
              lengthBytes: count * blockBytes,
              isUnwritten: state === 'unwritten',
            },
          ],
    ),
  );
}

/** Two files written by turns, so that both are in pieces; fsync keeps the kernel from putting them together. */
function writeFragments(point: string, turns: number): void {
  const files = ['fragments', 'other fragments'].map((name) => openSync(join(point, name), 'w'));
  for (let turn = 0; turn < turns; turn++) {
    for (const [index, file] of files.entries()) {
      writeSync(file, stamped(index, turn * 2 * BLOCK, BLOCK), 0, BLOCK, turn * 2 * BLOCK);
    }
    if (turn % 64 === 63) files.forEach(fsyncSync);
  }
  files.forEach(closeSync);
}

function fill(point: string, entries: readonly number[], hasReflink: boolean): void {
  writeFileSync(join(point, 'empty'), '');
  writeFileSync(join(point, 'small'), stamped(3, 0, 777));
  writeFileSync(join(point, 'long'), stamped(4, 0, 3 * MIB + 123));
  writeFileSync(join(point, 'n'.repeat(255)), 'a name of 255 bytes');
  writeFileSync(join(point, 'naïve ☃'), 'not ASCII');
  writeFragments(point, 300);
  const holes = openSync(join(point, 'holes'), 'w');
  for (const block of [0, 7, 300, 3000]) {
    writeSync(holes, stamped(5, block * BLOCK, 1000), 0, 1000, block * BLOCK);
  }
  closeSync(holes);
  const unwritten = join(point, 'unwritten');
  tool('xfs_io', '-f', '-c', 'falloc 0 1m', '-c', 'pwrite -q -S 0x5a 256k 64k', unwritten);
  tool('xfs_io', '-f', '-c', 'falloc -k 0 256k', '-c', 'pwrite -q 0 10000', join(point, 'ahead'));
  symlinkSync('long', join(point, 'short link'));
  symlinkSync('x'.repeat(1000), join(point, 'long link'));
  if (hasReflink) {
    tool('cp', '--reflink=always', join(point, 'long'), join(point, 'shared'));
    tool('xfs_io', '-c', 'pwrite -q -S 0x77 1m 64k', join(point, 'shared'));
  }
  for (const count of entries) {
    const directory = join(point, `folder ${String(count)}`);
    mkdirSync(directory);
    for (let index = 0; index < count; index++) {
      writeFileSync(join(directory, `entry ${String(index)} of ${String(count)}`), '');
    }
    for (let index = 0; index < count; index += 7) {
      rmSync(join(directory, `entry ${String(index)} of ${String(count)}`));
    }
  }
  tool('sync', '-f', point);
}

interface KernelFile {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly inodeNumber: number;
  readonly bytes: Buffer | string | null;
  readonly names: readonly string[] | null;
}

/** What the kernel says is there. */
function kernelTree(point: string): KernelFile[] {
  const found: KernelFile[] = [];
  const visit = (inside: string): void => {
    const path = join(point, inside);
    const stat = lstatSync(path);
    const common = { path: inside, inodeNumber: stat.ino, bytes: null, names: null };
    if (stat.isDirectory()) {
      const names = readdirSync(path).sort();
      found.push({ ...common, kind: 'directory', names });
      // Of large folders every twentieth entry is looked at, and all names.
      const step = names.length > 100 ? 20 : 1;
      for (const [index, name] of names.entries()) {
        if (index % step === 0) visit(join(inside, name));
      }
    } else if (stat.isSymbolicLink()) {
      found.push({ ...common, kind: 'symlink', bytes: readlinkSync(path) });
    } else found.push({ ...common, kind: 'file', bytes: readFileSync(path) });
  };
  visit('/');
  return found;
}

function expectSameBytes(found: Uint8Array | number, expected: Uint8Array, where: string): void {
  if (typeof found === 'number') expect.fail(`${where}: errno ${String(found)}`);
  if (Buffer.compare(found, expected) !== 0) {
    const at = expected.findIndex((byte, index) => byte !== found[index]);
    expect.fail(`${where}: ${String(found.length)} bytes, first wrong at ${String(at)}`);
  }
}

const SLICE = MIB;
/** Every byte, directly and through the page cache; holes of a mebibyte and more by their ends. */
function compareContent(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  inode: Inode,
  expected: Buffer,
  where: string,
): void {
  const file = expectOk(lab.run(fileSystem.open(inode)));
  expect(inode.sizeBytes, where).toBe(expected.length);
  for (let at = 0; at < expected.length; at += SLICE) {
    const part = expected.subarray(at, Math.min(expected.length, at + SLICE));
    const isPlain = at > 0 && part.every((byte) => byte === 0) && at + SLICE < expected.length;
    if (isPlain && (at / SLICE) % 4 !== 0) continue;
    for (const isDirect of [true, false]) {
      const bytes = lab.read(file, at, SLICE, { isDirect });
      expectSameBytes(bytes, part, `${where}, byte ${String(at)}, direct ${String(isDirect)}`);
    }
  }
}

function compareTree(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  tree: readonly KernelFile[],
  maps: ReadonlyMap<string, readonly Piece[]>,
): void {
  for (const file of tree) {
    const inode = lab.inodeAt(fileSystem, file.path, null);
    expect(inode.inodeNumber, file.path).toBe(file.inodeNumber);
    expect(inode.kind, file.path).toBe(file.kind);
    if (file.names !== null) {
      const entries = expectOk(lab.run(fileSystem.readDirectory(inode)));
      const names = entries.map(({ name }) => name).sort();
      expect(names).toEqual([...file.names, '.', '..'].sort());
    } else if (typeof file.bytes === 'string') {
      const facts = expectOk(lab.run(present(fileSystem.facts?.(inode.inodeNumber))));
      expect(facts.find(({ id }) => id === 'link')?.value).toBe(file.bytes);
    } else if (file.bytes !== null) {
      compareContent(lab, fileSystem, inode, file.bytes, file.path);
      const map = maps.get(file.path);
      if (map === undefined) continue;
      const open = expectOk(lab.run(fileSystem.open(inode)));
      const extents = expectOk(lab.run(open.extents()));
      expect(piecesOf(extents, fileSystem.blockSizeBytes), file.path).toEqual(map);
    }
  }
}

/** What XFS brings, and not every file system. */
function present<T>(value: T | undefined): T {
  return value ?? expect.fail('it is not there');
}

/** The block map covers the device once, agrees with the files' maps, and every block of metadata can be described. */
function compareLayout(lab: FileSystemLab, fileSystem: MountedFileSystem, path: string): void {
  const ranges = expectOk(lab.run(present(fileSystem.layout?.())));
  let next = 0;
  const uses = new Map<string, number>();
  for (const { deviceBlock, count, use } of ranges) {
    expect(deviceBlock).toBe(next);
    next += count;
    uses.set(use, (uses.get(use) ?? 0) + count);
  }
  expect(next).toBe(lab.disk.bytes.length / fileSystem.blockSizeBytes);
  expect(uses.get('map')).toBeGreaterThan(0);
  const text = tool('xfs_db', '-r', '-c', 'freesp -s', path);
  // xfs_db counts the blocks of the AGFLs as free, which are reserved here.
  const free = (uses.get('free') ?? 0) + (uses.get('reserved') ?? 0);
  expect(free).toBe(Number(/total free blocks (\d+)/.exec(text)?.[1]));
  for (const { deviceBlock, use } of ranges.filter(({ use: one }) => one !== 'data')) {
    const described = expectOk(lab.run(present(fileSystem.describeBlock?.(deviceBlock))));
    expect(described.title).not.toBe('');
    const hasFields = ['superblock', 'tree', 'map', 'inodes'].includes(use);
    if (hasFields) expect(described.fields.length).toBeGreaterThan(4);
  }
}

interface Kind {
  readonly name: string;
  readonly options: readonly string[];
  readonly entries: readonly number[];
}
const KINDS: readonly Kind[] = [
  { name: 'the defaults', options: [], entries: [1, 50, 500, 10_000] },
  {
    name: 'blocks of 1 KiB, directory blocks of 8 KiB, reverse maps',
    options: ['-b', 'size=1024', '-n', 'size=8192', '-m', 'rmapbt=1'],
    entries: [1, 50, 900],
  },
  {
    name: 'sectors of 4 KiB, inodes of 1 KiB, 3 groups, no sparse inodes',
    options: ['-s', 'size=4096', '-i', 'size=1024,sparse=0', '-d', 'agcount=3'],
    entries: [1, 50, 500],
  },
  {
    name: 'blocks of 2 KiB, large extent counts, no reflink, no bigtime, no finobt',
    options: [
      '-b',
      'size=2048',
      '-i',
      'nrext64=1',
      '-m',
      'bigtime=0,reflink=0,finobt=0,inobtcount=0',
    ],
    entries: [1, 50, 500],
  },
];

describeUnless(whyNoMount(), 'XFS of the kernel', () => {
  it.each(KINDS)('$name: names, bytes and maps are the kernel’s', ({ options, entries }) => {
    const path = makeImage('kind.img', options, 96 * MIB);
    const hasReflink = !options.join(' ').includes('reflink=0');
    mounted(path, (point) => {
      fill(point, entries, hasReflink);
    });
    // Mounted anew, so that the maps are those of the disk.
    const { tree, maps } = mounted(path, (point) => {
      const all = kernelTree(point);
      const files = all.filter(({ path: inside, bytes }) => {
        return typeof bytes !== 'string' && bytes !== null && !inside.startsWith('/folder');
      });
      const byPath = fiemaps(files.map((file) => join(point, file.path)));
      const inside = [...byPath].map(([name, map]) => [name.slice(point.length), map] as const);
      return { tree: all, maps: new Map(inside) };
    });
    expect([...maps.values()].some((map) => map.length > 100)).toBe(true);
    expect([...maps.values()].flat().some(({ isUnwritten }) => isUnwritten)).toBe(true);
    const lab = FileSystemLab.fromFile(path);
    const before = lab.disk.bytes.slice();
    lab.disk.intercept = ({ op }) =>
      op === 'read' ? 0 : expect.fail(`a ${op} of a read-only mount`);
    const fileSystem = lab.mount('xfs');
    expect(fileSystem.statfs()).toMatchObject({ state: 'clean', confidence: 'checksum' });
    compareTree(lab, fileSystem, tree, maps);
    compareLayout(lab, fileSystem, path);
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    lab.unmount(fileSystem);
    expect(lab.pagesInUse).toBe(0);
    expect(Buffer.compare(lab.disk.bytes, before)).toBe(0);
  });

  it('a log that the kernel has to replay is refused with the way out, and taken once it was', () => {
    const path = makeImage('dirty.img', []);
    mounted(path, (point) => {
      writeFileSync(join(point, 'before'), stamped(1, 0, 100_000));
      tool('sync', '-f', point);
      mkdirSync(join(point, 'late'));
      tool('xfs_io', '-x', '-c', 'shutdown -f', point);
    });
    const lab = FileSystemLab.fromFile(path);
    expect(lab.run(xfs.probe(lab.kernel, lab.disk))?.state).toBe('dirty');
    const refusal = refusalOf(() => lab.mount('xfs'));
    expect(refusal).toMatchObject({ code: 'image.not-clean', data: { structure: 'log' } });
    expect(refusal.hint).toContain('xfs_repair');
    expect(lab.pagesInUse).toBe(0);
    mounted(path, () => undefined);
    const again = FileSystemLab.fromFile(path);
    again.unmount(again.mount('xfs'));
  });

  it(`${String(HOSTILE_IMAGES)} mutations of what the kernel made, seed ${String(SEED)}: an answer or a refusal by name`, () => {
    const path = makeImage('hostile.img', ['-d', 'agcount=2'], 40 * MIB);
    mounted(path, (point) => {
      writeFragments(point, 300);
      symlinkSync('x'.repeat(1000), join(point, 'long link'));
      mkdirSync(join(point, 'folder'));
      for (let index = 0; index < 300; index++) {
        writeFileSync(join(point, 'folder', `entry ${String(index)}`), '');
      }
    });
    const image = new Uint8Array(readFileSync(path));
    const structures = new XfsStructures(image).all();
    const names = structures.map(({ name }) => name).join();
    for (const what of ['bmbt block', 'directory block', 'tree block'])
      expect(names).toContain(what);
    const mutator = new Mutator(image, structures, BLOCK);
    let answered = 0;
    for (let index = 0; index < HOSTILE_IMAGES; index++) {
      const { bytes, what } = mutator.damage(new Sfc32(SEED, index));
      const where = `image ${String(index)} of seed ${String(SEED)}: ${what}`;
      try {
        answered += visitHostile(new FileSystemLab(bytes, { arenaPages: 2048 }), structures.length);
      } catch (error) {
        if (!(error instanceof HostError)) throw new Error(where, { cause: error });
        expect(error.where, where).toMatch(/^.+, block \d+(, field .+)?$/);
        expect(error.hint, where).toBeTruthy();
      }
    }
    expect(answered).toBeGreaterThan(HOSTILE_IMAGES / 10);
  });
});

/** Requests that one damaged image may cost for each structure of the sound one. */
const REQUESTS_EACH_MAX = 100;

/** Reads everything that can be reached: 1 where it could be mounted. A refusal goes to the caller. */
function visitHostile(lab: FileSystemLab, structuresCount: number): number {
  let requests = 0;
  lab.disk.intercept = () => {
    if (++requests > structuresCount * REQUESTS_EACH_MAX) throw new Error('a walk without end');
    return 0;
  };
  const fileSystem = lab.mount('xfs');
  for (const name of ['fragments', 'other fragments', 'folder', 'long link']) {
    const root = lab.run(fileSystem.readInode(fileSystem.rootInodeNumber));
    const found = root.ok ? lab.run(fileSystem.lookup(root.value, name)) : root;
    const inode = found.ok ? lab.run(fileSystem.readInode(found.value)) : found;
    if (!inode.ok) continue;
    lab.run(present(fileSystem.facts?.(inode.value.inodeNumber)));
    lab.run(fileSystem.readDirectory(inode.value));
    lab.run(fileSystem.lookup(inode.value, 'entry 299'));
    const file = lab.run(fileSystem.open(inode.value));
    if (!file.ok) continue;
    lab.run(file.value.extents());
    for (const isDirect of [true, false]) lab.read(file.value, 0, 262_144, { isDirect });
  }
  const layout = lab.run(present(fileSystem.layout?.()));
  if (layout.ok) {
    for (const { deviceBlock } of layout.value.slice(0, 60)) {
      lab.run(present(fileSystem.describeBlock?.(deviceBlock)));
    }
  }
  lab.run(fileSystem.checkInvariants());
  lab.unmount(fileSystem);
  expect(lab.pagesInUse).toBe(0);
  return 1;
}

function refusalOf(action: () => unknown): HostError {
  try {
    action();
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  return expect.fail('it was not refused');
}

/** A tree for mkfs.xfs itself to make (protofile), where no kernel mounts what it makes: version 4. */
function protofile(source: string): string {
  const entries = Array.from(
    { length: 200 },
    (_, index) => `entry-${String(index)} ---644 0 0 ${source}`,
  );
  return ['/dev/null', '0 0', 'd--755 0 0', `file ---644 0 0 ${source}`, 'link l--777 0 0 file',
    'folder d--755 0 0', ...entries, '$', '$', ''].join('\n'); // prettier-ignore
}

describeUnless(missingReason(['xfsprogs']), 'XFS of mkfs.xfs', () => {
  it.each([
    { name: 'version 4', options: ['-m', 'crc=0'] },
    {
      name: 'version 4 without file types, blocks of 512',
      options: ['-m', 'crc=0', '-n', 'ftype=0', '-b', 'size=512'],
    },
    { name: 'version 5, inodes of 2 KiB', options: ['-i', 'size=2048'] },
  ])('$name is read', ({ options }) => {
    const source = join(folder, 'source');
    const proto = join(folder, 'proto');
    const content = stamped(8, 0, 33_000);
    writeFileSync(source, content);
    writeFileSync(proto, protofile(source));
    const lab = FileSystemLab.fromFile(makeImage('proto.img', [...options, '-p', proto], 48 * MIB));
    const fileSystem = lab.mount('xfs');
    const root = expectOk(lab.run(fileSystem.readDirectory(lab.inodeAt(fileSystem, '/', null))));
    const kinds = new Map(root.map(({ name, kind }) => [name, kind]));
    expect(kinds).toEqual(
      new Map([
        ['.', 'directory'],
        ['..', 'directory'],
        ['file', 'file'],
        ['link', 'symlink'],
        ['folder', 'directory'],
      ]),
    );
    for (const name of ['file', 'folder/entry-0', 'folder/entry-199']) {
      const file = lab.openPath(fileSystem, name);
      for (const isDirect of [true, false]) {
        expectSameBytes(lab.read(file, 0, 40_960, { isDirect }), content, name);
      }
    }
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    lab.unmount(fileSystem);
  });

  it('writes are refused by name, and change nothing', () => {
    const source = join(folder, 'source');
    const proto = join(folder, 'proto');
    writeFileSync(source, stamped(8, 0, 33_000));
    writeFileSync(proto, protofile(source));
    const lab = FileSystemLab.fromFile(makeImage('proto.img', ['-p', proto], 48 * MIB));
    const before = lab.disk.bytes.slice();
    const fileSystem = lab.mount('xfs');
    const root = lab.inodeAt(fileSystem, '/', null);
    const file = lab.openPath(fileSystem, 'file');
    for (const isDirect of [true, false]) {
      expect(lab.write(file, 0, stamped(1, 0, 4096), { isDirect })).toBe(-30);
    }
    expect(lab.run(fileSystem.truncate(file.inode, 0))).toBe(-30);
    expect(lab.run(fileSystem.create(root, 'new', 'file'))).toMatchObject({ error: 'EROFS' });
    expect(lab.run(fileSystem.unlink(root, 'file'))).toMatchObject({ error: 'EROFS' });
    expect(lab.read(file, 1, 512, { isDirect: true })).toBe(-22);
    lab.unmount(fileSystem);
    expect(Buffer.compare(lab.disk.bytes, before)).toBe(0);
  });

  it('an external log, blocks beyond a page and unknown features are refused by name', () => {
    const log = join(folder, 'log.img');
    writeFileSync(log, '');
    truncateSync(log, 16 * MIB);
    const refusedWith = (path: string): HostError =>
      refusalOf(() => FileSystemLab.fromFile(path).mount('xfs'));
    const external = refusedWith(makeImage('external.img', ['-l', `logdev=${log},size=8m`]));
    expect(external.message).toContain('external log');
    const large = refusedWith(makeImage('large.img', ['-b', 'size=16384'], 128 * MIB));
    expect(large.message).toContain('blocks of 16384 bytes');
    const path = makeImage('feature.img', []);
    for (const [bits, name] of [
      ['0x10b', 'metadir'],
      ['0x4000000b', 'bit 30'],
      ['0x1b', 'needsrepair'],
    ] as const) {
      tool('xfs_db', '-x', '-c', 'sb 0', '-c', `write -d features_incompat ${bits}`, path);
      const refusal = refusedWith(path);
      expect(refusal.message).toContain(name);
      expect(refusal.where).toBe('superblock, block 0, field features_incompat');
    }
  });

  it('a flipped bit in any metadata is refused with structure, block and field', () => {
    const path = makeImage('bits.img', [], 48 * MIB);
    const sound = new Uint8Array(readFileSync(path));
    const root = Number(
      /rootino = (\d+)/.exec(tool('xfs_db', '-r', '-c', 'sb 0', '-c', 'p rootino', path))?.[1],
    );
    for (const [byte, structure] of [
      [130, 'superblock'],
      [512 + 52, 'AGF of group 0'],
      [1024 + 16, 'AGI of group 0'],
      [1536 + 40, 'AGFL of group 0'],
      [root * 512 + 60, `inode ${String(root)}`],
    ] as const) {
      const bytes = sound.slice();
      bytes[byte] = (bytes[byte] as number) ^ 4;
      const lab = new FileSystemLab(bytes);
      const findings: string[] = [];
      try {
        const fileSystem = lab.mount('xfs');
        for (const { rule } of lab.run(fileSystem.checkInvariants())) findings.push(rule);
        lab.unmount(fileSystem);
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        findings.push(error.message);
        expect(error.where).toMatch(/, block \d+, field crc/);
      }
      expect(findings[0], structure).toContain(`${structure}: crc is 0x`);
    }
  });
});
