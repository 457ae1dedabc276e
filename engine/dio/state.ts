// SPDX-License-Identifier: GPL-2.0-only
/**
 * The state of one direct-I/O request: kernel `struct dio` and `struct dio_submit` as one object, taken from a pool and given back by
 * `complete`. Who may write a field is said at its group; everybody may read.
 *
 *   taken --enter--> building --walk--> submitted --(sync) await--> complete --> free
 *                                           \--(async) last bio, or its work item--/
 *
 * Invariants: 1. `refCount` is 1 for the submitter plus 1 for each bio in flight; who drops it to 0 completes.
 * 2. Pages `head`..`tail`-1 of `pages` are pinned and not yet walked. 3. `currentPage` and `walkPage` hold a reference each.
 * 4. Block numbers are in dio blocks (2^blockBits bytes) unless a name says otherwise; they may exceed 32 bits.
 */
import { assert, WaitQueue, type Task, type Trace, type KernelReturn } from '../base/index.ts';
import type { Bio } from '../block/index.ts';
import type { IovIter, Memory } from '../memory/index.ts';
import type {
  BlockMapping,
  DirectIoRequest,
  DirectIoEffects,
  Inode,
  IoCounters,
  Kernel,
  Kiocb,
} from '../vfs/index.ts';
import type { Revision } from './revision.ts';
import type { DioTraits } from './traits.ts';

/** Pages pinned at a time (DIO_PAGES). */
export const DIO_PAGES = 64;
/** Where a page number is expected: none. Not the zero page, which is a page. */
export const NO_PAGE = -1;
/** As `walkPage`: a page that should be there and is not. What touches it stops the kernel. */
export const NULL_PAGE = -2;
/** A step's answer: `pendingTask` has to run first, then the step is called again. Outside of every errno. */
export const SLEEPS = -0x40000000;
/** The walk's answer where the end of the file was met: it stops without an error. */
export const STOPS = -0x40000001;
/** `mapAnswer` where get_block has not answered after a sleep. */
export const NO_ANSWER = -0x40000002;

export class Dio {
  /** Number of the request in the trace; counts from 1 in a run. */
  id = 0;
  /** Of the revision; here to be at hand. */
  readonly traits: DioTraits;

  // The request: set by `reset`, never changed.
  request: DirectIoRequest;
  kernel: Kernel;
  memory: Memory;
  trace: Trace | null;
  iocb: Kiocb;
  inode: Inode;
  iter: IovIter;
  counters: IoCounters | null;
  isWrite = false;
  /** ki_pos and bytes at entry, and the first byte after the request. */
  offsetBytes = 0;
  countBytes = 0;
  endBytes = 0;

  // Units: alignment. Never changed afterwards.
  /** log2 of the bytes of a dio block (blkbits). */
  blockBits = 0;
  /** log2 of the dio blocks in a file system block (blkfactor). */
  blockFactorBits = 0;

  // Decided by begin.
  /** i_size when the request came in. */
  sizeBytes = 0;
  isAsync = false;
  shouldDirty = false;
  bioFlags = 0;

  // The place in the file: walk.
  blockInFile = 0;
  finalBlockInRequest = 0;
  /** Of the last mapping, from `blockInFile` on. */
  blocksAvailable = 0;
  nextBlockForIo = 0;
  /** The last chunk ended at a boundary. Submit clears it. */
  boundary = false;
  /** Head zeroing of the first block has been looked at (start_zero_done). */
  startZeroDone = false;
  /** The page being walked, its reference, and what is left of it. */
  walkPage = NO_PAGE;
  walkFrom = 0;
  walkTo = 0;
  /** Bytes accounted for by the walk; the transferred count in the end. */
  result: KernelReturn = 0;

  // Mapping: map-more. `mapping` keeps what get_block left in it from call to call.
  readonly mapping: BlockMapping = {
    flags: 0,
    deviceBlock: 0,
    lengthBytes: 0,
    driverData: null,
    device: null,
  };
  /** What end_io gets: the driver's word of the last map call. */
  driverData: unknown = null;
  mapAskedBlocks = 0;
  mapFileBlock = 0;
  mapCreate = false;
  mapAnswer: KernelReturn = NO_ANSWER;
  /** What has to run before a step that answered `SLEEPS` is called again; its value becomes `mapAnswer`. */
  pendingTask: Task<KernelReturn> | null = null;

  // Segments: segments. Only where the request is a list of segments.
  segmentIndex = 0;
  isInSegment = false;
  /** Pages of the segment in all and pinned so far, and where the next pin starts. */
  segmentPages = 0;
  segmentPagesPinned = 0;
  nextPinAddressBytes = 0;
  /** Where the walk starts in the first page of the segment. */
  firstPageFrom = 0;
  /** Added to the place in the page for the first chunk only. 0 but in a revision that computes it wrongly. */
  firstPageSkewBytes = 0;
  /** The inode lock was taken, by this request or for it by the caller. */
  holdsInodeLock = false;
  /** i_alloc_sem is held until the completion. */
  holdsAllocSem = false;
  /** The lock was the caller's, is dropped for the transfer and has to be taken again. */
  mustRelock = false;

  // Page queue: pin.
  pages = new Int32Array(DIO_PAGES);
  head = 0;
  tail = 0;
  /** Where the bytes start in the first page of the queue and end in the last. */
  queueFrom = 0;
  queueTo = 0;
  /** Minus the errno of the first failed pin that was covered with zeros (page_errors). */
  pageError: KernelReturn = 0;

  // The deferred piece of a page and the bio being built: section.
  currentPage = NO_PAGE;
  currentOffsetBytes = 0;
  currentLengthBytes = 0;
  currentBlock = 0;
  currentFileOffsetBytes = 0;
  bio: Bio | null = null;
  bioFileOffsetBytes = 0;
  /** First dio block after the bio's last. */
  finalBlockInBio = -1;
  /** About how many pages the request still needs (pages_in_io). */
  pagesInIo = 0;
  /** Bios started since the last reap. */
  reapCounter = 0;

  // Completion: end, await.
  refCount = 0;
  /** Completed, not yet looked at; the last one first. */
  readonly completedBios: Bio[] = [];
  hasWaiter = false;
  /** Submitted and not yet ended: where that is counted apart from `refCount`. */
  biosInFlight = 0;
  readonly bioWait = new WaitQueue('bio', 'direct I/O waits for its bios');
  ioError: KernelReturn = 0;
  deferCompletion = false;

  constructor(
    readonly pool: DioPool,
    readonly revision: Revision,
    request: DirectIoRequest,
  ) {
    this.traits = revision.traits;
    this.request = request;
    this.kernel = request.kernel;
    this.memory = request.iter.memory;
    this.trace = request.kernel.trace;
    this.iocb = request.iocb;
    this.inode = request.inode;
    this.iter = request.iter;
    this.counters = request.counters ?? null;
  }

  /** Everything but the page queue's content, as the kernel's memset does. */
  reset(id: number, request: DirectIoRequest): void {
    const { kernel, iocb, iter } = request;
    this.id = id;
    this.request = request;
    this.kernel = kernel;
    this.memory = request.iter.memory;
    this.trace = kernel.trace;
    this.iocb = iocb;
    this.inode = request.inode;
    this.iter = iter;
    this.counters = request.counters ?? null;
    this.isWrite = iter.direction === 'write';
    this.offsetBytes = iocb.positionBytes;
    this.countBytes = iter.remainingBytes;
    this.endBytes = this.offsetBytes + this.countBytes;
    this.blocksAvailable = 0;
    this.boundary = false;
    this.startZeroDone = false;
    this.walkPage = NO_PAGE;
    this.result = 0;
    this.mapping.flags = 0;
    this.mapping.deviceBlock = 0;
    this.mapping.lengthBytes = 0;
    this.mapping.driverData = null;
    this.mapping.device = null;
    this.driverData = null;
    this.mapAnswer = NO_ANSWER;
    this.segmentIndex = 0;
    this.isInSegment = false;
    this.holdsInodeLock = false;
    this.holdsAllocSem = false;
    this.mustRelock = false;
    this.biosInFlight = 0;
    this.head = 0;
    this.tail = 0;
    this.queueFrom = 0;
    this.queueTo = 0;
    this.pageError = 0;
    this.currentPage = NO_PAGE;
    this.currentOffsetBytes = 0;
    this.currentLengthBytes = 0;
    this.currentBlock = 0;
    this.firstPageSkewBytes = 0;
    this.bio = null;
    this.bioFileOffsetBytes = 0;
    this.finalBlockInBio = -1;
    this.nextBlockForIo = -1;
    this.pagesInIo = 0;
    this.reapCounter = 0;
    this.refCount = 1;
    this.hasWaiter = false;
    this.ioError = 0;
    this.deferCompletion = false;
    this.bioFlags = 0;
    this.isAsync = false;
    this.shouldDirty = false;
  }
}

/** The requests of one run (the slab cache dio_cache). */
export class DioPool {
  private readonly free: Dio[] = [];
  private nextId = 1;
  /** Taken and not yet given back. */
  liveCount = 0;
  /** What the requests of this run did that other revisions do not do. */
  readonly effects: DirectIoEffects = {
    extendingWaits: 0,
    extendingInFlight: 0,
    sizeAheadOfData: 0,
    shortReadWaits: 0,
    answeredTwice: 0,
    unheldUnlocks: 0,
    syncedInFlight: 0,
    misplacedBuffers: 0,
  };

  constructor(readonly revision: Revision) {}

  take(request: DirectIoRequest): Dio {
    const dio = this.free.pop() ?? new Dio(this, this.revision, request);
    dio.reset(this.nextId++, request);
    this.liveCount++;
    return dio;
  }

  /** kmem_cache_free. */
  give(dio: Dio): void {
    assert(dio.completedBios.length === 0, 'a request ended with completed bios unseen');
    this.liveCount--;
    this.free.push(dio);
  }
}
