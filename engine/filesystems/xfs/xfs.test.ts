// SPDX-License-Identifier: GPL-2.0-only
/** The parts of XFS that need no image: hashes, extent records, times, and where an inode is. Images: test/native/xfs.test.ts. */
import { describe, expect, it } from 'vitest';
import { HostError } from '../../base/index.ts';
import { FileSystemLab } from '../../../test/support/file-system-lab.ts';
import { encodeName } from '../_ext/text.ts';
import { hashName } from './directory.ts';
import { decodeExtent, ExtentList } from './extent-list.ts';
import { inodePlace } from './inode.ts';
import { featureNames, INCOMPAT } from './layout.ts';
import { xfsCrc, XfsRecord } from './record.ts';
import type { Geometry } from './superblock.ts';
import { timeText } from './values.ts';

describe('values', () => {
  it('names hash as the file system does: rotated by 7 bits a byte', () => {
    expect(hashName(encodeName('.'))).toBe(0x2e);
    expect(hashName(encodeName('..'))).toBe(0x172e);
    const slow = (name: string): number => {
      let hash = 0;
      for (const byte of encodeName(name)) hash = (byte ^ ((hash << 7) | (hash >>> 25))) >>> 0;
      return hash;
    };
    for (const name of ['abc', 'abcd', 'a longer name', 'naïve ☃', 'x'.repeat(255)]) {
      expect(hashName(encodeName(name))).toBe(slow(name));
    }
  });

  it('an extent record is 1, 54, 52 and 21 bits', () => {
    const bits = (1n << 127n) | (0x2345678n << 73n) | (0x1_2345_6789n << 21n) | 0x1ffffn;
    const bytes = new Uint8Array(16);
    for (let at = 0; at < 16; at++) bytes[at] = Number((bits >> BigInt(120 - at * 8)) & 255n);
    expect(decodeExtent(new XfsRecord('extent', 0, bytes), 0)).toEqual({
      isUnwritten: true,
      fileBlock: 0x2345678,
      fsblock: 0x1_2345_6789,
      length: 0x1ffff,
    });
  });

  it('times count seconds from 1970, and with bigtime nanoseconds from 1901', () => {
    const classic = new Uint8Array(8);
    new DataView(classic.buffer).setInt32(0, 86_400);
    expect(timeText(classic, false)).toBe('1970-01-02 00:00:00 UTC');
    const big = new Uint8Array(8);
    new DataView(big.buffer).setBigUint64(0, (2n ** 31n + 86_400n) * 1_000_000_000n);
    expect(timeText(big, true)).toBe('1970-01-02 00:00:00 UTC');
  });

  it('a checksum counts its own field as zeros', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
    const before = xfsCrc(bytes, 12);
    new DataView(bytes.buffer).setUint32(12, before, true);
    expect(xfsCrc(bytes, 12)).toBe(before);
    const record = new XfsRecord('thing', 7, bytes);
    record.verifyCrc(12);
    bytes[40] = 0;
    expect(() => {
      record.verifyCrc(12);
    }).toThrow('thing: crc is 0x');
  });

  it('unknown features are named by their bit', () => {
    expect(featureNames(INCOMPAT.metadir | 0x4000_0000, INCOMPAT)).toEqual([
      'metadir',
      'bit 30 (0x40000000)',
    ]);
  });
});

describe('places', () => {
  it('an inode number is group, block and index', () => {
    const geometry = {
      groupBlocks: 1000, groupCount: 3, blocksCount: 2500, groupBlockBits: 10,
      inodesPerBlockBits: 3, inodeBytes: 512, headerBlocks: 1,
    } as Geometry; // prettier-ignore
    const number = 2 * 2 ** 13 + 40 * 8 + 5;
    expect(inodePlace(geometry, number)).toEqual({ deviceBlock: 2040, offsetBytes: 2560 });
    for (const bad of [0, -1, 5, 3 * 2 ** 13 + 80, 2 * 2 ** 13 + 500 * 8, 2 ** 60, 1.5]) {
      expect(inodePlace(geometry, bad), String(bad)).toBeNull();
    }
  });

  it('a block is found in its extent, holes between', () => {
    const list = new ExtentList();
    for (let index = 0; index < 100; index++) list.push(index * 10, 1000 + index * 7, 5, false);
    expect(list.placeOf(0)).toBe(1000);
    expect(list.placeOf(994)).toBe(1000 + 99 * 7 + 4);
    expect(list.placeOf(995)).toBe(-1);
    expect(list.placeOf(7)).toBe(-1);
    expect(list.find(7)).toBe(1);
  });
});

it('a record refuses to be read outside, by name', () => {
  const record = new XfsRecord('inode 5', 9, new Uint8Array(8));
  try {
    record.u64(4, 'core.size');
    expect.fail('it was read');
  } catch (error) {
    expect(error).toBeInstanceOf(HostError);
    expect((error as HostError).where).toBe('inode 5, block 9, field byte 8');
  }
});

it('a magic number alone is XFS with errors, and its mount says which field', () => {
  const lab = FileSystemLab.blank(1024 * 1024);
  lab.disk.bytes.set([0x58, 0x46, 0x53, 0x42]);
  expect(() => lab.mount('xfs')).toThrow('superblock: sectsize is 42405');
  expect(lab.pagesInUse).toBe(0);
});
