// SPDX-License-Identifier: GPL-2.0-only
/** August 2009, the base of the page-based series: lock types, i_alloc_sem, and no rule about the file in a bio. */
import type { RevisionSpec } from '../revision.ts';
import { enterWithLockTypes } from '../steps/begin-lock-types.ts';
import { completeWithAllocSem } from '../steps/end-plain.ts';
import { revision3_1 } from './3.1.ts';

export const revision2_6_31: RevisionSpec = {
  id: '2.6.31',
  title: 'Linux 2.6.31 (2009)',
  releasedOn: '2009-09-09',
  basedOn: revision3_1,
  traits: {
    createRule: 'by-lock-type',
    logicallyContiguousBios: false,
    grownVectorRoom: 'for-added-bytes',
    bioVectorsMax: 0,
    truncatesFailedWrite: true,
    hasLockTypes: true,
  },
  steps: {
    enter: enterWithLockTypes,
    complete: completeWithAllocSem,
  },
  changes: [
    {
      what: 'Lock types decide: core locks, driver locks, none. Without locks a write never allocates.',
      reason: 'They became flags when i_alloc_sem went.',
      effect: 'core',
    },
    {
      what: 'Pieces that are neighbours on disk share a bio even where they are apart in the file.',
      reason: 'The rule was added for a file system that checksums by place in the file.',
      effect: 'core',
    },
    {
      what: 'i_alloc_sem is held for reading until the completion.',
      reason: 'It kept truncate away before i_dio_count did.',
      effect: 'detail',
    },
    {
      what: 'A failed extending write is truncated to the size of the file.',
      reason: 'Later the file systems do that themselves.',
      effect: 'core',
    },
    {
      what: 'An empty read under core locks unlocks what it did not lock.',
      reason: 'The lock is taken only for a read of at least a byte, the unlock does not look.',
      effect: 'detail',
    },
    {
      what: 'end_io is told the bytes, also where the request failed, and nothing more.',
      reason: 'It did not take over the completion yet.',
      effect: 'detail',
    },
  ],
};
