// SPDX-License-Identifier: GPL-2.0-only
/** The list of revisions, newest first. Adding one is a file beside this one and a line here. */
import { HostError } from '../../base/index.ts';
import type { RevisionSpec } from '../revision.ts';
import { revision2_5_47 } from './2.5.47.ts';
import { revision2_6_20 } from './2.6.20.ts';
import { revision2_6_31Pages } from './2.6.31-pages.ts';
import { revision2_6_31 } from './2.6.31.ts';
import { revision3_1 } from './3.1.ts';
import { revision6_4 } from './6.4.ts';
import { revision6_5Merge } from './6.5-merge.ts';

export const REVISIONS: readonly RevisionSpec[] = [
  revision6_5Merge,
  revision6_4,
  revision3_1,
  revision2_6_31,
  revision2_6_31Pages,
  revision2_6_20,
  revision2_5_47,
];

/** What a run takes where nobody chose. */
export const DEFAULT_REVISION_ID = '6.4';

/** The revision with this id, or a `HostError` that lists those there are. */
export function findRevision(id: string): RevisionSpec {
  const found = REVISIONS.find((spec) => spec.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'revision.unknown',
    message: `there is no direct-I/O revision ${JSON.stringify(id)}`,
    where: 'revision',
    hint: `Known are ${REVISIONS.map((spec) => spec.id).join(', ')}.`,
    exitCode: 65,
  });
}
