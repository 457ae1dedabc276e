// SPDX-License-Identifier: GPL-2.0-only
/**
 * Reading a file, as btrfs_file_read_iter does.
 *
 *   direct and aligned to blocks in offset and memory -> direct I/O
 *   direct and not aligned                            -> through the page cache, without an error (check_direct_read)
 *   inline                                            -> from the tree's leaf, as the page cache is filled from it
 *   compressed                                        -> -EOPNOTSUPP: there is no decompression here
 *
 * In the kernel direct I/O on inline and compressed extents is -ENOTBLK inside (btrfs_dio_iomap_begin), and the page cache reads them.
 */
import {
  ERRNO,
  isTask,
  PAGE_BYTES,
  type KernelReturn,
  type MaybeTask,
  type Task,
} from '../../base/index.ts';
import type { IovIter } from '../../memory/index.ts';
import { copyToIter, GenericFile, type FileOperations, type Kiocb } from '../../vfs/index.ts';
import { guardedReturn } from './guard.ts';
import type { BtrfsInode } from './inode.ts';

export class BtrfsFile extends GenericFile {
  constructor(
    private readonly own: BtrfsInode,
    operations: FileOperations,
  ) {
    super(own, operations);
  }

  override read(iocb: Kiocb, iter: IovIter): MaybeTask<KernelReturn> {
    const { extents } = this.own;
    if (extents === null) return this.loadAndRead(iocb, iter);
    const inline = extents[0]?.inline;
    if (inline !== null && inline !== undefined && iocb.positionBytes < PAGE_BYTES) {
      return this.readInline(iocb, iter, inline, extents[0]?.compression !== 0);
    }
    if (iocb.isDirect && !this.isAligned(iocb, iter)) return this.readBuffered(iocb, iter);
    return super.read(iocb, iter);
  }

  private *loadAndRead(iocb: Kiocb, iter: IovIter): Task<KernelReturn> {
    const { own } = this;
    const status = yield* guardedReturn(
      (function* () {
        yield* own.loadExtents();
        return 0;
      })(),
    );
    if (status < 0) return status;
    const result = this.read(iocb, iter);
    return isTask(result) ? yield* result : result;
  }

  /** check_direct_IO: offset, and address and length of every segment, in whole blocks. */
  private isAligned(iocb: Kiocb, iter: IovIter): boolean {
    const mask = 2 ** this.own.blockBits - 1;
    if ((iocb.positionBytes & mask) !== 0) return false;
    return (iter.alignmentMask() & mask) === 0;
  }

  private *readBuffered(iocb: Kiocb, iter: IovIter): Task<KernelReturn> {
    const { counters } = this.operations;
    counters.fallbacks++;
    counters.fallbackBytes += iter.remainingBytes;
    const buffered = { ...iocb, isDirect: false };
    const started = super.read(buffered, iter);
    const result = isTask(started) ? yield* started : started;
    iocb.positionBytes = buffered.positionBytes;
    return result;
  }

  /** The content of the item, and zeros up to the end of the file's first block. */
  private readInline(
    iocb: Kiocb,
    iter: IovIter,
    content: Uint8Array,
    isCompressed: boolean,
  ): KernelReturn {
    const { own, operations } = this;
    const { memory } = operations.kernel;
    const { positionBytes } = iocb;
    operations.counters.requests++;
    const end = Math.min(own.sizeBytes, PAGE_BYTES, positionBytes + iter.remainingBytes);
    if (end <= positionBytes) return 0;
    if (isCompressed) return -ERRNO.EOPNOTSUPP;
    if (iocb.isDirect) {
      operations.counters.fallbacks++;
      operations.counters.fallbackBytes += end - positionBytes;
    }
    const page = memory.allocatePages(1);
    if (page < 0) return -ERRNO.ENOMEM;
    const address = page * PAGE_BYTES;
    memory.bytes.fill(0, address, address + PAGE_BYTES);
    memory.bytes.set(content.subarray(0, PAGE_BYTES), address);
    const copied = copyToIter(iter, address + positionBytes, end - positionBytes);
    memory.freePages(page, 1);
    if (copied === 0) return -ERRNO.EFAULT;
    iocb.positionBytes = positionBytes + copied;
    return copied;
  }
}
