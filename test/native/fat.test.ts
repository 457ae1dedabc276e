// SPDX-License-Identifier: GPL-2.0-only
/**
 * FAT against the real tools, in both directions: what we make and change passes fsck.fat -n and reads the same through mtools, what
 * mkfs.fat and mtools make we map, read and change, our maps are those of mshowfat, and the copies of the FAT stay equal.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, Sfc32, type Random } from '../../engine/base/index.ts';
import type { FileExtent, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeWith, findProgram } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-fat-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const environment = { ...process.env, LC_ALL: 'C.UTF-8', MTOOLS_SKIP_CHECK: '1' };

function tool(name: string, ...args: string[]): Buffer {
  return execFileSync(findProgram(name) ?? name, args, { stdio: 'pipe', env: environment });
}

/** fsck.fat -n must find nothing, and the copies of the FAT must be equal. */
function expectSound(path: string): void {
  const found = spawnSync(findProgram('fsck.fat') ?? 'fsck.fat', ['-n', '-V', path], {
    encoding: 'utf8',
  });
  expect(found.status, `${found.stdout}${found.stderr}`).toBe(0);
  const bytes = readFileSync(path);
  const sector = bytes.readUInt16LE(11);
  const fatBytes = (bytes.readUInt16LE(22) || bytes.readUInt32LE(36)) * sector;
  const first = bytes.readUInt16LE(14) * sector;
  for (let copy = 1; copy < (bytes[16] as number); copy++) {
    const other = bytes.subarray(first + copy * fatBytes, first + (copy + 1) * fatBytes);
    expect(Buffer.compare(bytes.subarray(first, first + fatBytes), other)).toBe(0);
  }
}

interface Written {
  readonly path: string;
  content: Uint8Array;
}

const NAMES = ['PLAIN.BIN', 'dir/A longer name.text', 'dir/deep/two', 'ümläut ☃', 'gone', 'x.y.z'];

/** A little of everything: direct and buffered, extending, gaps, truncation, removal, moving. */
function workload(lab: FileSystemLab, fileSystem: MountedFileSystem, random: Random): Written[] {
  const files: Written[] = [];
  for (const path of NAMES) {
    const file = lab.openPath(fileSystem, path);
    const written: Written = { path, content: new Uint8Array(0) };
    for (let step = 0; step < 10; step++) {
      const isDirect = random.next32() % 2 === 0;
      const unit = isDirect ? 512 : 1;
      const at = Math.floor(below(random, 200_000) / unit) * unit;
      const count = Math.ceil((1 + below(random, 60_000)) / unit) * unit;
      const data = stamped(random.next32(), at, count);
      expect(lab.write(file, at, data, { isDirect })).toBe(count);
      const grown = new Uint8Array(Math.max(written.content.length, at + count));
      grown.set(written.content);
      grown.set(data, at);
      written.content = grown;
      if (step % 4 !== 3) continue;
      const size = below(random, grown.length);
      expect(lab.run(fileSystem.truncate(file.inode, size))).toBe(0);
      written.content = grown.slice(0, size);
    }
    files.push(written);
  }
  const root = lab.inodeAt(fileSystem, '/', null);
  const inside = lab.inodeAt(fileSystem, 'dir', null);
  expectOk(lab.run(fileSystem.unlink(root, 'GONE')));
  const rename = fileSystem.rename?.bind(fileSystem);
  if (rename === undefined) expect.fail('it cannot rename');
  expectOk(lab.run(rename(root, 'x.y.z', inside, 'moved here.bin')));
  const kept = files.filter(({ path }) => path !== 'gone');
  return kept.map((each) =>
    each.path === 'x.y.z' ? { ...each, path: 'dir/moved here.bin' } : each,
  );
}

function verify(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  files: readonly Written[],
): void {
  for (const { path, content } of files) {
    const inode = lab.inodeAt(fileSystem, path, null);
    const file = expectOk(lab.run(fileSystem.open(inode)));
    expect(inode.sizeBytes, path).toBe(content.length);
    const length = Math.ceil(content.length / 512) * 512;
    const found = lab.read(file, 0, length, { isDirect: true });
    if (typeof found === 'number') expect.fail(`${path}: errno ${String(found)}`);
    expect(Buffer.compare(found, content), path).toBe(0);
  }
}

/** Clusters of a file in order, by mshowfat: `::/name <2-5> <9>`. */
function mshowfatClusters(image: string, path: string): number[] {
  const text = tool('mshowfat', '-i', image, `::/${path}`).toString();
  const clusters: number[] = [];
  for (const [, from, to] of text.matchAll(/<(\d+)(?:-(\d+))?>/g)) {
    for (let each = Number(from); each <= Number(to ?? from); each++) clusters.push(each);
  }
  return clusters;
}

function ownClusters(image: Buffer, extents: readonly FileExtent[]): number[] {
  const sector = image.readUInt16LE(11);
  const perCluster = image[13] as number;
  const fatSectors = image.readUInt16LE(22) || image.readUInt32LE(36);
  const rootSectors = (image.readUInt16LE(17) * 32) / sector;
  const data = image.readUInt16LE(14) + (image[16] as number) * fatSectors + rootSectors;
  const clusters: number[] = [];
  for (const { count, deviceBlock } of extents) {
    if (deviceBlock === null) expect.fail('a hole in a FAT file');
    for (let at = 0; at < count; at++) {
      const cluster = Math.floor((deviceBlock + at - data) / perCluster) + 2;
      if (clusters.at(-1) !== cluster) clusters.push(cluster);
    }
  }
  return clusters;
}

function expectToolsAgree(
  lab: FileSystemLab,
  image: string,
  fileSystem: MountedFileSystem,
  files: readonly Written[],
): void {
  const bytes = readFileSync(image);
  for (const { path, content } of files) {
    // Code page 850, which mtools uses for arguments, has no snowman.
    if (path.includes('☃')) continue;
    const copied = tool('mcopy', '-i', image, `::/${path}`, '-');
    expect(Buffer.compare(copied, content), path).toBe(0);
    const file = expectOk(lab.run(fileSystem.open(lab.inodeAt(fileSystem, path, null))));
    const extents = expectOk(lab.run(file.extents()));
    expect(ownClusters(bytes, extents), path).toEqual(mshowfatClusters(image, path));
  }
}

const OWN: readonly (readonly [number, Readonly<Record<string, unknown>>])[] = [
  [4 * MIB, { fatBits: '12' }],
  [8 * MIB, { fatBits: '16', clusterSize: '512' }],
  [16 * MIB, {}],
  [40 * MIB, { fatBits: '32', clusterSize: '512' }],
  [300 * MIB, { fatBits: '32', clusterSize: '4096' }],
  [16 * MIB, { sectorSize: '4096', fatCount: 1 }],
  [9 * MIB + 3584, { fatBits: '16', clusterSize: '1024', rootEntries: 100, reservedSectors: 4 }],
];

describeWith(['dosfstools', 'mtools'], `FAT and its tools, seed ${String(SEED)}`, () => {
  for (const [sizeBytes, options] of OWN) {
    it(`tools agree with what we make: ${String(sizeBytes)} bytes, ${JSON.stringify(options)}`, () => {
      const lab = FileSystemLab.blank(sizeBytes, { inline: false });
      lab.format('fat', options);
      const path = join(folder, 'made.img');
      lab.save(path);
      expectSound(path);
      let fileSystem = lab.mount('fat');
      const files = workload(lab, fileSystem, new Sfc32(SEED));
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount('fat');
      verify(lab, fileSystem, files);
      expectToolsAgree(lab, path, fileSystem, files);
      lab.unmount(fileSystem);
    });
  }

  const foreign: readonly (readonly [number, readonly string[]])[] = [
    [4 * MIB, ['-F', '12']],
    [32 * MIB, ['-F', '16', '-s', '8']],
    [24 * MIB, ['-F', '16', '-s', '1']],
    [64 * MIB, ['-F', '32', '-s', '1', '-n', 'LABEL']],
    [32 * MIB, ['-F', '16', '-S', '2048']],
    [40 * MIB, ['-F', '32', '-s', '1', '-f', '1', '-R', '40']],
  ];
  for (const [sizeBytes, args] of foreign) {
    it(`changes what mkfs.fat and mcopy made: ${args.join(' ')}`, () => {
      const path = join(folder, 'foreign.img');
      writeFileSync(path, new Uint8Array(sizeBytes).fill(0xa5));
      tool('mkfs.fat', ...args, path);
      const theirs = stamped(SEED, 0, 70_001);
      writeFileSync(join(folder, 'theirs'), theirs);
      tool('mmd', '-i', path, '::/their folder');
      tool('mcopy', '-i', path, join(folder, 'theirs'), '::/their folder/A name of theirs.data');
      const lab = FileSystemLab.fromFile(path, { inline: false });
      let fileSystem = lab.mount('fat');
      expect(fileSystem.statfs().state).toBe('clean');
      const files = workload(lab, fileSystem, new Sfc32(SEED));
      files.push({ path: 'Their Folder/a NAME of theirs.DATA', content: theirs });
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount('fat');
      verify(lab, fileSystem, files);
      expectToolsAgree(lab, path, fileSystem, files);
      lab.unmount(fileSystem);
    });
  }
});
