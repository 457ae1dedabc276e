// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the host's kernel says of a real device (the text of tracefs' trace_pipe), as rows of the trace; and the engine's requests held
 * against the kernel's bios.
 *
 *   diolab-2106    [000] ..... 12490.024414: block_bio_queue: 7,0 RA 0 + 32 [diolab]
 *   task-pid       [cpu] flags seconds:      event:           dev rwbs sector + sectors [task]
 *   block_split:        7,0 WS 0 / 2560 [diolab]               sector / first sector of the rest
 *   block_rq_issue:     7,0 R 4096 () 0 + 8 none,0,0 [kworker] bytes (command) sector + sectors
 *   block_rq_complete:  7,0 R () 0 + 8 none,0,0 [0]            ... [error]
 *
 * Rules: 1. Lines that are something else are counted, not guessed at. 2. Times are the kernel's monotonic clock with microseconds; the
 * caller says how far the run's clock is from it.
 */
import { BIO_FLAG, SECTOR_BYTES, TRACE, TRACE_OP, type Trace } from '../base/index.ts';
import type { TraceColumns } from '../base/index.ts';

/** Kinds by the kernel's name of the event. */
const EVENT_KIND: Readonly<Record<string, number>> = {
  block_bio_queue: TRACE['kernel-queue'],
  block_split: TRACE['kernel-split'],
  block_bio_backmerge: TRACE['kernel-merge'],
  block_bio_frontmerge: TRACE['kernel-merge'],
  block_getrq: TRACE['kernel-request'],
  block_rq_insert: TRACE['kernel-insert'],
  block_rq_issue: TRACE['kernel-issue'],
  block_rq_complete: TRACE['kernel-end'],
  block_rq_error: TRACE['kernel-end'],
};
/** In the kernel, but no row of ours: a bio's own end follows its request's. */
const IGNORED = new Set(['block_bio_complete']);

export interface KernelEvent {
  readonly kind: number;
  /** Of the kernel's monotonic clock. */
  readonly atNs: number;
  /** In the order of the kind's columns. */
  readonly values: readonly number[];
}
export interface KernelEvents {
  readonly events: readonly KernelEvent[];
  /** Events that the kernel's buffer had no room for. */
  readonly lostCount: number;
  /** Lines that were not understood. */
  readonly unknownCount: number;
}

const LINE =
  /^.{1,60}?-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6,9}):\s+(\w+):\s+\d+,\d+\s+([A-Z]+)\s+(.*)$/;
const LOST = /LOST (\d+) EVENTS/;
const EXTENT = /(\d+) \+ (\d+)/;
const SPLIT = /^(\d+) \/ (\d+)/;
const ERROR = /\[(-?\d+)\]\s*$/;

/** blk_fill_rwbs, backwards: operation and flags. */
function readRwbs(rwbs: string): { readonly op: number; readonly flags: number } {
  const [first = '', ...rest] = [...rwbs];
  // A leading F is a flush before the operation, alone it is one.
  const isPreflush = first === 'F';
  const letter = isPreflush ? (rest[0] ?? 'F') : first;
  const op =
    letter === 'R'
      ? TRACE_OP.read
      : letter === 'W'
        ? TRACE_OP.write
        : letter === 'D'
          ? TRACE_OP.discard
          : TRACE_OP.flush;
  const after = isPreflush ? rest.slice(1) : rest;
  const flags =
    (isPreflush ? BIO_FLAG.preflush : 0) |
    (after.includes('S') ? BIO_FLAG.sync : 0) |
    (after.includes('M') ? BIO_FLAG.metadata : 0) |
    (after.includes('F') ? BIO_FLAG.fua : 0);
  return { op, flags };
}

function readLine(line: string): KernelEvent | 'ignored' | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, pid, seconds, fraction = '', event = '', rwbs = '', rest = ''] = match;
  if (IGNORED.has(event)) return 'ignored';
  const kind = EVENT_KIND[event];
  if (kind === undefined) return null;
  const atNs = Number(seconds) * 1e9 + Number(fraction.padEnd(9, '0'));
  const { op, flags } = readRwbs(rwbs);
  if (event === 'block_split') {
    const split = SPLIT.exec(rest);
    if (split === null) return null;
    return { kind, atNs, values: [Number(split[1]), Number(split[2]), op, flags, Number(pid)] };
  }
  const extent = EXTENT.exec(rest);
  if (extent === null) return null;
  const last =
    kind === TRACE['kernel-end']
      ? [Number(ERROR.exec(rest)?.[1] ?? 0)]
      : kind === TRACE['kernel-merge']
        ? [event === 'block_bio_backmerge' ? 1 : 0]
        : [];
  const sizeBytes = Number(extent[2]) * SECTOR_BYTES;
  return { kind, atNs, values: [Number(extent[1]), sizeBytes, op, flags, Number(pid), ...last] };
}

/** Never throws, whatever the text. */
export function parseKernelEvents(text: string): KernelEvents {
  const events: KernelEvent[] = [];
  let lostCount = 0;
  let unknownCount = 0;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const lost = LOST.exec(line);
    if (lost !== null) {
      lostCount += Number(lost[1]);
      continue;
    }
    const event = readLine(line);
    if (event === null) unknownCount++;
    else if (event !== 'ignored') events.push(event);
  }
  events.sort((a, b) => a.atNs - b.atNs);
  return { events, lostCount, unknownCount };
}

/** Appends them to a trace. `clockMinusMonotonicNs`: what to add to a time of the kernel's to have one of the run's clock. */
export function addKernelEvents(
  trace: Trace,
  { events }: KernelEvents,
  clockMinusMonotonicNs: number,
): void {
  for (const { kind, atNs, values } of events)
    trace.addAt(atNs + clockMinusMonotonicNs, kind, values);
}

/** A request that the engine handed to the device (predicted), or a bio that the kernel queued there (actual). */
export interface DeviceTransfer {
  readonly op: number;
  readonly sectorStart: number;
  readonly sizeBytes: number;
  /** Row of the trace. */
  readonly row: number;
}
export interface KernelComparison {
  readonly predicted: number;
  readonly actual: number;
  /** The same operation at the same place with the same length, each counted once. */
  readonly equal: number;
  /** At most a hundred of each. */
  readonly onlyPredicted: readonly DeviceTransfer[];
  readonly onlyActual: readonly DeviceTransfer[];
}

const SHOWN_MAX = 100;

/** The engine's dispatches against the kernel's bios, whatever their order; null where the trace has no rows of the kernel's. */
export function compareWithKernel(columns: TraceColumns): KernelComparison | null {
  const predicted = transfersOf(columns, TRACE.dispatch);
  const actual = transfersOf(columns, TRACE['kernel-queue']);
  if (actual.length === 0) return null;
  const waiting = new Map<string, DeviceTransfer[]>();
  for (const transfer of predicted) {
    const key = keyOf(transfer);
    waiting.set(key, [...(waiting.get(key) ?? []), transfer]);
  }
  const onlyActual = actual.filter(
    (transfer) => waiting.get(keyOf(transfer))?.shift() === undefined,
  );
  const onlyPredicted = [...waiting.values()].flat().sort((a, b) => a.row - b.row);
  return {
    predicted: predicted.length,
    actual: actual.length,
    equal: actual.length - onlyActual.length,
    onlyPredicted: onlyPredicted.slice(0, SHOWN_MAX),
    onlyActual: onlyActual.slice(0, SHOWN_MAX),
  };
}

/** Sentences for the notes of a run. */
export function kernelTraceNotes(
  { events, lostCount, unknownCount }: KernelEvents,
  comparison: KernelComparison | null,
): string[] {
  const notes: string[] = [];
  if (comparison === null) {
    notes.push('The host kernel was watched, and told of no bio on the device.');
  } else {
    const { predicted, actual, equal } = comparison;
    notes.push(
      `The engine sent ${String(predicted)} requests to the loop device; the host kernel queued ${String(actual)} bios there, ${String(equal)} of them the same in operation, place and length (${String(events.length)} events in the trace).`,
    );
  }
  if (lostCount > 0) {
    notes.push(`The kernel's trace buffer had no room for ${String(lostCount)} events.`);
  }
  if (unknownCount > 0) {
    notes.push(`${String(unknownCount)} lines of the kernel's trace were not understood.`);
  }
  return notes;
}

/** A flush has no place: the kernel shows it at sector 0. */
const keyOf = ({ op, sectorStart, sizeBytes }: DeviceTransfer): string =>
  op === TRACE_OP.flush ? 'flush' : `${String(op)} ${String(sectorStart)} ${String(sizeBytes)}`;

const VALUES_PER_ROW = 6;

function transfersOf(columns: TraceColumns, kind: number): DeviceTransfer[] {
  const found: DeviceTransfer[] = [];
  for (let row = 0; row < columns.rowCount; row++) {
    if (columns.kind[row] !== kind) continue;
    const at = row * VALUES_PER_ROW;
    const [sectorStart = 0, sizeBytes = 0, op = 0] = columns.values.subarray(at, at + 3);
    found.push({ op, sectorStart, sizeBytes, row });
  }
  return found;
}
