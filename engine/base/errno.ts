// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the modelled kernel returns: a value, never an exception. On hot paths it has the kernel's own form, a number:
 * bytes (>= 0) or minus an errno (< 0). At the engine's door it becomes an `IoResult`.
 * Host refusals are another road (host-error.ts), broken invariants a third (assert.ts).
 */
import type { Bytes } from './units.ts';

/** Linux numbers (include/uapi/asm-generic/errno*.h; EIOCBQUEUED from include/linux/errno.h). */
export const ERRNO = {
  EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13,
  EFAULT: 14, ENOTBLK: 15, EBUSY: 16, EEXIST: 17, ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22,
  ENFILE: 23, EMFILE: 24, ENOTTY: 25, ETXTBSY: 26, EFBIG: 27, ENOSPC: 28, EROFS: 30, EMLINK: 31,
  ENAMETOOLONG: 36, ENOSYS: 38, ENOTEMPTY: 39, ENODATA: 61, ETIME: 62, EOVERFLOW: 75, EOPNOTSUPP: 95,
  ETIMEDOUT: 110, EUCLEAN: 117, ECANCELED: 125, EIOCBQUEUED: 529,
} as const; // prettier-ignore

export type Errno = keyof typeof ERRNO;

/** Bytes (>= 0), or minus an errno of `ERRNO`. -EIOCBQUEUED means "in flight", and is not an error. */
export type KernelReturn = number;

const nameByNumber = new Map<number, Errno>(
  Object.entries(ERRNO).map(([name, number]) => [number, name as Errno]),
);

/** The name for a positive or negative errno number, or null where the number has none here. */
export function errnoName(value: number): Errno | null {
  return nameByNumber.get(Math.abs(value)) ?? null;
}

/** Outcomes the modelled kernel can return. Data, never thrown. */
export type Result<T, E = Errno> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E; readonly detail?: string };
/** Bytes moved, or an errno; 'queued' is -EIOCBQUEUED and is not an error. */
export type IoResult = Result<Bytes> | { readonly ok: 'queued' };

export const succeed = <T>(value: T): Result<T, never> => ({ ok: true, value });
export const fail = <E = Errno>(error: E, detail?: string): Result<never, E> =>
  detail === undefined ? { ok: false, error } : { ok: false, error, detail };
