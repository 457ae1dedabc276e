// SPDX-License-Identifier: GPL-2.0-only
/** A bio holds pieces that lie apart in the file. */
import { bytesWords, countWords, type Exhibit } from '../exhibit.ts';

export const logicallyApartBios: Exhibit = {
  info: {
    id: 'logically-apart-bios',
    title: 'Neighbours on disk, strangers in the file',
    question:
      'Two blocks of a file lie side by side on the disk, with a hole between them in the file. One bio or two?',
    setting: [
      'A file of 12 KiB: block 0, a hole, block 2. On the disk block 2 follows block 0.',
      'A read of the whole file.',
    ],
    oldRevision: '2.6.31',
    fixedRevision: '3.1',
  },
  scenario: {
    size: 12288,
    extents: [
      [0, 1, 8],
      [2, 1, 9],
    ],
    reqs: [{ op: 'r', pos: 0, iov: [[0, 12288]] }],
  },
  isHit: (end) => end.summary.bios === 1,
  observe: (end) =>
    `The file is read with ${countWords(end.summary.bios, 'bio')} of ${bytesWords(end.summary.bytesPerBio ?? 0)}.`,
  answer: [
    'One bio is less work. But a file system that checksums by place in the file has to know which bytes of the file a bio holds, and a bio has room for one offset only.',
    'Since 2010 a bio also ends where its next piece would not follow in the file.',
  ],
};
