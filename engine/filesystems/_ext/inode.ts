// SPDX-License-Identifier: GPL-2.0-only
/** An inode of the ext family in memory, and its record on disk. */
import { SECTOR_BYTES } from '../../base/index.ts';
import { CoreInode, PageCache, type InodeKind } from '../../vfs/index.ts';
import type { DiskRecord } from './disk-record.ts';
import { INO, INODE_FLAG, MODE, MODE_KIND, POINTER_COUNT } from './layout.ts';
import { unixSeconds, type ExtState } from './state.ts';

const kinds: Readonly<Record<number, InodeKind>> = {
  [MODE.file]: 'file',
  [MODE.directory]: 'directory',
  [MODE.symlink]: 'symlink',
  [MODE.blockDevice]: 'block-device',
};

/** What a mode's file type is to the vfs. */
export function kindOfMode(mode: number): InodeKind {
  return kinds[mode & MODE_KIND] ?? 'other';
}

/** i_size of a record: 64 bits only for regular files. */
export function recordSize(record: DiskRecord): number {
  const isFile = (record.u16(INO.mode) & MODE_KIND) === MODE.file;
  return record.u32(INO.sizeLow) + (isFile ? record.u32(INO.sizeHigh) * 2 ** 32 : 0);
}

export class ExtInode extends CoreInode {
  override readonly mapping: PageCache;
  /** i_block: what the pointers of the record are, up to date in memory. */
  readonly pointers = new Uint32Array(POINTER_COUNT);
  uid = 0;
  gid = 0;
  linkCount = 0;
  accessTime = 0;
  changeTime = 0;
  modifyTime = 0;
  deleteTime = 0;
  /** i_blocks: sectors of 512 bytes in use, indirect blocks included. */
  sectorCount = 0;
  flags = 0;
  generation = 0;
  aclBlock = 0;
  /** Size, pointers, links or flags differ from the disk. */
  isDirty = false;
  /** Only time stamps differ: O_DSYNC and fdatasync need not write them. */
  areTimesDirty = false;
  /** Made in memory and not yet on disk: fsync has to bring its directory entry along. */
  isNew = false;
  /** Its last link is gone; the inode itself is freed once the disk knows. */
  isDeleted = false;
  /** Its number may belong to another inode by now; whoever still has it open gets nothing more written. */
  isGone = false;
  /** Runs of blocks freed since the last commit: start, count, start, count ... */
  pendingFrees: number[] = [];
  /** Where the last allocation of this file ended (i_block_alloc_info). */
  lastLogicalBlock = -1;
  lastDeviceBlock = 0;

  constructor(
    readonly state: ExtState,
    inodeNumber: number,
    readonly mode: number,
  ) {
    const { kernel, superOperations, geometry } = state;
    super(kernel, superOperations, inodeNumber, kindOfMode(mode), geometry.blockBits);
    this.mapping = new PageCache(this, state.pageSettings);
  }

  /** True where `pointers` are block pointers: not for short symbolic links and device nodes. */
  get hasBlockMap(): boolean {
    if (this.kind === 'file' || this.kind === 'directory') return true;
    if (this.kind !== 'symlink') return false;
    const aclSectors = this.aclBlock === 0 ? 0 : this.state.geometry.blockBytes / SECTOR_BYTES;
    return this.sectorCount > aclSectors;
  }

  /** i_csum_seed: what checksums of this inode's extent, directory and index blocks begin from. */
  get checksumSeed(): number {
    return this.state.checksums.inodeSeed(this.inodeNumber, this.generation);
  }

  /** mark_inode_dirty */
  markDirty(): void {
    if (this.isGone) return;
    this.isDirty = true;
    this.state.dirtyInodes.add(this);
  }

  /** file_update_time */
  touch(): void {
    if (this.isGone) return;
    const now = unixSeconds(this.state);
    if (this.modifyTime === now && this.areTimesDirty) return;
    this.modifyTime = now;
    this.changeTime = now;
    this.areTimesDirty = true;
    this.state.dirtyInodes.add(this);
  }

  /** A run of blocks is no longer this file's. */
  addPendingFree(deviceBlock: number, count: number): void {
    const frees = this.pendingFrees;
    const last = frees.length - 2;
    if (last >= 0 && (frees[last] as number) + (frees[last + 1] as number) === deviceBlock) {
      frees[last + 1] = (frees[last + 1] as number) + count;
    } else frees.push(deviceBlock, count);
    this.state.pendingFreeBlocks += count;
    this.state.dirtyInodes.add(this);
  }

  decode(record: DiskRecord): void {
    this.uid = record.u16(INO.uid);
    this.gid = record.u16(INO.gid);
    this.sizeBytes = recordSize(record);
    this.accessTime = record.u32(INO.accessTime);
    this.changeTime = record.u32(INO.changeTime);
    this.modifyTime = record.u32(INO.modifyTime);
    this.deleteTime = record.u32(INO.deleteTime);
    this.linkCount = record.u16(INO.linkCount);
    this.sectorCount = record.u32(INO.sectors);
    this.flags = record.u32(INO.flags);
    this.generation = record.u32(INO.generation);
    this.aclBlock = record.u32(INO.aclBlock);
    for (let index = 0; index < POINTER_COUNT; index++) {
      this.pointers[index] = record.u32(INO.pointers + index * 4);
    }
  }

  /** Writes the record's fields; what lies behind them (large inodes) stays, except for a new inode. */
  encode(record: DiskRecord): void {
    if (this.isNew) record.bytes(0, record.lengthBytes).fill(0);
    record.setU16(INO.mode, this.mode);
    record.setU16(INO.uid, this.uid);
    record.setU16(INO.gid, this.gid);
    record.setU32(INO.sizeLow, this.sizeBytes >>> 0);
    if (this.kind === 'file') record.setU32(INO.sizeHigh, Math.floor(this.sizeBytes / 2 ** 32));
    record.setU32(INO.accessTime, this.accessTime);
    record.setU32(INO.changeTime, this.changeTime);
    record.setU32(INO.modifyTime, this.modifyTime);
    record.setU32(INO.deleteTime, this.deleteTime);
    record.setU16(INO.linkCount, this.linkCount);
    record.setU32(INO.sectors, this.sectorCount);
    record.setU32(INO.flags, this.flags);
    record.setU32(INO.generation, this.generation);
    record.setU32(INO.aclBlock, this.aclBlock);
    for (let index = 0; index < POINTER_COUNT; index++) {
      record.setU32(INO.pointers + index * 4, this.pointers[index] as number);
    }
  }

  /** Names of what makes the inode one that this code must not touch; empty: fine. */
  unsupported(): string[] {
    const found: string[] = [];
    if ((this.flags & INODE_FLAG.extents) !== 0) found.push('extents');
    if ((this.flags & INODE_FLAG.inlineData) !== 0) found.push('inline data');
    if ((this.flags & INODE_FLAG.encrypted) !== 0) found.push('encryption');
    if ((this.flags & INODE_FLAG.compressed) !== 0) found.push('compression');
    return found;
  }
}
