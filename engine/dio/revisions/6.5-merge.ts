// SPDX-License-Identifier: GPL-2.0-only
/** A vendor tree of 2023 with the first patches of the 6.5 merge window: the root's text and one flag. */
import type { RevisionSpec } from '../revision.ts';
import { revision6_4 } from './6.4.ts';

export const revision6_5Merge: RevisionSpec = {
  id: '6.5-merge',
  title: 'Linux 6.5 merge window (StarFive tree, 2023)',
  releasedOn: '2023-07',
  basedOn: revision6_4,
  traits: {},
  steps: {},
  changes: [
    {
      what: 'Bios carry a flag that says their pages are referenced (BIO_PAGE_REFFED).',
      reason:
        'The block layer turned the meaning of the flag round, to prepare for pages that are pinned ' +
        'instead; direct I/O has always referenced them, so nothing changes here.',
      effect: 'none',
    },
  ],
};
