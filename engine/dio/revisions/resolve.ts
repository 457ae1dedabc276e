// SPDX-License-Identifier: GPL-2.0-only
/**
 * Makes the flat record of a revision from its chain of bases: once at the start of a run, never on the way of a request.
 *
 * The record is written out as a literal on purpose, and the compiler holds it complete. An object that is put together by
 * assignment becomes a hash table in V8 from about sixteen properties on, and each look at a trait then costs a search: that made a
 * request of sixteen pages 40 % slower.
 */
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
  const steps = Object.assign({}, ...chain.map((link) => link.steps)) as DioSteps;
  const changes: RevisionChange[] = chain.toReversed().flatMap((link) => [...link.changes]);
  return Object.freeze({
    enter: steps.enter,
    takePage: steps.takePage,
    walkRequest: steps.walkRequest,
    afterWalk: steps.afterWalk,
    mapMore: steps.mapMore,
    submitPageSection: steps.submitPageSection,
    bioVectorCount: steps.bioVectorCount,
    addToBio: steps.addToBio,
    endBioSync: steps.endBioSync,
    endBioAsync: steps.endBioAsync,
    completeBio: steps.completeBio,
    complete: steps.complete,
    id: spec.id,
    title: spec.title,
    releasedOn: spec.releasedOn,
    basedOn: spec.basedOn?.id ?? null,
    traits: flatTraits(chain),
    callers: flatCallers(chain),
    changes,
  });
}

function flatCallers(chain: readonly RevisionSpec[]): Revision['callers'] {
  const all = Object.assign({}, ...chain.map((link) => link.callers)) as Revision['callers'];
  return Object.freeze({
    endReadsAtSize: all.endReadsAtSize,
    continueShortReads: all.continueShortReads,
    continueShortWrites: all.continueShortWrites,
    queueCounts: all.queueCounts,
    syncInFlight: all.syncInFlight,
  });
}

function flatTraits(chain: readonly RevisionSpec[]): DioTraits {
  const all = Object.assign({}, ...chain.map((link) => link.traits)) as DioTraits;
  return Object.freeze({
    createRule: all.createRule,
    askedBlocks: all.askedBlocks,
    unmappedWrite: all.unmappedWrite,
    readsMayStop: all.readsMayStop,
    readStopsAtEndOfFile: all.readStopsAtEndOfFile,
    boundaryChunk: all.boundaryChunk,
    aliasUnit: all.aliasUnit,
    resultGrows: all.resultGrows,
    logicallyContiguousBios: all.logicallyContiguousBios,
    boundaryClosesBeforeNextPage: all.boundaryClosesBeforeNextPage,
    pageEstimateDrops: all.pageEstimateDrops,
    writeBioFlags: all.writeBioFlags,
    passesNowait: all.passesNowait,
    plugs: all.plugs,
    bioCapacities: all.bioCapacities,
    reapKeeps: all.reapKeeps,
    zeroFillTakesReference: all.zeroFillTakesReference,
    asyncReadsLeave: all.asyncReadsLeave,
    grownVectorRoom: all.grownVectorRoom,
    bioVectorsMax: all.bioVectorsMax,
    truncatesFailedWrite: all.truncatesFailedWrite,
    takesIterator: all.takesIterator,
    accountsWrites: all.accountsWrites,
    kernelMemory: all.kernelMemory,
    vectorsMayLeavePages: all.vectorsMayLeavePages,
    hasLockTypes: all.hasLockTypes,
  });
}
