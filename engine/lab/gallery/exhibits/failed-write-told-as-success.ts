// SPDX-License-Identifier: GPL-2.0-only
/** end_io hears of bytes that never arrived. */
import {
  bytesWords,
  returnedBy,
  rowsOf,
  valueWords,
  type Exhibit,
  type ExhibitEnd,
} from '../exhibit.ts';

/** The result that end_io was given. */
const told = (end: ExhibitEnd): number => rowsOf(end, 'end-io')[0]?.values[1] ?? 0;

export const failedWriteToldAsSuccess: Exhibit = {
  info: {
    id: 'failed-write-told-as-success',
    title: 'Told of success, returned an error',
    question: 'The disk refuses a write. What is the file system told, and what is the caller?',
    setting: [
      'A file of 4 KiB with one block that cannot be written. The file system has given an end_io function.',
      'A write of 4 KiB at offset 0.',
    ],
    oldRevision: '2.6.31',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 4096,
    extents: [[0, 1, 8]],
    bioerr: [[64, 8, 'EIO']],
    reqs: [{ op: 'w', pos: 0, iov: [[0, 4096]], endio: 1, locking: 1, skip: 1 }],
  },
  isHit: (end) => told(end) > 0 && returnedBy(end) === 'EIO',
  observe: (end) =>
    `The caller gets ${valueWords(returnedBy(end))}, and end_io is told ${told(end) >= 0 ? bytesWords(told(end)) : 'of the error'}.`,
  answer: [
    'The old revision passes the bytes that were sent off, whatever became of them. A file system that marks blocks as written at that point marks blocks that hold something else.',
    'The newer one passes the result that the caller gets.',
  ],
};
