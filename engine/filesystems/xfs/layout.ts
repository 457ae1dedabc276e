// SPDX-License-Identifier: GPL-2.0-only
/**
 * XFS on disk: offsets, magic numbers and feature bits, with the names of xfs_db. All numbers big endian, all checksums little.
 *
 *   allocation group g, at block g * agblocks (sectors of `sectsize` bytes, then blocks)
 *
 *     sector 0     superblock (group 0: the one that counts; others: copies)
 *     sector 1     AGF    free space: roots of bnobt, cntbt, rmapbt, refcountbt
 *     sector 2     AGI    inodes: roots of inobt, finobt; buckets of unlinked inodes
 *     sector 3     AGFL   blocks kept for the free-space B+trees
 *     next blocks  B+tree roots, inode chunks of 64, data ... in any order; the log lies in one group as one run of blocks
 *
 *   a block of the file system (fsblock) is group << agblklog | block in the group; the lab's `deviceBlock` is group * agblocks + it
 *   an inode number is group << (agblklog + inopblog) | block in the group << inopblog | index in the block
 */
import { fieldTable } from './record.ts';

export const XFS_MAGIC = 0x58465342;

/** struct xfs_dsb; a sector long, checksummed as a sector from version 5 on. */
export const SB = fieldTable({
  magicnum: [0, 'magic'],
  blocksize: [4, 'u32'],
  dblocks: [8, 'u64'],
  rblocks: [16, 'u64'],
  rextents: [24, 'u64'],
  uuid: [32, 'uuid'],
  logstart: [48, 'u64'],
  rootino: [56, 'u64'],
  rbmino: [64, 'u64'],
  rsumino: [72, 'u64'],
  rextsize: [80, 'u32'],
  agblocks: [84, 'u32'],
  agcount: [88, 'u32'],
  rbmblocks: [92, 'u32'],
  logblocks: [96, 'u32'],
  versionnum: [100, 'u16'],
  sectsize: [102, 'u16'],
  inodesize: [104, 'u16'],
  inopblock: [106, 'u16'],
  fname: [108, 'text'],
  blocklog: [120, 'u8'],
  sectlog: [121, 'u8'],
  inodelog: [122, 'u8'],
  inopblog: [123, 'u8'],
  agblklog: [124, 'u8'],
  rextslog: [125, 'u8'],
  inprogress: [126, 'u8'],
  imax_pct: [127, 'u8'],
  icount: [128, 'u64'],
  ifree: [136, 'u64'],
  fdblocks: [144, 'u64'],
  frextents: [152, 'u64'],
  uquotino: [160, 'u64'],
  gquotino: [168, 'u64'],
  qflags: [176, 'u16'],
  flags: [178, 'u8'],
  shared_vn: [179, 'u8'],
  inoalignmt: [180, 'u32'],
  unit: [184, 'u32'],
  width: [188, 'u32'],
  dirblklog: [192, 'u8'],
  logsectlog: [193, 'u8'],
  logsectsize: [194, 'u16'],
  logsunit: [196, 'u32'],
  features2: [200, 'hex32'],
  bad_features2: [204, 'hex32'],
  features_compat: [208, 'hex32'],
  features_ro_compat: [212, 'hex32'],
  features_incompat: [216, 'hex32'],
  features_log_incompat: [220, 'hex32'],
  crc: [224, 'crc'],
  spino_align: [228, 'u32'],
  pquotino: [232, 'u64'],
  lsn: [240, 'lsn'],
  meta_uuid: [248, 'uuid'],
});
/** Bytes of the superblock that this code reads; version 4 ends at 208. */
export const SB_BYTES = 264;

/** struct xfs_agf */
export const AGF = fieldTable({
  magicnum: [0, 'magic'],
  versionnum: [4, 'u32'],
  seqno: [8, 'u32'],
  length: [12, 'u32'],
  bnoroot: [16, 'u32'],
  cntroot: [20, 'u32'],
  rmaproot: [24, 'u32'],
  bnolevel: [28, 'u32'],
  cntlevel: [32, 'u32'],
  rmaplevel: [36, 'u32'],
  flfirst: [40, 'u32'],
  fllast: [44, 'u32'],
  flcount: [48, 'u32'],
  freeblks: [52, 'u32'],
  longest: [56, 'u32'],
  btreeblks: [60, 'u32'],
  uuid: [64, 'uuid'],
  rmapblocks: [80, 'u32'],
  refcntblocks: [84, 'u32'],
  refcntroot: [88, 'u32'],
  refcntlevel: [92, 'u32'],
  lsn: [208, 'lsn'],
  crc: [216, 'crc'],
});

/** struct xfs_agi */
export const AGI = fieldTable({
  magicnum: [0, 'magic'],
  versionnum: [4, 'u32'],
  seqno: [8, 'u32'],
  length: [12, 'u32'],
  count: [16, 'u32'],
  root: [20, 'u32'],
  level: [24, 'u32'],
  freecount: [28, 'u32'],
  newino: [32, 'u32'],
  dirino: [36, 'u32'],
  uuid: [296, 'uuid'],
  crc: [312, 'crc'],
  lsn: [320, 'lsn'],
  free_root: [328, 'u32'],
  free_level: [332, 'u32'],
  ino_blocks: [336, 'u32'],
  fino_blocks: [340, 'u32'],
});
export const AGI_UNLINKED = 40;
export const AGI_BUCKETS = 64;

/** struct xfs_agfl of version 5; version 4 has nothing but the list, from byte 0. */
export const AGFL = fieldTable({
  magicnum: [0, 'magic'],
  seqno: [4, 'u32'],
  uuid: [8, 'uuid'],
  lsn: [24, 'lsn'],
  crc: [32, 'crc'],
});
export const AGFL_HEADER_BYTES = 36;

export const MAGIC = {
  agf: 0x58414746,
  agi: 0x58414749,
  agfl: 0x5841464c,
  dirData: [0x58443244, 0x58444433],
  dirBlock: [0x58443242, 0x58444233],
  dirFree: [0x58443246, 0x58444633],
  symlink: 0x58534c4d,
  record: 0xfeedbabe,
} as const;
/** 16-bit magic numbers of the hash blocks of directories: [version 4, version 5]. */
export const HASH_MAGIC = {
  leafOne: [0xd2f1, 0x3df1],
  leafN: [0xd2ff, 0x3dff],
  node: [0xfebe, 0x3ebe],
} as const;

/** struct xfs_btree_block with 32-bit pointers (trees of a group): 16 bytes, 56 with checksums. */
export const SHORT_BLOCK = fieldTable({
  magic: [0, 'magic'],
  level: [4, 'u16'],
  numrecs: [6, 'u16'],
  leftsib: [8, 'u32'],
  rightsib: [12, 'u32'],
  bno: [16, 'u64'],
  lsn: [24, 'lsn'],
  uuid: [32, 'uuid'],
  owner: [48, 'u32'],
  crc: [52, 'crc'],
});
/** The same with 64-bit pointers (maps of files): 24 bytes, 72 with checksums. */
export const LONG_BLOCK = fieldTable({
  magic: [0, 'magic'],
  level: [4, 'u16'],
  numrecs: [6, 'u16'],
  leftsib: [8, 'u64'],
  rightsib: [16, 'u64'],
  bno: [24, 'u64'],
  lsn: [32, 'lsn'],
  uuid: [40, 'uuid'],
  owner: [56, 'u64'],
  crc: [64, 'crc'],
});

/** Trees of a group: magic numbers [version 4, version 5], bytes of a record and of a key (rmapbt keeps two keys a child). */
export interface TreeKind {
  readonly id: string;
  readonly magic: readonly [number, number];
  readonly recordBytes: number;
  readonly keyBytes: number;
}
export const TREE = {
  bno: { id: 'bnobt', magic: [0x41425442, 0x41423342], recordBytes: 8, keyBytes: 8 },
  cnt: { id: 'cntbt', magic: [0x41425443, 0x41423343], recordBytes: 8, keyBytes: 8 },
  ino: { id: 'inobt', magic: [0x49414254, 0x49414233], recordBytes: 16, keyBytes: 4 },
  fino: { id: 'finobt', magic: [0x46494254, 0x46494233], recordBytes: 16, keyBytes: 4 },
  rmap: { id: 'rmapbt', magic: [0x524d4233, 0x524d4233], recordBytes: 24, keyBytes: 40 },
  refcount: { id: 'refcountbt', magic: [0x52334643, 0x52334643], recordBytes: 12, keyBytes: 4 },
} as const satisfies Record<string, TreeKind>;
export const BMAP_MAGIC = [0x424d4150, 0x424d4133] as const;

/** struct xfs_dinode; the core is 100 bytes long, 176 in inodes of version 3. */
export const INODE = fieldTable({
  magic: [0, 'u16', 'core.magic'],
  mode: [2, 'u16', 'core.mode'],
  version: [4, 'u8', 'core.version'],
  format: [5, 'u8', 'core.format'],
  onlink: [6, 'u16', 'core.onlink'],
  uid: [8, 'u32', 'core.uid'],
  gid: [12, 'u32', 'core.gid'],
  nlink: [16, 'u32', 'core.nlinkv2'],
  atime: [32, 'time', 'core.atime'],
  mtime: [40, 'time', 'core.mtime'],
  ctime: [48, 'time', 'core.ctime'],
  size: [56, 'u64', 'core.size'],
  nblocks: [64, 'u64', 'core.nblocks'],
  extsize: [72, 'u32', 'core.extsize'],
  nextents: [76, 'u32', 'core.nextents'],
  naextents: [80, 'u16', 'core.naextents'],
  forkoff: [82, 'u8', 'core.forkoff'],
  aformat: [83, 'u8', 'core.aformat'],
  flags: [90, 'u16', 'core.flags'],
  gen: [92, 'u32', 'core.gen'],
  next_unlinked: [96, 'u32', 'next_unlinked'],
});
/** What inodes of version 3 have besides. `bigExtents` and `bigAttributeExtents` count with nrext64. */
export const INODE3 = fieldTable({
  bigExtents: [24, 'u64', 'v3.nrext64_nextents'],
  bigAttributeExtents: [76, 'u32', 'v3.nrext64_naextents'],
  crc: [100, 'crc', 'v3.crc'],
  change_count: [104, 'u64', 'v3.change_count'],
  lsn: [112, 'lsn', 'v3.lsn'],
  flags2: [120, 'u64', 'v3.flags2'],
  cowextsize: [128, 'u32', 'v3.cowextsize'],
  crtime: [144, 'time', 'v3.crtime'],
  inumber: [152, 'u64', 'v3.inumber'],
  uuid: [160, 'uuid', 'v3.uuid'],
});
export const INODE_MAGIC = 0x494e;
export const INODE_CORE_BYTES = [100, 176] as const;
export const INODE_FLAG_REALTIME = 1;
/** Low 32 bits of v3.flags2. */
export const INODE_FLAG2 = { bigtime: 8, nrext64: 16, metadata: 32 } as const;
export const FORK_FORMAT = { device: 0, local: 1, extents: 2, btree: 3 } as const;

export const MODE_KIND = 0xf000;
export const INODES_PER_CHUNK = 64;
/** xfs_bmbt_rec: 1 bit unwritten, 54 bits file block, 52 bits fsblock, 21 bits count. */
export const EXTENT_BYTES = 16;
/** BTREE_MAXLEVELS: more levels no tree of a valid image has. */
export const LEVELS_MAX = 9;
/** Directories: where the hash blocks and the free-space blocks begin, in bytes of the directory's own address space. */
export const DIR_LEAF_BYTE = 2 ** 35;
export const DIR_FREE_BYTE = 2 ** 36;

/** Bits of versionnum and features2 (version 4). */
export const VERSION_BIT = { dirv2: 0x2000, borg: 0x4000, morebits: 0x8000 } as const;
export const FEATURES2_FTYPE = 0x200;

type Names = Readonly<Record<string, number>>;
export const INCOMPAT = {
  ftype: 0x1,
  spinodes: 0x2,
  meta_uuid: 0x4,
  bigtime: 0x8,
  needsrepair: 0x10,
  nrext64: 0x20,
  exchrange: 0x40,
  parent: 0x80,
  metadir: 0x100,
  zoned: 0x200,
  zone_gaps: 0x400,
} as const satisfies Names;
/** Those that change nothing of what this code reads, or that it reads. */
export const INCOMPAT_KNOWN =
  INCOMPAT.ftype |
  INCOMPAT.spinodes |
  INCOMPAT.meta_uuid |
  INCOMPAT.bigtime |
  INCOMPAT.nrext64 |
  INCOMPAT.exchrange |
  INCOMPAT.parent;
export const RO_COMPAT = {
  finobt: 0x1,
  rmapbt: 0x2,
  reflink: 0x4,
  inobtcount: 0x8,
} as const satisfies Names;

/** Names of the bits that are set; unknown ones by number. */
export function featureNames(bits: number, names: Names): string[] {
  const found: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const mask = (1 << bit) >>> 0;
    if ((bits & mask) === 0) continue;
    const known = Object.entries(names).find(([, value]) => value === mask);
    found.push(known === undefined ? `bit ${String(bit)} (${hexBit(mask)})` : known[0]);
  }
  return found;
}
const hexBit = (mask: number): string => `0x${mask.toString(16)}`;
