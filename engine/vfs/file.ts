// SPDX-License-Identifier: GPL-2.0-only
/**
 * Reading and writing an open file, as generic_file_read_iter and generic_file_write_iter of the 6.x era do (mm/filemap.c): direct
 * where the kiocb says so, the rest through the page cache.
 *
 *   read:  write back the range -> direct I/O -> (short, not at the end of the file) the rest from the page cache
 *   write: inode lock -> checks -> write back and invalidate the range -> direct I/O -> (short) the rest through the page cache,
 *          written back and dropped from it -> unlock -> generic_write_sync where O_DSYNC
 *
 * A revision of direct I/O can bring the rules of the kernel around it (`DirectIoCallers`): where a read ends, what becomes of a short
 * transfer, and what the count of a request means that is still in flight.
 *
 * The road of a direct request on a file without cached pages makes one object (the request that direct I/O gets) and, unless the
 * core sleeps, no generator. Returns are the kernel's: bytes or minus an errno.
 */
import { ERRNO, isTask, PAGE_BYTES, TRACE } from '../base/index.ts';
import type { KernelReturn, MaybeTask, Result, Task } from '../base/index.ts';
import type { Bio, BlockDevice } from '../block/index.ts';
import type { IovIter } from '../memory/index.ts';
import type {
  DirectIo,
  DirectIoCallers,
  DirectIoRequest,
  EndIo,
  FileExtent,
  GetBlock,
  IoCounters,
  Kernel,
  Kiocb,
  OpenFile,
} from './contract.ts';
import type { CoreInode } from './inode.ts';
import {
  accessibleBytes,
  clippedIter,
  copyFromIter,
  copyToIter,
  setRemaining,
} from './iter-copy.ts';
import { OnceAnswered } from './once-answered.ts';

/** What differs between the direct requests of one file system: the arguments its direct_IO chooses. */
export interface DirectWay {
  readonly getBlock: GetBlock;
  readonly skipHoles: boolean;
  /** Absent: none. */
  readonly endIo?: EndIo;
}

/** What a file system brings to the generic paths; one object a mounted file system. */
export interface FileOperations extends DirectWay {
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly directIo: DirectIo;
  readonly counters: IoCounters;
  readonly locking: DirectIoRequest['locking'];
  /** The file system's direct_IO: how this request goes. Absent: all go as the operations themselves say. */
  readonly directWay?: (inode: CoreInode, iocb: Kiocb, iter: IovIter) => DirectWay;
  readonly cleanAliases: (deviceBlock: number, countBlocks: number) => void;
  /** FMODE_NOWAIT; without it a NOWAIT request is -EOPNOTSUPP. */
  readonly supportsNowait: boolean;
  /** A block device: fixed size, writes take no inode lock, writes at its end are -ENOSPC. */
  readonly isBlockDevice: boolean;
  readonly isReadOnly: boolean;
  /** s_maxbytes */
  readonly sizeBytesMax: number;
  /** Called before a write takes the inode lock, where `needsRoom`: the place to write back metadata under memory pressure. */
  needsRoom(): boolean;
  makeRoom(): Task<KernelReturn>;
  /** i_size or the block map changed in memory. */
  inodeChanged(inode: CoreInode): void;
  /**
   * cont_write_begin, before the first byte of a buffered write: what lies before it becomes zeros. 0 or minus an errno, with the
   * file as it was. Absent: gaps are holes.
   */
  beforeBufferedWrite?(
    inode: CoreInode,
    positionBytes: number,
    endBytes: number,
  ): MaybeTask<KernelReturn>;
  /** file_update_time: cheap, called once a write. */
  touch(inode: CoreInode): void;
  /** What the file system does after a failed write that ended at `toBytes` (ext2_write_failed); lock held. */
  writeFailed(inode: CoreInode, toBytes: number): Task<void>;
  /** After -ENOSPC, lock dropped: true where space came free and the write is worth another try. */
  reclaimSpace(): Task<boolean>;
  /** Asked before a write: space waits to come free already. What the write itself gives back is no gain. Absent: it may. */
  hasSpaceToReclaim?(): boolean;
  /** vfs_fsync_range, both bytes inclusive. */
  syncRange(
    inode: CoreInode,
    firstByte: number,
    lastByte: number,
    dataOnly: boolean,
  ): Task<KernelReturn>;
  truncate(inode: CoreInode, sizeBytes: number): Task<KernelReturn>;
  extents(inode: CoreInode): Task<Result<FileExtent[]>>;
}

/** Readahead of a sequential reader: 128 KiB, the kernel's default. */
const READAHEAD_PAGES = 32;
/** Pages a file may have dirty before its writer writes them back (balance_dirty_pages in miniature). */
const DIRTY_BATCH_BYTES = 4 * 1024 * 1024;

/** What 6.x does around direct I/O. */
const PRESENT_CALLERS: DirectIoCallers = {
  endReadsAtSize: false,
  continueShortReads: true,
  continueShortWrites: true,
  queueCounts: false,
  syncInFlight: false,
};

/** The arguments of __blockdev_direct_IO. One is made per request, and lives as long as it. */
class FileDirectRequest implements DirectIoRequest {
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly getBlock: GetBlock;
  readonly locking: DirectIoRequest['locking'];
  readonly skipHoles: boolean;
  readonly cleanAliases: (deviceBlock: number, countBlocks: number) => void;
  readonly counters: IoCounters;
  readonly endIo: EndIo | null;
  readonly submitIo: ((bio: Bio, fileOffsetBytes: number) => void) | null = null;

  constructor(
    readonly inode: CoreInode,
    readonly iocb: Kiocb,
    readonly iter: IovIter,
    file: GenericFile,
  ) {
    const { operations } = file;
    this.kernel = operations.kernel;
    this.device = operations.device;
    const way = operations.directWay?.(inode, iocb, iter) ?? operations;
    this.getBlock = way.getBlock;
    this.endIo = way.endIo ?? null;
    this.skipHoles = way.skipHoles;
    this.locking = operations.locking;
    this.cleanAliases = operations.cleanAliases;
    this.counters = operations.counters;
    this.writeSync = file.writeSync;
    this.truncate = file.truncate;
  }
  readonly writeSync: DirectIoRequest['writeSync'];
  readonly truncate: DirectIoRequest['truncate'];
  willComplete = false;
}

export class GenericFile implements OpenFile {
  private nextSequentialByte = 0;
  private readonly callers: DirectIoCallers;
  /** Where the farthest write ended that was left in flight beyond the end of the file. */
  private queuedToBytes = 0;

  constructor(
    readonly inode: CoreInode,
    readonly operations: FileOperations,
  ) {
    this.callers = operations.directIo.callers ?? PRESENT_CALLERS;
  }

  /** generic_write_sync */
  readonly writeSync = (
    _iocb: Kiocb,
    firstByte: number,
    lastByte: number,
  ): MaybeTask<KernelReturn> => this.operations.syncRange(this.inode, firstByte, lastByte, true);

  /** vmtruncate, for the revisions whose direct I/O calls it; the lock is held. */
  readonly truncate = (_inode: unknown, sizeBytes: number): MaybeTask<void> =>
    this.writeFailed(Math.max(sizeBytes, this.inode.sizeBytes + 1));

  read(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    const { inode, operations } = this;
    operations.counters.requests++;
    if (iocb.isNowait && !operations.supportsNowait) return -ERRNO.EOPNOTSUPP;
    if (inode.kind === 'directory') return -ERRNO.EISDIR;
    const countBytes = iter.remainingBytes;
    if (countBytes === 0) return 0;
    if (!iocb.isDirect) return this.bufferedRead(iocb, iter, 0);
    if (this.callers.endReadsAtSize && iocb.positionBytes >= inode.sizeBytes) return 0;
    if (inode.mapping.cachedPageCount !== 0) return this.readWithPages(iocb, iter, countBytes);
    return this.directRead(iocb, iter, countBytes);
  }

  write(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    const { inode, operations } = this;
    operations.counters.requests++;
    if (operations.isReadOnly) return -ERRNO.EBADF;
    if (inode.kind === 'directory') return -ERRNO.EISDIR;
    if (iocb.isNowait && !operations.supportsNowait) return -ERRNO.EOPNOTSUPP;
    if (iocb.isNowait && !iocb.isDirect) return -ERRNO.EINVAL;
    if (
      !iocb.isDirect ||
      iocb.isAppend ||
      iocb.isDsync ||
      iter.remainingBytes === 0 ||
      iocb.positionBytes + iter.remainingBytes > this.fastLimit() ||
      inode.mapping.cachedPageCount !== 0 ||
      operations.needsRoom() ||
      (!operations.isBlockDevice && !inode.lock.tryLockExclusive())
    ) {
      return this.slowWrite(iocb, iter);
    }
    operations.touch(inode);
    const positionBytes = iocb.positionBytes;
    const countBytes = iter.remainingBytes;
    const result = this.ask(iocb, iter);
    if (isTask(result)) return this.finishFastWrite(iocb, iter, positionBytes, countBytes, result);
    if (result === countBytes || result === -ERRNO.EIOCBQUEUED) {
      if (result > 0) this.directWritten(iocb, positionBytes, result);
      if (!operations.isBlockDevice) inode.lock.unlockExclusive();
      return result;
    }
    return this.finishFastWrite(iocb, iter, positionBytes, countBytes, result);
  }

  *fsync(dataOnly: boolean): Task<KernelReturn> {
    return yield* this.operations.syncRange(this.inode, 0, Number.MAX_SAFE_INTEGER, dataOnly);
  }

  directIo(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    return this.ask(iocb, iter);
  }

  moveEnd(sizeBytes: number): void {
    const { inode, operations } = this;
    if (sizeBytes <= inode.sizeBytes || operations.isBlockDevice) return;
    inode.sizeBytes = sizeBytes;
    operations.inodeChanged(inode);
  }

  *extents(): Task<Result<FileExtent[]>> {
    return yield* this.operations.extents(this.inode);
  }

  *cutToSize(): Task<number> {
    const { inode, operations } = this;
    const lostBytes = Math.max(0, this.queuedToBytes - inode.sizeBytes);
    yield* operations.writeFailed(inode, inode.sizeBytes + 1);
    this.queuedToBytes = 0;
    return lostBytes;
  }

  // Asking direct I/O -----------------------------------------------------------------------------

  private ask(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    const { inode, operations } = this;
    if (iocb.onComplete !== null) {
      const endBytes = iocb.positionBytes + iter.remainingBytes;
      const isExtending = iter.direction === 'write' && endBytes > inode.sizeBytes;
      if (isExtending || this.callers.queueCounts) return this.askWatched(iocb, iter, isExtending);
    }
    return operations.directIo(new FileDirectRequest(inode, iocb, iter, this));
  }

  /** An asynchronous request whose answer says more than its value: one that extends the file, or one with two answers. */
  private askWatched(iocb: Kiocb, iter: IovIter, isExtending: boolean): MaybeTask<KernelReturn> {
    const positionBytes = iocb.positionBytes;
    const endBytes = positionBytes + iter.remainingBytes;
    const once = this.callers.queueCounts ? new OnceAnswered(iocb) : null;
    const request = new FileDirectRequest(this.inode, once ?? iocb, iter, this);
    const returned = this.operations.directIo(request);
    const answer = (value: KernelReturn): KernelReturn => {
      const result = once === null ? value : this.answerOnce(request, once, iocb, value);
      if (isExtending) this.noteExtending(result, endBytes);
      return result;
    };
    return isTask(returned) ? afterTask(returned, answer) : answer(returned);
  }

  /** The count of a request in flight is taken for -EIOCBQUEUED, after the end of the file has been moved by it. */
  private answerOnce(
    request: FileDirectRequest,
    once: OnceAnswered,
    iocb: Kiocb,
    returned: KernelReturn,
  ): KernelReturn {
    const { effects } = this.operations.directIo;
    if (!request.willComplete) return returned;
    if (effects !== undefined) effects.answeredTwice++;
    if (once.isOver) return returned;
    once.leave(returned);
    if (request.iter.direction === 'write' && returned > 0) {
      const isAhead = iocb.positionBytes + returned > this.inode.sizeBytes;
      if (isAhead && !this.operations.isBlockDevice && effects !== undefined) {
        effects.sizeAheadOfData++;
      }
      this.directWritten(iocb, iocb.positionBytes, returned);
    }
    return -ERRNO.EIOCBQUEUED;
  }

  private noteExtending(result: KernelReturn, endBytes: number): void {
    const { isBlockDevice, directIo } = this.operations;
    if (isBlockDevice) return;
    const isQueued = result === -ERRNO.EIOCBQUEUED;
    if (isQueued && endBytes > this.queuedToBytes) this.queuedToBytes = endBytes;
    if (directIo.effects === undefined) return;
    if (isQueued) directIo.effects.extendingInFlight++;
    else if (result >= 0) directIo.effects.extendingWaits++;
  }

  /** What a failed write allocated goes; not before writes beyond the end of the file, where some are in flight, have ended. */
  private *writeFailed(toBytes: number): Task<void> {
    const { inode, operations } = this;
    if (this.queuedToBytes > inode.sizeBytes) yield* inode.waitForDirectIo();
    yield* operations.writeFailed(inode, toBytes);
  }

  // Reading ---------------------------------------------------------------------------------------

  /** Up to where a write needs none of the checks of generic_write_checks. */
  private fastLimit(): number {
    return this.operations.isBlockDevice ? this.inode.sizeBytes : this.operations.sizeBytesMax;
  }

  private *readWithPages(iocb: Kiocb, iter: IovIter, countBytes: number): Task<KernelReturn> {
    const { mapping } = this.inode;
    const last = iocb.positionBytes + countBytes - 1;
    if (iocb.isNowait) {
      if (mapping.needsWriteback(iocb.positionBytes, last)) return -ERRNO.EAGAIN;
    } else {
      const written = mapping.writeAndWait(iocb.positionBytes, last);
      const error = isTask(written) ? yield* written : written;
      if (error < 0) return error;
    }
    const result = this.directRead(iocb, iter, countBytes);
    return isTask(result) ? yield* result : result;
  }

  private directRead(iocb: Kiocb, iter: IovIter, countBytes: number): MaybeTask<KernelReturn> {
    const { inode, operations } = this;
    let asked = iter;
    let askedBytes = countBytes;
    if (operations.isBlockDevice) {
      // blkdev_read_iter: the request ends where the device does.
      if (iocb.positionBytes >= inode.sizeBytes) return 0;
      if (iocb.positionBytes + countBytes > inode.sizeBytes) {
        askedBytes = inode.sizeBytes - iocb.positionBytes;
        asked = clippedIter(iter, askedBytes);
      }
    }
    const positionBytes = iocb.positionBytes;
    const result = this.ask(iocb, asked);
    if (isTask(result)) {
      return this.finishDirectRead(iocb, asked, positionBytes, askedBytes, result);
    }
    if (result === askedBytes) iocb.positionBytes = positionBytes + result;
    if (result === askedBytes || result < 0) return result;
    return this.finishDirectRead(iocb, asked, positionBytes, askedBytes, result);
  }

  /** After a short direct read the page cache is tried for the rest, unless the file ends there. */
  private *finishDirectRead(
    iocb: Kiocb,
    iter: IovIter,
    positionBytes: number,
    askedBytes: number,
    direct: MaybeTask<KernelReturn>,
  ): Task<KernelReturn> {
    const result = isTask(direct) ? yield* direct : direct;
    if (result < 0) return result;
    iocb.positionBytes = positionBytes + result;
    if (result === askedBytes || iocb.positionBytes >= this.inode.sizeBytes) return result;
    if (!this.callers.continueShortReads) return result;
    setRemaining(iter, askedBytes - result);
    this.countFallback(iocb.positionBytes, iter.remainingBytes);
    return yield* this.bufferedRead(iocb, iter, result);
  }

  /** filemap_read: `doneBytes` were read before; an error counts only where nothing was. */
  private *bufferedRead(iocb: Kiocb, iter: IovIter, doneBytes: number): Task<KernelReturn> {
    const { inode } = this;
    const { mapping } = inode;
    let done = doneBytes;
    let status = 0;
    while (iter.remainingBytes > 0 && iocb.positionBytes < inode.sizeBytes) {
      const position = iocb.positionBytes;
      const index = Math.floor(position / PAGE_BYTES);
      const page = mapping.find(index);
      if (page === null || !mapping.isPageUptodate(page)) {
        if (page?.isLocked === true) {
          yield mapping.pagesChanged;
          continue;
        }
        status = yield* mapping.readPages(index, this.readWindow(index, position, iter));
        if (status < 0) break;
        continue;
      }
      const offset = position % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - offset, inode.sizeBytes - position, iter.remainingBytes);
      const copied = copyToIter(iter, page.address + offset, length);
      iocb.positionBytes = position + copied;
      done += copied;
      if (copied < length) {
        status = -ERRNO.EFAULT;
        break;
      }
    }
    this.nextSequentialByte = iocb.positionBytes;
    return done > 0 ? done : status;
  }

  /** Pages to read at once: what is asked for, and more where the reader goes on from where it stopped. */
  private readWindow(pageIndex: number, positionBytes: number, iter: IovIter): number {
    const { sizeBytes } = this.inode;
    const endBytes = Math.min(positionBytes + iter.remainingBytes, sizeBytes);
    const asked = Math.ceil(endBytes / PAGE_BYTES) - pageIndex;
    const isSequential = positionBytes === this.nextSequentialByte || positionBytes === 0;
    const left = Math.ceil(sizeBytes / PAGE_BYTES) - pageIndex;
    return Math.max(1, Math.min(isSequential ? asked + READAHEAD_PAGES : asked, left, 256));
  }

  // Writing ---------------------------------------------------------------------------------------

  /** i_size and ki_pos after `written` bytes went directly (generic_file_direct_write). */
  private directWritten(iocb: Kiocb, positionBytes: number, written: number): void {
    const { inode, operations } = this;
    const end = positionBytes + written;
    if (end > inode.sizeBytes && !operations.isBlockDevice) {
      inode.sizeBytes = end;
      operations.inodeChanged(inode);
    }
    iocb.positionBytes = end;
  }

  private *finishFastWrite(
    iocb: Kiocb,
    iter: IovIter,
    positionBytes: number,
    countBytes: number,
    direct: MaybeTask<KernelReturn>,
  ): Task<KernelReturn> {
    const { inode, operations } = this;
    let result: number;
    let mayReclaim = true;
    try {
      const written = isTask(direct) ? yield* direct : direct;
      // Before what a failed write has allocated is given back: that alone is no reason to try again.
      mayReclaim = operations.hasSpaceToReclaim?.() ?? true;
      result = yield* this.afterDirect(iocb, iter, positionBytes, countBytes, written);
    } finally {
      if (!operations.isBlockDevice) inode.lock.unlockExclusive();
    }
    if (result !== -ERRNO.ENOSPC || !mayReclaim) return result;
    return yield* this.retryAfterNoSpace(iocb, iter, positionBytes, countBytes);
  }

  /** generic_file_write_iter with everything it may have to do. */
  private *slowWrite(iocb: Kiocb, iter: IovIter, isRetry = false): Task<KernelReturn> {
    const { inode, operations } = this;
    if (operations.needsRoom()) {
      const error = yield* operations.makeRoom();
      if (error < 0) return error;
    }
    let result: number;
    const positionBytes = iocb.positionBytes;
    const countBytes = iter.remainingBytes;
    const takesLock = !operations.isBlockDevice;
    if (takesLock) yield* inode.lock.lockExclusive();
    const mayReclaim = operations.hasSpaceToReclaim?.() ?? true;
    try {
      result = yield* this.checkedWrite(iocb, iter);
    } finally {
      if (takesLock) inode.lock.unlockExclusive();
    }
    if (result > 0 && iocb.isDsync) {
      const first = iocb.positionBytes - result;
      const error = yield* operations.syncRange(inode, first, iocb.positionBytes - 1, true);
      if (error < 0) return error;
    }
    if (result === -ERRNO.EIOCBQUEUED && iocb.isDsync && this.callers.syncInFlight) {
      yield* this.syncInFlight(positionBytes, countBytes);
    }
    if (result !== -ERRNO.ENOSPC || isRetry || !mayReclaim) return result;
    return yield* this.retryAfterNoSpace(iocb, iter, positionBytes, countBytes);
  }

  /** generic_write_sync behind -EIOCBQUEUED: the data may still be on their way, and an error has nobody to go to. */
  private *syncInFlight(positionBytes: number, countBytes: number): Task<void> {
    const { inode, operations } = this;
    if (operations.directIo.effects !== undefined) operations.directIo.effects.syncedInFlight++;
    yield* operations.syncRange(inode, positionBytes, positionBytes + countBytes - 1, true);
  }

  private *retryAfterNoSpace(
    iocb: Kiocb,
    iter: IovIter,
    positionBytes: number,
    countBytes: number,
  ): Task<KernelReturn> {
    if (this.operations.isBlockDevice || !(yield* this.operations.reclaimSpace())) {
      return -ERRNO.ENOSPC;
    }
    setRemaining(iter, countBytes);
    iocb.positionBytes = positionBytes;
    return yield* this.slowWrite(iocb, iter, true);
  }

  /** generic_write_checks, then __generic_file_write_iter. */
  private *checkedWrite(iocb: Kiocb, iter: IovIter): Task<KernelReturn> {
    const { inode, operations } = this;
    if (iter.remainingBytes === 0) return 0;
    if (iocb.isAppend) iocb.positionBytes = inode.sizeBytes;
    const limit = this.fastLimit();
    if (iocb.positionBytes >= limit) {
      return operations.isBlockDevice ? -ERRNO.ENOSPC : -ERRNO.EFBIG;
    }
    const room = limit - iocb.positionBytes;
    const from = iter.remainingBytes > room ? clippedIter(iter, room) : iter;
    operations.touch(inode);
    if (!iocb.isDirect) return yield* this.bufferedWrite(iocb, from);
    return yield* this.directWrite(iocb, from);
  }

  /** generic_file_direct_write and what follows it. */
  private *directWrite(iocb: Kiocb, iter: IovIter): Task<KernelReturn> {
    const { inode } = this;
    const { mapping } = inode;
    const positionBytes = iocb.positionBytes;
    const countBytes = iter.remainingBytes;
    const last = positionBytes + countBytes - 1;
    if (mapping.cachedPageCount !== 0) {
      if (iocb.isNowait) {
        if (mapping.hasPages(positionBytes, last)) return -ERRNO.EAGAIN;
      } else {
        const written = mapping.writeAndWait(positionBytes, last);
        const error = isTask(written) ? yield* written : written;
        if (error < 0) return error;
      }
      const firstPage = Math.floor(positionBytes / PAGE_BYTES);
      const invalidated = mapping.invalidate(firstPage, Math.floor(last / PAGE_BYTES));
      const error = isTask(invalidated) ? yield* invalidated : invalidated;
      if (error === -ERRNO.EBUSY) {
        return yield* this.afterDirect(iocb, iter, positionBytes, countBytes, 0);
      }
      if (error < 0) return error;
    }
    const direct = this.ask(iocb, iter);
    const written = isTask(direct) ? yield* direct : direct;
    return yield* this.afterDirect(iocb, iter, positionBytes, countBytes, written);
  }

  /** After direct I/O returned `written`: sizes, failed extension, and the buffered remainder (direct_write_fallback). */
  private *afterDirect(
    iocb: Kiocb,
    iter: IovIter,
    positionBytes: number,
    countBytes: number,
    written: KernelReturn,
  ): Task<KernelReturn> {
    const { inode } = this;
    if (written === -ERRNO.EIOCBQUEUED) return written;
    if (written < 0) {
      yield* this.writeFailed(positionBytes + countBytes);
      return written;
    }
    const { mapping } = inode;
    if (written > 0) {
      if (mapping.cachedPageCount !== 0) {
        const firstPage = Math.floor(positionBytes / PAGE_BYTES);
        const lastPage = Math.floor((positionBytes + written - 1) / PAGE_BYTES);
        const invalidated = mapping.invalidate(firstPage, lastPage);
        if (isTask(invalidated)) yield* invalidated;
      }
      this.directWritten(iocb, positionBytes, written);
    }
    if (written === countBytes || !this.callers.continueShortWrites) return written;
    setRemaining(iter, countBytes - written);
    this.countFallback(iocb.positionBytes, iter.remainingBytes);
    const rest = iocb.positionBytes;
    const status = yield* this.bufferedWrite(iocb, iter);
    if (status < 0) {
      iocb.positionBytes = rest;
      return written > 0 ? written : status;
    }
    const end = rest + status - 1;
    const flushed = mapping.writeAndWait(rest, end);
    const error = isTask(flushed) ? yield* flushed : flushed;
    if (error < 0) {
      iocb.positionBytes = rest;
      return written > 0 ? written : error;
    }
    mapping.dropClean(Math.floor(rest / PAGE_BYTES), Math.floor(end / PAGE_BYTES));
    return written + status;
  }

  /** generic_perform_write: moves ki_pos; bytes, or an errno where nothing was written. */
  private *bufferedWrite(iocb: Kiocb, iter: IovIter): Task<KernelReturn> {
    const { inode, operations } = this;
    const { mapping } = inode;
    let done = 0;
    let status = 0;
    let unbalanced = 0;
    while (iter.remainingBytes > 0) {
      const position = iocb.positionBytes;
      const offset = position % PAGE_BYTES;
      // Faults are looked for first, so that a prepared page is always filled.
      const length = accessibleBytes(iter, PAGE_BYTES - offset);
      if (length === 0) {
        status = -ERRNO.EFAULT;
        break;
      }
      if (done === 0 && operations.beforeBufferedWrite !== undefined) {
        const endBytes = position + iter.remainingBytes;
        const begun = operations.beforeBufferedWrite(inode, position, endBytes);
        status = isTask(begun) ? yield* begun : begun;
        if (status < 0) break;
      }
      const page = yield* mapping.lockPage(Math.floor(position / PAGE_BYTES));
      if (typeof page === 'number') {
        status = page;
        break;
      }
      status = yield* mapping.prepareWrite(page, offset, offset + length);
      if (status < 0) {
        mapping.unlockPage(page);
        yield* operations.writeFailed(inode, position + length);
        break;
      }
      copyFromIter(iter, page.address + offset, length);
      mapping.markDirty(page, offset, offset + length);
      mapping.unlockPage(page);
      iocb.positionBytes = position + length;
      done += length;
      if (iocb.positionBytes > inode.sizeBytes) {
        inode.sizeBytes = iocb.positionBytes;
        operations.inodeChanged(inode);
      }
      unbalanced += length;
      if (unbalanced >= DIRTY_BATCH_BYTES) {
        unbalanced = 0;
        yield* mapping.writeRange(0, Number.MAX_SAFE_INTEGER, false);
      }
    }
    return done > 0 ? done : status;
  }

  private countFallback(fileOffsetBytes: number, lengthBytes: number): void {
    const { counters, kernel } = this.operations;
    counters.fallbacks++;
    counters.fallbackBytes += lengthBytes;
    kernel.trace?.add(TRACE.fallback, 0, -1, fileOffsetBytes, lengthBytes);
  }
}

function* afterTask(
  task: Task<KernelReturn>,
  answer: (value: KernelReturn) => KernelReturn,
): Task<KernelReturn> {
  return answer(yield* task);
}
