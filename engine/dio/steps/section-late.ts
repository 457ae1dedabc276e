// SPDX-License-Identifier: GPL-2.0-only
/**
 * Sections and bios where a boundary takes effect late: it is only looked at when the next page is sent, or when the piece held back
 * grows; and where the queue's own limits decide what a bio takes (bio_add_page with merge_bvec_fn).
 */
import { PAGE_BYTES, SECTOR_BITS, SECTOR_BYTES, type KernelReturn } from '../../base/index.ts';
import { VECTOR_WORDS, type Bio, type QueueLimits } from '../../block/index.ts';
import { NO_PAGE, type Dio } from '../state.ts';
import {
  dropCurrentPage,
  growCurrentPage,
  replaceCurrentPage,
  sendCurrentPage,
} from './section.ts';

/** submit_page_section: a boundary sends the piece that has just grown, but does not submit its bio. */
export function submitPageSectionLate(
  dio: Dio,
  page: number,
  offsetBytes: number,
  lengthBytes: number,
  dioBlock: number,
): KernelReturn {
  if (!growCurrentPage(dio, page, offsetBytes, lengthBytes, dioBlock)) {
    return replaceCurrentPage(dio, page, offsetBytes, lengthBytes, dioBlock);
  }
  if (!dio.boundary) return 0;
  const sent = sendCurrentPage(dio);
  if (dio.currentPage !== NO_PAGE) dropCurrentPage(dio);
  return sent;
}

const limitsOf = (dio: Dio): QueueLimits | null => dio.mapping.device?.limits ?? null;

/** bio_get_nr_vecs: the pages that the queue's longest bio holds, its segments at most. */
export function vectorCountOfQueue(dio: Dio): number {
  const limits = limitsOf(dio);
  let count = dio.pagesInIo;
  if (limits !== null) {
    const pages = Math.ceil((limits.ioSizeSectorsMax * SECTOR_BYTES) / PAGE_BYTES);
    count = Math.min(count, pages, limits.segmentCountMax);
  }
  const { bioVectorsMax } = dio.traits;
  return bioVectorsMax > 0 ? Math.min(count, bioVectorsMax) : count;
}

/** bio_add_page: a piece that continues the last vector in its page makes it grow, or starts the next bio; else a vector more. */
export function addGrowingLastVector(dio: Dio, bio: Bio): boolean {
  const limits = limitsOf(dio);
  const page = dio.currentPage;
  const offsetBytes = dio.currentOffsetBytes;
  const lengthBytes = dio.currentLengthBytes;
  if (exceedsSectors(limits, bio, lengthBytes)) return false;
  if (bio.vectorCount > 0) {
    const { vectors } = bio;
    const at = (bio.vectorCount - 1) * VECTOR_WORDS;
    const lastBytes = vectors[at + 2] as number;
    if (vectors[at] === page && (vectors[at + 1] as number) + lastBytes === offsetBytes) {
      if (!mayGrow(dio, limits, bio, lastBytes)) return false;
      vectors[at + 2] = lastBytes + lengthBytes;
      bio.sizeBytes += lengthBytes;
      return true;
    }
  }
  return pushWithinLimits(dio, limits, bio);
}

/** bio_add_page: every piece is a vector of its own. */
export function addSeparateVector(dio: Dio, bio: Bio): boolean {
  const limits = limitsOf(dio);
  if (exceedsSectors(limits, bio, dio.currentLengthBytes)) return false;
  return pushWithinLimits(dio, limits, bio);
}

function exceedsSectors(limits: QueueLimits | null, bio: Bio, lengthBytes: number): boolean {
  if (limits === null) return false;
  return (bio.sizeBytes + lengthBytes) >>> SECTOR_BITS > limits.ioSizeSectorsMax;
}

function pushWithinLimits(dio: Dio, limits: QueueLimits | null, bio: Bio): boolean {
  const lengthBytes = dio.currentLengthBytes;
  if (bio.vectorCount >= bio.vectorCountMax) return false;
  if (limits !== null) {
    if (bio.vectorCount >= limits.segmentCountMax) return false;
    if (chunkRoomBytes(limits, bio, bio.sizeBytes, lengthBytes) < lengthBytes) return false;
  }
  bio.pushVector(dio.currentPage, dio.currentOffsetBytes, lengthBytes);
  return true;
}

function mayGrow(dio: Dio, limits: QueueLimits | null, bio: Bio, lastBytes: number): boolean {
  if (limits === null || limits.chunkSectors === 0) return true;
  const addedBytes = dio.currentLengthBytes;
  const grownBytes = lastBytes + addedBytes;
  return dio.traits.grownVectorRoom === 'as-if-new'
    ? chunkRoomBytes(limits, bio, bio.sizeBytes - lastBytes, grownBytes) >= grownBytes
    : chunkRoomBytes(limits, bio, bio.sizeBytes, grownBytes) >= addedBytes;
}

/** merge_bvec_fn of a striped device: room up to the end of the chunk; an empty bio takes any vector. */
function chunkRoomBytes(
  limits: QueueLimits,
  bio: Bio,
  bioBytes: number,
  vectorBytes: number,
): number {
  const { chunkSectors } = limits;
  if (chunkSectors === 0) return Infinity;
  const bioSectors = bioBytes >>> SECTOR_BITS;
  const used = (bio.sectorStart % chunkSectors) + bioSectors;
  const roomBytes = Math.max(0, chunkSectors - used) * SECTOR_BYTES;
  return roomBytes <= vectorBytes && bioSectors === 0 ? vectorBytes : roomBytes;
}
