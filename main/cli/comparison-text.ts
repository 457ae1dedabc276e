// SPDX-License-Identifier: GPL-2.0-only
/** Comparisons of revisions and exhibits of the gallery as text: pure functions from the contract's data to lines. */
import { TRACE_KINDS } from '../../engine/base/index.ts';
import type {
  Comparison,
  ExhibitInfo,
  ExhibitRun,
  RevisionRun,
  TraceDifference,
  TraceRow,
} from '../contract/types.ts';
import { bytesText } from './quantities.ts';

const KINDS = new Map(TRACE_KINDS.map((kind) => [kind.id, kind]));
/** Rows that agree, shown before the difference, and rows from it on. */
const ROWS_BEFORE = 2;
const ROWS_FROM = 3;
const COLUMN_WIDTH = 56;
const LINE_WIDTH = 100;

const HEAD = [
  'revision', 'returned', 'completed', 'get_block', 'bios', 'bytes/bio', 'zeroed disk', 'zeroed memory', 'waits', 'leaked', 'locks',
]; // prettier-ignore

function cellsOf({ revision, summary }: RevisionRun): string[] {
  const { zeroed } = summary;
  return [
    revision,
    String(summary.returned),
    summary.completedWith === null ? '-' : String(summary.completedWith),
    String(summary.getBlockCalls),
    String(summary.bios),
    summary.bytesPerBio === null ? '-' : bytesText(Math.round(summary.bytesPerBio)),
    bytesText(zeroed.onDiskBytes),
    bytesText(zeroed.inMemoryBytes),
    String(summary.waits),
    String(summary.leakedReferences),
    summary.locks.join(', ') || '-',
  ];
}

function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** The table over revisions, then each difference from the first with its place in both traces. */
export function comparisonText(comparison: Comparison): string {
  const { runs, differences } = comparison;
  const lines = tableLines([HEAD, ...runs.map(cellsOf)]);
  for (const { revision, stopped } of runs) {
    if (stopped !== null) lines.push('', `${revision} stops: ${stopped.what}: ${stopped.why}.`);
  }
  const [first] = runs;
  runs.forEach((run, index) => {
    if (first === undefined || index === 0) return;
    const difference = differences[index] ?? null;
    lines.push('', `${first.revision} and ${run.revision}`);
    if (difference === null) lines.push('  do the same.');
    else lines.push(...differenceLines(first, run, difference));
  });
  return `${lines.join('\n')}\n`;
}

function differenceLines(
  left: RevisionRun,
  right: RevisionRun,
  difference: TraceDifference,
): string[] {
  const { change, leftRow, rightRow } = difference;
  const lines =
    change === null
      ? ['  No listed change explains the difference.']
      : wrapped(`${change.revision}: ${change.what} ${change.reason}`, '  ');
  if (leftRow === null && rightRow === null) return lines;
  const ones = rowsAround(left, leftRow);
  const others = rowsAround(right, rightRow);
  const before = Math.max(ones.before.length, others.before.length);
  const pad = (rows: readonly string[]): string[] => [
    ...Array<string>(before - rows.length).fill(''),
    ...rows,
  ];
  const [lefts, rights] = [
    [...pad(ones.before), ...ones.from],
    [...pad(others.before), ...others.from],
  ];
  lines.push(`    ${left.revision.padEnd(COLUMN_WIDTH)}  ${right.revision}`);
  for (let row = 0; row < Math.max(lefts.length, rights.length); row++) {
    const mark = row === before ? '>' : ' ';
    lines.push(
      `  ${mark} ${(lefts[row] ?? '').padEnd(COLUMN_WIDTH)}  ${rights[row] ?? ''}`.trimEnd(),
    );
  }
  return lines;
}

/** Rows that count (no bookkeeping of the port) around the one at `at`; null: the trace has ended there. */
function rowsAround(
  { explanation, stopped }: RevisionRun,
  at: number | null,
): { readonly before: readonly string[]; readonly from: readonly string[] } {
  const isShown = (row: TraceRow): boolean =>
    row.index === at || ['core', 'detail'].includes(KINDS.get(row.kind)?.level ?? '');
  const { trace } = explanation;
  const place = at ?? Infinity;
  const before = trace.filter((row) => row.index < place && isShown(row)).slice(-ROWS_BEFORE);
  const from = trace.filter((row) => row.index >= place && isShown(row)).slice(0, ROWS_FROM);
  const end = stopped === null ? '(ends)' : `(stops: ${stopped.what})`;
  return {
    before: before.map(rowText),
    from: from.length < ROWS_FROM ? [...from.map(rowText), end] : from.map(rowText),
  };
}

function rowText(row: TraceRow): string {
  const columns = KINDS.get(row.kind)?.columns ?? [];
  const values = columns.map((column, index) => `${column}=${String(row.values[index])}`);
  const text = [row.kind, ...values].join(' ');
  return text.length <= COLUMN_WIDTH ? text : `${text.slice(0, COLUMN_WIDTH - 1)}…`;
}

export function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let current = indent;
  for (const word of text.split(' ')) {
    if (current.length + word.length + 1 > LINE_WIDTH && current.trim() !== '') {
      lines.push(current.trimEnd());
      current = indent;
    }
    current += `${word} `;
  }
  return [...lines, current.trimEnd()];
}

/** One exhibit a line, and what it asks. */
export function exhibitListText(exhibits: readonly ExhibitInfo[]): string {
  const width = Math.max(0, ...exhibits.map(({ id }) => id.length));
  const indent = ' '.repeat(width + 2);
  return exhibits
    .map(
      ({ id, title, question, oldRevision, fixedRevision }) =>
        `${id.padEnd(width)}  ${title} (${oldRevision}, ${fixedRevision})\n` +
        `${wrapped(question, indent).join('\n')}\n`,
    )
    .join('');
}

/** An exhibit: the question, the setting, what both revisions do, the answer. */
export function exhibitText({
  exhibit,
  comparison,
  observed,
  answer,
  content,
}: ExhibitRun): string {
  const lines = [exhibit.title, '', ...wrapped(exhibit.question, '  '), ''];
  for (const sentence of exhibit.setting) lines.push(...wrapped(sentence, '  '));
  [exhibit.oldRevision, exhibit.fixedRevision].forEach((revision, index) => {
    lines.push('', revision, ...wrapped(observed[index] ?? '', '  '));
    for (const part of content) {
      if (part.revision !== revision) continue;
      const runs = part.runs.map((run) => `${bytesText(run.lengthBytes)} ${run.what}`);
      lines.push(`  ${part.of}: ${runs.join(', ')}`);
    }
  });
  lines.push('');
  for (const sentence of answer) lines.push(...wrapped(sentence, '  '));
  return `${lines.join('\n')}\n\n${comparisonText(comparison)}`;
}
