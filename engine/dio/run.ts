// SPDX-License-Identifier: GPL-2.0-only
/**
 * The door of engine/dio: a revision, resolved, becomes the function that the vfs calls for each direct request.
 *
 *   const { directIo } = openDirectIo(findRevision(id));   // once a run
 *   const r = directIo(request);                           // a number where nothing slept, else a Task
 */
import type { KernelReturn, MaybeTask } from '../base/index.ts';
import type { DirectIo, DirectIoRequest } from '../vfs/index.ts';
import type { Revision, RevisionSpec } from './revision.ts';
import { resolveRevision } from './revisions/resolve.ts';
import { DioPool } from './state.ts';
import { completeAndInvalidate } from './steps/end.ts';
import { completeThroughFileSystem, completeWithAllocSem } from './steps/end-plain.ts';

export interface OpenDirectIo {
  readonly directIo: DirectIo;
  /** Requests of this run, those alive and those kept for reuse. */
  readonly pool: DioPool;
}

/**
 * Resolves the revision once; requests made through `directIo` share one pool and one numbering. `withCallers`: the file's reads and
 * writes follow the rules of the kernel around the revision, as a run does; else they show what the core alone answers.
 */
export function openDirectIo(spec: RevisionSpec, withCallers = false): OpenDirectIo {
  const revision = resolveRevision(spec);
  const pool = new DioPool(revision);
  const { enter, callers } = revision;
  const { effects } = pool;
  const ask = (request: DirectIoRequest): MaybeTask<KernelReturn> => enter(pool, request);
  const endIoLearns = whatEndIoLearns(revision);
  const common = { effects, endIoLearns };
  const directIo = Object.assign(ask, withCallers ? { ...common, callers } : common);
  return { directIo, pool };
}

function whatEndIoLearns(revision: Revision): 'result' | 'bytes' | 'nothing' {
  if (revision.complete === completeWithAllocSem) return 'bytes';
  const { complete } = revision;
  const tells = complete === completeAndInvalidate || complete === completeThroughFileSystem;
  return tells ? 'result' : 'nothing';
}
