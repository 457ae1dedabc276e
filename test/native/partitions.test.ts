// SPDX-License-Identifier: GPL-2.0-only
/**
 * Disks with partitions, as sfdisk makes them and mke2fs and mkfs.fat fill them: what sfdisk says of the table is what is read here, the
 * tools work inside a partition and nowhere else, and a disk without a choice is refused with the list.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import { imageTools } from '../../engine/lab/image-tools.ts';
import { withFiles } from '../../engine/lab/image/open.ts';
import { putFile, readFile } from '../../engine/lab/image/content.ts';
import { openFile } from '../../engine/lab/image/paths.ts';
import { nativePorts, nativeSyscalls, whyNoSyscalls } from '../../main/host/native/index.ts';
import { stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-partitions-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, { encoding: 'utf8', stdio: 'pipe' });
}

/** A disk with the table of an sfdisk script. */
function makeDisk(name: string, script: string, sizeMib = 64): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeMib * MIB);
  execFileSync(findProgram('sfdisk') ?? 'sfdisk', ['--quiet', path], { input: script });
  return path;
}

interface SfdiskPartition {
  readonly node: string;
  readonly start: number;
  readonly size: number;
  readonly uuid?: string;
  readonly name?: string;
}

/** Number, start and size in bytes, UUID and name, by sfdisk's word. */
function sfdiskSays(path: string): (readonly [number, number, number, string, string])[] {
  const { partitiontable } = JSON.parse(tool('sfdisk', '--json', path)) as {
    partitiontable: { partitions: SfdiskPartition[]; sectorsize?: number };
  };
  return partitiontable.partitions.map(({ node, start, size, uuid, name }) => [
    Number(node.slice(path.length)),
    start * 512,
    size * 512,
    uuid?.toLowerCase() ?? '',
    name ?? '',
  ]);
}

/** Makes a file system in a file of its own and copies it to where the partition is. */
function fillPartition(
  path: string,
  startBytes: number,
  sizeBytes: number,
  ...mkfs: string[]
): void {
  const part = join(folder, 'part');
  writeFileSync(part, '');
  truncateSync(part, sizeBytes);
  const [name = '', ...args] = mkfs;
  tool(name, ...args, part);
  const disk = openSync(path, 'r+');
  writeSync(disk, readFileSync(part), 0, sizeBytes, startBytes);
  closeSync(disk);
}

function partOf(path: string, startBytes: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  const disk = openSync(path, 'r');
  readSync(disk, bytes, 0, sizeBytes, startBytes);
  closeSync(disk);
  return bytes;
}

const reason =
  missingReason(['fdisk', 'e2fsprogs', 'dosfstools']) ??
  (nativeSyscalls() === null ? whyNoSyscalls() : null);

describeUnless(reason, 'disks with partitions', () => {
  const ports = () => nativePorts();

  function refusal(action: () => unknown): HostError {
    try {
      action();
    } catch (error) {
      if (error instanceof HostError) return error;
      throw error;
    }
    return expect.fail('it was not refused');
  }

  const TABLES: readonly (readonly [string, string, readonly string[]])[] = [
    [
      'gpt',
      'label: gpt\nsize=20MiB, type=linux, name="the root"\nsize=20MiB, type=uefi, name=ESP\n',
      ['Linux filesystem', 'EFI System'],
    ],
    [
      'dos',
      'label: dos\nsize=10MiB, type=83\nsize=10MiB, type=c\ntype=5\nsize=5MiB, type=83\nsize=6MiB, type=82\n',
      ['Linux', 'W95 FAT32 (LBA)', 'Extended', 'Linux', 'Linux swap / Solaris'],
    ],
  ];

  for (const [kind, script, types] of TABLES) {
    it(`${kind}: the table is what sfdisk says, and file systems in it are found`, () => {
      const path = makeDisk(`${kind}.img`, script);
      const before = imageTools.partitions(ports(), path);
      expect(before.kind).toBe(kind === 'dos' ? 'mbr' : 'gpt');
      expect(
        before.partitions.map((one) => [one.number, one.startBytes, one.sizeBytes, one.uuid, one.label]),
      ).toEqual(sfdiskSays(path).map(([number, start, size, uuid, name]) => [number, start, size, kind === 'dos' ? before.partitions.find((one) => one.number === number)?.uuid : uuid, name]));
      expect(before.partitions.map(({ typeName }) => typeName)).toEqual(types);
      expect(before.partitions.every(({ problem }) => problem === null)).toBe(true);
      const [first, second] = before.partitions;
      if (first === undefined || second === undefined) expect.fail('no partitions');
      fillPartition(path, first.startBytes, first.sizeBytes, 'mke2fs', '-q', '-t', 'ext4', '-L', 'rooted');
      fillPartition(path, second.startBytes, second.sizeBytes, 'mkfs.fat');
      const after = imageTools.partitions(ports(), path).partitions;
      expect(after[0]?.fileSystemId).toBe('ext4');
      expect(after[0]?.probe?.label).toBe('rooted');
      expect(after[1]?.fileSystemId).toBe('fat');
      expect(imageTools.probe(ports(), path)).toMatchObject({ fileSystemId: 'raw', probe: null });
      const refused = refusal(() => imageTools.list(ports(), path, '/'));
      expect(refused).toMatchObject({ code: 'image.partitioned', exitCode: 65 });
      expect(refused.message).toContain('ext4 "rooted"');
      expect(refused.message).toContain(`2: ${types[1] ?? ''}, ${kind === 'dos' ? '10' : '20'} MiB, fat`);
      expect(refused.hint).toContain('--partition 1');
    }); // prettier-ignore
  }

  it('what is put into a partition stays in it, and fsck finds it sound', () => {
    const path = makeDisk('put.img', 'label: gpt\nsize=20MiB\nsize=20MiB\nsize=10MiB\n');
    const [first, second, third] = imageTools.partitions(ports(), path).partitions;
    if (first === undefined || second === undefined || third === undefined) expect.fail('no partitions');
    fillPartition(path, second.startBytes, second.sizeBytes, 'mke2fs', '-q', '-t', 'ext2');
    const noise = Buffer.from(stamped(1, 0, first.sizeBytes));
    const disk = openSync(path, 'r+');
    writeSync(disk, noise, 0, noise.length, first.startBytes);
    writeSync(disk, noise, 0, third.sizeBytes, third.startBytes);
    closeSync(disk);
    const front = partOf(path, 0, second.startBytes);
    const endOfSecond = second.startBytes + second.sizeBytes;
    const back = partOf(path, endOfSecond, 64 * MIB - endOfSecond);
    const data = stamped(7, 0, 3 * MIB + 777);
    let given = false;
    const next = (): Uint8Array | null => {
      const piece = given ? null : data;
      given = true;
      return piece;
    };
    withFiles(
      ports(),
      path,
      false,
      (fileSystem, kernel) => {
        kernel.runTask('write', putFile(fileSystem, kernel.memory, path, '/data', next));
      },
      2,
    );
    const found: Uint8Array[] = [];
    withFiles(
      ports(),
      path,
      true,
      (fileSystem, kernel) => {
        const file = kernel.runTask('open', openFile(fileSystem, path, '/data'));
        kernel.runTask('read', readFile(file, kernel.memory, path, (bytes) => found.push(bytes)));
      },
      2,
    );
    expect(Buffer.compare(Buffer.concat(found), data)).toBe(0);
    expect(Buffer.compare(partOf(path, 0, second.startBytes), front)).toBe(0);
    expect(Buffer.compare(partOf(path, endOfSecond, 64 * MIB - endOfSecond), back)).toBe(0);
    const part = join(folder, 'checked');
    writeFileSync(part, partOf(path, second.startBytes, second.sizeBytes));
    const checked = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', part], { encoding: 'utf8' });
    expect(checked.status, checked.stdout).toBe(0);
    expect(refusal(() => withFiles(ports(), path, true, () => 0, 9)).code).toBe('image.no-partition');
  }); // prettier-ignore
});
