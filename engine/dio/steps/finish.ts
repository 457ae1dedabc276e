// SPDX-License-Identifier: GPL-2.0-only
/**
 * From the walk to the value that the caller gets (__blockdev_direct_IO, second half): what the walk left over goes out, the pages it
 * did not use are let go, the lock is dropped, and the submitter waits or leaves.
 */
import {
  BIO_CLOSE,
  ERRNO,
  isTask,
  KernelBug,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import { NO_PAGE, SLEEPS, type Dio } from '../state.ts';
import { awaitCompletion } from './await.ts';
import { locksReads, unlockInode } from './begin.ts';
import { COMPLETE } from './end.ts';
import { releaseQueuedPages } from './pin.ts';
import { dropCurrentPage, sendCurrentPage } from './section.ts';
import { submitBio } from './submit.ts';
import { zeroEdge } from './zero-edge.ts';

/** The walk, then the rest. */
export function transfer(dio: Dio): MaybeTask<KernelReturn> {
  const { revision } = dio;
  if (dio.traits.plugs) dio.kernel.startPlug();
  const walked = revision.walkRequest(dio);
  return walked === SLEEPS ? transferAsleep(dio) : revision.afterWalk(dio, walked);
}

function* transferAsleep(dio: Dio): Task<KernelReturn> {
  let walked: KernelReturn = SLEEPS;
  while (walked === SLEEPS) {
    dio.mapAnswer = yield* dio.pendingTask as Task<KernelReturn>;
    dio.pendingTask = null;
    walked = dio.revision.walkRequest(dio);
  }
  const rest = dio.revision.afterWalk(dio, walked);
  return isTask(rest) ? yield* rest : rest;
}

/** Everything goes out, the request is unlocked, and the submitter waits or leaves. */
export function afterWalkOfIterator(dio: Dio, walked: KernelReturn): MaybeTask<KernelReturn> {
  if (walked !== 0) releaseQueuedPages(dio);
  // The rest of a write that met a hole is the page cache's: not an error.
  const stopped = dio.isWrite || dio.traits.readsMayStop;
  let returned = stopped && walked === -ERRNO.ENOTBLK ? 0 : walked;
  zeroEdge(dio, true);
  const sent = submitRest(dio);
  if (returned === 0) returned = sent;
  if (dio.traits.plugs) dio.kernel.finishPlug();
  // A read that ended at the end of the file leaves pages behind, too.
  releaseQueuedPages(dio);
  // All blocks are looked up: truncate may come now.
  if (locksReads(dio)) unlockInode(dio);
  return leaveOrWait(dio, returned);
}

/** The piece held back and the bio in hand. 0, or the sender's error. */
export function submitRest(dio: Dio): KernelReturn {
  let sent: KernelReturn = 0;
  if (dio.currentPage !== NO_PAGE) {
    sent = sendCurrentPage(dio);
    dropCurrentPage(dio);
  }
  if (dio.bio !== null) submitBio(dio, BIO_CLOSE.end);
  return sent;
}

/** Bios stay in flight only behind a read or a whole write that went well; everything else is waited for. */
function leaveOrWait(dio: Dio, returned: KernelReturn): MaybeTask<KernelReturn> {
  if (returned === -ERRNO.EIOCBQUEUED) {
    throw new KernelBug('BUG: __blockdev_direct_IO', 'queued before it was decided');
  }
  const leaves =
    dio.isAsync &&
    returned === 0 &&
    dio.result !== 0 &&
    (dio.result === dio.countBytes || (!dio.isWrite && dio.traits.asyncReadsLeave === 'any'));
  if (leaves) return dropSubmitter(dio, -ERRNO.EIOCBQUEUED);
  const isShortRead = dio.isAsync && !dio.isWrite && returned === 0 && dio.result !== 0;
  if (isShortRead) dio.pool.effects.shortReadWaits++;
  const awaited = awaitCompletion(dio);
  return isTask(awaited) ? afterWait(dio, returned, awaited) : dropSubmitter(dio, returned);
}

function* afterWait(dio: Dio, returned: KernelReturn, task: Task<0>): Task<KernelReturn> {
  yield* task;
  const rest = dropSubmitter(dio, returned);
  return isTask(rest) ? yield* rest : rest;
}

/** drop_refcount: the last one completes the request; that may be the submitter even of an asynchronous one. */
function dropSubmitter(dio: Dio, returned: KernelReturn): MaybeTask<KernelReturn> {
  if (--dio.refCount === 0) return dio.revision.complete(dio, returned, COMPLETE.invalidate);
  if (returned !== -ERRNO.EIOCBQUEUED) {
    throw new KernelBug('BUG: __blockdev_direct_IO', 'bios in flight behind a final result');
  }
  return returned;
}
