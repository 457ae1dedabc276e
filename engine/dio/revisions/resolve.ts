// SPDX-License-Identifier: GPL-2.0-only
/** Makes the flat record of a revision from its chain of bases: once at the start of a run, never on the way of a request. */
import { assert } from '../../base/index.ts';
import type { DioSteps, Revision, RevisionChange, RevisionSpec } from '../revision.ts';
import type { DioTraits } from '../traits.ts';

/** The chain from the root to `spec`, later ones winning. The root has to bring every trait and step. */
export function resolveRevision(spec: RevisionSpec): Revision {
  const chain: RevisionSpec[] = [];
  for (let at: RevisionSpec | null = spec; at !== null; at = at.basedOn) {
    assert(!chain.includes(at), 'a revision is based on itself', { id: at.id });
    chain.unshift(at);
  }
  const traits = Object.assign({}, ...chain.map((link) => link.traits)) as DioTraits;
  const steps = Object.assign({}, ...chain.map((link) => link.steps)) as DioSteps;
  const changes: RevisionChange[] = chain.toReversed().flatMap((link) => [...link.changes]);
  return Object.freeze({
    ...steps,
    id: spec.id,
    title: spec.title,
    releasedOn: spec.releasedOn,
    basedOn: spec.basedOn?.id ?? null,
    traits: Object.freeze(traits),
    changes,
  });
}
