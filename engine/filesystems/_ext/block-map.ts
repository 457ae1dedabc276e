// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where a file's blocks are, whichever way the inode keeps that: block pointers (indirect-map.ts) or a tree of extents
 * (extent-tree.ts). What holds for both is asked here: the file system is writable, and the file still exists.
 */
import { ERRNO, MAP_FLAG, type KernelReturn, type MaybeTask, type Task } from '../../base/index.ts';
import { newMapping, type BlockMapping, type GetBlock, type Inode } from '../../vfs/index.ts';
import type { Allocator } from './allocator.ts';
import { FILE_BLOCKS_MAX } from './extent-node.ts';
import { ExtentTree } from './extent-tree.ts';
import { IndirectMap } from './indirect-map.ts';
import type { ExtInode } from './inode.ts';
import { INODE_FLAG } from './layout.ts';
import type { ExtState } from './state.ts';

/** What a walk over a file's blocks meets. */
export interface BlockVisitor {
  /** A run of data blocks, contiguous in the file and on the device. */
  data(fileBlock: number, deviceBlock: number, count: number, isUnwritten: boolean): void;
  /** A block of pointers or extents, `level` steps above the data; false: do not look into it. */
  indirect(deviceBlock: number, level: number): boolean;
}

/** What `getBlockUnwritten` puts into `driverData` where the end of the write has something to convert. */
export const HAS_UNWRITTEN = 1;

export class BlockMap {
  private readonly indirect: IndirectMap;
  private readonly extents: ExtentTree;

  constructor(
    private readonly state: ExtState,
    allocator: Allocator,
  ) {
    this.indirect = new IndirectMap(state, allocator);
    this.extents = new ExtentTree(state, allocator);
  }

  /** ext2_get_block, ext4_get_block: what it allocates counts as written at once. */
  readonly getBlock: GetBlock = (inode, fileBlock, mapping, create) =>
    this.get(inode as ExtInode, fileBlock, mapping, create, false);

  /** ext4_dio_get_block_unwritten_async: what is allocated reads as zeros until `convert`, which `driverData` then asks for. */
  readonly getBlockUnwritten: GetBlock = (inode, fileBlock, mapping, create) => {
    const result = this.get(inode as ExtInode, fileBlock, mapping, create, true);
    if (typeof result !== 'number') return noteUnwrittenLater(result, mapping);
    return noteUnwritten(result, mapping);
  };

  private get(
    inode: ExtInode,
    fileBlock: number,
    mapping: BlockMapping,
    create: boolean,
    unwritten: boolean,
  ): MaybeTask<KernelReturn> {
    // What may not be allocated is looked up all the same: an overwrite needs nothing new.
    const may = create && !this.state.isReadOnly && !inode.isDeleted;
    const result = inode.hasExtents
      ? this.extents.get(inode, fileBlock, mapping, may, unwritten)
      : this.indirect.get(inode, fileBlock, mapping, may);
    if (may === create || result !== 0 || (mapping.flags & MAP_FLAG.mapped) !== 0) return result;
    return this.state.isReadOnly ? -ERRNO.EROFS : -ERRNO.ENOENT;
  }

  /** s_maxbytes: of files by extents where new files are mapped so. A file by pointers answers -EFBIG where they end. */
  sizeBytesMax(): number {
    const { hasExtents, blockBytes } = this.state.geometry;
    return hasExtents ? FILE_BLOCKS_MAX * blockBytes : this.indirect.sizeBytesMax();
  }

  /** A new inode's map: by extents where the file system has them. */
  initialise(inode: ExtInode): void {
    if (!this.state.geometry.hasExtents) return;
    inode.flags |= INODE_FLAG.extents;
    this.extents.makeEmpty(inode);
  }

  /** Frees every block at or beyond `keepBlocks`; the inode lock is held. 0 or minus an errno. */
  *truncate(inode: ExtInode, keepBlocks: number): Task<KernelReturn> {
    if (!inode.hasExtents) return yield* this.indirect.truncate(inode, keepBlocks);
    return yield* this.extents.remove(inode, keepBlocks, FILE_BLOCKS_MAX);
  }

  /** Makes a hole of file blocks `from`..`to` - 1; only files by extents. The inode lock is held. 0 or minus an errno. */
  *remove(inode: ExtInode, from: number, to: number): Task<KernelReturn> {
    if (!inode.hasExtents) return -ERRNO.EOPNOTSUPP;
    // The whole map must not go at once here: what lies beyond `to` stays.
    return yield* this.extents.remove(inode, from, Math.min(to, FILE_BLOCKS_MAX - 1));
  }

  /** Blocks of `from`..`to` - 1 that have their place are written, or unwritten, from now on; holes stay. 0 or minus an errno. */
  convert(
    inode: ExtInode,
    from: number,
    to: number,
    isUnwritten: boolean,
  ): MaybeTask<KernelReturn> {
    return inode.hasExtents ? this.extents.convert(inode, from, to, isUnwritten) : 0;
  }

  /** ext4_alloc_file_blocks: every hole of `from`..`to` - 1 gets unwritten blocks. 0 or minus an errno. */
  *allocate(inode: ExtInode, from: number, to: number): Task<KernelReturn> {
    if (!inode.hasExtents) return -ERRNO.EOPNOTSUPP;
    const { blockBytes } = this.state.geometry;
    const mapping = newMapping(this.state.device);
    for (let next = from; next < to;) {
      // Looked up first: an unwritten extent that is there already needs no cut.
      const known = yield* this.ask(inode, next, to, mapping, false);
      if (known < 0) return known;
      if ((mapping.flags & (MAP_FLAG.mapped | MAP_FLAG.unwritten)) === 0) {
        const made = yield* this.ask(inode, next, to, mapping, true);
        if (made < 0) return made;
      }
      next += mapping.lengthBytes / blockBytes;
    }
    return 0;
  }

  private *ask(
    inode: ExtInode,
    from: number,
    to: number,
    mapping: BlockMapping,
    create: boolean,
  ): Task<KernelReturn> {
    mapping.flags = 0;
    mapping.lengthBytes = (to - from) * this.state.geometry.blockBytes;
    const result = this.get(inode, from, mapping, create, true);
    return typeof result === 'number' ? result : yield* result;
  }

  /** Visits every block of the file in order; holes cost nothing. 0, or -EUCLEAN at the first place that cannot be. */
  *walk(inode: ExtInode, visitor: BlockVisitor): Task<KernelReturn> {
    if (inode.hasExtents) return yield* this.extents.walk(inode, visitor);
    return yield* this.indirect.walk(inode, visitor);
  }
}

function noteUnwritten(result: KernelReturn, mapping: BlockMapping): KernelReturn {
  const wanted = MAP_FLAG.mapped | MAP_FLAG.unwritten;
  if (result === 0 && (mapping.flags & wanted) === wanted) {
    mapping.driverData = HAS_UNWRITTEN;
    // Conversion changes metadata: not where the last bio ends.
    mapping.flags |= MAP_FLAG.defer;
  }
  return result;
}

function* noteUnwrittenLater(task: Task<KernelReturn>, mapping: BlockMapping): Task<KernelReturn> {
  return noteUnwritten(yield* task, mapping);
}

/** For callers that need one block's place: the device block, 0 for a hole, or minus an errno. */
export function mapOne(
  getBlock: GetBlock,
  inode: Inode,
  fileBlock: number,
  mapping: BlockMapping,
  create: boolean,
): MaybeTask<number> {
  mapping.flags = 0;
  mapping.lengthBytes = 2 ** inode.blockBits;
  const result = getBlock(inode, fileBlock, mapping, create);
  if (typeof result === 'number') return outcome(result, mapping);
  return awaitOutcome(result, mapping);
}

function outcome(result: KernelReturn, mapping: BlockMapping): number {
  if (result < 0) return result;
  return (mapping.flags & MAP_FLAG.mapped) === 0 ? 0 : mapping.deviceBlock;
}

function* awaitOutcome(task: Task<KernelReturn>, mapping: BlockMapping): Task<number> {
  return outcome(yield* task, mapping);
}
