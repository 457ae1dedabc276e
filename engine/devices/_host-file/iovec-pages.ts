// SPDX-License-Identifier: GPL-2.0-only
/**
 * Pages of the arena that hold iovec arrays while the host works on them: one page an operation, 256 entries each.
 *
 *   struct iovec, 16 bytes, little endian:   0 base u64 (address) | 8 length u64
 */
import { assert, HostError, PAGE_BYTES } from '../../base/index.ts';
import type { Memory } from '../../memory/index.ts';
import type { BufferRuns } from './buffer-runs.ts';

const IOVEC_WORDS = 4;
const WORD_BYTES = 4;
const TWO_32 = 0x1_0000_0000;

export class IovecPages {
  private readonly firstPage: number;
  private readonly free: number[] = [];

  constructor(
    private readonly memory: Memory,
    private readonly pageCount: number,
    where: string,
  ) {
    this.firstPage = memory.allocatePages(pageCount);
    if (this.firstPage < 0) {
      throw new HostError({
        code: 'device.no-memory',
        message: `${String(pageCount)} pages for scattered requests do not fit in the arena of the run`,
        where,
        hint: 'Use a smaller depth or fewer jobs.',
        exitCode: 78,
      });
    }
    for (let page = this.firstPage + pageCount - 1; page >= this.firstPage; page--) {
      this.free.push(page);
    }
  }

  /** A page, or -1 where all are at the host. */
  take(): number {
    return this.free.pop() ?? -1;
  }

  give(page: number): void {
    this.free.push(page);
  }

  /** Writes the array; its offset in the arena. */
  fill(page: number, runs: BufferRuns): number {
    const { words, baseAddress } = this.memory.arena;
    let at = (page * PAGE_BYTES) / WORD_BYTES;
    for (let index = 0; index < runs.count; index++) {
      const address = baseAddress + (runs.offsets[index] as number);
      words[at] = (address % TWO_32) | 0;
      words[at + 1] = Math.floor(address / TWO_32);
      words[at + 2] = runs.lengths[index] as number;
      words[at + 3] = 0;
      at += IOVEC_WORDS;
    }
    return page * PAGE_BYTES;
  }

  /** Gives all pages back to the arena; none may be at the host. */
  release(): void {
    assert(this.free.length === this.pageCount, 'an iovec page is still at the host');
    this.memory.freePages(this.firstPage, this.pageCount);
    this.free.length = 0;
  }
}
