// SPDX-License-Identifier: GPL-2.0-only
/** What tells the members of the ext family apart, as data: which features each knows, and how each does direct I/O. */
import type { MountedFileSystem } from '../../vfs/index.ts';

export interface FamilyMember {
  readonly moduleId: string;
  readonly title: string;
  /** Incompatible features it knows. */
  readonly incompat: number;
  /** Read-only compatible features it can write. */
  readonly roCompat: number;
  readonly dioProfile: MountedFileSystem['dioProfile'];
  /** FMODE_NOWAIT of its files. */
  readonly supportsNowait: boolean;
}
