// SPDX-License-Identifier: GPL-2.0-only
/**
 * The block map of an image and the hex view's words, against what the e2fsprogs say of images that the kernel filled: free blocks as
 * dumpe2fs lists them, owners as debugfs finds them, maps of fragmented files.
 */
import { mkdirSync, mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, Sfc32 } from '../../engine/base/index.ts';
import type { BlockRange, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectSound, tool, whyNoMounts, withMount } from '../support/ext-images.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-layout-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Files in pieces, a large folder, a hole, unwritten blocks, long links, attributes. */
function fill(mounted: string, type: string, seed: number): void {
  const random = new Sfc32(seed);
  const many = join(mounted, 'many');
  mkdirSync(many);
  for (let index = 0; index < 400; index++) {
    writeFileSync(join(many, `file ${String(index)} ${'n'.repeat(index % 90)}`), 'x'.repeat(3000));
  }
  for (let index = 0; index < 400; index += 2) {
    unlinkSync(join(many, `file ${String(index)} ${'n'.repeat(index % 90)}`));
  }
  tool('sync', '-f', mounted);
  writeFileSync(join(mounted, 'pieces'), new Uint8Array(700_000).fill(1));
  writeFileSync(join(mounted, 'holes'), 'start');
  truncateSync(join(mounted, 'holes'), 5 * MIB + below(random, 100_000));
  if (type === 'ext4') tool('fallocate', '-l', '300000', join(mounted, 'reserved'));
  tool('ln', '-s', '/'.padEnd(200, 'l'), join(mounted, 'link'));
}

/** Free blocks as dumpe2fs lists them. */
function knownFree(path: string): Set<number> {
  const free = new Set<number>();
  for (const [, list] of tool('dumpe2fs', path).matchAll(/^ {2}Free blocks: (.*)$/gm)) {
    for (const [, from, to] of (list as string).matchAll(/(\d+)(?:-(\d+))?/g)) {
      for (let block = Number(from); block <= Number(to ?? from); block++) free.add(block);
    }
  }
  return free;
}

function expectWhole(ranges: readonly BlockRange[], sizeBlocks: number): void {
  let next = 0;
  for (const { deviceBlock, count } of ranges) {
    expect(deviceBlock).toBe(next);
    expect(count).toBeGreaterThan(0);
    next += count;
  }
  expect(next).toBe(sizeBlocks);
}

/** Owners by debugfs: 12 blocks of each kind of range with an owner. */
function expectOwners(path: string, ranges: readonly BlockRange[]): void {
  const asked = new Map<number, number>();
  for (const use of ['data', 'unwritten', 'directory', 'map', 'journal'] as const) {
    const owned = ranges.filter((range) => range.use === use);
    const step = Math.max(1, Math.floor(owned.length / 12));
    for (let at = 0; at < owned.length; at += step) {
      const { deviceBlock, count, inodeNumber } = owned[at] as BlockRange;
      asked.set(deviceBlock + count - 1, inodeNumber ?? 0);
    }
  }
  const text = tool('debugfs', '-R', `icheck ${[...asked.keys()].join(' ')}`, path);
  for (const [, block, inode] of text.matchAll(/^(\d+)\t(\d+)$/gm)) {
    expect(asked.get(Number(block)), `block ${String(block)}`).toBe(Number(inode));
    asked.delete(Number(block));
  }
  expect([...asked]).toEqual([]);
}

function describeAll(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  ranges: readonly BlockRange[],
): string[] {
  const titles: string[] = [];
  for (const { deviceBlock, count } of ranges) {
    for (const block of [deviceBlock, deviceBlock + count - 1]) {
      const found = expectOk(lab.run(fileSystem.describeBlock?.(block) as never));
      const { title, fields } = found as {
        title: string;
        fields: { offsetBytes: number; lengthBytes: number }[];
      };
      for (const { offsetBytes, lengthBytes } of fields) {
        expect(offsetBytes + lengthBytes, title).toBeLessThanOrEqual(fileSystem.blockSizeBytes);
      }
      titles.push(title);
    }
  }
  return titles;
}

const IMAGES: readonly (readonly [string, readonly string[]])[] = [
  ['ext4', ['-b', '4096']],
  ['ext4', ['-b', '1024', '-g', '2048']],
  ['ext4', ['-b', '1024', '-O', '^64bit,^flex_bg,^metadata_csum,uninit_bg']],
  ['ext4', ['-b', '1024', '-O', 'meta_bg,^resize_inode']],
  ['ext3', ['-b', '1024']],
  ['ext2', ['-b', '2048']],
];

describeUnless(whyNoMounts(), `block maps of the ext family, seed ${String(SEED)}`, () => {
  for (const [type, args] of IMAGES) {
    it(`${type} ${args.join(' ')}: every block once, free ones and owners as the tools say`, () => {
      const path = join(folder, 'filled.img');
      writeFileSync(path, new Uint8Array(40 * MIB));
      tool('mke2fs', '-q', '-F', '-t', type, '-i', '4096', ...args, path);
      withMount(path, type, join(folder, 'mounted'), () => {
        fill(join(folder, 'mounted'), type, SEED);
      });
      expectSound(path);
      const lab = FileSystemLab.fromFile(path);
      lab.disk.isReadOnly = true;
      const fileSystem = lab.mount(type);
      const ranges = expectOk<readonly BlockRange[]>(lab.run(fileSystem.layout?.() as never));
      expectWhole(ranges, (40 * MIB) / fileSystem.blockSizeBytes);
      const free = new Set<number>();
      for (const { deviceBlock, count, use } of ranges) {
        for (let at = 0; at < count && use === 'free'; at++) free.add(deviceBlock + at);
      }
      expect(free).toEqual(knownFree(path));
      expectOwners(path, ranges);
      const reserved = ranges.filter(
        (range) => range.use === 'reserved' && range.inodeNumber === null,
      );
      expect(reserved.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(1);
      const titles = describeAll(lab, fileSystem, ranges).join('\n');
      expect(titles).toContain('superblock');
      expect(titles).toContain('inode table of group 0');
      expect(titles).toContain('block bitmap of group 0');
      if (type !== 'ext2') expect(titles).toContain('superblock of the journal');
      if (type === 'ext4') expect(titles).toContain('index root of directory');
      expect(expectOk(lab.run(fileSystem.facts?.(null) as never))).not.toEqual([]);
      expect(expectOk(lab.run(fileSystem.facts?.(2) as never))).toContainEqual({
        id: 'kind',
        title: 'Kind',
        value: 'directory',
      });
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
    });
  }
});
