// SPDX-License-Identifier: GPL-2.0-only
/** The caller's buffers: segments of memory, consumed from the front (kernel `struct iov_iter`, lib/iov_iter.c). */
import { assert, ERRNO, PAGE_BITS, PAGE_BYTES, type KernelReturn } from '../base/index.ts';
import { PAGE_STATE, type Memory } from './memory.ts';

/** `addressBytes` is an offset in the arena. */
export interface UserSegment {
  readonly addressBytes: number;
  readonly lengthBytes: number;
}

export class IovIter {
  /** What is left of all segments. */
  remainingBytes = 0;
  /** Segment being consumed, and how far. */
  segmentIndex = 0;
  segmentOffsetBytes = 0;
  /** After `pinPages`: where in the first page the bytes start. */
  pinnedOffsetBytes = 0;

  /**
   * `source`: 'user' segments are pinned and may fault; 'kernel' ones (bvecs, each within one page) are referenced, never fault, and
   * are not dirtied.
   */
  constructor(
    readonly memory: Memory,
    readonly direction: 'read' | 'write',
    readonly source: 'user' | 'kernel',
    readonly segments: readonly UserSegment[],
  ) {
    for (const segment of segments) this.remainingBytes += segment.lengthBytes;
  }

  /** Starts over: for a buffer that is used again and again. */
  rewind(): void {
    this.segmentIndex = 0;
    this.segmentOffsetBytes = 0;
    this.remainingBytes = 0;
    for (const segment of this.segments) this.remainingBytes += segment.lengthBytes;
  }

  /** iov_iter_alignment: OR of every address and length left, of segments that are not empty. */
  alignmentMask(): number {
    let mask = 0;
    let skipBytes = this.segmentOffsetBytes;
    for (let index = this.segmentIndex; index < this.segments.length; index++) {
      const { addressBytes, lengthBytes } = this.segments[index] as UserSegment;
      const left = lengthBytes - skipBytes;
      if (left > 0) mask |= (addressBytes + skipBytes) | left;
      skipBytes = 0;
    }
    return mask;
  }

  /** iov_iter_npages: pages that the rest spans, a segment at a time. */
  pageCountLeft(): number {
    let pages = 0;
    let skipBytes = this.segmentOffsetBytes;
    for (let index = this.segmentIndex; index < this.segments.length; index++) {
      const { addressBytes, lengthBytes } = this.segments[index] as UserSegment;
      const left = lengthBytes - skipBytes;
      if (left > 0) {
        const start = addressBytes + skipBytes;
        pages += Math.ceil((start + left) / PAGE_BYTES) - Math.floor(start / PAGE_BYTES);
      }
      skipBytes = 0;
    }
    return pages;
  }

  advance(lengthBytes: number): void {
    assert(lengthBytes <= this.remainingBytes, 'iov_iter advanced past its end');
    this.remainingBytes -= lengthBytes;
    this.segmentOffsetBytes += lengthBytes;
    while (this.segmentIndex < this.segments.length) {
      const { lengthBytes: segmentBytes } = this.segments[this.segmentIndex] as UserSegment;
      if (this.segmentOffsetBytes < segmentBytes) break;
      this.segmentOffsetBytes -= segmentBytes;
      this.segmentIndex++;
    }
  }

  /**
   * iov_iter_get_pages2: pins at most `pagesMax` pages of the first segment with bytes left, puts their numbers into `into`, moves
   * on, and returns the bytes they hold; `pinnedOffsetBytes` says where they start. 0: nothing left. -EFAULT: not even one page.
   */
  pinPages(pagesMax: number, into: Int32Array): KernelReturn {
    if (this.remainingBytes === 0) return 0;
    let segment = this.segments[this.segmentIndex] as UserSegment;
    while (segment.lengthBytes - this.segmentOffsetBytes === 0) {
      this.segmentIndex++;
      this.segmentOffsetBytes = 0;
      segment = this.segments[this.segmentIndex] as UserSegment;
    }
    const start = segment.addressBytes + this.segmentOffsetBytes;
    const left = segment.lengthBytes - this.segmentOffsetBytes;
    const offset = start & (PAGE_BYTES - 1);
    const firstPage = (start - offset) / PAGE_BYTES;
    const spanned = (offset + left + PAGE_BYTES - 1) >>> PAGE_BITS;
    const wanted = Math.min(pagesMax, spanned);
    const pinned =
      this.source === 'user'
        ? pinUserPages(this.memory, firstPage, wanted, this.direction === 'read', into)
        : referencePages(this.memory, firstPage, wanted, into);
    if (pinned < 0) return pinned;
    const taken = Math.min(left, pinned * PAGE_BYTES - offset);
    this.pinnedOffsetBytes = offset;
    this.advance(taken);
    return taken;
  }
}

/**
 * get_user_pages: pins page by page, stops at the first that is absent (or read-only where memory is to be written); the number
 * pinned, or -EFAULT for none. 0 for `countPages` 0.
 */
export function pinUserPages(
  memory: Memory,
  firstPage: number,
  countPages: number,
  writesMemory: boolean,
  into: Int32Array,
): KernelReturn {
  const { references, state } = memory;
  const refused = writesMemory ? PAGE_STATE.absent | PAGE_STATE.readOnly : PAGE_STATE.absent;
  for (let index = 0; index < countPages; index++) {
    const page = firstPage + index;
    if (
      page <= 0 ||
      page >= memory.pageCount ||
      ((state[page] as number) & (refused | PAGE_STATE.allocated)) !== PAGE_STATE.allocated
    ) {
      return index === 0 ? -ERRNO.EFAULT : index;
    }
    references[page] = (references[page] as number) + 1;
    into[index] = page;
  }
  return countPages;
}

function referencePages(
  memory: Memory,
  firstPage: number,
  countPages: number,
  into: Int32Array,
): number {
  for (let index = 0; index < countPages; index++) {
    memory.get(firstPage + index);
    into[index] = firstPage + index;
  }
  return countPages;
}
