// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import { HostError } from '../../base/index.ts';
import { ChunkMap, readChunk, type Chunk } from './chunks.ts';
import { decodeExtent, extentAt, type MappedExtent } from './extents.ts';
import { BtrfsRecord } from './record.ts';

const MIB = 1024 * 1024;
const LIMITS = { deviceId: 1, deviceBytes: 64 * MIB, sectorBytes: 4096 };

function chunk(startByte: number, lengthBytes: number, ...stripes: number[]): Chunk {
  return { startByte, lengthBytes, type: 1, stripes };
}

/** A chunk item of `type` with stripes at the given places. */
function item(type: number, lengthBytes: number, ...stripes: number[]): BtrfsRecord {
  const bytes = new Uint8Array(48 + 32 * stripes.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(lengthBytes), true);
  view.setUint32(24, type, true);
  view.setUint16(44, stripes.length, true);
  for (const [index, place] of stripes.entries()) {
    view.setUint32(48 + index * 32, 1, true);
    view.setBigUint64(48 + index * 32 + 8, BigInt(place), true);
  }
  return new BtrfsRecord('chunk', 0, bytes);
}

function refusal(action: () => unknown): HostError {
  try {
    action();
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  return expect.fail('it was not refused');
}

it('logical bytes are found in their chunk, with the second copy of DUP', () => {
  const map = new ChunkMap();
  expect(map.add(chunk(10 * MIB, MIB, 2 * MIB))).toBe(true);
  expect(map.add(chunk(20 * MIB, MIB, 4 * MIB, 8 * MIB))).toBe(true);
  expect(map.add(chunk(11 * MIB, MIB, 30 * MIB))).toBe(true);
  expect(map.find(10 * MIB + 5)).toEqual({ byte: 2 * MIB + 5, copyByte: null, lengthBytes: MIB - 5 });
  expect(map.find(11 * MIB)).toEqual({ byte: 30 * MIB, copyByte: null, lengthBytes: MIB });
  expect(map.find(20 * MIB)).toEqual({ byte: 4 * MIB, copyByte: 8 * MIB, lengthBytes: MIB });
  for (const nowhere of [0, 10 * MIB - 1, 12 * MIB, 21 * MIB]) expect(map.find(nowhere)).toBeNull();
  expect(map.logicalAt(8 * MIB + 7)).toBe(20 * MIB + 7);
  expect(map.logicalAt(0)).toBeNull();
}); // prettier-ignore

it('chunks that overlap are not taken in; the same one twice is', () => {
  const map = new ChunkMap();
  expect(map.add(chunk(10 * MIB, MIB, 0))).toBe(true);
  expect(map.add(chunk(10 * MIB, MIB, 0))).toBe(true);
  expect(map.add(chunk(10 * MIB, MIB, MIB))).toBe(false);
  expect(map.add(chunk(10.5 * MIB, MIB, 5 * MIB))).toBe(false);
  expect(map.add(chunk(9.5 * MIB, MIB, 5 * MIB))).toBe(false);
  expect(map.all).toHaveLength(1);
});

it('profiles of several devices are refused by name, and places outside the device', () => {
  expect(readChunk(item(0x24, MIB, 0, MIB), 0, LIMITS).stripes).toEqual([0, MIB]);
  for (const [bit, name] of [
    [0x8, 'RAID0'],
    [0x10, 'RAID1'],
    [0x40, 'RAID10'],
    [0x80, 'RAID5'],
    [0x100, 'RAID6'],
    [0x200, 'RAID1C3'],
    [0x400, 'RAID1C4'],
  ] as const) {
    const error = refusal(() => readChunk(item(1 | bit, MIB, 0, MIB), 0, LIMITS));
    expect(error.message).toBe(`btrfs: a chunk has the profile ${name}`);
    expect(error.hint).toContain('btrfs balance');
  }
  const field = (record: BtrfsRecord): unknown =>
    refusal(() => readChunk(record, 0, LIMITS)).data?.['field'];
  expect(field(item(1, MIB, 64 * MIB))).toBe('stripe offset');
  expect(field(item(1, MIB, 100))).toBe('stripe offset');
  expect(field(item(1, 0, 0))).toBe('length');
  expect(field(item(1, MIB, 0, MIB))).toBe('num_stripes');
  expect(field(item(0, MIB, 0))).toBe('type');
});

/** An EXTENT_DATA item: type, compression, disk place and bytes, offset and length. */
function extent(type: number, compression: number, numbers: readonly number[], fileByte = 0) {
  const bytes = new Uint8Array(53);
  const view = new DataView(bytes.buffer);
  view.setUint8(16, compression);
  view.setUint8(20, type);
  view.setBigUint64(8, 131_072n, true);
  for (const [index, value] of numbers.entries()) {
    view.setBigUint64(21 + index * 8, BigInt(value), true);
  }
  const data = new BtrfsRecord('extent', 0, bytes);
  return { objectId: 257, type: 108, offset: fileByte, data };
}

it('extents: the part that is meant of a whole one', () => {
  expect(decodeExtent(extent(1, 0, [MIB, 65_536, 8192, 4096]), 4096)).toMatchObject({
    kind: 'regular',
    logicalByte: MIB + 8192,
    lengthBytes: 4096,
  });
  expect(decodeExtent(extent(2, 0, [MIB, 65_536, 0, 4096]), 4096).kind).toBe('prealloc');
  expect(decodeExtent(extent(1, 0, [0, 0, 0, 4096]), 4096).kind).toBe('hole');
  // Compressed: the whole extent on the disk, and offsets count what comes out of it.
  expect(decodeExtent(extent(1, 3, [MIB, 4096, 65_536, 65_536]), 4096)).toMatchObject({
    compression: 3,
    logicalByte: MIB,
    diskBytes: 4096,
  });
});

it('extents that cannot be are refused by their field', () => {
  const field = (numbers: readonly number[], type = 1, compression = 0, at = 0): unknown =>
    refusal(() => decodeExtent(extent(type, compression, numbers, at), 4096)).data?.['field'];
  expect(field([MIB, 65_536, 61_440, 8192])).toBe('offset + num_bytes');
  expect(field([MIB + 1, 65_536, 0, 4096])).toBe('disk_bytenr');
  expect(field([MIB, 65_536, 0, 0])).toBe('num_bytes');
  expect(field([MIB, 65_536, 0, 4096], 3)).toBe('type');
  expect(field([MIB, 65_536, 0, 4096], 1, 4)).toBe('compression');
  expect(field([MIB, 65_536, 0, 4096], 1, 0, 100)).toBe('key offset');
  expect(field([], 0, 0, 4096)).toBe('ram_bytes');
});

it('the extent of a block', () => {
  const of = (fileBlock: number, count: number): MappedExtent => ({
    fileBlock, count, deviceBlock: null, state: 'hole', compression: 0, inline: null,
  }); // prettier-ignore
  const list = [of(0, 3), of(3, 1), of(4, 10)];
  expect(extentAt(list, 2)).toBe(list[0]);
  expect(extentAt(list, 3)).toBe(list[1]);
  expect(extentAt(list, 13)).toBe(list[2]);
  expect(extentAt(list, 14)).toBeNull();
  expect(extentAt([], 0)).toBeNull();
});
