// SPDX-License-Identifier: GPL-2.0-only
/** The last, partial block of a file is filled too early. */
import { returnedBy, rowsOf, valueWords, type Exhibit } from '../exhibit.ts';

export const lastPartialBlock: Exhibit = {
  info: {
    id: 'last-partial-block',
    title: 'The last block of the file',
    question:
      'The last block of a file is a hole, and only a part of it lies inside the file. May a write allocate it?',
    setting: [
      'A file of 6000 bytes: its first block is mapped, its second, partial one is a hole. Its file system asks for holes to be left alone.',
      'A write of 4 KiB at offset 4096.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 6000,
    extents: [[0, 1, 8]],
    alloc: [20, 0],
    reqs: [{ op: 'w', pos: 4096, iov: [[0, 4096]], locking: 1, skip: 1 }],
  },
  isHit: (end) => (rowsOf(end, 'map')[0]?.values[2] ?? 0) === 1,
  observe: (end) =>
    `The map call is ${(rowsOf(end, 'map')[0]?.values[2] ?? 0) === 1 ? 'allowed' : 'not allowed'} to allocate, and the write returns ${valueWords(returnedBy(end))}.`,
  answer: [
    'Blocks inside the file must not be allocated by direct I/O: a buffered reader could see them before their data.',
    'The old revision compares with the size in whole blocks, rounded down. The last block, of which 1904 bytes are inside the file, counts as outside.',
    'The newer one compares with the block that holds the last byte. The caller gets 0 and writes it through the page cache.',
  ],
};
