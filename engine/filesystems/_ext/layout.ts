// SPDX-License-Identifier: GPL-2.0-only
/**
 * The on-disk layout that ext2, ext3 and ext4 share; drawn once, all numbers little endian.
 *
 *   image:  | boot 1024 | group 0 | group 1 | ... | last group (may be short) |
 *   group:  | superblock copy | descriptor table copy | (reserved) | block bitmap | inode bitmap | inode table | data ... |
 *            '------ with sparse_super only in groups 0, 1 and powers of 3, 5, 7 ------'
 *   block 0 of group 0 is block 1 with 1 KiB blocks (the boot block is block 0), else block 0 (superblock at byte 1024 of it)
 *
 *   superblock, 1024 bytes at byte 1024
 *     0 inodes   4 blocks   8 reserved  12 free blk 16 free ino  20 first data blk  24 log2(block/1024)  28 log frag
 *    32 blk/grp 36 frag/grp 40 ino/grp  44 mtime    48 wtime     52 mnt,max u16     56 magic,state u16   60 errors,minor u16
 *    64 checked 68 interval 72 os       76 revision 80 uid,gid   84 first ino       88 ino size,grp u16  92 compat
 *    96 incompat 100 ro_compat 104 uuid[16] 120 label[16] 136 last mounted[64] ... 204 prealloc u8,u8, 206 reserved gdt u16
 *   208 journal uuid 224 journal ino 232 orphans 236 hash seed[16] 252 hash u8 254 desc size u16 256 mount opts 260 first meta_bg
 *   264 mkfs time  268 journal inode's blocks[17]  336 blocks high  340 reserved high  344 free blk high  348 min extra u16
 *   350 want extra u16  352 flags  372 log2(groups/flex) u8  373 checksum type u8  584 overhead  588 backup groups[2] (sparse_super2)
 *   624 checksum seed (metadata_csum_seed)  640 orphan file's inode  1020 checksum
 *
 *   group descriptor, 32 bytes
 *     0 block bitmap   4 inode bitmap   8 inode table   12 free blocks u16   14 free inodes u16   16 directories u16   18 flags u16
 *    20 exclude bitmap  24 block bitmap checksum u16  26 inode bitmap checksum u16  28 inodes unused at the end u16  30 checksum u16
 *   with 64bit 64 bytes: the upper halves
 *    32 block bitmap  36 inode bitmap  40 inode table  44 free blocks u16  46 free inodes u16  48 directories u16  50 unused u16
 *    52 exclude bitmap  56 block bitmap checksum u16  58 inode bitmap checksum u16
 *
 *   inode, 128 bytes or more
 *     0 mode u16   2 uid u16   4 size low   8 atime  12 ctime  16 mtime  20 dtime  24 gid u16  26 links u16
 *    28 sectors (512)  32 flags  36 os1  40 block[15]: 12 direct, indirect, double, triple  100 generation  104 acl block
 *   108 size high  112 fragment  116 os2: 116 sectors high u16, 118 acl high u16, 120 uid high u16, 122 gid high u16, 124 checksum u16
 *   behind the first 128 bytes, as far as 128 + extra bytes go
 *   128 extra bytes u16  130 checksum high u16  132 ctime extra  136 mtime extra  140 atime extra  144 birth  148 birth extra
 *   152 version high  156 project;  behind them extended attributes
 *
 *   directory entry, multiple of 4 bytes, chained through the block by its length
 *     0 inode   4 length u16   6 name length u8   7 kind u8   8 name
 */

export const SUPERBLOCK_BYTE = 1024;
export const SUPERBLOCK_BYTES = 1024;
export const EXT_MAGIC = 0xef53;

/** Offsets in the superblock. */
export const SB = {
  inodesCount: 0, blocksCount: 4, reservedBlocks: 8, freeBlocks: 12, freeInodes: 16, firstDataBlock: 20,
  logBlockSize: 24, logFragSize: 28, blocksPerGroup: 32, fragsPerGroup: 36, inodesPerGroup: 40,
  mountTime: 44, writeTime: 48, mountCount: 52, maxMountCount: 54, magic: 56, state: 58, errors: 60,
  lastCheck: 64, checkInterval: 68, creatorOs: 72, revision: 76, firstInode: 84, inodeSize: 88,
  groupNumber: 90, featureCompat: 92, featureIncompat: 96, featureRoCompat: 100, uuid: 104, label: 120,
  reservedDescriptors: 206, journalInode: 224, lastOrphan: 232, hashSeed: 236, descriptorSize: 254, defaultMountOptions: 256,
  firstMetaGroup: 260, mkfsTime: 264, blocksCountHigh: 336, reservedBlocksHigh: 340, freeBlocksHigh: 344,
  minExtraBytes: 348, wantExtraBytes: 350, flags: 352, logGroupsPerFlex: 372, checksumType: 373,
  journalBackupType: 253, journalBlocks: 268, defaultHashVersion: 252, overheadClusters: 584,
  backupGroups: 588, checksumSeed: 624, orphanFileInode: 640, checksum: 1020,
} as const; // prettier-ignore
export const CHECKSUM_TYPE_CRC32C = 1;

/** Bits of the superblock's state. */
export const STATE_VALID = 1;
export const STATE_ERRORS = 2;

/** Offsets in a group descriptor. */
export const GD = {
  blockBitmap: 0, inodeBitmap: 4, inodeTable: 8, freeBlocks: 12, freeInodes: 14, directories: 16,
  flags: 18, excludeBitmap: 20, blockBitmapChecksum: 24, inodeBitmapChecksum: 26, unusedInodes: 28,
  checksum: 30, blockBitmapHigh: 32, inodeBitmapHigh: 36, inodeTableHigh: 40, freeBlocksHigh: 44,
  freeInodesHigh: 46, directoriesHigh: 48, unusedInodesHigh: 50, excludeBitmapHigh: 52,
  blockBitmapChecksumHigh: 56, inodeBitmapChecksumHigh: 58,
} as const; // prettier-ignore
export const DESCRIPTOR_BYTES = 32;
/** With the feature 64bit a descriptor has this many bytes or more. */
export const DESCRIPTOR_BYTES_64BIT = 64;
/** Flags of a group: bitmaps that were never written and stand for their initial content, and a zeroed inode table. */
export const GROUP_FLAG = { inodeUninit: 1, blockUninit: 2, inodeTableZeroed: 4 } as const;

/** Offsets in an inode. */
export const INO = {
  mode: 0, uid: 2, sizeLow: 4, accessTime: 8, changeTime: 12, modifyTime: 16, deleteTime: 20, gid: 24,
  linkCount: 26, sectors: 28, flags: 32, pointers: 40, generation: 100, aclBlock: 104, sizeHigh: 108,
  sectorsHigh: 116, aclBlockHigh: 118, uidHigh: 120, gidHigh: 122, checksum: 124, extraBytes: 128,
  checksumHigh: 130, changeTimeExtra: 132, modifyTimeExtra: 136, accessTimeExtra: 140, birthTime: 144,
  birthTimeExtra: 148, versionHigh: 152, project: 156,
} as const; // prettier-ignore
export const INODE_BYTES_MIN = 128;
/** What the kernel uses behind the first 128 bytes of an inode. */
export const EXTRA_BYTES = 32;

export const DIRECT_POINTERS = 12;
export const POINTER_COUNT = 15;

export const ROOT_INODE = 2;
/** Keeps the blocks that more group descriptors would take. */
export const RESIZE_INODE = 7;
export const JOURNAL_INODE = 8;
export const FIRST_INODE_OLD = 11;

/** File types in the mode. */
export const MODE_KIND = 0xf000;
export const MODE = {
  fifo: 0x1000, characterDevice: 0x2000, directory: 0x4000, blockDevice: 0x6000, file: 0x8000,
  symlink: 0xa000, socket: 0xc000,
} as const; // prettier-ignore

/** Kinds in directory entries (feature filetype). */
export const ENTRY_KIND = {
  unknown: 0, file: 1, directory: 2, characterDevice: 3, blockDevice: 4, fifo: 5, socket: 6, symlink: 7,
} as const; // prettier-ignore

export const ENTRY_HEADER_BYTES = 8;
export const NAME_BYTES_MAX = 255;
export const LINKS_MAX = 32000;

/** Inode flags that matter here. */
export const INODE_FLAG = {
  compressed: 0x4, immutable: 0x10, append: 0x20, encrypted: 0x800, index: 0x1000, hugeFile: 0x40000,
  extents: 0x80000, verity: 0x100000, attributeInode: 0x200000, inlineData: 0x10000000,
  project: 0x20000000, casefold: 0x40000000,
} as const; // prettier-ignore

export const COMPAT = {
  dir_prealloc: 0x1, imagic_inodes: 0x2, has_journal: 0x4, ext_attr: 0x8, resize_inode: 0x10,
  dir_index: 0x20, sparse_super2: 0x200, fast_commit: 0x400, stable_inodes: 0x800, orphan_file: 0x1000,
} as const; // prettier-ignore
export const INCOMPAT = {
  compression: 0x1, filetype: 0x2, needs_recovery: 0x4, journal_dev: 0x8, meta_bg: 0x10, extents: 0x40,
  '64bit': 0x80, mmp: 0x100, flex_bg: 0x200, ea_inode: 0x400, dirdata: 0x1000, metadata_csum_seed: 0x2000,
  large_dir: 0x4000, inline_data: 0x8000, encrypt: 0x10000, casefold: 0x20000,
} as const; // prettier-ignore
export const RO_COMPAT = {
  sparse_super: 0x1, large_file: 0x2, btree_dir: 0x4, huge_file: 0x8, uninit_bg: 0x10, dir_nlink: 0x20,
  extra_isize: 0x40, quota: 0x100, bigalloc: 0x200, metadata_csum: 0x400, replica: 0x800,
  readonly: 0x1000, project: 0x2000, shared_blocks: 0x4000, verity: 0x8000, orphan_present: 0x10000,
} as const; // prettier-ignore

/** Names of the bits of a feature word, unknown ones as numbers. */
export function featureNames(bits: number, names: Readonly<Record<string, number>>): string[] {
  const found: string[] = [];
  let left = bits >>> 0;
  for (const [name, bit] of Object.entries(names)) {
    if ((left & bit) === 0) continue;
    found.push(name);
    left = (left & ~bit) >>> 0;
  }
  if (left !== 0) found.push(`unknown feature bits 0x${left.toString(16)}`);
  return found;
}

/** True where a group has copies of the superblock and the descriptors. */
export function groupHasSuperblock(group: number, sparse: boolean): boolean {
  if (!sparse || group <= 1) return true;
  for (const base of [3, 5, 7]) {
    let power = base;
    while (power < group) power *= base;
    if (power === group) return true;
  }
  return false;
}
