// SPDX-License-Identifier: GPL-2.0-only
/** Looking after completed bios of a request: reaping while it is built, and waiting at its end (dio_bio_reap, dio_await_one). */
import { TRACE, type KernelReturn, type MaybeTask, type Task } from '../../base/index.ts';
import type { Dio } from '../state.ts';

const ROW_WAIT = TRACE.wait;
/** New bios between two reaps. */
export const BIOS_BETWEEN_REAPS = 64;

/**
 * dio_bio_reap, called before each new bio: from the 65th on, and then again after as many, completed bios are looked at, so that
 * memory pinned by a large request stays limited. 0, or an error among them.
 */
export function reap(dio: Dio): KernelReturn {
  if (dio.reapCounter++ < BIOS_BETWEEN_REAPS) return 0;
  const keepsFirst = dio.traits.reapKeeps === 'first-error';
  let found: KernelReturn = 0;
  for (let bio = dio.completedBios.pop(); bio !== undefined; bio = dio.completedBios.pop()) {
    const status = dio.revision.completeBio(dio, bio);
    if (!keepsFirst || found === 0) found = status;
  }
  dio.reapCounter = 0;
  return found;
}

/** dio_await_completion: until every bio has ended and has been looked at. The value means nothing. */
export function awaitCompletion(dio: Dio): MaybeTask<0> {
  while (dio.refCount > 1 || dio.completedBios.length > 0) {
    const bio = dio.completedBios.pop();
    if (bio === undefined) return awaitAsleep(dio);
    dio.revision.completeBio(dio, bio);
  }
  return 0;
}

function* awaitAsleep(dio: Dio): Task<0> {
  if (dio.trace !== null) dio.trace.add(ROW_WAIT, dio.id, -1, dio.refCount - 1);
  for (;;) {
    while (dio.refCount > 1 && dio.completedBios.length === 0) {
      dio.hasWaiter = true;
      yield dio.bioWait;
      dio.hasWaiter = false;
    }
    const bio = dio.completedBios.pop();
    if (bio === undefined) return 0;
    dio.revision.completeBio(dio, bio);
  }
}

/** A bio of the request has ended and its reference is gone; wakes the submitter where it was the last. */
export function dropBioReference(dio: Dio): number {
  const remaining = --dio.refCount;
  if (remaining === 1 && dio.hasWaiter) dio.kernel.scheduler.wakeAll(dio.bioWait);
  return remaining;
}
