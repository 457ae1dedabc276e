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
    readsMayStop: false,
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
  callers: { continueShortReads: false },
  changes: [
    {
      what: 'Lock types decide: core locks, driver locks, none. Without locks a write never allocates.',
      reason: 'They became flags when i_alloc_sem went.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'map', column: 'create', when: { op: 'write' } },
        { at: 'returned', when: { op: 'write', returnedHere: 'EIO' } },
        { at: 'only-there', row: 'bio-submit', when: { op: 'write', after: 'hole' } },
      ],
    },
    {
      what: 'Pieces that are neighbours on disk share a bio even where they are apart in the file.',
      reason: 'The rule was added for a file system that checksums by place in the file.',
      effect: 'core',
      exhibit: 'logically-apart-bios',
      shows: [
        { at: 'only-there', row: 'bio-submit', when: { closedBy: 'not contiguous in the file' } },
        { at: 'both', row: 'bio-submit', when: { closedBy: 'not contiguous in the file' } },
        { at: 'both', row: 'bio-vector', when: { closedBy: 'not contiguous in the file' } },
        { at: 'only-there', row: 'bio-submit' },
        { at: 'only-here', row: 'bio-vector' },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes' },
      ],
    },
    {
      what: 'i_alloc_sem is held for reading until the completion.',
      reason: 'It kept truncate away before i_dio_count did.',
      effect: 'detail',
      shows: [
        { at: 'only-here', row: 'alloc-sem-down' },
        { at: 'only-here', row: 'alloc-sem-up' },
        { at: 'only-there', row: 'dio-begin' },
        { at: 'only-there', row: 'dio-end' },
      ],
    },
    {
      what: 'A failed extending write is truncated to the size of the file.',
      reason: 'Later the file systems do that themselves.',
      effect: 'core',
      shows: [
        { at: 'only-here', row: 'truncate' },
        { at: 'both', row: 'map', when: { after: 'truncate' } },
        { at: 'returned', when: { after: 'truncate' } },
        { at: 'only-here', row: 'map', when: { after: 'truncate' } },
        { at: 'only-there', row: 'map', when: { after: 'truncate' } },
      ],
    },
    {
      what: 'An empty read under core locks unlocks what it did not lock.',
      reason: 'The lock is taken only for a read of at least a byte, the unlock does not look.',
      effect: 'detail',
      exhibit: 'zero-length-read',
      shows: [{ at: 'only-here', row: 'note-unlock-unheld' }],
    },
    {
      what: 'ENOTBLK from a map call is the result of a read, and not taken for a stop.',
      reason:
        'The code that hands the rest to the page cache looks whether the request is a write.',
      effect: 'core',
      shows: [{ at: 'returned', when: { op: 'read', returnedHere: 'ENOTBLK' } }],
    },
    {
      what: 'end_io is told the bytes, also where the request failed, and nothing more.',
      reason: 'It did not take over the completion yet.',
      effect: 'detail',
      exhibit: 'failed-write-told-as-success',
      shows: [
        { at: 'both', row: 'end-io' },
        { at: 'only-here', row: 'end-io' },
        { at: 'only-there', row: 'end-io' },
      ],
    },
    {
      what: 'A vector that grows needs room for the bytes that are added only.',
      reason:
        'Later the whole vector is held against the chunk of the device, as if it were added anew.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'bio-submit', column: 'sizeBytes', when: { closedBy: 'full' } },
        { at: 'both', row: 'bio-vector', when: { closedBy: 'full' } },
        { at: 'only-here', row: 'bio-submit', when: { closedBy: 'full' } },
        { at: 'only-there', row: 'bio-submit', when: { closedBy: 'full' } },
      ],
    },
  ],
};
