// SPDX-License-Identifier: GPL-2.0-only
/** An error and a count share a variable. */
import { returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

export const errorAddedToCount: Exhibit = {
  info: {
    id: 'error-added-to-count',
    title: 'Five bytes short',
    question:
      'The first of three bios fails while the others are still being built. What does the call return?',
    setting: [
      'A file of three blocks that lie apart on the disk. The first one cannot be read.',
      'An asynchronous read of 12 KiB; bios end at once.',
    ],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: 12288,
    extents: [
      [0, 1, 8],
      [1, 1, 10],
      [2, 1, 12],
    ],
    bioerr: [[64, 1, 'EIO']],
    reqs: [{ op: 'r', pos: 0, iov: [[0, 12288]], async: 1 }],
  },
  isHit: (end) => Number(returnedBy(end)) > 0,
  observe: (end) =>
    `One bio of ${String(end.summary.bios)} has failed, and the call returns ${valueWords(returnedBy(end))}.`,
  answer: [
    'The failed bio stores minus 5, which is EIO, in the result. Then the bytes of the walk are added to it: 12 KiB less 5.',
    'The caller takes that for a short read that went well. Later revisions keep the error in a place of its own, and it wins.',
  ],
};
