// SPDX-License-Identifier: GPL-2.0-only
/**
 * Requests that are a list of segments (struct iovec): each is walked by itself, one after the other, with its own page queue and its
 * own end; what is mapped, the bio and the piece held back go on from one to the next (direct_io_worker's loop).
 *
 * Worth knowing: a segment starts with an empty queue, so pages that the one before left in it, where its walk stopped at the end of
 * the file, are never let go. That is how it was.
 */
import {
  ERRNO,
  KernelBug,
  PAGE_BITS,
  PAGE_BYTES,
  TRACE,
  type KernelReturn,
} from '../../base/index.ts';
import { pinUserPages, type UserSegment } from '../../memory/index.ts';
import { DIO_PAGES, SLEEPS, type Dio } from '../state.ts';
import { traceAlign } from './begin.ts';
import { coverWithZeroPage, releaseQueuedPages } from './pin.ts';
import { walk } from './walk.ts';

const ROW_PIN = TRACE.pin;
const ROW_BLOCK_FACTOR = TRACE['block-factor'];

/** The loop over the segments: 0, minus an errno, or `SLEEPS`. */
export function walkSegments(dio: Dio): KernelReturn {
  const { segments } = dio.iter;
  while (dio.segmentIndex < segments.length) {
    const segment = segments[dio.segmentIndex] as UserSegment;
    if (!dio.isInSegment) startSegment(dio, segment);
    const walked = walk(dio);
    if (walked === SLEEPS) return SLEEPS;
    dio.isInSegment = false;
    dio.segmentIndex++;
    if (walked === 0 || dio.traits.resultGrows === 'by-segment') {
      const leftBlocks = dio.finalBlockInRequest - dio.blockInFile;
      dio.result += segment.lengthBytes - leftBlocks * (1 << dio.blockBits);
    }
    if (walked !== 0) {
      releaseQueuedPages(dio);
      return walked;
    }
  }
  return 0;
}

function startSegment(dio: Dio, segment: UserSegment): void {
  const { addressBytes, lengthBytes } = segment;
  const offsetBytes = addressBytes & (PAGE_BYTES - 1);
  const { blockBits } = dio;
  dio.isInSegment = true;
  dio.firstPageFrom = (offsetBytes >>> blockBits) << blockBits;
  dio.finalBlockInRequest = dio.blockInFile + Math.floor(lengthBytes / (1 << blockBits));
  dio.head = 0;
  dio.tail = 0;
  dio.segmentPagesPinned = 0;
  // The first page counts even where nothing of the segment lies in it: its length is 0.
  const firstPages = offsetBytes === 0 ? 0 : 1;
  const afterFirst = offsetBytes === 0 ? lengthBytes : lengthBytes - (PAGE_BYTES - offsetBytes);
  dio.segmentPages = firstPages + Math.max(0, Math.ceil(afterFirst / PAGE_BYTES));
  dio.nextPinAddressBytes = addressBytes;
}

/** dio_refill_pages: the next pages of the segment, 64 at most. */
function refillFromSegment(dio: Dio): KernelReturn {
  const { memory, pages, trace } = dio;
  const wanted = Math.min(dio.segmentPages - dio.segmentPagesPinned, DIO_PAGES);
  const firstPage = Math.floor(dio.nextPinAddressBytes / PAGE_BYTES);
  const pinned = pinUserPages(memory, firstPage, wanted, !dio.isWrite, pages);
  if (trace !== null) trace.add(ROW_PIN, dio.id, -1, pinned, pinned < 0 ? -1 : firstPage);
  if (pinned >= 0) {
    dio.nextPinAddressBytes += pinned << PAGE_BITS;
    dio.segmentPagesPinned += pinned;
    dio.head = 0;
    dio.tail = pinned;
    return 0;
  }
  if (dio.blocksAvailable === 0 || !dio.isWrite) return pinned;
  coverWithZeroPage(dio, pinned);
  return 0;
}

/** dio_get_page: whole pages, but for the start of the first one of a segment. */
export function takePageOfSegment(dio: Dio): KernelReturn {
  if (dio.head === dio.tail) {
    const refilled = refillFromSegment(dio);
    if (refilled !== 0) return refilled;
    if (dio.head === dio.tail) throw new KernelBug('BUG: dio_get_page', 'no page after a refill');
  }
  dio.walkPage = dio.pages[dio.head++] as number;
  dio.walkFrom = dio.firstPageFrom;
  dio.walkTo = PAGE_BYTES;
  dio.firstPageFrom = 0;
  return 0;
}

/** The pages that all segments span: pages_in_io. */
export function pagesOfSegments(dio: Dio): number {
  let pages = 0;
  const { segments } = dio.iter;
  for (let index = 0; index < segments.length; index++) {
    const { addressBytes, lengthBytes } = segments[index] as UserSegment;
    const end = Math.ceil((addressBytes + lengthBytes) / PAGE_BYTES);
    pages += end - Math.floor(addressBytes / PAGE_BYTES);
  }
  return pages;
}

/**
 * The unit of a request of segments: the offset decides first, then each segment may make it small; once small, it stays small.
 * 0, or -EINVAL.
 */
export function chooseUnitBySegment(dio: Dio): KernelReturn {
  return chooseUnitOfParts(dio, dio.offsetBytes, dio.iter.segments);
}

/** The same for any place in the file and any parts of memory. */
export function chooseUnitOfParts(
  dio: Dio,
  fileOffsetBytes: number,
  parts: readonly UserSegment[],
): KernelReturn {
  const fsBlockBits = dio.inode.blockBits;
  let blockBits = bitsThatFit(dio, fileOffsetBytes % 0x40000000, fsBlockBits);
  for (let index = 0; index < parts.length && blockBits !== NO_UNIT; index++) {
    const { addressBytes, lengthBytes } = parts[index] as UserSegment;
    blockBits = bitsThatFit(dio, (addressBytes % 0x40000000) | lengthBytes, blockBits);
  }
  if (blockBits === NO_UNIT) return -ERRNO.EINVAL;
  dio.blockBits = blockBits;
  dio.blockFactorBits = fsBlockBits - blockBits;
  if (dio.trace !== null) {
    dio.trace.add(ROW_BLOCK_FACTOR, dio.id, -1, blockBits, dio.blockFactorBits);
  }
  return 0;
}

const NO_UNIT = -1;

/** The unit so far where it fits, else the device's logical block where that does, else `NO_UNIT`. */
function bitsThatFit(dio: Dio, align: number, blockBits: number): number {
  const passes = (align & ((1 << blockBits) - 1)) === 0;
  if (dio.trace !== null) {
    traceAlign(dio, align, blockBits, passes, blockBits !== dio.inode.blockBits);
  }
  if (passes) return blockBits;
  const { device } = dio.request;
  if (device === null) return NO_UNIT;
  const logicalBits = 31 - Math.clz32(device.limits.logicalBlockBytes);
  const passesSmall = (align & ((1 << logicalBits) - 1)) === 0;
  if (dio.trace !== null) traceAlign(dio, align, logicalBits, passesSmall, true);
  return passesSmall ? logicalBits : NO_UNIT;
}
