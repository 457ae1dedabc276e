// SPDX-License-Identifier: GPL-2.0-only
/**
 * Opens image files: regular files only, without following a link, locked on the very description that does the I/O, in use by
 * nobody else, and with the truth about direct I/O.
 *
 *   lstat --open (O_NOFOLLOW)--> fstat: the same regular file --lock (OFD, flock)--> not attached, mounted, swap --statx, trial--> OpenImage
 *
 * Rules: 1. Every refusal is a `HostError` that names the path and what would be right. 2. After a refusal nothing stays open.
 * 3. The lock lasts as long as the descriptor: an OFD lock is not dropped when somebody else in this process closes the file.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, type BigIntStats } from 'node:fs';
import { ERRNO, errnoName, HostError } from '../../../engine/base/index.ts';
import { storeU64 } from '../../../engine/executor/linux.ts';
import type { ImageFilePort, OpenImage } from '../../../engine/devices/contract.ts';
import { proveDirect, statedLimits, type DirectLimits } from './direct-limits.ts';
import { usedBy } from './in-use.ts';
import { scratch } from './scratch.ts';
import { requireSyscalls, type NativeSyscalls } from './syscalls.ts';

const EXIT = { noInput: 66, io: 74, permission: 77, configuration: 78 } as const;

const F_GETFL = 3;
const F_SETFL = 4;
const F_OFD_SETLK = 37;
/** struct flock, 32 bytes:  0 l_type s16, 2 l_whence s16, 8 l_start s64, 16 l_len s64 (0: to the end), 24 l_pid s32 (0) */
const FLOCK_BYTES = 32;
const LOCK = { read: 0, write: 1 } as const;
/** LOCK_SH and LOCK_EX, each with LOCK_NB. */
const FLOCK = { read: 1 | 4, write: 2 | 4 } as const;

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isBlockDevice()) return 'a block device';
  if (stats.isCharacterDevice()) return 'a character device';
  if (stats.isSocket()) return 'a socket';
  return 'not a regular file';
}

function notRegular(path: string, stats: BigIntStats): HostError {
  return new HostError({
    code: 'image.not-regular',
    message: `${path} is ${kindOf(stats)}, not an image file`,
    where: path,
    hint: stats.isSymbolicLink()
      ? 'Name the file that the link points to.'
      : 'An image is a regular file; diolab mkfs makes one.',
    exitCode: EXIT.noInput,
  });
}

/** What the host's refusal to open or stat the path means. */
function openRefusal(path: string, error: unknown, readOnly: boolean): HostError {
  const code = (error as { code?: unknown }).code;
  const refuse = (name: string, message: string, hint: string, exitCode: number): HostError =>
    new HostError({ code: name, message, where: path, hint, exitCode });
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return refuse('image.missing', `${path} does not exist`, 'diolab mkfs makes an image.', EXIT.noInput);
    case 'ELOOP':
      return refuse('image.not-regular', `${path} is a symbolic link`, 'Name the file that the link points to.', EXIT.noInput);
    case 'EACCES':
    case 'EPERM':
      return refuse('image.permission', `${path} may not be opened for ${readOnly ? 'reading' : 'writing'}`, 'Change its owner or mode, or use a copy.', EXIT.permission);
    case 'EROFS':
      return refuse('image.permission', `${path} is on a read-only file system`, 'Open it read-only, or copy it elsewhere.', EXIT.permission);
    case 'ETXTBSY':
      return refuse('image.in-use', `${path} is in use: the host swaps to it or runs it`, 'Stop that first (swapoff), or use a copy.', EXIT.permission);
    default:
      return refuse('image.open-failed', `${path} cannot be opened: ${String(code ?? error)}`, 'See the kernel log for the device under it.', EXIT.io);
  }
} // prettier-ignore

function inUse(path: string, why: string, hint: string): HostError {
  return new HostError({
    code: 'image.in-use',
    message: `${path} is in use: ${why}`,
    where: path,
    hint,
    exitCode: EXIT.permission,
  });
}

/** The descriptor, with O_DIRECT where the file system takes it. */
function openDescriptor(
  path: string,
  options: { readonly readOnly: boolean; readonly direct: boolean },
): { readonly fd: number; readonly directErrno: string | null } {
  // Node adds O_CLOEXEC itself. O_NONBLOCK: a FIFO or a device that took the name in between must not hold us up.
  const flags =
    (options.readOnly ? constants.O_RDONLY : constants.O_RDWR) |
    constants.O_NOFOLLOW |
    constants.O_NONBLOCK;
  if (options.direct) {
    try {
      return { fd: openSync(path, flags | constants.O_DIRECT), directErrno: null };
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EINVAL') throw error;
    }
  }
  return { fd: openSync(path, flags), directErrno: options.direct ? 'EINVAL' : null };
}

/** Locks the whole file on this open description, in both worlds of locks: programs of one do not see the other's. */
function lock(native: NativeSyscalls, path: string, fd: number, readOnly: boolean): void {
  lockRecord(native, path, fd, readOnly);
  const { table, numbers } = native;
  const kind = readOnly ? FLOCK.read : FLOCK.write;
  // Other refusals (no such locks on this file system) leave the record lock, which is the one that we need.
  if (table.call(numbers.flock, fd, kind, 0, 0, 0, 0) === -ERRNO.EAGAIN)
    throw lockedByAnother(path);
}

const lockedByAnother = (path: string): HostError =>
  inUse(path, 'another program has locked it', 'Close that program first (lslocks names it).');

/** An OFD lock (fcntl) on the whole file. */
function lockRecord(native: NativeSyscalls, path: string, fd: number, readOnly: boolean): void {
  const { words, baseAddress } = scratch();
  words.fill(0, 0, FLOCK_BYTES / 4);
  words[0] = readOnly ? LOCK.read : LOCK.write;
  storeU64(words, 2, 0);
  const { table, numbers } = native;
  const result = table.call(numbers.fcntl, fd, F_OFD_SETLK, baseAddress, 0, 0, 0);
  if (result >= 0) return;
  if (result === -ERRNO.EAGAIN || result === -ERRNO.EACCES) {
    throw lockedByAnother(path);
  }
  throw new HostError({
    code: 'image.lock-failed',
    message: `${path} cannot be locked: ${errnoName(result) ?? String(result)}`,
    where: path,
    hint: 'Its file system has to have locks; copy the image to a local one.',
    exitCode: EXIT.configuration,
  });
}

/** Takes O_NONBLOCK off again (io_uring would give EAGAIN on some file systems), and O_DIRECT where it means nothing. */
function settleFlags(native: NativeSyscalls, fd: number, keepDirect: boolean): void {
  const { table, numbers } = native;
  const flags = table.call(numbers.fcntl, fd, F_GETFL, 0, 0, 0, 0);
  const drop = constants.O_NONBLOCK | (keepDirect ? 0 : constants.O_DIRECT);
  table.call(numbers.fcntl, fd, F_SETFL, flags & ~drop, 0, 0, 0);
}

class NativeImage implements OpenImage {
  private closed = false;
  constructor(
    readonly path: string,
    readonly fd: number,
    readonly sizeBytes: number,
    readonly isReadOnly: boolean,
    readonly isDirect: boolean,
    readonly directRefusedWhy: string | null,
    private readonly limits: DirectLimits,
    private readonly opened: BigIntStats,
  ) {}
  get offsetAlignBytes(): number {
    return this.limits.offsetAlignBytes;
  }
  get memoryAlignBytes(): number {
    return this.limits.memoryAlignBytes;
  }
  /** By the descriptor and by the name: a lock is advice, and not every program asks for it. */
  changedWhy(): string | null {
    const { path, opened } = this;
    const now = fstatSync(this.fd, { bigint: true });
    if (now.size !== opened.size) {
      return `${path} had ${String(opened.size)} bytes when it was opened and has ${String(now.size)}: another program changed it`;
    }
    // Our own writes move the time too, so it speaks only where there are none.
    if (this.isReadOnly && now.mtimeNs !== opened.mtimeNs) {
      return `${path} was written by another program while it was open for reading`;
    }
    const named = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (named === undefined) return `${path} was removed while it was open`;
    return named.dev === opened.dev && named.ino === opened.ino
      ? null
      : `${path} was replaced by another file while it was open`;
  }
  /** Also drops the lock. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.fd);
  }
}

function checkedImage(
  native: NativeSyscalls,
  path: string,
  fd: number,
  options: { readonly readOnly: boolean; readonly direct: boolean },
  before: BigIntStats,
  directErrno: string | null,
): OpenImage {
  const stats = fstatSync(fd, { bigint: true });
  if (!stats.isFile()) throw notRegular(path, stats);
  if (stats.dev !== before.dev || stats.ino !== before.ino) {
    throw inUse(path, 'it was replaced while we opened it', 'Try again.');
  }
  const user = usedBy(stats);
  if (user !== null) throw inUse(path, user.why, user.hint);
  lock(native, path, fd, options.readOnly);
  const sizeBytes = Number(stats.size);
  const limits = statedLimits(native, fd);
  let refusedWhy = limits.refusedWhy;
  if (!options.direct) refusedWhy = 'direct I/O was not asked for';
  else if (refusedWhy === null && directErrno !== null) {
    refusedWhy = `the file system refuses O_DIRECT (${directErrno})`;
  }
  refusedWhy ??= proveDirect(native, fd, limits, sizeBytes);
  settleFlags(native, fd, refusedWhy === null);
  const isDirect = refusedWhy === null;
  return new NativeImage(
    path,
    fd,
    sizeBytes,
    options.readOnly,
    isDirect,
    refusedWhy,
    limits,
    stats,
  );
}

export const imageFiles: ImageFilePort = {
  open(path, options) {
    const native = requireSyscalls();
    let before: BigIntStats;
    let opened: { readonly fd: number; readonly directErrno: string | null };
    try {
      before = lstatSync(path, { bigint: true });
    } catch (error) {
      throw openRefusal(path, error, options.readOnly);
    }
    if (!before.isFile()) throw notRegular(path, before);
    try {
      opened = openDescriptor(path, options);
    } catch (error) {
      throw openRefusal(path, error, options.readOnly);
    }
    try {
      return checkedImage(native, path, opened.fd, options, before, opened.directErrno);
    } catch (error) {
      closeSync(opened.fd);
      throw error;
    }
  },
};
