// SPDX-License-Identifier: GPL-2.0-only
/** A read from beyond the end of the file returns a negative number. */
import { countWords, memoryRuns, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

export const negativeRead: Exhibit = {
  info: {
    id: 'negative-read',
    title: 'The read that returns less than nothing',
    question: 'What does a read from beyond the end of the file return?',
    setting: [
      'A file of 4 KiB that has four blocks on the disk.',
      'A read of 4 KiB at offset 8192.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: { size: 4096, extents: [[0, 4, 8]], reqs: [{ op: 'r', pos: 8192, iov: [[0, 4096]] }] },
  isHit: (end) => Number(returnedBy(end)) < 0,
  observe: (end) =>
    `After ${countWords(end.summary.bios, 'bio')} the read returns ${valueWords(returnedBy(end))}.`,
  answer: [
    'The count of a read is cut at the size of the file by taking the offset from the size. From beyond the end that is a negative number, which is no errno.',
    'The callers of that time never asked for such a read, so nobody saw it. But the blocks were read, and their bytes are in the buffer.',
    'Later revisions compare the offset with the size before anything else.',
  ],
  content: (end) => [{ of: 'memory', runs: memoryRuns(end, 0, 4096) }],
};
