// SPDX-License-Identifier: GPL-2.0-only
/** Pages of a refused request stay pinned. */
import { countWords, returnedBy, valueWords, type Exhibit } from '../exhibit.ts';

export const misalignedPinsLeak: Exhibit = {
  info: {
    id: 'misaligned-pins-leak',
    title: 'Refused, and kept',
    question: 'A request is refused because its offset is not aligned. Is it gone without a trace?',
    setting: [
      'A file of 16 KiB on a device with blocks of 4096 bytes.',
      'A read of 512 bytes at offset 512, and one of 4 KiB into a buffer at byte 512 of a page.',
    ],
    oldRevision: '2.6.31-pages',
    fixedRevision: '2.6.31',
  },
  scenario: {
    size: 16384,
    lbs: 4096,
    extents: [[0, 4, 8]],
    reqs: [
      { op: 'r', pos: 512, iov: [[0, 512]] },
      { op: 'r', pos: 0, iov: [[512, 4096]] },
    ],
  },
  isHit: (end) => returnedBy(end) === 'EINVAL' && end.summary.leakedReferences > 0,
  observe: (end) =>
    `Both reads return ${valueWords(returnedBy(end, 1))}, and ${countWords(end.summary.leakedReferences, 'reference')} on pages of the caller are left.`,
  answer: [
    'The series pins the pages of a request before anything looks at its alignment. The refusal then takes a way out that lets none of them go.',
    'Any program can pin all of its memory that way. The revision that it is based on checks first.',
  ],
};
