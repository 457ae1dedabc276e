// SPDX-License-Identifier: GPL-2.0-only
/**
 * Requests that count bios twice, those to be completed and those in flight, and keep an error of a bio in the result itself
 * (finished_one_bio, dio_bio_complete, direct_io_worker of the first asynchronous direct I/O).
 *
 *   refCount (bio_count):      1 for the submitter and 1 for each bio not yet looked at; at 0 an asynchronous request completes
 *   biosInFlight:              submitted and not ended; the submitter is woken only when it reaches 0
 *
 * Worth knowing: an error that comes while the request is still being submitted is -EIO in `result`, and what is transferred after it
 * is added to that. That is how it was.
 */
import {
  BIO_CLOSE,
  ERRNO,
  isTask,
  TRACE,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { Bio } from '../../block/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import { NO_PAGE, type Dio, type DioPool } from '../state.ts';
import { chooseModeOfSegments } from './begin-flags.ts';
import { traceRequest } from './begin.ts';
import { completeKiocb } from './end.ts';
import { transfer } from './finish.ts';
import { dropCurrentPage, sendCurrentPage } from './section.ts';
import { chooseUnitBySegment } from './segments.ts';
import { releasePagesOfBio, submitBio } from './submit.ts';
import { zeroEdge } from './zero-edge.ts';

const ROW_BIO_END = TRACE['bio-end'];
const ROW_RESULT = TRACE.result;
const ROW_WAIT = TRACE.wait;

/** blockdev_direct_IO: alignment, and then straight to work, without a lock and without a look at the size of the file. */
export function enterWithoutLocks(
  pool: DioPool,
  request: DirectIoRequest,
): MaybeTask<KernelReturn> {
  const dio = pool.take(request);
  if (dio.trace !== null) traceRequest(dio);
  const unit = chooseUnitBySegment(dio);
  if (unit !== 0) {
    pool.give(dio);
    return unit;
  }
  // Nobody asks whether the request extends the file: an asynchronous one stays so.
  chooseModeOfSegments(dio, 0);
  request.willComplete = dio.isAsync;
  dio.pagesInIo = 0;
  for (const { lengthBytes } of dio.iter.segments) {
    dio.pagesInIo += Math.floor(lengthBytes / (1 << dio.blockBits)) + 2;
  }
  return transfer(dio);
}

/** dio_bio_end_io: the submitter is woken when no bio is in flight any more. */
export function endCountedBioForSubmitter(bio: Bio): void {
  const dio = bio.owner as Dio;
  if (dio.trace !== null) dio.trace.add(ROW_BIO_END, dio.id, bio.id, bio.status);
  dio.completedBios.push(bio);
  dio.biosInFlight--;
  if (dio.hasWaiter && dio.biosInFlight === 0) dio.kernel.scheduler.wakeAll(dio.bioWait);
}

/** dio_bio_end_aio. */
export function endCountedBio(bio: Bio): void {
  const dio = bio.owner as Dio;
  if (dio.trace !== null) dio.trace.add(ROW_BIO_END, dio.id, bio.id, bio.status);
  dio.revision.completeBio(dio, bio);
}

/** dio_bio_complete. */
export function completeCountedBio(dio: Dio, bio: Bio): KernelReturn {
  const isFailed = bio.status !== 0;
  if (isFailed) dio.result = -ERRNO.EIO;
  releasePagesOfBio(dio, bio, dio.shouldDirty && !dio.isAsync);
  dio.kernel.releaseBio(bio);
  finishOne(dio);
  return isFailed ? -ERRNO.EIO : 0;
}

/** finished_one_bio: the last one completes an asynchronous request. */
function finishOne(dio: Dio): void {
  if (--dio.refCount !== 0 || !dio.isAsync) return;
  completeKiocb(dio, dio.result);
  dio.pool.give(dio);
}

/** The rest of direct_io_worker. An asynchronous request returns its count and completes all the same. */
export function afterWalkCounted(dio: Dio, walked: KernelReturn): MaybeTask<KernelReturn> {
  let returned = walked;
  zeroEdge(dio, true);
  if (dio.currentPage !== NO_PAGE) {
    const sent = sendCurrentPage(dio);
    if (returned === 0) returned = sent;
    dropCurrentPage(dio);
  }
  if (dio.bio !== null) submitBio(dio, BIO_CLOSE.end);
  if (dio.isAsync) {
    if (returned === 0) returned = dio.result;
    finishOne(dio);
    return returned;
  }
  finishOne(dio);
  const awaited = awaitCounted(dio);
  return isTask(awaited) ? afterSleep(dio, returned, awaited) : finish(dio, returned, awaited);
}

/** dio_await_completion: until every bio has been looked at. The first error among them. */
function awaitCounted(dio: Dio): MaybeTask<KernelReturn> {
  let found: KernelReturn = 0;
  while (dio.refCount > 0) {
    const bio = dio.completedBios.pop();
    if (bio === undefined) return awaitAsleep(dio, found);
    const status = dio.revision.completeBio(dio, bio);
    if (found === 0) found = status;
  }
  return found;
}

function* awaitAsleep(dio: Dio, foundBefore: KernelReturn): Task<KernelReturn> {
  let found = foundBefore;
  if (dio.trace !== null) dio.trace.add(ROW_WAIT, dio.id, -1, dio.biosInFlight);
  while (dio.refCount > 0) {
    while (dio.completedBios.length === 0) {
      dio.hasWaiter = true;
      yield dio.bioWait;
      dio.hasWaiter = false;
    }
    const status = dio.revision.completeBio(dio, dio.completedBios.pop() as Bio);
    if (found === 0) found = status;
  }
  return found;
}

function* afterSleep(
  dio: Dio,
  returned: KernelReturn,
  task: Task<KernelReturn>,
): Task<KernelReturn> {
  return finish(dio, returned, yield* task);
}

/** Bytes win over every error, also those of the submitter and of the memory. */
function finish(dio: Dio, returned: KernelReturn, awaited: KernelReturn): KernelReturn {
  let result = returned;
  if (result === 0) result = awaited;
  if (result === 0) result = dio.pageError;
  if (dio.result !== 0) ({ result } = dio);
  if (dio.trace !== null) {
    dio.trace.add(ROW_RESULT, dio.id, -1, result, dio.result, returned, dio.pageError, awaited);
  }
  dio.pool.give(dio);
  return result;
}
