// SPDX-License-Identifier: GPL-2.0-only
/** The file system is not told that a request has failed. */
import { returnedBy, rowsOf, valueWords, type Exhibit } from '../exhibit.ts';

export const endIoMissesErrors: Exhibit = {
  info: {
    id: 'end-io-misses-errors',
    title: 'The error that end_io never hears of',
    question: 'A write fails at its first map call. What is the file system told?',
    setting: [
      'A file of 8 KiB whose first map call fails with EIO. The file system has given an end_io function.',
      'A write of 4 KiB at offset 0.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 8192,
    extents: [[0, 2, 8]],
    gberr: [[1, 'EIO']],
    reqs: [{ op: 'w', pos: 0, iov: [[0, 4096]], endio: 1 }],
  },
  isHit: (end) => returnedBy(end) === 'EIO' && rowsOf(end, 'end-io').length === 0,
  observe: (end) => {
    const calls = rowsOf(end, 'end-io');
    const told =
      calls.length === 0 ? 'end_io is not called' : `end_io is told ${valueWords(returnedBy(end))}`;
    return `The write returns ${valueWords(returnedBy(end))}, and ${told}.`;
  },
  answer: [
    'In end_io a file system converts blocks, or gives back what it reserved for the request. The old revision calls it only where bytes were transferred.',
    'What was reserved for a request that failed before its first byte stays reserved. The newer revision calls it always, and passes the result, errors too.',
  ],
};
