// SPDX-License-Identifier: GPL-2.0-only
/**
 * The end of bios and of the request (dio_bio_end_io, dio_bio_end_aio, dio_bio_complete, dio_complete).
 *
 * Which result the caller gets, first that is not 0: what the submitter came back with (EFAULT does not count where bytes were
 * transferred), the first memory fault, the last bio error, the bytes transferred. Then end_io may replace it.
 */
import {
  ERRNO,
  BIO_FLAG,
  isTask,
  PAGE_BITS,
  TRACE,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { Bio } from '../../block/index.ts';
import type { Dio } from '../state.ts';
import { dropBioReference } from './await.ts';
import { releasePagesOfBio } from './submit.ts';

const ROW_BIO_END = TRACE['bio-end'];
const ROW_DEFER = TRACE.defer;
const ROW_WORK = TRACE.work;
const ROW_RESULT = TRACE.result;
const ROW_END_IO = TRACE['end-io'];
const ROW_INVALIDATE = TRACE.invalidate;
const ROW_STALE = TRACE.stale;
const ROW_DIO_END = TRACE['dio-end'];
const ROW_FSYNC = TRACE.fsync;
const ROW_KIOCB_COMPLETE = TRACE['kiocb-complete'];

/** Flags of `complete`: the caller of the request has gone (DIO_COMPLETE_ASYNC); cached pages may be invalidated. */
export const COMPLETE = { async: 1, invalidate: 2 } as const;

/** dio_bio_end_io: the submitter will look at it; wakes it at the last one. */
export function endBioForSubmitter(bio: Bio): void {
  const dio = bio.owner as Dio;
  if (dio.trace !== null) dio.trace.add(ROW_BIO_END, dio.id, bio.id, bio.status);
  dio.completedBios.push(bio);
  dropBioReference(dio);
}

/** dio_bio_end_aio: the last one completes the request, or hands that to the work queue where it has to sleep. */
export function endBioAndRequest(bio: Bio): void {
  const dio = bio.owner as Dio;
  if (dio.trace !== null) dio.trace.add(ROW_BIO_END, dio.id, bio.id, bio.status);
  dio.revision.completeBio(dio, bio);
  if (dropBioReference(dio) !== 0) return;
  // Cached pages of a written range may have been filled while the write was in flight; throwing them out may sleep.
  const mustDefer =
    dio.result !== 0 &&
    (dio.deferCompletion || (dio.isWrite && dio.inode.mapping.cachedPageCount > 0));
  if (!mustDefer) {
    runInBackground(dio, dio.revision.complete(dio, 0, COMPLETE.async));
    return;
  }
  const { id, trace } = dio;
  if (trace !== null) trace.add(ROW_DEFER, id, -1);
  dio.kernel.queueWork('dio completion', () => {
    if (trace !== null) trace.add(ROW_WORK, id, -1);
    return ignoreValue(dio.revision.complete(dio, 0, COMPLETE.async | COMPLETE.invalidate));
  });
}

function ignoreValue(value: MaybeTask<KernelReturn>): MaybeTask<void> {
  return isTask(value) ? waitAndIgnore(value) : undefined;
}
function* waitAndIgnore(task: Task<KernelReturn>): Task<void> {
  yield* task;
}

/** A completion outside of any task that has to sleep after all becomes a task of its own. */
export function runInBackground(dio: Dio, value: MaybeTask<KernelReturn>): void {
  if (isTask(value)) dio.kernel.scheduler.spawn('dio completion', value);
}

/** dio_bio_complete: keeps the error, lets go of the pages and the bio. The bio's own error, as reaping sees it. */
export function completeBioKeepingAgain(dio: Dio, bio: Bio): KernelReturn {
  const { status } = bio;
  if (status !== 0) {
    const isAgain = status === -ERRNO.EAGAIN && (bio.flags & BIO_FLAG.nowait) !== 0;
    dio.ioError = isAgain ? status : -ERRNO.EIO;
  }
  // Pages of an asynchronous read were dirtied before it was submitted.
  releasePagesOfBio(dio, bio, dio.shouldDirty && !dio.isAsync);
  dio.kernel.releaseBio(bio);
  return status;
}

/** dio_complete where end_io always runs, and may replace the result. The dio is free when this is done. */
export function completeAndInvalidate(
  dio: Dio,
  returned: KernelReturn,
  flags: number,
): MaybeTask<KernelReturn> {
  const transferred = transferredBytes(dio, dio.iocb.positionBytes);
  const result = resultByPrecedence(dio, returned, transferred);
  const { endIo } = dio.request;
  if (endIo === null) return afterEndIo(dio, result, transferred, flags);
  if (dio.trace !== null) {
    const word = typeof dio.driverData === 'number' ? dio.driverData : 0;
    dio.trace.add(ROW_END_IO, dio.id, -1, dio.iocb.positionBytes, result, word, 0, -1);
  }
  const replaced = endIo(dio.iocb, dio.iocb.positionBytes, result, dio.driverData, null);
  if (isTask(replaced)) return afterSleepingEndIo(dio, result, transferred, flags, replaced);
  return afterEndIo(dio, replaced === 0 ? result : replaced, transferred, flags);
}

/** Bytes that count: a read ends at the end of the file. */
export function transferredBytes(dio: Dio, offsetBytes: number): number {
  if (dio.result === 0) return 0;
  const isBeyondEnd = !dio.isWrite && offsetBytes + dio.result > dio.sizeBytes;
  return isBeyondEnd ? dio.sizeBytes - offsetBytes : dio.result;
}

function resultByPrecedence(dio: Dio, returned: KernelReturn, transferred: number): KernelReturn {
  let result = returned === -ERRNO.EIOCBQUEUED ? 0 : returned;
  if (result === -ERRNO.EFAULT && transferred !== 0) result = 0;
  if (result === 0) result = dio.pageError;
  if (result === 0) result = dio.ioError;
  if (result === 0) result = transferred;
  if (dio.trace !== null) {
    dio.trace.add(
      ROW_RESULT,
      dio.id,
      -1,
      result,
      transferred,
      returned,
      dio.pageError,
      dio.ioError,
    );
  }
  return result;
}

function* afterSleepingEndIo(
  dio: Dio,
  result: KernelReturn,
  transferred: number,
  flags: number,
  task: Task<KernelReturn>,
): Task<KernelReturn> {
  const replaced = yield* task;
  const rest = afterEndIo(dio, replaced === 0 ? result : replaced, transferred, flags);
  return isTask(rest) ? yield* rest : rest;
}

/** Cached pages of a written range go: they may hold what was there before. After end_io, which may convert the extent. */
function afterEndIo(
  dio: Dio,
  result: KernelReturn,
  transferred: number,
  flags: number,
): MaybeTask<KernelReturn> {
  const { inode, iocb, trace } = dio;
  const invalidates = (flags & COMPLETE.invalidate) !== 0 && result > 0 && dio.isWrite;
  if (!invalidates || inode.mapping.cachedPageCount === 0) {
    return afterInvalidate(dio, result, transferred, flags);
  }
  const firstPage = Math.floor(iocb.positionBytes / (1 << PAGE_BITS));
  const lastPage = Math.floor((iocb.positionBytes + result - 1) / (1 << PAGE_BITS));
  if (trace !== null) trace.add(ROW_INVALIDATE, dio.id, -1, firstPage, lastPage);
  const invalidated = inode.mapping.invalidate(firstPage, lastPage);
  if (isTask(invalidated)) {
    return afterSleepingInvalidate(dio, result, transferred, flags, invalidated);
  }
  if (invalidated !== 0 && trace !== null) trace.add(ROW_STALE, dio.id, -1);
  return afterInvalidate(dio, result, transferred, flags);
}

function* afterSleepingInvalidate(
  dio: Dio,
  result: KernelReturn,
  transferred: number,
  flags: number,
  task: Task<KernelReturn>,
): Task<KernelReturn> {
  const invalidated = yield* task;
  if (invalidated !== 0 && dio.trace !== null) dio.trace.add(ROW_STALE, dio.id, -1);
  const rest = afterInvalidate(dio, result, transferred, flags);
  return isTask(rest) ? yield* rest : rest;
}

/** inode_dio_end; for a caller that has gone, generic_write_sync and ki_complete. */
function afterInvalidate(
  dio: Dio,
  result: KernelReturn,
  transferred: number,
  flags: number,
): MaybeTask<KernelReturn> {
  const { iocb, request } = dio;
  endDioCount(dio);
  if ((flags & COMPLETE.async) === 0) return finished(dio, result, flags);
  // generic_write_sync wants the position moved on, which submission does for synchronous requests only.
  const offsetBytes = iocb.positionBytes;
  iocb.positionBytes = offsetBytes + transferred;
  if (result <= 0 || !dio.isWrite || !iocb.isDsync) return finished(dio, result, flags);
  const lastByte = iocb.positionBytes - 1;
  const firstByte = iocb.positionBytes - result;
  if (dio.trace !== null) dio.trace.add(ROW_FSYNC, dio.id, -1, firstByte, lastByte);
  const synced = request.writeSync(iocb, firstByte, lastByte);
  if (isTask(synced)) return afterSleepingSync(dio, result, flags, synced);
  return finished(dio, synced === 0 ? result : synced, flags);
}

function* afterSleepingSync(
  dio: Dio,
  result: KernelReturn,
  flags: number,
  task: Task<KernelReturn>,
): Task<KernelReturn> {
  const synced = yield* task;
  return finished(dio, synced === 0 ? result : synced, flags);
}

/** inode_dio_end: truncate may go on at 0. */
export function endDioCount(dio: Dio): void {
  if (dio.trace !== null) dio.trace.add(ROW_DIO_END, dio.id, -1);
  dio.inode.dioCount--;
}

/** ki_complete, and the end of the `Dio`. */
function finished(dio: Dio, result: KernelReturn, flags: number): KernelReturn {
  if ((flags & COMPLETE.async) !== 0) completeKiocb(dio, result);
  dio.pool.give(dio);
  return result;
}

/** The asynchronous caller learns the result. */
export function completeKiocb(dio: Dio, result: KernelReturn): void {
  const { iocb } = dio;
  if (dio.trace !== null) dio.trace.add(ROW_KIOCB_COMPLETE, dio.id, -1, result);
  iocb.onComplete?.(iocb, result);
}
