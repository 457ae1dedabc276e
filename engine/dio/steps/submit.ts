// SPDX-License-Identifier: GPL-2.0-only
/** A finished bio goes to the block layer (dio_bio_submit), with its trace rows. */
import { KernelBug, PAGE_BYTES, TRACE, TRACE_OP, type Trace } from '../../base/index.ts';
import { VECTOR_WORDS, type Bio } from '../../block/index.ts';
import { ZERO_PAGE } from '../../memory/index.ts';
import type { Dio } from '../state.ts';

const ROW_BIO_CLOSE = TRACE['bio-close'];
const ROW_BIO_SUBMIT = TRACE['bio-submit'];
const ROW_BIO_VECTOR = TRACE['bio-vector'];
const ROW_PREDIRTY = TRACE.predirty;
const ROW_DIRTY = TRACE.dirty;
const ROW_SUBMIT_IO = TRACE['submit-io'];

/**
 * dio_bio_submit: the bio in hand is handed over; it may end before this returns. Pages of an asynchronous read are dirtied first,
 * because its end may run where that is not allowed. `reason` is a `BIO_CLOSE` number.
 */
export function submitBio(dio: Dio, reason: number): void {
  const bio = dio.bio as Bio;
  const { kernel, trace, counters } = dio;
  dio.refCount++;
  dio.biosInFlight++;
  bio.id = kernel.nextBioId();
  if (trace !== null) trace.add(ROW_BIO_CLOSE, dio.id, bio.id, reason);
  if (dio.isAsync && dio.shouldDirty) {
    if (trace !== null) trace.add(ROW_PREDIRTY, dio.id, bio.id);
    dirtyPagesOfBio(dio, bio);
  }
  const { submitIo } = dio.request;
  if (counters !== null) {
    counters.bios++;
    counters.bioBytes += bio.sizeBytes;
  }
  const fileOffsetBytes = dio.bioFileOffsetBytes;
  if (dio.traits.vectorsMayLeavePages) checkVectors(bio);
  if (trace !== null) traceSubmit(trace, dio, bio, submitIo === null ? -1 : fileOffsetBytes);
  if (submitIo === null) kernel.submitBio(bio);
  else submitIo(bio, fileOffsetBytes);
  dio.bio = null;
  dio.boundary = false;
  dio.bioFileOffsetBytes = 0;
}

/** What the device would do with a vector that leaves its page is nobody's to define: the kernel stops here. */
function checkVectors(bio: Bio): void {
  for (let at = 0; at < bio.vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const end = (bio.vectors[at + 1] as number) + (bio.vectors[at + 2] as number);
    if (end <= PAGE_BYTES) continue;
    throw new KernelBug('BUG: vector outside its page', `it ends at byte ${String(end)}`);
  }
}

/** `submitIoOffset` >= 0: the driver submits, from that place in the file. */
function traceSubmit(trace: Trace, dio: Dio, bio: Bio, submitIoOffset: number): void {
  if (submitIoOffset >= 0) trace.add(ROW_SUBMIT_IO, dio.id, bio.id, submitIoOffset);
  const { vectors, vectorCount } = bio;
  trace.add(
    ROW_BIO_SUBMIT,
    dio.id,
    bio.id,
    bio.sectorStart,
    bio.sizeBytes,
    TRACE_OP[bio.op],
    bio.flags,
    vectorCount,
  );
  for (let at = 0; at < vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const page = vectors[at] as number;
    trace.add(
      ROW_BIO_VECTOR,
      dio.id,
      bio.id,
      page === ZERO_PAGE ? -1 : page,
      vectors[at + 1],
      vectors[at + 2],
    );
  }
}

/** bio_set_pages_dirty. Where a vector may leave its page, that page is all that is known of it. */
function dirtyPagesOfBio(dio: Dio, bio: Bio): void {
  const { memory, trace } = dio;
  const { vectors, vectorCount } = bio;
  for (let at = 0; at < vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const firstPage = vectors[at] as number;
    const endBytes = (vectors[at + 1] as number) + (vectors[at + 2] as number);
    const pages = dio.traits.vectorsMayLeavePages ? 1 : Math.ceil(endBytes / PAGE_BYTES);
    for (let page = firstPage; page < firstPage + pages; page++) {
      memory.setDirty(page);
      if (trace !== null) trace.add(ROW_DIRTY, dio.id, bio.id, page);
    }
  }
}

/** bio_release_pages: drops the bio's reference on every page, dirtying it before where asked. */
export function releasePagesOfBio(dio: Dio, bio: Bio, dirty: boolean): void {
  const { memory, trace } = dio;
  const { references } = memory;
  const { vectors, vectorCount } = bio;
  for (let at = 0; at < vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
    const firstPage = vectors[at] as number;
    const endBytes = (vectors[at + 1] as number) + (vectors[at + 2] as number);
    for (let page = firstPage; page < firstPage + ((endBytes + PAGE_BYTES - 1) >>> 12); page++) {
      if (dirty) {
        memory.setDirty(page);
        if (trace !== null) trace.add(ROW_DIRTY, dio.id, bio.id, page);
      }
      references[page] = (references[page] as number) - 1;
    }
  }
}
