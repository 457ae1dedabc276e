// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where two traces of the same request part, and which of the revisions' own changes that is. What happened is compared, not when or
 * under which number: first what the golden format knows (core and detail), then the result, then flags of bios, then decisions.
 */
import { BIO_CLOSE_REASONS, TRACE_KINDS, type TraceKindId, type TraceRow } from '../base/index.ts';
import type { ChangeSign, RevisionChange, RevisionSpec } from '../dio/index.ts';
import type { TraceDifference } from './comparison.ts';

const KINDS = new Map(TRACE_KINDS.map((kind) => [kind.id as TraceKindId, kind]));

/** One of two runs that are compared. */
export interface ComparedRun {
  readonly spec: RevisionSpec;
  readonly rows: readonly TraceRow[];
  readonly hasStopped: boolean;
}

/** What of a row counts in a pass; null: the row is passed over. */
type View = (row: TraceRow) => readonly number[] | null;

const levelOf = (row: TraceRow): string => KINDS.get(row.kind)?.level ?? '';
const FLAGS_COLUMN = 3;

/** Bookkeeping of how a revision goes about it, which a caller never notices: rows differ without anything else that happens. */
const BOOKKEEPING: ReadonlySet<TraceKindId> = new Set<TraceKindId>([
  'align', 'block-factor', 'mode', 'pin', 'section', 'bio-build', 'bio-close', 'result', 'request', 'end-of-file', 'hole',
]); // prettier-ignore

/** In this order: a difference in an earlier pass is told before one in a later pass. */
const PASSES: readonly View[] = [
  (row) => {
    const level = levelOf(row);
    if (level !== 'core' && level !== 'detail') return null;
    return row.kind === 'bio-submit' ? row.values.slice(0, FLAGS_COLUMN) : row.values;
  },
  (row) => (row.kind === 'result' ? row.values.slice(0, 1) : null),
  (row) => (row.kind === 'bio-submit' ? row.values : null),
  (row) => (levelOf(row) === 'decision' && !BOOKKEEPING.has(row.kind) ? row.values : null),
];

/** The first difference of the right run from the left one; null: the same happened. */
export function firstDifference(left: ComparedRun, right: ComparedRun): TraceDifference | null {
  for (const view of PASSES) {
    const found = partInPass(left.rows, right.rows, view);
    if (found === null) continue;
    const [leftRow, rightRow] = found;
    const parted = { leftRow: leftRow?.index ?? null, rightRow: rightRow?.index ?? null };
    return { ...parted, change: nameOf(left, right, leftRow, rightRow) };
  }
  return null;
}

function partInPass(
  left: readonly TraceRow[],
  right: readonly TraceRow[],
  view: View,
): readonly [TraceRow | null, TraceRow | null] | null {
  for (let atLeft = 0, atRight = 0; ; atLeft++, atRight++) {
    while (atLeft < left.length && view(left[atLeft] as TraceRow) === null) atLeft++;
    while (atRight < right.length && view(right[atRight] as TraceRow) === null) atRight++;
    const leftRow = left[atLeft] ?? null;
    const rightRow = right[atRight] ?? null;
    if (leftRow === null && rightRow === null) return null;
    if (leftRow === null || rightRow === null) return [leftRow, rightRow];
    const [one, other] = [view(leftRow) ?? [], view(rightRow) ?? []];
    const isSame =
      leftRow.kind === rightRow.kind &&
      one.length === other.length &&
      one.every((value, index) => value === other[index]);
    if (!isSame) return [leftRow, rightRow];
  }
}

interface Candidate {
  readonly revision: string;
  readonly change: RevisionChange;
  /** The left run's revision has the change, the right one's has not; or the other way round. */
  readonly isLeft: boolean;
}

/** Changes on the way from one revision to the other: those of the bases that both share are left out. */
function candidatesOf(left: RevisionSpec, right: RevisionSpec): Candidate[] {
  const chainOf = (spec: RevisionSpec): RevisionSpec[] => {
    const chain: RevisionSpec[] = [];
    for (let at: RevisionSpec | null = spec; at !== null; at = at.basedOn) chain.push(at);
    return chain;
  };
  const [leftChain, rightChain] = [chainOf(left), chainOf(right)];
  const of = (chain: RevisionSpec[], other: RevisionSpec[], isLeft: boolean): Candidate[] =>
    chain
      .filter((spec) => !other.includes(spec))
      .flatMap((spec) => spec.changes.map((change) => ({ revision: spec.id, change, isLeft })));
  return [...of(leftChain, rightChain, true), ...of(rightChain, leftChain, false)];
}

/** The change whose sign fits best: the one that says most about the place. */
function nameOf(
  left: ComparedRun,
  right: ComparedRun,
  leftRow: TraceRow | null,
  rightRow: TraceRow | null,
): TraceDifference['change'] {
  let best: Candidate | null = null;
  let bestScore = 0;
  for (const candidate of candidatesOf(left.spec, right.spec)) {
    const [here, there] = candidate.isLeft ? [left, right] : [right, left];
    const [hereRow, thereRow] = candidate.isLeft ? [leftRow, rightRow] : [rightRow, leftRow];
    for (const sign of candidate.change.shows ?? []) {
      if (!fits(sign, here, there, hereRow, thereRow)) continue;
      const score = 1 + Object.keys(sign.when ?? {}).length;
      if (score <= bestScore) continue;
      best = candidate;
      bestScore = score;
    }
  }
  if (best === null) return null;
  const { what, reason } = best.change;
  return { revision: best.revision, what, reason };
}

function fits(
  sign: ChangeSign,
  here: ComparedRun,
  there: ComparedRun,
  hereRow: TraceRow | null,
  thereRow: TraceRow | null,
): boolean {
  if (!whereFits(sign, here, hereRow, thereRow)) return false;
  const { when } = sign;
  if (when === undefined) return true;
  const request = lastOf(here.rows, hereRow, 'request') ?? lastOf(there.rows, thereRow, 'request');
  const isWrite = request?.values[0] === 1;
  const isAsync = request?.values[3] === 1;
  if (when.op !== undefined && (when.op === 'write') !== isWrite) return false;
  if (when.isAsync !== undefined && when.isAsync !== isAsync) return false;
  if (when.closedBy !== undefined) {
    const reasons = [closeOf(here, hereRow), closeOf(there, thereRow)];
    if (!reasons.includes(BIO_CLOSE_REASONS.indexOf(when.closedBy))) return false;
  }
  if (when.after !== undefined) {
    if (lastOf(here.rows, hereRow, when.after) === undefined) return false;
  }
  if (when.afterThere !== undefined) {
    if (lastOf(there.rows, thereRow, when.afterThere) === undefined) return false;
  }
  if (when.valueHere !== undefined) {
    if (!valueFits(hereRow, sign.column ?? '', when.valueHere)) return false;
  }
  return true;
}

function whereFits(
  sign: ChangeSign,
  here: ComparedRun,
  hereRow: TraceRow | null,
  thereRow: TraceRow | null,
): boolean {
  if (sign.at === 'stop') return here.hasStopped && hereRow === null;
  if (sign.at === 'only-here') return hereRow?.kind === sign.row && thereRow?.kind !== sign.row;
  if (sign.at === 'only-there') return thereRow?.kind === sign.row && hereRow?.kind !== sign.row;
  if (hereRow === null || thereRow === null) return false;
  if (hereRow.kind !== sign.row || thereRow.kind !== sign.row) return false;
  if (sign.column === undefined) return true;
  const column = KINDS.get(hereRow.kind)?.columns.indexOf(sign.column) ?? -1;
  return hereRow.values[column] !== thereRow.values[column];
}

function valueFits(
  row: TraceRow | null,
  columnName: string,
  wanted: 'negative' | 'positive',
): boolean {
  if (row === null) return false;
  const column = KINDS.get(row.kind)?.columns.indexOf(columnName) ?? -1;
  const value = row.values[column] ?? 0;
  return wanted === 'negative' ? value < 0 : value > 0;
}

/** The row of this kind nearest before `row`; before the end of the trace where `row` is null. */
function lastOf(
  rows: readonly TraceRow[],
  row: TraceRow | null,
  kind: TraceKindId,
): TraceRow | undefined {
  const before = row === null ? rows : rows.slice(0, rows.indexOf(row));
  return before.findLast((candidate) => candidate.kind === kind);
}

function closeOf(run: ComparedRun, row: TraceRow | null): number {
  return lastOf(run.rows, row, 'bio-close')?.values[0] ?? -1;
}
