// SPDX-License-Identifier: GPL-2.0-only
/**
 * The trace: one row type for everything that happens. Goldens, plots, the step-through view, the terminal and the exports read the
 * same rows. Columnar (typed arrays), bounded, and can be off (`null` where a `Trace` is expected).
 *
 *   kind u8 | atNs f64 | dioId u32 | bioId i32 (-1: none) | a b c d e f: f64, whose meaning the kind says (`TRACE_KINDS`)
 *
 * Rules: 1. Rows are appended in the order in which things happen. 2. A full trace drops new rows and counts them (`droppedCount`).
 * 3. Every row kind is described in `TRACE_KINDS`, which is what tables and exports print.
 */
import type { Clock } from './ports.ts';

export interface TraceKind {
  readonly id: string;
  /** The kernel's place that the row stands for; 'fs/direct-io.c:get_more_blocks' and the like. */
  readonly site: string;
  /** What happened, for a person. */
  readonly title: string;
  /** Names of the columns a.. f in use, with units where they have one. */
  readonly columns: readonly string[];
  /**
   * 'core' and 'detail' as in the golden format; 'decision' rows explain; 'block' and 'request' rows measure; 'kernel' rows are what the
   * host's own kernel did (block events of a real device), not the engine.
   */
  readonly level: 'core' | 'detail' | 'decision' | 'block' | 'request' | 'kernel';
}

const kinds = [
  // What the golden format calls core.
  { id: 'map', level: 'core', site: 'fs/direct-io.c:get_more_blocks', title: 'map call',
    columns: ['fileBlock', 'askedBlocks', 'create', 'flags', 'deviceBlock', 'countBlocksOrError'] },
  { id: 'bio-submit', level: 'core', site: 'fs/direct-io.c:dio_bio_submit', title: 'bio submitted',
    columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'vectorCount'] },
  // Follows its bio-submit row, once a vector. page -1 is the zero page.
  { id: 'bio-vector', level: 'core', site: 'fs/direct-io.c:dio_bio_add_page', title: 'bio vector',
    columns: ['page', 'offsetBytes', 'lengthBytes'] },
  { id: 'kiocb-complete', level: 'core', site: 'fs/direct-io.c:dio_complete', title: 'asynchronous completion',
    columns: ['result'] },
  // Detail.
  { id: 'lock', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'inode lock taken', columns: [] },
  { id: 'unlock', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'inode lock dropped', columns: [] },
  { id: 'alloc-sem-down', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'i_alloc_sem taken for reading', columns: [] },
  { id: 'alloc-sem-up', level: 'detail', site: 'fs/direct-io.c:dio_complete', title: 'i_alloc_sem dropped', columns: [] },
  { id: 'write-and-wait', level: 'detail', site: 'mm/filemap.c:filemap_write_and_wait_range', title: 'dirty pages of the range written and waited for',
    columns: ['firstByte', 'lastByte'] },
  { id: 'dio-begin', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'i_dio_count up', columns: [] },
  { id: 'dio-end', level: 'detail', site: 'fs/direct-io.c:dio_complete', title: 'i_dio_count down', columns: [] },
  { id: 'work-queue', level: 'detail', site: 'fs/direct-io.c:sb_init_dio_done_wq', title: 'completion work queue made', columns: [] },
  { id: 'alias', level: 'detail', site: 'fs/buffer.c:clean_bdev_aliases', title: 'buffers aliasing new blocks dropped',
    columns: ['deviceBlock', 'countBlocks'] },
  { id: 'zero', level: 'detail', site: 'fs/direct-io.c:do_direct_IO', title: 'hole: part of a user page zeroed',
    columns: ['page', 'offsetBytes', 'lengthBytes'] },
  { id: 'predirty', level: 'detail', site: 'fs/direct-io.c:dio_bio_submit', title: 'pages dirtied before an asynchronous read', columns: [] },
  { id: 'dirty', level: 'detail', site: 'block/bio.c:bio_set_pages_dirty', title: 'page set dirty', columns: ['page'] },
  { id: 'uptodate', level: 'detail', site: 'fs/direct-io.c:dio_bio_complete', title: 'kernel page marked up to date', columns: ['page'] },
  { id: 'submit-io', level: 'detail', site: 'fs/direct-io.c:dio_bio_submit', title: 'submit_io called', columns: ['fileOffsetBytes'] },
  { id: 'bio-end', level: 'detail', site: 'fs/direct-io.c:dio_bio_complete', title: 'bio completed', columns: ['error'] },
  { id: 'defer', level: 'detail', site: 'fs/direct-io.c:dio_bio_end_aio', title: 'completion handed to the work queue', columns: [] },
  { id: 'work', level: 'detail', site: 'fs/direct-io.c:dio_aio_complete_work', title: 'completion work starts', columns: [] },
  { id: 'end-io', level: 'detail', site: 'fs/direct-io.c:dio_complete', title: 'end_io called',
    columns: ['fileOffsetBytes', 'result', 'private', 'returned', 'isAsync'] },
  { id: 'invalidate', level: 'detail', site: 'mm/truncate.c:invalidate_inode_pages2_range', title: 'page-cache range invalidated', columns: ['firstPage', 'lastPage'] },
  { id: 'stale', level: 'detail', site: 'fs/direct-io.c:dio_warn_stale_pagecache', title: 'invalidation failed', columns: [] },
  { id: 'fsync', level: 'detail', site: 'fs/direct-io.c:dio_complete', title: 'generic_write_sync', columns: ['firstByte', 'lastByte'] },
  { id: 'truncate', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'truncation after a failed extending write', columns: ['sizeBytes'] },
  { id: 'note-unlock-unheld', level: 'detail', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'unlock of an unheld lock', columns: [] },
  { id: 'note-completed-twice', level: 'detail', site: 'fs/direct-io.c:dio_complete', title: 'completed twice', columns: [] },
  // Decisions: why things happened. Not part of the goldens.
  { id: 'request', level: 'decision', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'request enters direct I/O',
    columns: ['op', 'fileOffsetBytes', 'lengthBytes', 'isAsync', 'fileSizeBytes', 'addressAlignment'] },
  { id: 'align', level: 'decision', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'alignment checked',
    columns: ['alignBits', 'blockBytes', 'passes', 'isLogicalBlock'] },
  { id: 'block-factor', level: 'decision', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'unit of the request chosen',
    columns: ['dioBlockBits', 'blockFactorBits'] },
  { id: 'mode', level: 'decision', site: 'fs/direct-io.c:__blockdev_direct_IO', title: 'completion mode chosen',
    columns: ['isAsync', 'isExtending', 'isDsync'] },
  { id: 'pin', level: 'decision', site: 'fs/direct-io.c:dio_refill_pages', title: 'user pages pinned', columns: ['countPagesOrError', 'firstPage'] },
  { id: 'zero-fill', level: 'decision', site: 'fs/direct-io.c:dio_refill_pages', title: 'memory fault: mapped blocks are used up with zeros', columns: ['blocksLeft'] },
  { id: 'section', level: 'decision', site: 'fs/direct-io.c:submit_page_section', title: 'page section',
    columns: ['page', 'offsetBytes', 'lengthBytes', 'dioBlock', 'grown'] },
  { id: 'bio-build', level: 'decision', site: 'fs/direct-io.c:dio_new_bio', title: 'bio started', columns: ['sectorStart', 'vectorCountMax'] },
  { id: 'bio-close', level: 'decision', site: 'fs/direct-io.c:dio_send_cur_page', title: 'why the bio ended',
    columns: ['reason'] },
  { id: 'zero-edge', level: 'decision', site: 'fs/direct-io.c:dio_zero_block', title: 'part of a new block zeroed on disk',
    columns: ['isEnd', 'lengthBytes', 'dioBlock'] },
  { id: 'hole', level: 'decision', site: 'fs/direct-io.c:do_direct_IO', title: 'hole met', columns: ['dioBlock', 'isWrite'] },
  { id: 'end-of-file', level: 'decision', site: 'fs/direct-io.c:do_direct_IO', title: 'end of file reached', columns: ['dioBlock', 'fileSizeBytes'] },
  { id: 'wait', level: 'decision', site: 'fs/direct-io.c:dio_await_completion', title: 'submitter waits for its bios', columns: ['inFlightCount'] },
  { id: 'result', level: 'decision', site: 'fs/direct-io.c:dio_complete', title: 'result and its precedence',
    columns: ['result', 'transferredBytes', 'returned', 'pageError', 'ioError'] },
  { id: 'fallback', level: 'decision', site: 'mm/filemap.c:__generic_file_write_iter', title: 'rest goes through the page cache',
    columns: ['fileOffsetBytes', 'lengthBytes'] },
  // Block layer and device.
  { id: 'merge', level: 'block', site: 'block/blk-merge.c:bio_attempt_back_merge', title: 'bio merged into a request', columns: ['sectorStart', 'sizeBytes', 'requestId', 'isBack'] },
  { id: 'split', level: 'block', site: 'block/blk-merge.c:bio_split_to_limits', title: 'bio split by a queue limit', columns: ['sectorStart', 'sectorOfRest', 'rule'] },
  { id: 'dispatch', level: 'block', site: 'block/blk-mq.c:blk_mq_dispatch_rq_list', title: 'request dispatched to the device', columns: ['sectorStart', 'sizeBytes', 'op', 'requestId'] },
  { id: 'device-end', level: 'block', site: 'block/blk-mq.c:blk_mq_end_request', title: 'request completed by the device', columns: ['sectorStart', 'sizeBytes', 'op', 'requestId', 'error'] },
  // Requests of a workload: one row at completion.
  { id: 'request-done', level: 'request', site: '', title: 'request of the workload completed',
    columns: ['op', 'fileOffsetBytes', 'lengthBytes', 'latencyNs', 'submitNs', 'result'] },
  // The host's kernel, on a real loop device: block events of its own tracing. sizeBytes 0: a flush.
  { id: 'kernel-queue', level: 'kernel', site: 'block_bio_queue', title: 'host kernel: bio queued', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid'] },
  { id: 'kernel-split', level: 'kernel', site: 'block_split', title: 'host kernel: bio split', columns: ['sectorStart', 'sectorOfRest', 'op', 'flags', 'pid'] },
  { id: 'kernel-merge', level: 'kernel', site: 'block_bio_backmerge', title: 'host kernel: bio merged', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid', 'isBack'] },
  { id: 'kernel-request', level: 'kernel', site: 'block_getrq', title: 'host kernel: request made', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid'] },
  { id: 'kernel-insert', level: 'kernel', site: 'block_rq_insert', title: 'host kernel: request inserted', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid'] },
  { id: 'kernel-issue', level: 'kernel', site: 'block_rq_issue', title: 'host kernel: request issued', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid'] },
  { id: 'kernel-end', level: 'kernel', site: 'block_rq_complete', title: 'host kernel: request completed', columns: ['sectorStart', 'sizeBytes', 'op', 'flags', 'pid', 'error'] },
  // The engine's own loop driver: a bio of the upper file system becomes I/O on a file of the lower one. What lies between begin and
  // end is the lower one's.
  { id: 'loop-begin', level: 'block', site: 'drivers/block/loop.c:do_bio_filebacked', title: 'loop driver takes a bio',
    columns: ['sectorStart', 'sizeBytes', 'op', 'segmentCount', 'isDirect', 'fileOffsetBytes'] },
  { id: 'loop-copy', level: 'block', site: 'drivers/block/loop.c:lo_do_transfer', title: 'copied between the bio and the lower page cache',
    columns: ['fileOffsetBytes', 'lengthBytes', 'op', 'page'] },
  { id: 'loop-grow', level: 'block', site: 'drivers/block/loop.c:lo_direct_write', title: 'end of the lower file moved', columns: ['sizeBytes'] },
  { id: 'loop-end', level: 'block', site: 'drivers/block/loop.c:loop_handle_bio', title: 'loop driver ends a bio',
    columns: ['result', 'movedBytes', 'op', 'lowerCachedPages'] },
] as const satisfies readonly TraceKind[]; // prettier-ignore

export const TRACE_KINDS: readonly TraceKind[] = kinds;
export type TraceKindId = (typeof kinds)[number]['id'];

/** Number of each kind, as stored in the kind column: `TRACE.map`, `TRACE['bio-submit']`. */
export const TRACE = Object.fromEntries(kinds.map((kind, index) => [kind.id, index])) as {
  readonly [K in TraceKindId]: number;
};

/** Column d of a 'map' row: buffer_head state bits of the answer. */
export const MAP_FLAG = { mapped: 1, new: 2, boundary: 4, unwritten: 8, defer: 16 } as const;
/** Column d (flags) of a 'bio-submit' row. */
export const BIO_FLAG = {
  sync: 1,
  idle: 2,
  nowait: 4,
  fua: 8,
  preflush: 16,
  metadata: 32,
} as const;
/** Column c (op) of 'bio-submit', 'dispatch' and 'request-done' rows. */
export const TRACE_OP = { read: 0, write: 1, flush: 2, discard: 3, 'write-zeroes': 4 } as const;
/** Column a of a 'bio-close' row. */
export const BIO_CLOSE_REASONS = [
  'not contiguous on disk',
  'not contiguous in the file',
  'full',
  'boundary',
  'end of the request',
] as const;
export const BIO_CLOSE = { disk: 0, file: 1, full: 2, boundary: 3, end: 4 } as const;

/** One row, as an object: for views and tests, never on a hot path. */
export interface TraceRow {
  readonly index: number;
  readonly kind: TraceKindId;
  readonly atNs: number;
  readonly dioId: number;
  readonly bioId: number | null;
  /** In the order of `TRACE_KINDS[kind].columns`. */
  readonly values: readonly number[];
}

/** Plain columns that cross a process or a thread. */
export interface TraceColumns {
  readonly rowCount: number;
  readonly droppedCount: number;
  readonly kind: Uint8Array;
  readonly atNs: Float64Array;
  readonly dioId: Uint32Array;
  readonly bioId: Int32Array;
  /** Six values a row, row after row. */
  readonly values: Float64Array;
}

const VALUES_PER_ROW = 6;

export class Trace {
  rowCount = 0;
  droppedCount = 0;
  private capacityRows: number;
  private kind: Uint8Array;
  private atNs: Float64Array;
  private dioId: Uint32Array;
  private bioId: Int32Array;
  private values: Float64Array;

  /** Grows by doubling up to `rowsMax`; 70 bytes a row. */
  constructor(
    private readonly clock: Clock,
    readonly rowsMax: number,
  ) {
    this.capacityRows = Math.min(rowsMax, 1024);
    this.kind = new Uint8Array(this.capacityRows);
    this.atNs = new Float64Array(this.capacityRows);
    this.dioId = new Uint32Array(this.capacityRows);
    this.bioId = new Int32Array(this.capacityRows);
    this.values = new Float64Array(this.capacityRows * VALUES_PER_ROW);
  }

  /** Appends a row; columns that the kind does not use stay 0. */
  add(kind: number, dioId: number, bioId: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    const row = this.rowCount;
    if (row === this.capacityRows && !this.grow()) {
      this.droppedCount++;
      return;
    }
    this.kind[row] = kind;
    this.atNs[row] = this.clock.nowNs();
    this.dioId[row] = dioId;
    this.bioId[row] = bioId;
    const at = row * VALUES_PER_ROW;
    const { values } = this;
    values[at] = a;
    values[at + 1] = b;
    values[at + 2] = c;
    values[at + 3] = d;
    values[at + 4] = e;
    values[at + 5] = f;
    this.rowCount = row + 1;
  }

  /** The same for what happened at another time than now. */
  addAt(atNs: number, kind: number, values: readonly number[]): void {
    const row = this.rowCount;
    const [a, b, c, d, e, f] = values;
    this.add(kind, 0, -1, a, b, c, d, e, f);
    if (this.rowCount > row) this.atNs[row] = atNs;
  }

  /** Forgets all rows, keeps the memory. */
  clear(): void {
    this.rowCount = 0;
    this.droppedCount = 0;
  }

  row(index: number): TraceRow {
    return traceRow(this.columns(), index);
  }

  /** Views (not copies) of the rows so far. */
  columns(): TraceColumns {
    const n = this.rowCount;
    return {
      rowCount: n,
      droppedCount: this.droppedCount,
      kind: this.kind.subarray(0, n),
      atNs: this.atNs.subarray(0, n),
      dioId: this.dioId.subarray(0, n),
      bioId: this.bioId.subarray(0, n),
      values: this.values.subarray(0, n * VALUES_PER_ROW),
    };
  }

  private grow(): boolean {
    if (this.capacityRows >= this.rowsMax) return false;
    const capacityRows = Math.min(this.rowsMax, this.capacityRows * 2);
    const copy = <T extends Uint8Array | Float64Array | Uint32Array | Int32Array>(
      to: T,
      from: T,
    ): T => {
      to.set(from);
      return to;
    };
    this.kind = copy(new Uint8Array(capacityRows), this.kind);
    this.atNs = copy(new Float64Array(capacityRows), this.atNs);
    this.dioId = copy(new Uint32Array(capacityRows), this.dioId);
    this.bioId = copy(new Int32Array(capacityRows), this.bioId);
    this.values = copy(new Float64Array(capacityRows * VALUES_PER_ROW), this.values);
    this.capacityRows = capacityRows;
    return true;
  }
}

/** One row of columns, as an object. */
export function traceRow(columns: TraceColumns, index: number): TraceRow {
  const kind = kinds[columns.kind[index] as number];
  if (kind === undefined || index >= columns.rowCount) {
    throw new RangeError(`trace row ${String(index)} of ${String(columns.rowCount)}`);
  }
  const at = index * VALUES_PER_ROW;
  const bioId = columns.bioId[index] as number;
  return {
    index,
    kind: kind.id,
    atNs: columns.atNs[index] as number,
    dioId: columns.dioId[index] as number,
    bioId: bioId < 0 ? null : bioId,
    values: Array.from(columns.values.subarray(at, at + kind.columns.length)),
  };
}

/** All rows as objects: for tests and short traces. */
export function traceRows(columns: TraceColumns): TraceRow[] {
  return Array.from({ length: columns.rowCount }, (_, index) => traceRow(columns, index));
}
