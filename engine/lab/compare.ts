// SPDX-License-Identifier: GPL-2.0-only
/**
 * The dial: the same request on several revisions, each on an overlay of its own (explain.ts), and where each parts from the first.
 * Nothing is written to the image.
 */
import { HostError } from '../base/index.ts';
import { findRevision } from '../dio/index.ts';
import type { CompareRequest, Comparison, RevisionRun } from './comparison.ts';
import { firstDifference, type ComparedRun } from './difference.ts';
import type { LabPorts } from './door.ts';
import { examine } from './explain.ts';
import { summaryOf } from './summary.ts';

/** Runs the request on each revision, in the order asked for. `HostError` for an unknown one and for what cannot be opened. */
export function compareRevisions(asked: CompareRequest, ports: LabPorts): Comparison {
  if (asked.revisions.length === 0) {
    throw new HostError({
      code: 'compare.no-revision',
      message: 'no revision was named to compare',
      where: 'revisions',
      hint: 'Name at least one; the others are held against the first.',
      exitCode: 65,
    });
  }
  const specs = asked.revisions.map(findRevision);
  const runs: RevisionRun[] = [];
  const compared: ComparedRun[] = [];
  for (const spec of specs) {
    const examined = examine({ ...asked.request, revision: spec.id }, ports);
    const { explanation, rows, ending, leakedReferences } = examined;
    const { bug } = ending;
    const { returned } = ending;
    compared.push({
      spec,
      rows,
      returned: returned === null ? [] : [returned],
      leakedReferences,
      stopped: bug?.what ?? null,
    });
    runs.push({
      revision: spec.id,
      explanation,
      summary: summaryOf(rows, ending, leakedReferences),
      stopped: bug === null ? null : { what: bug.what, why: bug.why },
    });
  }
  const [first] = compared as [ComparedRun];
  return {
    runs,
    differences: compared.map((run) => (run === first ? null : firstDifference(first, run))),
  };
}
