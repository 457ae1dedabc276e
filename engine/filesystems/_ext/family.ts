// SPDX-License-Identifier: GPL-2.0-only
/** What tells the members of the ext family apart, as data: which features each knows, and how each does direct I/O. */
import type { MountedFileSystem } from '../../vfs/index.ts';
import { COMPAT, INCOMPAT, RO_COMPAT } from './layout.ts';

export interface FamilyMember {
  readonly moduleId: string;
  readonly title: string;
  /** Incompatible features it can read and write. */
  readonly incompat: number;
  /** Incompatible features that it can read around: an image with them opens for reading only. */
  readonly readIncompat: number;
  /** Read-only compatible features it can write. */
  readonly roCompat: number;
  readonly dioProfile: MountedFileSystem['dioProfile'];
  /** fallocate(2); files by block pointers still answer -EOPNOTSUPP. */
  readonly hasFallocate: boolean;
  /** Large directories get a hash index where the feature dir_index says so, and keep it when they change. */
  readonly keepsIndex: boolean;
  /** FMODE_NOWAIT of its files. */
  readonly supportsNowait: boolean;
}

/** What ext2 and ext3 of the kernel know; anything else makes an image ext4. */
const OLD_INCOMPAT = INCOMPAT.filetype | INCOMPAT.meta_bg | INCOMPAT.needs_recovery;
const OLD_RO_COMPAT = RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir;

/** Which member an image with these features is, as blkid tells them apart. */
export function memberOfFeatures(compat: number, incompat: number, roCompat: number): string {
  if ((incompat & ~OLD_INCOMPAT) !== 0 || (roCompat & ~OLD_RO_COMPAT) !== 0) return 'ext4';
  return (compat & COMPAT.has_journal) !== 0 ? 'ext3' : 'ext2';
}
