// SPDX-License-Identifier: GPL-2.0-only
/**
 * The real system call table: libc's `syscall()` through koffi, plain numbers in and out. About 250 ns of overhead a call.
 * Linux on x86-64 and arm64 only; elsewhere `nativeSyscalls` says so.
 */
import koffi from 'koffi';
import { HostError, type SyscallTable } from '../../../engine/base/index.ts';
import { syscallNumbers, type SyscallNumbers } from '../../../engine/executor/linux.ts';

type LibcSyscall = (
  number: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
) => number;

/** System calls that only the host's probes and guards make; executors have theirs in engine/executor/linux.ts. */
export interface HostSyscallNumbers extends SyscallNumbers {
  readonly fcntl: number;
  readonly flock: number;
  readonly ioctl: number;
  readonly statx: number;
  readonly fstatfs: number;
  readonly cachestat: number;
  readonly madvise: number;
  readonly lseek: number;
  readonly fallocate: number;
}

const X64 = {
  fcntl: 72, flock: 73, ioctl: 16, statx: 332, fstatfs: 138, cachestat: 451, madvise: 28,
  lseek: 8, fallocate: 285,
} as const; // prettier-ignore
const ARM64 = {
  fcntl: 25, flock: 32, ioctl: 29, statx: 291, fstatfs: 44, cachestat: 451, madvise: 233,
  lseek: 62, fallocate: 47,
} as const; // prettier-ignore

export interface NativeSyscalls {
  readonly table: SyscallTable;
  readonly numbers: HostSyscallNumbers;
}

let opened: NativeSyscalls | null = null;

/** The parameters of libc's `syscall`, also for the I/O threads, which load it themselves. */
export const SYSCALL_PARAMETERS: readonly string[] = Array<string>(7).fill('long');

/** Null where this platform has no table, with the reason in `whyNoSyscalls`. */
export function nativeSyscalls(): NativeSyscalls | null {
  if (opened !== null) return opened;
  const numbers = process.platform === 'linux' ? syscallNumbers(process.arch) : null;
  if (numbers === null) return null;
  const libc = koffi.load(null);
  const syscall = libc.func('syscall', 'long', [...SYSCALL_PARAMETERS]) as LibcSyscall;
  const table: SyscallTable = {
    call(number, a, b, c, d, e, f) {
      const result = syscall(number, a, b, c, d, e, f);
      // libc gives -1 and sets errno; nothing runs between the call and this look.
      return result === -1 ? -koffi.errno() : result;
    },
  };
  opened = { table, numbers: { ...numbers, ...(process.arch === 'x64' ? X64 : ARM64) } };
  return opened;
}

export function whyNoSyscalls(): string {
  return `system calls by number are known for Linux on x64 and arm64, this is ${process.platform} on ${process.arch}`;
}

/** The table, or a `HostError` that says why there is none. */
export function requireSyscalls(): NativeSyscalls {
  const found = nativeSyscalls();
  if (found !== null) return found;
  throw new HostError({
    code: 'host.no-syscalls',
    message: whyNoSyscalls(),
    where: process.platform,
    hint: 'Use the memory or the model device here.',
    exitCode: 78,
  });
}
