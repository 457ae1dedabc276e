// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bios used again and again, so that a warm run allocates none (kernel: bio_alloc_bioset and its slabs).
 *
 *   free --allocate--> the submitter's --release--> free
 *
 * Rules: 1. A bio has the smallest capacity of `BIO_CAPACITIES` that holds what was asked for. 2. A released bio is nobody's:
 * releasing it twice is an assertion. 3. `id`, `device`, `onEnd` and `owner` are the next submitter's to set.
 */
import { assert } from '../base/index.ts';
import { Bio, VECTOR_WORDS } from './bio.ts';

/** Vectors of a bio of each slab (kernel 6.x `bvec_slabs`, and the four that lie in the bio itself). */
export const BIO_CAPACITIES = [4, 16, 64, 128, 256] as const;

/** Owner of a bio that lies in the pool. */
const RELEASED = Symbol('released bio');

export class BioPool {
  private readonly free: Bio[][] = BIO_CAPACITIES.map(() => []);

  /** bio_alloc: an empty bio with room for at least `vectorCountMax` vectors, 256 at most. */
  allocate(vectorCountMax: number): Bio {
    const slab = slabOf(vectorCountMax);
    const bio = (this.free[slab] as Bio[]).pop();
    if (bio === undefined) return new Bio(BIO_CAPACITIES[slab] as number);
    bio.owner = null;
    return bio;
  }

  /** bio_put. */
  release(bio: Bio): void {
    assert(bio.owner !== RELEASED, 'bio released twice');
    const capacity = bio.vectors.length / VECTOR_WORDS;
    const slab = slabOf(capacity);
    assert(BIO_CAPACITIES[slab] === capacity, 'bio is not of the pool');
    bio.id = -1;
    bio.op = 'read';
    bio.flags = 0;
    bio.device = null;
    bio.sectorStart = 0;
    bio.sizeBytes = 0;
    bio.vectorCount = 0;
    bio.vectorCountMax = capacity;
    bio.status = 0;
    bio.onEnd = null;
    bio.owner = RELEASED;
    bio.pendingPieces = 0;
    bio.splitFrom = null;
    (this.free[slab] as Bio[]).push(bio);
  }
}

/** Index in `BIO_CAPACITIES`. */
function slabOf(vectorCount: number): number {
  if (vectorCount <= 4) return 0;
  if (vectorCount <= 16) return 1;
  if (vectorCount <= 64) return 2;
  if (vectorCount <= 128) return 3;
  assert(vectorCount <= 256, 'a bio has 256 vectors at most', { vectorCount });
  return 4;
}
