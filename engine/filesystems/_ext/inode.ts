// SPDX-License-Identifier: GPL-2.0-only
/** An inode of the ext family in memory, and its record on disk. */
import { SECTOR_BYTES } from '../../base/index.ts';
import { CoreInode, PageCache, type InodeKind } from '../../vfs/index.ts';
import type { DiskRecord } from './disk-record.ts';
import {
  DESCRIPTOR_BYTES,
  INO,
  INODE_BYTES_MIN,
  INODE_FLAG,
  MODE,
  MODE_KIND,
  POINTER_COUNT,
} from './layout.ts';
import { unixExtra, unixSeconds, type ExtState } from './state.ts';

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
  /** i_extra_isize: bytes of the record behind its first 128 that have a meaning. */
  extraBytes = 0;
  /** The root of the extent tree was checked. */
  isRootChecked = false;
  changeTimeExtra = 0;
  modifyTimeExtra = 0;
  accessTimeExtra = 0;
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

  /** Blocks are mapped by a tree of extents in `pointers`, not by block pointers. */
  get hasExtents(): boolean {
    return (this.flags & INODE_FLAG.extents) !== 0;
  }

  /** True where `pointers` map blocks: not for short symbolic links and device nodes. */
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
    const extra = unixExtra(this.state);
    this.modifyTime = now;
    this.changeTime = now;
    this.modifyTimeExtra = extra;
    this.changeTimeExtra = extra;
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

  /** The record's fields, checked as far as each can be by itself. Throws `HostError`. */
  decode(record: DiskRecord): void {
    this.uid = record.u16(INO.uid);
    this.gid = record.u16(INO.gid);
    this.sizeBytes = recordSize(record);
    this.accessTime = record.u32(INO.accessTime);
    this.changeTime = record.u32(INO.changeTime);
    this.modifyTime = record.u32(INO.modifyTime);
    this.deleteTime = record.u32(INO.deleteTime);
    this.linkCount = record.u16(INO.linkCount);
    this.flags = record.u32(INO.flags);
    this.sectorCount = this.readSectors(record);
    this.generation = record.u32(INO.generation);
    const isWide = this.state.geometry.descriptorBytes > DESCRIPTOR_BYTES;
    const aclHigh = isWide ? record.u16(INO.aclBlockHigh) : 0;
    this.aclBlock = record.u32(INO.aclBlock) + aclHigh * 2 ** 32;
    for (let index = 0; index < POINTER_COUNT; index++) {
      this.pointers[index] = record.u32(INO.pointers + index * 4);
    }
    this.decodeExtra(record);
  }

  /** ext4_inode_blocks: 48 bits with huge_file, in blocks where the inode's flag says so; always kept in sectors here. */
  private readSectors(record: DiskRecord): number {
    const { hasHugeFile, blockBytes } = this.state.geometry;
    if (!hasHugeFile) return record.u32(INO.sectors);
    const count = record.u32(INO.sectors) + record.u16(INO.sectorsHigh) * 2 ** 32;
    const isInBlocks = (this.flags & INODE_FLAG.hugeFile) !== 0;
    return isInBlocks ? count * (blockBytes / SECTOR_BYTES) : count;
  }

  private decodeExtra(record: DiskRecord): void {
    if (record.lengthBytes === INODE_BYTES_MIN) return;
    const extra = record.u16(INO.extraBytes);
    const room = record.lengthBytes - INODE_BYTES_MIN;
    if (extra > room || extra % 4 !== 0) {
      throw record.damaged('extra_isize', extra, `a multiple of 4, at most ${String(room)}`);
    }
    this.extraBytes = extra;
    if (this.hasExtra(INO.changeTimeExtra)) this.changeTimeExtra = record.u32(INO.changeTimeExtra);
    if (this.hasExtra(INO.modifyTimeExtra)) this.modifyTimeExtra = record.u32(INO.modifyTimeExtra);
    if (this.hasExtra(INO.accessTimeExtra)) this.accessTimeExtra = record.u32(INO.accessTimeExtra);
  }

  /** EXT4_FITS_IN_INODE, for a field of 4 bytes. */
  private hasExtra(offset: number): boolean {
    return INODE_BYTES_MIN + this.extraBytes >= offset + 4;
  }

  /** Writes the record's fields and seals it; what lies behind them (large inodes) stays, except for a new inode. */
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
    this.writeSectors(record);
    record.setU32(INO.flags, this.flags);
    record.setU32(INO.generation, this.generation);
    record.setU32(INO.aclBlock, this.aclBlock >>> 0);
    if (this.state.geometry.descriptorBytes > DESCRIPTOR_BYTES) {
      record.setU16(INO.aclBlockHigh, Math.floor(this.aclBlock / 2 ** 32));
    }
    for (let index = 0; index < POINTER_COUNT; index++) {
      record.setU32(INO.pointers + index * 4, this.pointers[index] as number);
    }
    this.encodeExtra(record);
    this.state.checksums.sealInode(record, this.inodeNumber);
  }

  /** ext4_inode_blocks_set; a count beyond 48 bits of sectors is kept in blocks. */
  private writeSectors(record: DiskRecord): void {
    const { hasHugeFile, blockBytes } = this.state.geometry;
    if (!hasHugeFile) {
      record.setU32(INO.sectors, this.sectorCount);
      return;
    }
    let count = this.sectorCount;
    if (count < 2 ** 48) this.flags &= ~INODE_FLAG.hugeFile;
    else {
      this.flags |= INODE_FLAG.hugeFile;
      count /= blockBytes / SECTOR_BYTES;
    }
    record.setU32(INO.sectors, count >>> 0);
    record.setU16(INO.sectorsHigh, Math.floor(count / 2 ** 32));
  }

  private encodeExtra(record: DiskRecord): void {
    if (record.lengthBytes === INODE_BYTES_MIN) return;
    if (this.isNew) {
      record.setU16(INO.extraBytes, this.extraBytes);
      if (this.hasExtra(INO.birthTime)) record.setU32(INO.birthTime, this.changeTime);
      if (this.hasExtra(INO.birthTimeExtra)) {
        record.setU32(INO.birthTimeExtra, this.changeTimeExtra);
      }
    }
    if (this.hasExtra(INO.changeTimeExtra))
      record.setU32(INO.changeTimeExtra, this.changeTimeExtra);
    if (this.hasExtra(INO.modifyTimeExtra))
      record.setU32(INO.modifyTimeExtra, this.modifyTimeExtra);
    if (this.hasExtra(INO.accessTimeExtra))
      record.setU32(INO.accessTimeExtra, this.accessTimeExtra);
  }

  /** Names of what makes the inode one that this code must not touch; empty: fine. */
  unsupported(): string[] {
    const found: string[] = [];
    const { geometry } = this.state;
    if (this.hasExtents && !geometry.hasExtents) found.push('extents');
    if ((this.flags & INODE_FLAG.inlineData) !== 0) found.push('inline data');
    if ((this.flags & INODE_FLAG.encrypted) !== 0) found.push('encryption');
    if ((this.flags & INODE_FLAG.compressed) !== 0) found.push('compression');
    if ((this.flags & INODE_FLAG.attributeInode) !== 0) found.push('content that is attributes');
    if ((this.flags & INODE_FLAG.verity) !== 0 && !this.state.isReadOnly) found.push('verity');
    return found;
  }
}
