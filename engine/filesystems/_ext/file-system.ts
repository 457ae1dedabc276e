// SPDX-License-Identifier: GPL-2.0-only
/**
 * A mounted file system of the ext family: inodes, files and the namespace over one device. `mount.ts` makes it.
 *
 * Differences from the kernel that show: an unlinked file's blocks are given up at once, whoever has it open (there is no close); a
 * request that finds no space is tried once more after a commit, since freed blocks come free only then (commit.ts).
 */
import { ERRNO, fail, isTask, PAGE_BYTES, succeed } from '../../base/index.ts';
import type { KernelReturn, Result, Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { flushDevice, GenericFile, newMapping } from '../../vfs/index.ts';
import type {
  BlockDescription,
  BlockRange,
  CoreInode,
  DirectIo,
  DirectoryEntry,
  DirectWay,
  EndIo,
  FallocateMode,
  FileExtent,
  FileOperations,
  FileSystemProbe,
  GetBlock,
  Inode,
  InodeKind,
  IoCounters,
  MountedFileSystem,
  NamedFact,
  OpenFile,
} from '../../vfs/index.ts';
import type { Allocator } from './allocator.ts';
import type { BlockMap } from './block-map.ts';
import { HAS_UNWRITTEN, mapOne } from './block-map.ts';
import { checkImage, type Finding } from './check.ts';
import { Committer, inodeLocation, inodeRecord, noteLargeFile } from './commit.ts';
import { fallocateLocked } from './fallocate.ts';
import { ExtInode, kindOfMode, recordSize } from './inode.ts';
import { INO, ROOT_INODE, SB, STATE_ERRORS, STATE_VALID } from './layout.ts';
import { Describer } from './describe.ts';
import { errnoResult, guarded, Namespace } from './namespace.ts';
import { unixSeconds, type ExtState } from './state.ts';

const LARGE_FILE_BYTES = 2 ** 31;

export class ExtFileSystem implements MountedFileSystem {
  readonly moduleId: string;
  readonly device: BlockDevice;
  readonly blockSizeBytes: number;
  readonly rootInodeNumber = ROOT_INODE;
  readonly counters: IoCounters;
  readonly dioProfile: MountedFileSystem['dioProfile'];
  readonly getBlock: GetBlock;
  readonly fallocate?: NonNullable<MountedFileSystem['fallocate']>;
  private readonly blockMap: BlockMap;
  private readonly committer: Committer;
  private readonly namespace: Namespace;
  private readonly describer: Describer;
  private readonly operations: FileOperations;
  private isMounted = true;

  constructor(
    private readonly state: ExtState,
    directIo: DirectIo,
    parts: { readonly allocator: Allocator; readonly blockMap: BlockMap },
  ) {
    this.moduleId = state.member.moduleId;
    this.device = state.device;
    this.blockSizeBytes = state.geometry.blockBytes;
    this.counters = state.counters;
    this.dioProfile = state.member.dioProfile;
    this.blockMap = parts.blockMap;
    this.getBlock = parts.blockMap.getBlock;
    this.committer = new Committer(state, parts.allocator);
    this.namespace = new Namespace(state, parts.blockMap, parts.allocator);
    this.describer = new Describer(state, parts.blockMap);
    this.operations = this.makeOperations(directIo);
    if (state.member.hasFallocate) {
      this.fallocate = (inode, mode, offsetBytes, lengthBytes) =>
        this.allocateSpace(inode as ExtInode, mode, offsetBytes, lengthBytes);
    }
  }

  // Inodes and names ------------------------------------------------------------------------------

  /** ext2_iget: the one object of an inode in use. ENOENT: it is free. */
  readonly readInode = (inodeNumber: number): Task<Result<ExtInode>> =>
    guarded(this.loadInode(inodeNumber));

  private *loadInode(inodeNumber: number): Task<Result<ExtInode>> {
    const { state } = this;
    const cached = state.inodes.get(inodeNumber);
    if (cached !== undefined) return cached.isDeleted ? fail('ENOENT') : succeed(cached);
    const checked = this.checkNumber(inodeNumber);
    if (!checked.ok) return checked;
    const block = yield* state.cache.load(inodeLocation(state, inodeNumber).deviceBlock);
    if (typeof block === 'number') return errnoResult(block);
    try {
      const raced = state.inodes.get(inodeNumber);
      if (raced !== undefined) return raced.isDeleted ? fail('ENOENT') : succeed(raced);
      const record = inodeRecord(state, inodeNumber, block);
      const inode = new ExtInode(state, inodeNumber, record.u16(INO.mode));
      if (record.u16(INO.linkCount) > 0 && !state.checksums.isInodeGood(record, inodeNumber)) {
        throw record.damaged('checksum', 'wrong', 'that of its bytes');
      }
      inode.decode(record);
      if (inode.linkCount === 0) return fail('ENOENT', `inode ${String(inodeNumber)} is free`);
      const refused = this.refuse(inode);
      if (!refused.ok) return refused;
      state.inodes.set(inodeNumber, inode);
      return succeed(inode);
    } finally {
      state.cache.release(block);
    }
  }

  private checkNumber(inodeNumber: number): Result<void> {
    const { firstInode, inodesCount } = this.state.geometry;
    const isReserved = inodeNumber < firstInode && inodeNumber !== ROOT_INODE;
    if (isReserved || inodeNumber > inodesCount || inodeNumber < 1) {
      return fail('EUCLEAN', `inode number ${String(inodeNumber)} is reserved or does not exist`);
    }
    return succeed(undefined);
  }

  private refuse(inode: ExtInode): Result<void> {
    const number = String(inode.inodeNumber);
    const unsupported = inode.unsupported();
    if (unsupported.length > 0) {
      return fail('EOPNOTSUPP', `inode ${number} uses ${unsupported.join(', ')}`);
    }
    if (inode.kind === 'directory' && inode.sizeBytes % this.blockSizeBytes !== 0) {
      return fail('EUCLEAN', `directory ${number} has a size of ${String(inode.sizeBytes)}`);
    }
    if (inode.kind === 'file' && inode.sizeBytes > this.operations.sizeBytesMax) {
      return fail('EUCLEAN', `inode ${number} has a size of ${String(inode.sizeBytes)}`);
    }
    return succeed(undefined);
  }

  *stat(inodeNumber: number): Task<Result<{ sizeBytes: number; kind: InodeKind }>> {
    const { state } = this;
    const cached = state.inodes.get(inodeNumber);
    if (cached !== undefined) return succeed({ sizeBytes: cached.sizeBytes, kind: cached.kind });
    const checked = this.checkNumber(inodeNumber);
    if (!checked.ok) return checked;
    const block = yield* state.cache.load(inodeLocation(state, inodeNumber).deviceBlock);
    if (typeof block === 'number') return errnoResult(block);
    const record = inodeRecord(state, inodeNumber, block);
    state.cache.release(block);
    return succeed({ sizeBytes: recordSize(record), kind: kindOfMode(record.u16(INO.mode)) });
  }

  lookup(directory: Inode, name: string): Task<Result<number>> {
    return guarded(this.namespace.lookup(directory as ExtInode, name));
  }
  readDirectory(directory: Inode): Task<Result<DirectoryEntry[]>> {
    return guarded(this.namespace.list(directory as ExtInode));
  }
  *create(directory: Inode, name: string, kind: 'file' | 'directory'): Task<Result<ExtInode>> {
    return yield* this.changing(() => this.namespace.create(directory as ExtInode, name, kind));
  }
  *unlink(directory: Inode, name: string): Task<Result<void>> {
    return yield* this.changing(() =>
      this.namespace.unlink(directory as ExtInode, name, this.readInode),
    );
  }
  /** Moves a name; an existing target is EEXIST. */
  *rename(from: Inode, fromName: string, to: Inode, toName: string): Task<Result<void>> {
    return yield* this.changing(() =>
      this.namespace.rename(from as ExtInode, fromName, to as ExtInode, toName, this.readInode),
    );
  }

  /** rmdir(2) */
  *removeDirectory(directory: Inode, name: string): Task<Result<void>> {
    const number = yield* this.lookup(directory, name);
    if (!number.ok) return number;
    const found = yield* this.readInode(number.value);
    if (!found.ok) return found;
    if (found.value.kind !== 'directory') return fail('ENOTDIR');
    return yield* this.unlink(directory, name);
  }

  /** Runs a change of the namespace; where space is short and some is about to come free, commits and tries again. */
  private *changing<T>(operation: () => Task<Result<T>>): Task<Result<T>> {
    if (this.state.isReadOnly) return fail('EROFS');
    if (this.operations.needsRoom()) yield* this.operations.makeRoom();
    const first = yield* guarded(operation());
    if (first.ok || first.error !== 'ENOSPC') return first;
    if (!(yield* this.reclaimSpace())) return first;
    return yield* guarded(operation());
  }

  // Files -----------------------------------------------------------------------------------------

  *open(inode: Inode): Task<Result<OpenFile>> {
    const own = inode as ExtInode;
    if (own.kind !== 'file' && own.kind !== 'directory')
      return fail('EINVAL', `it is a ${own.kind}`);
    return succeed(new GenericFile(own, this.operations));
  }

  *truncate(inode: Inode, sizeBytes: number): Task<KernelReturn> {
    if (this.state.isReadOnly) return -ERRNO.EROFS;
    if (inode.kind !== 'file') return inode.kind === 'directory' ? -ERRNO.EISDIR : -ERRNO.EINVAL;
    if (sizeBytes < 0) return -ERRNO.EINVAL;
    if (sizeBytes > this.operations.sizeBytesMax) return -ERRNO.EFBIG;
    const own = inode as ExtInode;
    yield* own.lock.lockExclusive();
    try {
      return yield* this.setSize(own, sizeBytes);
    } finally {
      own.lock.unlockExclusive();
    }
  }

  /** fallocate(2): once more after a commit where space was short and some came free. */
  private *allocateSpace(
    inode: ExtInode,
    mode: FallocateMode,
    offsetBytes: number,
    lengthBytes: number,
  ): Task<KernelReturn> {
    if (this.state.isReadOnly) return -ERRNO.EROFS;
    if (inode.kind !== 'file') return inode.kind === 'directory' ? -ERRNO.EISDIR : -ERRNO.ENODEV;
    if (offsetBytes < 0 || lengthBytes <= 0) return -ERRNO.EINVAL;
    if (offsetBytes + lengthBytes > this.operations.sizeBytesMax) return -ERRNO.EFBIG;
    const context = {
      state: this.state,
      blockMap: this.blockMap,
      sizeChanged: (changed: ExtInode) => {
        this.inodeChanged(changed);
      },
    };
    for (let isRetry = false; ; isRetry = true) {
      if (this.operations.needsRoom()) yield* this.operations.makeRoom();
      yield* inode.lock.lockExclusive();
      let status: number;
      try {
        status = inode.isDeleted
          ? -ERRNO.ENOENT
          : yield* fallocateLocked(context, inode, mode, offsetBytes, lengthBytes);
      } finally {
        inode.lock.unlockExclusive();
      }
      if (status !== -ERRNO.ENOSPC || isRetry || !(yield* this.reclaimSpace())) return status;
    }
  }

  /** ext2_setsize */
  private *setSize(inode: ExtInode, sizeBytes: number): Task<KernelReturn> {
    yield* inode.waitForDirectIo();
    const cleared = yield* this.clearTail(inode, sizeBytes);
    if (cleared < 0) return cleared;
    const isShrinking = sizeBytes < inode.sizeBytes;
    inode.sizeBytes = sizeBytes;
    this.inodeChanged(inode);
    inode.touch();
    if (!isShrinking) return 0;
    yield* inode.mapping.truncate(sizeBytes);
    return yield* this.blockMap.truncate(inode, Math.ceil(sizeBytes / this.blockSizeBytes));
  }

  /** The goal of the file's next allocation (i_block_alloc_info). */
  suggestPlace(inode: Inode, fileBlock: number, deviceBlock: number): void {
    const own = inode as ExtInode;
    own.lastLogicalBlock = fileBlock - 1;
    own.lastDeviceBlock = deviceBlock - 1;
  }

  /** block_truncate_page: what follows the new end in its block becomes zeros, so that growing again shows nothing old. */
  private *clearTail(inode: ExtInode, sizeBytes: number): Task<KernelReturn> {
    const { blockBytes } = this.state.geometry;
    if (sizeBytes % blockBytes === 0 || sizeBytes >= inode.sizeBytes) return 0;
    const fileBlock = Math.floor(sizeBytes / blockBytes);
    const mapping = newMapping(this.device);
    const mapped = mapOne(this.getBlock, inode, fileBlock, mapping, false);
    const deviceBlock = isTask(mapped) ? yield* mapped : mapped;
    const pageIndex = Math.floor(sizeBytes / PAGE_BYTES);
    if (deviceBlock < 0) return deviceBlock;
    if (deviceBlock === 0) return 0;
    const page = yield* inode.mapping.lockPage(pageIndex);
    if (typeof page === 'number') return page;
    const from = sizeBytes % PAGE_BYTES;
    const to = Math.ceil((from + 1) / blockBytes) * blockBytes;
    const error = yield* inode.mapping.prepareWrite(page, from, to);
    if (error === 0) {
      this.state.kernel.memory.bytes.fill(0, page.address + from, page.address + to);
      inode.mapping.markDirty(page, from, to);
    }
    inode.mapping.unlockPage(page);
    return error;
  }

  /**
   * What ext4_direct_IO chooses for a write (4.7 to 5.4): one that begins inside the file allocates unwritten, in holes too, and its end
   * converts; any other, and any of a file by block pointers, takes written blocks and leaves holes inside the file to the page cache.
   * Null where the file system, or the revision, has no end_io.
   */
  private unwrittenWay(directIo: DirectIo): NonNullable<FileOperations['directWay']> | null {
    const learns = directIo.endIoLearns ?? 'result';
    if (!this.state.member.dioProfile.allocatesInHoles || learns !== 'result') return null;
    const { blockBytes } = this.state.geometry;
    const plain: DirectWay = { getBlock: this.getBlock, skipHoles: true };
    const unwritten: DirectWay = {
      getBlock: this.blockMap.getBlockUnwritten,
      skipHoles: false,
      endIo: this.endDirectWrite,
    };
    return (inode, iocb, iter) => {
      if (iter.direction !== 'write' || !(inode as ExtInode).hasExtents) return plain;
      const begin = iocb.positionBytes - (iocb.positionBytes % blockBytes);
      return begin < inode.sizeBytes ? unwritten : plain;
    };
  }

  /** ext4_end_io_dio: what was written counts from now on. */
  private readonly endDirectWrite: EndIo = (iocb, offsetBytes, result, driverData, legacy) => {
    const hasFailed = result <= 0 || (legacy !== null && legacy.returned < 0);
    if (driverData !== HAS_UNWRITTEN || hasFailed) return 0;
    const { blockBytes } = this.state.geometry;
    const first = Math.floor(offsetBytes / blockBytes);
    const end = Math.ceil((offsetBytes + result) / blockBytes);
    return this.blockMap.convert(iocb.inode as ExtInode, first, end, false);
  };

  private makeOperations(directIo: DirectIo): FileOperations {
    const { state } = this;
    const directWay = this.unwrittenWay(directIo);
    return {
      ...(directWay === null ? {} : { directWay }),
      kernel: state.kernel,
      device: state.device,
      directIo,
      getBlock: this.getBlock,
      counters: state.counters,
      locking: state.member.dioProfile.locking,
      skipHoles: state.member.dioProfile.skipHoles,
      cleanAliases: state.cache.cleanAliases,
      supportsNowait: state.member.supportsNowait,
      isBlockDevice: false,
      isReadOnly: state.isReadOnly,
      sizeBytesMax: this.blockMap.sizeBytesMax(),
      needsRoom: () => state.cache.isCrowded,
      makeRoom: () => this.committer.commitAll(),
      inodeChanged: (inode) => {
        this.inodeChanged(inode as ExtInode);
      },
      touch: (inode) => {
        (inode as ExtInode).touch();
      },
      writeFailed: (inode, toBytes) => this.writeFailed(inode as ExtInode, toBytes),
      reclaimSpace: () => this.reclaimSpace(),
      hasSpaceToReclaim: () => state.pendingFreeBlocks > 0,
      syncRange: (inode, first, last, dataOnly) =>
        this.syncRange(inode as ExtInode, first, last, dataOnly),
      truncate: (inode: CoreInode, sizeBytes) => this.truncate(inode, sizeBytes),
      extents: (inode) => this.extentsOf(inode as ExtInode),
    };
  }

  private inodeChanged(inode: ExtInode): void {
    if (inode.sizeBytes >= LARGE_FILE_BYTES) noteLargeFile(this.state);
    inode.markDirty();
  }

  /** ext2_write_failed: blocks that were allocated beyond the end of the file go again. The lock is held. */
  private *writeFailed(inode: ExtInode, toBytes: number): Task<void> {
    if (toBytes <= inode.sizeBytes || inode.isDeleted) return;
    yield* inode.mapping.truncate(inode.sizeBytes);
    yield* this.blockMap.truncate(inode, Math.ceil(inode.sizeBytes / this.blockSizeBytes));
  }

  private *reclaimSpace(): Task<boolean> {
    const before = this.state.groups.freeBlocksTotal + this.state.groups.freeInodesTotal;
    const hasDeleted = [...this.state.dirtyInodes].some((inode) => inode.isDeleted);
    if (this.state.pendingFreeBlocks === 0 && !hasDeleted) return false;
    if ((yield* this.committer.commitAll()) < 0) return false;
    return this.state.groups.freeBlocksTotal + this.state.groups.freeInodesTotal > before;
  }

  /** ext2_fsync: the range's pages, then the inode's metadata where it changed, then a flush. */
  private *syncRange(
    inode: ExtInode,
    firstByte: number,
    lastByte: number,
    dataOnly: boolean,
  ): Task<KernelReturn> {
    if (this.state.isReadOnly) return 0;
    const written = inode.mapping.writeAndWait(firstByte, lastByte);
    const error = isTask(written) ? yield* written : written;
    if (error < 0) return error;
    const { commitLock, cache } = this.state;
    if (commitLock.isHeld) {
      // A commit under way may have this inode's metadata in hand, and not yet on the disk.
      yield* commitLock.lockExclusive();
      commitLock.unlockExclusive();
    }
    const needsCommit =
      inode.isDirty ||
      inode.isNew ||
      inode.pendingFrees.length > 0 ||
      cache.hasDirty(inode.inodeNumber) ||
      (!dataOnly && inode.areTimesDirty);
    if (needsCommit) return yield* this.committer.commitInode(inode);
    return yield* flushDevice(this.state.kernel, this.device);
  }

  /** The file's extents in order, holes up to its size included. */
  private *extentsOf(inode: ExtInode): Task<Result<FileExtent[]>> {
    const extents: FileExtent[] = [];
    let next = 0;
    const addHole = (to: number): void => {
      if (to > next) {
        extents.push({ fileBlock: next, count: to - next, deviceBlock: null, state: 'hole' });
      }
      next = Math.max(next, to);
    };
    if (inode.hasBlockMap) {
      const status = yield* this.blockMap.walk(inode, {
        data: (fileBlock, deviceBlock, count, isUnwritten) => {
          addHole(fileBlock);
          const state = isUnwritten ? 'unwritten' : 'mapped';
          extents.push({ fileBlock, count, deviceBlock, state });
          next = fileBlock + count;
        },
        indirect: () => true,
      });
      if (status < 0) return errnoResult(status);
    }
    addHole(Math.ceil(inode.sizeBytes / this.blockSizeBytes));
    return succeed(extents);
  }

  // The whole -------------------------------------------------------------------------------------

  statfs(): FileSystemProbe {
    const { superblock, geometry, groups } = this.state;
    const free = groups.freeBlocksTotal + this.state.pendingFreeBlocks;
    return {
      label: superblock.label,
      blockSizeBytes: geometry.blockBytes,
      sizeBytes: geometry.blocksCount * geometry.blockBytes,
      freeBytes: free * geometry.blockBytes,
      state:
        this.state.damage.length > 0 ? 'errors' : this.state.wasClean ? 'clean' : superblock.state,
      confidence: 'magic',
    };
  }

  layout(): Task<Result<readonly BlockRange[]>> {
    return guarded(this.describer.layout());
  }
  describeBlock(deviceBlock: number): Task<Result<BlockDescription>> {
    return guarded(this.describer.describeBlock(deviceBlock));
  }
  *facts(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    if (inodeNumber === null) return succeed(this.describer.facts());
    return yield* guarded(this.describer.inodeFacts(inodeNumber));
  }

  *sync(): Task<KernelReturn> {
    return yield* this.committer.commitAll();
  }

  /** ext2_put_super: everything is on the disk, the state is what it was at mount, the memory is given back. */
  *unmount(): Task<KernelReturn> {
    if (!this.isMounted) return 0;
    const { state } = this;
    let status = 0;
    if (!state.isReadOnly) {
      status = yield* this.committer.commitAll();
      if (status === 0) {
        const { record } = state.superblock;
        const isSound = state.damage.length === 0;
        record.setU16(SB.state, isSound ? STATE_VALID : STATE_ERRORS);
        record.setU32(SB.writeTime, unixSeconds(state));
        state.superblockDirty = true;
        status = yield* this.committer.commitAll();
      }
    }
    this.isMounted = false;
    for (const inode of state.inodes.values()) yield* inode.mapping.discard();
    state.inodes.clear();
    state.dirtyInodes.clear();
    state.cache.close();
    return status;
  }

  *checkInvariants(): Task<readonly Finding[]> {
    if (!this.state.isReadOnly) yield* this.committer.commitAll();
    return yield* checkImage(this.state, this.blockMap);
  }

  /** What went wrong with the image while it was mounted; empty: nothing. */
  get damage(): readonly string[] {
    return this.state.damage;
  }
}
