// SPDX-License-Identifier: GPL-2.0-only
/** A write into a hole inside the file shows old content when its bio fails. */
import { bytesOf, bytesWords, diskRuns, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

export const writeInHoleExposes: Exhibit = {
  info: {
    id: 'write-in-hole-exposes',
    title: 'The hole that was filled too early',
    question:
      'A write goes into a hole inside the file, and the disk refuses it. What does the file hold there?',
    setting: ['A file of 4 KiB that is one hole.', 'A write of 4 KiB at offset 0; the disk fails.'],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: 4096,
    extents: [],
    alloc: [20, 0],
    bioerr: [[160, 8, 'EIO']],
    reqs: [{ op: 'w', pos: 0, iov: [[0, 4096]], locking: 1, skip: 1 }],
  },
  isHit: (end) => bytesOf(diskRuns(end, 4096), 'stale') > 0,
  observe: (end) =>
    `The write returns ${valueWords(returnedBy(end))}; ${bytesWords(bytesOf(diskRuns(end, 4096), 'stale'))} of the file are what the disk held before.`,
  answer: [
    'Once a block is in the map of a file, anybody may read it through the page cache, whether its data has arrived or not.',
    'So a write inside the file must not allocate unless something keeps readers away. The old revision allocates always; here its bio fails, and the block stays in the file with what was there before.',
    'Later revisions stop at the hole with 0, and the caller writes it through the page cache.',
  ],
  content: (end) => [{ of: 'disk', runs: diskRuns(end, 4096) }],
};
