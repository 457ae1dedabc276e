// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the engine sent to a loop device beside what the host's kernel queued there, one line a request: equal ones in one line, the
 * others alone, all in the order of time. Pure. The same operation at the same place with the same length is the same request, each
 * used once; a flush has no place.
 */
import type { TraceRow } from '../../../main/contract/index.ts';

export type Mark = 'equal' | 'only-predicted' | 'only-actual';
export interface AlignedLine {
  readonly mark: Mark;
  readonly predicted: TraceRow | null;
  readonly actual: TraceRow | null;
}
/** As `TRACE_OP` counts. */
export const OPERATIONS = ['read', 'write', 'flush', 'discard', 'write zeroes'] as const;
export const PREDICTED = 'dispatch';
export const ACTUAL = 'kernel-queue';

export const sectorOf = (row: TraceRow): number => row.values[0] ?? 0;
export const bytesOf = (row: TraceRow): number => row.values[1] ?? 0;
export const operationOf = (row: TraceRow): number => row.values[2] ?? 0;
export const operationText = (row: TraceRow): string => OPERATIONS[operationOf(row)] ?? '?';

const FLUSH = 2;
const keyOf = (row: TraceRow): string =>
  operationOf(row) === FLUSH
    ? 'flush'
    : `${String(operationOf(row))} ${String(sectorOf(row))} ${String(bytesOf(row))}`;

/** Rows of both kinds, in any order; other kinds are left out. */
export function alignRows(rows: readonly TraceRow[]): AlignedLine[] {
  const waiting = new Map<string, { rows: TraceRow[]; next: number }>();
  const lines: AlignedLine[] = [];
  for (const row of rows) {
    if (row.kind !== ACTUAL) continue;
    const found = waiting.get(keyOf(row));
    if (found) found.rows.push(row);
    else waiting.set(keyOf(row), { rows: [row], next: 0 });
  }
  for (const row of rows) {
    if (row.kind !== PREDICTED) continue;
    const found = waiting.get(keyOf(row));
    const actual = found?.rows[found.next] ?? null;
    if (found && actual) found.next += 1;
    lines.push({ mark: actual ? 'equal' : 'only-predicted', predicted: row, actual });
  }
  for (const { rows: left, next } of waiting.values()) {
    for (const actual of left.slice(next)) {
      lines.push({ mark: 'only-actual', predicted: null, actual });
    }
  }
  return lines.sort((a, b) => timeOf(a) - timeOf(b));
}
const timeOf = ({ predicted, actual }: AlignedLine): number => predicted?.atNs ?? actual?.atNs ?? 0;

export const MARK_WORDS: Readonly<Record<Mark, string>> = {
  equal: 'equal',
  'only-predicted': 'only predicted',
  'only-actual': 'only actual',
};
export const MARK_SIGNS: Readonly<Record<Mark, string>> = {
  equal: '=',
  'only-predicted': '←',
  'only-actual': '→',
};
export interface LineFilter {
  readonly mark: Mark | 'all';
  /** An index of `OPERATIONS`; null: all. */
  readonly operation: number | null;
}
export const filterLines = (lines: readonly AlignedLine[], filter: LineFilter): AlignedLine[] =>
  lines.filter((line) => {
    const row = line.predicted ?? line.actual;
    return (
      (filter.mark === 'all' || line.mark === filter.mark) &&
      (filter.operation === null || (row !== null && operationOf(row) === filter.operation))
    );
  });
export function countMarks(lines: readonly AlignedLine[]): Record<Mark, number> {
  const counts = { equal: 0, 'only-predicted': 0, 'only-actual': 0 };
  for (const { mark } of lines) counts[mark] += 1;
  return counts;
}
