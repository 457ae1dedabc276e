// SPDX-License-Identifier: GPL-2.0-only
/** A trace row as text: what happened, and its values by name. Pure. */
import { TRACE_KINDS } from '../../../main/contract/trace.ts';
import type { TraceRow } from '../../../main/contract/index.ts';
import { formatCount } from '../../format/numbers.ts';
import { CLOSE_REASONS } from './bio-model.ts';

const kinds: ReadonlyMap<string, { readonly title: string; readonly columns: readonly string[] }> =
  new Map(TRACE_KINDS.map((kind) => [kind.id, kind]));

/** A value whose number stands for a word, as the word; else the number. */
function valueWord(row: TraceRow, name: string, value: number | undefined): string {
  if (name === 'reason' && row.kind === 'bio-close') return CLOSE_REASONS[value ?? -1] ?? '–';
  if (name === 'op') return value === 0 ? 'read' : value === 1 ? 'write' : formatCount(value);
  if (name === 'page' && value !== undefined && value <= 0) {
    return row.kind === 'section' && value < 0 ? 'none' : 'zero page';
  }
  return formatCount(value);
}

export function traceRowText(row: TraceRow): {
  kind: string;
  title: string;
  bio: string;
  values: string;
} {
  const kind = kinds.get(row.kind);
  const values = (kind?.columns ?? [])
    .map((name, index) => `${name} ${valueWord(row, name, row.values[index])}`)
    .join('  ');
  return {
    kind: row.kind,
    title: kind?.title ?? row.kind,
    bio: row.bioId === null ? '' : formatCount(row.bioId),
    values,
  };
}
