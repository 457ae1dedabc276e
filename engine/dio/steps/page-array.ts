// SPDX-License-Identifier: GPL-2.0-only
/**
 * Requests that are an array of pages (do_dio, __do_dio, struct dio_args): the caller's segments are pinned whole, one request of its
 * own each, one after the other; pages of the kernel's are handed in as they are.
 *
 * A patch series that was never merged, with its faults: see the revision's list of changes. Those that end the kernel are:
 * pages that were not pinned are used all the same (a null page), and the offset in the first page can lead out of it.
 */
import {
  ERRNO,
  isTask,
  KernelBug,
  PAGE_BYTES,
  TRACE,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import { VECTOR_WORDS, type Bio } from '../../block/index.ts';
import { pinUserPages, PAGE_STATE, ZERO_PAGE, type UserSegment } from '../../memory/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import { NO_PAGE, NULL_PAGE, SLEEPS, type Dio, type DioPool } from '../state.ts';
import { lockByType } from './begin-lock-types.ts';
import { traceRequest } from './begin.ts';
import { completeBioAsFailed } from './end-plain.ts';
import { dropCurrentPage, growCurrentPage, sendCurrentPage } from './section.ts';
import { submitPageSectionLate } from './section-late.ts';
import { chooseUnitOfParts } from './segments.ts';
import { walk } from './walk.ts';

const ROW_PIN = TRACE.pin;
const ROW_UPTODATE = TRACE.uptodate;

/** The direct_IO of the page-based series: do_dio over the segments, or one request over kernel pages. */
export function enterByPages(pool: DioPool, request: DirectIoRequest): MaybeTask<KernelReturn> {
  const { iter, iocb } = request;
  if (iter.source === 'kernel') {
    return iter.segments.length === 0 ? 0 : enterKernelPages(pool, request, iter.segments);
  }
  let done = 0;
  for (let index = 0; index < iter.segments.length; index++) {
    const segment = iter.segments[index] as UserSegment;
    const value = enterSegment(pool, request, segment, iocb.positionBytes + done);
    if (isTask(value)) return restAsleep(pool, request, index, done, value);
    if (value < 0) return done === 0 ? value : done;
    done += value;
  }
  return done;
}

/** do_dio from a segment on whose request sleeps. */
function* restAsleep(
  pool: DioPool,
  request: DirectIoRequest,
  startIndex: number,
  doneBefore: number,
  first: Task<KernelReturn>,
): Task<KernelReturn> {
  const { iter, iocb } = request;
  let done = doneBefore;
  let value: MaybeTask<KernelReturn> = first;
  for (let index = startIndex; ;) {
    const ended: KernelReturn = isTask(value) ? yield* value : value;
    if (ended < 0) return done === 0 ? ended : done;
    done += ended;
    index++;
    const segment = iter.segments[index];
    if (segment === undefined) return done;
    value = enterSegment(pool, request, segment, iocb.positionBytes + done);
  }
}

/** __do_dio: pins what the segment spans, as far as it goes, and starts a request over that. */
function enterSegment(
  pool: DioPool,
  request: DirectIoRequest,
  segment: UserSegment,
  fileOffsetBytes: number,
): MaybeTask<KernelReturn> {
  const dio = takeForPart(pool, request, segment, fileOffsetBytes);
  const { memory, trace } = dio;
  const { addressBytes } = segment;
  const firstPage = Math.floor(addressBytes / PAGE_BYTES);
  const wanted = makeRoomForPages(dio, segment);
  const pinned = pinUserPages(memory, firstPage, wanted, !dio.isWrite, dio.pages);
  if (trace !== null) trace.add(ROW_PIN, dio.id, -1, pinned, pinned < 0 ? -1 : firstPage);
  if (pinned <= 0) {
    pool.give(dio);
    return pinned;
  }
  dio.tail = pinned;
  const unit = chooseUnitOfParts(dio, fileOffsetBytes, [segment]);
  if (unit !== 0) return refuse(dio);
  // The offset counts twice where the first block is not the page's first: once in blocks, once in bytes, less a block.
  const offsetBytes = addressBytes % PAGE_BYTES;
  const blockBytes = 1 << dio.blockBits;
  dio.firstPageFrom = offsetBytes - (offsetBytes % blockBytes);
  dio.firstPageSkewBytes = offsetBytes - (dio.firstPageFrom === 0 ? 0 : blockBytes);
  if (dio.firstPageSkewBytes !== 0) pool.effects.misplacedBuffers++;
  return lockByType(dio, fileOffsetBytes);
}

/**
 * The entry with pages of the kernel's: nobody holds a reference for the request, and their offset is not checked. Of the vectors only
 * their pages are handed in, the offset in the first and the sum of their lengths: what else they say is lost.
 */
function enterKernelPages(
  pool: DioPool,
  request: DirectIoRequest,
  segments: readonly UserSegment[],
): MaybeTask<KernelReturn> {
  const fileOffsetBytes = request.iocb.positionBytes;
  const { addressBytes } = segments[0] as UserSegment;
  const lengthBytes = request.iter.remainingBytes;
  const dio = takeForPart(pool, request, { addressBytes, lengthBytes }, fileOffsetBytes);
  listPages(dio, segments);
  if (isPatchwork(segments)) pool.effects.misplacedBuffers++;
  if (chooseUnitOfParts(dio, fileOffsetBytes, [{ addressBytes: 0, lengthBytes }]) !== 0) {
    return refuse(dio);
  }
  dio.firstPageFrom = 0;
  dio.firstPageSkewBytes = addressBytes % PAGE_BYTES;
  return lockByType(dio, fileOffsetBytes);
}

/** direct_fill_pages: the pages of all vectors, one after the other. */
function listPages(dio: Dio, segments: readonly UserSegment[]): void {
  let count = 0;
  for (const { addressBytes, lengthBytes } of segments) {
    const firstPage = Math.floor(addressBytes / PAGE_BYTES);
    const end = Math.ceil((addressBytes + lengthBytes) / PAGE_BYTES);
    if (count + end - firstPage > dio.pages.length) {
      const grown = new Int32Array(2 * (count + end - firstPage));
      grown.set(dio.pages);
      dio.pages = grown;
    }
    for (let page = firstPage; page < end; page++) dio.pages[count++] = page;
  }
  dio.tail = count;
}

/** Not one run of bytes from page to page: a vector that does not end its page, or does not start the next one. */
function isPatchwork(segments: readonly UserSegment[]): boolean {
  for (let index = 1; index < segments.length; index++) {
    const before = segments[index - 1] as UserSegment;
    const startsInside = (segments[index] as UserSegment).addressBytes % PAGE_BYTES !== 0;
    if (startsInside || (before.addressBytes + before.lengthBytes) % PAGE_BYTES !== 0) return true;
  }
  return false;
}

function takeForPart(
  pool: DioPool,
  request: DirectIoRequest,
  segment: UserSegment,
  fileOffsetBytes: number,
): Dio {
  const dio = pool.take(request);
  dio.offsetBytes = fileOffsetBytes;
  dio.countBytes = segment.lengthBytes;
  dio.endBytes = fileOffsetBytes + segment.lengthBytes;
  if (dio.trace !== null) traceRequest(dio);
  return dio;
}

/** The pages that the segment spans; the array holds them all at once. */
function makeRoomForPages(dio: Dio, { addressBytes, lengthBytes }: UserSegment): number {
  const end = Math.ceil((addressBytes + lengthBytes) / PAGE_BYTES);
  const count = end - Math.floor(addressBytes / PAGE_BYTES);
  if (count > dio.pages.length) dio.pages = new Int32Array(count);
  return count;
}

/** EINVAL; pages that were pinned stay so. */
function refuse(dio: Dio): KernelReturn {
  dio.pool.give(dio);
  return -ERRNO.EINVAL;
}

/** direct_io_worker around the walk: one pass. */
export function walkPageArray(dio: Dio): KernelReturn {
  if (!dio.isInSegment) {
    dio.isInSegment = true;
    dio.pagesInIo = dio.tail + (dio.blockFactorBits === 0 ? 0 : 2);
    const blocks = Math.floor(dio.countBytes / (1 << dio.blockBits));
    dio.finalBlockInRequest = dio.blockInFile + blocks;
  }
  const walked = walk(dio);
  if (walked === SLEEPS) return SLEEPS;
  const leftBlocks = dio.finalBlockInRequest - dio.blockInFile;
  dio.result += dio.countBytes - leftBlocks * (1 << dio.blockBits);
  return walked;
}

/** dio_get_page: past the end of the array there is none, and nobody looks. */
export function takePageOfArray(dio: Dio): KernelReturn {
  dio.walkPage = dio.head < dio.tail ? (dio.pages[dio.head++] as number) : NULL_PAGE;
  dio.walkFrom = dio.firstPageFrom;
  dio.walkTo = PAGE_BYTES;
  dio.firstPageFrom = 0;
  return 0;
}

/** submit_page_section, which takes a null page for the piece held back where there is none. */
export function submitPageSectionOfArray(
  dio: Dio,
  page: number,
  offsetBytes: number,
  lengthBytes: number,
  dioBlock: number,
): KernelReturn {
  if (page !== NULL_PAGE) {
    return submitPageSectionLate(dio, page, offsetBytes, lengthBytes, dioBlock);
  }
  // With nothing held back the null page looks like a continuation of it, and grows it without being touched.
  const isGrown = growCurrentPage(dio, NO_PAGE, offsetBytes, lengthBytes, dioBlock);
  if (isGrown && !dio.boundary) return 0;
  if (isGrown) {
    sendCurrentPage(dio);
  } else if (dio.currentPage !== NO_PAGE) {
    const sent = sendCurrentPage(dio);
    dropCurrentPage(dio);
    if (sent !== 0) return sent;
  }
  throw new KernelBug('BUG: null page', 'a page that was not pinned is put under I/O');
}

/** dio_bio_complete: kernel pages are marked up to date instead of being let go. */
export function completeBioOfPages(dio: Dio, bio: Bio): KernelReturn {
  const isKernel = dio.iter.source === 'kernel';
  if (!isKernel || (dio.isAsync && !dio.isWrite)) return completeBioAsFailed(dio, bio);
  const isFailed = bio.status !== 0;
  if (isFailed) dio.ioError = -ERRNO.EIO;
  if (dio.ioError === 0) markUpToDate(dio, bio);
  dio.kernel.releaseBio(bio);
  return isFailed ? -ERRNO.EIO : 0;
}

/** SetPageUptodate on the page of every vector. */
function markUpToDate(dio: Dio, bio: Bio): void {
  const { memory, trace } = dio;
  for (let at = 0; at < bio.vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const page = bio.vectors[at] as number;
    const state = memory.state[page] as number;
    if ((state & PAGE_STATE.upToDate) !== 0) continue;
    memory.state[page] = state | PAGE_STATE.upToDate;
    if (trace !== null) trace.add(ROW_UPTODATE, dio.id, bio.id, page === ZERO_PAGE ? -1 : page);
  }
}
