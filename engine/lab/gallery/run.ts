// SPDX-License-Identifier: GPL-2.0-only
/** Runs an exhibit: its scenario on the old and on the fixed revision, compared and told. */
import { errnoName, SECTOR_BYTES, traceRows, type TraceRow } from '../../base/index.ts';
import { findRevision } from '../../dio/index.ts';
import { judgeAlignment } from '../alignment.ts';
import type { ExhibitRun, RevisionRun } from '../comparison.ts';
import { runScenario, type ScenarioRun } from '../conformance/index.ts';
import { startBytes } from '../conformance/start-bytes.ts';
import { firstDifference } from '../difference.ts';
import { returnWords, stoppedStep, tellSteps } from '../explain-words.ts';
import type { Explanation } from '../explanation.ts';
import { summaryOf } from '../summary.ts';
import { leakedReferencesOf, type Exhibit, type ExhibitEnd } from './exhibit.ts';

/** Nobody compares the hashes here: the bytes themselves are at hand. */
const noHash = (): string => '';

/** The exhibit's scenario on one revision. */
export function runExhibitOn(exhibit: Exhibit, revision: string): ExhibitEnd {
  const { scenario } = exhibit;
  const run = runScenario(revision, scenario, noHash);
  const rows = traceRows(run.rows);
  const before = startBytes(scenario);
  return {
    revision,
    scenario,
    run,
    trace: run.trace,
    rows,
    summary: summaryOf(rows, endingOf(run, rows), leakedReferencesOf(run.trace)),
    userBytesBefore: before.userBytes,
    diskBytesBefore: before.diskBytes,
  };
}

/** Runs both and compares. */
export function runOne(exhibit: Exhibit): ExhibitRun {
  const { info } = exhibit;
  const ends = [info.oldRevision, info.fixedRevision].map((id) => runExhibitOn(exhibit, id)) as [
    ExhibitEnd,
    ExhibitEnd,
  ];
  const [left, right] = ends.map(({ revision, rows, run, summary }) => ({
    spec: findRevision(revision),
    rows,
    returned: run.returned,
    leakedReferences: summary.leakedReferences,
    stopped: run.stopped?.what ?? null,
  })) as [Compared, Compared];
  return {
    exhibit: info,
    comparison: { runs: ends.map(revisionRun), differences: [null, firstDifference(left, right)] },
    observed: [exhibit.observe(ends[0]), exhibit.observe(ends[1])],
    answer: exhibit.answer,
    content: ends.flatMap((end) =>
      (exhibit.content?.(end) ?? []).map((part) => ({ revision: end.revision, ...part })),
    ),
  };
}
type Compared = Parameters<typeof firstDifference>[0];

interface Ending {
  readonly returned: number | null;
  readonly completed: number | null;
  readonly bug: { readonly what: string } | null;
}

/** How the last request ended. */
function endingOf(run: ScenarioRun, rows: readonly TraceRow[]): Ending {
  const value = run.returned.at(-1) ?? null;
  const from = run.firstRowOfRequest.at(-1) ?? 0;
  const completion = rows.findLast((row) => row.kind === 'kiocb-complete' && row.index >= from);
  return { returned: value, completed: completion?.values[0] ?? null, bug: run.stopped };
}

function revisionRun(end: ExhibitEnd): RevisionRun {
  const { stopped } = end.run;
  return {
    revision: end.revision,
    explanation: explanationOf(end),
    summary: end.summary,
    stopped: stopped === null ? null : { what: stopped.what, why: stopped.why },
  };
}

function explanationOf(end: ExhibitEnd): Explanation {
  const { rows, run, scenario, summary } = end;
  const fsBlockBytes = 2 ** (scenario.blkbits ?? 12);
  const steps = tellSteps(rows, {
    fsBlockBytes,
    bufferFirstPage: run.firstUserPage,
    bufferPages: scenario.pages ?? 16,
  });
  const ending = endingOf(run, rows);
  if (run.stopped !== null) steps.push(stoppedStep(run.stopped));
  const value = ending.completed ?? ending.returned ?? 0;
  const request = scenario.reqs.at(run.firstRowOfRequest.length - 1);
  const { getBlockCalls, bios, bytesPerBio, zeroedBytes } = summary;
  return {
    steps,
    result: {
      ok: ending.bug === null && value >= 0,
      text:
        ending.bug === null
          ? `The request ends with ${returnWords(value)}.`
          : `The kernel of this revision stops at this request: ${ending.bug.what}.`,
      returned: ending.bug?.what ?? (value < 0 ? (errnoName(value) ?? value) : value),
    },
    alignment: judgeAlignment({
      offsetBytes: request?.pos ?? 0,
      lengthBytes: request?.iov.reduce((sum, [, length]) => sum + length, 0) ?? 0,
      memoryBytes: (request?.iov[0]?.[0] ?? 0) % 4096,
      fsBlockBytes,
      logicalBlockBytes: scenario.lbs ?? SECTOR_BYTES,
    }),
    counters: { getBlockCalls, bios, bioBytes: (bytesPerBio ?? 0) * bios, zeroedBytes },
    trace: rows,
    revision: end.revision,
  };
}
