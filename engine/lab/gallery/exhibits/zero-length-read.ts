// SPDX-License-Identifier: GPL-2.0-only
/** A read of nothing unlocks what it did not lock. */
import { countWords, returnedBy, rowsOf, valueWords, type Exhibit } from '../exhibit.ts';

export const zeroLengthRead: Exhibit = {
  info: {
    id: 'zero-length-read',
    title: 'Unlocking a door that was open',
    question: 'A read of no bytes needs no lock. Does it drop one?',
    setting: [
      'A file of 4 KiB on a file system that leaves the locking to direct I/O.',
      'A read of 0 bytes at offset 0.',
    ],
    oldRevision: '2.6.31',
    fixedRevision: '3.1',
  },
  scenario: {
    size: 4096,
    extents: [[0, 1, 8]],
    reqs: [{ op: 'r', pos: 0, iov: [[0, 0]], locking: 1 }],
  },
  isHit: (end) => rowsOf(end, 'note-unlock-unheld').length > 0,
  observe: (end) =>
    `The read returns ${valueWords(returnedBy(end))} and drops a lock that it does not hold ${countWords(rowsOf(end, 'note-unlock-unheld').length, 'time')}.`,
  answer: [
    'The lock is taken for a read of at least one byte. The unlock on the way out looks at the lock type only.',
    'If somebody else holds the mutex at that moment, two are inside at once. The fixed revision returns before either.',
  ],
};
