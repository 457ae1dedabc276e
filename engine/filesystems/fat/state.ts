// SPDX-License-Identifier: GPL-2.0-only
/** What the parts of a mounted FAT share (msdos_sb_info). */
import type { BlockDevice } from '../../block/index.ts';
import type {
  BufferCache,
  CoreSuperBlock,
  InodeLock,
  IoCounters,
  Kernel,
  PageCacheSettings,
} from '../../vfs/index.ts';
import type { BootSector, Geometry } from './boot-sector.ts';
import type { FatTable } from './fat-table.ts';
import type { FatInode } from './inode.ts';

/** Where an inode that is not in memory has its entry, learnt from a directory: numbers that nobody listed are refused. */
export interface KnownEntry {
  readonly parent: FatInode;
  /** Byte on the device. */
  readonly entryByte: number;
}

export interface FatState {
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly boot: BootSector;
  readonly geometry: Geometry;
  readonly table: FatTable;
  /** Sectors of directories, the boot sector and FSInfo. */
  readonly cache: BufferCache;
  readonly pageSettings: PageCacheSettings;
  readonly superOperations: CoreSuperBlock;
  readonly counters: IoCounters;
  readonly isReadOnly: boolean;
  readonly wasClean: boolean;
  /** By number. */
  readonly inodes: Map<number, FatInode>;
  /** By the byte of their entry. */
  readonly byEntry: Map<number, FatInode>;
  readonly known: Map<number, KnownEntry>;
  readonly dirtyInodes: Set<FatInode>;
  /** One commit at a time. */
  readonly commitLock: InodeLock;
  /** Clusters that memory gave up and the disk does not know of: start, count, start, count ... */
  pendingFrees: number[];
  pendingFreeClusters: number;
  freeClusters: number;
  /** Where the last allocation was (prev_free). */
  lastAllocated: number;
  isInfoDirty: boolean;
  /** Clusters of directories linked since the last commit: their FAT entries go before what points at them. */
  newDirectoryClusters: number[];
  /** Entries that were moved: their old place (byte on the device), and what it held. */
  movedAway: Map<number, Uint8Array>;
  /** Directory slots (byte on the device) that must not be used before the disk knows they are free. */
  readonly reservedSlots: Set<number>;
  /** Next number for an inode whose entry's number is taken. */
  nextAlias: number;
  /** What went wrong with the image while mounted; unmount then leaves it marked. */
  readonly damage: string[];
}

const DAMAGE_MAX = 100;

/** Remembers what is wrong with the image (fat_fs_error). */
export function noteDamage(state: FatState, what: string): void {
  if (state.damage.length < DAMAGE_MAX) state.damage.push(what);
}
