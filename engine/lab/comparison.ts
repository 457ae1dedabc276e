// SPDX-License-Identifier: GPL-2.0-only
/** One request on several revisions, and the bug gallery: what is asked and what comes out. Data only. */
import type { ExplainRequest, Explanation } from './explanation.ts';

/** The dial: the same request on each of `revisions` (ids), in that order. */
export interface CompareRequest {
  readonly request: Omit<ExplainRequest, 'revision'>;
  readonly revisions: readonly string[];
}

/** One line of the table over revisions. */
export interface RevisionSummary {
  /** Bytes, or an errno's name; what the modelled kernel stopped with where it stopped. */
  readonly returned: number | string;
  /** The asynchronous completion's value; null where there was none. */
  readonly completedWith: number | string | null;
  readonly getBlockCalls: number;
  readonly bios: number;
  readonly bytesPerBio: number | null;
  readonly zeroedBytes: number;
  /** The same by place: written to the disk from the zero page, and zeroed in the caller's memory (holes). */
  readonly zeroed: { readonly onDiskBytes: number; readonly inMemoryBytes: number };
  /** Locks that the code itself took, in order ('inode lock', 'i_alloc_sem'), each once. */
  readonly locks: readonly string[];
  /** Times the submitter slept for bios. */
  readonly waits: number;
  /** References on user pages that were never dropped. */
  readonly leakedReferences: number;
}

export interface RevisionRun {
  readonly revision: string;
  readonly explanation: Explanation;
  readonly summary: RevisionSummary;
  /** The modelled kernel stopped there (a BUG_ON, or what no kernel survives), and why; null: it did not. */
  readonly stopped: { readonly what: string; readonly why: string } | null;
}

/** Where two traces part: indices into `explanation.trace` of the first and the second; null where that one has ended; both null: the rows agree, but not the references that are left on the caller's pages. */
export interface TraceDifference {
  readonly leftRow: number | null;
  readonly rightRow: number | null;
  /** What of the revisions' own list of changes explains it; null where none does. */
  readonly change: {
    readonly revision: string;
    readonly what: string;
    readonly reason: string;
  } | null;
}
export interface Comparison {
  readonly runs: readonly RevisionRun[];
  /** Of each run against the first; null: the same (also at index 0). */
  readonly differences: readonly (TraceDifference | null)[];
}

/** One defect or limit that the history of the code shows: a runnable scenario with a question and its answer. */
export interface ExhibitInfo {
  readonly id: string;
  readonly title: string;
  /** Asked before anything runs. */
  readonly question: string;
  /** What is set up: the file, its blocks, the buffer, the request; plain sentences. */
  readonly setting: readonly string[];
  readonly oldRevision: string;
  readonly fixedRevision: string;
}
export interface ExhibitRun {
  readonly exhibit: ExhibitInfo;
  readonly comparison: Comparison;
  /** What to look at, from the runs' own numbers: one sentence each for the old and the fixed revision. */
  readonly observed: readonly [string, string];
  readonly answer: readonly string[];
  /** Bytes of the file's blocks on disk or of the buffer, as runs, where the exhibit is about content. */
  readonly content: readonly {
    readonly revision: string;
    readonly of: 'disk' | 'memory' | 'returned';
    readonly runs: readonly {
      readonly offsetBytes: number;
      readonly lengthBytes: number;
      readonly what: 'data' | 'zeros' | 'stale' | 'untouched';
    }[];
  }[];
}
