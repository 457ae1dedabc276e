// SPDX-License-Identifier: GPL-2.0-only
/**
 * Plain files of the host for runs without the engine: made beside the image, so that they lie on the same disk and file system,
 * written from end to end (a hole would be read from nowhere), and removed when the run is over.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError, MIB } from '../../../engine/base/index.ts';
import type { OpenImage, PlainFilePort } from '../../../engine/devices/contract.ts';
import { imageFiles } from './image-files.ts';
import { PLAIN_FILE_PREFIX } from './plain-file-name.ts';

function assertSpace(folder: string, sizeBytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= sizeBytes) return;
  throw new HostError({
    code: 'host.no-space',
    message: `a plain file of ${String(sizeBytes)} bytes does not fit: ${String(bavail * bsize)} bytes are free`,
    where: folder,
    hint: 'Make the file of the run smaller, or free some space.',
    exitCode: 73,
  });
}

/** Writes the whole file; each MiB is different, so that nothing below can take a short cut. */
function fill(path: string, sizeBytes: number, isStopRequested: () => boolean): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    const piece = randomBytes(MIB);
    for (let at = 0; at < sizeBytes; at += MIB) {
      if (isStopRequested()) {
        throw new HostError({
          code: 'run.stopped',
          message: 'stopped while writing',
          exitCode: 130,
        });
      }
      piece.writeDoubleLE(at, 0);
      const length = Math.min(MIB, sizeBytes - at);
      if (writeSync(fd, piece, 0, length, at) !== length) {
        throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      }
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The open file, which takes its name with it. */
function removedAtClose(image: OpenImage): OpenImage {
  const { path, fd, sizeBytes, isReadOnly, isDirect, directRefusedWhy } = image;
  const { offsetAlignBytes, memoryAlignBytes } = image;
  return {
    path,
    fd,
    sizeBytes,
    isReadOnly,
    isDirect,
    directRefusedWhy,
    offsetAlignBytes,
    memoryAlignBytes,
    close: () => {
      image.close();
      rmSync(path, { force: true });
    },
  };
}

export const plainFiles: PlainFilePort = {
  make(beside, sizeBytes, { direct, isStopRequested }) {
    const folder = dirname(beside);
    assertSpace(folder, sizeBytes);
    const path = join(folder, `${PLAIN_FILE_PREFIX}${randomBytes(6).toString('hex')}`);
    try {
      fill(path, sizeBytes, isStopRequested);
      return removedAtClose(imageFiles.open(path, { readOnly: false, direct }));
    } catch (error) {
      rmSync(path, { force: true });
      if (error instanceof HostError) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new HostError({
        code: 'host.plain-file',
        message: `a plain file beside the image cannot be written: ${code}`,
        where: folder,
        hint: 'The folder of the image has to be writable and has to have room.',
        exitCode: 74,
      });
    }
  },
};
