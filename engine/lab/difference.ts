// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where two runs of the same requests part, and which of the revisions' own changes that is. What happened is compared, not when or
 * under which number: first what reaches the file system and the disk (core rows), then what the calls return, then detail rows
 * (locks, zeroing, dirtying), then flags of bios, then decisions that somebody could notice.
 */
import {
  BIO_CLOSE_REASONS,
  ERRNO,
  TRACE_KINDS,
  type Errno,
  type KernelReturn,
  type TraceKindId,
  type TraceRow,
} from '../base/index.ts';
import type {
  ChangeSign,
  RevisionChange,
  RevisionSpec,
  SignConditions,
  ValueSign,
} from '../dio/index.ts';
import type { TraceDifference } from './comparison.ts';

const KINDS = new Map(TRACE_KINDS.map((kind) => [kind.id as TraceKindId, kind]));

/** One of two runs that are compared. */
export interface ComparedRun {
  readonly spec: RevisionSpec;
  readonly rows: readonly TraceRow[];
  /** What each call returned, in order; those that never came back are left out. */
  readonly returned: readonly KernelReturn[];
  readonly leakedReferences: number;
  /** What the kernel stopped with; null: it did not. */
  readonly stopped: string | null;
}

/** What of a row counts in a pass; null: the row is passed over. */
type View = (row: TraceRow) => readonly number[] | null;

const levelOf = (row: TraceRow): string => KINDS.get(row.kind)?.level ?? '';
const FLAGS_COLUMN = 3;

const coreView: View = (row) => {
  if (levelOf(row) !== 'core') return null;
  return row.kind === 'bio-submit' ? row.values.slice(0, FLAGS_COLUMN) : row.values;
};
const detailView: View = (row) => (levelOf(row) === 'detail' ? row.values : coreView(row));
const flagsView: View = (row) => (row.kind === 'bio-submit' ? row.values : null);
/** How often the submitter sleeps is noticed; how a revision keeps its books is not. */
const waitView: View = (row) => (row.kind === 'wait' ? [] : null);

/** Where two runs part: a row of each, or only what a call returned. */
interface Parting {
  readonly leftRow: TraceRow | null;
  readonly rightRow: TraceRow | null;
  /** The request whose returned value differs; null: rows differ. */
  readonly returnOf: number | null;
  /** Signs on rows of the core fit: they are known to be equal in later passes. */
  readonly isCore: boolean;
  readonly isLeak?: true;
}

/** The first difference of the right run from the left one; null: the same happened. */
export function firstDifference(left: ComparedRun, right: ComparedRun): TraceDifference | null {
  const parting =
    partInRows(left, right, coreView, true) ??
    partInReturns(left, right) ??
    partInRows(left, right, detailView, false) ??
    partInRows(left, right, flagsView, true) ??
    partInRows(left, right, waitView, false) ??
    partInLeaks(left, right);
  if (parting === null) return null;
  return {
    leftRow: parting.leftRow?.index ?? null,
    rightRow: parting.rightRow?.index ?? null,
    change: nameOf(left, right, parting),
  };
}

function partInRows(
  left: ComparedRun,
  right: ComparedRun,
  view: View,
  isCore: boolean,
): Parting | null {
  const [ones, others] = [left.rows, right.rows];
  for (let atLeft = 0, atRight = 0; ; atLeft++, atRight++) {
    while (atLeft < ones.length && view(ones[atLeft] as TraceRow) === null) atLeft++;
    while (atRight < others.length && view(others[atRight] as TraceRow) === null) atRight++;
    const leftRow = ones[atLeft] ?? null;
    const rightRow = others[atRight] ?? null;
    if (leftRow === null && rightRow === null) return null;
    if (leftRow === null || rightRow === null) return { leftRow, rightRow, returnOf: null, isCore };
    const [one, other] = [view(leftRow) ?? [], view(rightRow) ?? []];
    const isSame =
      leftRow.kind === rightRow.kind &&
      one.length === other.length &&
      one.every((value, index) => value === other[index]);
    if (!isSame) return { leftRow, rightRow, returnOf: null, isCore };
  }
}

/** The first call that returned something else, with the rows that say why where there are any. */
function partInReturns(left: ComparedRun, right: ComparedRun): Parting | null {
  const count = Math.max(left.returned.length, right.returned.length);
  for (let index = 0; index < count; index++) {
    if (left.returned[index] === right.returned[index]) continue;
    const rowOf = ({ rows }: ComparedRun): TraceRow | null =>
      rows.filter((row) => row.kind === 'result')[index] ?? null;
    return { leftRow: rowOf(left), rightRow: rowOf(right), returnOf: index, isCore: false };
  }
  return null;
}

/** Nothing that happened differs, but one of the runs left references behind. */
function partInLeaks(left: ComparedRun, right: ComparedRun): Parting | null {
  if (left.leakedReferences === right.leakedReferences) return null;
  return { leftRow: null, rightRow: null, returnOf: null, isCore: false, isLeak: true };
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

/** One side of a parting: the run, and its row there. */
interface Side {
  readonly run: ComparedRun;
  readonly row: TraceRow | null;
}

/** The change whose sign fits best: the one that says most about the place. */
function nameOf(
  left: ComparedRun,
  right: ComparedRun,
  parting: Parting,
): TraceDifference['change'] {
  let best: Candidate | null = null;
  let bestScore = 0;
  // A returned value has the whole request behind it.
  const isReturn = parting.returnOf !== null;
  const leftSide: Side = { run: left, row: isReturn ? null : parting.leftRow };
  const rightSide: Side = { run: right, row: isReturn ? null : parting.rightRow };
  for (const candidate of candidatesOf(left.spec, right.spec)) {
    const [here, there] = candidate.isLeft ? [leftSide, rightSide] : [rightSide, leftSide];
    for (const sign of candidate.change.shows ?? []) {
      const score = 1 + Object.keys(sign.when ?? {}).length;
      if (score <= bestScore) continue;
      if (!isAt(sign, here, there, parting)) continue;
      if (!holds(sign.when ?? {}, here, there, parting.returnOf)) continue;
      best = candidate;
      bestScore = score;
    }
  }
  if (best === null) return null;
  const { what, reason } = best.change;
  return { revision: best.revision, what, reason };
}

function isAt(sign: ChangeSign, here: Side, there: Side, parting: Parting): boolean {
  const { returnOf, isCore } = parting;
  if (sign.at === 'stop') {
    return here.run.stopped !== null && here.row === null && returnOf === null;
  }
  if (sign.at === 'left') {
    return parting.isLeak === true && here.run.leakedReferences > there.run.leakedReferences;
  }
  if (sign.at === 'returned') return returnOf !== null;
  if (returnOf !== null || sign.row === undefined) return false;
  if (!isCore && KINDS.get(sign.row)?.level === 'core') return false;
  const [isHere, isThere] = [here.row?.kind === sign.row, there.row?.kind === sign.row];
  if (sign.at === 'only-here') return isHere && !isThere;
  if (sign.at === 'only-there') return isThere && !isHere;
  if (!isHere || !isThere || here.row === null || there.row === null) return false;
  if (sign.column === undefined) return true;
  const column = KINDS.get(here.row.kind)?.columns.indexOf(sign.column) ?? -1;
  return here.row.values[column] !== there.row.values[column];
}

/** Every condition that is given holds. */
function holds(when: SignConditions, here: Side, there: Side, returnOf: number | null): boolean {
  const request = lastOf(here, 'request') ?? lastOf(there, 'request');
  const closed = [here, there].map((side) => lastOf(side, 'bio-close')?.values[0] ?? -1);
  const returned = (side: Side): KernelReturn | undefined =>
    returnOf === null ? undefined : side.run.returned[returnOf];
  const isGiven: Record<keyof SignConditions, () => boolean> = {
    op: () => (when.op === 'write') === (request?.values[0] === 1),
    isAsync: () => when.isAsync === (request?.values[3] === 1),
    closedBy: () => closed.some((reason) => BIO_CLOSE_REASONS[reason] === when.closedBy),
    after: () => lastOf(here, when.after) !== undefined,
    afterThere: () => lastOf(there, when.afterThere) !== undefined,
    afterFailedBio: () => [here, there].some(hasFailedBio),
    returnedHere: () => isSign(returned(here), when.returnedHere),
    returnedThere: () => isSign(returned(there), when.returnedThere),
    stoppedWith: () => here.run.stopped?.includes(when.stoppedWith ?? '') === true,
  };
  return (Object.keys(when) as (keyof SignConditions)[]).every((name) => isGiven[name]());
}

function isSign(value: KernelReturn | undefined, wanted: ValueSign | undefined): boolean {
  if (value === undefined) return false;
  if (wanted === 'negative') return value < 0;
  if (wanted === 'positive') return value > 0;
  return value === -ERRNO[wanted as Errno];
}

const rowsBefore = ({ run, row }: Side): readonly TraceRow[] =>
  row === null ? run.rows : run.rows.slice(0, row.index);

/** The row of this kind nearest before the parting. */
function lastOf(side: Side, kind: TraceKindId | undefined): TraceRow | undefined {
  return rowsBefore(side).findLast((row) => row.kind === kind);
}

function hasFailedBio(side: Side): boolean {
  return rowsBefore(side).some((row) => row.kind === 'bio-end' && (row.values[0] ?? 0) < 0);
}
