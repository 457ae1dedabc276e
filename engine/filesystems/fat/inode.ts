// SPDX-License-Identifier: GPL-2.0-only
/** An inode of FAT in memory (msdos_inode_info), and its 32 bytes in a directory. */
import { CoreInode, PageCache, type InodeKind } from '../../vfs/index.ts';
import { ATTRIBUTE, ENTRY } from './layout.ts';
import type { DirectoryIndex } from './directory.ts';
import type { FatRecord } from './record.ts';
import type { FatState } from './state.ts';
import { encodeTime } from './time.ts';

/** `cutToBytes` of a file that was not cut. */
export const NEVER_CUT = Number.MAX_SAFE_INTEGER;

export class FatInode extends CoreInode {
  override readonly mapping: PageCache;
  /** The directory it is in; null for the root. */
  parent: FatInode | null = null;
  /** Byte on the device of its entry; -1: the root, which has none. */
  entryByte = -1;
  attributes = 0;
  /** i_start; 0: no cluster. */
  startCluster = 0;
  /** mmu_private: bytes that hold the file's data or zeros; beyond it clusters may be there and are not filled. */
  allocatedBytes = 0;
  /**
   * The chain as far as it was walked: file cluster, cluster, count; again and again. In order, neighbours joined.
   */
  runs: number[] = [];
  /** Clusters in `runs`. */
  walkedClusters = 0;
  /** `runs` is the whole chain. */
  isWalked = false;
  /** fallocate left clusters beyond the end; they go at unmount. */
  hasPreallocation = false;
  /** Entry, size or start differ from the disk. */
  isDirty = false;
  /** Only time stamps differ. */
  areTimesDirty = false;
  isDeleted = false;
  /** The smallest size it was cut to since the last commit took its entry; NEVER_CUT: none. */
  cutToBytes = NEVER_CUT;
  /** Its entry was put where it is since then: nothing of it is on the disk there. */
  isEntryNew = false;
  /** Of a directory: its entries, once read. */
  index: DirectoryIndex | null = null;
  private modifyTime = 0;
  private modifyDate = 0;

  constructor(
    readonly state: FatState,
    inodeNumber: number,
    kind: InodeKind,
  ) {
    super(state.kernel, state.superOperations, inodeNumber, kind, state.geometry.sectorBits);
    this.mapping = new PageCache(this, state.pageSettings);
  }

  markDirty(): void {
    if (this.isDeleted || this.entryByte < 0) return;
    this.isDirty = true;
    this.state.dirtyInodes.add(this);
  }

  /** What lies beyond the size as it is now is given up, whatever comes there later. */
  noteCut(): void {
    this.cutToBytes = Math.min(this.cutToBytes, this.sizeBytes);
  }

  /** fat_update_time */
  touch(): void {
    if (this.isDeleted || this.entryByte < 0 || this.kind === 'directory') return;
    const now = encodeTime(this.state.kernel.unixMs?.() ?? 0);
    this.attributes |= ATTRIBUTE.archive;
    if (this.areTimesDirty && now.time === this.modifyTime && now.date === this.modifyDate) return;
    this.modifyTime = now.time;
    this.modifyDate = now.date;
    this.areTimesDirty = true;
    this.state.dirtyInodes.add(this);
  }

  /** fat_fill_inode */
  decode(record: FatRecord): void {
    const isFat32 = this.state.geometry.fatBits === 32;
    this.attributes = record.u8(ENTRY.attributes);
    const high = isFat32 ? record.u16(ENTRY.clusterHigh) : 0;
    this.startCluster = high * 65536 + record.u16(ENTRY.clusterLow);
    this.modifyTime = record.u16(ENTRY.modifyTime);
    this.modifyDate = record.u16(ENTRY.modifyDate);
    this.sizeBytes = this.kind === 'file' ? record.u32(ENTRY.size) : 0;
    this.allocatedBytes = this.sizeBytes;
  }

  /** __fat_write_inode */
  encode(record: FatRecord): void {
    record.setU8(ENTRY.attributes, this.attributes);
    record.setU16(ENTRY.clusterLow, this.startCluster & 0xffff);
    if (this.state.geometry.fatBits === 32) {
      record.setU16(ENTRY.clusterHigh, this.startCluster >>> 16);
    }
    record.setU16(ENTRY.modifyTime, this.modifyTime);
    record.setU16(ENTRY.modifyDate, this.modifyDate);
    if (this.modifyDate > record.u16(ENTRY.accessDate)) {
      record.setU16(ENTRY.accessDate, this.modifyDate);
    }
    record.setU32(ENTRY.size, this.kind === 'file' ? this.sizeBytes : 0);
  }
}
