// SPDX-License-Identifier: GPL-2.0-only
/**
 * A system call table over Node's own file functions, for systems whose calls have no stable numbers (macOS, Windows): the executors
 * `sync` and `threads` run on it unchanged. Every other call is ENOSYS, so that io_uring and libaio refuse and say so.
 *
 * Rule: `makeFsCall` uses nothing outside itself, because its text is sent to the I/O threads (fs-threads.ts).
 */
import type { SyscallTable } from '../../../../engine/base/index.ts';
import { syscallNumbers, type SyscallNumbers } from '../../../../engine/executor/linux.ts';

/** Memory that addresses point into. */
export interface Region {
  readonly baseAddress: number;
  readonly bytes: Uint8Array;
}
/** As much of node:fs as the data path takes. */
export interface DataFiles {
  readvSync(fd: number, buffers: readonly Uint8Array[], position: number): number;
  writevSync(fd: number, buffers: readonly Uint8Array[], position: number): number;
  fsyncSync(fd: number): void;
  fdatasyncSync(fd: number): void;
  closeSync(fd: number): void;
}

/** Linux's numbers as mere names: no call by number is ever made with them here. */
export const FS_NUMBERS = syscallNumbers('x64') as SyscallNumbers;

/**
 * Calls by the numbers of `FS_NUMBERS`; the result is bytes or minus an errno of `errnos` (by the name that Node gives).
 * `openScratch` opens the file for the executors' self-test.
 */
export function makeFsCall(
  files: DataFiles,
  regions: readonly Region[],
  numbers: SyscallNumbers,
  errnos: Readonly<Record<string, number>>,
  openScratch: (() => number) | null,
): SyscallTable['call'] {
  const RWF = { hipri: 1, dsync: 2, sync: 4, nowait: 8 };
  const view = (address: number, lengthBytes: number): Uint8Array => {
    for (const { baseAddress, bytes } of regions) {
      const at = address - baseAddress;
      if (at >= 0 && at + lengthBytes <= bytes.length) return bytes.subarray(at, at + lengthBytes);
    }
    throw Object.assign(new Error('no such memory'), { code: 'EFAULT' });
  };
  /** struct iovec, 16 bytes each:  0 base u64   8 length u64 */
  const vectors = (address: number, count: number): Uint8Array[] => {
    const table = view(address, count * 16);
    const words = new DataView(table.buffer, table.byteOffset, table.byteLength);
    return Array.from({ length: count }, (_, index) =>
      view(
        Number(words.getBigUint64(index * 16, true)),
        Number(words.getBigUint64(index * 16 + 8, true)),
      ),
    );
  };
  const transfer = (
    isRead: boolean,
    fd: number,
    buffers: readonly Uint8Array[],
    position: number,
    flags: number,
  ): number => {
    if ((flags & (RWF.hipri | RWF.nowait)) !== 0) return -(errnos['EOPNOTSUPP'] ?? 95);
    if (isRead) return files.readvSync(fd, buffers, position);
    const done = files.writevSync(fd, buffers, position);
    if ((flags & RWF.sync) !== 0) files.fsyncSync(fd);
    else if ((flags & RWF.dsync) !== 0) files.fdatasyncSync(fd);
    return done;
  };
  const perform = (n: number, a: number, b: number, c: number, d: number, f: number): number => {
    if (n === numbers.pread64) return transfer(true, a, [view(b, c)], d, 0);
    if (n === numbers.pwrite64) return transfer(false, a, [view(b, c)], d, 0);
    if (n === numbers.preadv2) return transfer(true, a, vectors(b, c), d, f);
    if (n === numbers.pwritev2) return transfer(false, a, vectors(b, c), d, f);
    if (n === numbers.memfd_create && openScratch !== null) return openScratch();
    if (n === numbers.fsync) files.fsyncSync(a);
    else if (n === numbers.fdatasync) files.fdatasyncSync(a);
    else if (n === numbers.close) files.closeSync(a);
    else return -(errnos['ENOSYS'] ?? 38);
    return 0;
  };
  return (n, a, b, c, d, _e, f) => {
    try {
      return perform(n, a, b, c, d, f);
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      return -(errnos[code] ?? errnos['EIO'] ?? 5);
    }
  };
}
