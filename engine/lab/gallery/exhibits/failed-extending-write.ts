// SPDX-License-Identifier: GPL-2.0-only
/** A write that failed leaves blocks behind the end of the file. */
import { countWords, returnedBy, valueWords, type Exhibit, type ExhibitEnd } from '../exhibit.ts';

function blocksBehindEnd(end: ExhibitEnd): number {
  const lastBlock = Math.ceil(end.trace.isize / 4096);
  return end.run.extents.reduce(
    (sum, { fileBlock, count }) => sum + Math.max(0, fileBlock + count - lastBlock),
    0,
  );
}

export const failedExtendingWrite: Exhibit = {
  info: {
    id: 'failed-extending-write',
    title: 'Blocks behind the end',
    question:
      'A write that would make the file longer fails on the disk. What becomes of the blocks that it got?',
    setting: [
      'A file of 4 KiB with one block, on a file system that leaves the locking to direct I/O.',
      'A write of 4 KiB at its end; the disk refuses it.',
    ],
    oldRevision: '2.6.20',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 4096,
    extents: [[0, 1, 8]],
    alloc: [20, 0],
    bioerr: [[160, 8, 'EIO']],
    reqs: [{ op: 'w', pos: 4096, iov: [[0, 4096]], locking: 1, skip: 1 }],
  },
  isHit: (end) => blocksBehindEnd(end) > 0,
  observe: (end) =>
    `The write returns ${valueWords(returnedBy(end))}, and ${countWords(blocksBehindEnd(end), 'block')} behind the end ${blocksBehindEnd(end) === 1 ? 'stays' : 'stay'} in the map of the file.`,
  answer: [
    'The block is allocated before its data is written. When the write fails the file keeps its size, but the block is in its map, with what the disk held before: the next write that makes the file longer uncovers it.',
    'The revision of 2009 cuts the file at its size again. Later the file systems do that themselves.',
  ],
};
