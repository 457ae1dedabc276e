// SPDX-License-Identifier: GPL-2.0-only
/**
 * Copies of image files: by reflink where the host's file system has that (the copy shares its blocks), else of what is data, with
 * holes left out. A copy is on the disk when its function returns; a copy that failed leaves nothing.
 */
import { constants, type BigIntStats } from 'node:fs';
import { copyFile, open, rm, statfs, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import { fileError, syncFile } from '../durable.ts';

const PIECE_BYTES = 1024 * 1024;
/** Left free on the host's disk. */
const SPARE_BYTES = 4 * 1024 * 1024;
const REFLINK_REFUSALS = ['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY', 'EPERM'];
const ALLOCATED_UNIT_BYTES = 512n;

/** Bytes that the file takes on the host's disk. */
export const allocatedBytes = (stats: BigIntStats): number =>
  Number(stats.blocks * ALLOCATED_UNIT_BYTES);

/** Throws 'host.no-space' where the disk of `folder` has no room for so many bytes. */
export async function assertRoom(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= bytes + SPARE_BYTES) return;
  throw new HostError({
    code: 'host.no-space',
    message: `${what} needs ${String(bytes)} bytes: ${String(freeBytes)} are free`,
    where: folder,
    hint: 'Remove snapshots or images that are no longer needed.',
    exitCode: 73,
    data: { errno: 'ENOSPC' },
  });
}

/** Copies the file at `from` to the new file `to`; says how. Throws `HostError`, also where the disk is too small. */
export async function copyImage(
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<'reflink' | 'copy'> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    await syncFile(to);
    return 'reflink';
  } catch (error) {
    await rm(to, { force: true });
    if (!REFLINK_REFUSALS.includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw fileError(error, 'copy the image', to);
    }
  }
  const source = await openImage(from);
  try {
    const { size } = await source.stat();
    await copyRange(source, 0, size, to, signal);
  } finally {
    await source.close();
  }
  return 'copy';
}

/** Not through a link: an image is a regular file. */
const openImage = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_NOFOLLOW);

/** Copies a part of an image into a new file, which is as long as that part: a partition of its own. */
export async function extractRange(
  from: string,
  startBytes: number,
  sizeBytes: number,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  const source = await openImage(from);
  try {
    await copyRange(source, startBytes, sizeBytes, to, signal);
  } finally {
    await source.close();
  }
}

async function copyRange(
  source: FileHandle,
  startBytes: number,
  sizeBytes: number,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  const stats = await source.stat({ bigint: true });
  const most = Math.min(sizeBytes, allocatedBytes(stats));
  await assertRoom(dirname(to), most, 'A copy of the image');
  const target = await open(to, 'wx', 0o600);
  try {
    await target.truncate(sizeBytes);
    await eachData(source, startBytes, startBytes + sizeBytes, async (bytes, at) => {
      signal?.throwIfAborted();
      await writeWhole(target, bytes, at - startBytes);
    });
    await target.sync();
    await target.close();
  } catch (error) {
    await target.close().catch(() => undefined); // closed already where that is what failed
    await rm(to, { force: true });
    throw fileError(error, 'copy the image', to);
  }
}

/** Gives the data of a part of a file, in pieces of 1 MiB at most; holes are passed over. The bytes are good until the promise settles. */
export async function eachData(
  handle: FileHandle,
  startBytes: number,
  endBytes: number,
  onData: (bytes: Uint8Array, atBytes: number) => Promise<void>,
): Promise<void> {
  const { nextDataRange } = await import('../../host/native/holes.ts');
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let at = startBytes; at < endBytes;) {
    const range = nextDataRange(handle.fd, at, endBytes);
    if (range === null) return;
    at = range.startBytes;
    while (at < range.endBytes) {
      const wanted = Math.min(PIECE_BYTES, range.endBytes - at);
      const { bytesRead } = await handle.read(buffer, 0, wanted, at);
      if (bytesRead === 0) return;
      await onData(buffer.subarray(0, bytesRead), at);
      at += bytesRead;
    }
  }
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array, atBytes: number): Promise<void> {
  const { bytesWritten } = await handle.write(bytes, 0, bytes.length, atBytes);
  if (bytesWritten !== bytes.length) {
    throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
  }
}

/** Writes those bytes of the file at `from` that differ into the image, from `startBytes` on. */
export async function writeBack(from: string, image: string, startBytes: number): Promise<void> {
  const source = await openImage(from);
  const target = await open(image, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const { size } = await source.stat();
    const [fresh, old] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, size - at);
      await source.read(fresh, 0, length, at);
      await target.read(old, 0, length, startBytes + at);
      const piece = fresh.subarray(0, length);
      if (!piece.equals(old.subarray(0, length))) await writeWhole(target, piece, startBytes + at);
    }
    await target.sync();
  } catch (error) {
    throw fileError(error, 'write the repaired partition back', image);
  } finally {
    await source.close();
    await target.close();
  }
}
