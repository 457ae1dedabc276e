// SPDX-License-Identifier: GPL-2.0-only
/** Pages of the caller's memory: pinned in batches, handed to the walk one by one (dio_refill_pages, dio_get_page, dio_cleanup). */
import { KernelBug, PAGE_BYTES, TRACE, type KernelReturn } from '../../base/index.ts';
import { ZERO_PAGE } from '../../memory/index.ts';
import { DIO_PAGES, type Dio } from '../state.ts';

const ROW_PIN = TRACE.pin;
const ROW_ZERO_FILL = TRACE['zero-fill'];

/**
 * dio_refill_pages over an iov_iter: up to 64 pages of one segment. Where the memory is not there and a write still owns mapped
 * blocks, the zero page stands in for it until they are used up, so that no stale disk content becomes part of the file.
 * 0, or -EFAULT.
 */
export function refillFromIterator(dio: Dio): KernelReturn {
  const { iter, pages, trace } = dio;
  const got = iter.pinPages(DIO_PAGES, pages);
  if (trace !== null) {
    const count = got < 0 ? got : Math.ceil((got + iter.pinnedOffsetBytes) / PAGE_BYTES);
    trace.add(ROW_PIN, dio.id, -1, count, got < 0 ? -1 : pages[0]);
  }
  if (got >= 0) {
    if (got > 0) dio.queueFrom = iter.pinnedOffsetBytes;
    const end = got + dio.queueFrom;
    dio.head = 0;
    dio.tail = (end + PAGE_BYTES - 1) >>> 12;
    dio.queueTo = ((end - 1) & (PAGE_BYTES - 1)) + 1;
    return 0;
  }
  if (dio.blocksAvailable === 0 || !dio.isWrite) return got;
  coverWithZeroPage(dio, got);
  return 0;
}

/** The zero page becomes the whole queue; the fault is remembered for the result. */
export function coverWithZeroPage(dio: Dio, fault: KernelReturn): void {
  if (dio.pageError === 0) dio.pageError = fault;
  if (dio.trace !== null) dio.trace.add(ROW_ZERO_FILL, dio.id, -1, dio.blocksAvailable);
  if (dio.traits.zeroFillTakesReference) dio.memory.get(ZERO_PAGE);
  dio.pages[0] = ZERO_PAGE;
  dio.head = 0;
  dio.tail = 1;
  dio.queueFrom = 0;
  dio.queueTo = PAGE_BYTES;
}

/** dio_get_page where the iterator says in which part of a page the bytes lie. */
export function takePageOfIterator(dio: Dio): KernelReturn {
  if (dio.head === dio.tail) {
    const refilled = refillFromIterator(dio);
    if (refilled !== 0) return refilled;
    if (dio.head === dio.tail) throw new KernelBug('BUG: dio_get_page', 'no page after a refill');
  }
  const { head } = dio;
  dio.walkPage = dio.pages[head] as number;
  dio.walkFrom = head === 0 ? dio.queueFrom : 0;
  dio.walkTo = head === dio.tail - 1 ? dio.queueTo : PAGE_BYTES;
  dio.head = head + 1;
  return 0;
}

/** dio_cleanup: pages pinned ahead and not walked are let go. */
export function releaseQueuedPages(dio: Dio): void {
  while (dio.head < dio.tail) dio.memory.put(dio.pages[dio.head++] as number);
}
