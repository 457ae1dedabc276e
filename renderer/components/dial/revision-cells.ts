// SPDX-License-Identifier: GPL-2.0-only
/** A request on every revision as lines of a table, and what of them is unlike the first. Pure. */
import type { Comparison, RevisionRun } from '../../../main/contract/index.ts';
import { formatBytes, formatCount, joinShown, NONE } from '../../format/numbers.ts';

export interface RevisionColumn {
  readonly id: string;
  readonly title: string;
  readonly isNumber: boolean;
  text(run: RevisionRun): string;
}
const bytes = (value: number | null): string =>
  value === null ? NONE : joinShown(formatBytes(value));
/** Bytes as a count, an errno's name as it is. */
export const returnedText = (value: number | string | null): string =>
  value === null ? NONE : typeof value === 'string' ? value : formatCount(value);

const REVISION_COLUMNS: readonly RevisionColumn[] = [
  { id: 'returned', title: 'returned, B', isNumber: true,
    text: ({ summary, stopped }) => (stopped ? 'stopped' : returnedText(summary.returned)) },
  { id: 'completed', title: 'completed, B', isNumber: true, text: ({ summary }) => returnedText(summary.completedWith) },
  { id: 'map', title: 'get_block', isNumber: true, text: ({ summary }) => formatCount(summary.getBlockCalls) },
  { id: 'bios', title: 'bios', isNumber: true, text: ({ summary }) => formatCount(summary.bios) },
  { id: 'bytes', title: 'a bio', isNumber: true, text: ({ summary }) => bytes(summary.bytesPerBio) },
  { id: 'zeroed', title: 'zeroed', isNumber: true, text: ({ summary }) => bytes(summary.zeroedBytes) },
  { id: 'waits', title: 'waits', isNumber: true, text: ({ summary }) => formatCount(summary.waits) },
  { id: 'leaked', title: 'leaked', isNumber: true, text: ({ summary }) => formatCount(summary.leakedReferences) },
  { id: 'locks', title: 'locks', isNumber: false, text: ({ summary }) => summary.locks.join(', ') || 'none' },
]; // prettier-ignore

/** The columns that have something to say: completions only where a revision has one. */
export const revisionColumns = (comparison: Comparison): readonly RevisionColumn[] =>
  REVISION_COLUMNS.filter(
    (column) =>
      column.id !== 'completed' ||
      comparison.runs.some((run) => run.summary.completedWith !== null),
  );
export interface RevisionLine {
  readonly id: string;
  readonly cells: readonly { readonly text: string; readonly differs: boolean }[];
  /** What the first difference is; null: there is none. */
  readonly difference: string | null;
  readonly stopped: RevisionRun['stopped'];
}
/** Lines in the order of `ids`; those that the comparison has not are left out. Cells are held against the comparison's first run. */
export function revisionLines(comparison: Comparison, ids: readonly string[]): RevisionLine[] {
  const first = comparison.runs[0];
  const columns = revisionColumns(comparison);
  return ids.flatMap((id) => {
    const index = comparison.runs.findIndex((run) => run.revision === id);
    const run = comparison.runs[index];
    if (run === undefined || first === undefined) return [];
    const difference = comparison.differences[index] ?? null;
    return {
      id,
      cells: columns.map((column) => {
        const text = column.text(run);
        return { text, differs: text !== column.text(first) };
      }),
      difference: difference === null ? null : (difference.change?.what ?? 'in no list of changes'),
      stopped: run.stopped,
    };
  });
}
