// SPDX-License-Identifier: GPL-2.0-only
/**
 * A mounted XFS: inodes, names, files and maps, for reading. `mount.ts` makes it.
 *
 * Direct I/O as XFS had it while it used fs/direct-io.c (xfs_vm_direct_IO, up to 4.7): its reads came by
 * blockdev_direct_IO_no_locking, under a lock of XFS's own (the shared iolock), so the core takes no inode lock here; an unwritten
 * extent is answered as a hole, whose bytes are zeros; the answer covers the rest of the extent. Its writes
 * (blockdev_direct_IO_own_locking, allocating unwritten extents in holes and converting them at completion) are not here: a write,
 * and everything else that changes an image, is -EROFS.
 */
import { ERRNO, errnoName, fail, HostError, MAP_FLAG, succeed } from '../../base/index.ts';
import type { KernelReturn, MaybeTask, Result, Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { CoreSuperBlock, GenericFile, PagePool, newIoCounters } from '../../vfs/index.ts';
import type {
  BlockDescription,
  BlockMapping,
  BlockRange,
  DirectIo,
  DirectoryEntry,
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
  PageCacheSettings,
} from '../../vfs/index.ts';
import { encodeName } from '../_ext/text.ts';
import { checkVolume } from './check.ts';
import { describeXfsBlock } from './describe.ts';
import { DirectoryReader, publicEntry } from './directory.ts';
import { readExtents, type ExtentList } from './extent-list.ts';
import { inodeFacts, volumeFacts } from './facts.ts';
import { readInodeRecord, XfsInode } from './inode.ts';
import { surveyVolume, type Survey } from './survey.ts';
import { XfsReadError } from './record.ts';
import { readSymlink } from './symlink.ts';
import type { XfsVolume } from './volume.ts';

const CACHE_PAGES_MAX = 4096;
const NAME_BYTES_MAX = 255;
const SIZE_BYTES_MAX = Number.MAX_SAFE_INTEGER;
/** Inodes kept in memory; idle ones beyond this are let go, so that a walk over a million files stays small. */
const INODES_MAX = 4096;

const dioProfile = { locking: 'none', skipHoles: false, allocatesInHoles: false } as const;

/** A file whose writes are refused as the kernel refuses them on a read-only mount. */
class XfsFile extends GenericFile {
  override write(): MaybeTask<KernelReturn> {
    this.operations.counters.requests++;
    return this.inode.kind === 'directory' ? -ERRNO.EISDIR : -ERRNO.EROFS;
  }
}

/** Turns damage and errors of the device into the kernel's answers. */
function* guarded<T>(task: Task<Result<T>>): Task<Result<T>> {
  try {
    return yield* task;
  } catch (error) {
    if (error instanceof HostError)
      return fail('EUCLEAN', `${error.message} (${error.where ?? ''})`);
    if (error instanceof XfsReadError) return fail(errnoName(error.errno) ?? 'EIO', error.message);
    throw error;
  }
}

export class XfsFileSystem implements MountedFileSystem {
  readonly moduleId = 'xfs';
  readonly device: BlockDevice;
  readonly blockSizeBytes: number;
  readonly rootInodeNumber: number;
  readonly dioProfile = dioProfile;
  readonly counters: IoCounters = newIoCounters();
  private readonly inodes = new Map<number, XfsInode>();
  private readonly operations: FileOperations;
  private readonly pageSettings: PageCacheSettings;
  private readonly superOperations = new CoreSuperBlock();
  private survey: Survey | null = null;
  private isMounted = true;

  constructor(
    readonly volume: XfsVolume,
    directIo: DirectIo,
  ) {
    const { kernel, device, geometry } = volume;
    this.device = device;
    this.blockSizeBytes = geometry.blockBytes;
    this.rootInodeNumber = geometry.rootInode;
    const pages = Math.min(CACHE_PAGES_MAX, Math.max(16, kernel.memory.pageCount >> 2));
    const pool = new PagePool(kernel, pages);
    const cleanAliases = (): void => undefined;
    this.pageSettings = { pool, device, getBlock: this.getBlock, cleanAliases };
    this.operations = this.makeOperations(directIo, cleanAliases);
  }

  // Inodes and names ------------------------------------------------------------------------------

  readInode(inodeNumber: number): Task<Result<Inode>> {
    return guarded(this.loadInode(inodeNumber));
  }

  private *loadInode(inodeNumber: number): Task<Result<XfsInode>> {
    const cached = this.inodes.get(inodeNumber);
    if (cached !== undefined) return succeed(cached);
    const content = yield* readInodeRecord(this.volume, inodeNumber);
    if (content === null) return fail('ENOENT', `inode ${String(inodeNumber)} is free`);
    const raced = this.inodes.get(inodeNumber);
    if (raced !== undefined) return succeed(raced);
    const { kernel, geometry } = this.volume;
    const { superOperations, pageSettings } = this;
    const inode = new XfsInode(kernel, superOperations, pageSettings, geometry.blockBits, content);
    this.letGo();
    this.inodes.set(inodeNumber, inode);
    return succeed(inode);
  }

  /** Forgets the oldest half of the inodes without cached pages where there are too many; who holds one may go on with it. */
  private letGo(): void {
    if (this.inodes.size < INODES_MAX) return;
    let left = INODES_MAX / 2;
    for (const [number, inode] of this.inodes) {
      if (left === 0) break;
      if (inode.mapping.cachedPageCount > 0 || inode.dioCount > 0) continue;
      this.inodes.delete(number);
      left--;
    }
  }

  stat(
    inodeNumber: number,
  ): Task<Result<{ readonly sizeBytes: number; readonly kind: InodeKind }>> {
    return guarded(this.statNow(inodeNumber));
  }
  private *statNow(inodeNumber: number): Task<Result<{ sizeBytes: number; kind: InodeKind }>> {
    const content = yield* readInodeRecord(this.volume, inodeNumber);
    if (content === null) return fail('ENOENT', `inode ${String(inodeNumber)} is free`);
    return succeed({ sizeBytes: content.sizeBytes, kind: content.kind });
  }

  lookup(directory: Inode, name: string): Task<Result<number>> {
    return guarded(this.lookupNow(directory as XfsInode, name));
  }
  private *lookupNow(directory: XfsInode, name: string): Task<Result<number>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    const bytes = encodeName(name);
    if (bytes.length > NAME_BYTES_MAX) return fail('ENAMETOOLONG');
    if (name === '.') return succeed(directory.inodeNumber);
    const reader = yield* this.reader(directory);
    const number = yield* reader.lookup(bytes);
    return number < 0 ? fail('ENOENT') : succeed(number);
  }

  readDirectory(directory: Inode): Task<Result<DirectoryEntry[]>> {
    return guarded(this.list(directory as XfsInode));
  }
  private *list(directory: XfsInode): Task<Result<DirectoryEntry[]>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    const reader = yield* this.reader(directory);
    const entries: DirectoryEntry[] = [];
    for (const entry of yield* reader.list()) {
      let { kind } = entry;
      if (kind === null) {
        const stat = yield* this.stat(entry.inodeNumber);
        kind = stat.ok ? stat.value.kind : 'other';
      }
      entries.push(publicEntry(entry, kind));
    }
    return succeed(entries);
  }
  private *reader(directory: XfsInode): Task<DirectoryReader> {
    const extents = yield* this.extentsOf(directory);
    return new DirectoryReader(this.volume, directory.content, extents);
  }

  /** readlink(2): where a symbolic link points. */
  readLink(inode: Inode): Task<Result<string>> {
    return guarded(this.readLinkNow(inode as XfsInode));
  }
  private *readLinkNow(inode: XfsInode): Task<Result<string>> {
    if (inode.kind !== 'symlink') return fail('EINVAL');
    const extents = yield* this.extentsOf(inode);
    return succeed(yield* readSymlink(this.volume, inode.content, extents));
  }

  // Files -----------------------------------------------------------------------------------------

  open(inode: Inode): Task<Result<OpenFile>> {
    return guarded(this.openNow(inode as XfsInode));
  }
  private *openNow(inode: XfsInode): Task<Result<OpenFile>> {
    if (inode.kind !== 'file' && inode.kind !== 'directory') {
      return fail('EINVAL', `it is a ${inode.kind}`);
    }
    if (inode.content.isRealtime) return fail('EOPNOTSUPP', 'its data are on a realtime device');
    yield* this.extentsOf(inode);
    return succeed(new XfsFile(inode, this.operations));
  }

  private *extentsOf(inode: XfsInode): Task<ExtentList> {
    if (inode.extents !== null) return inode.extents;
    const list = yield* readExtents(this.volume, inode.inodeNumber, inode.content.data);
    inode.extents ??= list;
    return inode.extents;
  }

  /** xfs_get_blocks_direct of a read; `create` is refused. Looking up neither sleeps nor makes an object once the map was read. */
  readonly getBlock: GetBlock = (inode, fileBlock, mapping, create) => {
    if (create) return -ERRNO.EROFS;
    const own = inode as XfsInode;
    if (own.extents === null) return this.mapSlowly(own, fileBlock, mapping);
    return this.mapNow(own.extents, fileBlock, mapping);
  };

  private mapNow(extents: ExtentList, fileBlock: number, mapping: BlockMapping): KernelReturn {
    const { blockSizeBytes } = this;
    const index = extents.find(fileBlock);
    if (index === extents.count) return 0;
    const first = extents.fileBlocks[index] as number;
    const length = extents.lengths[index] as number;
    const isHole = first > fileBlock;
    const end = isHole ? first : extents.endOf(index);
    const leftBytes = (end - fileBlock) * blockSizeBytes;
    if (mapping.lengthBytes > leftBytes) mapping.lengthBytes = leftBytes;
    if (isHole || length < 0) return 0;
    mapping.flags |= MAP_FLAG.mapped;
    mapping.deviceBlock = (extents.deviceBlocks[index] as number) + fileBlock - first;
    mapping.device = this.device;
    return 0;
  }

  private *mapSlowly(
    inode: XfsInode,
    fileBlock: number,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const read = yield* guarded(this.extentResult(inode));
    return read.ok ? this.mapNow(read.value, fileBlock, mapping) : -ERRNO[read.error];
  }
  private *extentResult(inode: XfsInode): Task<Result<ExtentList>> {
    return succeed(yield* this.extentsOf(inode));
  }

  private makeOperations(directIo: DirectIo, cleanAliases: () => void): FileOperations {
    const nothing = (): void => undefined;
    return {
      kernel: this.volume.kernel,
      device: this.device,
      directIo,
      getBlock: this.getBlock,
      counters: this.counters,
      locking: dioProfile.locking,
      skipHoles: dioProfile.skipHoles,
      cleanAliases,
      supportsNowait: true,
      isBlockDevice: false,
      isReadOnly: true,
      sizeBytesMax: SIZE_BYTES_MAX,
      needsRoom: () => false,
      *makeRoom() {
        return 0;
      },
      inodeChanged: nothing,
      touch: nothing,
      *writeFailed() {
        // Nothing is ever written.
      },
      *reclaimSpace() {
        return false;
      },
      *syncRange() {
        return 0;
      },
      *truncate() {
        return -ERRNO.EROFS;
      },
      extents: (inode) => guarded(this.fileExtents(inode as XfsInode)),
    };
  }

  /** The file's extents in order, holes up to its size included; an extent beyond it is what the kernel allocated ahead. */
  private *fileExtents(inode: XfsInode): Task<Result<FileExtent[]>> {
    const list = yield* this.extentsOf(inode);
    const extents: FileExtent[] = [];
    let next = 0;
    const addHole = (to: number): void => {
      if (to <= next) return;
      extents.push({ fileBlock: next, count: to - next, deviceBlock: null, state: 'hole' });
      next = to;
    };
    for (let index = 0; index < list.count; index++) {
      const fileBlock = list.fileBlocks[index] as number;
      const length = list.lengths[index] as number;
      addHole(fileBlock);
      const count = Math.abs(length);
      const deviceBlock = list.deviceBlocks[index] as number;
      const state = length < 0 ? 'unwritten' : 'mapped';
      const last = extents.at(-1);
      const joins =
        last?.state === state &&
        last.deviceBlock !== null &&
        last.deviceBlock + last.count === deviceBlock;
      if (joins) extents[extents.length - 1] = { ...last, count: last.count + count };
      else extents.push({ fileBlock, count, deviceBlock, state });
      next = fileBlock + count;
    }
    if (inode.kind === 'file') addHole(Math.ceil(inode.sizeBytes / this.blockSizeBytes));
    return succeed(extents);
  }

  // Changes, all refused --------------------------------------------------------------------------

  *create(): Task<Result<Inode>> {
    return fail('EROFS', 'XFS is mapped and read here, and not written');
  }
  *unlink(): Task<Result<void>> {
    return fail('EROFS', 'XFS is mapped and read here, and not written');
  }
  *truncate(): Task<KernelReturn> {
    return -ERRNO.EROFS;
  }

  // The whole -------------------------------------------------------------------------------------

  private *surveyed(): Task<Survey> {
    this.survey ??= yield* surveyVolume(this.volume);
    return this.survey;
  }

  layout(): Task<Result<readonly BlockRange[]>> {
    return guarded(this.layoutNow());
  }
  private *layoutNow(): Task<Result<readonly BlockRange[]>> {
    const survey = yield* this.surveyed();
    return succeed(survey.ranges);
  }

  describeBlock(deviceBlock: number): Task<Result<BlockDescription>> {
    return guarded(this.describeNow(deviceBlock));
  }
  private *describeNow(deviceBlock: number): Task<Result<BlockDescription>> {
    const { ranges } = yield* this.surveyed();
    return yield* describeXfsBlock(this.volume, ranges, deviceBlock);
  }

  facts(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    return guarded(this.factsNow(inodeNumber));
  }
  private *factsNow(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    if (inodeNumber === null) return succeed(volumeFacts(this.volume.superblock));
    const loaded = yield* this.loadInode(inodeNumber);
    if (!loaded.ok) return loaded;
    const inode = loaded.value;
    const link = inode.kind === 'symlink' ? yield* this.readLinkNow(inode) : null;
    return succeed(inodeFacts(inode.content, link?.ok === true ? link.value : null));
  }

  statfs(): FileSystemProbe {
    return probeOf(this.volume.superblock, 'clean');
  }

  *sync(): Task<KernelReturn> {
    return 0;
  }

  *unmount(): Task<KernelReturn> {
    if (!this.isMounted) return 0;
    this.isMounted = false;
    for (const inode of this.inodes.values()) yield* inode.mapping.discard();
    this.inodes.clear();
    this.survey = null;
    this.volume.cache.close();
    return 0;
  }

  *checkInvariants(): Task<readonly { readonly rule: string; readonly where: string }[]> {
    return yield* checkVolume(this.volume);
  }
}

/** What the superblock says of the whole. */
export function probeOf(
  superblock: XfsVolume['superblock'],
  state: FileSystemProbe['state'],
): FileSystemProbe {
  const { geometry } = superblock;
  return {
    label: superblock.label,
    blockSizeBytes: geometry.blockBytes,
    sizeBytes: geometry.blocksCount * geometry.blockBytes,
    freeBytes: superblock.freeBlocks * geometry.blockBytes,
    state,
    confidence: geometry.hasCrc ? 'checksum' : 'magic',
  };
}
