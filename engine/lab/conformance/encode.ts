// SPDX-License-Identifier: GPL-2.0-only
/**
 * Trace rows to events of the golden format (FORMAT.md, section 5). Only rows of level 'core' and 'detail' become events; decisions
 * are the lab's own. Calls that the format joins (aliases, dirtied pages) are joined here.
 */
import {
  BIO_FLAG,
  MAP_FLAG,
  TRACE_KINDS,
  traceRow,
  type TraceColumns,
  type TraceRow,
} from '../../base/index.ts';
import { FIRST_USER_PAGE } from './world-memory.ts';
import type { GoldenEvent } from './scenario.ts';
import { returnText } from './world.ts';

const NAME_BY_KIND: Readonly<Record<string, string>> = {
  lock: 'lock', unlock: 'unlock', 'alloc-sem-down': 'semdown', 'alloc-sem-up': 'semup', 'write-and-wait': 'wbw',
  'dio-begin': 'dio+', 'dio-end': 'dio-', 'work-queue': 'wq', predirty: 'predirty', defer: 'defer', work: 'work',
  invalidate: 'inval', stale: 'stale', fsync: 'fsync', truncate: 'trunc', 'submit-io': 'subio',
}; // prettier-ignore

const LEVEL_BY_KIND = new Map(TRACE_KINDS.map((kind) => [kind.id, kind.level]));

export interface EncodedRows {
  readonly events: readonly GoldenEvent[];
  /** Bytes passed to write accounting. */
  readonly accountedBytes: number;
}

/** Encodes the rows from `firstRow` to before `endRow`. */
export function encodeRows(columns: TraceColumns, firstRow: number, endRow: number): EncodedRows {
  const events: unknown[][] = [];
  let accountedBytes = 0;
  for (let index = firstRow; index < endRow; index++) {
    const row = traceRow(columns, index);
    if (row.kind === 'section') accountedBytes += row.values[2] ?? 0;
    const level = LEVEL_BY_KIND.get(row.kind);
    if (level === 'core' || level === 'detail') encodeRow(row, events);
  }
  return { events: events as unknown as GoldenEvent[], accountedBytes };
}

/** User pages from 0; the zero page is "z" in a bio and -1 elsewhere. */
function userPage(page: number): number {
  return page <= 0 ? -1 : page - FIRST_USER_PAGE;
}

function encodeRow(row: TraceRow, events: unknown[][]): void {
  const { values } = row;
  const last = events.at(-1);
  switch (row.kind) {
    case 'map':
      events.push(encodeMap(values));
      return;
    case 'bio-submit': {
      const [sector, size, op, flags] = values as [number, number, number, number];
      events.push(['bio', op === 1 ? 'W' : 'R', sector, size, [], bioFlagsText(flags)]);
      return;
    }
    case 'bio-vector': {
      const [page, offset, length] = values as [number, number, number];
      const vectors = last?.[4] as unknown[];
      vectors.push([page <= 0 ? 'z' : userPage(page), offset, length]);
      return;
    }
    case 'kiocb-complete':
      events.push(['kc', returnText(values[0] as number)]);
      return;
    case 'alias': {
      const [block, count] = values as [number, number];
      if (last?.[0] === 'alias' && (last[1] as number) + (last[2] as number) === block) {
        last[2] = (last[2] as number) + count;
      } else if (count > 0) events.push(['alias', block, count]);
      return;
    }
    case 'zero':
      events.push(['zero', userPage(values[0] as number), values[1], values[2]]);
      return;
    case 'dirty':
      if (last?.[0] === 'dirty') last.push(userPage(values[0] as number));
      else events.push(['dirty', userPage(values[0] as number)]);
      return;
    case 'uptodate':
      events.push(['uptodate', userPage(values[0] as number)]);
      return;
    case 'bio-end':
      events.push(['done', row.bioId, returnText(values[0] as number)]);
      return;
    case 'end-io':
      events.push(encodeEndIo(values));
      return;
    case 'note-unlock-unheld':
      events.push(['note', 'unlock of an unheld lock']);
      return;
    case 'note-completed-twice':
      events.push(['note', 'completed twice']);
      return;
    default:
      events.push([NAME_BY_KIND[row.kind] ?? row.kind, ...values]);
  }
}

function encodeMap(values: readonly number[]): unknown[] {
  const [block, asked, create, flags, diskBlock, count] = values as [
    number, number, number, number, number, number,
  ]; // prettier-ignore
  if (count < 0) return ['gb', block, asked, create, `!${String(returnText(count))}`];
  let letters = '';
  if (flags & MAP_FLAG.mapped) letters += 'M';
  if (flags & MAP_FLAG.new) letters += 'N';
  if (flags & MAP_FLAG.boundary) letters += 'B';
  if (flags & MAP_FLAG.unwritten) letters += 'U';
  if (flags & MAP_FLAG.defer) letters += 'D';
  return ['gb', block, asked, create, letters, diskBlock, count];
}

function bioFlagsText(flags: number): string {
  let text = '';
  if (flags & BIO_FLAG.sync) text += 'S';
  if (flags & BIO_FLAG.idle) text += 'I';
  if (flags & BIO_FLAG.nowait) text += 'N';
  return text;
}

/** `returned` and `isAsync` are there only where end_io has them: isAsync is -1 otherwise. */
function encodeEndIo(values: readonly number[]): unknown[] {
  const [offset, result, word, returned, isAsync] = values as [
    number, number, number, number, number,
  ]; // prettier-ignore
  const event: unknown[] = ['endio', offset, returnText(result), word];
  if (isAsync >= 0) event.push(returnText(returned), isAsync);
  return event;
}
