// SPDX-License-Identifier: GPL-2.0-only
/**
 * Lays a file out before a run: writes it from its end to the wanted size in direct writes of 1 MiB, with seeded bytes that no disk
 * compresses or takes for zeros (fio fills its files in the same way).
 */
import { errnoName, HostError, isTask, MIB, PAGE_BYTES, Sfc32, type Task } from '../base/index.ts';
import { IovIter } from '../memory/index.ts';
import type { Kernel, Kiocb, OpenFile } from '../vfs/index.ts';
import { RunCancelled, type PrepareControl } from './open-target.ts';

const CHUNK_BYTES = MIB;
const FILL_SEED = 0x0d10;

/** Grows `file` to `sizeBytes`, with zeros where it is to hold an image. Throws `HostError` where a write fails or comes out short. */
export function* layOut(
  kernel: Kernel,
  file: OpenFile,
  path: string,
  sizeBytes: number,
  control: PrepareControl,
  fill: 'random' | 'zeros' = 'random',
): Task<void> {
  const pageCount = CHUNK_BYTES / PAGE_BYTES;
  const page = kernel.memory.allocatePages(pageCount);
  if (page < 0) throw layOutError(path, 'there is no memory for its buffer', 0);
  const random = new Sfc32(FILL_SEED);
  const words = kernel.memory.arena.words;
  const firstWord = (page * PAGE_BYTES) / 4;
  for (let index = 0; index < CHUNK_BYTES / 4; index++) {
    words[firstWord + index] = fill === 'zeros' ? 0 : random.next32();
  }
  try {
    yield* writeChunks(kernel, file, path, sizeBytes, page * PAGE_BYTES, control);
  } finally {
    kernel.memory.releasePages(page, pageCount);
  }
}

function* writeChunks(
  kernel: Kernel,
  file: OpenFile,
  path: string,
  sizeBytes: number,
  addressBytes: number,
  control: PrepareControl,
): Task<void> {
  const { inode } = file;
  const blockBytes = 2 ** inode.blockBits;
  let at = inode.sizeBytes - (inode.sizeBytes % blockBytes);
  while (at < sizeBytes) {
    if (control.isStopRequested()) throw new RunCancelled();
    control.onPhase(
      `Laying out ${path}: ${String(Math.floor(at / MIB))} of ${String(Math.ceil(sizeBytes / MIB))} MiB`,
      at / sizeBytes,
    );
    const lengthBytes = Math.min(CHUNK_BYTES, sizeBytes - at);
    const segment = { addressBytes, lengthBytes };
    const iter = new IovIter(kernel.memory, 'write', 'user', [segment]);
    const iocb: Kiocb = {
      id: 0,
      inode,
      // The last piece of an odd size goes through the page cache.
      isDirect: lengthBytes % blockBytes === 0,
      isNowait: false,
      isDsync: false,
      isAppend: false,
      positionBytes: at,
      onComplete: null,
    };
    const returned = file.write(iocb, iter);
    const written = isTask(returned) ? yield* returned : returned;
    if (written < 0)
      throw layOutError(path, `a write ended with ${errnoName(written) ?? String(written)}`, at);
    if (written === 0) throw layOutError(path, 'a write moved nothing', at);
    at += written;
  }
  const synced = yield* file.fsync(false);
  if (synced < 0)
    throw layOutError(path, `fsync ended with ${errnoName(synced) ?? String(synced)}`, at);
}

function layOutError(path: string, why: string, atBytes: number): HostError {
  const isFull = why.includes('ENOSPC');
  return new HostError({
    code: isFull ? 'image.full' : 'image.refused',
    message: `laying out ${path} stopped at byte ${String(atBytes)}: ${why}`,
    where: path,
    hint: isFull
      ? 'The file system in the image is full: a smaller file or a larger image.'
      : 'The image may be damaged; e2fsck -fn says more.',
    exitCode: 74,
  });
}
