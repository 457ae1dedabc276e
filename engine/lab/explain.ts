// SPDX-License-Identifier: GPL-2.0-only
/**
 * Explains one request: opens the target, runs the request on it with a full trace, and tells what happened step by step.
 * Nothing is written to the image: writes go to an overlay in memory (overlay.ts), for reads and writes alike.
 */
import {
  errnoName,
  isTask,
  KernelBug,
  PAGE_BYTES,
  traceRows,
  type KernelReturn,
  type TraceRow,
} from '../base/index.ts';
import { IovIter } from '../memory/index.ts';
import type { Kiocb } from '../vfs/index.ts';
import { judgeAlignment } from './alignment.ts';
import type { LabPorts } from './door.ts';
import { returnWords, stoppedStep, tellSteps } from './explain-words.ts';
import type { ExplainRequest, Explanation } from './explanation.ts';
import { openTarget, type OpenTarget } from './open-target.ts';
import { OverlayDevice } from './overlay.ts';
import { numberText } from './words.ts';

/** Rows kept of one request: a 16 MiB read in 512-byte holes has about 100,000. */
const TRACE_ROWS_MAX = 400_000;
/** Rows that cross to the face. */
const TRACE_ROWS_SHOWN = 20_000;

export interface Ending {
  /** What the call returned, and what the kiocb completed with. */
  returned: KernelReturn | null;
  completed: KernelReturn | null;
  bug: KernelBug | null;
  /** End of the file at the moment the call came back; a completion may still be to come. */
  sizeBytesAtReturn: number;
  readonly bufferFirstPage: number;
  readonly bufferPages: number;
}

/** A request without where it goes. */
export type AskedOfFile = Omit<ExplainRequest, 'target'>;
/** An open file with what tells about a request on it. */
export type ExaminedFile = Pick<OpenTarget, 'kernel' | 'file' | 'trace' | 'device' | 'loop'>;

/** What a request did, beside its explanation: what a comparison of revisions counts. */
export interface Examined {
  readonly explanation: Explanation;
  /** All rows; the explanation holds the first of them only. */
  readonly rows: readonly TraceRow[];
  readonly ending: Ending;
  /** References on pages of the buffer that are left. */
  readonly leakedReferences: number;
}

/** Runs one request and tells it. `HostError` for what cannot be opened. */
export function explain(request: ExplainRequest, ports: LabPorts): Explanation {
  return examine(request, ports).explanation;
}

/** Runs one request on the overlay of its target and keeps what it did. `HostError` for what cannot be opened. */
export function examine(request: ExplainRequest, ports: LabPorts): Examined {
  const pageCount = bufferPagesOf(request);
  const target = openTarget(
    {
      target: request.target,
      revision: request.revision,
      traceRowsMax: TRACE_ROWS_MAX,
      userPages: pageCount,
      ioEngine: 'sync',
      depth: 8,
      submitBatch: 1,
      direct: true,
      writes: false,
      wrapDevice: (device, memory) => new OverlayDevice(device, memory),
    },
    ports,
    { isStopRequested: () => false, nowNs: () => ports.clock.nowNs(), onPhase: () => undefined },
  );
  try {
    return examineFile(request, target);
  } finally {
    // What the request left behind lies in the overlay and goes with it: nothing to unmount.
    target.abandon();
    const { kernel } = target;
    if (kernel.inFlightCount === 0) ports.releaseArena?.(kernel.memory.arena);
  }
}

/** Runs one request on a file that is open, for good: whoever wants the image kept puts it on an overlay. */
export function examineFile(request: AskedOfFile, target: ExaminedFile): Examined {
  const ending = runOne(target, request, bufferPagesOf(request));
  const rows = target.trace === null ? [] : traceRows(target.trace.columns());
  const explanation = tell(target, request, ending, rows);
  return { explanation, rows, ending, leakedReferences: leakedReferences(target, ending) };
}

function bufferPagesOf({ memoryOffsetBytes, lengthBytes }: AskedOfFile): number {
  return Math.max(1, Math.ceil((memoryOffsetBytes + lengthBytes) / PAGE_BYTES));
}

function runOne(target: ExaminedFile, request: AskedOfFile, pageCount: number): Ending {
  const { kernel, file, trace } = target;
  const { memory } = kernel;
  const firstPage = memory.allocatePages(pageCount);
  const segment = {
    addressBytes: firstPage * PAGE_BYTES + request.memoryOffsetBytes,
    lengthBytes: request.lengthBytes,
  };
  const iter = new IovIter(memory, request.op, 'user', [segment]);
  const ending: Ending = {
    returned: null,
    completed: null,
    bug: null,
    sizeBytesAtReturn: file.inode.sizeBytes,
    bufferFirstPage: firstPage,
    bufferPages: pageCount,
  };
  const iocb: Kiocb = {
    id: 1,
    inode: file.inode,
    isDirect: true,
    isNowait: false,
    isDsync: request.isDsync,
    isAppend: false,
    positionBytes: request.offsetBytes,
    onComplete: request.isAsync
      ? (_iocb, result) => {
          ending.completed = result;
        }
      : null,
  };
  trace?.clear();
  try {
    const value = request.op === 'read' ? file.read(iocb, iter) : file.write(iocb, iter);
    ending.returned = isTask(value) ? kernel.runTask('explained request', value) : value;
    ending.sizeBytesAtReturn = file.inode.sizeBytes;
    const isQueued = errnoName(ending.returned) === 'EIOCBQUEUED';
    if (isQueued) kernel.runUntil(() => ending.completed !== null);
    // A revision can return before its bios have ended: what they do belongs to the request.
    kernel.drain();
  } catch (error) {
    if (!(error instanceof KernelBug)) throw error;
    ending.bug = error;
  }
  return ending;
}

function leakedReferences(target: ExaminedFile, ending: Ending): number {
  const { references } = target.kernel.memory;
  let count = 0;
  for (let page = 0; page < ending.bufferPages; page++) {
    count += references[ending.bufferFirstPage + page] ?? 0;
  }
  return count;
}

function tell(
  target: ExaminedFile,
  request: AskedOfFile,
  ending: Ending,
  rows: readonly TraceRow[],
): Explanation {
  const { file, device, loop } = target;
  const fsBlockBytes = 2 ** file.inode.blockBits;
  const { bufferFirstPage, bufferPages } = ending;
  const steps = tellSteps(rows, {
    fsBlockBytes,
    ...(loop !== undefined && { lowerBlockBytes: loop.lower.blockSizeBytes }),
    bufferFirstPage,
    bufferPages,
  });
  if (ending.bug !== null) steps.push(stoppedStep(ending.bug));
  return {
    steps,
    result: resultOf(request, ending, rows),
    alignment: judgeAlignment({
      offsetBytes: request.offsetBytes,
      lengthBytes: request.lengthBytes,
      memoryBytes: request.memoryOffsetBytes,
      fsBlockBytes,
      logicalBlockBytes: device.limits.logicalBlockBytes,
    }),
    counters: countersOf(rows),
    trace: rows.slice(0, TRACE_ROWS_SHOWN),
    revision: request.revision,
  };
}

function resultOf(
  request: AskedOfFile,
  ending: Ending,
  rows: readonly TraceRow[],
): Explanation['result'] {
  if (ending.bug !== null) {
    const text = `The kernel of this revision stops at this request: ${ending.bug.what}.`;
    return { ok: false, text, returned: ending.bug.what };
  }
  const value = ending.completed ?? ending.returned ?? 0;
  const verb = request.op === 'read' ? 'read' : 'written';
  const how = howItEnded(ending);
  const fellBack = rows.some((row) => row.kind === 'fallback');
  const cache = fellBack ? ' A part of it went through the page cache.' : '';
  if (value < 0) {
    const returned = errnoName(value) ?? value;
    const text = `The request ends with ${returnWords(value)}.${how}${cache}`;
    return { ok: false, text, returned };
  }
  const asked = request.lengthBytes;
  const short = value < asked ? ` of ${numberText(asked)} asked for` : '';
  return {
    ok: true,
    text: `${returnWords(value)} ${verb}${short}.${how}${cache}`,
    returned: value,
  };
}

function howItEnded(ending: Ending): string {
  if (ending.completed === null) return '';
  const isQueued = ending.returned !== null && errnoName(ending.returned) === 'EIOCBQUEUED';
  return isQueued
    ? ' It was queued and completed later.'
    : ' The call returned that, and the request completed as well.';
}

function countersOf(rows: readonly TraceRow[]): Explanation['counters'] {
  const counters = { getBlockCalls: 0, bios: 0, bioBytes: 0, zeroedBytes: 0 };
  for (const row of rows) {
    if (row.kind === 'map') counters.getBlockCalls++;
    if (row.kind === 'zero') counters.zeroedBytes += row.values[2] ?? 0;
    if (row.kind === 'zero-edge') counters.zeroedBytes += row.values[1] ?? 0;
    if (row.kind !== 'bio-submit') continue;
    counters.bios++;
    counters.bioBytes += row.values[1] ?? 0;
  }
  return counters;
}
