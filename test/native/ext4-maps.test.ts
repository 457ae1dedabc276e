// SPDX-License-Identifier: GPL-2.0-only
/**
 * Maps of files that the real kernel wrote in pieces, against its own FIEMAP (filefrag -e): every block's place and state, holes left out;
 * and journals whose log is damaged or holds fast commits.
 */
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, HostError, Sfc32 } from '../../engine/base/index.ts';
import { tool, whyNoMounts, withMount } from '../support/ext-images.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const FILES = 12;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-maps-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** File block -> device block, with `u` where unwritten, as filefrag lists the kernel's extents. */
function fiemap(path: string): Map<number, string> {
  const blocks = new Map<number, string>();
  const line = /^ *\d+: *(\d+)\.\. *(\d+): *(\d+)\.\. *\d+: *\d+:(?: *\d+:)?(.*)$/gm;
  for (const [, from, to, first, flags] of tool('filefrag', '-e', path).matchAll(line)) {
    const mark = (flags ?? '').includes('unwritten') ? 'u' : '';
    for (let block = Number(from); block <= Number(to); block++) {
      blocks.set(block, `${String(Number(first) + block - Number(from))}${mark}`);
    }
  }
  return blocks;
}

/** Pieces of several files by turns, out of order, between others that go away again. */
function scatter(mounted: string, seed: number, blockBytes: number, canPunch: boolean): void {
  const random = new Sfc32(seed);
  const files = Array.from({ length: FILES }, (_, index) =>
    openSync(join(mounted, `file ${String(index)}`), 'w'),
  );
  for (let round = 0; round < 260; round++) {
    const file = files[below(random, FILES)] as number;
    const at = below(random, 500) * blockBytes;
    writeSync(
      file,
      new Uint8Array(1 + below(random, 3 * blockBytes)).fill(round),
      0,
      undefined,
      at,
    );
    if (round % 3 === 0) fsyncSync(file);
    if (round % 20 === 10 && round < 200)
      writeFileSync(join(mounted, `gap ${String(round)}`), 'gap');
    if (round % 20 === 19 && round < 200) unlinkSync(join(mounted, `gap ${String(round - 9)}`));
  }
  for (const file of files) {
    fsyncSync(file);
    closeSync(file);
  }
  if (!canPunch) return;
  const size = String(37 * blockBytes);
  tool('fallocate', '-o', size, '-l', size, join(mounted, 'file 1'));
  tool('fallocate', '-p', '-o', size, '-l', String(9 * blockBytes), join(mounted, 'file 2'));
}

const IMAGES: readonly (readonly [string, readonly string[], number])[] = [
  ['ext4', ['-b', '1024'], 1024],
  ['ext4', ['-b', '4096', '-O', '^metadata_csum'], 4096],
  ['ext4', ['-b', '1024', '-O', '^extents,^64bit,^flex_bg'], 1024],
  ['ext3', ['-b', '2048'], 2048],
  ['ext2', ['-b', '1024'], 1024],
];

describeUnless(whyNoMounts(), `maps of the ext family, seed ${String(SEED)}`, () => {
  for (const [type, args, blockBytes] of IMAGES) {
    it(`${type} ${args.join(' ')}: as FIEMAP has them`, () => {
      const path = join(folder, 'scattered.img');
      const mounted = join(folder, 'mounted');
      writeFileSync(path, new Uint8Array(48 * MIB));
      tool('mke2fs', '-q', '-F', '-t', type, ...args, path);
      const known = new Map<string, Map<number, string>>();
      withMount(path, type, mounted, () => {
        const hasExtents = type === 'ext4' && !args.some((arg) => arg.includes('^extents'));
        scatter(mounted, SEED, blockBytes, hasExtents);
        tool('sync', '-f', mounted);
        for (let index = 0; index < FILES; index++) {
          const name = `file ${String(index)}`;
          known.set(name, fiemap(join(mounted, name)));
        }
      });
      const lab = FileSystemLab.fromFile(path);
      lab.disk.isReadOnly = true;
      const fileSystem = lab.mount(type);
      let runs = 0;
      for (const [name, expected] of known) {
        const inode = lab.inodeAt(fileSystem, name, null);
        const file = expectOk(lab.run(fileSystem.open(inode)));
        const found = new Map<number, string>();
        for (const extent of expectOk(lab.run(file.extents()))) {
          if (extent.deviceBlock === null) continue;
          runs++;
          const mark = extent.state === 'unwritten' ? 'u' : '';
          for (let at = 0; at < extent.count; at++) {
            found.set(extent.fileBlock + at, `${String(extent.deviceBlock + at)}${mark}`);
          }
        }
        expect(found, name).toEqual(expected);
      }
      expect(runs).toBeGreaterThan(FILES * 5);
      lab.unmount(fileSystem);
    });
  }

  it('a damaged log is refused or ends there, and fast commits are refused by name', () => {
    const path = join(folder, 'log.img');
    const copy = join(folder, 'copy.img');
    const mounted = join(folder, 'mounted');
    writeFileSync(path, new Uint8Array(16 * MIB));
    tool('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-O', 'fast_commit', path);
    withMount(path, 'ext4', mounted, () => {
      mkdirSync(join(mounted, 'folder'));
      for (let index = 0; index < 30; index++) {
        const file = openSync(join(mounted, 'folder', `file ${String(index)}`), 'w');
        writeSync(file, new Uint8Array(3000).fill(index));
        fsyncSync(file);
        closeSync(file);
      }
      copyFileSync(path, copy);
    });
    const made = FileSystemLab.fromFile(copy);
    made.disk.isReadOnly = true;
    const mapped = /\(0-(\d+)\):(\d+)-/.exec(tool('debugfs', '-R', 'stat <8>', copy));
    const first = Number(mapped?.[2]) * 1024;
    const random = new Sfc32(SEED, 7);
    expect(() => made.mount('ext4')).toThrow('fast commits (fast_commit)');
    expect(made.pagesInUse).toBe(0);
    for (let image = 0; image < 40; image++) {
      const bytes = made.disk.bytes.slice();
      for (let count = 0; count < 4; count++) {
        bytes[first + below(random, 60 * 1024)] = below(random, 256);
      }
      const lab = new FileSystemLab(bytes, { arenaPages: 2048 });
      lab.disk.isReadOnly = true;
      try {
        lab.run(lab.mount('ext4').unmount());
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        expect(error.where).not.toBe('');
      }
      expect(lab.pagesInUse).toBe(0);
    }
  });
});
