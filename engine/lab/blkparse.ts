// SPDX-License-Identifier: GPL-2.0-only
/**
 * A trace as the text of blkparse, so that tools for it read our runs: the engine's own block layer, and what the host's kernel did.
 *
 *   maj,min cpu seq sec.nsec pid action rwbs sector + blocks [command]
 *
 * The engine's device is shown as 0,0 and its process as [engine]; the host's kernel by `device` and as [kernel].
 */
import { BIO_FLAG, SECTOR_BYTES, TRACE, TRACE_OP, type TraceColumns } from '../base/index.ts';

/** Which action a row is (blkparse(1), "ACTION IDENTIFIERS"), and whose. Rows of other kinds have no line. */
const ACTIONS: Readonly<Record<number, readonly [action: string, isKernel: boolean]>> = {
  [TRACE['bio-submit']]: ['Q', false],
  [TRACE.merge]: ['M', false],
  [TRACE.split]: ['X', false],
  [TRACE.dispatch]: ['D', false],
  [TRACE['device-end']]: ['C', false],
  [TRACE['kernel-queue']]: ['Q', true],
  [TRACE['kernel-split']]: ['X', true],
  [TRACE['kernel-merge']]: ['M', true],
  [TRACE['kernel-request']]: ['G', true],
  [TRACE['kernel-insert']]: ['I', true],
  [TRACE['kernel-issue']]: ['D', true],
  [TRACE['kernel-end']]: ['C', true],
};

/** Kinds of rows that have a line. */
export const BLKPARSE_KINDS: readonly number[] = Object.keys(ACTIONS).map(Number);

const VALUES_PER_ROW = 6;
const OP_LETTER: Readonly<Record<number, string>> = {
  [TRACE_OP.read]: 'R',
  [TRACE_OP.write]: 'W',
  [TRACE_OP.flush]: 'F',
  [TRACE_OP.discard]: 'D',
  [TRACE_OP['write-zeroes']]: 'W',
};

function rwbsText(op: number, flags: number): string {
  const isFlush = op === TRACE_OP.flush;
  const before = (flags & BIO_FLAG.preflush) !== 0 && !isFlush ? 'F' : '';
  const fua = (flags & BIO_FLAG.fua) !== 0 ? 'F' : '';
  const sync = (flags & BIO_FLAG.sync) !== 0 ? 'S' : '';
  const metadata = (flags & BIO_FLAG.metadata) !== 0 ? 'M' : '';
  return `${before}${OP_LETTER[op] ?? 'N'}${fua}${sync}${metadata}`;
}

/** Of a row; merges and splits of the engine do not carry their operation, which blkparse shows as N. */
function opAndFlags(kind: number, values: Float64Array): readonly [op: number, flags: number] {
  if (kind === TRACE.merge || kind === TRACE.split) return [-1, 0];
  const isBare = kind === TRACE.dispatch || kind === TRACE['device-end'];
  return [values[2] ?? 0, isBare ? 0 : (values[3] ?? 0)];
}

export interface BlkparseOptions {
  /** Of the host's device: '7,3'. */
  readonly device: string;
  /** Time 0 of the text. */
  readonly startNs: number;
}

/** One line a row, in the order of time. */
export function* blkparseLines(
  columns: TraceColumns,
  { device, startNs }: BlkparseOptions,
): Generator<string> {
  const rows = Array.from(columns.kind.keys()).filter(
    (row) => ACTIONS[columns.kind[row] as number] !== undefined,
  );
  rows.sort((a, b) => (columns.atNs[a] ?? 0) - (columns.atNs[b] ?? 0) || a - b);
  let sequence = 0;
  for (const row of rows) {
    const kind = columns.kind[row] as number;
    const [action, isKernel] = ACTIONS[kind] as readonly [string, boolean];
    const values = columns.values.subarray(row * VALUES_PER_ROW, (row + 1) * VALUES_PER_ROW);
    const [op, flags] = opAndFlags(kind, values);
    const atNs = Math.max(0, (columns.atNs[row] ?? 0) - startNs);
    const seconds = Math.floor(atNs / 1e9);
    const rest = String(Math.round(atNs - seconds * 1e9)).padStart(9, '0');
    const pid = isKernel ? (values[4] ?? 0) : 0;
    const place =
      action === 'X'
        ? `${String(values[0])} / ${String(values[1])}`
        : `${String(values[0])} + ${String(Math.ceil((values[1] ?? 0) / SECTOR_BYTES))}`;
    const error =
      action === 'C' ? ` [${String(isKernel ? (values[5] ?? 0) : (values[4] ?? 0))}]` : '';
    const who = action === 'C' ? error : ` [${isKernel ? 'kernel' : 'engine'}]`;
    sequence++;
    yield `${(isKernel ? device : '0,0').padStart(6)} ${'0'.padStart(3)} ${String(sequence).padStart(8)} ${`${String(seconds)}.${rest}`.padStart(16)} ${String(pid).padStart(5)} ${action.padStart(2)} ${rwbsText(op, flags).padStart(3)} ${place}${who}\n`;
  }
}
