// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a revision of direct I/O is: traits (data) plus steps (functions at the kernel's own seams). A revision file lists what
 * differs from its base, each with the reason; resolve.ts makes the flat record that a run uses.
 */
import type { KernelReturn, MaybeTask } from '../base/index.ts';
import type { Bio } from '../block/index.ts';
import type { DirectIoRequest } from '../vfs/index.ts';
import type { Dio, DioPool } from './state.ts';
import type { DioTraits } from './traits.ts';

/** The seams. Each names the kernel function it stands for. */
export interface DioSteps {
  /** __blockdev_direct_IO: the entry, up to the value that the caller gets. */
  readonly enter: (pool: DioPool, request: DirectIoRequest) => MaybeTask<KernelReturn>;
  /** dio_get_page: puts the next page into `walkPage`, `walkFrom`, `walkTo`. 0, or minus an errno. */
  readonly takePage: (dio: Dio) => KernelReturn;
  /** The walk over the whole request: 0, minus an errno, or `SLEEPS`, and then to be called again (do_direct_IO and what is around it). */
  readonly walkRequest: (dio: Dio) => KernelReturn;
  /** What follows the walk, to the value that the caller gets. */
  readonly afterWalk: (dio: Dio, walked: KernelReturn) => MaybeTask<KernelReturn>;
  /** get_more_blocks: 0, minus an errno, or `SLEEPS` with `pendingTask` set. */
  readonly mapMore: (dio: Dio) => KernelReturn;
  /** submit_page_section. */
  readonly submitPageSection: (
    dio: Dio,
    page: number,
    offsetBytes: number,
    lengthBytes: number,
    dioBlock: number,
  ) => KernelReturn;
  /** The vectors that a new bio should have room for: dio_new_bio's nr_pages. */
  readonly bioVectorCount: (dio: Dio) => number;
  /** bio_add_page: true where the current piece was taken. */
  readonly addToBio: (dio: Dio, bio: Bio) => boolean;
  /** dio_bio_end_io: the end of a synchronous request's bio. */
  readonly endBioSync: (bio: Bio) => void;
  /** dio_bio_end_aio: the end of an asynchronous request's bio. */
  readonly endBioAsync: (bio: Bio) => void;
  /** dio_bio_complete: takes what a completed bio held. 0, or minus an errno as the reaper sees it. */
  readonly completeBio: (dio: Dio, bio: Bio) => KernelReturn;
  /** dio_complete: the request is over. Its result; the dio is free afterwards. */
  readonly complete: (dio: Dio, returned: KernelReturn, flags: number) => MaybeTask<KernelReturn>;
}

/** One difference between a revision and its base, for the dial and the documentation. */
export interface RevisionChange {
  /** What is different, in one sentence. */
  readonly what: string;
  readonly reason: string;
  /** 'none': same behaviour, other text. */
  readonly effect: 'core' | 'detail' | 'none';
}

/** What a revision file exports. */
export interface RevisionSpec {
  readonly id: string;
  readonly title: string;
  /** Date of the text, YYYY-MM or YYYY-MM-DD. */
  readonly releasedOn: string;
  /** Null: the root, which brings every trait and step. */
  readonly basedOn: RevisionSpec | null;
  readonly traits: Partial<DioTraits>;
  readonly steps: Partial<DioSteps>;
  readonly changes: readonly RevisionChange[];
}

/** A revision, resolved: what a run uses. */
export interface Revision extends DioSteps {
  readonly id: string;
  readonly title: string;
  readonly releasedOn: string;
  readonly basedOn: string | null;
  readonly traits: DioTraits;
  /** All changes, own ones first, then those of the bases. */
  readonly changes: readonly RevisionChange[];
}
