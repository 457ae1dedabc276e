// SPDX-License-Identifier: GPL-2.0-only
/**
 * Whether the log is clean (xfs_log_recover.c: xlog_find_head, xlog_verify_head, xlog_check_unmount_rec).
 *
 *   | cycle 7 | cycle 7 | record header, cycle 7 | data | head: cycle 6 | cycle 6 ... |
 *
 * The log is a ring of 512-byte blocks. The first word of each is the cycle that wrote it, except in a record's header, whose second
 * word is. The head is the first block of the cycle before; the last record before it ends there. The file system was unmounted
 * cleanly where that record holds one operation, and this is the unmount. Whoever mounts a file system writes a record of its own
 * before anything else changes, so a log that ends with an unmount has nothing to replay. A log of zeros has never been used.
 */
import type { Task } from '../../base/index.ts';
import { MAGIC } from './layout.ts';
import { XfsRecord } from './record.ts';
import type { XfsVolume } from './volume.ts';

const LOG_BLOCK_BYTES = 512;
/** Bytes of data whose cycles one header block keeps: beyond that a record has more header blocks. */
const HEADER_CYCLE_BYTES = 32_768;
/** The longest record, header blocks included, in log blocks: as far as the last header can be from the head. */
const RECORD_BLOCKS_MAX = 2 * 256 + 2 * 8 + 2;
const UNMOUNT_FLAG = 0x20;

/** struct xlog_rec_header and xlog_op_header. */
const RECORD = { cycle: 4, version: 8, lengthBytes: 12, operations: 40, sizeBytes: 320 } as const;
const OPERATION_FLAGS = 9;

export interface LogState {
  readonly isClean: boolean;
  /** Where the log's next record would be, in blocks of 512 bytes from its start. */
  readonly headBlock: number;
  /** Why it is not clean; empty where it is. */
  readonly reason: string;
}

class LogReader {
  readonly blocksCount: number;
  constructor(private readonly volume: XfsVolume) {
    const { logBlocks, blockBytes } = volume.geometry;
    this.blocksCount = (logBlocks * blockBytes) / LOG_BLOCK_BYTES;
  }

  *block(index: number): Task<XfsRecord> {
    const { logStart, blockBytes } = this.volume.geometry;
    const at = index * LOG_BLOCK_BYTES;
    const deviceBlock = logStart + Math.floor(at / blockBytes);
    const bytes = yield* this.volume.bytes(deviceBlock);
    const from = at % blockBytes;
    const part = bytes.subarray(from, from + LOG_BLOCK_BYTES);
    return new XfsRecord(`log block ${String(index)}`, deviceBlock, part);
  }

  *cycle(index: number): Task<number> {
    const block = yield* this.block(index);
    return block.u32(0) === MAGIC.record ? block.u32(RECORD.cycle) : block.u32(0);
  }

  /** The first block that is not of the cycle of block 0; 0: all are of one cycle. */
  *findHead(): Task<number> {
    const first = yield* this.cycle(0);
    const last = yield* this.cycle(this.blocksCount - 1);
    if (first === last) return 0;
    let low = 0;
    let high = this.blocksCount - 1;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((yield* this.cycle(middle)) === last) high = middle;
      else low = middle;
    }
    return yield* this.withoutHoles(high, last);
  }

  /** xlog_find_verify_cycle: records in flight at a crash leave blocks of the cycle before among those of this one. */
  private *withoutHoles(head: number, lastCycle: number): Task<number> {
    for (let index = Math.max(0, head - RECORD_BLOCKS_MAX); index < head; index++) {
      if ((yield* this.cycle(index)) === lastCycle) return index;
    }
    return head;
  }

  /** The header of the record that ends at the head: its place, or -1. */
  *lastHeader(head: number): Task<number> {
    const most = Math.min(RECORD_BLOCKS_MAX, this.blocksCount);
    for (let back = 1; back <= most; back++) {
      const index = (head - back + this.blocksCount) % this.blocksCount;
      if ((yield* this.block(index)).u32(0) === MAGIC.record) return index;
    }
    return -1;
  }
}

/** Reads as little of the log as says whether something is to be replayed. */
export function* readLogState(volume: XfsVolume): Task<LogState> {
  const log = new LogReader(volume);
  const head = yield* log.findHead();
  const dirty = (reason: string): LogState => ({ isClean: false, headBlock: head, reason });
  if (head === 0 && (yield* log.cycle(0)) === 0) {
    return { isClean: true, headBlock: 0, reason: '' };
  }
  const at = yield* log.lastHeader(head);
  if (at < 0) return dirty('no record lies before its head');
  const header = yield* log.block(at);
  const lengthBytes = header.u32(RECORD.lengthBytes);
  const isVersion2 = (header.u32(RECORD.version) & 2) !== 0;
  const headerBlocks = isVersion2
    ? Math.max(1, Math.ceil(header.u32(RECORD.sizeBytes) / HEADER_CYCLE_BYTES))
    : 1;
  const blocks = headerBlocks + Math.ceil(lengthBytes / LOG_BLOCK_BYTES);
  if (blocks > log.blocksCount || (at + blocks) % log.blocksCount !== head) {
    return dirty('its last record is not whole');
  }
  if (header.u32(RECORD.operations) !== 1) return dirty('its last record is not an unmount');
  const operation = yield* log.block((at + headerBlocks) % log.blocksCount);
  if ((operation.u8(OPERATION_FLAGS) & UNMOUNT_FLAG) === 0) {
    return dirty('its last record is not an unmount');
  }
  return { isClean: true, headBlock: head, reason: '' };
}
