// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a revision of direct I/O is: traits (data) plus steps (functions at the kernel's own seams). A revision file lists what
 * differs from its base, each with the reason; resolve.ts makes the flat record that a run uses.
 */
import type {
  BIO_CLOSE_REASONS,
  Errno,
  KernelReturn,
  MaybeTask,
  TraceKindId,
} from '../base/index.ts';
import type { Bio } from '../block/index.ts';
import type { DirectIoCallers, DirectIoRequest } from '../vfs/index.ts';
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

/**
 * Where a change can be seen: at the first place in which the trace with it ("here") and one without it ("there") part. Data, so that
 * a difference is named by the revisions' own list. Of several that fit, the one with more conditions counts.
 */
export interface ChangeSign {
  /**
   * 'both': both have such a row there, and differ in `column` (or anywhere). 'only-here', 'only-there': only the trace with, or
   * without, the change has it there. 'returned': the calls return other values. 'left': all rows agree, and references on the
   * caller's pages are left. 'stop': the kernel with the change stopped.
   */
  readonly at: 'both' | 'only-here' | 'only-there' | 'returned' | 'left' | 'stop';
  readonly row?: TraceKindId;
  readonly column?: string;
  readonly when?: SignConditions;
}

/** What is known of a value: its sign, or the errno that it is minus of. */
export type ValueSign = 'negative' | 'positive' | Errno;

export interface SignConditions {
  readonly op?: 'read' | 'write';
  readonly isAsync?: boolean;
  /** Why the bio before the difference ended, in one of the traces. */
  readonly closedBy?: (typeof BIO_CLOSE_REASONS)[number];
  /** A row of this kind came before the difference, with or without the change. */
  readonly after?: TraceKindId;
  readonly afterThere?: TraceKindId;
  /** A bio had failed before it. */
  readonly afterFailedBio?: true;
  /** Of 'returned': the values with and without the change. */
  readonly returnedHere?: ValueSign;
  readonly returnedThere?: ValueSign;
  /** Of 'stop': words of what the kernel stopped with. */
  readonly stoppedWith?: string;
}

/**
 * What direct I/O promises whatever happens; test/property holds each for every revision whose changes do not break it.
 * 'write-place': written bytes land in their place of the file, and nothing else changes. 'write-memory': a write leaves the caller's
 * memory alone. 'write-count': a count is of bytes that were written. 'read-content': a read gives what the file holds, and zeros for
 * holes. 'read-count': a read ends at the end of the file, and a count is never negative. 'references': all references on pages are
 * dropped. 'nothing-stale': a block that becomes part of the file does not show what the disk held before. 'goes-on': no request
 * stops the kernel.
 */
export type DioPromise =
  | 'write-place'
  | 'write-memory'
  | 'write-count'
  | 'read-content'
  | 'read-count'
  | 'references'
  | 'nothing-stale'
  | 'goes-on';

/** One difference between a revision and its base, for the dial and the documentation. */
export interface RevisionChange {
  /** What is different, in one sentence. */
  readonly what: string;
  readonly reason: string;
  /** 'none': same behaviour, other text. */
  readonly effect: 'core' | 'detail' | 'none';
  /** Where it shows in a trace. Nothing: not in the trace (an effect of 'none'), or not told apart. */
  readonly shows?: readonly ChangeSign[];
  /** Promises that this revision, and those based on it, break. */
  readonly breaks?: readonly DioPromise[];
  /** The exhibit of the bug gallery that shows it. */
  readonly exhibit?: string;
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
  /** What the kernel around it did that its text relies on. Absent: as around its base. */
  readonly callers?: Partial<DirectIoCallers>;
  readonly changes: readonly RevisionChange[];
}

/** A revision, resolved: what a run uses. */
export interface Revision extends DioSteps {
  readonly id: string;
  readonly title: string;
  readonly releasedOn: string;
  readonly basedOn: string | null;
  readonly traits: DioTraits;
  readonly callers: DirectIoCallers;
  /** All changes, own ones first, then those of the bases. */
  readonly changes: readonly RevisionChange[];
}
