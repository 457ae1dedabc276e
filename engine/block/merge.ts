// SPDX-License-Identifier: GPL-2.0-only
/**
 * Whether a bio may join a request (block/blk-merge.c: `blk_rq_merge_ok`, `ll_back_merge_fn`, `ll_front_merge_fn`).
 *
 * Both are reads or both are writes, neither asks for a flush or FUA, they touch on the device, and what comes of it keeps the
 * limits: sectors (also those to the next chunk boundary, from where the joined request would start) and segments.
 */
import { BIO_FLAG, SECTOR_BYTES } from '../base/index.ts';
import type { Bio } from './bio.ts';
import type { QueueLimits } from './device.ts';
import type { QueueRequest } from './request.ts';

export const MERGE = { none: 0, back: 1, front: 2 } as const;

const NO_MERGE_FLAGS = BIO_FLAG.fua | BIO_FLAG.preflush;

/** REQ_NOMERGE_FLAGS, which mean nothing without a volatile cache, and the operations that merge. */
export function isMergeable(limits: QueueLimits, bio: Bio): boolean {
  if (bio.op !== 'read' && bio.op !== 'write') return false;
  return (bio.flags & NO_MERGE_FLAGS) === 0 || !limits.hasVolatileCache;
}

/** One of `MERGE`. The bio is mergeable. */
export function mergeKind(
  limits: QueueLimits,
  request: QueueRequest,
  bio: Bio,
  segmentCount: number,
): number {
  if (request.op !== bio.op || (request.flags & NO_MERGE_FLAGS) !== 0) return MERGE.none;
  let start: number;
  let kind: number;
  if (request.sectorStart + request.sizeBytes / SECTOR_BYTES === bio.sectorStart) {
    kind = MERGE.back;
    start = request.sectorStart;
  } else if (bio.sectorStart + bio.sizeBytes / SECTOR_BYTES === request.sectorStart) {
    kind = MERGE.front;
    start = bio.sectorStart;
  } else return MERGE.none;
  if (request.segmentCount + segmentCount > limits.segmentCountMax) return MERGE.none;
  const { chunkSectors } = limits;
  let sectorsMax = limits.ioSizeSectorsMax;
  if (chunkSectors !== 0) sectorsMax = Math.min(sectorsMax, chunkSectors - (start % chunkSectors));
  const sizeBytes = request.sizeBytes + bio.sizeBytes;
  return sizeBytes <= sectorsMax * SECTOR_BYTES ? kind : MERGE.none;
}
