// SPDX-License-Identifier: GPL-2.0-only
/**
 * The central types of the virtual file system: the kernel context of a run, inodes, the answer of get_block, kiocbs, and what a
 * file system module must bring.
 */
import type {
  Clock,
  KernelReturn,
  MaybeTask,
  OptionSchema,
  OptionsOf,
  Random,
  Result,
  Scheduler,
  Task,
  Trace,
} from '../base/index.ts';
import type { Bio, BlockDevice } from '../block/index.ts';
import type { IovIter, Memory } from '../memory/index.ts';
import type { InodeLock } from './inode-lock.ts';

/** What every part of the modelled kernel of one run shares. */
export interface Kernel {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly memory: Memory;
  /** Null: tracing is off. */
  readonly trace: Trace | null;
  /** Hands a bio to the block layer under its device; `bio.onEnd` may run inside. */
  submitBio(bio: Bio): void;
  /** blk_start_plug, blk_finish_plug: bios submitted between are merged before they are dispatched. May nest. */
  startPlug(): void;
  finishPlug(): void;
  /** queue_work: runs in process context, in order. */
  queueWork(label: string, work: () => MaybeTask<void>): void;
  /** Next bio of the run; ids count from 0. */
  nextBioId(): number;
  /** A bio with room for at least `vectorCountMax` vectors, from a pool. */
  allocateBio(vectorCountMax: number): Bio;
  /** bio_put: back to the pool. */
  releaseBio(bio: Bio): void;
  /** Unix time for time stamps on disk. Absent: they are 0, and the same run writes the same bytes. */
  readonly unixMs?: () => number;
  /** For the UUIDs that formatting makes. Absent: one derived from the device's size and the time. */
  readonly random?: Random;
}

/** In and out parameter of get_block (struct buffer_head as `map_bh`). One is made per request and used again for every call. */
export interface BlockMapping {
  /** `MAP_FLAG` bits: mapped, new, boundary, unwritten, defer. Cleared by the caller before the call. */
  flags: number;
  /** In file system blocks; meaningful where mapped. Keeps its value where the answer is a hole. */
  deviceBlock: number;
  /** In: the most the caller can use. Out: what the answer covers; > 0 and a multiple of the block size. */
  lengthBytes: number;
  /** b_private, handed back to end_io. 0: never set. */
  driverData: unknown;
  /** b_bdev. */
  device: BlockDevice | null;
}

/** The file system's block mapping for direct I/O. 0, or minus an errno. `create`: allocate holes (BH_New says so). */
export type GetBlock = (
  inode: Inode,
  fileBlock: number,
  mapping: BlockMapping,
  create: boolean,
) => MaybeTask<KernelReturn>;

export type InodeKind = 'file' | 'directory' | 'symlink' | 'block-device' | 'other';

/** What direct I/O and the page cache need of an inode; file systems extend it. */
export interface Inode {
  readonly inodeNumber: number;
  readonly kind: InodeKind;
  /** log2 of the bytes per file system block (i_blkbits). */
  readonly blockBits: number;
  readonly lock: InodeLock;
  /** i_size */
  sizeBytes: number;
  /** i_dio_count: truncate waits for 0 (inode_dio_wait). */
  dioCount: number;
  /** Requests that hold i_alloc_sem (revisions before i_dio_count): truncate waits for 0 of these, too. Absent: 0. */
  allocationReaderCount?: number;
  /** Pages of this file in the page cache, and what can be done with them. */
  readonly mapping: AddressSpace;
  /** True once the super block's completion work queue exists (s_dio_done_wq). */
  readonly superBlock: SuperBlock;
}

export interface SuperBlock {
  hasDioWorkQueue: boolean;
  /** sb_init_dio_done_wq: 0 or minus an errno. */
  initDioWorkQueue(): KernelReturn;
}

/** i_mapping: the file's cached pages. */
export interface AddressSpace {
  /** nrpages */
  readonly cachedPageCount: number;
  /** filemap_write_and_wait_range, both bytes inclusive. 0 or minus an errno. */
  writeAndWait(firstByte: number, lastByte: number): MaybeTask<KernelReturn>;
  /** invalidate_inode_pages2_range, both pages inclusive. 0 or -EBUSY. */
  invalidate(firstPage: number, lastPage: number): MaybeTask<KernelReturn>;
  /** filemap_range_has_page, both bytes inclusive. Absent: it holds none for long. */
  hasPages?(firstByte: number, lastByte: number): boolean;
}

export interface Kiocb {
  readonly id: number;
  readonly inode: Inode;
  readonly isDirect: boolean;
  readonly isNowait: boolean;
  /** O_DSYNC, O_SYNC or RWF_DSYNC. */
  readonly isDsync: boolean;
  readonly isAppend: boolean;
  /** ki_pos; who advances it, and when, differs by revision. */
  positionBytes: number;
  /** ki_complete; null: is_sync_kiocb. */
  readonly onComplete: ((kiocb: Kiocb, result: KernelReturn) => void) | null;
}

/** What a file system hands to direct I/O (the arguments of __blockdev_direct_IO and its kin). */
export interface DirectIoRequest {
  readonly kernel: Kernel;
  readonly iocb: Kiocb;
  readonly inode: Inode;
  /** Null: no device is passed; alignment cannot fall to its logical block size. */
  readonly device: BlockDevice | null;
  readonly iter: IovIter;
  readonly getBlock: GetBlock;
  readonly endIo: EndIo | null;
  /** 3.1 only in the kernel; null where the file system has none. */
  readonly submitIo: ((bio: Bio, fileOffsetBytes: number) => void) | null;
  /** DIO_LOCKING: the core takes the inode lock for reads. Before flags existed: the lock type. */
  readonly locking: 'core-locks' | 'driver-locks' | 'none';
  /** DIO_SKIP_HOLES: holes inside i_size are not filled by direct writes. */
  readonly skipHoles: boolean;
  /** clean_bdev_aliases / unmap_underlying_metadata */
  readonly cleanAliases: (deviceBlock: number, countBlocks: number) => void;
  /** generic_write_sync of a dsync request: 0 or minus an errno. */
  readonly writeSync: (iocb: Kiocb, firstByte: number, lastByte: number) => MaybeTask<KernelReturn>;
  /** vmtruncate after a failed extending write (2.6.31). */
  readonly truncate: (inode: Inode, sizeBytes: number) => MaybeTask<void>;
  /** Where map calls, bios and zeroed edges are counted; absent or null: nowhere. */
  readonly counters?: IoCounters | null;
  /** Set by a core that completes an asynchronous request besides returning: the completion comes, whatever it returns. */
  willComplete?: boolean;
}

/** dio_iodone_t: the file system's word at completion; an error replaces the result (6.x). */
export type EndIo = (
  iocb: Kiocb,
  fileOffsetBytes: number,
  result: KernelReturn,
  driverData: unknown,
  /** 3.1: what it would return, and whether it has to complete the kiocb itself. */
  legacy: { readonly returned: number; readonly isAsync: boolean } | null,
) => MaybeTask<KernelReturn>;

/** One revision of direct I/O, resolved; the vfs calls it without knowing which. -EIOCBQUEUED: completes through the kiocb. */
export interface DirectIo {
  (request: DirectIoRequest): MaybeTask<KernelReturn>;
  /** Absent: the callers of the present. */
  readonly callers?: DirectIoCallers;
  /** Absent: nobody counts. */
  readonly effects?: DirectIoEffects;
  /** What end_io learns: how the request ended; bytes, also where it failed; or it is never called. Absent: how it ended. */
  readonly endIoLearns?: 'result' | 'bytes' | 'nothing';
}

/**
 * What the generic read and write of a kernel (mm/filemap.c of its time) did around its direct I/O. A revision brings the rules that
 * its text relies on.
 */
export interface DirectIoCallers {
  /** A read that starts at or beyond the end of the file is 0, and never comes to direct I/O. */
  readonly endReadsAtSize: boolean;
  /** What a short direct read leaves is read through the page cache. */
  readonly continueShortReads: boolean;
  /** What a short direct write leaves is written through the page cache. */
  readonly continueShortWrites: boolean;
  /**
   * Direct I/O returns the count of an asynchronous request and completes it as well. The caller takes the count for -EIOCBQUEUED,
   * so that the request has one answer, and moves the end of the file by it at once.
   */
  readonly queueCounts: boolean;
  /** An O_DSYNC write in flight is synced when its caller leaves, not when its data are on the disk. */
  readonly syncInFlight: boolean;
}

/** What a revision of direct I/O did in a run that another one does not do: evidence for the verdict. Counts of requests. */
export interface DirectIoEffects {
  /** Asynchronous writes beyond the end of the file that were over when the call returned. */
  extendingWaits: number;
  /** Asynchronous writes beyond the end of the file that were in flight when the call returned. */
  extendingInFlight: number;
  /** Of those: the end of the file was moved at once, ahead of the data. */
  sizeAheadOfData: number;
  /** Asynchronous reads that came out short and were waited for. */
  shortReadWaits: number;
  /** Asynchronous requests that returned a count and completed as well. */
  answeredTwice: number;
  /** Reads that dropped an inode lock that they had not taken. */
  unheldUnlocks: number;
  /** O_DSYNC writes synced while their data were in flight. */
  syncedInFlight: number;
  /** Requests whose first bytes came from, or went to, another place in memory than the one asked for. */
  misplacedBuffers: number;
}

/** Counters of one run, for the result and the verdict. */
export interface IoCounters {
  requests: number;
  getBlockCalls: number;
  bios: number;
  bioBytes: number;
  zeroedBlocks: number;
  zeroedBytes: number;
  fallbacks: number;
  fallbackBytes: number;
}

// What a file system module brings --------------------------------------------------------------------------------------------

export type FeatureState = true | false | 'todo';

export interface FileSystemModule<S extends OptionSchema = OptionSchema> {
  readonly id: string;
  readonly title: string;
  readonly help: string;
  /** Options of `format`. */
  readonly options: S;
  readonly supports: {
    readonly write: FeatureState;
    readonly allocate: FeatureState;
    readonly directories: FeatureState;
    readonly unwrittenExtents: FeatureState;
    readonly journal: FeatureState;
    /** Absent: as `allocate`. False: gaps are zeros that take space, and direct I/O leaves extending to the page cache. */
    readonly holes?: FeatureState;
  };
  /** Null: not this one. Never throws on hostile content. */
  probe(kernel: Kernel, device: BlockDevice): Task<FileSystemProbe | null>;
  /** A damaged or unsupported image is a `HostError` naming structure, block and field. */
  mount(kernel: Kernel, device: BlockDevice, directIo: DirectIo): Task<MountedFileSystem>;
  /** Absent: read only. */
  format?(kernel: Kernel, device: BlockDevice, options: OptionsOf<S>): Task<Result<void>>;
}

export interface FileSystemProbe {
  readonly label: string;
  readonly blockSizeBytes: number;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly state: 'clean' | 'dirty' | 'errors';
  readonly confidence: 'magic' | 'checksum';
}

export interface DirectoryEntry {
  readonly name: string;
  readonly inodeNumber: number;
  readonly kind: InodeKind;
}

/**
 * One extent of a file. `deviceBlock` is null where the blocks have no place of their own on the device: for holes, for content that lies
 * in the metadata ('inline'), and for what is stored in another form ('compressed').
 */
export interface FileExtent {
  readonly fileBlock: number;
  readonly count: number;
  readonly deviceBlock: number | null;
  readonly state: 'hole' | 'mapped' | 'unwritten' | 'inline' | 'compressed';
}

/** What a block of the device is used for: the colours of the block map. `outside`: beyond the file system, or between its parts. */
export const BLOCK_USES = [
  'free',
  'data',
  'unwritten',
  'directory',
  'map',
  'superblock',
  'descriptors',
  'bitmap',
  'inodes',
  'fat',
  'tree',
  'journal',
  'reserved',
  'outside',
] as const;
export type BlockUse = (typeof BLOCK_USES)[number];

/** Neighbouring blocks of one use and one owner. */
export interface BlockRange {
  readonly deviceBlock: number;
  readonly count: number;
  readonly use: BlockUse;
  /** Whose they are; null: of no file. */
  readonly inodeNumber: number | null;
  /** Which block of the owner the first one is; null where they are not its content. */
  readonly fileBlock: number | null;
}

/** A field of a structure on the disk, for the hex view. */
export interface StructureField {
  /** The field's name on the disk, as the file system's own documentation has it: `s_free_blocks_count_lo`. */
  readonly name: string;
  /** From the start of the block. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** The value as a person reads it: `4096`, `0xef53`, `2026-11-21 05:30:00 UTC`. */
  readonly value: string;
  /** What it means, in a few words; empty where the name says it. */
  readonly help: string;
}
export interface BlockDescription {
  readonly range: BlockRange;
  /** `inode table of group 3`, `extent node of inode 12`, `data of inode 12`. */
  readonly title: string;
  readonly fields: readonly StructureField[];
}

/** One fact of a superblock or an inode: `Block size`, `4096 bytes`. */
export interface NamedFact {
  readonly id: string;
  readonly title: string;
  readonly value: string;
}

/**
 * fallocate(2): `allocate` moves the end of the file where the range goes beyond it, `keep-size` does not, `punch` gives blocks back
 * (FALLOC_FL_PUNCH_HOLE), `zero` makes the range read as zeros with its blocks kept (FALLOC_FL_ZERO_RANGE).
 */
export type FallocateMode = 'allocate' | 'keep-size' | 'punch' | 'zero';

/** An open file of a mounted file system. All returns are the kernel's: bytes or minus an errno. */
export interface OpenFile {
  readonly inode: Inode;
  /** read_iter: direct where the kiocb says so. */
  read(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn>;
  /** write_iter, with the buffered remainder after a fallback. */
  write(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn>;
  /** Data, metadata and a flush of the device. */
  fsync(dataOnly: boolean): Task<KernelReturn>;
  /**
   * a_ops->direct_IO: direct I/O alone, without the lock, the page cache and the rest of a short transfer that `read` and `write` have
   * around it. Absent: it has none.
   */
  directIo?(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn>;
  /** i_size_write and mark_inode_dirty, after `directIo` wrote beyond the end of the file. */
  moveEnd?(sizeBytes: number): void;
  /** Where the file's blocks are, in order, holes included. */
  extents(): Task<Result<FileExtent[]>>;
  /**
   * Lets blocks beyond the end of the file go that direct I/O left behind; nothing may be in flight. Takes no lock, because a request
   * that stopped the kernel may hold it. Absent: there can be none. Returns the bytes that were written there and are lost.
   */
  cutToSize?(): Task<number>;
}

export interface MountedFileSystem {
  readonly moduleId: string;
  readonly device: BlockDevice;
  readonly blockSizeBytes: number;
  readonly rootInodeNumber: number;
  readonly counters: IoCounters;
  /** What this file system passes to direct I/O: for explain and the interface. */
  readonly dioProfile: {
    readonly locking: 'core-locks' | 'driver-locks' | 'none';
    readonly skipHoles: boolean;
    readonly allocatesInHoles: boolean;
  };
  readonly getBlock: GetBlock;
  readInode(inodeNumber: number): Task<Result<Inode>>;
  /** Size and kind without making an inode in memory: for listings. Absent: use `readInode`. */
  stat?(
    inodeNumber: number,
  ): Task<Result<{ readonly sizeBytes: number; readonly kind: InodeKind }>>;
  lookup(directory: Inode, name: string): Task<Result<number>>;
  readDirectory(directory: Inode): Task<Result<DirectoryEntry[]>>;
  open(inode: Inode): Task<Result<OpenFile>>;
  create(directory: Inode, name: string, kind: 'file' | 'directory'): Task<Result<Inode>>;
  unlink(directory: Inode, name: string): Task<Result<void>>;
  /** Moves a name; an existing target is EEXIST. Absent: it cannot. */
  rename?(from: Inode, fromName: string, to: Inode, toName: string): Task<Result<void>>;
  truncate(inode: Inode, sizeBytes: number): Task<KernelReturn>;
  /** fallocate(2): 0 or minus an errno (EOPNOTSUPP for a mode that it cannot). Absent: none of them. */
  fallocate?(
    inode: Inode,
    mode: FallocateMode,
    offsetBytes: number,
    lengthBytes: number,
  ): Task<KernelReturn>;
  /** What is allocated at once, in bytes (a FAT's cluster). Absent: a block. */
  readonly allocationUnitBytes?: number;
  /**
   * Where the allocator looks first for that block of the file: a hint, for laying files out in pieces. Absent: nobody is told where files
   * lie.
   */
  suggestPlace?(inode: Inode, fileBlock: number, deviceBlock: number): void;
  /** rmdir(2): ENOTEMPTY where something is in it. Absent: it cannot. */
  removeDirectory?(directory: Inode, name: string): Task<Result<void>>;
  /**
   * Every block of the device once, in order and without gaps, neighbours of one use and owner joined: the block map of the whole
   * image. Reads metadata only. Absent: not known.
   */
  layout?(): Task<Result<readonly BlockRange[]>>;
  /** What a block belongs to and what its fields say, from the block's own bytes. Absent: not known. */
  describeBlock?(deviceBlock: number): Task<Result<BlockDescription>>;
  /** Facts of the superblock (null) or of an inode, for `stat` and the side of the image's page. Absent: none. */
  facts?(inodeNumber: number | null): Task<Result<readonly NamedFact[]>>;
  statfs(): FileSystemProbe;
  /** Writes back everything dirty, marks the file system clean, flushes. */
  unmount(): Task<KernelReturn>;
  sync(): Task<KernelReturn>;
  /** Empty = sound. */
  checkInvariants(): Task<readonly { readonly rule: string; readonly where: string }[]>;
}
