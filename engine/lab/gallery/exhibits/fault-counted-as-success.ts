// SPDX-License-Identifier: GPL-2.0-only
/** A fault in the middle of a write is reported as a full success. */
import { bytesOf, bytesWords, diskRuns, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

const LENGTH_BYTES = 32768;

export const faultCountedAsSuccess: Exhibit = {
  info: {
    id: 'fault-counted-as-success',
    title: 'A fault that counts as success',
    question:
      'The third page of a write is not there. What does the caller learn, and what is in the file?',
    setting: [
      'A file of 64 KiB, its sixteen blocks in one run on the disk.',
      'A write of 32 KiB at offset 0. The third page of its buffer does not exist.',
    ],
    oldRevision: '2.5.47',
    fixedRevision: '2.6.20',
  },
  scenario: {
    size: 65536,
    extents: [[0, 16, 8]],
    bad: [[2, 1]],
    reqs: [{ op: 'w', pos: 0, iov: [[0, LENGTH_BYTES]], own: 1 }],
  },
  isHit: (end) =>
    returnedBy(end) === LENGTH_BYTES && bytesOf(diskRuns(end, LENGTH_BYTES), 'zeros') > 0,
  observe: (end) => {
    const zeroed = bytesOf(diskRuns(end, LENGTH_BYTES), 'zeros');
    return (
      `The write returns ${valueWords(returnedBy(end))}; ${bytesWords(zeroed)} of those blocks on the ` +
      'disk hold zeros that nobody asked for.'
    );
  },
  answer: [
    'Blocks may already belong to the file when the fault is met. They must not keep what the disk held before, so what is left of the mapped run is written from the zero page.',
    'In the old revision those zeros count as transferred, and bytes win over every error: the fault is lost.',
    'The fixed revision zeroes them too, and returns EFAULT.',
  ],
  content: (end) => [{ of: 'disk', runs: diskRuns(end, LENGTH_BYTES) }],
};
