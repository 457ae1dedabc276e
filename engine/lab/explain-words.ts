// SPDX-License-Identifier: GPL-2.0-only
/**
 * Trace rows in words: each decision of a request as one step, with the numbers that made it and the kernel function it stands for.
 * Rows that repeat (pieces of pages, dirtied pages, zeroed blocks) are told once with their count.
 */
import {
  BIO_CLOSE_REASONS,
  BIO_FLAG,
  errnoName,
  type KernelBug,
  MAP_FLAG,
  PAGE_BYTES,
  TRACE_KINDS,
  type TraceKindId,
  type TraceRow,
} from '../base/index.ts';
import { levelsOf } from './explain-levels.ts';
import type { ExplainLevel, ExplainStep } from './explanation.ts';
import { numberText } from './words.ts';

/** Steps told at most; what is beyond is counted. */
const STEPS_MAX = 400;
/** Vectors of a bio named in its step. */
const VECTORS_NAMED = 6;

const kindById = new Map<string, (typeof TRACE_KINDS)[number]>(
  TRACE_KINDS.map((kind) => [kind.id, kind]),
);

/** What is known of the request while its rows are told. */
export interface Telling {
  /** Bytes of a file system block. */
  readonly fsBlockBytes: number;
  /** Of the lower file system, where the image lies in a file of it. */
  readonly lowerBlockBytes?: number;
  /** The caller's buffer: its first page in the arena, and how many pages it touches. */
  readonly bufferFirstPage: number;
  readonly bufferPages: number;
}

/** A run of rows of one kind, told together. */
type Teller = (rows: readonly TraceRow[], telling: Telling) => string;

const bytes = (value: number): string => `${numberText(value)} bytes`;
const count = (value: number, noun: string): string =>
  `${numberText(value)} ${noun}${value === 1 ? '' : 's'}`;

/** "4096 bytes", or the name of the errno. */
export function returnWords(value: number): string {
  return value >= 0 ? bytes(value) : (errnoName(value) ?? `errno ${String(-value)}`);
}

const at = (row: TraceRow | undefined, index: number): number => row?.values[index] ?? 0;

/** The step of a request at which the modelled kernel stopped; where it says so itself, the function is named. */
export function stoppedStep({ what, why }: KernelBug): ExplainStep {
  const name = /^BUG: ([a-z]\w*_\w+)$/.exec(what)?.[1] ?? 'do_direct_IO';
  return {
    title: 'The kernel stopped here',
    text: `${what}: ${why}.`,
    site: `fs/direct-io.c:${name}`,
    values: {},
  };
}

/** Behind the title of a step, where there are two file systems. */
const PLACE: Readonly<Record<ExplainLevel, string>> = {
  upper: ' (upper file system)',
  loop: '',
  lower: ' (lower file system)',
};

/** Tells all rows, in order. */
export function tellSteps(rows: readonly TraceRow[], telling: Telling): ExplainStep[] {
  const steps: ExplainStep[] = [];
  let leftOut = 0;
  const levels = levelsOf(rows);
  const fsBlockBytes = telling.lowerBlockBytes ?? telling.fsBlockBytes;
  const lowerTelling = { ...telling, fsBlockBytes };
  for (let index = 0; index < rows.length;) {
    const run = runFrom(rows, index, levels);
    const level = levels?.[index];
    index += run.length;
    const told = tellRun(run, level === 'lower' ? lowerTelling : telling);
    if (told === null) continue;
    const step = level === undefined ? told : { ...told, title: told.title + PLACE[level], level };
    // The last words, the result, are always told.
    const isResult = run[0]?.kind === 'result' || run[0]?.kind === 'kiocb-complete';
    if (steps.length < STEPS_MAX || isResult) steps.push(step);
    else leftOut++;
  }
  if (leftOut > 0) {
    steps.splice(STEPS_MAX, 0, {
      title: 'Steps left out',
      text: `${count(leftOut, 'more step')} of the same kinds. The trace has them all.`,
      site: 'fs/direct-io.c:do_direct_IO',
      values: { leftOut },
    });
  }
  return steps;
}

/** Rows from `from` on that are told in one step. */
function runFrom(
  rows: readonly TraceRow[],
  from: number,
  levels: readonly ExplainLevel[] | null,
): TraceRow[] {
  const first = rows[from] as TraceRow;
  const run = [first];
  const joins = JOINED_BY_KIND[first.kind] ?? [];
  for (let index = from + 1; index < rows.length; index++) {
    const next = rows[index] as TraceRow;
    if (!joins.includes(next.kind) || levels?.[index] !== levels?.[from]) break;
    run.push(next);
  }
  return run;
}

const JOINED_BY_KIND: Partial<Record<TraceKindId, readonly TraceKindId[]>> = {
  'bio-submit': ['bio-vector'],
  section: ['section'],
  dirty: ['dirty'],
  hole: ['zero'],
  'bio-build': ['bio-build'],
  'loop-copy': ['loop-copy'],
};

function tellRun(run: readonly TraceRow[], telling: Telling): ExplainStep | null {
  const first = run[0] as TraceRow;
  const kind = kindById.get(first.kind);
  const teller = TELLERS[first.kind];
  if (kind === undefined || teller === undefined) return null;
  const values: Record<string, number | string> = {};
  kind.columns.forEach((column, index) => {
    values[column] = at(first, index);
  });
  if (run.length > 1) values['rows'] = run.length;
  if (first.bioId !== null) values['bio'] = first.bioId;
  // A kernel name at the start keeps its spelling.
  const isName = kind.title.split(' ', 1)[0]?.includes('_') === true;
  const title = isName ? kind.title : kind.title.charAt(0).toUpperCase() + kind.title.slice(1);
  const rows = [first.index, (run.at(-1) as TraceRow).index] as const;
  return { title, text: teller(run, telling), site: kind.site, values, rows };
}

const LOOP_TELLERS: Partial<Record<TraceKindId, Teller>> = {
  'loop-begin': ([row]) =>
    `The loop driver takes a ${at(row, 2) === 1 ? 'write' : 'read'} of ${bytes(at(row, 1))} at sector ${String(at(row, 0))} ` +
    `of the inner image, in ${count(at(row, 3), 'vector')}: byte ${String(at(row, 5))} of the file below, ` +
    `${at(row, 4) === 1 ? 'with its pages handed down to direct I/O' : 'through the lower page cache'}.`,
  'loop-copy': (run) => {
    const total = run.reduce((sum, row) => sum + at(row, 1), 0);
    const way = at(run[0], 2) === 1 ? 'into the lower page cache' : 'out of the lower page cache';
    return `${bytes(total)} are copied ${way}, in ${count(run.length, 'piece')}: the same bytes lie in memory twice now.`;
  },
  'loop-grow': ([row]) =>
    `The write ends behind the lower file: its end moves to ${bytes(at(row, 0))}.`,
  'loop-end': ([row]) =>
    at(row, 0) === 0
      ? `The bio ends; ${count(at(row, 3), 'page')} of the lower file are cached.`
      : `The bio ends with ${returnWords(at(row, 0))}, which the upper file system sees as EIO.`,
};

const TELLERS: Partial<Record<TraceKindId, Teller>> = {
  request: ([row]) =>
    `A ${at(row, 0) === 1 ? 'write' : 'read'} of ${bytes(at(row, 2))} at offset ${bytes(at(row, 1))} ` +
    `of a file of ${bytes(at(row, 4))}, ${at(row, 3) === 1 ? 'asynchronous' : 'synchronous'}.`,
  align: ([row]) => {
    const unit = at(row, 3) === 1 ? "the device's logical block" : "the file system's block";
    const lowest = at(row, 0) & -at(row, 0);
    const finest = lowest === 0 ? 'more than 64 KiB' : bytes(lowest);
    const verdict = at(row, 2) === 1 ? 'passes' : 'does not pass';
    return (
      `What is looked at here, of offset, lengths and buffer addresses, is a multiple of ${finest}; ` +
      `${unit} is ${bytes(at(row, 1))}: ${verdict}.`
    );
  },
  'block-factor': ([row]) =>
    at(row, 1) === 0
      ? `The request goes in file system blocks of ${bytes(2 ** at(row, 0))}.`
      : `The request goes in units of ${bytes(2 ** at(row, 0))}: ${String(2 ** at(row, 1))} ` +
        `of them make a file system block. Parts of a new block that it does not fill are zeroed.`,
  lock: () => 'The inode lock is taken: nobody may change the block map while it is read.',
  unlock: () => 'All blocks are looked up: the inode lock is dropped.',
  'alloc-sem-down': () => 'Truncate is kept away until the request is complete.',
  'alloc-sem-up': () => 'Truncate may come again.',
  'write-and-wait': ([row]) =>
    `Dirty cached pages of bytes ${String(at(row, 0))} to ${String(at(row, 1))} are written first.`,
  mode: ([row]) => modeWords(row),
  'work-queue': () => "The file system's work queue for completions is made.",
  'dio-begin': () => 'The request counts in i_dio_count: truncate waits for it.',
  'dio-end': () => 'The request leaves i_dio_count.',
  pin: ([row]) =>
    at(row, 0) < 0
      ? `The user's memory cannot be pinned: ${returnWords(at(row, 0))}.`
      : `${count(at(row, 0), 'page')} of the user's memory pinned.`,
  'zero-fill': ([row]) =>
    `The memory is not there, and ${count(at(row, 0), 'mapped unit')} of the disk still belong to ` +
    'the request: they are written with zeros, so that nothing stale is left in the file.',
  map: ([row], telling) => mapWords(row, telling),
  alias: ([row]) =>
    `Cached buffers of the ${count(at(row, 1), 'new block')} from ${String(at(row, 0))} on are dropped.`,
  hole: (run) => holeWords(run),
  zero: (run) => holeWords(run),
  'end-of-file': ([row]) => `The file ends at ${bytes(at(row, 1))}: there is nothing more to read.`,
  section: (run, telling) => sectionWords(run, telling),
  'zero-edge': ([row]) =>
    `${bytes(at(row, 1))} at the ${at(row, 0) === 1 ? 'end' : 'start'} of a new block, outside of the ` +
    'request, are written with zeros.',
  'bio-build': (run) =>
    `${run.length === 1 ? 'A bio is' : `${String(run.length)} bios are`} started at sector ` +
    `${String(at(run[0], 0))}, with room for ${count(at(run[0], 1), 'vector')}.`,
  'bio-close': ([row]) => closeWords(row),
  'bio-submit': (run, telling) => bioWords(run, telling),
  'submit-io': ([row]) =>
    `The file system submits the bio itself, from offset ${bytes(at(row, 0))}.`,
  predirty: () =>
    'The pages of the asynchronous read are set dirty now: at its end that would not be allowed.',
  dirty: (run) =>
    `${count(run.length, 'page')} set dirty: the kernel wrote into the user's memory.`,
  uptodate: () => 'The kernel page holds valid data now.',
  wait: ([row]) => `The submitter sleeps until ${count(at(row, 0), 'bio')} in flight have ended.`,
  'bio-end': ([row]) =>
    at(row, 0) === 0
      ? `Bio ${String(row?.bioId)} ended without error.`
      : `Bio ${String(row?.bioId)} ended with ${returnWords(at(row, 0))}.`,
  defer: () => 'The completion goes to the work queue, because it may have to sleep.',
  work: () => 'The work queue completes the request.',
  'end-io': ([row]) =>
    `The file system is told the result, ${returnWords(at(row, 1))}, and may replace it.`,
  invalidate: ([row]) =>
    `Cached pages ${String(at(row, 0))} to ${String(at(row, 1))} are thrown out: they may hold what was there before.`,
  stale: () => 'A cached page could not be thrown out: readers through the cache may see old data.',
  fsync: ([row]) =>
    `O_DSYNC: bytes ${String(at(row, 0))} to ${String(at(row, 1))} are made durable before the completion.`,
  truncate: ([row]) => `The failed write is cut off again at ${bytes(at(row, 0))}.`,
  'note-unlock-unheld': () => 'The code unlocks a lock that it does not hold.',
  'note-completed-twice': () => 'The request is completed a second time.',
  result: ([row]) => resultWords(row),
  'kiocb-complete': ([row]) =>
    `The asynchronous caller learns the result: ${returnWords(at(row, 0))}.`,
  fallback: ([row]) =>
    `${bytes(at(row, 1))} at offset ${bytes(at(row, 0))} go through the page cache: direct I/O did not take them.`,
  merge: ([row]) =>
    `The block layer joins the bio at sector ${String(at(row, 0))} with request ${String(at(row, 2))}.`,
  split: ([row]) =>
    `The bio is longer than the device takes in one request: split at sector ${String(at(row, 1))}.`,
  dispatch: ([row]) =>
    `Request ${String(at(row, 3))}: ${bytes(at(row, 1))} at sector ${String(at(row, 0))} go to the device.`,
  'device-end': ([row]) =>
    `The device ended request ${String(at(row, 3))}` +
    (at(row, 4) === 0 ? '.' : ` with ${returnWords(at(row, 4))}.`),
  ...LOOP_TELLERS,
};

function modeWords(row: TraceRow | undefined): string {
  const [isAsync, isExtending, isDsync] = [at(row, 0) === 1, at(row, 1) === 1, at(row, 2) === 1];
  const sync = isDsync ? ' It asks for O_DSYNC.' : '';
  if (isExtending) {
    return `It extends the file: the submitter waits, so that the size never runs ahead of the data.${sync}`;
  }
  const waits = isAsync ? 'does not wait' : 'waits';
  return `The submitter ${waits} for the bios.${sync}`;
}

/** Pages by their place in the caller's buffer; others are the kernel's. */
function pageWords(page: number, telling: Telling): string {
  if (page <= 0) return 'the zero page';
  const inBuffer = page - telling.bufferFirstPage;
  const isUser = inBuffer >= 0 && inBuffer < telling.bufferPages;
  return isUser ? `page ${String(inBuffer)} of the buffer` : `kernel page ${String(page)}`;
}

function mapWords(row: TraceRow | undefined, telling: Telling): string {
  const [fileBlock, asked, create, flags, deviceBlock, answer] = [0, 1, 2, 3, 4, 5].map((index) =>
    at(row, index),
  ) as [number, number, number, number, number, number];
  const question =
    `get_block is asked for ${count(asked, 'block')} from file block ${String(fileBlock)}, ` +
    `${create === 1 ? 'allowed to allocate' : 'not allowed to allocate'}: `;
  if (answer < 0) return `${question}${returnWords(answer)}.`;
  const covered = `${count(answer, 'block')} (${bytes(answer * telling.fsBlockBytes)})`;
  if ((flags & MAP_FLAG.mapped) === 0) {
    const kind = (flags & MAP_FLAG.unwritten) !== 0 ? 'unwritten, so zeros' : 'a hole';
    return `${question}${covered} of ${kind}.`;
  }
  const words: string[] = [];
  if ((flags & MAP_FLAG.new) !== 0) words.push('new');
  if ((flags & MAP_FLAG.unwritten) !== 0) words.push('unwritten until now');
  if ((flags & MAP_FLAG.boundary) !== 0) words.push('metadata comes behind it');
  if ((flags & MAP_FLAG.defer) !== 0) words.push('completion must be deferred');
  const extra = words.length === 0 ? '' : `, ${words.join(', ')}`;
  return `${question}${covered} at device block ${String(deviceBlock)}${extra}.`;
}

function holeWords(run: readonly TraceRow[]): string {
  const hole = run.find((row) => row.kind === 'hole');
  if (hole !== undefined && at(hole, 1) === 1) {
    return 'The write meets a block that is not mapped: direct I/O stops here.';
  }
  const zeroed = run.filter((row) => row.kind === 'zero');
  const total = zeroed.reduce((sum, row) => sum + at(row, 2), 0);
  if (total === 0) return 'The read meets a block that is not mapped.';
  return `The block is not mapped: ${bytes(total)} of the user's memory are zeroed by the CPU.`;
}

function sectionWords(run: readonly TraceRow[], telling: Telling): string {
  const first = run[0];
  const total = run.reduce((sum, row) => sum + at(row, 2), 0);
  if (run.length === 1) {
    const where = pageWords(at(first, 0), telling);
    const place = `${bytes(at(first, 2))} from byte ${String(at(first, 1))} of ${where}`;
    const grown = at(first, 4) === 1 ? ', continuing the piece before' : '';
    return `${place} belong to unit ${String(at(first, 3))} of the device${grown}.`;
  }
  return (
    `${count(run.length, 'piece')} of pages, ${bytes(total)} in all, ` +
    `for the device from unit ${String(at(first, 3))} on.`
  );
}

function closeWords(row: TraceRow | undefined): string {
  const reason = BIO_CLOSE_REASONS[at(row, 0)] ?? 'unknown';
  const why: Record<string, string> = {
    'not contiguous on disk': 'what follows lies elsewhere on the disk',
    'not contiguous in the file': 'what follows lies elsewhere in the file',
    full: 'it has no room for another vector',
    boundary: 'metadata comes next on the disk, so it should go now',
    'end of the request': 'the request ends here',
  };
  return `The bio is finished: ${why[reason] ?? reason}.`;
}

function bioWords(run: readonly TraceRow[], telling: Telling): string {
  const [row, ...vectors] = run;
  const flags = at(row, 3);
  const names = [
    flags & BIO_FLAG.sync ? 'SYNC' : '',
    flags & BIO_FLAG.idle ? 'IDLE' : '',
    flags & BIO_FLAG.nowait ? 'NOWAIT' : '',
  ].filter((name) => name !== '');
  const marked = names.length === 0 ? '' : `, ${names.join(', ')}`;
  const named = vectors.slice(0, VECTORS_NAMED).map((vector) => {
    const [page, offset, length] = [at(vector, 0), at(vector, 1), at(vector, 2)];
    const what = pageWords(page, telling);
    if (length === PAGE_BYTES) return what;
    const more = Math.ceil((offset + length) / PAGE_BYTES) - 1;
    const where = more > 0 ? `${what} and ${count(more, 'page')} behind it` : what;
    const isWhole = offset === 0 && length % PAGE_BYTES === 0;
    return isWhole ? where : `${where} [${String(offset)}+${String(length)}]`;
  });
  const more =
    vectors.length > named.length ? `, and ${String(vectors.length - named.length)} more` : '';
  return (
    `${at(row, 2) === 1 ? 'Write' : 'Read'} of ${bytes(at(row, 1))} at sector ${String(at(row, 0))}` +
    `${marked}: ${named.join(', ')}${more}.`
  );
}

function resultWords(row: TraceRow | undefined): string {
  const [result, transferred, returned, pageError, ioError] = [0, 1, 2, 3, 4].map((index) =>
    at(row, index),
  ) as [number, number, number, number, number];
  const parts: string[] = [];
  if (returned < 0 && errnoName(returned) !== 'EIOCBQUEUED') {
    parts.push(`the submitter came back with ${returnWords(returned)}`);
  }
  if (pageError < 0) parts.push(`memory failed with ${returnWords(pageError)}`);
  if (ioError < 0) parts.push(`a bio failed with ${returnWords(ioError)}`);
  parts.push(`${bytes(transferred)} were transferred`);
  return `${parts.join('; ')}. The result is ${returnWords(result)}.`.replace(/^./, (letter) =>
    letter.toUpperCase(),
  );
}
