// SPDX-License-Identifier: GPL-2.0-only
/**
 * The door of engine/dio: a revision, resolved, becomes the function that the vfs calls for each direct request.
 *
 *   const { directIo } = openDirectIo(findRevision(id));   // once a run
 *   const r = directIo(request);                           // a number where nothing slept, else a Task
 */
import type { DirectIo } from '../vfs/index.ts';
import type { RevisionSpec } from './revision.ts';
import { resolveRevision } from './revisions/resolve.ts';
import { DioPool } from './state.ts';

export interface OpenDirectIo {
  readonly directIo: DirectIo;
  /** Requests of this run, those alive and those kept for reuse. */
  readonly pool: DioPool;
}

/** Resolves the revision once; requests made through `directIo` share one pool and one numbering. */
export function openDirectIo(spec: RevisionSpec): OpenDirectIo {
  const revision = resolveRevision(spec);
  const pool = new DioPool(revision);
  const { enter } = revision;
  return { directIo: (request) => enter(pool, request), pool };
}
