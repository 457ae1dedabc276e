// SPDX-License-Identifier: GPL-2.0-only
/** A write into a hole zeroes the caller's own buffer. */
import {
  bytesOf,
  bytesWords,
  memoryRuns,
  returnedBy,
  valueWords,
  type Exhibit,
} from '../exhibit.ts';

const LENGTH_BYTES = 8192;

export const holeWrite: Exhibit = {
  info: {
    id: 'hole-write',
    title: 'The write that zeroes its own buffer',
    question:
      'A write meets blocks that the file system will not allocate. What becomes of the data?',
    setting: [
      'The file is empty and its file system allocates nothing for direct I/O.',
      'A write of 8 KiB at offset 0, from two pages of memory.',
    ],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: 0,
    extents: [],
    nocreate: 1,
    reqs: [{ op: 'w', pos: 0, iov: [[0, LENGTH_BYTES]], locking: 1 }],
  },
  isHit: (end) =>
    returnedBy(end) === LENGTH_BYTES &&
    bytesOf(memoryRuns(end, 0, LENGTH_BYTES), 'zeros') === LENGTH_BYTES,
  observe: (end) => {
    const zeroed = bytesOf(memoryRuns(end, 0, LENGTH_BYTES), 'zeros');
    return (
      `The write returns ${valueWords(returnedBy(end))}, ${bytesWords(zeroed)} of the caller's buffer ` +
      `were zeroed, and ${bytesWords(end.summary.bios * (end.summary.bytesPerBio ?? 0))} went to the disk.`
    );
  },
  answer: [
    'The walk treats a block that is not mapped alike in both directions: it zeroes the page. For a read that is the answer; for a write it destroys the data that was to be written.',
    'The zeroed bytes also count as written, so the caller believes in a success.',
    'Later revisions stop at the hole. The caller gets what was done before it, and writes the rest through the page cache.',
  ],
  content: (end) => [{ of: 'memory', runs: memoryRuns(end, 0, LENGTH_BYTES) }],
};
