// SPDX-License-Identifier: GPL-2.0-only
/**
 * Writing ext3 and ext4 that mke2fs made, in every usual combination of features: random lists of writes, truncation, fallocate and
 * removal, after which e2fsck finds nothing, the content equals a model, and the kernel mounts the image and reads the same bytes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, Sfc32, type Random } from '../../engine/base/index.ts';
import type { FallocateMode, MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';
import { nativeSyscalls, whyNoSyscalls } from '../../main/host/native/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, { encoding: 'utf8', stdio: 'pipe' });
}

function expectSound(path: string): void {
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.status, `${found.stdout}${found.stderr}`).toBe(0);
}

function same(found: Uint8Array | number, expected: Uint8Array, where: string): void {
  if (typeof found === 'number') expect.fail(`${where}: errno ${String(found)}`);
  if (Buffer.compare(found, expected) === 0) return;
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  expect.fail(
    `${where}: ${String(found.length)} of ${String(expected.length)}, wrong ${String(at)}`,
  );
}

/** One file, and what it must hold. */
class Writer {
  content = new Uint8Array(0);
  private readonly file: OpenFile;
  constructor(
    private readonly lab: FileSystemLab,
    private readonly fileSystem: MountedFileSystem,
    readonly path: string,
    private readonly random: Random,
    private readonly spread: number,
  ) {
    this.file = lab.openPath(fileSystem, path);
  }

  step(): void {
    const choice = below(this.random, 12);
    if (choice < 8) this.write(choice % 2 === 0);
    else if (choice === 8) this.truncate();
    else if (choice < 11) this.fallocate();
    else expect(this.lab.run(this.file.fsync(false))).toBe(0);
  }

  private write(isDirect: boolean): void {
    const { random, lab } = this;
    const unit = isDirect ? 512 : 1;
    const at = Math.floor(below(random, this.spread) / unit) * unit;
    const count = Math.ceil((1 + below(random, 60_000)) / unit) * unit;
    const data = stamped(random.next32(), at, count);
    expect(lab.write(this.file, at, data, { isDirect })).toBe(count);
    this.resize(Math.max(this.content.length, at + count));
    this.content.set(data, at);
  }

  private truncate(): void {
    const size = below(this.random, this.content.length + 10_000);
    expect(this.lab.run(this.fileSystem.truncate(this.file.inode, size))).toBe(0);
    this.resize(size);
  }

  private fallocate(): void {
    const { random, fileSystem } = this;
    if (fileSystem.fallocate === undefined) return;
    const modes: FallocateMode[] = ['allocate', 'keep-size', 'punch', 'zero'];
    const mode = modes[below(random, 4)] as FallocateMode;
    const at = below(random, this.spread);
    const length = 1 + below(random, 100_000);
    const status = this.lab.run(fileSystem.fallocate(this.file.inode, mode, at, length));
    if (status === -95) return;
    expect(status).toBe(0);
    const before = this.content.length;
    const end = at + length;
    if (mode === 'allocate' || mode === 'zero') this.resize(Math.max(before, end));
    if (mode === 'punch' || mode === 'zero') this.content.fill(0, at, Math.min(end, before));
  }

  private resize(size: number): void {
    if (size === this.content.length) return;
    const resized = new Uint8Array(size);
    resized.set(this.content.subarray(0, size));
    this.content = resized;
  }

  verify(fileSystem: MountedFileSystem): void {
    const inode = this.lab.inodeAt(fileSystem, this.path, null);
    const file = expectOk(this.lab.run(fileSystem.open(inode)));
    expect(inode.sizeBytes).toBe(this.content.length);
    for (let at = 0; at < this.content.length; at += MIB) {
      const length = Math.ceil(Math.min(MIB, this.content.length - at) / 512) * 512;
      const found = this.lab.read(file, at, length, { isDirect: true });
      same(found, this.content.subarray(at, at + length), this.path);
    }
  }
}

function workload(lab: FileSystemLab, fileSystem: MountedFileSystem, random: Random): Writer[] {
  const files = ['plain', 'dir/one', 'dir/deep/two', 'wide', 'gone'].map(
    (path) => new Writer(lab, fileSystem, path, random, path === 'wide' ? 4 * MIB : 300_000),
  );
  for (let step = 0; step < 150; step++) (files[below(random, files.length)] as Writer).step();
  const root = lab.inodeAt(fileSystem, '/', null);
  expectOk(lab.run(fileSystem.unlink(root, 'gone')));
  return files.filter(({ path }) => path !== 'gone');
}

interface Made {
  readonly id: string;
  readonly args: readonly string[];
}
const combinations: readonly Made[] = [
  { id: 'ext4', args: ['-t', 'ext4'] },
  { id: 'ext4', args: ['-t', 'ext4', '-b', '1024'] },
  { id: 'ext4', args: ['-t', 'ext4', '-b', '2048', '-I', '128'] },
  { id: 'ext4', args: ['-t', 'ext4', '-b', '4096', '-I', '512', '-O', '^has_journal'] },
  { id: 'ext4', args: ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg'] },
  { id: 'ext4', args: ['-t', 'ext4', '-O', '^metadata_csum,^64bit'] },
  { id: 'ext4', args: ['-t', 'ext4', '-b', '1024', '-O', '^flex_bg,^resize_inode,meta_bg'] },
  {
    id: 'ext4',
    args: ['-t', 'ext4', '-b', '1024', '-O', 'sparse_super2', '-E', 'lazy_itable_init=1'],
  },
  { id: 'ext4', args: ['-t', 'ext4', '-O', 'metadata_csum_seed,orphan_file', '-g', '2048'] },
  { id: 'ext4', args: ['-t', 'ext4', '-O', '^extent,^64bit'] },
  { id: 'ext3', args: ['-t', 'ext3'] },
  { id: 'ext3', args: ['-t', 'ext3', '-b', '1024', '-I', '128'] },
];

const mountReason =
  missingReason(['e2fsprogs', 'mount']) ??
  (nativeSyscalls() === null ? whyNoSyscalls() : null) ??
  (process.getuid?.() === 0 ? null : 'loop mounts need root');

/** Mounts the image over a loop device of our own, and takes both away again. */
function withMount(path: string, type: string, work: (mounted: string) => void): void {
  const device = tool('losetup', '--find', '--show', path).trim();
  const mounted = join(folder, 'mounted');
  mkdirSync(mounted, { recursive: true });
  try {
    tool('mount', '-t', type, device, mounted);
    try {
      work(mounted);
    } finally {
      tool('umount', mounted);
    }
  } finally {
    tool('losetup', '--detach', device);
  }
}

describeUnless(missingReason(['e2fsprogs']), `writing ext3 and ext4, seed ${String(SEED)}`, () => {
  for (const { id, args } of combinations) {
    it(`changes what mke2fs made: ${args.join(' ')}`, () => {
      const path = join(folder, 'made.img');
      writeFileSync(path, new Uint8Array(40 * MIB).fill(0xa5));
      tool('mke2fs', '-q', '-F', ...args, path);
      const lab = FileSystemLab.fromFile(path, { inline: false });
      let fileSystem = lab.mount(id);
      const files = workload(lab, fileSystem, new Sfc32(SEED));
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount(id);
      for (const file of files) file.verify(fileSystem);
      lab.unmount(fileSystem);
      if (mountReason !== null) return;
      withMount(path, id, (mounted) => {
        for (const file of files) {
          same(readFileSync(join(mounted, file.path)), file.content, `kernel, ${file.path}`);
        }
        writeFileSync(join(mounted, 'from the kernel'), 'x');
      });
      expectSound(path);
    });
  }

  it('a tree of many extents that we made, and one that the kernel made, both ways', () => {
    const path = join(folder, 'deep.img');
    writeFileSync(path, new Uint8Array(48 * MIB));
    tool('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', path);
    const pieces = 1200;
    const piece = (seed: number, index: number): Uint8Array =>
      stamped(seed + index, index * 2048, 1024);
    if (mountReason === null) {
      withMount(path, 'ext4', (mounted) => {
        const file = openSync(join(mounted, 'kernel'), 'w');
        // From the end to the start, every other block: no two of them are one extent.
        for (let index = pieces - 1; index >= 0; index--) {
          writeSync(file, piece(9, index), 0, 1024, index * 2048);
          if (index % 16 === 0) fdatasyncSync(file);
        }
        closeSync(file);
      });
    }
    const lab = FileSystemLab.fromFile(path, { inline: false });
    let fileSystem = lab.mount('ext4');
    const own = lab.openPath(fileSystem, 'own');
    for (let index = 0; index < pieces; index++) {
      const at = (index * 7) % pieces;
      expect(lab.write(own, at * 2048, piece(5, at), { isDirect: true })).toBe(1024);
    }
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
    fileSystem = lab.mount('ext4');
    for (const [name, seed] of [
      ['own', 5],
      ['kernel', 9],
    ] as const) {
      if (name === 'kernel' && mountReason !== null) continue;
      const file = lab.openPath(fileSystem, name);
      for (let index = 0; index < pieces; index += 3) {
        same(lab.read(file, index * 2048, 1024), piece(seed, index), name);
      }
      expect(lab.run(fileSystem.truncate(file.inode, 1_000_000))).toBe(0);
      const half = 500_000;
      expect(lab.run(fileSystem.fallocate?.(file.inode, 'punch', 10_000, half) ?? none())).toBe(0);
    }
    lab.unmount(fileSystem);
    lab.save(path);
    expectSound(path);
    if (mountReason !== null) return;
    withMount(path, 'ext4', (mounted) => {
      const expected = new Uint8Array(1024).fill(0);
      const found = readFileSync(join(mounted, 'own'));
      expect(found.length).toBe(1_000_000);
      same(found.subarray(300 * 2048, 300 * 2048 + 1024), piece(5, 300), 'own, kept');
      same(found.subarray(100 * 2048, 100 * 2048 + 1024), expected, 'own, punched');
    });
  });
});

function* none(): Generator<never, number> {
  yield* [];
  return 0;
}
