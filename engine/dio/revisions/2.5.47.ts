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
  callers: { continueShortWrites: false, queueCounts: true },
  changes: [
    {
      what: 'No lock is taken, and dirty cached pages are not written first.',
      reason: 'Locking against truncate and buffered writers came in 2003 and 2004.',
      effect: 'detail',
      shows: [
        { at: 'only-there', row: 'lock' },
        { at: 'only-there', row: 'unlock' },
        { at: 'only-there', row: 'alloc-sem-down' },
        { at: 'only-there', row: 'alloc-sem-up' },
        { at: 'only-there', row: 'write-and-wait' },
      ],
    },
    {
      what: 'Every write may allocate, also inside the file.',
      reason: 'That a buffered reader could see such a block before its data was found later.',
      effect: 'core',
      breaks: ['nothing-stale'],
      exhibit: 'write-in-hole-exposes',
      shows: [{ at: 'both', row: 'map', column: 'create', when: { op: 'write' } }],
    },
    {
      what: "A write that meets an unmapped block zeroes the user's memory and counts it as written.",
      reason: 'Holes are treated alike in both directions.',
      effect: 'core',
      breaks: ['write-memory', 'write-count'],
      exhibit: 'hole-write',
      shows: [
        { at: 'only-here', row: 'zero', when: { op: 'write' } },
        { at: 'returned', when: { op: 'write', after: 'zero', returnedHere: 'positive' } },
        { at: 'only-here', row: 'map', when: { op: 'write', after: 'zero' } },
      ],
    },
    {
      what: 'Reads are not cut at the end of the file.',
      reason: 'The size of the file is never looked at.',
      effect: 'core',
      breaks: ['read-count'],
      exhibit: 'read-past-end',
      shows: [
        { at: 'only-here', row: 'map', when: { op: 'read' } },
        { at: 'only-there', row: 'bio-submit', when: { op: 'read' } },
        { at: 'returned', when: { op: 'read', returnedHere: 'positive' } },
        { at: 'only-here', row: 'zero', when: { op: 'read' } },
        { at: 'both', row: 'kiocb-complete', column: 'result', when: { op: 'read' } },
        { at: 'both', row: 'map', when: { op: 'read' } },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes', when: { op: 'read' } },
      ],
    },
    {
      what: 'After a fault, zero-filled blocks count as written and the fault is not reported.',
      reason: 'Bytes in the result win over every error.',
      effect: 'core',
      breaks: ['write-count'],
      exhibit: 'fault-counted-as-success',
      shows: [
        {
          at: 'returned',
          when: {
            op: 'write',
            returnedHere: 'positive',
            returnedThere: 'EFAULT',
            after: 'zero-fill',
          },
        },
        {
          at: 'both',
          row: 'kiocb-complete',
          column: 'result',
          when: { op: 'write', after: 'zero-fill' },
        },
      ],
    },
    {
      what: 'An error of a bio is lost, or the bytes that follow are added to it.',
      reason: 'dio_bio_complete stores -EIO where the loop adds the transferred bytes.',
      effect: 'core',
      breaks: ['write-count', 'read-content'],
      exhibit: 'error-added-to-count',
      shows: [
        { at: 'returned', when: { afterFailedBio: true } },
        { at: 'both', row: 'kiocb-complete', column: 'result', when: { afterFailedBio: true } },
      ],
    },
    {
      what: 'An asynchronous request returns its count and completes as well.',
      reason: '-EIOCBQUEUED did not exist for direct I/O.',
      effect: 'core',
      shows: [
        { at: 'only-here', row: 'kiocb-complete', when: { isAsync: true } },
        {
          at: 'returned',
          when: { isAsync: true, returnedHere: 'positive', returnedThere: 'EIOCBQUEUED' },
        },
        { at: 'only-there', row: 'kiocb-complete', when: { isAsync: true } },
      ],
    },
    {
      what: 'An asynchronous write that extends the file stays asynchronous.',
      reason: 'That uninitialised blocks can then be read was found in 2003.',
      effect: 'core',
      exhibit: 'extending-aio',
      shows: [
        {
          at: 'only-here',
          row: 'kiocb-complete',
          when: { op: 'write', isAsync: true, afterThere: 'wait' },
        },
        { at: 'only-there', row: 'wait', when: { op: 'write', isAsync: true } },
      ],
    },
    {
      what: 'Reaping reports the last status only.',
      reason: 'Each completed bio overwrites the one before.',
      effect: 'core',
      shows: [
        { at: 'only-here', row: 'map', when: { afterFailedBio: true, op: 'read' } },
        { at: 'only-here', row: 'map', when: { afterFailedBio: true, op: 'write' } },
        { at: 'only-here', row: 'bio-submit', when: { afterFailedBio: true, op: 'read' } },
        { at: 'only-here', row: 'bio-submit', when: { afterFailedBio: true, op: 'write' } },
      ],
    },
    {
      what: 'The reference count of the zero page drifts down by one for every filled page.',
      reason: 'It is dropped like a pinned page, without having been taken.',
      effect: 'detail',
      breaks: ['references'],
    },
    {
      what: 'Aliases of new blocks are counted in dio blocks, so too many buffers are dropped.',
      reason: 'The count of available blocks is used as it is.',
      effect: 'detail',
      exhibit: 'alias-count',
      shows: [{ at: 'both', row: 'alias' }],
    },
    {
      what: 'Every piece of a page is a vector of its own.',
      reason: 'Pieces of one page were joined later.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'bio-vector' },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes' },
        { at: 'both', row: 'bio-submit', column: 'vectorCount' },
        { at: 'only-here', row: 'bio-submit' },
        { at: 'only-here', row: 'bio-vector' },
      ],
    },
    {
      what: 'An error in a later segment is hidden by the bytes of the earlier ones.',
      reason:
        'The result is the sum of the segments that were walked without an error, and it wins.',
      effect: 'core',
      shows: [
        { at: 'returned', when: { returnedHere: 'positive', returnedThere: 'negative' } },
        { at: 'both', row: 'kiocb-complete', column: 'result' },
      ],
    },
    {
      what: 'There is no end_io: nobody is told that a request has ended.',
      reason: 'It came with the first file systems that had to convert blocks afterwards.',
      effect: 'detail',
      shows: [{ at: 'only-there', row: 'end-io' }],
    },
    {
      what: 'Bios of a write carry no flag.',
      reason: 'That somebody waits for them was told to the scheduler from 2005 on.',
      effect: 'core',
      shows: [{ at: 'both', row: 'bio-submit', column: 'flags' }],
    },
  ],
};
