// SPDX-License-Identifier: GPL-2.0-only
/** An asynchronous write that extends the file is left in flight. */
import { countWords, returnedBy, valueWords, type Exhibit, type ExhibitEnd } from '../exhibit.ts';

/** Bios that had not ended when the call came back. */
function inFlightAtReturn(end: ExhibitEnd): number {
  const rows = end.rows.slice(0, end.run.rowsAtReturn[0] ?? end.rows.length);
  const count = (kind: string): number => rows.filter((row) => row.kind === kind).length;
  return count('bio-submit') - count('bio-end');
}

export const extendingAioByPages: Exhibit = {
  info: {
    id: 'extending-aio-by-pages',
    title: 'The end that was lost on the way',
    question:
      'An asynchronous write makes the file longer. Has its data reached the disk when the call returns?',
    setting: [
      'A file of 4 KiB with one block.',
      'An asynchronous write of 4 KiB at its end. The disk takes its time.',
    ],
    oldRevision: '2.6.31-pages',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 4096,
    extents: [[0, 1, 8]],
    alloc: [20, 0],
    policy: 'fifo',
    reqs: [{ op: 'w', pos: 4096, iov: [[0, 4096]], async: 1, locking: 1, skip: 1 }],
  },
  isHit: (end) => inFlightAtReturn(end) > 0,
  observe: (end) =>
    `The call returns ${valueWords(returnedBy(end))} with ${countWords(inFlightAtReturn(end), 'bio')} still in flight, after the submitter has slept ${countWords(end.summary.waits, 'time')}.`,
  answer: [
    'Whether a write extends the file is decided by comparing its end with the size. The page-based series takes segments one at a time and never moves the end: it stays at the start.',
    'So the test that was made for exactly this write does not see it, and it is left in flight: the defect of 2002 is back.',
    'The revision that the series is based on waits.',
  ],
};
