// SPDX-License-Identifier: GPL-2.0-only
/**
 * Traits: what a revision of direct I/O does, as data. A step (steps/) reads them where one function serves several revisions; where
 * whole functions differ, the revision brings another step instead.
 * Rules: 1. A trait is named after what happens, never after a version. 2. Every trait has a value in the root revision.
 */
export interface DioTraits {
  /**
   * When get_block is asked to allocate for a write.
   * 'unless-inside-size': always, but with skip-holes not for a file system block up to the one with the last byte of the file.
   * 'unless-below-size-in-units': the same rule with i_size rounded down to dio blocks, so the last partial block may be made.
   * 'by-lock-type': as before for core locks, never without locks, always where the driver locks.
   * 'always': every write.
   */
  readonly createRule:
    'unless-inside-size' | 'unless-below-size-in-units' | 'by-lock-type' | 'always';
  /** How many blocks a map call asks for: those the rest touches, or its length rounded up (one less where it starts inside one). */
  readonly askedBlocks: 'touched' | 'length-rounded-up';
  /** A write that meets an unmapped block stops there (the rest is the page cache's), or zeroes the user's own memory. */
  readonly unmappedWrite: 'stops' | 'zeroes-memory';
  /** ENOTBLK ends a read without an error too (only a map call can bring it there), not only a write. */
  readonly readsMayStop: boolean;
  /** A read stops at the first unmapped dio block at or beyond the end of the file; else it goes on with zeros. */
  readonly readStopsAtEndOfFile: boolean;
  /** Which chunk of a mapping with the boundary flag counts as the boundary. */
  readonly boundaryChunk: 'last' | 'every';
  /** Unit in which aliases of new blocks are counted. */
  readonly aliasUnit: 'fs-block' | 'dio-block';
  /** The result grows with each chunk, once a segment has been walked, or only once one has been walked without an error. */
  readonly resultGrows: 'by-chunk' | 'by-segment' | 'by-whole-segment';
  /** A bio's pieces must also follow each other in the file. */
  readonly logicallyContiguousBios: boolean;
  /** A boundary takes effect when the next page is sent, instead of at its own chunk: the bio ends before that page. */
  readonly boundaryClosesBeforeNextPage: boolean;
  /** The page estimate drops with every piece sent, or once a page has been filled to its end. */
  readonly pageEstimateDrops: 'by-piece' | 'at-page-end';
  /** Flags of the bios of a write (`BIO_FLAG`). */
  readonly writeBioFlags: number;
  /** NOWAIT of the kiocb is handed to the bios of a write. */
  readonly passesNowait: boolean;
  /** Bios are plugged while the request is built. */
  readonly plugs: boolean;
  /** Sizes of the bio pools, ascending: a bio has room for the first that is large enough (bio_alloc). */
  readonly bioCapacities: readonly number[];
  /** Reaping: which error a batch of completed bios reports. */
  readonly reapKeeps: 'first-error' | 'last-status';
  /** After a fault in user memory, mapped blocks are filled from the zero page with a reference of their own on it. */
  readonly zeroFillTakesReference: boolean;
  /** Behind which asynchronous reads bios stay in flight: all that went well, or only those that are not short. */
  readonly asyncReadsLeave: 'any' | 'whole';
  /** Room that the chunk rule must leave for a vector that grows: as if it were added anew, or for the bytes added. */
  readonly grownVectorRoom: 'as-if-new' | 'for-added-bytes';
  /** Most vectors asked of a bio beside the queue's estimate; 0: no such limit. */
  readonly bioVectorsMax: number;
  /** A failed write that would have extended the file is cut off again (core locks only). */
  readonly truncatesFailedWrite: boolean;
  /** The request is an iterator, so what is left of it can be told. */
  readonly takesIterator: boolean;
  /** Bytes of writes are passed to the task's I/O accounting. */
  readonly accountsWrites: boolean;
  /** Memory of the kernel's that a request may be made of: vectors within a page each, whole pages, or none. */
  readonly kernelMemory: 'vectors' | 'pages' | 'none';
  /** A vector can come out longer than its page; submitting it stops the kernel. */
  readonly vectorsMayLeavePages: boolean;
  /** Lock types instead of flags: driver locks exist, and a reader under them holds the inode lock around the call. */
  readonly hasLockTypes: boolean;
}
