// SPDX-License-Identifier: GPL-2.0-only
/** A mounted FAT: the vfs's door to the parts beside it. */
import { ERRNO, fail, HostError, PAGE_BYTES, succeed } from '../../base/index.ts';
import type { KernelReturn, Result, Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  GenericFile,
  flushDevice,
  writeBlockImages,
  type BlockDescription,
  type BlockRange,
  type DirectIo,
  type DirectoryEntry,
  type FallocateMode,
  type FileExtent,
  type FileOperations,
  type FileSystemProbe,
  type GetBlock,
  type Inode,
  type InodeKind,
  type IoCounters,
  type MountedFileSystem,
  type NamedFact,
  type OpenFile,
} from '../../vfs/index.ts';
import { clusterOfSector, sectorOfCluster } from './boot-sector.ts';
import { BEYOND, settled, WHOLE_CHAIN, type Chains } from './chains.ts';
import { checkImage, type Finding } from './check.ts';
import { Committer } from './commit.ts';
import { describeBlock, factsOf, layoutOf } from './describe.ts';
import { errnoResult, slotRecordBytes, type Directories } from './directory.ts';
import type { FatInode } from './inode.ts';
import { ENTRY, FIRST_CLUSTER, ROOT_INODE, STATE_DIRTY } from './layout.ts';
import { Namespace } from './namespace.ts';
import { FatRecord } from './record.ts';
import type { FatState } from './state.ts';

/** s_maxbytes: the size has 32 bits. */
const SIZE_BYTES_MAX = 2 ** 32 - 1;

export class FatFileSystem implements MountedFileSystem {
  readonly moduleId = 'fat';
  readonly rootInodeNumber = ROOT_INODE;
  readonly device: BlockDevice;
  /** A sector, which is i_blkbits of the kernel's FAT: maps and layouts count in sectors. */
  readonly blockSizeBytes: number;
  readonly counters: IoCounters;
  readonly dioProfile = {
    locking: 'core-locks',
    skipHoles: true,
    allocatesInHoles: false,
  } as const;
  readonly getBlock: GetBlock;
  private readonly committer: Committer;
  private readonly namespace: Namespace;
  private readonly operations: FileOperations;
  private isMounted = true;

  constructor(
    private readonly state: FatState,
    private readonly chains: Chains,
    directories: Directories,
    directIo: DirectIo,
  ) {
    this.device = state.device;
    this.blockSizeBytes = state.geometry.sectorBytes;
    this.counters = state.counters;
    this.getBlock = chains.getBlock;
    this.committer = new Committer(state);
    this.namespace = new Namespace(state, chains, directories);
    this.operations = this.makeOperations(directIo);
  }

  // Inodes and names ------------------------------------------------------------------------------

  readInode(inodeNumber: number): Task<Result<FatInode>> {
    return guarded(this.namespace.load(inodeNumber));
  }

  *stat(inodeNumber: number): Task<Result<{ sizeBytes: number; kind: InodeKind }>> {
    const { state } = this;
    const cached = state.inodes.get(inodeNumber);
    if (cached !== undefined) return succeed({ sizeBytes: cached.sizeBytes, kind: cached.kind });
    const known = state.known.get(inodeNumber);
    if (known === undefined) return fail('ENOENT');
    const buffer = yield* state.cache.load(Math.floor(known.entryByte / this.blockSizeBytes));
    if (typeof buffer === 'number') return errnoResult(buffer);
    const bytes = slotRecordBytes(buffer, known.entryByte);
    const record = new FatRecord('directory entry', buffer.deviceBlock, bytes);
    const isDirectory = (record.u8(ENTRY.attributes) & 16) !== 0;
    const sizeBytes = record.u32(ENTRY.size);
    state.cache.release(buffer);
    if (!isDirectory) return succeed({ sizeBytes, kind: 'file' });
    const inode = yield* this.readInode(inodeNumber);
    return inode.ok ? succeed({ sizeBytes: inode.value.sizeBytes, kind: 'directory' }) : inode;
  }

  lookup(directory: Inode, name: string): Task<Result<number>> {
    return guarded(this.namespace.lookup(directory as FatInode, name));
  }
  readDirectory(directory: Inode): Task<Result<DirectoryEntry[]>> {
    return guarded(this.namespace.list(directory as FatInode));
  }
  *create(directory: Inode, name: string, kind: 'file' | 'directory'): Task<Result<FatInode>> {
    return yield* this.changing(() => this.namespace.create(directory as FatInode, name, kind));
  }
  *unlink(directory: Inode, name: string): Task<Result<void>> {
    return yield* this.changing(() => this.namespace.unlink(directory as FatInode, name, false));
  }
  *removeDirectory(directory: Inode, name: string): Task<Result<void>> {
    return yield* this.changing(() => this.namespace.unlink(directory as FatInode, name, true));
  }
  *rename(from: Inode, fromName: string, to: Inode, toName: string): Task<Result<void>> {
    return yield* this.changing(() =>
      this.namespace.rename(from as FatInode, fromName, to as FatInode, toName),
    );
  }

  /** A change of the namespace; where space is short and some is about to come free, commits and tries again. */
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
    return succeed(new GenericFile(inode as FatInode, this.operations));
  }

  private makeOperations(directIo: DirectIo): FileOperations {
    const { state, chains } = this;
    return {
      kernel: state.kernel,
      device: state.device,
      directIo: this.extendingAside(directIo),
      getBlock: this.getBlock,
      counters: state.counters,
      locking: 'core-locks',
      skipHoles: true,
      cleanAliases: state.cache.cleanAliases,
      supportsNowait: false,
      isBlockDevice: false,
      isReadOnly: state.isReadOnly,
      sizeBytesMax: SIZE_BYTES_MAX,
      needsRoom: () => state.cache.isCrowded,
      makeRoom: () => this.committer.commitAll(),
      inodeChanged: (inode) => {
        (inode as FatInode).markDirty();
      },
      touch: (inode) => {
        (inode as FatInode).touch();
      },
      beforeBufferedWrite: (inode, positionBytes, endBytes) =>
        chains.beforeBufferedWrite(inode as FatInode, positionBytes, endBytes),
      writeFailed: (inode, toBytes) => this.writeFailed(inode as FatInode, toBytes),
      reclaimSpace: () => this.reclaimSpace(),
      hasSpaceToReclaim: () => state.pendingFreeClusters > 0 || state.reservedSlots.size > 0,
      syncRange: (inode, first, last, dataOnly) =>
        this.syncRange(inode as FatInode, first, last, dataOnly),
      truncate: (inode, sizeBytes) => this.truncate(inode, sizeBytes),
      extents: (inode) => guarded(this.extentsOf(inode as FatInode)),
    };
  }

  /** fat_direct_IO: a write that ends beyond what is allocated is left to the page cache, which returns 0 bytes here. */
  private extendingAside(directIo: DirectIo): DirectIo {
    const { callers, effects } = directIo;
    const own: DirectIo = (request) => {
      const { iter, iocb } = request;
      const endBytes = iocb.positionBytes + iter.remainingBytes;
      const isBeyond = endBytes > (request.inode as FatInode).allocatedBytes;
      return iter.direction === 'write' && isBeyond ? 0 : directIo(request);
    };
    return Object.assign(own, {
      // What is left aside is always written, whatever that kernel did with short writes of other file systems.
      ...(callers !== undefined && { callers: { ...callers, continueShortWrites: true } }),
      ...(effects !== undefined && { effects }),
    });
  }

  /** fat_setattr */
  *truncate(inode: Inode, sizeBytes: number): Task<KernelReturn> {
    if (this.state.isReadOnly) return -ERRNO.EROFS;
    if (inode.kind !== 'file') return -ERRNO.EISDIR;
    if (sizeBytes < 0) return -ERRNO.EINVAL;
    if (sizeBytes > SIZE_BYTES_MAX) return -ERRNO.EFBIG;
    const own = inode as FatInode;
    const status = yield* this.locked(own, () => this.setSize(own, sizeBytes));
    if (status !== -ERRNO.ENOSPC || !(yield* this.reclaimSpace())) return status;
    return yield* this.locked(own, () => this.setSize(own, sizeBytes));
  }

  private *locked(inode: FatInode, change: () => Task<KernelReturn>): Task<KernelReturn> {
    yield* inode.lock.lockExclusive();
    try {
      return yield* change();
    } finally {
      inode.lock.unlockExclusive();
    }
  }

  private *setSize(inode: FatInode, sizeBytes: number): Task<KernelReturn> {
    if (inode.isDeleted) return -ERRNO.ENOENT;
    yield* inode.waitForDirectIo();
    if (sizeBytes > inode.sizeBytes) return yield* this.expand(inode, sizeBytes);
    const cleared = yield* this.clearTail(inode, sizeBytes);
    if (cleared < 0) return cleared;
    inode.touch();
    return yield* this.chains.cut(inode, sizeBytes);
  }

  /** fat_cont_expand: the new part is zeros, and takes space. */
  private *expand(inode: FatInode, sizeBytes: number): Task<KernelReturn> {
    const before = inode.sizeBytes;
    const status = yield* this.chains.zeroTo(inode, sizeBytes);
    if (status < 0) yield* this.chains.cut(inode, before);
    else inode.touch();
    return status;
  }

  /** block_truncate_page */
  private *clearTail(inode: FatInode, sizeBytes: number): Task<KernelReturn> {
    if (sizeBytes % this.blockSizeBytes === 0 || sizeBytes >= inode.sizeBytes) return 0;
    const from = sizeBytes % PAGE_BYTES;
    const to = Math.ceil((from + 1) / this.blockSizeBytes) * this.blockSizeBytes;
    return yield* this.chains.zeroPart(inode, Math.floor(sizeBytes / PAGE_BYTES), from, to);
  }

  get allocationUnitBytes(): number {
    return this.state.geometry.clusterBytes;
  }

  /** A FAT has one place where it looks next, for whatever file (FSI_Nxt_Free). */
  suggestPlace(_inode: Inode, _fileBlock: number, deviceBlock: number): void {
    const { geometry } = this.state;
    const cluster = clusterOfSector(geometry, deviceBlock);
    const last = geometry.clusterCount + FIRST_CLUSTER - 1;
    this.state.lastAllocated = Math.max(FIRST_CLUSTER, Math.min(last, cluster)) - 1;
  }

  /** fat_fallocate */
  *fallocate(
    inode: Inode,
    mode: FallocateMode,
    offsetBytes: number,
    lengthBytes: number,
  ): Task<KernelReturn> {
    const own = inode as FatInode;
    if (mode === 'punch' || mode === 'zero' || own.kind !== 'file') return -ERRNO.EOPNOTSUPP;
    if (this.state.isReadOnly) return -ERRNO.EROFS;
    if (offsetBytes < 0 || lengthBytes <= 0) return -ERRNO.EINVAL;
    const endBytes = offsetBytes + lengthBytes;
    if (endBytes > SIZE_BYTES_MAX) return -ERRNO.EFBIG;
    return yield* this.locked(own, () =>
      mode === 'allocate' ? this.allocate(own, endBytes) : this.allocateBeyond(own, endBytes),
    );
  }

  private *allocate(inode: FatInode, endBytes: number): Task<KernelReturn> {
    if (endBytes <= inode.sizeBytes) return 0;
    return yield* this.expand(inode, endBytes);
  }

  /** Clusters behind the end, which hold whatever they held: nobody reads them before they are written. */
  private *allocateBeyond(inode: FatInode, endBytes: number): Task<KernelReturn> {
    const wanted = Math.ceil(endBytes / this.state.geometry.clusterBytes);
    const walked = yield* this.chains.walk(inode, WHOLE_CHAIN);
    if (walked < 0) return walked;
    if (wanted > inode.walkedClusters) inode.hasPreallocation = true;
    while (inode.walkedClusters < wanted) {
      const cluster = yield* this.chains.addCluster(inode);
      if (cluster < 0) return cluster;
    }
    return 0;
  }

  /** fat_write_failed. The lock is held. */
  private *writeFailed(inode: FatInode, toBytes: number): Task<void> {
    if (toBytes <= inode.sizeBytes || inode.isDeleted) return;
    yield* this.chains.cut(inode, inode.sizeBytes);
  }

  private *reclaimSpace(): Task<boolean> {
    const { state } = this;
    if (state.pendingFreeClusters === 0 && state.reservedSlots.size === 0) return false;
    return (yield* this.committer.commitAll()) === 0;
  }

  /** fat_file_fsync: the range's pages, then all metadata where this file's changed, then a flush. */
  private *syncRange(
    inode: FatInode,
    firstByte: number,
    lastByte: number,
    dataOnly: boolean,
  ): Task<KernelReturn> {
    const { state } = this;
    if (state.isReadOnly) return 0;
    const error = yield* settled(inode.mapping.writeAndWait(firstByte, lastByte));
    if (error < 0) return error;
    if (state.commitLock.isHeld) {
      // A commit under way may have this inode's metadata in hand, and not yet on the disk.
      yield* state.commitLock.lockExclusive();
      state.commitLock.unlockExclusive();
    }
    if (inode.isDirty || (!dataOnly && inode.areTimesDirty))
      return yield* this.committer.commitAll();
    return yield* flushDevice(state.kernel, state.device);
  }

  /** The file's sectors in order; what lies beyond its size was only allocated. */
  private *extentsOf(inode: FatInode): Task<Result<FileExtent[]>> {
    const { geometry } = this.state;
    if (inode.entryByte < 0 && geometry.fatBits !== 32) {
      const { rootSector, rootSectors } = geometry;
      const extent = { fileBlock: 0, count: rootSectors, deviceBlock: rootSector };
      return succeed([{ ...extent, state: 'mapped' as const }]);
    }
    const walked = yield* this.chains.walk(inode, WHOLE_CHAIN);
    if (walked < 0) return errnoResult(walked);
    const sizeBlocks = Math.ceil(inode.sizeBytes / geometry.sectorBytes);
    const perCluster = geometry.sectorsPerCluster;
    if (walked === BEYOND && inode.walkedClusters * perCluster < sizeBlocks) {
      return fail('EUCLEAN', `inode ${String(inode.inodeNumber)} is longer than its chain`);
    }
    const needed = Math.ceil(sizeBlocks / perCluster) * perCluster;
    const extents: FileExtent[] = [];
    for (let at = 0; at < inode.runs.length; at += 3) {
      const fileBlock = (inode.runs[at] as number) * perCluster;
      const deviceBlock = sectorOfCluster(geometry, inode.runs[at + 1] as number);
      const count = (inode.runs[at + 2] as number) * perCluster;
      const data = Math.max(0, Math.min(count, sizeBlocks - fileBlock));
      if (data > 0) extents.push({ fileBlock, count: data, deviceBlock, state: 'mapped' });
      const beyond = Math.max(0, Math.min(count, fileBlock + count - needed));
      if (beyond === 0) continue;
      const skip = count - beyond;
      extents.push({
        fileBlock: fileBlock + skip,
        count: beyond,
        deviceBlock: deviceBlock + skip,
        state: 'unwritten',
      });
    }
    return succeed(extents);
  }

  // The whole -------------------------------------------------------------------------------------

  *layout(): Task<Result<readonly BlockRange[]>> {
    if (!this.state.isReadOnly) yield* this.committer.commitAll();
    return yield* guarded(layoutOf(this.state, this.namespace, this.chains));
  }
  *describeBlock(deviceBlock: number): Task<Result<BlockDescription>> {
    return yield* guarded(describeBlock(this.state, this.namespace, this.chains, deviceBlock));
  }
  *facts(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    return yield* guarded(factsOf(this.state, this.namespace, this.chains, inodeNumber));
  }

  statfs(): FileSystemProbe {
    const { geometry, freeClusters, pendingFreeClusters, damage, wasClean, boot } = this.state;
    return {
      label: boot.label,
      blockSizeBytes: geometry.sectorBytes,
      sizeBytes: geometry.clusterCount * geometry.clusterBytes,
      freeBytes: (freeClusters + pendingFreeClusters) * geometry.clusterBytes,
      state: damage.length > 0 ? 'errors' : wasClean ? 'clean' : 'dirty',
      confidence: 'magic',
    };
  }

  *sync(): Task<KernelReturn> {
    return yield* this.committer.commitAll();
  }

  /** fat_put_super: everything is on the disk, clusters beyond the end of a file go, the state is clean again. */
  *unmount(): Task<KernelReturn> {
    if (!this.isMounted) return 0;
    const { state } = this;
    let status = 0;
    if (!state.isReadOnly) {
      status = yield* this.dropPreallocations();
      const committed = yield* this.committer.commitAll();
      if (status === 0) status = committed;
      if (status === 0 && state.damage.length === 0) status = yield* this.markClean();
    }
    this.isMounted = false;
    for (const inode of state.inodes.values()) yield* inode.mapping.discard();
    state.inodes.clear();
    state.byEntry.clear();
    state.known.clear();
    state.dirtyInodes.clear();
    state.cache.close();
    return status;
  }

  /** fat_free_eofblocks */
  private *dropPreallocations(): Task<KernelReturn> {
    const { clusterBytes } = this.state.geometry;
    for (const inode of this.state.inodes.values()) {
      if (!inode.hasPreallocation || inode.isDeleted) continue;
      const keep = Math.ceil(inode.sizeBytes / clusterBytes);
      const status = yield* this.chains.truncate(inode, keep);
      if (status < 0) return status;
      inode.hasPreallocation = false;
    }
    return 0;
  }

  /** fat_set_state(sb, 0, 0) */
  private *markClean(): Task<KernelReturn> {
    return yield* writeState(this.state, false);
  }

  *checkInvariants(): Task<readonly Finding[]> {
    if (!this.state.isReadOnly) yield* this.committer.commitAll();
    const { findings } = yield* checkImage(this.state, this.namespace, this.chains);
    return findings;
  }

  /** What went wrong with the image while it was mounted; empty: nothing. */
  get damage(): readonly string[] {
    return this.state.damage;
  }
}

/** fat_set_state: the dirty bit of the boot sector, and a flush. */
export function* writeState(state: FatState, isDirty: boolean): Task<KernelReturn> {
  const buffer = yield* state.cache.load(0);
  if (typeof buffer === 'number') return buffer;
  const at = state.boot.stateOffset;
  const old = buffer.bytes[at] as number;
  buffer.bytes[at] = isDirty ? old | STATE_DIRTY : old & ~STATE_DIRTY;
  const image = { deviceBlock: 0, bytes: buffer.bytes.slice() };
  state.cache.release(buffer);
  const error = yield* writeBlockImages(state.kernel, state.device, [image]);
  return error < 0 ? error : yield* flushDevice(state.kernel, state.device);
}

/** What is wrong with the image becomes EUCLEAN. */
export function* guarded<T>(task: Task<Result<T>>): Task<Result<T>> {
  try {
    return yield* task;
  } catch (error) {
    if (error instanceof HostError) return fail('EUCLEAN', error.message);
    throw error;
  }
}
