// SPDX-License-Identifier: GPL-2.0-only
/** Pages pinned for a segment are forgotten at the end of the file. */
import { countWords, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

export const readvEndOfFileLeak: Exhibit = {
  info: {
    id: 'readv-end-of-file-leak',
    title: 'Pages nobody lets go',
    question:
      'A read has two segments, and the file ends inside the first. Who lets go of the pages that were pinned for the rest of it?',
    setting: [
      'A file of 4 KiB with one block.',
      'A read of a segment of 16 KiB and one of 4 KiB at offset 0.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 4096,
    extents: [[0, 1, 8]],
    reqs: [
      {
        op: 'r',
        pos: 0,
        iov: [
          [0, 16384],
          [32768, 4096],
        ],
      },
    ],
  },
  isHit: (end) => end.summary.leakedReferences > 0,
  observe: (end) =>
    `The read returns ${valueWords(returnedBy(end))} and leaves ${countWords(end.summary.leakedReferences, 'reference')} on pages of the caller.`,
  answer: [
    'Pages are pinned ahead, up to 64 at a time. The walk of a segment that reaches the end of the file in a hole ends without an error, and pages may be left in the queue.',
    'The next segment starts by resetting the queue. What was in it is pinned for ever: the memory can never be given back.',
    'With one iterator for the whole request there is one queue, and what is left in it is let go at the end.',
  ],
};
