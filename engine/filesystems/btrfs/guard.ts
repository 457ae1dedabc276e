// SPDX-License-Identifier: GPL-2.0-only
/** Damage found while mounted becomes what the kernel returns: EUCLEAN, or EIO where the device refused, with the sentence kept. */
import {
  ERRNO,
  fail,
  HostError,
  type KernelReturn,
  type Result,
  type Task,
} from '../../base/index.ts';

const isUnreadable = (error: HostError): boolean => error.code === 'image.unreadable';

export function* guarded<T>(task: Task<Result<T>>): Task<Result<T>> {
  try {
    return yield* task;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const where = error.where === undefined ? '' : ` (${error.where})`;
    return fail(isUnreadable(error) ? 'EIO' : 'EUCLEAN', `${error.message}${where}`);
  }
}

export function* guardedReturn(task: Task<KernelReturn>): Task<KernelReturn> {
  try {
    return yield* task;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return isUnreadable(error) ? -ERRNO.EIO : -ERRNO.EUCLEAN;
  }
}
