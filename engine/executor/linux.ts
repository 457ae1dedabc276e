// SPDX-License-Identifier: GPL-2.0-only
/**
 * Linux by number: the system calls that the executors make, for the two machines we run on. x86-64 has its own table
 * (arch/x86/entry/syscalls/syscall_64.tbl), arm64 the generic one (include/uapi/asm-generic/unistd.h); calls younger than 2019
 * have the same number on both. Both are little-endian, which the struct layouts beside this file rely on.
 */

export interface SyscallNumbers {
  readonly close: number;
  readonly pread64: number;
  readonly pwrite64: number;
  readonly preadv: number;
  readonly pwritev: number;
  readonly preadv2: number;
  readonly pwritev2: number;
  readonly fsync: number;
  readonly fdatasync: number;
  readonly memfd_create: number;
  readonly io_setup: number;
  readonly io_destroy: number;
  readonly io_submit: number;
  readonly io_cancel: number;
  readonly io_getevents: number;
  readonly io_uring_setup: number;
  readonly io_uring_enter: number;
}

const X64: SyscallNumbers = {
  close: 3, pread64: 17, pwrite64: 18, preadv: 295, pwritev: 296, preadv2: 327, pwritev2: 328,
  fsync: 74, fdatasync: 75, memfd_create: 319, io_setup: 206, io_destroy: 207, io_submit: 209,
  io_cancel: 210, io_getevents: 208, io_uring_setup: 425, io_uring_enter: 426,
}; // prettier-ignore

const ARM64: SyscallNumbers = {
  close: 57, pread64: 67, pwrite64: 68, preadv: 69, pwritev: 70, preadv2: 286, pwritev2: 287,
  fsync: 82, fdatasync: 83, memfd_create: 279, io_setup: 0, io_destroy: 1, io_submit: 2,
  io_cancel: 3, io_getevents: 4, io_uring_setup: 425, io_uring_enter: 426,
}; // prettier-ignore

/** The numbers for Node's name of a machine, or null where we have none. */
export function syscallNumbers(architecture: string): SyscallNumbers | null {
  return architecture === 'x64' ? X64 : architecture === 'arm64' ? ARM64 : null;
}

const TWO_POW_32 = 2 ** 32;
const NS_PER_SECOND = 1e9;

/** Writes a 64-bit little-endian value (a safe integer) as two 32-bit words at `index`. */
export function storeU64(words: Int32Array, index: number, value: number): void {
  words[index] = value | 0;
  words[index + 1] = Math.floor(value / TWO_POW_32);
}

/**
 * Writes a `struct __kernel_timespec` at word `index`. `timeoutNs` is finite.
 *
 *   0  tv_sec  s64
 *   8  tv_nsec s64
 */
export function storeTimespec(words: Int32Array, index: number, timeoutNs: number): void {
  const seconds = Math.floor(timeoutNs / NS_PER_SECOND);
  storeU64(words, index, seconds);
  storeU64(words, index + 2, Math.round(timeoutNs - seconds * NS_PER_SECOND));
}
