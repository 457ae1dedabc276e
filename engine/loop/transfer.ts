// SPDX-License-Identifier: GPL-2.0-only
/**
 * The three ways in which a bio becomes I/O on the file under a loop device (drivers/block/loop.c).
 *
 *   buffered   a vector at a time through the file's page cache: a copy, and the data stays there     (do_lo_send_aops, do_lo_receive)
 *   pages      the bio's pages to the file's direct_IO as the series of 2009 has it                  (lo_direct_read, lo_direct_write)
 *   vectors    the bio's vectors to the file's read_iter and write_iter with IOCB_DIRECT, as later drivers do   (lo_rw_aio)
 *
 * Rules: 1. A transfer ends with 0 or minus an errno; how much it moved is in the counters. 2. `pages` is what the patch says, with its
 * faults: a direct_IO that moves less than it was asked for counts as done, and so does a write for which cached pages could not be
 * thrown out. 3. `buffered` and `vectors` lose nothing: what a direct write leaves goes through the page cache, and a read behind the
 * end of the file is zeros.
 */
import { ERRNO, isTask, PAGE_BYTES, TRACE } from '../base/index.ts';
import type { KernelReturn, Task } from '../base/index.ts';
import { VECTOR_WORDS, type Bio } from '../block/index.ts';
import { IovIter, type Memory, type UserSegment } from '../memory/index.ts';
import type { Kernel, Kiocb, OpenFile } from '../vfs/index.ts';
import type { LoopCounters } from './counters.ts';

/** What a transfer works on. */
export interface LoopBacking {
  readonly kernel: Kernel;
  readonly file: OpenFile;
  readonly counters: LoopCounters;
  /** References on pages that the text of 2009 takes and drops; see `referenceBook`. */
  readonly book: Memory;
}

/** Moves a bio of reading or writing to or from `positionBytes` of the file. 0 or minus an errno. */
export type Transfer = (
  backing: LoopBacking,
  bio: Bio,
  positionBytes: number,
) => Task<KernelReturn>;

function syncIocb(file: OpenFile, positionBytes: number, isDirect: boolean): Kiocb {
  return {
    id: 0,
    inode: file.inode,
    isDirect,
    isNowait: false,
    isDsync: false,
    isAppend: false,
    positionBytes,
    onComplete: null,
  };
}

/** The vectors of a bio as segments that each lie within a page. */
export function segmentsOf(bio: Bio): UserSegment[] {
  const segments: UserSegment[] = [];
  for (let at = 0; at < bio.vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const page = bio.vectors[at] as number;
    let addressBytes = page * PAGE_BYTES + (bio.vectors[at + 1] as number);
    const endBytes = addressBytes + (bio.vectors[at + 2] as number);
    while (addressBytes < endBytes) {
      const pageEnd = (Math.floor(addressBytes / PAGE_BYTES) + 1) * PAGE_BYTES;
      const lengthBytes = Math.min(pageEnd, endBytes) - addressBytes;
      segments.push({ addressBytes, lengthBytes });
      addressBytes += lengthBytes;
    }
  }
  return segments;
}

function* pass(
  file: OpenFile,
  op: 'read' | 'write',
  iocb: Kiocb,
  iter: IovIter,
): Task<KernelReturn> {
  const value = op === 'read' ? file.read(iocb, iter) : file.write(iocb, iter);
  return isTask(value) ? yield* value : value;
}

/** do_lo_send_aops, do_lo_receive: through the lower page cache. */
export function* transferBuffered(
  backing: LoopBacking,
  bio: Bio,
  positionBytes: number,
): Task<KernelReturn> {
  const { kernel, file, counters } = backing;
  const { memory, trace } = kernel;
  const op = bio.op === 'read' ? 'read' : 'write';
  let at = positionBytes;
  for (const segment of segmentsOf(bio)) {
    const { addressBytes, lengthBytes } = segment;
    const iter = new IovIter(memory, op, 'kernel', [segment]);
    const moved = yield* pass(file, op, syncIocb(file, at, false), iter);
    if (moved < 0) return moved;
    counters.copiedBytes += moved;
    counters.copies += pagesTouched(at, moved);
    if (trace !== null) {
      const page = Math.floor(addressBytes / PAGE_BYTES);
      trace.add(TRACE['loop-copy'], 0, bio.id, at, moved, op === 'read' ? 0 : 1, page);
    }
    if (moved < lengthBytes) {
      if (op === 'write') return -ERRNO.EIO;
      memory.bytes.fill(0, addressBytes + moved, addressBytes + lengthBytes);
    }
    at += lengthBytes;
  }
  return 0;
}

function pagesTouched(positionBytes: number, lengthBytes: number): number {
  if (lengthBytes === 0) return 0;
  const last = Math.floor((positionBytes + lengthBytes - 1) / PAGE_BYTES);
  return last - Math.floor(positionBytes / PAGE_BYTES) + 1;
}

/** lo_rw_aio, waited for: the file's own read_iter and write_iter, which fall back to the page cache where they have to. */
export function* transferVectors(
  backing: LoopBacking,
  bio: Bio,
  positionBytes: number,
): Task<KernelReturn> {
  const { kernel, file, counters } = backing;
  const op = bio.op === 'read' ? 'read' : 'write';
  const segments = segmentsOf(bio);
  const iter = new IovIter(kernel.memory, op, 'kernel', segments);
  const sizeBefore = file.inode.sizeBytes;
  const moved = yield* pass(file, op, syncIocb(file, positionBytes, true), iter);
  if (moved === -ERRNO.EINVAL) counters.refusedMisaligned++;
  if (moved < 0) return moved;
  countDirect(backing, moved);
  noteGrowth(backing, sizeBefore);
  if (moved === bio.sizeBytes) return 0;
  if (op === 'write') return -ERRNO.EIO;
  zeroFill(kernel.memory.bytes, segments, moved);
  return 0;
}

/** zero_fill_bio, behind the first `keptBytes`. */
function zeroFill(bytes: Uint8Array, segments: readonly UserSegment[], keptBytes: number): void {
  let skip = keptBytes;
  for (const { addressBytes, lengthBytes } of segments) {
    const kept = Math.min(skip, lengthBytes);
    bytes.fill(0, addressBytes + kept, addressBytes + lengthBytes);
    skip -= kept;
  }
}

/** lo_direct_read, lo_direct_write of the series: write and wait, (invalidate,) direct_IO, (invalidate, move the end). */
export function* transferPages(
  backing: LoopBacking,
  bio: Bio,
  positionBytes: number,
): Task<KernelReturn> {
  return bio.op === 'read'
    ? yield* readPages(backing, bio, positionBytes)
    : yield* writePages(backing, bio, positionBytes);
}

function* readPages(backing: LoopBacking, bio: Bio, positionBytes: number): Task<KernelReturn> {
  const { file, counters } = backing;
  if (positionBytes >= file.inode.sizeBytes) {
    counters.unfilledReadBytes += bio.sizeBytes;
    return 0;
  }
  const written = yield* writeAndWait(backing, bio, positionBytes);
  if (written < 0) return written;
  const moved = yield* askDirectIo(backing, bio, positionBytes, 'read');
  if (moved < 0) return moved;
  counters.unfilledReadBytes += bio.sizeBytes - moved;
  return 0;
}

function* writePages(backing: LoopBacking, bio: Bio, positionBytes: number): Task<KernelReturn> {
  const { file, kernel, counters } = backing;
  const written = yield* writeAndWait(backing, bio, positionBytes);
  if (written < 0) return written;
  const invalidated = yield* invalidate(backing, bio, positionBytes);
  if (invalidated === -ERRNO.EBUSY) {
    // Nothing is written, and the bio ends well: that is what the text says.
    counters.lostWriteBytes += bio.sizeBytes;
    return 0;
  }
  if (invalidated < 0) return invalidated;
  const moved = yield* askDirectIo(backing, bio, positionBytes, 'write');
  yield* invalidate(backing, bio, positionBytes);
  if (moved < 0) return moved;
  counters.lostWriteBytes += bio.sizeBytes - moved;
  const endBytes = positionBytes + moved;
  if (moved > 0 && endBytes > file.inode.sizeBytes) {
    file.moveEnd?.(endBytes);
    counters.grown++;
    kernel.trace?.add(TRACE['loop-grow'], 0, -1, endBytes);
  }
  return 0;
}

/** filemap_write_and_wait_range of the bio's bytes. */
function* writeAndWait(backing: LoopBacking, bio: Bio, positionBytes: number): Task<KernelReturn> {
  const { file, kernel } = backing;
  const last = positionBytes + bio.sizeBytes - 1;
  kernel.trace?.add(TRACE['write-and-wait'], 0, -1, positionBytes, last);
  const value = file.inode.mapping.writeAndWait(positionBytes, last);
  return isTask(value) ? yield* value : value;
}

/** invalidate_inode_pages2_range of the bio's pages, where the file has any. */
function* invalidate(backing: LoopBacking, bio: Bio, positionBytes: number): Task<KernelReturn> {
  const { file, kernel } = backing;
  const { mapping } = file.inode;
  if (mapping.cachedPageCount === 0) return 0;
  const first = Math.floor(positionBytes / PAGE_BYTES);
  const last = Math.floor((positionBytes + bio.sizeBytes - 1) / PAGE_BYTES);
  kernel.trace?.add(TRACE.invalidate, 0, -1, first, last);
  const value = mapping.invalidate(first, last);
  return isTask(value) ? yield* value : value;
}

/** a_ops->direct_IO with the pages of the bio. */
function* askDirectIo(
  backing: LoopBacking,
  bio: Bio,
  positionBytes: number,
  op: 'read' | 'write',
): Task<KernelReturn> {
  const { file, counters, book } = backing;
  if (file.directIo === undefined) return -ERRNO.EINVAL;
  const iter = new IovIter(book, op, 'kernel', segmentsOf(bio));
  let moved: number;
  try {
    const value = file.directIo(syncIocb(file, positionBytes, true), iter);
    moved = isTask(value) ? yield* value : value;
  } finally {
    counters.lostReferences += settle(book, iter.segments);
  }
  if (moved === -ERRNO.EINVAL) counters.refusedMisaligned++;
  if (moved >= 0) countDirect(backing, moved);
  return moved;
}

/**
 * The run's memory with a table of references of its own. The series drops references on pages of the kernel's that nobody took (at a
 * hole, and where a request ends early): in that kernel such a page was freed under its owner. Here the owner keeps it, and the drop is
 * counted.
 */
export function referenceBook(memory: Memory): Memory {
  const references = new Int32Array(memory.pageCount);
  return Object.create(memory, { references: { value: references } }) as Memory;
}

/** References that a request dropped too often, or kept; the table is clean again. */
function settle({ references }: Memory, segments: readonly UserSegment[]): number {
  let lost = 0;
  for (const { addressBytes } of segments) {
    const page = Math.floor(addressBytes / PAGE_BYTES);
    lost += Math.abs(references[page] as number);
    references[page] = 0;
  }
  return lost;
}

function countDirect({ counters }: LoopBacking, movedBytes: number): void {
  counters.directBios++;
  counters.directBytes += movedBytes;
}

function noteGrowth({ file, kernel, counters }: LoopBacking, sizeBefore: number): void {
  const { sizeBytes } = file.inode;
  if (sizeBytes <= sizeBefore) return;
  counters.grown++;
  kernel.trace?.add(TRACE['loop-grow'], 0, -1, sizeBytes);
}
