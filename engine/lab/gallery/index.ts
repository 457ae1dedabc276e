// SPDX-License-Identifier: GPL-2.0-only
/** The bug gallery: the list of exhibits. Adding one is a file in exhibits/ and a line here. */
import { HostError } from '../../base/index.ts';
import type { ExhibitRun } from '../comparison.ts';
import type { Exhibit } from './exhibit.ts';
import { aliasCount } from './exhibits/alias-count.ts';
import { boundaryPageLeak } from './exhibits/boundary-page-leak.ts';
import { cachedPagesRace } from './exhibits/cached-pages-race.ts';
import { endIoMissesErrors } from './exhibits/end-io-misses-errors.ts';
import { errorAddedToCount } from './exhibits/error-added-to-count.ts';
import { extendingAio } from './exhibits/extending-aio.ts';
import { extendingAioByPages } from './exhibits/extending-aio-by-pages.ts';
import { failedExtendingWrite } from './exhibits/failed-extending-write.ts';
import { failedWriteToldAsSuccess } from './exhibits/failed-write-told-as-success.ts';
import { faultCountedAsSuccess } from './exhibits/fault-counted-as-success.ts';
import { faultHidesCount } from './exhibits/fault-hides-count.ts';
import { holeWrite } from './exhibits/hole-write.ts';
import { lastPartialBlock } from './exhibits/last-partial-block.ts';
import { logicallyApartBios } from './exhibits/logically-apart-bios.ts';
import { misalignedPinsLeak } from './exhibits/misaligned-pins-leak.ts';
import { negativeRead } from './exhibits/negative-read.ts';
import { pageArrayOffset } from './exhibits/page-array-offset.ts';
import { readPastEnd } from './exhibits/read-past-end.ts';
import { readvEndOfFileLeak } from './exhibits/readv-end-of-file-leak.ts';
import { staleBytesAfterFault } from './exhibits/stale-bytes-after-fault.ts';
import { subBlockTails } from './exhibits/sub-block-tails.ts';
import { waitPerIovec } from './exhibits/wait-per-iovec.ts';
import { writeInHoleExposes } from './exhibits/write-in-hole-exposes.ts';
import { zeroLengthRead } from './exhibits/zero-length-read.ts';
import { runOne } from './run.ts';

export const EXHIBITS: readonly Exhibit[] = [
  subBlockTails,
  staleBytesAfterFault,
  faultCountedAsSuccess,
  readPastEnd,
  negativeRead,
  holeWrite,
  writeInHoleExposes,
  lastPartialBlock,
  extendingAio,
  extendingAioByPages,
  failedExtendingWrite,
  waitPerIovec,
  logicallyApartBios,
  cachedPagesRace,
  readvEndOfFileLeak,
  boundaryPageLeak,
  misalignedPinsLeak,
  zeroLengthRead,
  aliasCount,
  endIoMissesErrors,
  failedWriteToldAsSuccess,
  pageArrayOffset,
  errorAddedToCount,
  faultHidesCount,
];

/** The exhibit with this id, or a `HostError` that lists those there are. */
export function findExhibit(id: string): Exhibit {
  const found = EXHIBITS.find(({ info }) => info.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'gallery.unknown',
    message: `the gallery has no exhibit ${JSON.stringify(id)}`,
    where: 'exhibit',
    hint: `There are ${EXHIBITS.map(({ info }) => info.id).join(', ')}.`,
    exitCode: 65,
  });
}

/** Runs an exhibit on its old and its fixed revision. */
export function runExhibit(id: string): ExhibitRun {
  return runOne(findExhibit(id));
}

export type { Exhibit, ExhibitEnd } from './exhibit.ts';
