// SPDX-License-Identifier: GPL-2.0-only
/**
 * The entry of direct I/O over segments with lock types and i_alloc_sem (__blockdev_direct_IO).
 *
 *   core locks, read:    lock -> write and wait -> i_alloc_sem down -> transfer, which unlocks
 *   core locks, write:   i_alloc_sem down -> transfer
 *   driver locks, read:  (the caller holds the lock) write and wait -> unlock -> transfer -> lock again
 *   all else:            transfer
 *
 * An empty read takes no lock; what follows unlocks all the same where the core locks.
 */
import { isTask, TRACE, type KernelReturn, type MaybeTask, type Task } from '../../base/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import type { Dio, DioPool } from '../state.ts';
import { chooseModeOfSegments, writeAndWait } from './begin-flags.ts';
import { noteLock, traceRequest, unlockInode } from './begin.ts';
import { transfer } from './finish.ts';
import { chooseUnitBySegment } from './segments.ts';

const ROW_ALLOC_SEM_DOWN = TRACE['alloc-sem-down'];
const ROW_LOCK = TRACE.lock;
const ROW_TRUNCATE = TRACE.truncate;

/** __blockdev_direct_IO. Bytes, minus an errno, or -EIOCBQUEUED. */
export function enterWithLockTypes(
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
  return lockByType(dio, dio.endBytes);
}

/** Locks, writes back, transfers. `endBytes` is where the code believes that the request ends. */
export function lockByType(dio: Dio, endBytes: number): MaybeTask<KernelReturn> {
  const { locking } = dio.request;
  const locks = locking !== 'none' && !dio.isWrite && endBytes > dio.offsetBytes;
  if (!locks) return lockedTransfer(dio, endBytes);
  if (locking === 'core-locks') {
    if (!dio.inode.lock.tryLockExclusive()) return lockAsleep(dio, endBytes);
    noteLock(dio);
  }
  return writeBack(dio, endBytes);
}

function* lockAsleep(dio: Dio, endBytes: number): Task<KernelReturn> {
  yield* dio.inode.lock.lockExclusive();
  noteLock(dio);
  const rest = writeBack(dio, endBytes);
  return isTask(rest) ? yield* rest : rest;
}

function writeBack(dio: Dio, endBytes: number): MaybeTask<KernelReturn> {
  const written = writeAndWait(dio);
  return isTask(written)
    ? afterSleepingWrite(dio, endBytes, written)
    : afterWrite(dio, endBytes, written);
}

function* afterSleepingWrite(
  dio: Dio,
  endBytes: number,
  task: Task<KernelReturn>,
): Task<KernelReturn> {
  const rest = afterWrite(dio, endBytes, yield* task);
  return isTask(rest) ? yield* rest : rest;
}

function afterWrite(dio: Dio, endBytes: number, written: KernelReturn): MaybeTask<KernelReturn> {
  const isCoreLock = dio.request.locking === 'core-locks';
  if (written !== 0) {
    if (isCoreLock) unlockInode(dio);
    dio.pool.give(dio);
    return written;
  }
  if (!isCoreLock) {
    // The caller's own lock, handed over with the request.
    dio.holdsInodeLock = dio.inode.lock.isHeldExclusive;
    unlockInode(dio);
    dio.mustRelock = true;
  }
  return lockedTransfer(dio, endBytes);
}

function lockedTransfer(dio: Dio, endBytes: number): MaybeTask<KernelReturn> {
  const { inode, request } = dio;
  if (request.locking === 'core-locks') {
    dio.trace?.add(ROW_ALLOC_SEM_DOWN, dio.id, -1);
    dio.holdsAllocSem = true;
    inode.allocationReaderCount = (inode.allocationReaderCount ?? 0) + 1;
  }
  chooseModeOfSegments(dio, endBytes);
  // What is needed after the transfer, when the request may have been completed and used again.
  const { id, isWrite, mustRelock } = dio;
  const truncates = isWrite && dio.traits.truncatesFailedWrite;
  const returned = transfer(dio);
  const mayTruncate = truncates && (isTask(returned) || returned < 0);
  if (!mayTruncate && !mustRelock) return returned;
  const leaving: Leaving = { request, id, endBytes, truncates, mustRelock };
  if (isTask(returned)) return leaveAsleep(leaving, returned);
  const failed = truncateFailed(leaving, returned);
  if (isTask(failed)) return leaveAsleep(leaving, returned, failed);
  if (!mustRelock) return returned;
  if (!inode.lock.tryLockExclusive()) return relockAsleep(leaving, returned);
  request.kernel.trace?.add(ROW_LOCK, id, -1);
  return returned;
}

interface Leaving {
  readonly request: DirectIoRequest;
  readonly id: number;
  readonly endBytes: number;
  readonly truncates: boolean;
  readonly mustRelock: boolean;
}

/** vmtruncate: blocks that a failed extending write allocated beyond the end of the file go again. */
function truncateFailed(leaving: Leaving, returned: KernelReturn): MaybeTask<void> {
  const { request } = leaving;
  const { inode, kernel } = request;
  if (!leaving.truncates || returned >= 0) return;
  if (leaving.endBytes <= inode.sizeBytes || request.locking !== 'core-locks') return;
  kernel.trace?.add(ROW_TRUNCATE, leaving.id, -1, inode.sizeBytes);
  return request.truncate(inode, inode.sizeBytes);
}

function* leaveAsleep(
  leaving: Leaving,
  transferring: MaybeTask<KernelReturn>,
  truncating: Task<void> | null = null,
): Task<KernelReturn> {
  const returned = isTask(transferring) ? yield* transferring : transferring;
  const failed = truncating ?? truncateFailed(leaving, returned);
  if (isTask(failed)) yield* failed;
  if (!leaving.mustRelock) return returned;
  return yield* relockAsleep(leaving, returned);
}

/** The caller gets the lock back that was dropped for the transfer. */
function* relockAsleep(leaving: Leaving, returned: KernelReturn): Task<KernelReturn> {
  const { inode, kernel } = leaving.request;
  if (!inode.lock.tryLockExclusive()) yield* inode.lock.lockExclusive();
  kernel.trace?.add(ROW_LOCK, leaving.id, -1);
  return returned;
}
