// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where the structures of an ext2, ext3 or ext4 image are: superblock, descriptors, bitmaps, inodes in use, indirect blocks, extent
 * nodes, directory blocks and the journal's superblock, each with its fields and, with metadata checksums, the way to set them
 * right again. Reads a sound image; offsets are those that engine/filesystems/_ext/layout.ts draws.
 */
import { Checksums } from '../../../engine/filesystems/_ext/checksum.ts';
import { DiskRecord } from '../../../engine/filesystems/_ext/disk-record.ts';
import {
  GD,
  INCOMPAT,
  INO,
  INODE_FLAG,
  MODE,
  MODE_KIND,
  SB,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
} from '../../../engine/filesystems/_ext/layout.ts';
import type { DiskField, DiskStructure } from './contract.ts';

/** Structures of one image are enough at this number: the mutator picks a few. */
const STRUCTURES_MAX = 600;
const EXTENT_MAGIC = 0xf30a;

type FieldRow = readonly [name: string, offset: number, bytes: 1 | 2 | 4, kind: DiskField['kind']];

const SUPERBLOCK_FIELDS: readonly FieldRow[] = [
  ['s_inodes_count', SB.inodesCount, 4, 'count'],
  ['s_blocks_count', SB.blocksCount, 4, 'count'],
  ['s_free_blocks_count', SB.freeBlocks, 4, 'count'],
  ['s_free_inodes_count', SB.freeInodes, 4, 'count'],
  ['s_first_data_block', SB.firstDataBlock, 4, 'pointer'],
  ['s_log_block_size', SB.logBlockSize, 4, 'length'],
  ['s_blocks_per_group', SB.blocksPerGroup, 4, 'count'],
  ['s_inodes_per_group', SB.inodesPerGroup, 4, 'count'],
  ['s_magic', SB.magic, 2, 'other'],
  ['s_state', SB.state, 2, 'flags'],
  ['s_rev_level', SB.revision, 4, 'other'],
  ['s_first_ino', SB.firstInode, 4, 'pointer'],
  ['s_inode_size', SB.inodeSize, 2, 'length'],
  ['s_feature_compat', SB.featureCompat, 4, 'flags'],
  ['s_feature_incompat', SB.featureIncompat, 4, 'flags'],
  ['s_feature_ro_compat', SB.featureRoCompat, 4, 'flags'],
  ['s_reserved_gdt_blocks', SB.reservedDescriptors, 2, 'count'],
  ['s_journal_inum', SB.journalInode, 4, 'pointer'],
  ['s_last_orphan', SB.lastOrphan, 4, 'pointer'],
  ['s_desc_size', SB.descriptorSize, 2, 'length'],
  ['s_first_meta_bg', SB.firstMetaGroup, 4, 'count'],
  ['s_blocks_count_hi', SB.blocksCountHigh, 4, 'count'],
  ['s_log_groups_per_flex', SB.logGroupsPerFlex, 1, 'length'],
  ['s_checksum_type', SB.checksumType, 1, 'other'],
];
const DESCRIPTOR_FIELDS: readonly FieldRow[] = [
  ['bg_block_bitmap', GD.blockBitmap, 4, 'pointer'],
  ['bg_inode_bitmap', GD.inodeBitmap, 4, 'pointer'],
  ['bg_inode_table', GD.inodeTable, 4, 'pointer'],
  ['bg_free_blocks_count', GD.freeBlocks, 2, 'count'],
  ['bg_free_inodes_count', GD.freeInodes, 2, 'count'],
  ['bg_used_dirs_count', GD.directories, 2, 'count'],
  ['bg_flags', GD.flags, 2, 'flags'],
  ['bg_itable_unused', GD.unusedInodes, 2, 'count'],
];
const INODE_FIELDS: readonly FieldRow[] = [
  ['i_mode', INO.mode, 2, 'flags'],
  ['i_size_lo', INO.sizeLow, 4, 'length'],
  ['i_size_high', INO.sizeHigh, 4, 'length'],
  ['i_links_count', INO.linkCount, 2, 'count'],
  ['i_blocks_lo', INO.sectors, 4, 'count'],
  ['i_flags', INO.flags, 4, 'flags'],
  ['i_dtime', INO.deleteTime, 4, 'other'],
  ['i_generation', INO.generation, 4, 'other'],
  ['i_file_acl', INO.aclBlock, 4, 'pointer'],
  ...Array.from({ length: 15 }, (_, index): FieldRow => [
    `i_block[${String(index)}]`,
    INO.pointers + index * 4,
    4,
    'pointer',
  ]),
];

function fields(rows: readonly FieldRow[]): DiskField[] {
  return rows.map(([name, offsetBytes, lengthBytes, kind]) => ({
    name,
    offsetBytes,
    lengthBytes,
    kind,
  }));
}

interface InodeRecord {
  readonly number: number;
  readonly byte: number;
  readonly mode: number;
  readonly seed: number;
}

export class ExtStructures {
  private readonly view: DataView;
  private readonly blockBytes: number;
  private readonly inodeBytes: number;
  private readonly descriptorBytes: number;
  private readonly checksums: Checksums;
  private readonly found: DiskStructure[] = [];

  constructor(private readonly image: Uint8Array) {
    this.view = new DataView(image.buffer, image.byteOffset, image.length);
    this.blockBytes = 1024 << this.sb32(SB.logBlockSize);
    this.inodeBytes = this.sb32(SB.revision) === 0 ? 128 : this.sb16(SB.inodeSize);
    const isWide = (this.sb32(SB.featureIncompat) & INCOMPAT['64bit']) !== 0;
    this.descriptorBytes = isWide ? this.sb16(SB.descriptorSize) : 32;
    this.checksums = new Checksums(
      new DiskRecord('superblock', 0, image, SUPERBLOCK_BYTE, SUPERBLOCK_BYTES),
    );
  }

  static blockBytes(image: Uint8Array): number {
    return (
      1024 << new DataView(image.buffer, image.byteOffset).getUint32(1024 + SB.logBlockSize, true)
    );
  }

  all(): readonly DiskStructure[] {
    const { checksums } = this;
    this.add(
      'superblock',
      SUPERBLOCK_BYTE,
      SUPERBLOCK_BYTES,
      fields(SUPERBLOCK_FIELDS),
      (image) => {
        checksums.sealSuperblock(
          new DiskRecord('superblock', 0, image, SUPERBLOCK_BYTE, SUPERBLOCK_BYTES),
        );
      },
    );
    const perGroup = this.sb32(SB.blocksPerGroup);
    const first = this.sb32(SB.firstDataBlock);
    const groups = Math.ceil((this.sb32(SB.blocksCount) - first) / perGroup);
    for (let group = 0; group < groups; group++) this.group(group);
    return this.found;
  }

  private group(group: number): void {
    const { blockBytes, checksums, inodeBytes } = this;
    const byte = this.descriptorByte(group);
    const name = `group ${String(group)}`;
    this.add(
      `descriptor of ${name}`,
      byte,
      this.descriptorBytes,
      fields(DESCRIPTOR_FIELDS),
      (image) => {
        const crc = checksums.descriptorChecksum(group, image, byte, this.descriptorBytes);
        if (checksums.kind !== 'none') putHalf(image, byte + GD.checksum, crc);
      },
    );
    const inodesPerGroup = this.sb32(SB.inodesPerGroup);
    const bits = Math.ceil(inodesPerGroup / 8);
    const inodeBitmap = this.u32(byte + GD.inodeBitmap) * blockBytes;
    const table = this.u32(byte + GD.inodeTable) * blockBytes;
    const blockBits = this.sb32(SB.blocksPerGroup) / 8;
    this.bitmap(
      `block bitmap of ${name}`,
      group,
      this.u32(byte + GD.blockBitmap) * blockBytes,
      blockBits,
      GD.blockBitmapChecksum,
    );
    this.bitmap(`inode bitmap of ${name}`, group, inodeBitmap, bits, GD.inodeBitmapChecksum);
    const isUnused =
      (this.view.getUint16(byte + GD.flags, true) & 1) !== 0 && checksums.kind !== 'none';
    for (let index = 0; index < inodesPerGroup && !isUnused; index++) {
      if (((this.image[inodeBitmap + (index >> 3)] as number) & (1 << (index & 7))) === 0) continue;
      const at = table + index * inodeBytes;
      const mode = this.view.getUint16(at + INO.mode, true);
      if (mode === 0) continue;
      const number = group * inodesPerGroup + index + 1;
      const seed = checksums.inodeSeed(number, this.u32(at + INO.generation));
      this.inode({ number, byte: at, mode, seed });
    }
  }

  private bitmap(
    name: string,
    group: number,
    byte: number,
    lengthBytes: number,
    field: number,
  ): void {
    const { checksums, descriptorBytes } = this;
    const descriptor = this.descriptorByte(group);
    this.add(name, byte, lengthBytes, [], (image) => {
      if (!checksums.coversAll) return;
      const crc = checksums.bitmapChecksum(image.subarray(byte, byte + lengthBytes), lengthBytes);
      putHalf(image, descriptor + field, crc & 0xffff);
      if (descriptorBytes >= 64) putHalf(image, descriptor + field + 32, crc >>> 16);
      putHalf(
        image,
        descriptor + GD.checksum,
        checksums.descriptorChecksum(group, image, descriptor, descriptorBytes),
      );
    });
  }

  private inode(inode: InodeRecord): void {
    const { checksums, inodeBytes, blockBytes } = this;
    const { byte, number } = inode;
    this.add(
      `inode ${String(number)}`,
      byte,
      Math.min(inodeBytes, 160),
      fields(INODE_FIELDS),
      (image) => {
        checksums.sealInode(new DiskRecord('inode', 0, image, byte, inodeBytes), number);
      },
    );
    const kind = inode.mode & MODE_KIND;
    if (kind !== MODE.file && kind !== MODE.directory) return;
    const flags = this.u32(byte + INO.flags);
    const isDirectory = kind === MODE.directory;
    if ((flags & INODE_FLAG.extents) !== 0) {
      this.extents(inode, byte + INO.pointers, 60, isDirectory, 0);
      return;
    }
    for (let index = 0; index < 15; index++) {
      const block = this.u32(byte + INO.pointers + index * 4);
      if (block === 0) continue;
      if (index < 12) {
        if (isDirectory) this.directory(inode, block * blockBytes, index);
      } else this.indirect(inode, block, index - 11);
    }
  }

  private indirect(inode: InodeRecord, block: number, depth: number): void {
    const byte = block * this.blockBytes;
    if (byte + this.blockBytes > this.image.length) return;
    const used: DiskField[] = [];
    for (let at = 0; at < this.blockBytes && used.length < 24; at += 4) {
      const below = this.u32(byte + at);
      if (below === 0) continue;
      used.push({ name: `[${String(at / 4)}]`, offsetBytes: at, lengthBytes: 4, kind: 'pointer' });
      if (depth > 1 && used.length < 6) this.indirect(inode, below, depth - 1);
    }
    this.add(
      `indirect block ${String(block)} of inode ${String(inode.number)}`,
      byte,
      this.blockBytes,
      used,
      null,
    );
  }

  /** A node of an extent tree at a byte of the image; the one in the inode has no structure of its own. */
  private extents(
    inode: InodeRecord,
    byte: number,
    room: number,
    isDirectory: boolean,
    level: number,
  ): void {
    const { view, blockBytes, checksums } = this;
    if (view.getUint16(byte, true) !== EXTENT_MAGIC) return;
    const count = Math.min(view.getUint16(byte + 2, true), (room - 12) / 12);
    const depth = view.getUint16(byte + 6, true);
    const hot: DiskField[] = [
      { name: 'eh_magic', offsetBytes: 0, lengthBytes: 2, kind: 'other' },
      { name: 'eh_entries', offsetBytes: 2, lengthBytes: 2, kind: 'count' },
      { name: 'eh_max', offsetBytes: 4, lengthBytes: 2, kind: 'count' },
      { name: 'eh_depth', offsetBytes: 6, lengthBytes: 2, kind: 'length' },
    ];
    for (let index = 0; index < count; index++) {
      const at = byte + 12 + index * 12;
      const offsetBytes = at - byte;
      hot.push({ name: 'ee_block', offsetBytes, lengthBytes: 4, kind: 'other' });
      if (depth > 0) {
        hot.push({
          name: 'ei_leaf',
          offsetBytes: offsetBytes + 4,
          lengthBytes: 4,
          kind: 'pointer',
        });
        if (level < 5)
          this.extents(inode, this.u32(at + 4) * blockBytes, blockBytes, isDirectory, level + 1);
        continue;
      }
      hot.push({ name: 'ee_len', offsetBytes: offsetBytes + 4, lengthBytes: 2, kind: 'length' });
      hot.push({
        name: 'ee_start_hi',
        offsetBytes: offsetBytes + 6,
        lengthBytes: 2,
        kind: 'pointer',
      });
      hot.push({
        name: 'ee_start_lo',
        offsetBytes: offsetBytes + 8,
        lengthBytes: 4,
        kind: 'pointer',
      });
      if (isDirectory) {
        const blocks = view.getUint16(at + 4, true);
        for (let block = 0; block < blocks; block++) {
          this.directory(inode, (this.u32(at + 8) + block) * blockBytes, this.u32(at) + block);
        }
      }
    }
    const name = `extent node ${level === 0 ? 'in' : 'of'} inode ${String(inode.number)}`;
    const isRoot = level === 0;
    this.add(name, byte, isRoot ? 60 : blockBytes, hot.slice(0, 40), (image) => {
      if (isRoot) {
        checksums.sealInode(
          new DiskRecord('inode', 0, image, inode.byte, this.inodeBytes),
          inode.number,
        );
      } else checksums.sealExtents(image.subarray(byte, byte + blockBytes), inode.seed);
    });
  }

  private directory(inode: InodeRecord, byte: number, index: number): void {
    const { view, blockBytes, checksums } = this;
    if (byte + blockBytes > this.image.length) return;
    const hot: DiskField[] = [];
    for (let at = 0; at + 8 <= blockBytes && hot.length < 40;) {
      const length = view.getUint16(byte + at + 4, true);
      hot.push({ name: 'inode', offsetBytes: at, lengthBytes: 4, kind: 'pointer' });
      hot.push({ name: 'rec_len', offsetBytes: at + 4, lengthBytes: 2, kind: 'length' });
      hot.push({ name: 'name_len', offsetBytes: at + 6, lengthBytes: 1, kind: 'length' });
      hot.push({ name: 'file_type', offsetBytes: at + 7, lengthBytes: 1, kind: 'other' });
      if (length < 8) break;
      at += length;
    }
    const isIndexed = (this.u32(inode.byte + INO.flags) & INODE_FLAG.index) !== 0;
    const name = `directory block ${String(index)} of inode ${String(inode.number)}`;
    this.add(name, byte, blockBytes, hot, (image) => {
      const bytes = image.subarray(byte, byte + blockBytes);
      if (isIndexed && index === 0) checksums.sealIndex(bytes, 32, inode.seed);
      else if (checksums.coversAll && checksums.hasDirectoryTail(bytes)) {
        checksums.sealDirectory(bytes, inode.seed);
      }
    });
  }

  private add(
    name: string,
    byte: number,
    lengthBytes: number,
    hot: readonly DiskField[],
    seal: ((image: Uint8Array) => void) | null,
  ): void {
    if (this.found.length >= STRUCTURES_MAX || byte + lengthBytes > this.image.length) return;
    const sealed = this.checksums.kind === 'none' ? null : seal;
    this.found.push({ name, byte, lengthBytes, fields: hot, seal: sealed });
  }

  private descriptorByte(group: number): number {
    const first = this.sb32(SB.firstDataBlock) + 1;
    const perBlock = this.blockBytes / this.descriptorBytes;
    const isMeta = (this.sb32(SB.featureIncompat) & INCOMPAT.meta_bg) !== 0;
    if (isMeta && group >= this.sb32(SB.firstMetaGroup) * perBlock) {
      const leader = group - (group % perBlock);
      const block = this.sb32(SB.firstDataBlock) + leader * this.sb32(SB.blocksPerGroup);
      const behind = leader <= 1 || (this.sb32(SB.featureRoCompat) & 1) === 0 ? 1 : 0;
      return (block + behind) * this.blockBytes + (group % perBlock) * this.descriptorBytes;
    }
    return first * this.blockBytes + group * this.descriptorBytes;
  }
  private sb32(field: number): number {
    return this.view.getUint32(SUPERBLOCK_BYTE + field, true);
  }
  private sb16(field: number): number {
    return this.view.getUint16(SUPERBLOCK_BYTE + field, true);
  }
  private u32(byte: number): number {
    return this.view.getUint32(byte, true);
  }
}

function putHalf(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = value >>> 8;
}
