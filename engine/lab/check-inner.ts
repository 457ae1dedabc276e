// SPDX-License-Identifier: GPL-2.0-only
/** What can be said of an image in a file of an image before anything is opened. */
import { isPowerOfTwo, PAGE_BYTES, resolveOptions, SECTOR_BYTES } from '../base/index.ts';
import { REVISIONS } from '../dio/index.ts';
import { FILE_SYSTEMS } from '../filesystems/index.ts';
import { isGoodPath, type Refuse } from './check.ts';
import type { InnerImage, Target } from './experiment.ts';
import { kernelMemoryOf } from './nested.ts';

/** Every problem of `target.inner`; none where there is no inner image. */
export function checkInner(
  target: Target,
  revision: string,
  refuse: Refuse,
  attempt: (action: () => unknown) => void,
): void {
  const { inner } = target;
  if (inner === undefined) return;
  if (!isGoodPath(inner.file)) {
    refuse(
      'target.bad-file-path',
      `${inner.file} is not the path of a file in an image`,
      "It starts with '/', ends in a name, and has no '.' or '..'.",
      'target.inner.file',
    );
  }
  if (target.by === 'host') {
    refuse(
      'inner.by-host',
      'the host itself does the I/O, and an image in a file of the image is there for the engine only',
      'Leave out by: host, or the inner image.',
      'target.inner',
    );
  }
  checkNumbers(inner, refuse);
  checkLowerFileSystem(inner, refuse, attempt);
  checkTransfer(inner, revision, refuse);
}

function checkNumbers({ sectorBytes, fileSizeBytes }: InnerImage, refuse: Refuse): void {
  if (!isPowerOfTwo(sectorBytes) || sectorBytes < SECTOR_BYTES || sectorBytes > PAGE_BYTES) {
    refuse(
      'inner.bad-sector',
      `a loop device with logical blocks of ${String(sectorBytes)} bytes`,
      'They are of 512, 1024, 2048 or 4096 bytes.',
      'target.inner.sectorBytes',
    );
  } else if (fileSizeBytes !== null && (fileSizeBytes <= 0 || fileSizeBytes % sectorBytes !== 0)) {
    refuse(
      'inner.bad-size',
      `an inner image of ${String(fileSizeBytes)} bytes`,
      `A multiple of its logical block of ${String(sectorBytes)} bytes.`,
      'target.inner.fileSizeBytes',
    );
  }
}

function checkLowerFileSystem(
  { fileSystem }: InnerImage,
  refuse: Refuse,
  attempt: (action: () => unknown) => void,
): void {
  const { id, options } = fileSystem;
  if (id === 'auto') return;
  const module = FILE_SYSTEMS.find((known) => known.id === id);
  if (module === undefined || id === 'raw') {
    const known = FILE_SYSTEMS.flatMap((one) => (one.id === 'raw' ? [] : [one.id])).join(', ');
    refuse(
      module === undefined ? 'file-system.unknown' : 'inner.raw-has-no-files',
      module === undefined
        ? `there is no file system ${id}`
        : 'a raw device has no file that could hold the inner image',
      `There are auto, ${known}.`,
      'target.inner.fileSystem',
    );
    return;
  }
  attempt(() => resolveOptions(module.options, options, `lower file system ${id}`));
}

/** Only some revisions take memory of the kernel's. */
function checkTransfer({ transfer }: InnerImage, revision: string, refuse: Refuse): void {
  const isKnown = REVISIONS.some(({ id }) => id === revision);
  if (transfer !== 'direct' || !isKnown || kernelMemoryOf(revision) !== 'none') return;
  const able = REVISIONS.flatMap(({ id }) => (kernelMemoryOf(id) === 'none' ? [] : [id]));
  refuse(
    'inner.direct-needs-kernel-memory',
    `direct I/O of revision ${revision} takes the caller's memory only, so a loop driver has nothing to hand down to it`,
    `Use buffered transfer, or one of the revisions ${able.join(', ')}.`,
    'target.inner.transfer',
  );
}
