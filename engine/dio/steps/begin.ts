// SPDX-License-Identifier: GPL-2.0-only
/**
 * The entry of direct I/O where one iterator holds the whole request (__blockdev_direct_IO, first half): lock, end of file,
 * alignment, dirty pages, completion mode.
 *
 *   enter -> [inode lock, may sleep] -> checkRequest -> [write and wait, may sleep] -> chooseMode -> transfer (finish.ts)
 *                                            \-- end of file, EINVAL, an error --> fail
 *
 * Each arrow is a plain call; a generator stands in only where something sleeps.
 */
import {
  BIO_FLAG,
  ERRNO,
  isTask,
  TRACE,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import type { Dio, DioPool } from '../state.ts';
import { transfer } from './finish.ts';
import { makeWorkQueue, setDeferCompletion } from './map-more.ts';

const ROW_REQUEST = TRACE.request;
const ROW_LOCK = TRACE.lock;
const ROW_UNLOCK = TRACE.unlock;
const ROW_UNLOCK_UNHELD = TRACE['note-unlock-unheld'];
const ROW_ALIGN = TRACE.align;
const ROW_BLOCK_FACTOR = TRACE['block-factor'];
const ROW_WRITE_AND_WAIT = TRACE['write-and-wait'];
const ROW_MODE = TRACE.mode;
const ROW_DIO_BEGIN = TRACE['dio-begin'];
const ROW_END_OF_FILE = TRACE['end-of-file'];

/** __blockdev_direct_IO. Bytes, minus an errno, or -EIOCBQUEUED. */
export function enterWithIterator(
  pool: DioPool,
  request: DirectIoRequest,
): MaybeTask<KernelReturn> {
  const { iter } = request;
  if (iter.direction === 'read' && iter.remainingBytes === 0) return 0;
  const dio = pool.take(request);
  if (dio.trace !== null) traceRequest(dio);
  if (!locksReads(dio)) return checkRequest(dio);
  if (!dio.inode.lock.tryLockExclusive()) return enterAfterLock(dio);
  noteLock(dio);
  return checkRequest(dio);
}

function* enterAfterLock(dio: Dio): Task<KernelReturn> {
  yield* dio.inode.lock.lockExclusive();
  noteLock(dio);
  const rest = checkRequest(dio);
  return isTask(rest) ? yield* rest : rest;
}

/** DIO_LOCKING and a read: the core holds the inode lock while blocks are looked up. */
export function locksReads(dio: Dio): boolean {
  return !dio.isWrite && dio.request.locking === 'core-locks';
}

export function traceRequest(dio: Dio): void {
  dio.trace?.add(
    ROW_REQUEST,
    dio.id,
    -1,
    dio.isWrite ? 1 : 0,
    dio.offsetBytes,
    dio.countBytes,
    dio.iocb.onComplete === null ? 0 : 1,
    dio.inode.sizeBytes,
    dio.iter.alignmentMask() & 0xffff,
  );
}

/** The request has the inode lock now. */
export function noteLock(dio: Dio): void {
  dio.holdsInodeLock = true;
  dio.trace?.add(ROW_LOCK, dio.id, -1);
}

/**
 * inode_unlock, mutex_unlock. Some revisions unlock what they do not hold: noted and counted, and nothing happens. A mutex of that
 * kernel would from then on have let two holders in; here whoever holds it keeps it, for the sake of the image.
 */
export function unlockInode(dio: Dio): void {
  const { lock } = dio.inode;
  dio.trace?.add(dio.holdsInodeLock ? ROW_UNLOCK : ROW_UNLOCK_UNHELD, dio.id, -1);
  if (!dio.holdsInodeLock) {
    dio.pool.effects.unheldUnlocks++;
    return;
  }
  dio.holdsInodeLock = false;
  lock.unlockExclusive();
}

/** The way out before anything was counted or submitted. */
function fail(dio: Dio, returned: KernelReturn): KernelReturn {
  if (locksReads(dio)) unlockInode(dio);
  dio.pool.give(dio);
  return returned;
}

/** End of file, alignment, dirty pages of the range. */
function checkRequest(dio: Dio): MaybeTask<KernelReturn> {
  const { inode, trace } = dio;
  dio.sizeBytes = inode.sizeBytes;
  if (!dio.isWrite && dio.offsetBytes >= dio.sizeBytes) {
    if (trace !== null) trace.add(ROW_END_OF_FILE, dio.id, -1, -1, dio.sizeBytes);
    return fail(dio, 0);
  }
  if (!chooseUnit(dio)) return fail(dio, -ERRNO.EINVAL);
  if (!locksReads(dio)) return chooseMode(dio);
  if (trace !== null) {
    trace.add(ROW_WRITE_AND_WAIT, dio.id, -1, dio.offsetBytes, dio.endBytes - 1);
  }
  const written = inode.mapping.writeAndWait(dio.offsetBytes, dio.endBytes - 1);
  if (isTask(written)) return afterSleepingWrite(dio, written);
  return written === 0 ? chooseMode(dio) : fail(dio, written);
}

function* afterSleepingWrite(dio: Dio, task: Task<KernelReturn>): Task<KernelReturn> {
  const written = yield* task;
  if (written !== 0) return fail(dio, written);
  const rest = chooseMode(dio);
  return isTask(rest) ? yield* rest : rest;
}

/**
 * The unit of the request: the file system's block where offset, addresses and lengths are multiples of it, else the device's
 * logical block where they are of that. False: neither (EINVAL). All three are tried together, once.
 */
function chooseUnit(dio: Dio): boolean {
  const { inode, request, trace } = dio;
  // Only the low bits matter, so that 32-bit operators will do for offsets of any size.
  const align = (dio.offsetBytes % 0x40000000) | dio.iter.alignmentMask();
  const fsBlockBits = inode.blockBits;
  let blockBits = fsBlockBits;
  let passes = (align & ((1 << blockBits) - 1)) === 0;
  if (trace !== null) traceAlign(dio, align, blockBits, passes, false);
  if (!passes) {
    const { device } = request;
    if (device !== null) blockBits = 31 - Math.clz32(device.limits.logicalBlockBytes);
    passes = (align & ((1 << blockBits) - 1)) === 0;
    if (trace !== null) traceAlign(dio, align, blockBits, passes, device !== null);
    if (!passes) return false;
  }
  dio.blockBits = blockBits;
  dio.blockFactorBits = fsBlockBits - blockBits;
  if (trace !== null) trace.add(ROW_BLOCK_FACTOR, dio.id, -1, blockBits, dio.blockFactorBits);
  return true;
}

export function traceAlign(
  dio: Dio,
  align: number,
  blockBits: number,
  passes: boolean,
  isLogicalBlock: boolean,
): void {
  // The lowest set bits say how fine the request is; the rest is noise.
  const alignBits = align & 0xffff;
  const blockBytes = 1 << blockBits;
  dio.trace?.add(
    ROW_ALIGN,
    dio.id,
    -1,
    alignBits,
    blockBytes,
    passes ? 1 : 0,
    isLogicalBlock ? 1 : 0,
  );
}

/** Asynchronous or not, deferred or not; then the request counts in i_dio_count and is transferred. */
function chooseMode(dio: Dio): MaybeTask<KernelReturn> {
  const { iocb, inode, iter, trace } = dio;
  // A write that extends the file is waited for: a size ahead of its data would show blocks nobody wrote yet.
  const isExtending = dio.isWrite && dio.endBytes > inode.sizeBytes;
  dio.isAsync = iocb.onComplete !== null && !isExtending;
  if (dio.isWrite) {
    const { traits } = dio;
    dio.bioFlags = traits.writeBioFlags;
    if (traits.passesNowait && iocb.isNowait) dio.bioFlags |= BIO_FLAG.nowait;
  }
  if (trace !== null) {
    const isDsync = iocb.isDsync ? 1 : 0;
    trace.add(ROW_MODE, dio.id, -1, dio.isAsync ? 1 : 0, isExtending ? 1 : 0, isDsync);
  }
  if (dio.isAsync && dio.isWrite) {
    const prepared = prepareDeferral(dio);
    if (prepared !== 0) return fail(dio, prepared);
  }
  if (trace !== null) trace.add(ROW_DIO_BEGIN, dio.id, -1);
  inode.dioCount++;
  dio.shouldDirty = !dio.isWrite && iter.source === 'user';
  const blockBytes = 1 << dio.blockBits;
  dio.blockInFile = Math.floor(dio.offsetBytes / blockBytes);
  dio.finalBlockInRequest = Math.floor(dio.endBytes / blockBytes);
  // Up to two more pages where parts of the first and the last block have to be zeroed.
  dio.pagesInIo = iter.pageCountLeft() + (dio.blockFactorBits === 0 ? 0 : 2);
  return transfer(dio);
}

/** An O_DSYNC write syncs in process context; any other may have to throw out cached pages there. */
function prepareDeferral(dio: Dio): KernelReturn {
  if (dio.iocb.isDsync) return setDeferCompletion(dio);
  return dio.inode.superBlock.hasDioWorkQueue ? 0 : makeWorkQueue(dio);
}
