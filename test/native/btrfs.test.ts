// SPDX-License-Identifier: GPL-2.0-only
/**
 * btrfs against the real tools and the real kernel: mkfs.btrfs makes images of several kinds, the kernel fills them, and names, sizes,
 * bytes and maps read here are those of the kernel. FIEMAP's places are logical bytes on btrfs; the chunk tree, as btrfs
 * inspect-internal prints it, says where they are on the device. Then what is refused, by name, and damaged images whose checksums hold.
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
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, HostError, Sfc32 } from '../../engine/base/index.ts';
import { crc32c } from '../../engine/filesystems/_ext/checksum.ts';
import { btrfs } from '../../engine/filesystems/btrfs/index.ts';
import type { Inode, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const HOSTILE_IMAGES = Number(process.env['DIOLAB_HOSTILE_IMAGES'] ?? 300);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-btrfs-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, { encoding: 'utf8', stdio: 'pipe' });
}

function makeImage(name: string, options: readonly string[], sizeMib = 128): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeMib * MIB);
  tool('mkfs.btrfs', '-q', '-f', ...options, path);
  return path;
}

function withMount<T>(path: string, action: (point: string) => T, options = 'defaults'): T {
  const point = mkdtempSync(join(folder, 'mount-'));
  const loop = tool('losetup', '-f', '--show', path).trim();
  try {
    tool('mount', '-t', 'btrfs', '-o', options, loop, point);
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
  const missing = missingReason(['btrfs-progs', 'mount', 'e2fsprogs']);
  if (missing !== null) return missing;
  if (process.getuid?.() !== 0) return 'missing: root, for loop mounts';
  return readFileSync('/proc/filesystems', 'utf8').includes('\tbtrfs\n')
    ? null
    : 'missing: btrfs in this kernel';
}

/** Writes pieces one by one, each to the disk before the next, so that each becomes an extent. */
function writePieces(path: string, pieces: readonly (readonly [number, Uint8Array])[]): void {
  const fd = openSync(path, 'a');
  closeSync(fd);
  const file = openSync(path, 'r+');
  for (const [at, bytes] of pieces) {
    writeSync(file, bytes, 0, bytes.length, at);
    fsyncSync(file);
  }
  closeSync(file);
}

/** A little of everything that has a map of its own kind. */
function fill(point: string, manyNames: number): void {
  const at = (name: string): string => join(point, name);
  writePieces(at('fragmented'), [
    [0, stamped(1, 0, 400_000)],
    ...[3, 50, 7, 30, 8, 97].map(
      (block) => [block * BLOCK, stamped(block, block * BLOCK, 2 * BLOCK)] as const,
    ),
  ]);
  writePieces(at('holes'), [
    [300_000, stamped(2, 0, 5000)],
    [70_000, stamped(3, 0, 9000)],
  ]);
  truncateSync(at('holes'), MIB);
  writeFileSync(at('empty'), '');
  writeFileSync(at('squeezed'), 'the same again and again '.repeat(20_000));
  writeFileSync(at('squeezed inline'), 'and again '.repeat(150));
  writeFileSync(at('tail'), stamped(4, 0, 12_345));
  tool('fallocate', '-l', '500000', at('preallocated'));
  writePieces(at('preallocated'), [[80_000, stamped(5, 0, 40_000)]]);
  tool('cp', '--reflink=always', at('fragmented'), at('reflink'));
  writePieces(at('reflink'), [[200_000, stamped(6, 0, 20_000)]]);
  symlinkSync('fragmented', at('link'));
  mkdirSync(at('deep/er'), { recursive: true });
  writeFileSync(at('deep/er/ümläut'), stamped(7, 0, 70_000));
  mkdirSync(at('many'));
  for (let index = 0; index < manyNames; index++) {
    writeFileSync(at(`many/name ${String(index)}`), index % 10 === 0 ? String(index) : '');
  }
  tool('btrfs', 'subvolume', 'create', at('subvolume'));
  writeFileSync(at('subvolume/inside'), stamped(8, 0, 90_000));
  tool('btrfs', 'subvolume', 'snapshot', point, at('snapshot'));
  writePieces(at('fragmented'), [[120_000, stamped(9, 0, 5000)]]);
}

interface Seen {
  readonly kind: string;
  readonly sizeBytes: number;
  readonly bytes: Buffer | null;
  /** `first block, count, logical block or -, state` of what is no hole. */
  readonly map: string[];
}

/** All names with content and FIEMAP, as the kernel has them. */
function kernelSees(point: string): Map<string, Seen> {
  tool('sync', '-f', point);
  const seen = new Map<string, Seen>();
  const walk = (inside: string): void => {
    for (const name of readdirSync(join(point, inside))) {
      const path = inside === '' ? name : `${inside}/${name}`;
      const stat = lstatSync(join(point, path));
      const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';
      const bytes = kind === 'file' ? readFileSync(join(point, path)) : null;
      seen.set(path, { kind, sizeBytes: stat.size, bytes, map: [] });
      if (kind === 'directory') walk(path);
    }
  };
  walk('');
  const files = [...seen].filter(([, { kind }]) => kind === 'file').map(([path]) => path);
  const mapped = files.filter((path) => files.length < 300 || !path.includes('many/'));
  const paths = mapped.map((path) => join(point, path));
  const text = tool('filefrag', '-v', '-b4096', ...paths);
  let current: Seen | undefined;
  for (const line of text.split('\n')) {
    const of = /^File size of (.*) is \d+ \(/.exec(line)?.[1];
    if (of !== undefined) current = seen.get(of.slice(point.length + 1));
    const extent = /^ *\d+: *(\d+)\.\. *\d+: *(\d+)\.\. *\d+: *(\d+):(?: *\d+:)? *(.*)$/.exec(line);
    if (extent === null || current === undefined) continue;
    const [, first, logical, count, flags = ''] = extent;
    const state = ['encoded', 'inline', 'unwritten'].find((flag) => flags.includes(flag));
    const place = state === 'inline' || state === 'encoded' ? '-' : logical;
    const blocks = flags.includes('inline') ? '1' : count;
    current.map.push(`${String(first)} ${String(blocks)} ${String(place)} ${state ?? 'mapped'}`);
  }
  return seen;
}

/** Logical start, length and place of the first stripe of every chunk, by the tool's word. */
function chunksOf(path: string): (readonly [number, number, number])[] {
  const text = tool('btrfs', 'inspect-internal', 'dump-tree', '-t', 'chunk', path);
  const chunks = /CHUNK_ITEM (\d+)\)[^]*?length (\d+) [^]*?stripe 0 devid \d+ offset (\d+)/g;
  return [...text.matchAll(chunks)].map(([, start, length, stripe]) => [
    Number(start),
    Number(length),
    Number(stripe),
  ]);
}

/** Logical byte to byte of the device. */
function chunkTranslation(path: string): (logical: number) => number {
  const chunks = chunksOf(path);
  return (logical) => {
    const found = chunks.find(([start, length]) => logical >= start && logical < start + length);
    if (found === undefined) throw new Error(`no chunk has ${String(logical)}`);
    return found[2] + logical - found[0];
  };
}

/** One entry for each block, so that it does not matter where a tool cuts extents. */
function blocksOf(
  map: readonly string[],
  translate: (block: number) => number,
): Map<number, string> {
  const blocks = new Map<number, string>();
  for (const line of map) {
    const [first, count, place, state] = line.split(' ');
    for (let index = 0; index < Number(count); index++) {
      const at = place === '-' ? '-' : String(translate(Number(place) + index));
      blocks.set(Number(first) + index, `${String(state)} ${at}`);
    }
  }
  return blocks;
}

const words: Readonly<Record<string, string>> = { compressed: 'encoded' };

function ownBlocks(lab: FileSystemLab, fileSystem: MountedFileSystem, inode: Inode): Map<number, string> {
  const file = expectOk(lab.run(fileSystem.open(inode)));
  const blocks = new Map<number, string>();
  let next = 0;
  for (const { fileBlock, count, deviceBlock, state } of expectOk(lab.run(file.extents()))) {
    expect(fileBlock).toBe(next);
    next += count;
    if (state === 'hole') continue;
    for (let index = 0; index < count; index++) {
      const at = deviceBlock === null ? '-' : String(deviceBlock + index);
      blocks.set(fileBlock + index, `${words[state] ?? state} ${at}`);
    }
  }
  return blocks;
} // prettier-ignore

function readAll(lab: FileSystemLab, fileSystem: MountedFileSystem, inode: Inode): Buffer | number {
  const file = expectOk(lab.run(fileSystem.open(inode)));
  const parts: Uint8Array[] = [];
  for (let at = 0; at < inode.sizeBytes;) {
    const bytes = lab.read(file, at, 262_144, { isDirect: true });
    if (typeof bytes === 'number') return bytes;
    if (bytes.length === 0) break;
    parts.push(bytes);
    at += bytes.length;
  }
  return Buffer.concat(parts);
}

/** Every name, size, byte and block. */
function compare(path: string, seen: ReadonlyMap<string, Seen>): void {
  const lab = FileSystemLab.fromFile(path);
  const fileSystem = lab.mount('btrfs');
  const translate = chunkTranslation(path);
  const translateBlock = (block: number): number => translate(block * BLOCK) / BLOCK;
  const found = new Set<string>();
  const walk = (inside: string, directory: Inode): void => {
    for (const { name, inodeNumber, kind } of expectOk(lab.run(fileSystem.readDirectory(directory)))) {
      const full = inside === '' ? name : `${inside}/${name}`;
      found.add(full);
      const expected = seen.get(full);
      expect(kind, full).toBe(expected?.kind);
      const inode = expectOk(lab.run(fileSystem.readInode(inodeNumber)));
      expect(expectOk(lab.run(fileSystem.lookup(directory, name)))).toBe(inodeNumber);
      if (kind === 'directory') walk(full, inode);
      if (kind !== 'file' || expected === undefined) continue;
      expect(inode.sizeBytes, full).toBe(expected.sizeBytes);
      const isCompressed = expected.map.some((line) => line.endsWith('encoded'));
      const bytes = readAll(lab, fileSystem, inode);
      if (isCompressed) expect(bytes, full).toBe(-95);
      else if (typeof bytes === 'number') expect.fail(`${full}: errno ${String(bytes)}`);
      else expect(Buffer.compare(bytes, expected.bytes ?? Buffer.alloc(0)), full).toBe(0);
      if (full.includes('many/') && expected.map.length === 0) continue;
      expect(ownBlocks(lab, fileSystem, inode), full).toEqual(blocksOf(expected.map, translateBlock));
    }
  };
  walk('', lab.inodeAt(fileSystem, '/', null));
  expect([...found].sort()).toEqual([...seen.keys()].sort());
  checkLayout(lab, fileSystem, seen.size);
  lab.unmount(fileSystem);
  expect(lab.pagesInUse).toBe(0);
} // prettier-ignore

/** Every block once, in order; a mapped block of a file is its data there. */
function checkLayout(lab: FileSystemLab, fileSystem: MountedFileSystem, names: number): void {
  const ranges = expectOk(lab.run(fileSystem.layout?.() ?? expect.fail('no layout')));
  let next = 0;
  for (const { deviceBlock, count } of ranges) {
    expect(deviceBlock).toBe(next);
    next += count;
  }
  expect(next).toBe((lab.disk.capacitySectors * 512) / BLOCK);
  expect(ranges.filter(({ use }) => use === 'superblock').length).toBeGreaterThan(0);
  const inode = lab.inodeAt(fileSystem, '/fragmented', null);
  const file = expectOk(lab.run(fileSystem.open(inode)));
  for (const { deviceBlock, state } of expectOk(lab.run(file.extents()))) {
    if (state !== 'mapped' || deviceBlock === null) continue;
    const range = ranges.find((one) => deviceBlock >= one.deviceBlock && deviceBlock < one.deviceBlock + one.count);
    expect(range?.use).toBe('data');
    expect(range?.inodeNumber).not.toBeNull();
  }
  const tree = ranges.find(({ use }) => use === 'tree');
  const description = expectOk(lab.run(fileSystem.describeBlock?.(tree?.deviceBlock ?? 0) ?? expect.fail('none')));
  expect(description.title).toMatch(/^(leaf|node of level \d) of the .* block 1 of \d+$/);
  expect(description.fields.map(({ name }) => name)).toContain('generation');
  expect(names).toBeGreaterThan(10);
} // prettier-ignore

const KINDS: readonly (readonly [string, readonly string[], number, string])[] = [
  ['defaults', [], 5000, 'defaults'],
  ['single metadata, nodes of 4 KiB', ['-m', 'single', '-n', '4096'], 600, 'defaults'],
  ['mixed groups', ['--mixed'], 200, 'defaults'],
  ['without no-holes and free-space-tree', ['-O', '^no-holes', '-R', '^free-space-tree', '-n', '65536'], 200, 'defaults'],
  ['zstd', ['-L', 'a label'], 50, 'compress-force=zstd'],
  ['lzo', [], 20, 'compress-force=lzo'],
]; // prettier-ignore

describeUnless(whyNoMount(), `btrfs and the kernel, seed ${String(SEED)}`, () => {
  for (const [title, options, manyNames, mountOptions] of KINDS) {
    it(`names, bytes and maps of ${title}`, () => {
      const path = makeImage('image', options);
      const seen = withMount(
        path,
        (point) => {
          fill(point, manyNames);
          return kernelSees(point);
        },
        mountOptions,
      );
      const states = new Set([...seen.values()].flatMap(({ map }) => map.map((line) => line.split(' ')[3])));
      if (mountOptions !== 'defaults') expect(states).toContain('encoded');
      else expect(states).toContain('unwritten');
      compare(path, seen);
    }, 60_000); // prettier-ignore
  }

  it('the default subvolume is the root', () => {
    const path = makeImage('default', []);
    withMount(path, (point) => {
      tool('btrfs', 'subvolume', 'create', join(point, 'one'));
      writeFileSync(join(point, 'one/inside'), 'x');
      tool('btrfs', 'subvolume', 'set-default', join(point, 'one'));
    });
    const lab = FileSystemLab.fromFile(path);
    const fileSystem = lab.mount('btrfs');
    const root = lab.inodeAt(fileSystem, '/', null);
    const names = expectOk(lab.run(fileSystem.readDirectory(root))).map(({ name }) => name);
    expect(names).toEqual(['inside']);
    expect(lab.run(fileSystem.create(root, 'new', 'file'))).toMatchObject({ error: 'EROFS' });
    lab.unmount(fileSystem);
  });
});

function refusal(bytes: Uint8Array): HostError {
  const lab = new FileSystemLab(bytes);
  try {
    lab.mount('btrfs');
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  return expect.fail('it was mounted');
}

/** Sets crc32c of the superblock, or of a node of `length`, right. */
function seal(bytes: Uint8Array, at: number, length: number): void {
  const sum = ~crc32c(0xffff_ffff, bytes, at + 32, at + length) >>> 0;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, sum, true);
}

describeUnless(missingReason(['btrfs-progs']), 'btrfs that is refused', () => {
  it('features and states, by their names', () => {
    const path = makeImage('refused', [], 120);
    const image = new Uint8Array(readFileSync(path));
    const changed = (at: number, value: number): HostError => {
      const before = image.slice(0x10000, 0x11000);
      image[0x10000 + at] = value;
      seal(image, 0x10000, 4096);
      const error = refusal(image);
      image.set(before, 0x10000);
      return error;
    };
    expect(changed(0xbd, 0x13).message).toContain('the feature zoned');
    expect(changed(0xbd, 0x23).message).toContain('the feature extent-tree-v2');
    expect(changed(0xbd, 0x43).message).toContain('the feature raid-stripe-tree');
    expect(changed(0xbf, 0x80).message).toContain('the feature bit 31');
    expect(changed(0x60, 1).hint).toContain('btrfs rescue zero-log');
    expect(changed(0x88, 2).message).toContain('spread over 2 devices');
    expect(changed(0x3c, 1).message).toContain('seed device');
    expect(changed(0xc4, 2).message).toContain('sha256');
    expect(changed(0xc6, 8).data).toMatchObject({ field: 'root_level' });
    expect(changed(0x51, 1).data).toMatchObject({ structure: 'tree node' });
    image[0x10000 + 0x12b] = 0x2a;
    expect(refusal(image).message).toContain('btrfs rescue super-recover');
  });

  it('a node that is damaged is read from its copy', () => {
    const path = makeImage('copies', ['-m', 'dup'], 120);
    const image = new Uint8Array(readFileSync(path));
    const lab = new FileSystemLab(image);
    const fileSystem = lab.mount('btrfs');
    const ranges = expectOk(lab.run(fileSystem.layout?.() ?? expect.fail('no layout')));
    lab.unmount(fileSystem);
    const firsts = chunksOf(path);
    let damaged = 0;
    for (const { deviceBlock, count, use } of ranges) {
      for (let block = deviceBlock; use === 'tree' && block < deviceBlock + count; block++) {
        const byte = block * BLOCK;
        if (!firsts.some(([, length, at]) => byte >= at && byte < at + length)) continue;
        image[byte + 60] = ~(image[byte + 60] ?? 0) & 0xff;
        damaged++;
      }
    }
    expect(damaged).toBeGreaterThan(4);
    const again = new FileSystemLab(image);
    again.unmount(again.mount('btrfs'));
  }); // prettier-ignore

  it(`hostile images whose checksums hold, seed ${String(SEED)}`, () => {
    const path = makeImage('hostile', ['-m', 'single', '-n', '4096', '--rootdir', 'engine/base'], 120);
    const image = new Uint8Array(readFileSync(path));
    const lab = new FileSystemLab(image);
    const mounted = lab.mount('btrfs');
    const ranges = expectOk(lab.run(mounted.layout?.() ?? expect.fail('no layout')));
    lab.unmount(mounted);
    const nodes = ranges
      .filter(({ use }) => use === 'tree')
      .flatMap(({ deviceBlock, count }) => Array.from({ length: count }, (_, at) => (deviceBlock + at) * BLOCK));
    const random = new Sfc32(SEED, 17);
    let refused = 0;
    for (let round = 0; round < HOSTILE_IMAGES; round++) {
      const places = [0x10000, ...nodes];
      const undo: (readonly [number, Uint8Array])[] = [];
      for (let hits = 1 + below(random, 3); hits > 0; hits--) {
        const at = round % 4 === 0 ? 0x10000 : (places[below(random, places.length)] as number);
        undo.push([at, image.slice(at, at + 4096)]);
        mutate(image, at, random);
        seal(image, at, 4096);
      }
      refused += exercise(lab) ? 0 : 1;
      for (const [at, bytes] of undo.reverse()) image.set(bytes, at);
    }
    expect(refused).toBeGreaterThan(0);
    expect(lab.pagesInUse).toBe(0);
  }, 60_000); // prettier-ignore
});

/** Bytes of the header or the items, where it hurts. */
function mutate(image: Uint8Array, at: number, random: Sfc32): void {
  const offset = at + 32 + below(random, below(random, 2) === 0 ? 400 : 4064);
  const view = new DataView(image.buffer, image.byteOffset);
  const values = [0, 1, 0xff, 0x7fff_ffff, 0xffff_ffff, random.next32()];
  const value = values[below(random, values.length)] as number;
  if (below(random, 2) === 0) image[offset] = value & 0xff;
  else if (offset + 4 <= at + 4096) view.setUint32(offset, value, true);
}

/** Mounts and looks at everything; false: refused. Anything but a `HostError` or a refusal by errno fails the test. */
function exercise(lab: FileSystemLab): boolean {
  let fileSystem: MountedFileSystem;
  lab.run(btrfs.probe(lab.kernel, lab.disk));
  try {
    fileSystem = lab.mount('btrfs');
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    expect(error.data ?? error.where).toBeDefined();
    return false;
  }
  const root = lab.run(fileSystem.readInode(fileSystem.rootInodeNumber));
  const listed = root.ok ? lab.run(fileSystem.readDirectory(root.value)) : root;
  for (const { inodeNumber } of listed.ok ? listed.value : []) {
    const inode = lab.run(fileSystem.readInode(inodeNumber));
    if (!inode.ok || inode.value.kind !== 'file') continue;
    const file = expectOk(lab.run(fileSystem.open(inode.value)));
    lab.run(file.extents());
    lab.read(file, 0, 65_536, { isDirect: true });
  }
  lab.run(fileSystem.layout?.() ?? expect.fail('no layout'));
  lab.run(fileSystem.facts?.(null) ?? expect.fail('no facts'));
  lab.unmount(fileSystem);
  return true;
}
