// SPDX-License-Identifier: GPL-2.0-only
/** Links of folders: how many there may be, and how they are counted (ext4_inc_count, ext4_dec_count). */
import type { ExtInode } from './inode.ts';
import { INODE_FLAG } from './layout.ts';

/** EXT2_LINK_MAX, which ext3 has, too. */
const LINKS_MAX_OLD = 32000;
/** EXT4_LINK_MAX */
const LINKS_MAX = 65000;

function linksMax(inode: ExtInode): number {
  return inode.state.geometry.hasExtents ? LINKS_MAX : LINKS_MAX_OLD;
}

/** With dir_nlink an indexed folder whose links cannot be counted any more has 1. */
function mayLoseCount(folder: ExtInode): boolean {
  return folder.state.geometry.hasManyLinks && (folder.flags & INODE_FLAG.index) !== 0;
}

/** Room for one more folder in it. */
export function canLink(folder: ExtInode): boolean {
  return folder.linkCount < linksMax(folder) || mayLoseCount(folder);
}

/** A folder was made in it, or moved to it. */
export function addFolderLink(folder: ExtInode): void {
  if (folder.linkCount === 1) return;
  folder.linkCount++;
  if (folder.linkCount >= linksMax(folder) && mayLoseCount(folder)) folder.linkCount = 1;
}

/** A folder in it was removed, or moved away. */
export function dropFolderLink(folder: ExtInode): void {
  if (folder.linkCount > 2) folder.linkCount--;
}
