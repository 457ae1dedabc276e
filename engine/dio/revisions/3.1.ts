// SPDX-License-Identifier: GPL-2.0-only
/**
 * 2011: the request is still a list of user segments, but lock types have become flags and i_alloc_sem has become i_dio_count; the
 * file system may submit bios itself.
 */
import { BIO_FLAG } from '../../base/index.ts';
import type { RevisionSpec } from '../revision.ts';
import { enterWithFlags } from '../steps/begin-flags.ts';
import {
  completeBioAsFailed,
  completeThroughFileSystem,
  endBioAndRequestAtOnce,
} from '../steps/end-plain.ts';
import {
  addGrowingLastVector,
  submitPageSectionLate,
  vectorCountOfQueue,
} from '../steps/section-late.ts';
import { takePageOfSegment, walkSegments } from '../steps/segments.ts';
import { revision6_4 } from './6.4.ts';

export const revision3_1: RevisionSpec = {
  id: '3.1',
  title: 'Linux 3.1 (2011)',
  releasedOn: '2011-10-24',
  basedOn: revision6_4,
  traits: {
    createRule: 'unless-below-size-in-units',
    askedBlocks: 'length-rounded-up',
    boundaryChunk: 'every',
    boundaryClosesBeforeNextPage: true,
    resultGrows: 'by-segment',
    writeBioFlags: BIO_FLAG.sync,
    passesNowait: false,
    plugs: false,
    asyncReadsLeave: 'whole',
    takesIterator: false,
    kernelMemory: 'none',
  },
  steps: {
    enter: enterWithFlags,
    takePage: takePageOfSegment,
    walkRequest: walkSegments,
    submitPageSection: submitPageSectionLate,
    bioVectorCount: vectorCountOfQueue,
    addToBio: addGrowingLastVector,
    endBioAsync: endBioAndRequestAtOnce,
    completeBio: completeBioAsFailed,
    complete: completeThroughFileSystem,
  },
  // generic_file_aio_read compared with i_size first; generic_file_aio_write synced also behind -EIOCBQUEUED.
  callers: { endReadsAtSize: true, syncInFlight: true },
  changes: [
    {
      what: 'Each segment is mapped and pinned by itself, and a map call asks for its rest only.',
      reason: 'The iterator came later; direct_io_worker looped over struct iovec.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'map', column: 'askedBlocks' },
        { at: 'only-here', row: 'map' },
      ],
    },
    {
      what: 'The last partial block of the file may be allocated under DIO_SKIP_HOLES.',
      reason: 'The size is compared in whole dio blocks, rounded down.',
      effect: 'core',
      exhibit: 'last-partial-block',
      shows: [
        { at: 'both', row: 'map', column: 'create', when: { op: 'write' } },
        { at: 'only-here', row: 'bio-submit', when: { op: 'write', afterThere: 'hole' } },
      ],
    },
    {
      what: 'A boundary cuts the bio before the next page, one page early or late.',
      reason: 'The flag is set for every chunk of the mapping and looked at when a page is sent.',
      effect: 'core',
      breaks: ['references'],
      exhibit: 'boundary-page-leak',
      shows: [
        { at: 'only-there', row: 'bio-submit', when: { closedBy: 'boundary' } },
        { at: 'only-here', row: 'bio-submit', when: { closedBy: 'boundary' } },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes', when: { closedBy: 'boundary' } },
        { at: 'both', row: 'bio-vector', when: { closedBy: 'boundary' } },
      ],
    },
    {
      what: 'A read from beyond the end of the file does its I/O and returns a negative number.',
      reason: 'There is no test before the walk; the short-read rule then subtracts.',
      effect: 'core',
      breaks: ['read-count'],
      exhibit: 'negative-read',
      shows: [
        { at: 'only-here', row: 'map', when: { op: 'read', afterThere: 'end-of-file' } },
        {
          at: 'returned',
          when: { op: 'read', returnedHere: 'negative', afterThere: 'end-of-file' },
        },
        { at: 'only-here', row: 'write-and-wait', when: { op: 'read', afterThere: 'end-of-file' } },
        { at: 'only-here', row: 'dio-begin', when: { op: 'read', afterThere: 'end-of-file' } },
      ],
    },
    {
      what: 'EFAULT hides the bytes that were transferred before it.',
      reason: 'The rule that ignores EFAULT after a partial transfer came later.',
      effect: 'core',
      exhibit: 'fault-hides-count',
      shows: [{ at: 'returned', when: { returnedHere: 'EFAULT', returnedThere: 'positive' } }],
    },
    {
      what: 'A short asynchronous read is waited for.',
      reason: 'The test is `rw & READ`, and READ is 0.',
      effect: 'core',
      shows: [
        { at: 'only-there', row: 'kiocb-complete', when: { op: 'read', isAsync: true } },
        { at: 'returned', when: { op: 'read', isAsync: true, returnedThere: 'EIOCBQUEUED' } },
        { at: 'only-here', row: 'wait', when: { op: 'read', isAsync: true } },
      ],
    },
    {
      what: 'Queue limits decide what a bio takes, and only pieces of one page join.',
      reason: 'Bios could not be split below; neighbouring pages were joined later.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'bio-submit', column: 'sizeBytes' },
        { at: 'both', row: 'bio-vector' },
        { at: 'only-here', row: 'bio-submit', when: { closedBy: 'full' } },
        { at: 'only-there', row: 'bio-submit', when: { closedBy: 'full' } },
        { at: 'only-there', row: 'bio-vector' },
        { at: 'only-here', row: 'bio-submit' },
      ],
    },
    {
      what: 'Completion never goes to a work queue, and cached pages are not invalidated by it.',
      reason: 'Deferred completion came with O_DSYNC for asynchronous writes.',
      effect: 'detail',
      exhibit: 'cached-pages-race',
      shows: [
        { at: 'only-there', row: 'work-queue' },
        { at: 'only-there', row: 'defer' },
        { at: 'only-there', row: 'work' },
        { at: 'only-there', row: 'invalidate' },
        { at: 'only-there', row: 'fsync' },
        { at: 'only-there', row: 'stale' },
      ],
    },
    {
      what: 'end_io is only called where bytes were transferred; it then completes the kiocb itself.',
      reason: 'It may have to convert extents first, from a work queue of its own.',
      effect: 'detail',
      exhibit: 'end-io-misses-errors',
      shows: [
        { at: 'both', row: 'end-io' },
        { at: 'only-here', row: 'end-io' },
        { at: 'only-there', row: 'end-io' },
      ],
    },
    {
      what: 'Pages pinned for a segment leak where a read of several ends in a hole at the end of the file.',
      reason: 'The next segment starts with an empty queue without letting them go.',
      effect: 'detail',
      breaks: ['references'],
      exhibit: 'readv-end-of-file-leak',
      shows: [{ at: 'left' }],
    },
    {
      what: 'Bios of a write are marked synchronous, but not idle, and NOWAIT is not passed to them.',
      reason: 'Both flags came with the schedulers and the asynchronous callers that look at them.',
      effect: 'core',
      shows: [{ at: 'both', row: 'bio-submit', column: 'flags' }],
    },
    {
      what: 'A bio that could not be done without waiting fails the request with EIO.',
      reason: 'A bio only said that it failed; EAGAIN came with NOWAIT.',
      effect: 'core',
      shows: [
        {
          at: 'returned',
          when: { returnedHere: 'EIO', returnedThere: 'EAGAIN', afterFailedBio: true },
        },
        { at: 'both', row: 'kiocb-complete', column: 'result', when: { afterFailedBio: true } },
      ],
    },
    {
      what: 'An asynchronous caller learns the result before i_dio_count drops.',
      reason: 'end_io of the file system, or its default, does both, in that order.',
      effect: 'detail',
      shows: [{ at: 'only-there', row: 'dio-end', when: { isAsync: true } }],
    },
    {
      what: 'end_io has no value of its own: it cannot replace the result.',
      reason: 'That it can fail came with the completions that may sleep.',
      effect: 'core',
      shows: [{ at: 'returned', when: { afterThere: 'end-io', returnedThere: 'negative' } }],
    },
    {
      what: "Every page of a request is the caller's and is set dirty by a read.",
      reason: 'An iterator over memory of the kernel came later.',
      effect: 'detail',
      shows: [
        { at: 'only-here', row: 'dirty' },
        { at: 'only-here', row: 'predirty' },
      ],
    },
    {
      what: 'A misaligned read is refused before the lock is taken and dirty pages are written.',
      reason:
        'Offset, addresses and lengths are looked at first; later that waits until the size is known.',
      effect: 'detail',
      shows: [
        { at: 'only-there', row: 'lock' },
        { at: 'only-there', row: 'write-and-wait' },
      ],
    },
  ],
};
