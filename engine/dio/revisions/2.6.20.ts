// SPDX-License-Identifier: GPL-2.0-only
/** December 2006, in the merge window of 2.6.20: reference counts replaced the two counters of bios. */
import type { RevisionSpec } from '../revision.ts';
import { revision2_6_31 } from './2.6.31.ts';

export const revision2_6_20: RevisionSpec = {
  id: '2.6.20',
  title: 'Linux 2.6.20 merge window (2006)',
  releasedOn: '2006-12',
  basedOn: revision2_6_31,
  traits: {
    bioCapacities: [1, 4, 16, 64, 128, 256],
    truncatesFailedWrite: false,
  },
  steps: {},
  changes: [
    {
      what: 'Blocks that a failed extending write allocated stay beyond the end of the file.',
      reason: 'The truncation was added in 2009.',
      effect: 'core',
      exhibit: 'failed-extending-write',
      shows: [
        { at: 'only-there', row: 'truncate' },
        { at: 'both', row: 'map', when: { afterThere: 'truncate' } },
        { at: 'returned', when: { afterThere: 'truncate' } },
        { at: 'only-here', row: 'map', when: { afterThere: 'truncate' } },
        { at: 'only-here', row: 'bio-submit', when: { afterThere: 'truncate' } },
      ],
    },
    {
      what: 'Bios of a single vector exist.',
      reason: 'The smallest pool went when small bios got their vectors inside.',
      effect: 'core',
      shows: [
        { at: 'both', row: 'bio-submit', column: 'sizeBytes' },
        { at: 'both', row: 'bio-vector' },
        { at: 'only-here', row: 'bio-submit' },
        { at: 'both', row: 'bio-submit', column: 'sizeBytes', when: { closedBy: 'full' } },
        { at: 'only-here', row: 'bio-submit', when: { closedBy: 'full' } },
      ],
    },
    {
      what: 'The request is not cleared when it is allocated.',
      reason:
        'A first pin that fails makes the tail zeroing look at memory that nobody set. The engine ' +
        'counts it as zeros.',
      effect: 'none',
    },
  ],
};
