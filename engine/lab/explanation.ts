// SPDX-License-Identifier: GPL-2.0-only
/** What the lab says about one request: asked, step by step, and what would have passed. Data only. */
import type { TraceRow } from '../base/index.ts';
import type { Target } from './experiment.ts';

export interface ExplainRequest {
  readonly target: Target;
  readonly op: 'read' | 'write';
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Distance of the buffer from a page boundary. */
  readonly memoryOffsetBytes: number;
  readonly isAsync: boolean;
  readonly isDsync: boolean;
  readonly revision: string;
}

export type ExplainLevel = 'upper' | 'loop' | 'lower';

/** One decision about a request, in words and numbers. */
export interface ExplainStep {
  readonly title: string;
  readonly text: string;
  /** The kernel function it stands for, 'fs/direct-io.c:get_more_blocks'. */
  readonly site: string;
  readonly values: Readonly<Record<string, number | string>>;
  /**
   * Where the image lies in a file of an image: whose step it is, the upper file system's, the loop driver's between them, or the lower
   * one's. Absent: there is one level only.
   */
  readonly level?: ExplainLevel;
  /** First and last row of the trace that it tells; absent where it tells none. */
  readonly rows?: readonly [first: number, last: number];
}
export interface Explanation {
  readonly steps: readonly ExplainStep[];
  readonly result: {
    readonly ok: boolean;
    readonly text: string;
    readonly returned: number | string;
  };
  readonly alignment: AlignmentVerdict;
  readonly counters: {
    readonly getBlockCalls: number;
    readonly bios: number;
    readonly bioBytes: number;
    readonly zeroedBytes: number;
  };
  readonly trace: readonly TraceRow[];
  readonly revision: string;
}

/** What the three alignment dials come to. */
export interface AlignmentVerdict {
  readonly passes: boolean;
  /** Unit the request is done in: the file system's block or the device's logical block; null where it is refused. */
  readonly unitBytes: number | null;
  readonly blockFactorBits: number | null;
  readonly text: string;
  /** Which of the three is at fault (or, where it passes in the small unit, kept it from the large one). */
  readonly offenders: readonly ('offset' | 'length' | 'memory')[];
  /** Requests near it that pass, nearest first. */
  readonly nearest: readonly {
    readonly offsetBytes: number;
    readonly lengthBytes: number;
    readonly memoryBytes: number;
  }[];
}
