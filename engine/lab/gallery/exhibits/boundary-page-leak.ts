// SPDX-License-Identifier: GPL-2.0-only
/** A boundary inside a page costs a reference. */
import { countWords, type Exhibit } from '../exhibit.ts';

export const boundaryPageLeak: Exhibit = {
  info: {
    id: 'boundary-page-leak',
    title: 'Two references, one vector',
    question:
      'A boundary falls inside a page, and what follows lies next on the disk. How many references does the page get, and how many are dropped?',
    setting: [
      'A file of 4 KiB with blocks of 1 KiB, all side by side on the disk; the second one ends before metadata.',
      'A read of 3 KiB at offset 0 into one page.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    blkbits: 10,
    size: 4096,
    extents: [[0, 4, 8]],
    maxmap: 1,
    boundary: 2,
    reqs: [{ op: 'r', pos: 0, iov: [[0, 3072]] }],
  },
  isHit: (end) => end.summary.leakedReferences > 0,
  observe: (end) =>
    `It takes ${countWords(end.summary.bios, 'bio')} and leaves ${countWords(end.summary.leakedReferences, 'reference')} on the page.`,
  answer: [
    'Every piece that is sent takes a reference on its page. A bio drops one for each of its vectors when it ends.',
    'The boundary makes the page come in two pieces. The block layer sees that they adjoin and joins them into one vector: two references, of which one is dropped.',
    'The newer revision ends the bio right at the boundary, so each piece has a vector of its own.',
  ],
};
