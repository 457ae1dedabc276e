// SPDX-License-Identifier: GPL-2.0-only
/** Pages of the cache stay as they were, although the disk has been written. */
import { countWords, rowsOf, type Exhibit } from '../exhibit.ts';

export const cachedPagesRace: Exhibit = {
  info: {
    id: 'cached-pages-race',
    title: 'The cache that nobody told',
    question:
      'Pages of a file are in the cache. An asynchronous direct write goes past them to the disk. Who tells the cache?',
    setting: [
      'A file of 16 KiB of which three pages are cached.',
      'An asynchronous direct write of 8 KiB at offset 4096. The disk takes its time.',
    ],
    oldRevision: '3.1',
    fixedRevision: '6.4',
  },
  scenario: {
    size: 16384,
    extents: [[0, 4, 8]],
    policy: 'fifo',
    pc: 3,
    reqs: [{ op: 'w', pos: 4096, iov: [[0, 8192]], async: 1 }],
  },
  isHit: (end) => rowsOf(end, 'invalidate').length === 0,
  observe: (end) =>
    `The completion invalidates the range ${countWords(rowsOf(end, 'invalidate').length, 'time')} and goes to a work queue ${countWords(rowsOf(end, 'work').length, 'time')}.`,
  answer: [
    'The caller throws cached pages out before the write. A reader, or read-ahead, can bring them back while the write is on its way: they hold the old bytes from then on.',
    'To throw them out again after the write, the completion may have to sleep, which it must not where bios end. The newer revision hands it to a work queue whenever the file has cached pages.',
    'The old revision completes at once, and the stale pages stay.',
  ],
};
