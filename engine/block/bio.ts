// SPDX-License-Identifier: GPL-2.0-only
/**
 * A bio: one contiguous range of sectors and the pieces of memory that go there (kernel `struct bio`, block/bio.c).
 * Vectors lie in one typed array, three numbers each: page, offset and length in bytes. With physically contiguous memory a vector
 * may run on into the pages that follow.
 */
import type { BlockDevice } from './device.ts';

export type BioOp = 'read' | 'write' | 'flush' | 'discard' | 'write-zeroes';

export const VECTOR_WORDS = 3;

export class Bio {
  /** Given by the block layer's owner; counts from 0 in a run. */
  id = -1;
  op: BioOp = 'read';
  /** `BIO_FLAG` bits. */
  flags = 0;
  device: BlockDevice | null = null;
  sectorStart = 0;
  /** Sum of the vectors' lengths. */
  sizeBytes = 0;
  vectorCount = 0;
  vectorCountMax: number;
  /** page, offset, length; `vectorCount` times. */
  vectors: Int32Array;
  /** 0, or minus an errno, once ended. -EAGAIN is BLK_STS_AGAIN. */
  status = 0;
  /** bi_end_io. May run before submitBio returns, as a RAM disk's does. */
  onEnd: ((bio: Bio) => void) | null = null;
  /** bi_private: the submitter's. */
  owner: unknown = null;
  /** The block layer's: pieces of a split bio that are still out, and the bio a piece was split from. */
  pendingPieces = 0;
  splitFrom: Bio | null = null;

  constructor(vectorCountMax: number) {
    this.vectorCountMax = vectorCountMax;
    this.vectors = new Int32Array(vectorCountMax * VECTOR_WORDS);
  }

  /** Appends a vector; the caller has checked `vectorCountMax` and the limits. */
  pushVector(page: number, offsetBytes: number, lengthBytes: number): void {
    const at = this.vectorCount * VECTOR_WORDS;
    const { vectors } = this;
    vectors[at] = page;
    vectors[at + 1] = offsetBytes;
    vectors[at + 2] = lengthBytes;
    this.vectorCount++;
    this.sizeBytes += lengthBytes;
  }
}
