// SPDX-License-Identifier: GPL-2.0-only
/**
 * A mounted btrfs: inodes, names and files of all its subvolumes, for reading. `mount.ts` makes it.
 *
 * The root is the default subvolume, as for a mount that names none; the subvolumes below it are directories. A subvolume's entry counts
 * only where it is the place that the subvolume itself names (ROOT_REF): in snapshots the others are empty directories, as in the kernel.
 */
import {
  ERRNO,
  fail,
  succeed,
  type KernelReturn,
  type Result,
  type Task,
} from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type {
  BlockDescription,
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
} from '../../vfs/index.ts';
import { describeBlock } from './describe.ts';
import { inodeFacts, superblockFacts } from './facts.ts';
import { BtrfsFile } from './file.ts';
import { guarded } from './guard.ts';
import { BtrfsInode, kindOfMode } from './inode.ts';
import { FIRST_FREE_OBJECT, INODE, KEY_TYPE } from './layout.ts';
import { readLayout, type DeviceLayout } from './layout-map.ts';
import { getBlock } from './map.ts';
import { findEntry, listEntries, type NameEntry } from './names.ts';
import { BtrfsRecord } from './record.ts';
import { findRoot, numberOf, partsOf, type BtrfsState, type Subvolume } from './state.ts';
import { probeOf } from './superblock.ts';
import { decodeText, encodeText } from './text.ts';

/** Inode number of the empty directory that stands for a subvolume that is somewhere else (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID). */
const EMPTY_DIRECTORY = 2;
const ROOT_REF = 156;
const INODES_MAX = 65536;
const NAME_BYTES_MAX = 255;

export class BtrfsFileSystem implements MountedFileSystem {
  readonly moduleId = 'btrfs';
  readonly device: BlockDevice;
  readonly blockSizeBytes: number;
  readonly counters: IoCounters;
  readonly dioProfile = { locking: 'none', skipHoles: false, allocatesInHoles: false } as const;
  readonly getBlock: GetBlock = getBlock;
  private readonly inodes = new Map<number, BtrfsInode>();
  private readonly operations: FileOperations;
  private knownLayout: DeviceLayout | null = null;

  constructor(
    private readonly state: BtrfsState,
    directIo: DirectIo,
    readonly rootInodeNumber: number,
  ) {
    this.device = state.device;
    this.blockSizeBytes = state.superblock.sectorBytes;
    this.counters = state.counters;
    this.operations = this.makeOperations(directIo);
  }

  // Inodes and names ------------------------------------------------------------------------------

  /** btrfs_iget */
  readonly readInode = (inodeNumber: number): Task<Result<BtrfsInode>> =>
    guarded(this.loadInode(inodeNumber));

  private *loadInode(inodeNumber: number): Task<Result<BtrfsInode>> {
    const known = this.inodes.get(inodeNumber);
    if (known !== undefined) return succeed(known);
    const found = yield* this.findInode(inodeNumber);
    if (!found.ok) return found;
    const { subvolume, objectId, record } = found.value;
    const raced = this.inodes.get(inodeNumber);
    if (raced !== undefined) return succeed(raced);
    const inode = new BtrfsInode(this.state, inodeNumber, subvolume, objectId, record);
    if (inode.sizeBytes > Number.MAX_SAFE_INTEGER) {
      return fail('EUCLEAN', `inode ${String(objectId)} has a size of ${String(inode.sizeBytes)}`);
    }
    if (this.inodes.size < INODES_MAX) this.inodes.set(inodeNumber, inode);
    return succeed(inode);
  }

  private *findInode(
    inodeNumber: number,
  ): Task<Result<{ subvolume: Subvolume; objectId: number; record: BtrfsRecord }>> {
    const { treeId, objectId } = partsOf(inodeNumber);
    if (objectId !== EMPTY_DIRECTORY && objectId < FIRST_FREE_OBJECT) {
      return fail('EUCLEAN', `inode number ${String(inodeNumber)} does not exist`);
    }
    const root = yield* findRoot(this.state, treeId);
    if (!root.ok) return root;
    const subvolume = root.value;
    if (objectId === EMPTY_DIRECTORY) {
      return succeed({ subvolume, objectId, record: emptyDirectory() });
    }
    const key = { objectId, type: KEY_TYPE.inode, offset: 0 };
    const item = yield* this.state.trees.find(subvolume, key);
    if (item === null) return fail('ENOENT', `there is no inode ${String(objectId)}`);
    return succeed({ subvolume, objectId, record: item.data.part('inode', 0, INODE.bytes) });
  }

  stat(
    inodeNumber: number,
  ): Task<Result<{ readonly sizeBytes: number; readonly kind: InodeKind }>> {
    return guarded(this.statOf(inodeNumber));
  }
  private *statOf(inodeNumber: number): Task<Result<{ sizeBytes: number; kind: InodeKind }>> {
    const found = yield* this.findInode(inodeNumber);
    if (!found.ok) return found;
    const { record } = found.value;
    const kind = kindOfMode(record.u32(INODE.mode));
    return succeed({ sizeBytes: record.u64(INODE.sizeBytes), kind });
  }

  lookup(directory: Inode, name: string): Task<Result<number>> {
    return guarded(this.lookUp(directory as BtrfsInode, name));
  }
  private *lookUp(directory: BtrfsInode, name: string): Task<Result<number>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    const bytes = encodeText(name);
    if (bytes.length > NAME_BYTES_MAX) return fail('ENAMETOOLONG');
    const { subvolume, objectId } = directory;
    const entry = yield* findEntry(this.state.trees, subvolume, objectId, bytes);
    return entry === null ? fail('ENOENT') : yield* this.entryNumber(directory, entry);
  }

  readDirectory(directory: Inode): Task<Result<DirectoryEntry[]>> {
    return guarded(this.listDirectory(directory as BtrfsInode));
  }
  private *listDirectory(directory: BtrfsInode): Task<Result<DirectoryEntry[]>> {
    if (directory.kind !== 'directory') return fail('ENOTDIR');
    const { subvolume, objectId } = directory;
    const listed: DirectoryEntry[] = [];
    for (const entry of yield* listEntries(this.state.trees, subvolume, objectId)) {
      const number = yield* this.entryNumber(directory, entry);
      if (!number.ok) return number;
      const { kind } = entry;
      listed.push({ name: decodeText(entry.name), inodeNumber: number.value, kind });
    }
    return succeed(listed);
  }

  /** btrfs_lookup_dentry: the inode behind an entry, in this tree or at the root of another one. */
  private *entryNumber(directory: BtrfsInode, entry: NameEntry): Task<Result<number>> {
    const { treeId } = directory.subvolume;
    let number = numberOf(treeId, entry.objectId);
    if (entry.isSubvolume) {
      const isHere = yield* this.isPlaceOf(directory, entry);
      number = isHere
        ? numberOf(entry.objectId, FIRST_FREE_OBJECT)
        : numberOf(treeId, EMPTY_DIRECTORY);
    }
    if (number !== null) return succeed(number);
    return fail('EOVERFLOW', `inode ${String(entry.objectId)} of tree ${String(treeId)} has a number beyond 2^32`);
  } // prettier-ignore

  /** True where the subvolume says itself that this entry is its place. */
  private *isPlaceOf(directory: BtrfsInode, entry: NameEntry): Task<boolean> {
    const { treeId } = directory.subvolume;
    const key = { objectId: treeId, type: ROOT_REF, offset: entry.objectId };
    const item = yield* this.state.trees.find(this.state.superblock.rootTree, key);
    if (item === null || item.data.u64(0) !== directory.objectId) return false;
    const name = item.data.slice(18, item.data.u16(16));
    if (name.length !== entry.name.length) return false;
    if (name.some((byte, at) => byte !== entry.name[at])) return false;
    return (yield* findRoot(this.state, entry.objectId)).ok;
  }

  // Files -----------------------------------------------------------------------------------------

  *open(inode: Inode): Task<Result<OpenFile>> {
    const own = inode as BtrfsInode;
    if (own.kind !== 'file' && own.kind !== 'directory') {
      return fail('EINVAL', `it is a ${own.kind}`);
    }
    return succeed(new BtrfsFile(own, this.operations));
  }

  private makeOperations(directIo: DirectIo): FileOperations {
    const nothing = (): void => undefined;
    const { state } = this;
    return {
      kernel: state.kernel,
      device: state.device,
      directIo,
      getBlock,
      counters: state.counters,
      locking: this.dioProfile.locking,
      skipHoles: this.dioProfile.skipHoles,
      cleanAliases: nothing,
      supportsNowait: true,
      isBlockDevice: false,
      isReadOnly: true,
      sizeBytesMax: Number.MAX_SAFE_INTEGER,
      needsRoom: () => false,
      *makeRoom() {
        return 0;
      },
      inodeChanged: nothing,
      touch: nothing,
      *writeFailed() {
        // Nothing is written.
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
      extents: (inode) => guarded(this.extentsOf(inode as BtrfsInode)),
    };
  }

  /** Up to the end of the file; what is preallocated behind it is shown, too. */
  private *extentsOf(inode: BtrfsInode): Task<Result<FileExtent[]>> {
    if (inode.kind !== 'file') return succeed([]);
    const extents = yield* inode.loadExtents();
    return succeed(
      extents.map(({ fileBlock, count, deviceBlock, state }) => ({
        fileBlock,
        count,
        deviceBlock,
        state,
      })),
    );
  }

  // What it refuses, and what it tells ------------------------------------------------------------

  *create(): Task<Result<Inode>> {
    return fail('EROFS');
  }
  *unlink(): Task<Result<void>> {
    return fail('EROFS');
  }
  *truncate(): Task<KernelReturn> {
    return -ERRNO.EROFS;
  }
  statfs(): FileSystemProbe {
    return probeOf(this.state.superblock);
  }
  *sync(): Task<KernelReturn> {
    return 0;
  }
  *unmount(): Task<KernelReturn> {
    for (const inode of this.inodes.values()) yield* inode.mapping.discard();
    this.inodes.clear();
    return 0;
  }

  /** Use of every block of the device. */
  layout(): Task<Result<readonly BlockRange[]>> {
    return guarded(this.rangesOfDevice());
  }
  private *rangesOfDevice(): Task<Result<readonly BlockRange[]>> {
    return succeed((yield* this.wholeLayout()).ranges);
  }
  private *wholeLayout(): Task<DeviceLayout> {
    this.knownLayout ??= yield* readLayout(this.state);
    return this.knownLayout;
  }

  describeBlock(deviceBlock: number): Task<Result<BlockDescription>> {
    return guarded(this.descriptionOf(deviceBlock));
  }
  private *descriptionOf(deviceBlock: number): Task<Result<BlockDescription>> {
    return yield* describeBlock(this.state, yield* this.wholeLayout(), deviceBlock);
  }

  facts(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    return guarded(this.factsOf(inodeNumber));
  }
  private *factsOf(inodeNumber: number | null): Task<Result<readonly NamedFact[]>> {
    if (inodeNumber === null) return succeed(yield* superblockFacts(this.state));
    const inode = yield* this.loadInode(inodeNumber);
    return inode.ok ? succeed(yield* inodeFacts(inode.value)) : inode;
  }

  /** Walks every tree that the block map needs; what is wrong there is the finding. */
  *checkInvariants(): Task<readonly { readonly rule: string; readonly where: string }[]> {
    const layout = yield* this.layout();
    return layout.ok ? [] : [{ rule: layout.detail ?? layout.error, where: 'trees' }];
  }
}

function emptyDirectory(): BtrfsRecord {
  const bytes = new Uint8Array(INODE.bytes);
  new DataView(bytes.buffer).setUint32(INODE.mode, 0o40555, true);
  return new BtrfsRecord('inode', 0, bytes);
}
