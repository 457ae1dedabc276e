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
  changes: [
    {
      what: 'Each segment is mapped and pinned by itself, and a map call asks for its rest only.',
      reason: 'The iterator came later; direct_io_worker looped over struct iovec.',
      effect: 'core',
    },
    {
      what: 'The last partial block of the file may be allocated under DIO_SKIP_HOLES.',
      reason: 'The size is compared in whole dio blocks, rounded down.',
      effect: 'core',
    },
    {
      what: 'A boundary cuts the bio before the next page, one page early or late.',
      reason: 'The flag is set for every chunk of the mapping and looked at when a page is sent.',
      effect: 'core',
    },
    {
      what: 'A read from beyond the end of the file does its I/O and returns a negative number.',
      reason: 'There is no test before the walk; the short-read rule then subtracts.',
      effect: 'core',
    },
    {
      what: 'EFAULT hides the bytes that were transferred before it.',
      reason: 'The rule that ignores EFAULT after a partial transfer came later.',
      effect: 'core',
    },
    {
      what: 'A short asynchronous read is waited for.',
      reason: 'The test is `rw & READ`, and READ is 0.',
      effect: 'core',
    },
    {
      what: 'Queue limits decide what a bio takes, and only pieces of one page join.',
      reason: 'Bios could not be split below; neighbouring pages were joined later.',
      effect: 'core',
    },
    {
      what: 'Completion never goes to a work queue, and cached pages are not invalidated by it.',
      reason: 'Deferred completion came with O_DSYNC for asynchronous writes.',
      effect: 'detail',
    },
    {
      what: 'end_io is only called where bytes were transferred; it then completes the kiocb itself.',
      reason: 'It may have to convert extents first, from a work queue of its own.',
      effect: 'detail',
    },
    {
      what: 'Pages pinned for a segment leak where a read of several ends in a hole at the end of the file.',
      reason: 'The next segment starts with an empty queue without letting them go.',
      effect: 'detail',
    },
  ],
};
