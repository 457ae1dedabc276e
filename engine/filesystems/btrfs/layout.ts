// SPDX-License-Identifier: GPL-2.0-only
/**
 * The on-disk format of btrfs (kernel: include/uapi/linux/btrfs_tree.h). All numbers are little endian and packed.
 *
 *   device     0 .. 1 MiB reserved, the superblock at 64 KiB; copies at 64 MiB and 256 GiB
 *   addresses  everything points to logical bytes; the chunk tree says where these lie on the device (chunks.ts)
 *   node       101 bytes of header, then items (leaf, level 0) or pointers (above)
 *
 *   leaf       | header | item 0 | item 1 | ... free ... | data 1 | data 0 |     data is packed from the end
 *   item       key 17, offset of data behind the header u32, size u32            25 bytes
 *   pointer    key 17, logical address u64, generation u64                       33 bytes
 *   key        objectid u64, type u8, offset u64; ordered by these three         17 bytes
 */

export const SUPERBLOCK_BYTE = 0x10000;
export const SUPERBLOCK_BYTES = 4096;
/** Where the superblock and its copies lie, as far as the device goes. */
export const SUPERBLOCK_PLACES = [SUPERBLOCK_BYTE, 0x400_0000, 0x40_0000_0000] as const;
/** Nothing but the superblock is kept in the first MiB. */
export const RESERVED_BYTES = 1024 * 1024;

/** btrfs_super_block */
export const SB = {
  checksum: 0, fsid: 0x20, byte: 0x30, flags: 0x38, magic: 0x40, generation: 0x48, root: 0x50,
  chunkRoot: 0x58, logRoot: 0x60, totalBytes: 0x70, usedBytes: 0x78, rootDirectory: 0x80,
  deviceCount: 0x88, sectorBytes: 0x90, nodeBytes: 0x94, systemArrayBytes: 0xa0,
  chunkRootGeneration: 0xa4, compatRoFlags: 0xb4, incompatFlags: 0xbc, checksumType: 0xc4,
  rootLevel: 0xc6, chunkRootLevel: 0xc7, deviceId: 0xc9, deviceBytes: 0xd1, label: 0x12b,
  metadataUuid: 0x23b, systemArray: 0x32b,
} as const; // prettier-ignore
export const SYSTEM_ARRAY_BYTES_MAX = 2048;

/** btrfs_header */
export const NODE = {
  checksum: 0, fsid: 32, byte: 48, flags: 56, chunkTreeUuid: 64, generation: 80, owner: 88,
  itemCount: 96, level: 100, items: 101,
} as const; // prettier-ignore
export const ITEM_BYTES = 25;
export const POINTER_BYTES = 33;
export const KEY_BYTES = 17;
export const LEVEL_MAX = 7;

export const TREE = { extent: 2, fs: 5 } as const;
/** Subvolumes and inodes made by people: 256 up to -256; what is above 2^53 is taken for the trees and objects at the upper end. */
export const FIRST_FREE_OBJECT = 256;
export const LAST_FREE_OBJECT = Number.MAX_SAFE_INTEGER;
/** Directory of the root tree whose entry `default` names the default subvolume. */
export const ROOT_TREE_DIRECTORY = 6;

export const KEY_TYPE = {
  inode: 1, inodeRef: 12, directoryItem: 84, directoryIndex: 96, fileExtent: 108, rootItem: 132,
  extent: 168, metadata: 169, chunk: 228,
} as const; // prettier-ignore

/** Names of key types, as the kernel's dump has them. */
export const KEY_NAMES: Readonly<Record<number, string>> = {
  1: 'INODE_ITEM', 12: 'INODE_REF', 13: 'INODE_EXTREF', 24: 'XATTR_ITEM', 36: 'VERITY_DESC_ITEM',
  37: 'VERITY_MERKLE_ITEM', 48: 'ORPHAN_ITEM', 60: 'DIR_LOG_ITEM', 72: 'DIR_LOG_INDEX',
  84: 'DIR_ITEM', 96: 'DIR_INDEX', 108: 'EXTENT_DATA', 128: 'EXTENT_CSUM', 132: 'ROOT_ITEM',
  144: 'ROOT_BACKREF', 156: 'ROOT_REF', 168: 'EXTENT_ITEM', 169: 'METADATA_ITEM',
  172: 'EXTENT_OWNER_REF', 176: 'TREE_BLOCK_REF', 178: 'EXTENT_DATA_REF', 182: 'SHARED_BLOCK_REF',
  184: 'SHARED_DATA_REF', 192: 'BLOCK_GROUP_ITEM', 198: 'FREE_SPACE_INFO',
  199: 'FREE_SPACE_EXTENT', 200: 'FREE_SPACE_BITMAP', 204: 'DEV_EXTENT', 216: 'DEV_ITEM',
  228: 'CHUNK_ITEM', 230: 'RAID_STRIPE', 240: 'QGROUP_STATUS', 242: 'QGROUP_INFO',
  244: 'QGROUP_LIMIT', 246: 'QGROUP_RELATION', 248: 'TEMPORARY_ITEM', 249: 'PERSISTENT_ITEM',
  250: 'DEV_REPLACE', 251: 'UUID_KEY_SUBVOL', 252: 'UUID_KEY_RECEIVED_SUBVOL', 253: 'STRING_ITEM',
}; // prettier-ignore

export const TREE_NAMES: Readonly<Record<number, string>> = {
  1: 'root tree', 2: 'extent tree', 3: 'chunk tree', 4: 'device tree', 5: 'top-level subvolume',
  7: 'checksum tree', 8: 'quota tree', 9: 'UUID tree', 10: 'free space tree',
  11: 'block group tree', 12: 'raid stripe tree',
}; // prettier-ignore

/** btrfs_inode_item */
export const INODE = {
  generation: 0, sizeBytes: 16, diskBytes: 24, linkCount: 40, uid: 44, gid: 48, mode: 52,
  flags: 64, accessTime: 112, changeTime: 124, modifyTime: 136, bytes: 160,
} as const; // prettier-ignore
/** btrfs_root_item */
export const ROOT = {
  directory: 168,
  byte: 176,
  flags: 208,
  level: 238,
  generation: 160,
  bytes: 239,
} as const;
/** btrfs_dir_item */
export const ENTRY = { location: 0, dataBytes: 25, nameBytes: 27, type: 29, name: 30 } as const;
/** btrfs_file_extent_item; from `inline` on the content itself where it is inline. */
export const EXTENT = {
  ramBytes: 8, compression: 16, encryption: 17, otherEncoding: 18, type: 20, inline: 21,
  diskByte: 21, diskBytes: 29, offset: 37, lengthBytes: 45, bytes: 53,
} as const; // prettier-ignore
export const EXTENT_TYPE = { inline: 0, regular: 1, prealloc: 2 } as const;
export const COMPRESSION_NAMES = ['none', 'zlib', 'lzo', 'zstd'] as const;
/** btrfs_chunk, stripes behind it. */
export const CHUNK = {
  lengthBytes: 0,
  type: 24,
  stripeCount: 44,
  stripes: 48,
  stripeBytes: 32,
} as const;
export const CHUNK_TYPE = { data: 1, system: 2, metadata: 4, dup: 0x20 } as const;
export const CHUNK_PROFILES: readonly (readonly [number, string])[] = [
  [0x8, 'RAID0'],
  [0x10, 'RAID1'],
  [0x40, 'RAID10'],
  [0x80, 'RAID5'],
  [0x100, 'RAID6'],
  [0x200, 'RAID1C3'],
  [0x400, 'RAID1C4'],
];

/** Incompatible features by bit; those that this code reads are true. */
export const INCOMPAT_FEATURES: readonly (readonly [string, boolean])[] = [
  ['mixed-backref', true],
  ['default-subvol', true],
  ['mixed-groups', true],
  ['compress-lzo', true],
  ['compress-zstd', true],
  ['big-metadata', true],
  ['extended-iref', true],
  // Old file systems keep the flag after a conversion: chunks say what is really there.
  ['raid56', true],
  ['skinny-metadata', true],
  ['no-holes', true],
  ['metadata-uuid', true],
  ['raid1c34', true],
  ['zoned', false],
  ['extent-tree-v2', false],
  ['raid-stripe-tree', false],
  ['bit 15', false],
  ['simple-quota', true],
];
export const INCOMPAT_METADATA_UUID = 1 << 10;
export const CHECKSUM_NAMES = ['crc32c', 'xxhash64', 'sha256', 'blake2b'] as const;

/** Bits 32 and up of the superblock's flags. */
export const FLAG_HIGH = { seeding: 1, metadump: 2, metadump2: 4, changingFsid: 8 } as const;
/** BTRFS_SUPER_FLAG_ERROR */
export const FLAG_ERROR = 4;
