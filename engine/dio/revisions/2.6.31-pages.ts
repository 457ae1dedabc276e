// SPDX-License-Identifier: GPL-2.0-only
/**
 * August 2009: the first two patches of a series that makes direct I/O work on an array of pages, so that the loop driver can use it.
 * A request for comments; it was not merged. Its faults are ported as they are: some of them stop the kernel, and the lab says so.
 */
import type { RevisionSpec } from '../revision.ts';
import {
  completeBioOfPages,
  enterByPages,
  submitPageSectionOfArray,
  takePageOfArray,
  walkPageArray,
} from '../steps/page-array.ts';
import { revision2_6_31 } from './2.6.31.ts';

export const revision2_6_31Pages: RevisionSpec = {
  id: '2.6.31-pages',
  title: 'Linux 2.6.31 with page-based direct I/O (patches, 2009)',
  releasedOn: '2009-08-17',
  basedOn: revision2_6_31,
  traits: {
    kernelMemory: 'pages',
    vectorsMayLeavePages: true,
  },
  steps: {
    enter: enterByPages,
    takePage: takePageOfArray,
    walkRequest: walkPageArray,
    submitPageSection: submitPageSectionOfArray,
    completeBio: completeBioOfPages,
  },
  changes: [
    {
      what: 'Each segment is a request of its own, waited for before the next one starts.',
      reason: 'do_dio turns one struct iovec after the other into an array of pages.',
      effect: 'core',
      exhibit: 'wait-per-iovec',
      shows: [
        { at: 'only-here', row: 'bio-submit' },
        { at: 'both', row: 'map' },
        { at: 'returned', when: { returnedThere: 'EFAULT', returnedHere: 'positive' } },
        { at: 'returned' },
        { at: 'only-here', row: 'map' },
        { at: 'only-there', row: 'map' },
        { at: 'only-here', row: 'alloc-sem-down' },
        { at: 'only-there', row: 'alloc-sem-down' },
        { at: 'only-here', row: 'kiocb-complete' },
        { at: 'only-here', row: 'end-io' },
        { at: 'only-here', row: 'alloc-sem-up' },
        { at: 'only-here', row: 'wait' },
      ],
    },
    {
      what: 'Pages of the kernel can be handed in; they are marked up to date and not let go.',
      reason: 'The loop driver passes the pages of its bios on.',
      effect: 'core',
      shows: [
        { at: 'only-here', row: 'uptodate' },
        { at: 'only-there', row: 'dirty' },
      ],
    },
    {
      what: 'A buffer that starts inside a page gives data from the wrong place, or from outside of it.',
      reason: 'The offset in the first page is added in blocks and again in bytes, less one block.',
      effect: 'core',
      breaks: ['write-place', 'read-content', 'nothing-stale', 'goes-on'],
      exhibit: 'page-array-offset',
      shows: [
        { at: 'both', row: 'bio-vector' },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes' },
        { at: 'only-there', row: 'bio-submit' },
        { at: 'stop', when: { stoppedWith: 'outside its page' } },
        { at: 'both', row: 'zero' },
        { at: 'stop', when: { stoppedWith: 'zeroing outside' } },
        { at: 'both', row: 'dirty' },
      ],
    },
    {
      what: 'Memory that is only partly there stops the kernel.',
      reason: 'Pages that were not pinned are used as if they were: a null page.',
      effect: 'core',
      breaks: ['goes-on', 'nothing-stale'],
      exhibit: 'stale-bytes-after-fault',
      shows: [{ at: 'stop', when: { stoppedWith: 'null page' } }],
    },
    {
      what: 'Reads under core locks neither lock nor write dirty pages back, but unlock.',
      reason: 'The end of the request is never computed, so every read looks empty.',
      effect: 'detail',
      shows: [
        { at: 'only-there', row: 'lock', when: { op: 'read' } },
        { at: 'only-there', row: 'write-and-wait', when: { op: 'read' } },
        { at: 'only-here', row: 'note-unlock-unheld' },
        { at: 'only-there', row: 'unlock' },
      ],
    },
    {
      what: 'An asynchronous write that extends the file stays asynchronous.',
      reason: 'The same: its end is taken to be its start.',
      effect: 'core',
      exhibit: 'extending-aio-by-pages',
      shows: [
        { at: 'only-here', row: 'kiocb-complete', when: { op: 'write', isAsync: true } },
        { at: 'returned', when: { op: 'write', isAsync: true, returnedHere: 'EIOCBQUEUED' } },
      ],
    },
    {
      what: 'A misaligned request leaks the pages that were pinned for it.',
      reason: 'They are pinned before the alignment is checked, and nobody lets them go.',
      effect: 'detail',
      breaks: ['references'],
      exhibit: 'misaligned-pins-leak',
      shows: [{ at: 'left' }],
    },
    {
      what: 'Some requests stop the kernel where its own books no longer agree.',
      reason:
        'The estimate of pages and the walk over the array count differently, and a BUG_ON compares them.',
      effect: 'core',
      breaks: ['goes-on'],
      shows: [{ at: 'stop' }],
    },
    {
      what: 'A failed extending write is not cut off again.',
      reason: 'The same: a request that ends where it starts never extends the file.',
      effect: 'core',
      shows: [
        { at: 'only-there', row: 'truncate' },
        { at: 'both', row: 'map', when: { afterThere: 'truncate' } },
        { at: 'returned', when: { afterThere: 'truncate' } },
        { at: 'only-here', row: 'map', when: { afterThere: 'truncate' } },
        { at: 'only-there', row: 'map', when: { afterThere: 'truncate' } },
      ],
    },
  ],
};
