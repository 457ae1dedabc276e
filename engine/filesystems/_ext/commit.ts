// SPDX-License-Identifier: GPL-2.0-only
/**
 * Writing back, in the order that keeps the image repairable after a power cut at any point, with no journal:
 *
 *   1. copies of the metadata are taken, inode by inode, each under its inode's lock
 *   2. dirty pages of those inodes are written; flush: every byte that the copies point at is on the disk
 *   3. blocks that nothing on the disk points at yet (new indirect and directory blocks); flush
 *   4. everything else: inode records, linked indirect and directory blocks, bitmaps, descriptors; flush
 *      (directory blocks whose names have moved to blocks of step 3 come last, after one more flush: a name may be there twice, never not
 *      at all)
 *   5. only now blocks and inodes that the copies gave up become free
 *
 * What follows (the crash sentence): a pointer on the disk always leads to data of its own file, since 2 comes before 4 and 5 after it;
 * what is lost is metadata of operations that nobody synced. Bitmaps may be behind in either direction; fsck rebuilds them, and a
 * mount of an image that was not left clean looks first (mount.ts).
 *
 * What does not follow: a disk that tears a sector in its middle can leave half of an inode's record. Block pointers survive that, each
 * being old or new. The four extents that lie in the record do not always: an entry that moved in it can come out with the length of one
 * and the place of another, of the same file. Likewise a superblock torn at mount or unmount is repaired from a copy, which an image of
 * one group has not. Only a journal could help; this code leaves the image's own alone.
 *
 * Rules: 1. One commit at a time. 2. Nobody waits for a commit while holding an inode lock. 3. Copies are written, not the buffers, so
 * that later changes wait for their own data. 4. A failed write makes everything of this commit dirty again.
 */
import { isTask, type KernelReturn, type Task } from '../../base/index.ts';
import { flushDevice, writeBlockImages, type BlockBuffer } from '../../vfs/index.ts';
import type { Allocator } from './allocator.ts';
import { DiskRecord } from './disk-record.ts';
import { INCOMPAT, RO_COMPAT, SB } from './layout.ts';
import type { ExtInode } from './inode.ts';
import { unixSeconds, type ExtState } from './state.ts';

/** Where an inode's record is: the block of the inode table, and the byte in it. */
export function inodeLocation(
  state: ExtState,
  inodeNumber: number,
): { readonly deviceBlock: number; readonly offset: number } {
  const { inodesPerGroup, inodeBytes, blockBytes } = state.geometry;
  const group = state.groups.groupOfInode(inodeNumber);
  const byte = ((inodeNumber - 1) % inodesPerGroup) * inodeBytes;
  const table = state.groups.inodeTable[group] as number;
  return { deviceBlock: table + Math.floor(byte / blockBytes), offset: byte % blockBytes };
}

export function inodeRecord(state: ExtState, inodeNumber: number, block: BlockBuffer): DiskRecord {
  const { deviceBlock, offset } = inodeLocation(state, inodeNumber);
  const name = `inode ${String(inodeNumber)}`;
  return new DiskRecord(name, deviceBlock, block.bytes, offset, state.geometry.inodeBytes);
}

/** What one commit is about to write. */
class Snapshot {
  readonly unlinked = new Map<number, Uint8Array>();
  readonly linked = new Map<number, Uint8Array>();
  /** Blocks that gave part of their content to unlinked ones. */
  readonly thinned = new Map<number, Uint8Array>();
  readonly inodes: ExtInode[] = [];
  readonly buffers: {
    readonly buffer: BlockBuffer;
    readonly owner: number;
    readonly wasUnlinked: boolean;
    readonly wasThinned: boolean;
  }[] = [];
  /** Groups whose descriptors are in it. */
  readonly groups: number[] = [];
  /** Inode table blocks, pinned until their copies are on the disk. */
  readonly pinned: BlockBuffer[] = [];
  readonly frees: number[] = [];
  readonly deleted: ExtInode[] = [];
}

export class Committer {
  constructor(
    private readonly state: ExtState,
    private readonly allocator: Allocator,
  ) {}

  /** sync_filesystem: everything. The caller holds no inode lock. 0 or minus an errno. */
  *commitAll(): Task<KernelReturn> {
    const { state } = this;
    if (state.isReadOnly) return 0;
    yield* state.commitLock.lockExclusive();
    try {
      let status = yield* this.writePages([...state.inodes.values()]);
      const error = yield* this.commit([...state.dirtyInodes], true);
      if (status === 0) status = error;
      // What step 5 freed changed the bitmaps once more; nothing depends on the order of these.
      const rest = yield* this.writeShared();
      return status === 0 ? rest : status;
    } finally {
      state.commitLock.unlockExclusive();
    }
  }

  /** fsync of one inode's data and metadata. A new inode brings everything along, its directory included. */
  *commitInode(inode: ExtInode): Task<KernelReturn> {
    const { state } = this;
    if (state.isReadOnly) return 0;
    if (inode.isNew) return yield* this.commitAll();
    yield* state.commitLock.lockExclusive();
    try {
      return yield* this.commit([inode], false);
    } finally {
      state.commitLock.unlockExclusive();
    }
  }

  private *writePages(inodes: readonly ExtInode[]): Task<KernelReturn> {
    let status = 0;
    for (const inode of inodes) {
      if (!inode.mapping.hasDirtyPages) continue;
      const written = inode.mapping.writeAndWait(0, Number.MAX_SAFE_INTEGER);
      const error = isTask(written) ? yield* written : written;
      if (status === 0) status = error;
    }
    return status;
  }

  private *commit(inodes: readonly ExtInode[], isWhole: boolean): Task<KernelReturn> {
    const { state } = this;
    const snapshot = new Snapshot();
    let status = 0;
    for (const inode of inodes) {
      status = yield* this.takeInode(inode, snapshot);
      if (status < 0) break;
    }
    if (status === 0 && isWhole) this.takeShared(snapshot);
    if (status === 0) status = yield* this.writePages(snapshot.inodes);
    if (status === 0) status = yield* flushDevice(state.kernel, state.device);
    if (status === 0) status = yield* this.writeBlocks(snapshot.unlinked);
    if (status === 0) status = yield* this.writeBlocks(snapshot.linked);
    if (status === 0) status = yield* this.writeBlocks(snapshot.thinned);
    for (const buffer of snapshot.pinned) state.cache.release(buffer);
    if (status < 0) this.putBack(snapshot);
    else status = yield* this.settle(snapshot);
    return status;
  }

  /** Step 1 for one inode. */
  private *takeInode(inode: ExtInode, snapshot: Snapshot): Task<KernelReturn> {
    const { state } = this;
    const { cache } = state;
    const { deviceBlock } = inodeLocation(state, inode.inodeNumber);
    const table = yield* cache.load(deviceBlock);
    if (typeof table === 'number') return table;
    snapshot.pinned.push(table);
    // Shared: no write is under way whose blocks are allocated but not yet filled.
    yield* inode.lock.lockShared();
    const hasPages = inode.mapping.hasDirtyPages;
    if (hasPages || inode.isDirty || inode.areTimesDirty || inode.pendingFrees.length > 0) {
      inode.encode(inodeRecord(state, inode.inodeNumber, table));
      snapshot.linked.set(deviceBlock, table.bytes.slice());
      snapshot.inodes.push(inode);
      this.takeBuffers(inode.inodeNumber, snapshot);
      for (const value of inode.pendingFrees) snapshot.frees.push(value);
      inode.pendingFrees = [];
      inode.isDirty = false;
      inode.areTimesDirty = false;
      inode.isNew = false;
      if (inode.isDeleted) snapshot.deleted.push(inode);
    } else this.takeBuffers(inode.inodeNumber, snapshot);
    state.dirtyInodes.delete(inode);
    inode.lock.unlockShared();
    return 0;
  }

  private takeBuffers(owner: number, snapshot: Snapshot): void {
    const { cache } = this.state;
    for (const buffer of cache.dirtyOf(owner)) {
      const { isUnlinked: wasUnlinked, isThinned: wasThinned } = buffer;
      const linked = wasThinned ? snapshot.thinned : snapshot.linked;
      (wasUnlinked ? snapshot.unlinked : linked).set(buffer.deviceBlock, buffer.bytes.slice());
      snapshot.buffers.push({ buffer, owner, wasUnlinked, wasThinned });
      // From here on the disk may point at it: who changes it next must know.
      buffer.isUnlinked = false;
      buffer.isThinned = false;
      buffer.pinCount++;
      snapshot.pinned.push(buffer);
      cache.markClean(buffer);
    }
  }

  /** Bitmaps, descriptors and the superblock, sealed. */
  private takeShared(snapshot: Snapshot): void {
    const { state } = this;
    this.sealBitmaps();
    this.takeBuffers(0, snapshot);
    const { images, groups } = state.groups.takeDirty();
    snapshot.groups.push(...groups);
    for (const image of images) snapshot.linked.set(image.deviceBlock, image.bytes);
    // Its counters are those of the last unmount, as in the kernel: descriptors have the current ones.
    if (!state.superblockDirty) return;
    state.superblockDirty = false;
    updateSuperblock(state);
    snapshot.linked.set(state.superblock.deviceBlock, state.superblock.block.slice());
  }

  private sealBitmaps(): void {
    const { groups, cache } = this.state;
    for (const group of groups.unsealedBlockBitmaps) {
      const bitmap = cache.peek(groups.blockBitmap[group] as number);
      if (bitmap !== null) groups.sealBlockBitmap(group, bitmap.bytes);
    }
    for (const group of groups.unsealedInodeBitmaps) {
      const bitmap = cache.peek(groups.inodeBitmap[group] as number);
      if (bitmap !== null) groups.sealInodeBitmap(group, bitmap.bytes);
    }
    groups.unsealedBlockBitmaps.clear();
    groups.unsealedInodeBitmaps.clear();
  }

  private *writeBlocks(images: ReadonlyMap<number, Uint8Array>): Task<KernelReturn> {
    if (images.size === 0) return 0;
    const { kernel, device } = this.state;
    const list = [...images].map(([deviceBlock, bytes]) => ({ deviceBlock, bytes }));
    const error = yield* writeBlockImages(kernel, device, list);
    return error < 0 ? error : yield* flushDevice(kernel, device);
  }

  private *writeShared(): Task<KernelReturn> {
    const snapshot = new Snapshot();
    this.takeShared(snapshot);
    const status = yield* this.writeBlocks(snapshot.linked);
    for (const buffer of snapshot.pinned) this.state.cache.release(buffer);
    if (status < 0) this.putBack(snapshot);
    return status;
  }

  private putBack(snapshot: Snapshot): void {
    const { cache, dirtyInodes } = this.state;
    for (const { buffer, owner, wasUnlinked, wasThinned } of snapshot.buffers) {
      cache.markDirty(buffer, owner);
      if (wasUnlinked) buffer.isUnlinked = true;
      if (wasThinned) buffer.isThinned = true;
    }
    for (const group of snapshot.groups) this.state.groups.dirtyGroups.add(group);
    for (const inode of snapshot.inodes) {
      inode.isDirty = true;
      dirtyInodes.add(inode);
    }
    const [first] = snapshot.inodes;
    if (first !== undefined) first.pendingFrees.push(...snapshot.frees);
    this.state.superblockDirty = true;
  }

  /** Step 5. */
  private *settle(snapshot: Snapshot): Task<KernelReturn> {
    const { state, allocator } = this;
    let status = 0;
    const { frees } = snapshot;
    for (let at = 0; at < frees.length; at += 2) {
      const count = frees[at + 1] as number;
      const error = yield* allocator.returnRun(frees[at] as number, count);
      state.pendingFreeBlocks -= count;
      if (status === 0) status = error;
    }
    for (const inode of snapshot.deleted) {
      const isDirectory = inode.kind === 'directory';
      const error = yield* allocator.returnInode(inode.inodeNumber, isDirectory);
      if (status === 0) status = error;
      inode.isGone = true;
      state.inodes.delete(inode.inodeNumber);
      state.dirtyInodes.delete(inode);
    }
    return status;
  }
}

/** Counters and the time of writing into the raw superblock (ext2_sync_super). */
export function updateSuperblock(state: ExtState): void {
  const { record } = state.superblock;
  const { freeBlocksTotal, freeInodesTotal } = state.groups;
  record.setU32(SB.freeBlocks, freeBlocksTotal >>> 0);
  if ((state.superblock.incompat & INCOMPAT['64bit']) !== 0) {
    record.setU32(SB.freeBlocksHigh, Math.floor(freeBlocksTotal / 2 ** 32));
  }
  record.setU32(SB.freeInodes, freeInodesTotal);
  record.setU32(SB.writeTime, unixSeconds(state));
  state.checksums.sealSuperblock(record);
}

/** A file of 2 GiB or more: readers that do not know the feature must keep off. */
export function noteLargeFile(state: ExtState): void {
  const { record } = state.superblock;
  const features = record.u32(SB.featureRoCompat);
  if ((features & RO_COMPAT.large_file) !== 0) return;
  record.setU32(SB.featureRoCompat, features | RO_COMPAT.large_file);
  state.superblockDirty = true;
}
