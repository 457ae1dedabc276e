// SPDX-License-Identifier: GPL-2.0-only
/**
 * Page frames over one arena: user memory, kernel pages and the zero page are all pages of it, numbered from 0, so that a page
 * number is enough for every layer, and the bytes that the engine sees are the bytes that the host's kernel reads and writes.
 *
 * Rules: 1. Page 0 is the zero page: never allocated, never written. 2. An address is an offset in the arena. 3. A page's reference
 * count is what the modelled kernel takes and drops (get_user_pages, get_page, put_page); it must be back at its start when all
 * requests are done. 4. Allocation is by contiguous runs, first fit; freeing a page somebody still references is an assertion.
 */
import { assert, PAGE_BYTES, type Arena } from '../base/index.ts';

export const ZERO_PAGE = 0;

/** Bits of a page's state. */
export const PAGE_STATE = { absent: 1, readOnly: 2, dirty: 4, allocated: 8, upToDate: 16 } as const;

export class Memory {
  readonly pageCount: number;
  /** References taken and not yet dropped, a page. */
  readonly references: Int32Array;
  /** `PAGE_STATE` bits, a page. */
  readonly state: Uint8Array;
  readonly bytes: Uint8Array;
  /** First page that may be free; only a hint. */
  private searchFrom = 1;

  /** `physicallyContiguous`: page i+1 physically follows page i (6.x joins such neighbours in a bio). */
  constructor(
    readonly arena: Arena,
    readonly physicallyContiguous: boolean,
  ) {
    this.bytes = arena.bytes;
    this.pageCount = Math.floor(arena.bytes.length / PAGE_BYTES);
    assert(this.pageCount >= 2, 'an arena needs at least two pages', { pages: this.pageCount });
    this.references = new Int32Array(this.pageCount);
    this.state = new Uint8Array(this.pageCount);
    this.state[ZERO_PAGE] = PAGE_STATE.allocated;
  }

  /** Contiguous pages, not cleared; the number of the first, or -1 where no run of that length is free. */
  allocatePages(countPages: number): number {
    for (const start of [this.searchFrom, 1]) {
      let runPages = 0;
      for (let page = start; page < this.pageCount; page++) {
        runPages = (this.state[page] as number) & PAGE_STATE.allocated ? 0 : runPages + 1;
        if (runPages === countPages) {
          const first = page - countPages + 1;
          this.state.fill(PAGE_STATE.allocated, first, page + 1);
          this.searchFrom = page + 1;
          return first;
        }
      }
    }
    return -1;
  }

  /** Gives pages back; none of them may still be referenced. */
  freePages(firstPage: number, countPages: number): void {
    for (let page = firstPage; page < firstPage + countPages; page++) {
      assert(this.references[page] === 0, 'freed page is still referenced', { page });
      assert(((this.state[page] as number) & PAGE_STATE.allocated) !== 0, 'page freed twice', {
        page,
      });
      this.state[page] = 0;
    }
    if (firstPage < this.searchFrom) this.searchFrom = firstPage;
  }

  /**
   * Gives pages back that somebody may have forgotten to let go: a page that is still referenced stays allocated for good, as its
   * frame does in a kernel, so that no later owner shares it. Returns how many stay.
   */
  releasePages(firstPage: number, countPages: number): number {
    let kept = 0;
    for (let page = firstPage; page < firstPage + countPages; page++) {
      if (this.references[page] === 0) this.freePages(page, 1);
      else kept++;
    }
    return kept;
  }

  /** get_page */
  get(page: number): void {
    this.references[page] = (this.references[page] as number) + 1;
  }
  /** put_page */
  put(page: number): void {
    this.references[page] = (this.references[page] as number) - 1;
  }
  setDirty(page: number): void {
    this.state[page] = (this.state[page] as number) | PAGE_STATE.dirty;
  }
  /** A pin of the page for `write` access (a READ request writes memory) would succeed. */
  canPin(page: number, write: boolean): boolean {
    if (page <= ZERO_PAGE || page >= this.pageCount) return false;
    const state = this.state[page] as number;
    if ((state & PAGE_STATE.absent) !== 0 || (state & PAGE_STATE.allocated) === 0) return false;
    return !(write && (state & PAGE_STATE.readOnly) !== 0);
  }
  /** The bytes of part of a page: a view. */
  view(page: number, offsetBytes: number, lengthBytes: number): Uint8Array {
    const start = page * PAGE_BYTES + offsetBytes;
    return this.bytes.subarray(start, start + lengthBytes);
  }
}

/** An arena that no host kernel reaches: for the memory and model devices, conformance and tests. */
export function plainArena(pageCount: number): Arena {
  const buffer = new ArrayBuffer(pageCount * PAGE_BYTES);
  return { baseAddress: 0x10000, bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
}
