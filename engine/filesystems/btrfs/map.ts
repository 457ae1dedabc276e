// SPDX-License-Identifier: GPL-2.0-only
/** The block mapping for direct I/O and the page cache (btrfs_get_extent, as far as a read sees it). */
import { ERRNO, MAP_FLAG, type KernelReturn, type Task } from '../../base/index.ts';
import type { BlockMapping, GetBlock } from '../../vfs/index.ts';
import { extentAt, type MappedExtent } from './extents.ts';
import { guardedReturn } from './guard.ts';
import type { BtrfsInode } from './inode.ts';

/** A look-up in the inode's list; -EOPNOTSUPP where the block has no place of its own, -EROFS for a write. */
export const getBlock: GetBlock = (inode, fileBlock, mapping, create) => {
  if (create) return -ERRNO.EROFS;
  const own = inode as BtrfsInode;
  if (own.extents === null) return loadAndMap(own, fileBlock, mapping);
  return mapIn(own, own.extents, fileBlock, mapping);
};

function* loadAndMap(
  inode: BtrfsInode,
  fileBlock: number,
  mapping: BlockMapping,
): Task<KernelReturn> {
  return yield* guardedReturn(
    (function* () {
      return mapIn(inode, yield* inode.loadExtents(), fileBlock, mapping);
    })(),
  );
}

function mapIn(
  inode: BtrfsInode,
  extents: readonly MappedExtent[],
  fileBlock: number,
  mapping: BlockMapping,
): KernelReturn {
  const extent = extentAt(extents, fileBlock);
  if (extent === null) return 0;
  const within = fileBlock - extent.fileBlock;
  const leftBytes = (extent.count - within) * 2 ** inode.blockBits;
  if (mapping.lengthBytes > leftBytes) mapping.lengthBytes = leftBytes;
  switch (extent.state) {
    case 'mapped':
      mapping.device = inode.device;
      mapping.deviceBlock = (extent.deviceBlock as number) + within;
      mapping.flags |= MAP_FLAG.mapped;
      return 0;
    case 'unwritten':
      mapping.device = inode.device;
      mapping.deviceBlock = (extent.deviceBlock as number) + within;
      mapping.flags |= MAP_FLAG.unwritten;
      return 0;
    case 'hole':
      return 0;
    default:
      return -ERRNO.EOPNOTSUPP;
  }
}
