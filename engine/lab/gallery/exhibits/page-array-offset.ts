// SPDX-License-Identifier: GPL-2.0-only
/** Data lands in the wrong place of the buffer. */
import { numberText } from '../../words.ts';
import { memoryRuns, type Exhibit, type ExhibitEnd } from '../exhibit.ts';

const START_BYTE = 1024;

function firstChanged(end: ExhibitEnd): number {
  return end.run.userBytes.findIndex((byte, at) => byte !== end.userBytesBefore[at]);
}

export const pageArrayOffset: Exhibit = {
  info: {
    id: 'page-array-offset',
    title: 'Half a kilobyte off',
    question: 'A buffer starts 1 KiB into its page. Where do the bytes of a read land?',
    setting: [
      'A file of 16 KiB with blocks of 4 KiB, on a device with blocks of 512 bytes.',
      'A read of 1 KiB at offset 0, into a buffer that starts at byte 1024 of its page.',
    ],
    oldRevision: '2.6.31-pages',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 16384,
    extents: [[0, 4, 8]],
    pages: 2,
    reqs: [{ op: 'r', pos: 0, iov: [[START_BYTE, 1024]] }],
  },
  isHit: (end) => firstChanged(end) !== START_BYTE,
  observe: (end) =>
    `The first byte of memory that changed is ${numberText(firstChanged(end))}; the buffer starts at ${numberText(START_BYTE)}.`,
  answer: [
    'The series keeps the offset in the first page twice: in blocks, for the walk, and in bytes. Adding the one where the other is meant moves the data by the difference.',
    'For a whole page or a single unit they are the same, and the tests of the time had nothing else.',
  ],
  content: (end) => [{ of: 'memory', runs: memoryRuns(end, 0, 4096) }],
};
