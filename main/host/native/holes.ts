// SPDX-License-Identifier: GPL-2.0-only
/** Where a file of the host has data and where it has holes, and blocks taken for all of it: lseek(2) and fallocate(2) by number. */
import { ERRNO, errnoName, HostError } from '../../../engine/base/index.ts';
import { nativeSyscalls } from './syscalls.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ALIGN_BYTES = 4096;

export interface DataRange {
  readonly startBytes: number;
  readonly endBytes: number;
}

/**
 * The next range with data at or after `fromBytes`, out to whole blocks of 4096 bytes; null: only a hole is left. Moves the
 * descriptor's position. Where the host cannot tell, everything is data.
 */
export function nextDataRange(fd: number, fromBytes: number, sizeBytes: number): DataRange | null {
  if (fromBytes >= sizeBytes) return null;
  const rest = { startBytes: fromBytes, endBytes: sizeBytes };
  const host = nativeSyscalls();
  if (host === null) return rest;
  const { table, numbers } = host;
  const start = table.call(numbers.lseek, fd, fromBytes, SEEK_DATA, 0, 0, 0);
  if (start === -ERRNO.ENXIO) return null;
  if (start < 0) return rest;
  const end = table.call(numbers.lseek, fd, start, SEEK_HOLE, 0, 0, 0);
  return {
    startBytes: Math.max(fromBytes, start - (start % ALIGN_BYTES)),
    endBytes: end < 0 ? sizeBytes : Math.min(sizeBytes, Math.ceil(end / ALIGN_BYTES) * ALIGN_BYTES),
  };
}

/** Takes blocks of the host for the whole file. False: the file system of the host cannot do that. Throws a `HostError` where it is full. */
export function allocateFile(fd: number, sizeBytes: number, path: string): boolean {
  const host = nativeSyscalls();
  if (host === null) return false;
  const { table, numbers } = host;
  const status = table.call(numbers.fallocate, fd, 0, 0, sizeBytes, 0, 0);
  if (status >= 0) return true;
  if (status === -ERRNO.EOPNOTSUPP || status === -ERRNO.ENOSYS) return false;
  const errno = errnoName(status) ?? String(status);
  throw new HostError({
    code: status === -ERRNO.ENOSPC ? 'host.no-space' : 'host.file',
    message: `${String(sizeBytes)} bytes cannot be allocated: ${errno}`,
    where: path,
    hint: 'Make it smaller, or choose a folder on another disk.',
    exitCode: 73,
    data: { errno },
  });
}
