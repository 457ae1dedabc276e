// SPDX-License-Identifier: GPL-2.0-only
/** What is around a small write into a new block, and what that costs. */
import { bytesWords, countWords, diskRuns, type Exhibit } from '../exhibit.ts';

export const subBlockTails: Exhibit = {
  info: {
    id: 'sub-block-tails',
    title: 'The edges of a small write',
    question:
      'A write of 1 KiB goes into the middle of a new block of 4 KiB. What does the rest of the block hold, and how many bios does that take?',
    setting: [
      'The file is empty; its file system has blocks of 4 KiB, the device of 512 bytes.',
      'A write of 1 KiB at offset 512.',
    ],
    oldRevision: '6.4',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 0,
    extents: [],
    alloc: [20, 0],
    pages: 4,
    reqs: [{ op: 'w', pos: 512, iov: [[512, 1024]], locking: 1, skip: 1 }],
  },
  isHit: (end) => end.summary.bios > 1,
  observe: (end) =>
    `${bytesWords(end.summary.zeroed.onDiskBytes)} around the data were written with zeros, and it took ${countWords(end.summary.bios, 'bio')}.`,
  answer: [
    'A new block holds whatever the disk held before. Direct I/O writes less than all of it, so the head and the tail are written from the zero page: dio_zero_block.',
    'Tail and data go in one bio. The head does not, because pieces of a bio must follow each other in the file, too: its zeros carry the file offset of the first byte of data, so the data seems to be apart from them.',
    'This is a limit that came and stayed: the older revision, which only looks at the disk, takes one bio. The bytes on the disk are the same.',
  ],
  content: (end) => [{ of: 'disk', runs: diskRuns(end, 4096) }],
};
