// SPDX-License-Identifier: GPL-2.0-only
/**
 * The root revision: mainline of 2022 and 2023 (the text of v6.0 to v6.4). One iov_iter a request, a deferred completion where it may
 * sleep, bios contiguous on disk and in the file. It brings every trait and every step; the others say how they differ from it.
 */
import { BIO_FLAG } from '../../base/index.ts';
import type { DioSteps, RevisionSpec } from '../revision.ts';
import type { DioTraits } from '../traits.ts';
import { enterWithIterator } from '../steps/begin.ts';
import {
  completeAndInvalidate,
  completeBioKeepingAgain,
  endBioAndRequest,
  endBioForSubmitter,
} from '../steps/end.ts';
import { afterWalkOfIterator } from '../steps/finish.ts';
import { mapMore } from '../steps/map-more.ts';
import { takePageOfIterator } from '../steps/pin.ts';
import {
  addJoiningNeighbours,
  submitPageSectionAtOnce,
  vectorCountOfPages,
} from '../steps/section.ts';
import { walk } from '../steps/walk.ts';

const traits: DioTraits = {
  createRule: 'unless-inside-size',
  askedBlocks: 'touched',
  unmappedWrite: 'stops',
  readsMayStop: true,
  readStopsAtEndOfFile: true,
  boundaryChunk: 'last',
  aliasUnit: 'fs-block',
  resultGrows: 'by-chunk',
  logicallyContiguousBios: true,
  boundaryClosesBeforeNextPage: false,
  pageEstimateDrops: 'at-page-end',
  writeBioFlags: BIO_FLAG.sync | BIO_FLAG.idle,
  passesNowait: true,
  plugs: true,
  bioCapacities: [4, 16, 64, 128, 256],
  reapKeeps: 'first-error',
  zeroFillTakesReference: true,
  asyncReadsLeave: 'any',
  grownVectorRoom: 'as-if-new',
  bioVectorsMax: 256,
  truncatesFailedWrite: false,
  takesIterator: true,
  accountsWrites: true,
  kernelMemory: 'vectors',
  vectorsMayLeavePages: false,
  hasLockTypes: false,
};

const steps: DioSteps = {
  enter: enterWithIterator,
  takePage: takePageOfIterator,
  walkRequest: walk,
  afterWalk: afterWalkOfIterator,
  mapMore,
  submitPageSection: submitPageSectionAtOnce,
  bioVectorCount: vectorCountOfPages,
  addToBio: addJoiningNeighbours,
  endBioSync: endBioForSubmitter,
  endBioAsync: endBioAndRequest,
  completeBio: completeBioKeepingAgain,
  complete: completeAndInvalidate,
};

export const revision6_4: RevisionSpec = {
  id: '6.4',
  title: 'Linux 6.4 (mainline, 2023)',
  releasedOn: '2023-06-25',
  basedOn: null,
  traits,
  steps,
  callers: {
    endReadsAtSize: false,
    continueShortReads: true,
    continueShortWrites: true,
    queueCounts: false,
    syncInFlight: false,
  },
  changes: [],
};
