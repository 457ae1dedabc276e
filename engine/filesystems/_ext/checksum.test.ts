// SPDX-License-Identifier: GPL-2.0-only
/** Checksums against published values, and against themselves. Native tests hold them against e2fsck. */
import { describe, expect, it } from 'vitest';
import { Checksums, crc16, crc32c } from './checksum.ts';
import { DiskRecord } from './disk-record.ts';
import { INO, RO_COMPAT, SB } from './layout.ts';

const digits = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0));

function checksums(roCompat: number): Checksums {
  const bytes = new Uint8Array(1024);
  const record = new DiskRecord('superblock', 0, bytes, 0, 1024);
  record.setU32(SB.featureRoCompat, roCompat);
  bytes.set(digits, SB.uuid);
  return new Checksums(record);
}

describe('crc32c and crc16', () => {
  it('give the check values of their catalogues', () => {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, ascending; and the check of the catalogue of CRCs.
    const inverted = (bytes: Uint8Array): number => (crc32c(~0, bytes) ^ ~0) >>> 0;
    expect(inverted(digits)).toBe(0xe3069283);
    expect(inverted(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(inverted(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(inverted(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
    expect(crc16(0, digits)).toBe(0xbb3d);
    expect(crc16(0xffff, digits)).toBe(0x4b37);
  });

  it('may be taken in pieces', () => {
    const bytes = Uint8Array.from({ length: 999 }, (_, index) => (index * 7) & 0xff);
    for (const cut of [0, 1, 7, 8, 9, 500, 998, 999]) {
      expect(crc32c(crc32c(1, bytes, 0, cut), bytes, cut)).toBe(crc32c(1, bytes));
      expect(crc16(crc16(1, bytes, 0, cut), bytes, cut)).toBe(crc16(1, bytes));
    }
  });
});

describe('sealing', () => {
  const all = checksums(RO_COMPAT.metadata_csum);

  it('an inode, of every size, with and without room for the upper half', () => {
    for (const [size, extra] of [
      [128, 0],
      [256, 0],
      [256, 4],
      [256, 32],
    ] as const) {
      const bytes = Uint8Array.from({ length: size }, (_, index) => index & 0xff);
      const record = new DiskRecord('inode', 0, bytes, 0, size);
      if (size > 128) record.setU16(INO.extraBytes, extra);
      all.sealInode(record, 12);
      expect(all.isInodeGood(record, 12)).toBe(true);
      expect(all.isInodeGood(record, 13)).toBe(false);
      for (const at of [0, 60, 101, size - 1]) {
        bytes[at] = (bytes[at] as number) ^ 1;
        expect(all.isInodeGood(record, 12)).toBe(false);
        bytes[at] = bytes[at] ^ 1;
      }
    }
  });

  it('extent, directory and index blocks; a header that leads out of the block is not good', () => {
    const extents = new Uint8Array(1024);
    extents[4] = 84;
    all.sealExtents(extents, 5);
    expect(all.isExtentsGood(extents, 5)).toBe(true);
    expect(all.isExtentsGood(extents, 6)).toBe(false);
    extents[5] = 1;
    expect(all.isExtentsGood(extents, 5)).toBe(false);

    const directory = new Uint8Array(1024).fill(7);
    expect(all.isDirectoryGood(directory, 5)).toBe(false);
    all.writeDirectoryTail(directory);
    all.sealDirectory(directory, 5);
    expect(all.isDirectoryGood(directory, 5)).toBe(true);
    directory[3] = 0;
    expect(all.isDirectoryGood(directory, 5)).toBe(false);

    // An index root keeps the tail of the leaf that it was.
    const root = new Uint8Array(1024);
    all.writeDirectoryTail(root);
    root[4] = 12;
    expect(all.hasDirectoryTail(root)).toBe(true);
    root.set([0xf4, 0x03], 16);
    expect(all.hasDirectoryTail(root)).toBe(false);

    const index = new Uint8Array(1024);
    index[8] = 126;
    index[10] = 3;
    all.sealIndex(index, 8, 5);
    expect(all.isIndexGood(index, 8, 5)).toBe(true);
    index[11] = 1;
    expect(all.isIndexGood(index, 8, 5)).toBe(false);
  });

  it('changes nothing where the file system has no checksums', () => {
    const none = checksums(0);
    const bytes = new Uint8Array(256).fill(3);
    const record = new DiskRecord('inode', 0, bytes, 0, 256);
    none.sealInode(record, 12);
    expect(bytes.every((byte) => byte === 3)).toBe(true);
    expect(none.isInodeGood(record, 12)).toBe(true);
    expect(none.descriptorChecksum(0, bytes, 0, 32)).toBe(0);
    expect(none.kind).toBe('none');
    expect(checksums(RO_COMPAT.uninit_bg).kind).toBe('crc16');
  });
});
