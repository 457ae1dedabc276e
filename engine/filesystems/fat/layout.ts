// SPDX-License-Identifier: GPL-2.0-only
/**
 * What FAT has on the disk (include/uapi/linux/msdos_fs.h). All numbers are little endian.
 *
 *   sector 0        boot sector with the BPB; FAT32: sector 1 FSInfo, sector 6 a copy of the boot sector
 *   reserved        up to the first FAT
 *   FAT x copies    one entry of 12, 16 or 28 of 32 bits a cluster; entries 0 and 1 are no clusters
 *   root directory  FAT12 and FAT16: so many entries; FAT32: a chain of clusters like any other directory
 *   clusters        from number 2 on
 *
 *   boot sector     0 jump | 3 OEM name | 11 BPB | FAT12/16: 36 drive, state, signature, serial, label, type
 *                                                | FAT32: 36 FAT size, flags, root cluster, FSInfo, copy; 64 drive, state ...
 *                   510 0x55 0xaa
 *   entry (32)      0 name 8+3 | 11 attributes | 12 case | 13 created | 18 accessed | 20 cluster high | 22 modified
 *                   26 cluster low | 28 size
 *   long name (32)  0 order | 1 five characters | 11 0x0f | 12 0 | 13 checksum | 14 six | 26 0 | 28 two
 */

/** Boot sector: offsets in bytes. */
export const BOOT = {
  jump: 0,
  oemName: 3,
  sectorBytes: 11,
  sectorsPerCluster: 13,
  reservedSectors: 14,
  fatCount: 16,
  rootEntries: 17,
  sectors16: 19,
  media: 21,
  fatSectors16: 22,
  sectorsPerTrack: 24,
  heads: 26,
  hiddenSectors: 28,
  sectors32: 32,
  /** FAT12 and FAT16 from here. */
  drive: 36,
  state: 37,
  signature: 38,
  serial: 39,
  label: 43,
  type: 54,
  /** FAT32 from here. */
  fatSectors32: 36,
  flags32: 40,
  version32: 42,
  rootCluster32: 44,
  infoSector32: 48,
  backupSector32: 50,
  drive32: 64,
  state32: 65,
  signature32: 66,
  serial32: 67,
  label32: 71,
  type32: 82,
  end: 510,
} as const;

/** Boot sector, state: mounted and not left cleanly (FAT_STATE_DIRTY). */
export const STATE_DIRTY = 1;
export const BOOT_BYTES = 512;
export const BOOT_SIGNATURE = 0xaa55;
/** An extended boot record with serial number, label and type follows. */
export const EXTENDED_SIGNATURE = 0x29;
/** BPB flags of FAT32: the copies are not kept equal, and the low bits say which one counts. */
export const FLAG_NO_MIRROR = 0x80;

/** FSInfo of FAT32: offsets in bytes. */
export const INFO = {
  lead: 0,
  structure: 484,
  freeClusters: 488,
  nextCluster: 492,
  trail: 508,
} as const;
export const INFO_LEAD = 0x41615252;
export const INFO_STRUCTURE = 0x61417272;
export const INFO_TRAIL = 0xaa550000;
export const INFO_UNKNOWN = 0xffffffff;

/** Directory entry: offsets in bytes. */
export const ENTRY = {
  name: 0,
  attributes: 11,
  lowerCase: 12,
  createHundredths: 13,
  createTime: 14,
  createDate: 16,
  accessDate: 18,
  clusterHigh: 20,
  modifyTime: 22,
  modifyDate: 24,
  clusterLow: 26,
  size: 28,
} as const;
export const ENTRY_BYTES = 32;
export const SHORT_NAME_BYTES = 11;
export const ENTRY_DELETED = 0xe5;
/** Stands for a name that begins with 0xe5. */
export const ENTRY_KANJI_E5 = 0x05;
/** A directory holds so many entries at most (FAT_MAX_DIR_ENTRIES). */
export const DIRECTORY_ENTRIES_MAX = 65536;

export const ATTRIBUTE = {
  readOnly: 1,
  hidden: 2,
  system: 4,
  label: 8,
  directory: 16,
  archive: 32,
  longName: 15,
} as const;
/** Case byte: the base, the extension is shown in lower case. */
export const LOWER_BASE = 8;
export const LOWER_EXTENSION = 16;

/** Long-name entry: characters of one entry, the flag of the last one, and how many there can be. */
export const LONG_CHARACTERS = 13;
export const LONG_LAST = 0x40;
export const LONG_ENTRIES_MAX = 20;
export const NAME_UNITS_MAX = 255;
/** Where the characters of a long-name entry are. */
export const LONG_OFFSETS: readonly number[] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** FAT entries as this code sees them, whatever their width. */
export const FREE = 0;
export const END = 0x0fffffff;
export const BAD = 0x0ffffff7;
export const FIRST_CLUSTER = 2;

export type FatBits = 12 | 16 | 32;

/** Most clusters that each width can have (MAX_FAT12, MAX_FAT16, MAX_FAT32). */
export const CLUSTERS_MAX: Readonly<Record<FatBits, number>> = {
  12: 0xff4,
  16: 0xfff4,
  32: 0x0ffffff6,
};

/** i_ino of the root (MSDOS_ROOT_INO); other inodes take the number of their entry: byte on the device / 32. */
export const ROOT_INODE = 1;
