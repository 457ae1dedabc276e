// SPDX-License-Identifier: GPL-2.0-only
/**
 * ext2 against the real tools and the real kernel: what we make passes e2fsck, what mke2fs makes we can change, our maps are those of
 * debugfs, and the kernel mounts what we leave and reads the same bytes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, HostError, Sfc32, type Random } from '../../engine/base/index.ts';
import { imageTools } from '../../engine/lab/image-tools.ts';
import type { FileExtent, MountedFileSystem } from '../../engine/vfs/index.ts';
import { nativePorts, nativeSyscalls, whyNoSyscalls } from '../../main/host/native/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext2-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, { encoding: 'utf8', stdio: 'pipe' });
}

/** e2fsck -fn must find nothing. */
function expectSound(path: string): void {
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.status, `${found.stdout}${found.stderr}`).toBe(0);
}

function same(found: Uint8Array | number, expected: Uint8Array, where: string): void {
  if (typeof found === 'number') expect.fail(`${where}: errno ${String(found)}`);
  if (Buffer.compare(found, expected) !== 0) {
    const at = found.findIndex((byte, index) => byte !== expected[index]);
    expect.fail(`${where}: ${String(found.length)} bytes, first wrong at ${String(at)}`);
  }
}

/** Data blocks of a file as debugfs lists them (indirect ones are marked IND): file block -> device block. */
function debugfsData(path: string, inside: string): Map<number, number> {
  const text = tool('debugfs', '-R', `stat ${inside}`, path);
  const blocks = new Map<number, number>();
  const section = /BLOCKS:\n([^\n]*)/.exec(text)?.[1] ?? '';
  for (const [, from, to, first] of section.matchAll(/\((\d+)(?:-(\d+))?\):(\d+)(?:-\d+)?/g)) {
    const last = Number(to ?? from);
    for (let block = Number(from); block <= last; block++) {
      blocks.set(block, Number(first) + block - Number(from));
    }
  }
  return blocks;
}

function ownBlocks(extents: readonly FileExtent[]): Map<number, number> {
  const blocks = new Map<number, number>();
  for (const { fileBlock, count, deviceBlock } of extents) {
    if (deviceBlock === null) continue;
    for (let index = 0; index < count; index++) blocks.set(fileBlock + index, deviceBlock + index);
  }
  return blocks;
}

interface Written {
  readonly path: string;
  content: Uint8Array;
}

/** A little of everything: direct and buffered, extending, overwriting, holes, truncation, removal. */
function workload(lab: FileSystemLab, fileSystem: MountedFileSystem, random: Random): Written[] {
  const files: Written[] = [];
  const names = ['plain', 'dir/one', 'dir/deep/two', 'holes', 'ümläut', 'gone'];
  for (const path of names) {
    const file = lab.openPath(fileSystem, path);
    const written: Written = { path, content: new Uint8Array(0) };
    for (let step = 0; step < 14; step++) {
      const isDirect = random.next32() % 2 === 0;
      const spread = path === 'holes' ? 3 * MIB : 400_000;
      const unit = isDirect ? 512 : 1;
      const at = Math.floor(below(random, spread) / unit) * unit;
      const count = Math.ceil((1 + below(random, 120_000)) / unit) * unit;
      const data = stamped(random.next32(), at, count);
      expect(lab.write(file, at, data, { isDirect })).toBe(count);
      const grown = new Uint8Array(Math.max(written.content.length, at + count));
      grown.set(written.content);
      grown.set(data, at);
      written.content = grown;
      if (step % 5 === 4) {
        const size = below(random, grown.length);
        expect(lab.run(fileSystem.truncate(file.inode, size))).toBe(0);
        written.content = grown.slice(0, size);
      }
    }
    files.push(written);
  }
  const root = lab.inodeAt(fileSystem, '/', null);
  expectOk(lab.run(fileSystem.unlink(root, 'gone')));
  return files.filter(({ path }) => path !== 'gone');
}

function verify(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  files: readonly Written[],
): void {
  for (const { path, content } of files) {
    const file = expectOk(lab.run(fileSystem.open(lab.inodeAt(fileSystem, path, null))));
    expect(file.inode.sizeBytes).toBe(content.length);
    for (let at = 0; at < content.length; at += MIB) {
      // Up to the sector with the end in it: a direct read is cut there, not refused.
      const length = Math.ceil(Math.min(MIB, content.length - at) / 512) * 512;
      same(lab.read(file, at, length, { isDirect: true }), content.subarray(at, at + length), path);
    }
  }
}

describeUnless(missingReason(['e2fsprogs']), `ext2 and e2fsprogs, seed ${String(SEED)}`, () => {
  for (const blockSize of ['1024', '2048', '4096']) {
    for (const sizeBytes of [MIB, 9 * MIB + 3072, 70 * MIB]) {
      it(`e2fsck finds nothing in what we make: ${String(sizeBytes)} bytes, blocks of ${blockSize}`, () => {
        const lab = FileSystemLab.blank(sizeBytes);
        lab.format('ext2', { blockSize });
        const path = join(folder, 'made.img');
        lab.save(path);
        expectSound(path);
        expect(tool('debugfs', '-R', 'ls -l /', path)).toContain('lost+found');
      });
    }
  }

  const foreign: readonly (readonly string[])[] = [
    ['-b', '1024'],
    ['-b', '2048', '-I', '128'],
    ['-b', '4096'],
    ['-b', '1024', '-O', '^sparse_super,^resize_inode'],
    ['-b', '4096', '-O', 'none'],
    ['-b', '1024', '-O', '^filetype'],
    ['-b', '1024', '-O', 'meta_bg,^resize_inode'],
    ['-b', '4096', '-g', '1024', '-N', '500'],
    ['-r', '0'],
  ];
  for (const args of foreign) {
    it(`changes what mke2fs made: ${args.join(' ')}`, () => {
      const path = join(folder, 'foreign.img');
      writeFileSync(path, new Uint8Array(24 * MIB).fill(0xa5));
      tool('mke2fs', '-q', '-F', '-t', 'ext2', ...args, path);
      const lab = FileSystemLab.fromFile(path, { inline: false });
      let fileSystem = lab.mount('ext2');
      const files = workload(lab, fileSystem, new Sfc32(SEED));
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount('ext2');
      verify(lab, fileSystem, files);
      for (const { path: inside } of files) {
        if (inside === 'ümläut') continue;
        const file = lab.openPath(fileSystem, inside);
        const extents = expectOk(lab.run(file.extents()));
        expect(ownBlocks(extents), inside).toEqual(debugfsData(path, inside));
      }
      lab.unmount(fileSystem);
    });
  }

  it('maps and reads single, double and triple indirect blocks, and truncates them away', () => {
    const path = join(folder, 'deep.img');
    const lab = FileSystemLab.blank(16 * MIB);
    lab.format('ext2', { blockSize: '1024' });
    let fileSystem = lab.mount('ext2');
    const file = lab.openPath(fileSystem, 'deep');
    // 1 KiB blocks: direct to 12 KiB, single to 268 KiB, double to 64.3 MiB, triple to 16 GiB.
    const places = [0, 11, 12, 267, 268, 65803, 65804, 65805, 200_000, 16_843_019].map(
      (b) => b * 1024,
    );
    for (const at of places) {
      const data = stamped(at, at, 1024);
      expect(lab.write(file, at, data, { isDirect: true })).toBe(1024);
    }
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
    fileSystem = lab.mount('ext2');
    const again = lab.openPath(fileSystem, 'deep');
    for (const at of places)
      same(lab.read(again, at, 1024, { isDirect: true }), stamped(at, at, 1024), String(at));
    expect(ownBlocks(expectOk(lab.run(again.extents())))).toEqual(debugfsData(path, 'deep'));
    for (const size of [65_804 * 1024 + 100, 268 * 1024, 12 * 1024 + 1, 5000, 0]) {
      expect(lab.run(fileSystem.truncate(again.inode, size))).toBe(0);
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    }
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
  });

  it('a full file system says ENOSPC, and stays sound', () => {
    const path = join(folder, 'full.img');
    const lab = FileSystemLab.blank(2 * MIB);
    lab.format('ext2', { blockSize: '1024' });
    const fileSystem = lab.mount('ext2');
    const file = lab.openPath(fileSystem, 'full');
    let at = 0;
    let last = 0;
    for (let step = 0; step < 100; step++) {
      last = lab.write(file, at, stamped(1, at, 65536), { isDirect: step % 2 === 0 });
      if (last < 65536) break;
      at += last;
    }
    expect(last).toBeLessThan(65536);
    const size = file.inode.sizeBytes;
    expect(
      lab.write(file, Math.ceil(size / 512) * 512, stamped(1, 0, 65536), { isDirect: true }),
    ).toBe(-28);
    expect(file.inode.sizeBytes).toBe(size);
    const root = lab.inodeAt(fileSystem, '/', null);
    const made = [];
    for (let index = 0; index < 40; index++) {
      const result = lab.run(fileSystem.create(root, `folder ${String(index)}`, 'directory'));
      if (!result.ok) {
        expect(result.error).toBe('ENOSPC');
        break;
      }
      made.push(index);
    }
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    // Space that a truncation frees can be used at once.
    expect(lab.run(fileSystem.truncate(file.inode, 0))).toBe(0);
    expect(lab.write(file, 0, stamped(2, 0, 262144), { isDirect: true })).toBe(262144);
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
  });

  it('many names: directories grow, shrink and are removed', () => {
    const path = join(folder, 'names.img');
    const lab = FileSystemLab.blank(16 * MIB);
    lab.format('ext2', { blockSize: '1024' });
    const fileSystem = lab.mount('ext2');
    const parent = lab.inodeAt(fileSystem, 'many', 'directory');
    for (let index = 0; index < 600; index++) {
      const name = `entry ${String(index)} ${'x'.repeat(index % 200)}`;
      expectOk(lab.run(fileSystem.create(parent, name, index % 10 === 0 ? 'directory' : 'file')));
      if (index % 3 === 0) expectOk(lab.run(fileSystem.unlink(parent, name)));
    }
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    const entries = expectOk(lab.run(fileSystem.readDirectory(parent)));
    expect(entries).toHaveLength(402);
    const root = lab.inodeAt(fileSystem, '/', null);
    expect(lab.run(fileSystem.unlink(root, 'many'))).toMatchObject({ error: 'ENOTEMPTY' });
    for (const { name } of entries) {
      if (name !== '.' && name !== '..') expectOk(lab.run(fileSystem.unlink(parent, name)));
    }
    expectOk(lab.run(fileSystem.unlink(root, 'many')));
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
  });
});

const mountReason =
  missingReason(['e2fsprogs', 'mount']) ??
  (nativeSyscalls() === null ? whyNoSyscalls() : null) ??
  (process.getuid?.() === 0 ? null : 'loop mounts need root');

describeUnless(mountReason, `ext2, the image tools and the kernel, seed ${String(SEED)}`, () => {
  it('files put into an image read back through the tools, e2fsck and the mounted image', () => {
    const path = join(folder, 'tools.img');
    const ports = nativePorts();
    writeFileSync(path, '');
    truncateSync(path, 64 * MIB);
    imageTools.format(ports, path, 'ext2', { blockSize: '4096' });
    const random = new Sfc32(SEED, 1);
    const files = new Map<string, Uint8Array>();
    for (const [name, length] of [
      ['empty', 0],
      ['small', 700],
      ['page', 4096],
      ['large', 9 * MIB + 1234],
    ] as const) {
      const data = stamped(random.next32(), 0, length);
      files.set(name, data);
      put(ports, path, `/${name}`, data);
    }
    put(ports, path, '/small', stamped(7, 0, 5000));
    files.set('small', stamped(7, 0, 5000));
    expect(
      imageTools.list(ports, path, '/').map(({ name, sizeBytes }) => [name, sizeBytes]),
    ).toEqual([
      ['empty', 0],
      ['large', 9 * MIB + 1234],
      ['lost+found', 16384],
      ['page', 4096],
      ['small', 5000],
    ]);
    for (const [name, data] of files) same(get(ports, path, `/${name}`), data, name);
    const map = imageTools.map(ports, path, '/large');
    expect(ownBlocks(map.extents)).toEqual(debugfsData(path, 'large'));
    expect(imageTools.probe(ports, path)).toMatchObject({
      fileSystemId: 'ext2',
      sizeBytes: 64 * MIB,
    });
    expectSound(path);
    withMount(path, (mounted) => {
      for (const [name, data] of files) same(readFileSync(join(mounted, name)), data, name);
    });
  });

  it('the kernel reads what random writes left behind', () => {
    for (const blockSize of ['1024', '4096']) {
      const path = join(folder, 'random.img');
      const lab = FileSystemLab.blank(24 * MIB, { inline: false });
      lab.format('ext2', { blockSize });
      const fileSystem = lab.mount('ext2');
      const files = workload(lab, fileSystem, new Sfc32(SEED, 2));
      lab.unmount(fileSystem);
      lab.save(path);
      expectSound(path);
      withMount(path, (mounted) => {
        for (const { path: inside, content } of files) {
          same(readFileSync(join(mounted, inside)), content, inside);
        }
      });
    }
  });

  it('refuses by name', () => {
    const ports = nativePorts();
    const path = join(folder, 'refused.img');
    const refused = (work: () => unknown): HostError => {
      try {
        work();
      } catch (error) {
        if (error instanceof HostError) return error;
        throw error;
      }
      return expect.fail('it was not refused');
    };
    const list = (): unknown => imageTools.list(ports, path, '/');
    writeFileSync(path, new Uint8Array(4 * MIB));
    expect(refused(list)).toMatchObject({ code: 'image.unknown-file-system', exitCode: 65 });
    tool('mke2fs', '-q', '-F', '-t', 'ext4', '-O', 'bigalloc', path);
    expect(refused(list).message).toContain('bigalloc');
    tool('mke2fs', '-q', '-F', '-t', 'ext2', path);
    expect(list()).toHaveLength(1);
    expect(refused(() => get(ports, path, '/nothing'))).toMatchObject({
      code: 'image.no-entry',
      exitCode: 66,
    });
    expect(refused(() => get(ports, path, '/lost+found'))).toMatchObject({
      code: 'image.is-a-folder',
    });
    const big = new Uint8Array(8 * MIB);
    expect(
      refused(() => {
        put(ports, path, '/big', big);
      }),
    ).toMatchObject({ code: 'image.no-space', exitCode: 74 });
    expect(list()).toHaveLength(1);
    expectSound(path);
    truncateSync(path, 2 * MIB);
    expect(refused(list).message).toContain('blocks_count');
  });

  type Ports = ReturnType<typeof nativePorts>;
  function put(ports: Ports, path: string, inside: string, data: Uint8Array): void {
    let at = 0;
    imageTools.write(ports, path, inside, () => {
      if (at >= data.length) return null;
      const piece = data.subarray(at, at + 300_000);
      at += piece.length;
      return piece;
    });
  }
  function get(ports: Ports, path: string, inside: string): Uint8Array {
    const pieces: Uint8Array[] = [];
    imageTools.read(ports, path, inside, (bytes) => pieces.push(bytes));
    return Buffer.concat(pieces);
  }

  /** Mounts the image read-only over a loop device of our own, and takes both away again. */
  function withMount(path: string, work: (mounted: string) => void): void {
    const device = tool('losetup', '--find', '--show', '--read-only', path).trim();
    const mounted = join(folder, 'mounted');
    mkdirSync(mounted, { recursive: true });
    try {
      tool('mount', '-t', 'ext2', '-o', 'ro', device, mounted);
      try {
        work(mounted);
      } finally {
        tool('umount', mounted);
      }
    } finally {
      tool('losetup', '--detach', device);
    }
  }
});
