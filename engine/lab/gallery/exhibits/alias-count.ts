// SPDX-License-Identifier: GPL-2.0-only
/** Too many cached buffers are dropped for one new block. */
import { countWords, rowsOf, type Exhibit, type ExhibitEnd } from '../exhibit.ts';

const sum = (end: ExhibitEnd, kind: 'alias' | 'map', column: number): number =>
  rowsOf(end, kind).reduce((total, row) => total + (row.values[column] ?? 0), 0);
const droppedBlocks = (end: ExhibitEnd): number => sum(end, 'alias', 1);
/** Every map call of this scenario allocates. */
const newBlocks = (end: ExhibitEnd): number => sum(end, 'map', 5);

export const aliasCount: Exhibit = {
  info: {
    id: 'alias-count',
    title: 'Eight blocks for one',
    question:
      'A write allocates one new block of 4 KiB while it works in units of 512 bytes. For how many blocks are cached buffers dropped?',
    setting: [
      'An empty file with blocks of 4 KiB.',
      'A write of 1 KiB at offset 512, so in units of 512 bytes.',
    ],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: 0,
    extents: [],
    alloc: [20, 0],
    pages: 4,
    reqs: [{ op: 'w', pos: 512, iov: [[512, 1024]], locking: 1, skip: 1 }],
  },
  isHit: (end) => droppedBlocks(end) > newBlocks(end),
  observe: (end) =>
    `${countWords(newBlocks(end), 'block')} ${newBlocks(end) === 1 ? 'is' : 'are'} new, and buffers are dropped for ${countWords(droppedBlocks(end), 'block')}.`.replace(
      /^./,
      (letter) => letter.toUpperCase(),
    ),
  answer: [
    'A block that is given to a file may still have buffers in the cache of the device, from its life as metadata. They have to go, or they would be written over the data one day.',
    'The count of available blocks is kept in units of the request. The old revision uses it as a count of blocks of the file system, and drops buffers of seven blocks that belong to somebody else.',
  ],
};
