// SPDX-License-Identifier: GPL-2.0-only
/** The bug gallery: the list of exhibits. Adding one is a file in exhibits/ and a line here. */
import { HostError } from '../../base/index.ts';
import type { ExhibitRun } from '../comparison.ts';
import type { Exhibit } from './exhibit.ts';
import { faultCountedAsSuccess } from './exhibits/fault-counted-as-success.ts';
import { holeWrite } from './exhibits/hole-write.ts';
import { runOne } from './run.ts';

export const EXHIBITS: readonly Exhibit[] = [holeWrite, faultCountedAsSuccess];

/** The exhibit with this id, or a `HostError` that lists those there are. */
export function findExhibit(id: string): Exhibit {
  const found = EXHIBITS.find(({ info }) => info.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'gallery.unknown',
    message: `the gallery has no exhibit ${JSON.stringify(id)}`,
    where: 'exhibit',
    hint: `There are ${EXHIBITS.map(({ info }) => info.id).join(', ')}.`,
    exitCode: 65,
  });
}

/** Runs an exhibit on its old and its fixed revision. */
export function runExhibit(id: string): ExhibitRun {
  return runOne(findExhibit(id));
}

export type { Exhibit, ExhibitEnd } from './exhibit.ts';
