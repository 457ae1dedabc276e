// SPDX-License-Identifier: GPL-2.0-only
/** A trace row as text: what happened, and its values by name. Pure. */
import { TRACE_KINDS } from '../../../main/contract/trace.ts';
import type { TraceRow } from '../../../main/contract/index.ts';
import { formatCount } from '../../format/numbers.ts';

const kinds: ReadonlyMap<string, { readonly title: string; readonly columns: readonly string[] }> =
  new Map(TRACE_KINDS.map((kind) => [kind.id, kind]));

export function traceRowText(row: TraceRow): {
  kind: string;
  title: string;
  bio: string;
  values: string;
} {
  const kind = kinds.get(row.kind);
  const values = (kind?.columns ?? [])
    .map((name, index) => `${name} ${formatCount(row.values[index])}`)
    .join('  ');
  return {
    kind: row.kind,
    title: kind?.title ?? row.kind,
    bio: row.bioId === null ? '' : formatCount(row.bioId),
    values,
  };
}
