// SPDX-License-Identifier: GPL-2.0-only
/** An inode in memory. Nothing of it ever changes. */
import type { Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { CoreInode, PageCache, type InodeKind } from '../../vfs/index.ts';
import { loadExtents, type MappedExtent } from './extents.ts';
import { INODE } from './layout.ts';
import type { BtrfsRecord } from './record.ts';
import type { BtrfsState, Subvolume } from './state.ts';

const kinds: Readonly<Record<number, InodeKind>> = {
  0x4000: 'directory',
  0x6000: 'block-device',
  0x8000: 'file',
  0xa000: 'symlink',
};

export const kindOfMode = (mode: number): InodeKind => kinds[mode & 0xf000] ?? 'other';

export class BtrfsInode extends CoreInode {
  override readonly mapping: PageCache;
  /** The map, once somebody asked for it. */
  extents: readonly MappedExtent[] | null = null;

  constructor(
    private readonly state: BtrfsState,
    inodeNumber: number,
    readonly subvolume: Subvolume,
    readonly objectId: number,
    /** btrfs_inode_item */
    readonly record: BtrfsRecord,
  ) {
    const { kernel, superOperations, superblock } = state;
    const kind = kindOfMode(record.u32(INODE.mode));
    super(kernel, superOperations, inodeNumber, kind, Math.log2(superblock.sectorBytes));
    this.sizeBytes = record.u64(INODE.sizeBytes);
    this.mapping = new PageCache(this, state.pageSettings);
  }

  get device(): BlockDevice {
    return this.state.device;
  }

  /** Reads the map where it is not known yet. Throws `HostError`. */
  *loadExtents(): Task<readonly MappedExtent[]> {
    if (this.extents !== null) return this.extents;
    const { trees, chunks, superblock } = this.state;
    const place = { chunks, blockBytes: superblock.sectorBytes };
    const { subvolume, objectId, sizeBytes } = this;
    this.extents = yield* loadExtents(trees, subvolume, objectId, sizeBytes, place);
    return this.extents;
  }
}
