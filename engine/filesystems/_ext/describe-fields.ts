// SPDX-License-Identifier: GPL-2.0-only
/**
 * The fields of the on-disk structures of the ext family, as data for the hex view: name on the disk, where, how long, how to read it.
 * The layouts are drawn in layout.ts, directory-index.ts and journal-layout.ts.
 */
import type { StructureField } from '../../vfs/index.ts';
import { COMPAT, featureNames, INCOMPAT, RO_COMPAT } from './layout.ts';
import { decodeName } from './text.ts';

/** How a field's bytes become text. */
export type FieldForm =
  'number' | 'hex' | 'time' | 'octal' | 'uuid' | 'text' | 'compat' | 'incompat' | 'roCompat';

/** Name, offset, bytes, form, help. */
export type FieldRow = readonly [string, number, number, FieldForm, string];

export const SUPERBLOCK_FIELDS: readonly FieldRow[] = [
  ['s_inodes_count', 0, 4, 'number', 'inodes'],
  ['s_blocks_count_lo', 4, 4, 'number', 'blocks'],
  ['s_r_blocks_count_lo', 8, 4, 'number', 'blocks that only root may use'],
  ['s_free_blocks_count_lo', 12, 4, 'number', 'free blocks'],
  ['s_free_inodes_count', 16, 4, 'number', 'free inodes'],
  ['s_first_data_block', 20, 4, 'number', 'block in which group 0 begins'],
  ['s_log_block_size', 24, 4, 'number', 'block size is 1024 times 2 to the power of this'],
  ['s_blocks_per_group', 32, 4, 'number', ''],
  ['s_inodes_per_group', 40, 4, 'number', ''],
  ['s_mtime', 44, 4, 'time', 'last mount'],
  ['s_wtime', 48, 4, 'time', 'last write'],
  ['s_mnt_count', 52, 2, 'number', 'mounts since the last check'],
  ['s_max_mnt_count', 54, 2, 'number', 'mounts after which a check is due; 65535: never'],
  ['s_magic', 56, 2, 'hex', '0xef53'],
  ['s_state', 58, 2, 'hex', '1: unmounted cleanly, 2: has errors, 4: orphans being ended'],
  ['s_errors', 60, 2, 'number', 'at errors 1: continue, 2: read only, 3: panic'],
  ['s_lastcheck', 64, 4, 'time', 'last check'],
  ['s_checkinterval', 68, 4, 'number', 'seconds between checks; 0: no limit'],
  ['s_creator_os', 72, 4, 'number', '0: Linux'],
  ['s_rev_level', 76, 4, 'number', '0: original, 1: with features'],
  ['s_first_ino', 84, 4, 'number', 'first inode that is not reserved'],
  ['s_inode_size', 88, 2, 'number', 'bytes of an inode'],
  ['s_block_group_nr', 90, 2, 'number', 'group of this copy'],
  ['s_feature_compat', 92, 4, 'compat', 'may be ignored'],
  ['s_feature_incompat', 96, 4, 'incompat', 'must be known to read'],
  ['s_feature_ro_compat', 100, 4, 'roCompat', 'must be known to write'],
  ['s_uuid', 104, 16, 'uuid', ''],
  ['s_volume_name', 120, 16, 'text', 'label'],
  ['s_last_mounted', 136, 64, 'text', 'where it was mounted last'],
  ['s_reserved_gdt_blocks', 206, 2, 'number', 'blocks kept for more group descriptors'],
  ['s_journal_uuid', 208, 16, 'uuid', 'of a journal on another device'],
  ['s_journal_inum', 224, 4, 'number', 'inode of the journal'],
  ['s_last_orphan', 232, 4, 'number', 'first inode to be deleted or cut'],
  ['s_hash_seed', 236, 16, 'uuid', 'of directory indexes'],
  ['s_def_hash_version', 252, 1, 'number', '0: legacy, 1: half MD4, 2: TEA'],
  ['s_jnl_backup_type', 253, 1, 'number', '1: s_jnl_blocks holds the journal’s map'],
  ['s_desc_size', 254, 2, 'number', 'bytes of a group descriptor with 64bit'],
  ['s_default_mount_opts', 256, 4, 'hex', ''],
  ['s_first_meta_bg', 260, 4, 'number', 'first meta group'],
  ['s_mkfs_time', 264, 4, 'time', 'made'],
  ['s_blocks_count_hi', 336, 4, 'number', 'upper half'],
  ['s_r_blocks_count_hi', 340, 4, 'number', 'upper half'],
  ['s_free_blocks_count_hi', 344, 4, 'number', 'upper half'],
  ['s_min_extra_isize', 348, 2, 'number', 'bytes behind the first 128 that every inode has'],
  ['s_want_extra_isize', 350, 2, 'number', 'bytes behind the first 128 that new inodes get'],
  ['s_flags', 352, 4, 'hex', '1: names hashed as signed bytes, 2: as unsigned'],
  ['s_log_groups_per_flex', 372, 1, 'number', 'groups of a flexible group, as a power of 2'],
  ['s_checksum_type', 373, 1, 'number', '1: crc32c'],
  ['s_overhead_clusters', 584, 4, 'number', 'blocks of metadata'],
  ['s_checksum_seed', 624, 4, 'hex', 'with metadata_csum_seed'],
  ['s_orphan_file_inum', 640, 4, 'number', 'inode of the orphan file'],
  ['s_checksum', 1020, 4, 'hex', 'crc32c of the bytes before it'],
];

export const DESCRIPTOR_FIELDS: readonly FieldRow[] = [
  ['bg_block_bitmap_lo', 0, 4, 'number', 'block'],
  ['bg_inode_bitmap_lo', 4, 4, 'number', 'block'],
  ['bg_inode_table_lo', 8, 4, 'number', 'first block'],
  ['bg_free_blocks_count_lo', 12, 2, 'number', ''],
  ['bg_free_inodes_count_lo', 14, 2, 'number', ''],
  ['bg_used_dirs_count_lo', 16, 2, 'number', 'directories'],
  ['bg_flags', 18, 2, 'hex', '1: no inodes yet, 2: no blocks yet, 4: table zeroed'],
  ['bg_block_bitmap_csum_lo', 24, 2, 'hex', ''],
  ['bg_inode_bitmap_csum_lo', 26, 2, 'hex', ''],
  ['bg_itable_unused_lo', 28, 2, 'number', 'inodes never used at the end'],
  ['bg_checksum', 30, 2, 'hex', ''],
];

export const WIDE_DESCRIPTOR_FIELDS: readonly FieldRow[] = [
  ['bg_block_bitmap_hi', 32, 4, 'number', 'upper half'],
  ['bg_inode_bitmap_hi', 36, 4, 'number', 'upper half'],
  ['bg_inode_table_hi', 40, 4, 'number', 'upper half'],
  ['bg_free_blocks_count_hi', 44, 2, 'number', 'upper half'],
  ['bg_free_inodes_count_hi', 46, 2, 'number', 'upper half'],
  ['bg_used_dirs_count_hi', 48, 2, 'number', 'upper half'],
  ['bg_itable_unused_hi', 50, 2, 'number', 'upper half'],
  ['bg_block_bitmap_csum_hi', 56, 2, 'hex', 'upper half'],
  ['bg_inode_bitmap_csum_hi', 58, 2, 'hex', 'upper half'],
];

export const INODE_FIELDS: readonly FieldRow[] = [
  ['i_mode', 0, 2, 'octal', 'kind and permissions'],
  ['i_uid', 2, 2, 'number', 'owner'],
  ['i_size_lo', 4, 4, 'number', 'bytes'],
  ['i_atime', 8, 4, 'time', 'last read'],
  ['i_ctime', 12, 4, 'time', 'last change of the inode'],
  ['i_mtime', 16, 4, 'time', 'last change of the content'],
  ['i_dtime', 20, 4, 'time', 'deleted'],
  ['i_gid', 24, 2, 'number', 'group'],
  ['i_links_count', 26, 2, 'number', 'names'],
  ['i_blocks_lo', 28, 4, 'number', 'sectors of 512 bytes in use'],
  ['i_flags', 32, 4, 'hex', '0x1000: index, 0x80000: extents'],
  ['i_generation', 100, 4, 'number', ''],
  ['i_file_acl_lo', 104, 4, 'number', 'block of extended attributes'],
  ['i_size_high', 108, 4, 'number', 'upper half'],
];

export const EXTRA_INODE_FIELDS: readonly FieldRow[] = [
  ['i_extra_isize', 128, 2, 'number', 'bytes in use behind the first 128'],
  ['i_checksum_hi', 130, 2, 'hex', ''],
  ['i_crtime', 144, 4, 'time', 'made'],
];

export const EXTENT_HEADER_FIELDS: readonly FieldRow[] = [
  ['eh_magic', 0, 2, 'hex', '0xf30a'],
  ['eh_entries', 2, 2, 'number', 'entries in use'],
  ['eh_max', 4, 2, 'number', 'entries that fit'],
  ['eh_depth', 6, 2, 'number', '0: a leaf'],
  ['eh_generation', 8, 4, 'number', ''],
];

export const INDEX_ROOT_FIELDS: readonly FieldRow[] = [
  ['reserved_zero', 24, 4, 'number', ''],
  ['hash_version', 28, 1, 'number', '0: legacy, 1: half MD4, 2: TEA'],
  ['info_length', 29, 1, 'number', '8'],
  ['indirect_levels', 30, 1, 'number', 'levels of nodes below'],
  ['unused_flags', 31, 1, 'hex', ''],
];

/** Big endian, as all of the journal. */
export const JOURNAL_FIELDS: readonly FieldRow[] = [
  ['h_magic', 0, 4, 'hex', '0xc03b3998'],
  ['h_blocktype', 4, 4, 'number', '1: descriptor, 2: commit, 3 and 4: superblock, 5: revoke'],
  ['h_sequence', 8, 4, 'number', 'transaction'],
];
export const JOURNAL_SUPERBLOCK_FIELDS: readonly FieldRow[] = [
  ['s_blocksize', 12, 4, 'number', 'bytes'],
  ['s_maxlen', 16, 4, 'number', 'blocks'],
  ['s_first', 20, 4, 'number', 'first block of the log'],
  ['s_sequence', 24, 4, 'number', 'transaction that is expected first'],
  ['s_start', 28, 4, 'number', 'block where the log begins; 0: it is empty'],
  ['s_errno', 32, 4, 'number', ''],
  ['s_feature_compat', 36, 4, 'hex', '1: checksums of transactions'],
  [
    's_feature_incompat',
    40,
    4,
    'hex',
    '1: revokes, 2: 64 bits, 8 and 16: checksums, 32: fast commits',
  ],
  ['s_feature_ro_compat', 44, 4, 'hex', ''],
  ['s_uuid', 48, 16, 'uuid', ''],
  ['s_nr_users', 64, 4, 'number', ''],
  ['s_checksum', 252, 4, 'hex', ''],
];

/** Seconds since 1970 as a person reads them; 0 is never. */
export function timeText(seconds: number): string {
  if (seconds === 0) return 'never';
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

export function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

export function nameText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeName(end < 0 ? bytes : bytes.subarray(0, end));
}

const FEATURES = { compat: COMPAT, incompat: INCOMPAT, roCompat: RO_COMPAT } as const;

function valueText(bytes: Uint8Array, form: FieldForm, isBig: boolean): string {
  if (form === 'uuid') return uuidText(bytes);
  if (form === 'text') return nameText(bytes);
  const ordered = isBig ? bytes : [...bytes].reverse();
  const value = [...ordered].reduce((sum, byte) => sum * 256 + byte, 0);
  if (form === 'hex') return `0x${value.toString(16).padStart(bytes.length * 2, '0')}`;
  if (form === 'octal') return `0${value.toString(8)}`;
  if (form === 'time') return timeText(value);
  if (form === 'number') return String(value);
  const names = featureNames(value, FEATURES[form]);
  return names.length === 0 ? 'none' : names.join(' ');
}

/** The fields of a structure that begins at `start` of a block; what lies outside the block is left out. */
export function fieldsOf(
  bytes: Uint8Array,
  start: number,
  rows: readonly FieldRow[],
  prefix = '',
  isBig = false,
): StructureField[] {
  return rows
    .filter(([, offset, length]) => start + offset + length <= bytes.length)
    .map(([name, offset, lengthBytes, form, help]) => ({
      name: prefix + name,
      offsetBytes: start + offset,
      lengthBytes,
      value: valueText(bytes.subarray(start + offset, start + offset + lengthBytes), form, isBig),
      help,
    }));
}

/** A field whose value is not one number. */
export function field(
  name: string,
  offsetBytes: number,
  lengthBytes: number,
  value: string,
  help = '',
): StructureField {
  return { name, offsetBytes, lengthBytes, value, help };
}
