// SPDX-License-Identifier: GPL-2.0-only
/** Where two revisions part, in words. Pure. */
import type { RevisionRun, TraceDifference } from '../../../main/contract/index.ts';
import { formatCount } from '../../format/numbers.ts';
import { traceRowText } from '../microscope/trace-text.ts';

/** What one side does at the difference: 'row 12: map call, fileBlock 0 ...', or that its trace has ended. */
export function sideWords(run: RevisionRun, row: number | null): string {
  if (row === null) return 'its trace has ended';
  const found = run.explanation.trace[row];
  if (found === undefined) return `row ${formatCount(row + 1)}, beyond what is shown`;
  const { title, values } = traceRowText(found);
  return `row ${formatCount(row + 1)}: ${title}${values === '' ? '' : `, ${values}`}`;
}
/** The headline of a difference; null: both do the same. */
export function differenceTitle(
  difference: TraceDifference | null,
  left: RevisionRun,
  right: RevisionRun,
): string {
  if (left.revision === right.revision) return 'A and B are the same revision';
  if (difference === null) return `${left.revision} and ${right.revision} do the same`;
  if (difference.change) return difference.change.what;
  return 'They part, and no list of changes says why';
}
