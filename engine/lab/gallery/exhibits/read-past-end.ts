// SPDX-License-Identifier: GPL-2.0-only
/** A read returns what lies behind the end of the file. */
import {
  bytesWords,
  returnedBy,
  valueWords,
  type ContentRun,
  type Exhibit,
  type ExhibitEnd,
} from '../exhibit.ts';

const SIZE_BYTES = 6000;

/** Bytes returned that are not in the file. */
function beyondEnd(end: ExhibitEnd): number {
  return Math.max(0, Number(returnedBy(end)) - SIZE_BYTES);
}

/** What the caller is told to take: data of the file, and stale bytes behind its end. */
function returnedRuns(end: ExhibitEnd): ContentRun[] {
  const data = { offsetBytes: 0, lengthBytes: SIZE_BYTES, what: 'data' } as const;
  const lengthBytes = beyondEnd(end);
  if (lengthBytes === 0) return [data];
  return [data, { offsetBytes: SIZE_BYTES, lengthBytes, what: 'stale' }];
}

export const readPastEnd: Exhibit = {
  info: {
    id: 'read-past-end',
    title: 'Reading past the end',
    question: 'A file of 6000 bytes has two blocks of 4 KiB. What does a read of 8 KiB return?',
    setting: ['A file of 6000 bytes, both blocks mapped.', 'A read of 8 KiB at offset 0.'],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: SIZE_BYTES,
    extents: [[0, 2, 8]],
    reqs: [{ op: 'r', pos: 0, iov: [[0, 8192]] }],
  },
  isHit: (end) => beyondEnd(end) > 0,
  observe: (end) =>
    `The read returns ${valueWords(returnedBy(end))}; ${bytesWords(beyondEnd(end))} of them lie behind the end of the file.`,
  answer: [
    'The old revision never looks at the size of the file: whatever the last block holds behind its end is handed out as if it were in the file.',
    'Later revisions read whole blocks, too, since the device has nothing smaller, but cut the count at the size of the file. The bytes are in the buffer all the same, and no caller is told of them.',
  ],
  content: (end) => [{ of: 'returned', runs: returnedRuns(end) }],
};
