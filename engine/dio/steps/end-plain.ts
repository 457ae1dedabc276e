// SPDX-License-Identifier: GPL-2.0-only
/**
 * The end of bios and requests without a work queue (dio_bio_end_aio, dio_bio_complete, dio_complete): completion always runs where
 * the last bio ends, and end_io is only called where bytes were transferred.
 */
import {
  ERRNO,
  isTask,
  TRACE,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { Bio } from '../../block/index.ts';
import type { Dio } from '../state.ts';
import { dropBioReference } from './await.ts';
import { COMPLETE, completeKiocb, endDioCount, runInBackground, transferredBytes } from './end.ts';
import { releasePagesOfBio } from './submit.ts';

const ROW_BIO_END = TRACE['bio-end'];
const ROW_RESULT = TRACE.result;
const ROW_END_IO = TRACE['end-io'];
const ROW_ALLOC_SEM_UP = TRACE['alloc-sem-up'];

/** dio_bio_end_aio: the last bio completes the request. */
export function endBioAndRequestAtOnce(bio: Bio): void {
  const dio = bio.owner as Dio;
  if (dio.trace !== null) dio.trace.add(ROW_BIO_END, dio.id, bio.id, bio.status);
  dio.revision.completeBio(dio, bio);
  if (dropBioReference(dio) !== 0) return;
  runInBackground(dio, dio.revision.complete(dio, 0, COMPLETE.async));
}

/** dio_bio_complete: any error is EIO. */
export function completeBioAsFailed(dio: Dio, bio: Bio): KernelReturn {
  const isFailed = bio.status !== 0;
  if (isFailed) dio.ioError = -ERRNO.EIO;
  releasePagesOfBio(dio, bio, dio.shouldDirty && !dio.isAsync);
  dio.kernel.releaseBio(bio);
  return isFailed ? -ERRNO.EIO : 0;
}

/** The first that is not 0: what the submitter came back with, the memory fault, the bio error, the bytes. */
function plainResult(dio: Dio, returned: KernelReturn, transferred: number): KernelReturn {
  let result = returned === -ERRNO.EIOCBQUEUED ? 0 : returned;
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

/** The value as an `int` keeps it: 32 bits. It matters for reads that start more than 2 GiB beyond the end of the file. */
const asInt = (value: KernelReturn): KernelReturn => value | 0;

const driverWord = (dio: Dio): number => (typeof dio.driverData === 'number' ? dio.driverData : 0);

/** dio_complete where the file system's end_io takes over: it completes the kiocb and drops i_dio_count. */
export function completeThroughFileSystem(
  dio: Dio,
  returned: KernelReturn,
  flags: number,
): MaybeTask<KernelReturn> {
  const transferred = transferredBytes(dio, dio.iocb.positionBytes);
  const result = plainResult(dio, returned, transferred);
  const isAsync = (flags & COMPLETE.async) !== 0;
  const { endIo } = dio.request;
  if (endIo !== null && dio.result !== 0) {
    const { iocb, trace, driverData } = dio;
    const offsetBytes = iocb.positionBytes;
    // end_io takes the result as an int and completes the kiocb with that; a submitter that waited gets the whole.
    const returnedToFs = asInt(result);
    const kept = isAsync ? returnedToFs : result;
    if (trace !== null) {
      const word = driverWord(dio);
      const asyncFlag = isAsync ? 1 : 0;
      trace.add(ROW_END_IO, dio.id, -1, offsetBytes, transferred, word, returnedToFs, asyncFlag);
    }
    const legacy = { returned: returnedToFs, isAsync };
    const told = endIo(iocb, offsetBytes, transferred, driverData, legacy);
    if (isTask(told)) return afterTold(dio, kept, isAsync, told, leaveCounted);
    return leaveCounted(dio, kept, isAsync);
  }
  return leaveCounted(dio, result, isAsync);
}

/** aio_complete and inode_dio_done; with an end_io that is the file system's part, done here on its behalf. */
function leaveCounted(dio: Dio, result: KernelReturn, isAsync: boolean): KernelReturn {
  if (isAsync) completeKiocb(dio, result);
  endDioCount(dio);
  dio.pool.give(dio);
  return result;
}

/** dio_complete where end_io is only told, and i_alloc_sem kept truncate away. */
export function completeWithAllocSem(
  dio: Dio,
  returned: KernelReturn,
  flags: number,
): MaybeTask<KernelReturn> {
  const isAsync = (flags & COMPLETE.async) !== 0;
  const offsetBytes = placeOf(dio, isAsync);
  const transferred = transferredBytes(dio, offsetBytes);
  const { endIo } = dio.request;
  if (endIo !== null && dio.result !== 0) {
    const { iocb, trace, driverData } = dio;
    if (trace !== null) {
      trace.add(ROW_END_IO, dio.id, -1, offsetBytes, transferred, driverWord(dio), 0, -1);
    }
    const told = endIo(iocb, offsetBytes, transferred, driverData, null);
    if (isTask(told)) return afterTold(dio, returned, isAsync, told, leaveWithAllocSem);
  }
  return leaveWithAllocSem(dio, returned, isAsync);
}

/** Where the request starts, as the code sees it: the submitter knows, the last bio looks at the kiocb. */
const placeOf = (dio: Dio, isAsync: boolean): number =>
  isAsync ? dio.iocb.positionBytes : dio.offsetBytes;

function leaveWithAllocSem(dio: Dio, returned: KernelReturn, isAsync: boolean): KernelReturn {
  if (dio.holdsAllocSem) {
    if (dio.trace !== null) dio.trace.add(ROW_ALLOC_SEM_UP, dio.id, -1);
    dio.inode.allocationReaderCount = (dio.inode.allocationReaderCount ?? 0) - 1;
  }
  const result = asInt(plainResult(dio, returned, transferredBytes(dio, placeOf(dio, isAsync))));
  if (isAsync) completeKiocb(dio, result);
  dio.pool.give(dio);
  return result;
}

function* afterTold(
  dio: Dio,
  value: KernelReturn,
  isAsync: boolean,
  task: Task<KernelReturn>,
  leave: (dio: Dio, value: KernelReturn, isAsync: boolean) => KernelReturn,
): Task<KernelReturn> {
  yield* task;
  return leave(dio, value, isAsync);
}
