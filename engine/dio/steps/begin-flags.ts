// SPDX-License-Identifier: GPL-2.0-only
/**
 * The entry of direct I/O over segments with flags and i_dio_count (__blockdev_direct_IO, direct_io_worker).
 *
 *   enter -> unit -> [inode lock, may sleep] -> [write and wait, may sleep] -> count up -> transfer (finish.ts)
 */
import { isTask, TRACE, type KernelReturn, type MaybeTask, type Task } from '../../base/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import type { Dio, DioPool } from '../state.ts';
import { locksReads, noteLock, traceRequest, unlockInode } from './begin.ts';
import { transfer } from './finish.ts';
import { chooseUnitBySegment, pagesOfSegments } from './segments.ts';

const ROW_WRITE_AND_WAIT = TRACE['write-and-wait'];
const ROW_DIO_BEGIN = TRACE['dio-begin'];
const ROW_MODE = TRACE.mode;

/** __blockdev_direct_IO. Bytes, minus an errno, or -EIOCBQUEUED. */
export function enterWithFlags(pool: DioPool, request: DirectIoRequest): MaybeTask<KernelReturn> {
  const dio = pool.take(request);
  if (dio.trace !== null) traceRequest(dio);
  const unit = chooseUnitBySegment(dio);
  if (unit !== 0 || (!dio.isWrite && dio.countBytes === 0)) {
    pool.give(dio);
    return unit;
  }
  if (!locksReads(dio)) return beginCounted(dio);
  if (!dio.inode.lock.tryLockExclusive()) return enterAfterLock(dio);
  return writeBack(dio);
}

function* enterAfterLock(dio: Dio): Task<KernelReturn> {
  yield* dio.inode.lock.lockExclusive();
  const rest = writeBack(dio);
  return isTask(rest) ? yield* rest : rest;
}

function writeBack(dio: Dio): MaybeTask<KernelReturn> {
  noteLock(dio);
  const written = writeAndWait(dio);
  return isTask(written) ? afterSleepingWrite(dio, written) : afterWrite(dio, written);
}

/** filemap_write_and_wait_range over the request. */
export function writeAndWait(dio: Dio): MaybeTask<KernelReturn> {
  const lastByte = dio.endBytes - 1;
  dio.trace?.add(ROW_WRITE_AND_WAIT, dio.id, -1, dio.offsetBytes, lastByte);
  return dio.inode.mapping.writeAndWait(dio.offsetBytes, lastByte);
}

function* afterSleepingWrite(dio: Dio, task: Task<KernelReturn>): Task<KernelReturn> {
  const rest = afterWrite(dio, yield* task);
  return isTask(rest) ? yield* rest : rest;
}

function afterWrite(dio: Dio, written: KernelReturn): MaybeTask<KernelReturn> {
  if (written === 0) return beginCounted(dio);
  unlockInode(dio);
  dio.pool.give(dio);
  return written;
}

function beginCounted(dio: Dio): MaybeTask<KernelReturn> {
  dio.trace?.add(ROW_DIO_BEGIN, dio.id, -1);
  dio.inode.dioCount++;
  chooseModeOfSegments(dio, dio.endBytes);
  return transfer(dio);
}

/**
 * is_async, and what direct_io_worker sets up. A write beyond the end of the file is waited for; `endBytes` is where the code
 * believes that the request ends.
 */
export function chooseModeOfSegments(dio: Dio, endBytes: number): void {
  const { inode, iocb } = dio;
  const isExtending = dio.isWrite && endBytes > inode.sizeBytes;
  dio.isAsync = iocb.onComplete !== null && !isExtending;
  if (dio.trace !== null) {
    const isDsync = iocb.isDsync ? 1 : 0;
    dio.trace.add(ROW_MODE, dio.id, -1, dio.isAsync ? 1 : 0, isExtending ? 1 : 0, isDsync);
  }
  dio.bioFlags = dio.isWrite ? dio.traits.writeBioFlags : 0;
  dio.shouldDirty = !dio.isWrite;
  dio.sizeBytes = inode.sizeBytes;
  dio.blockInFile = Math.floor(dio.offsetBytes / (1 << dio.blockBits));
  dio.pagesInIo = pagesOfSegments(dio) + (dio.blockFactorBits === 0 ? 0 : 2);
}
