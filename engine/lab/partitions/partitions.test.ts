// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import { FileSystemLab, expectOk, stamped } from '../../../test/support/file-system-lab.ts';
import { HostError } from '../../base/index.ts';
import { fileSystemById } from '../../filesystems/index.ts';
import { findRevision, openDirectIo } from '../../dio/index.ts';
import { crc32 } from './gpt.ts';
import { openPartition, probePartitions, readPartitionTable, refuseUnchosen } from './index.ts';

const MIB = 1024 * 1024;
const LINUX = 'af3dc60f838472478e793d69d8477de4';

interface Slot {
  readonly type: number;
  readonly start: number;
  readonly count: number;
}

/** A boot record at a sector. */
function bootRecord(disk: Uint8Array, sector: number, slots: readonly Slot[]): void {
  const view = new DataView(disk.buffer, disk.byteOffset + sector * 512, 512);
  view.setUint16(510, 0x55aa);
  for (const [index, { type, start, count }] of slots.entries()) {
    view.setUint8(446 + index * 16 + 4, type);
    view.setUint32(446 + index * 16 + 8, start, true);
    view.setUint32(446 + index * 16 + 12, count, true);
  }
}

interface GptEntry {
  readonly first: number;
  readonly last: number;
  readonly name: string;
}

/** A protective MBR, both headers and both arrays of 128 entries. */
function gpt(disk: Uint8Array, sectorBytes: number, entries: readonly GptEntry[]): void {
  bootRecord(disk, 0, [{ type: 0xee, start: 1, count: disk.length / 512 - 1 }]);
  const sectors = disk.length / sectorBytes;
  const arraySectors = 16384 / sectorBytes;
  const array = new Uint8Array(16384);
  const view = new DataView(array.buffer);
  for (const [index, { first, last, name }] of entries.entries()) {
    array.set(Buffer.from(LINUX, 'hex'), index * 128);
    array.fill(index + 1, index * 128 + 16, index * 128 + 32);
    view.setUint32(index * 128 + 32, first, true);
    view.setUint32(index * 128 + 40, last, true);
    array.set(Buffer.from(name, 'utf16le'), index * 128 + 56);
  }
  for (const [own, other, at] of [
    [1, sectors - 1, 2],
    [sectors - 1, 1, sectors - 1 - arraySectors],
  ] as const) {
    disk.set(array, at * sectorBytes);
    const header = new DataView(disk.buffer, disk.byteOffset + own * sectorBytes, sectorBytes);
    disk.set(Buffer.from('EFI PART'), own * sectorBytes);
    header.setUint32(8, 0x10000, true);
    header.setUint32(12, 92, true);
    header.setUint32(24, own, true);
    header.setUint32(32, other, true);
    header.setUint32(40, 2 + arraySectors, true);
    header.setUint32(48, sectors - 2 - arraySectors, true);
    header.setUint32(72, at, true);
    header.setUint32(80, 128, true);
    header.setUint32(84, 128, true);
    header.setUint32(88, crc32(array), true);
    sealHeader(disk, own * sectorBytes);
  }
}

function sealHeader(disk: Uint8Array, at: number): void {
  const view = new DataView(disk.buffer, disk.byteOffset + at, 92);
  view.setUint32(16, 0, true);
  view.setUint32(16, crc32(disk.subarray(at, at + 92)), true);
}

const tableOf = (lab: FileSystemLab) => lab.run(readPartitionTable(lab.kernel, lab.disk));

function refusalOf(action: () => unknown): HostError {
  try {
    action();
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  return expect.fail('it was not refused');
}

it('the checksum is that of IEEE 802.3', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
});

it('an MBR: primary and logical partitions, numbered as sfdisk does', () => {
  const lab = new FileSystemLab(new Uint8Array(8 * MIB));
  const { bytes } = lab.disk;
  bytes.set([0x78, 0x56, 0x34, 0x12], 440);
  bootRecord(bytes, 0, [
    { type: 0x83, start: 2048, count: 2048 },
    { type: 0, start: 0, count: 0 },
    { type: 0x0f, start: 8192, count: 8192 },
  ]);
  bootRecord(bytes, 8192, [
    { type: 0x0c, start: 64, count: 1000 },
    { type: 0x05, start: 2048, count: 2048 },
  ]);
  bootRecord(bytes, 10_240, [{ type: 0x82, start: 64, count: 500 }]);
  const { kind, partitions } = tableOf(lab);
  expect(kind).toBe('mbr');
  expect(partitions.map(({ number, startBytes, typeName }) => [number, startBytes / 512, typeName])).toEqual([
    [1, 2048, 'Linux'],
    [3, 8192, "W95 Ext'd (LBA)"],
    [5, 8256, 'W95 FAT32 (LBA)'],
    [6, 10_304, 'Linux swap / Solaris'],
  ]); // prettier-ignore
  expect(partitions[2]).toMatchObject({ uuid: '12345678-05', sizeBytes: 512_000, problem: null });
  const refused = refusalOf(() => lab.run(openPartition(lab.kernel, lab.disk, 3)));
  expect(refused.message).toContain('extended');
});

it('a chain that goes round is walked once', () => {
  const lab = new FileSystemLab(new Uint8Array(4 * MIB));
  const { bytes } = lab.disk;
  bootRecord(bytes, 0, [{ type: 5, start: 1000, count: 4000 }]);
  const logical = { type: 0x83, start: 10, count: 10 };
  bootRecord(bytes, 1000, [logical, { type: 5, start: 100, count: 100 }]);
  bootRecord(bytes, 1100, [logical, { type: 5, start: 200, count: 100 }]);
  bootRecord(bytes, 1200, [logical, { type: 5, start: 100, count: 100 }]);
  expect(tableOf(lab).partitions.map(({ number }) => number)).toEqual([1, 5, 6, 7]);
});

it('a GPT of either sector size, and its backup where the primary is damaged', () => {
  for (const sectorBytes of [512, 4096]) {
    const lab = new FileSystemLab(new Uint8Array(8 * MIB));
    const { bytes } = lab.disk;
    const first = MIB / sectorBytes;
    gpt(bytes, sectorBytes, [{ first, last: 2 * first - 1, name: 'röot' }]);
    const table = tableOf(lab);
    expect(table).toMatchObject({ kind: 'gpt', sectorBytes, isBackup: false });
    expect(table.partitions).toEqual([
      {
        number: 1,
        startBytes: MIB,
        sizeBytes: MIB,
        typeName: 'Linux filesystem',
        label: 'röot',
        uuid: '01010101-0101-0101-0101-010101010101',
        isContainer: false,
        problem: null,
      },
    ]);
    bytes[2 * sectorBytes + 60] = 0xee;
    expect(tableOf(lab)).toMatchObject({ kind: 'gpt', isBackup: true });
    bytes[bytes.length - sectorBytes + 40] = 0xee;
    const refused = refusalOf(() => tableOf(lab));
    expect(refused.code).toBe('image.damaged-partition-table');
    expect(refused.data).toMatchObject({ field: 'PartitionEntryArrayCRC32' });
  }
});

it('every field of a GPT header is checked behind a right checksum', () => {
  const cases: readonly (readonly [number, number, string])[] = [
    [12, 4097, 'HeaderSize'],
    [24, 7, 'MyLBA'],
    [40, 16_351, 'FirstUsableLBA'],
    [48, 16_384, 'LastUsableLBA'],
    [72, 16_384, 'PartitionEntryLBA'],
    [80, 0xffff_ffff, 'NumberOfPartitionEntries'],
    [84, 100, 'SizeOfPartitionEntry'],
  ];
  for (const [at, value, field] of cases) {
    const lab = new FileSystemLab(new Uint8Array(8 * MIB));
    const { bytes } = lab.disk;
    gpt(bytes, 512, [{ first: 2048, last: 4095, name: '' }]);
    new DataView(bytes.buffer).setUint32(512 + at, value, true);
    sealHeader(bytes, 512);
    bytes.fill(0, bytes.length - 512);
    expect(refusalOf(() => tableOf(lab)).data).toMatchObject({ field });
  }
});

it('what overlaps or leaves the image is listed, and refused when it is chosen', () => {
  const lab = new FileSystemLab(new Uint8Array(MIB));
  bootRecord(lab.disk.bytes, 0, [
    { type: 0x83, start: 100, count: 100 },
    { type: 0x83, start: 150, count: 100 },
    { type: 0x83, start: 2000, count: 100 },
    { type: 0x83, start: 300, count: 100 },
  ]);
  const problems = tableOf(lab).partitions.map(({ problem }) => problem);
  expect(problems).toEqual([
    'it overlaps partition 2',
    'it overlaps partition 1',
    'it ends at byte 1075200, and the image has 1048576',
    null,
  ]);
  const refused = refusalOf(() => lab.run(openPartition(lab.kernel, lab.disk, 3)));
  expect(refused.message).toBe(
    'partition 3 cannot be opened: it ends at byte 1075200, and the image has 1048576',
  );
  const absent = refusalOf(() => lab.run(openPartition(lab.kernel, lab.disk, 9)));
  expect(absent.message).toContain('4: Linux, 50 KiB, no known file system');
});

it('boot sectors that are no table', () => {
  const lab = new FileSystemLab(new Uint8Array(MIB));
  const { bytes } = lab.disk;
  expect(tableOf(lab).kind).toBeNull();
  bytes.set([0x55, 0xaa], 510);
  expect(tableOf(lab).kind).toBeNull();
  bootRecord(bytes, 0, [{ type: 0x83, start: 100, count: 100 }]);
  expect(tableOf(lab).kind).toBe('mbr');
  // The parameters of a FAT, with text of its loader where the entries would be.
  bytes.set([0xeb, 0x3c, 0x90], 0);
  bytes.set([0, 2, 4, 1, 0, 2, 0, 2, 0, 0, 0xf8], 11);
  expect(tableOf(lab).kind).toBeNull();
  bytes.fill(0, 0, 32);
  bytes[446] = 0x41;
  expect(tableOf(lab).kind).toBeNull();
});

it('writes into a partition touch nothing outside it', () => {
  const lab = FileSystemLab.blank(16 * MIB);
  const { bytes } = lab.disk;
  bytes.fill(0, 0, 512);
  bootRecord(bytes, 0, [
    { type: 0x83, start: 2048, count: 8192 },
    { type: 0x83, start: 10_240, count: 8192 },
  ]);
  const before = bytes.slice();
  const slice = lab.run(openPartition(lab.kernel, lab.disk, 1));
  const ext2 = fileSystemById('ext2');
  const defaults = Object.fromEntries(
    Object.entries(ext2.options).map(([name, field]) => [name, field.default]),
  );
  if (ext2.format === undefined) expect.fail('ext2 cannot be formatted');
  expectOk(lab.run(ext2.format(lab.kernel, slice, defaults as never)));
  const { directIo } = openDirectIo(findRevision('6.4'), false);
  const fileSystem = lab.run(ext2.mount(lab.kernel, slice, directIo));
  const file = lab.openPath(fileSystem, 'data');
  // More than fits: the file system goes to the last block of the partition.
  for (let at = 0; at < 5 * MIB; at += MIB / 2) {
    if (lab.write(file, at, stamped(1, at, MIB / 2), { isDirect: true }) < MIB / 2) break;
  }
  lab.unmount(fileSystem);
  expect(Buffer.compare(bytes.subarray(0, MIB), before.subarray(0, MIB))).toBe(0);
  expect(Buffer.compare(bytes.subarray(5 * MIB), before.subarray(5 * MIB))).toBe(0);
  const [first, second] = lab.run(probePartitions(lab.kernel, lab.disk)).partitions;
  expect(first?.fileSystemId).toBe('ext2');
  expect(second?.fileSystemId).toBeNull();
  const refused = lab.run(refuseUnchosen(lab.kernel, lab.disk));
  expect(refused?.message).toBe(
    'the image is a disk with MBR partitions, and none was chosen: 1: Linux, 4 MiB, ext2; 2: Linux, 4 MiB, no known file system',
  );
  expect(refused?.hint).toContain('--partition 1');
});
