// SPDX-License-Identifier: GPL-2.0-only
/** A fault leaves blocks of the file with what the disk held before. */
import { bytesOf, bytesWords, diskRuns, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

const LENGTH_BYTES = 32768;

export const staleBytesAfterFault: Exhibit = {
  info: {
    id: 'stale-bytes-after-fault',
    title: 'Stale bytes after a fault',
    question:
      'The third page of a write into a hole is not there. The blocks are already allocated: what is in them?',
    setting: [
      'A file of 32 KiB that is one hole. The driver holds the locks, so its writes may allocate inside the file.',
      'A write of 32 KiB at offset 0. The third page of its buffer does not exist.',
    ],
    oldRevision: '2.6.31-pages',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: LENGTH_BYTES,
    extents: [],
    alloc: [20, 0],
    bad: [[2, 1]],
    reqs: [{ op: 'w', pos: 0, iov: [[0, LENGTH_BYTES]], own: 1 }],
  },
  isHit: (end) => bytesOf(diskRuns(end, LENGTH_BYTES), 'stale') > 0,
  observe: (end) => {
    const stale = bytesOf(diskRuns(end, LENGTH_BYTES), 'stale');
    const ended =
      end.run.stopped === null
        ? `The write returns ${valueWords(returnedBy(end))}`
        : `The kernel stops (${end.run.stopped.what})`;
    return `${ended}, and ${bytesWords(stale)} of the file are what the disk held before.`;
  },
  answer: [
    'Blocks are mapped before the pages of the buffer are pinned. When a page is missing, blocks that are already part of the file would keep their old content: somebody else could read what was deleted there.',
    'The fixed revision uses them up from the zero page before it returns EFAULT.',
    'The page-based series pins all pages first and takes those that it did not get for a null page: the kernel stops in the middle, and the blocks stay as they are.',
  ],
  content: (end) => [{ of: 'disk', runs: diskRuns(end, LENGTH_BYTES) }],
};
