// SPDX-License-Identifier: GPL-2.0-only
/**
 * The memory of a request as stretches of the arena: vectors that touch are joined, also across bios. 16 pages that follow each other
 * are one stretch of 64 KiB, and so one plain read or write instead of a vectored one.
 */
import { PAGE_BYTES } from '../../base/index.ts';
import { VECTOR_WORDS, type Bio, type DeviceRequest } from '../../block/index.ts';

export class BufferRuns {
  count = 0;
  /** Offsets in the arena, and lengths; the first `count` entries count. */
  readonly offsets: Float64Array;
  readonly lengths: Float64Array;

  constructor(runsMax: number) {
    this.offsets = new Float64Array(runsMax);
    this.lengths = new Float64Array(runsMax);
  }

  /** Takes in the request's memory from its byte `skipBytes` on. */
  collect(request: DeviceRequest, skipBytes: number): void {
    const { offsets, lengths } = this;
    let last = -1;
    let lastEnd = -1;
    let toSkip = skipBytes;
    for (let index = 0; index < request.bioCount; index++) {
      const { vectors, vectorCount } = request.bios[index] as Bio;
      const end = vectorCount * VECTOR_WORDS;
      for (let at = 0; at < end; at += VECTOR_WORDS) {
        let offset = (vectors[at] as number) * PAGE_BYTES + (vectors[at + 1] as number);
        let length = vectors[at + 2] as number;
        if (toSkip > 0) {
          const skipped = Math.min(toSkip, length);
          toSkip -= skipped;
          offset += skipped;
          length -= skipped;
          if (length === 0) continue;
        }
        if (offset === lastEnd) lengths[last] = (lengths[last] as number) + length;
        else {
          last++;
          offsets[last] = offset;
          lengths[last] = length;
        }
        lastEnd = offset + length;
      }
    }
    this.count = last + 1;
  }
}
