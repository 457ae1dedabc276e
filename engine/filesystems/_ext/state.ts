// SPDX-License-Identifier: GPL-2.0-only
/** What the parts of a mounted ext file system share (ext2_sb_info). */
import type {
  BufferCache,
  CoreSuperBlock,
  GetBlock,
  InodeLock,
  IoCounters,
  Kernel,
  PageCacheSettings,
} from '../../vfs/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type { Checksums } from './checksum.ts';
import { SB } from './layout.ts';
import type { FamilyMember } from './family.ts';
import type { GroupTable } from './groups.ts';
import type { ExtInode } from './inode.ts';
import type { Geometry, Superblock } from './superblock.ts';

export interface ExtState {
  readonly member: FamilyMember;
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly superblock: Superblock;
  readonly geometry: Geometry;
  /** What seals and verifies metadata of this image. */
  readonly checksums: Checksums;
  readonly groups: GroupTable;
  readonly cache: BufferCache;
  readonly pageSettings: PageCacheSettings;
  /** The block map's; null only while mounting. */
  getBlock: GetBlock | null;
  readonly superOperations: CoreSuperBlock;
  readonly counters: IoCounters;
  readonly isReadOnly: boolean;
  /** It had been unmounted cleanly when it was mounted here. */
  readonly wasClean: boolean;
  /** Inodes in memory; an inode of the image has one object at most. */
  readonly inodes: Map<number, ExtInode>;
  /** Inodes whose content, record or freed blocks the disk does not have yet. */
  readonly dirtyInodes: Set<ExtInode>;
  /** One commit at a time. */
  readonly commitLock: InodeLock;
  /** Blocks freed in memory that may not be used again before the disk knows. */
  pendingFreeBlocks: number;
  superblockDirty: boolean;
  /** What went wrong with the image while mounted; unmount then leaves it marked. */
  readonly damage: string[];
}

const DAMAGE_MAX = 100;

/** Remembers what is wrong with the image; unmount then leaves it marked for fsck. */
export function noteDamage(state: ExtState, what: string): void {
  if (state.damage.length < DAMAGE_MAX) state.damage.push(what);
}

/** Seconds since 1970 for time stamps on disk; without a time of day the image's own last one, so that nothing lies before it. */
export function unixSeconds(state: ExtState): number {
  const { unixMs } = state.kernel;
  if (unixMs !== undefined) return Math.floor(unixMs() / 1000) >>> 0;
  const { record } = state.superblock;
  return Math.max(record.u32(SB.mkfsTime), record.u32(SB.writeTime));
}

/** What a time stamp of now has behind its 32 bits of seconds: nanoseconds, and two more bits of seconds below them. */
export function unixExtra(state: ExtState): number {
  const { unixMs } = state.kernel;
  if (unixMs === undefined) return 0;
  const now = Math.floor(unixMs());
  return ((now % 1000) * 1_000_000 * 4 + (Math.floor(now / 1000 / 2 ** 32) & 3)) >>> 0;
}

/** For i_dtime: below the number of inodes it would be read as a link of the list of orphans. */
export function deletionSeconds(state: ExtState): number {
  return Math.max(unixSeconds(state), state.geometry.inodesCount + 1);
}
