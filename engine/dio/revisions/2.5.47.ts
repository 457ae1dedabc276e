// SPDX-License-Identifier: GPL-2.0-only
/** November 2002: the first direct I/O that can be asynchronous. No locks, no size, no end_io; errors and bytes share one variable. */
import type { RevisionSpec } from '../revision.ts';
import {
  afterWalkCounted,
  completeCountedBio,
  endCountedBio,
  endCountedBioForSubmitter,
  enterWithoutLocks,
} from '../steps/counted-bios.ts';
import { addSeparateVector } from '../steps/section-late.ts';
import { revision2_6_20 } from './2.6.20.ts';

export const revision2_5_47: RevisionSpec = {
  id: '2.5.47',
  title: 'Linux 2.5.47 (2002)',
  releasedOn: '2002-11-10',
  basedOn: revision2_6_20,
  traits: {
    createRule: 'always',
    unmappedWrite: 'zeroes-memory',
    readStopsAtEndOfFile: false,
    aliasUnit: 'dio-block',
    resultGrows: 'by-whole-segment',
    pageEstimateDrops: 'by-piece',
    writeBioFlags: 0,
    reapKeeps: 'last-status',
    zeroFillTakesReference: false,
    accountsWrites: false,
    hasLockTypes: false,
  },
  steps: {
    enter: enterWithoutLocks,
    afterWalk: afterWalkCounted,
    addToBio: addSeparateVector,
    endBioSync: endCountedBioForSubmitter,
    endBioAsync: endCountedBio,
    completeBio: completeCountedBio,
  },
  changes: [
    {
      what: 'No lock is taken, and dirty cached pages are not written first.',
      reason: 'Locking against truncate and buffered writers came in 2003 and 2004.',
      effect: 'detail',
    },
    {
      what: 'Every write may allocate, also inside the file.',
      reason: 'That a buffered reader could see such a block before its data was found later.',
      effect: 'core',
    },
    {
      what: "A write that meets an unmapped block zeroes the user's memory and counts it as written.",
      reason: 'Holes are treated alike in both directions.',
      effect: 'core',
    },
    {
      what: 'Reads are not cut at the end of the file.',
      reason: 'The size of the file is never looked at.',
      effect: 'core',
    },
    {
      what: 'After a fault, zero-filled blocks count as written and the fault is not reported.',
      reason: 'Bytes in the result win over every error.',
      effect: 'core',
    },
    {
      what: 'An error of a bio is lost, or the bytes that follow are added to it.',
      reason: 'dio_bio_complete stores -EIO where the loop adds the transferred bytes.',
      effect: 'core',
    },
    {
      what: 'An asynchronous request returns its count and completes as well.',
      reason: '-EIOCBQUEUED did not exist for direct I/O.',
      effect: 'core',
    },
    {
      what: 'An asynchronous write that extends the file stays asynchronous.',
      reason: 'That uninitialised blocks can then be read was found in 2003.',
      effect: 'core',
    },
    {
      what: 'Reaping reports the last status only.',
      reason: 'Each completed bio overwrites the one before.',
      effect: 'core',
    },
    {
      what: 'The reference count of the zero page drifts down by one for every filled page.',
      reason: 'It is dropped like a pinned page, without having been taken.',
      effect: 'detail',
    },
    {
      what: 'Aliases of new blocks are counted in dio blocks, so too many buffers are dropped.',
      reason: 'The count of available blocks is used as it is.',
      effect: 'detail',
    },
    {
      what: 'Every piece of a page is a vector of its own.',
      reason: 'Pieces of one page were joined later.',
      effect: 'core',
    },
  ],
};
