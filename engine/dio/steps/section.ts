// SPDX-License-Identifier: GPL-2.0-only
/**
 * Pieces of pages on their way into bios (submit_page_section, dio_send_cur_page, dio_new_bio, dio_bio_add_page).
 *
 * The last piece is held back in `currentPage`: where the next one continues it, in the page and on disk, it simply grows. Otherwise
 * it goes into the bio, and the new piece waits in its place.
 *
 *   no piece --section--> piece held --section that continues it--> piece grown
 *                             \--any other section, boundary, end of the request--> in a bio (sendCurrentPage)
 *
 * A bio ends for one of three reasons here: the piece does not follow it on disk, does not follow it in the file, or does not fit.
 */
import { BIO_CLOSE, KernelBug, PAGE_BYTES, TRACE, type KernelReturn } from '../../base/index.ts';
import type { Bio } from '../../block/index.ts';
import { VECTOR_WORDS } from '../../block/index.ts';
import { ZERO_PAGE } from '../../memory/index.ts';
import { NO_PAGE, type Dio } from '../state.ts';
import { reap } from './await.ts';
import { submitBio } from './submit.ts';

const ROW_SECTION = TRACE.section;
const ROW_BIO_BUILD = TRACE['bio-build'];
/** Most vectors a bio may ever have (BIO_MAX_VECS). */
export const BIO_VECTORS_MAX = 256;

/** submit_page_section where a boundary sends the piece and its bio at once, before the next map call. */
export function submitPageSectionAtOnce(
  dio: Dio,
  page: number,
  offsetBytes: number,
  lengthBytes: number,
  dioBlock: number,
): KernelReturn {
  const isBoundary = dio.boundary; // sending may clear it
  if (!growCurrentPage(dio, page, offsetBytes, lengthBytes, dioBlock)) {
    const sent = replaceCurrentPage(dio, page, offsetBytes, lengthBytes, dioBlock);
    if (sent !== 0) return sent;
  }
  if (!isBoundary) return 0;
  const sent = sendCurrentPage(dio);
  if (dio.bio !== null) submitBio(dio, BIO_CLOSE.boundary);
  dropCurrentPage(dio);
  return sent;
}

/** True where the piece continues the one held back, in its page and on disk. */
export function growCurrentPage(
  dio: Dio,
  page: number,
  offsetBytes: number,
  lengthBytes: number,
  dioBlock: number,
): boolean {
  const grows =
    dio.currentPage === page &&
    dio.currentOffsetBytes + dio.currentLengthBytes === offsetBytes &&
    dio.currentBlock + (dio.currentLengthBytes >>> dio.blockBits) === dioBlock;
  if (dio.trace !== null) {
    const isGrown = grows ? 1 : 0;
    dio.trace.add(ROW_SECTION, dio.id, -1, page, offsetBytes, lengthBytes, dioBlock, isGrown);
  }
  if (grows) dio.currentLengthBytes += lengthBytes;
  return grows;
}

/** Sends the piece held back, if any, and holds this one. An error is the sender's; then nothing is held. */
export function replaceCurrentPage(
  dio: Dio,
  page: number,
  offsetBytes: number,
  lengthBytes: number,
  dioBlock: number,
): KernelReturn {
  if (dio.currentPage !== NO_PAGE) {
    const sent = sendCurrentPage(dio);
    dropCurrentPage(dio);
    if (sent !== 0) return sent;
  }
  dio.memory.get(page);
  dio.currentPage = page;
  dio.currentOffsetBytes = offsetBytes;
  dio.currentLengthBytes = lengthBytes;
  dio.currentBlock = dioBlock;
  dio.currentFileOffsetBytes = dio.blockInFile * (1 << dio.blockBits);
  return 0;
}

/** Lets go of the piece held back: its reference and the place. */
export function dropCurrentPage(dio: Dio): void {
  dio.memory.put(dio.currentPage);
  dio.currentPage = NO_PAGE;
}

/** dio_send_cur_page: the piece goes into the bio, or the bio is submitted and the piece starts another. 0, or reap's error. */
export function sendCurrentPage(dio: Dio): KernelReturn {
  if (dio.bio !== null) {
    const reason = reasonToClose(dio, dio.bio);
    if (reason >= 0) submitBio(dio, reason);
  }
  if (dio.bio === null) {
    const made = newBio(dio);
    if (made !== 0) return made;
  }
  if (addCurrentPage(dio)) return 0;
  submitBio(dio, BIO_CLOSE.full);
  const made = newBio(dio);
  if (made !== 0) return made;
  if (!addCurrentPage(dio)) {
    throw new KernelBug('BUG: dio_send_cur_page', 'an empty bio does not take the piece');
  }
  return 0;
}

/** Why the piece cannot follow what is in the bio (`BIO_CLOSE`), or -1. */
function reasonToClose(dio: Dio, bio: Bio): number {
  const { traits } = dio;
  if (dio.finalBlockInBio !== dio.currentBlock) return BIO_CLOSE.disk;
  if (
    traits.logicallyContiguousBios &&
    dio.currentFileOffsetBytes !== dio.bioFileOffsetBytes + bio.sizeBytes
  ) {
    return BIO_CLOSE.file;
  }
  return traits.boundaryClosesBeforeNextPage && dio.boundary ? BIO_CLOSE.boundary : -1;
}

/** dio_new_bio and dio_bio_alloc. 0, or the error that reaping found. */
function newBio(dio: Dio): KernelReturn {
  const reaped = reap(dio);
  if (reaped !== 0) return reaped;
  const { kernel, revision } = dio;
  const vectorCount = revision.bioVectorCount(dio);
  if (vectorCount <= 0) throw new KernelBug('BUG: dio_new_bio', 'the page estimate ran out');
  const bio = kernel.allocateBio(poolCapacity(dio, vectorCount));
  bio.op = dio.isWrite ? 'write' : 'read';
  bio.flags = dio.bioFlags;
  bio.device = dio.mapping.device;
  bio.sectorStart = dio.currentBlock * (1 << (dio.blockBits - 9));
  bio.onEnd = dio.isAsync ? revision.endBioAsync : revision.endBioSync;
  bio.owner = dio;
  dio.bio = bio;
  dio.bioFileOffsetBytes = dio.currentFileOffsetBytes;
  dio.boundary = false;
  if (dio.trace !== null) {
    dio.trace.add(ROW_BIO_BUILD, dio.id, -1, bio.sectorStart, bio.vectorCountMax);
  }
  return 0;
}

/** bio_alloc: the size of the pool that the bio comes from. */
function poolCapacity(dio: Dio, vectorCount: number): number {
  const { bioCapacities } = dio.traits;
  for (let index = 0; index < bioCapacities.length; index++) {
    const capacity = bioCapacities[index] as number;
    if (capacity >= vectorCount) return capacity;
  }
  throw new KernelBug('BUG: bio_alloc', `${String(vectorCount)} vectors, more than any bio has`);
}

/** nr_pages of dio_new_bio where only the bio's own maximum limits it. */
export function vectorCountOfPages(dio: Dio): number {
  return Math.min(dio.pagesInIo, BIO_VECTORS_MAX);
}

/** dio_bio_add_page: true where the bio took the piece; it then holds a reference of its own on the page. */
function addCurrentPage(dio: Dio): boolean {
  if (!dio.revision.addToBio(dio, dio.bio as Bio)) return false;
  const { traits } = dio;
  const fillsPage = dio.currentLengthBytes + dio.currentOffsetBytes === PAGE_BYTES;
  if (fillsPage || traits.pageEstimateDrops === 'by-piece') dio.pagesInIo--;
  dio.memory.get(dio.currentPage);
  dio.finalBlockInBio = dio.currentBlock + (dio.currentLengthBytes >>> dio.blockBits);
  return true;
}

/** bio_add_page where a piece that follows the last vector in physical memory makes it longer. */
export function addJoiningNeighbours(dio: Dio, bio: Bio): boolean {
  const page = dio.currentPage;
  const offsetBytes = dio.currentOffsetBytes;
  const lengthBytes = dio.currentLengthBytes;
  if (bio.vectorCount > 0) {
    const { vectors } = bio;
    const at = (bio.vectorCount - 1) * VECTOR_WORDS;
    const lastPage = vectors[at] as number;
    const lastEnd = (vectors[at + 1] as number) + (vectors[at + 2] as number);
    const isNeighbour =
      lastPage === page
        ? lastEnd === offsetBytes
        : dio.memory.physicallyContiguous &&
          lastPage !== ZERO_PAGE &&
          page !== ZERO_PAGE &&
          lastPage * PAGE_BYTES + lastEnd === page * PAGE_BYTES + offsetBytes;
    if (isNeighbour) {
      vectors[at + 2] = (vectors[at + 2] as number) + lengthBytes;
      bio.sizeBytes += lengthBytes;
      return true;
    }
  }
  if (bio.vectorCount >= bio.vectorCountMax) return false;
  bio.pushVector(page, offsetBytes, lengthBytes);
  return true;
}
