// SPDX-License-Identifier: GPL-2.0-only
/** A fault hides the bytes that were read before it. */
import {
  bytesWords,
  memoryRuns,
  returnedBy,
  rowsOf,
  valueWords,
  type Exhibit,
  type ExhibitEnd,
} from '../exhibit.ts';

const transferred = (end: ExhibitEnd): number => rowsOf(end, 'result')[0]?.values[1] ?? 0;

export const faultHidesCount: Exhibit = {
  info: {
    id: 'fault-hides-count',
    title: 'Nothing read, says the kernel',
    question:
      'The third page of a read is missing. The first two have been read: what does the caller learn?',
    setting: [
      'A file of 64 KiB in one run on the disk.',
      'A read of 32 KiB at offset 0. The third page of its buffer does not exist.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 65536,
    extents: [[0, 16, 8]],
    bad: [[2, 1]],
    reqs: [{ op: 'r', pos: 0, iov: [[0, 32768]] }],
  },
  isHit: (end) => returnedBy(end) === 'EFAULT' && transferred(end) > 0,
  observe: (end) =>
    `${bytesWords(transferred(end))} were read from the disk, and the call returns ${valueWords(returnedBy(end))}.`,
  answer: [
    'Any other short read returns its count, and the next call meets the reason. A fault was an exception: it replaced the count.',
    'For a write that is worse: the data is on the disk, and the caller believes that nothing was written. The newer revision forgets a fault where bytes were transferred.',
  ],
  content: (end) => [{ of: 'memory', runs: memoryRuns(end, 0, 8192) }],
};
