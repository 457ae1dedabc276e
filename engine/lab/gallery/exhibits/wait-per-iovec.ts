// SPDX-License-Identifier: GPL-2.0-only
/** Every segment of a request is waited for before the next one starts. */
import { countWords, type Exhibit } from '../exhibit.ts';

export const waitPerIovec: Exhibit = {
  info: {
    id: 'wait-per-iovec',
    title: 'One wait for each segment',
    question:
      'A read has three segments that lie side by side on the disk. How often does the submitter sleep?',
    setting: [
      'A file of 64 KiB in one run on the disk.',
      'A read of 16 KiB into three separate pieces of memory. The disk takes its time.',
    ],
    oldRevision: '2.6.31-pages',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 65536,
    extents: [[0, 16, 8]],
    policy: 'fifo',
    reqs: [
      {
        op: 'r',
        pos: 0,
        iov: [
          [0, 4096],
          [8192, 8192],
          [32768, 4096],
        ],
      },
    ],
  },
  isHit: (end) => end.summary.waits > 1,
  observe: (end) =>
    `It takes ${countWords(end.summary.bios, 'bio')}, and the submitter sleeps ${countWords(end.summary.waits, 'time')}.`,
  answer: [
    'The series turns each struct iovec into an array of pages and runs the whole of direct I/O on it, the waiting at the end included.',
    'Three segments are three round trips to the disk, one after the other. The revision that it is based on walks all segments, puts neighbours into one bio, and waits once.',
  ],
};
