// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the host process and an engine process say to each other, and what the engine process's two threads say to each other. Plain
 * data only: it crosses by structured clone (child_process with `serialization: 'advanced'`, or a utility process's port).
 *
 *   host process  --ToEngine-->  engine process, main thread  --ToThread-->    engine thread (synchronous, blocks)
 *                 <-FromEngine--                              <-FromThread--
 *                                                             ==control words (shared)==>  stop, credit
 */
import type { HostErrorData, TraceColumns } from '../../engine/base/index.ts';
import type { Comparison, CompareRequest, ExhibitRun } from '../../engine/lab/comparison.ts';
import type { OpenedProbe } from '../../engine/lab/door.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import type { ExplainRequest, Explanation } from '../../engine/lab/explanation.ts';
import type {
  CheckedAnswer,
  Exercise,
  LessonAnswer,
  LessonImageBytes,
} from '../../engine/lab/lesson.ts';
import type {
  RequestColumns,
  RunProgress,
  RunResult,
  SeriesPoint,
} from '../../engine/lab/result.ts';
import type {
  BlockBytes,
  Fragmentation,
  ImageLayout,
  LayoutRecipe,
  Place,
  PlaceFacts,
  PreviewBytes,
  TransferOutcome,
  TransferPart,
} from '../../engine/lab/workbench.ts';
import type { PartitionTable } from '../../engine/lab/partition-table.ts';
import type { FileMap, HostFact, ImageEntry } from '../contract/types.ts';
import type { FileDifference } from '../contract/grounds.ts';
import type { ImageUse } from '../contract/workbench.ts';

/** A loop device to attach and to keep. */
export interface HeldLoopAsk {
  readonly path: string;
  readonly sectorBytes: number;
  readonly directIo: boolean;
  readonly readOnly: boolean;
}
/** A loop device that this process keeps, as the kernel says that it is. */
export interface HeldLoop {
  readonly device: string;
  readonly imagePath: string;
  readonly sectorBytes: number;
  readonly hasDirectIo: boolean;
  readonly isReadOnly: boolean;
  readonly sizeBytes: number;
}
export interface CompareMountedAsk {
  /** What the engine reads. */
  readonly place: Place;
  /** What the kernel mounts: the image, or a copy of its partition. */
  readonly mountedPath: string;
}
/** Contents as the engine and as the kernel's own mount read them. */
export interface MountedComparison {
  /** Regular files read on both sides. */
  readonly files: number;
  readonly bytes: number;
  /** Entries of the kernel's that are neither files nor folders: left out. */
  readonly others: number;
  /** Entries that this user may not read, or that lie too deep: nothing is known about them. */
  readonly unread: number;
  /** Differences found; only the first is told in full. */
  readonly differences: number;
  readonly first: FileDifference | null;
}

interface InFile {
  readonly path: string;
  readonly file: string;
  readonly partition?: number | null;
}

/** Questions for the long-lived tools process: arguments and answer of each. */
export interface ToolCalls {
  probe: { ask: { path: string }; answer: OpenedProbe };
  format: {
    ask: { path: string; fileSystemId: string; options: Readonly<Record<string, unknown>> };
    answer: null;
  };
  list: { ask: { path: string; folder: string; partition?: number | null }; answer: ImageEntry[] };
  map: { ask: InFile; answer: FileMap };
  /** Content comes as 'data' messages, before the answer. */
  read: { ask: InFile; answer: null };
  /** Content is asked for with 'want-data' messages, before the answer. */
  write: { ask: InFile; answer: null };
  explain: { ask: ExplainRequest; answer: Explanation };
  compare: { ask: CompareRequest; answer: Comparison };
  exhibit: { ask: { id: string }; answer: ExhibitRun };
  'lesson-start': { ask: { id: string; seed: number }; answer: Exercise };
  'lesson-answer': {
    ask: { id: string; seed: number; answer: LessonAnswer };
    answer: CheckedAnswer;
  };
  'lesson-image': { ask: { id: string; seed: number; imageId: string }; answer: LessonImageBytes };
  facts: { ask: { folder: string }; answer: HostFact[] };
  partitions: { ask: { path: string }; answer: PartitionTable };
  'used-by': { ask: { path: string }; answer: ImageUse[] };
  stat: { ask: Place & { file: string | null }; answer: PlaceFacts };
  layout: { ask: Place; answer: ImageLayout };
  fragmentation: { ask: Place; answer: Fragmentation };
  block: { ask: Place & { block: number }; answer: BlockBytes };
  preview: {
    ask: Place & { file: string; offsetBytes: number; lengthBytes: number };
    answer: PreviewBytes;
  };
  'make-folder': { ask: Place & { folder: string }; answer: null };
  remove: { ask: Place & { file: string }; answer: number };
  rename: { ask: Place & { from: string; to: string }; answer: null };
  /** What is copied comes as 'part' messages, before the answer. */
  'get-tree': { ask: Place & { file: string }; answer: TransferOutcome };
  /** What is copied is asked for with 'want-data' messages, before the answer. */
  'put-tree': { ask: Place & { file: string }; answer: TransferOutcome };
  /** Progress comes as 'part' messages, before the answer. */
  'lay-out': { ask: Place & { recipe: LayoutRecipe }; answer: TransferOutcome };
  'loop-attach': { ask: HeldLoopAsk; answer: HeldLoop };
  'loop-detach': { ask: { device: string }; answer: boolean };
  'loops-held': { ask: Record<string, never>; answer: HeldLoop[] };
  /** Progress comes as 'part' messages, before the answer. */
  'compare-mounted': { ask: CompareMountedAsk; answer: MountedComparison };
}
export type ToolName = keyof ToolCalls;
export type ToolAsk = {
  [N in ToolName]: { readonly name: N; readonly ask: ToolCalls[N]['ask'] };
}[ToolName];
export type ToolAnswer = ToolCalls[ToolName]['answer'];

/** A piece of the columns of a run that ended: `rows` from `fromRow` on. */
export type RowBatch =
  | { readonly table: 'requests'; readonly fromRow: number; readonly columns: RequestColumns }
  | { readonly table: 'trace'; readonly fromRow: number; readonly columns: TraceColumns };
/** Rows of a batch at most: about 2.4 MB of requests, 4.6 MB of trace. */
export const ROWS_PER_BATCH = 65_536;

export type ToEngine =
  | { readonly kind: 'run'; readonly experiment: Experiment }
  | { readonly kind: 'call'; readonly callId: number; readonly call: ToolAsk }
  /** The stop order: submit no more, reap, close, end. */
  | { readonly kind: 'stop' }
  /** A batch, or a 'data' or 'part' message of a call, was taken: the next may come. */
  | { readonly kind: 'taken'; readonly callId: number | null }
  /** Answers 'want-data'; null: that was all. `failed`: there will be no more, undo. */
  | {
      readonly kind: 'data';
      readonly callId: number;
      readonly bytes: Uint8Array | null;
      /** Instead of bytes, where parts are asked for. */
      readonly part?: TransferPart | null;
      readonly failed: boolean;
    }
  | { readonly kind: 'give-up'; readonly callId: number }
  | { readonly kind: 'exit' };

export type FromEngine =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'progress';
      readonly progress: RunProgress;
      readonly points: readonly SeriesPoint[];
    }
  | { readonly kind: 'batch'; readonly batch: RowBatch }
  | { readonly kind: 'run-ended'; readonly result: RunResult }
  | { readonly kind: 'run-failed'; readonly error: HostErrorData }
  | { readonly kind: 'data'; readonly callId: number; readonly bytes: Uint8Array }
  | { readonly kind: 'part'; readonly callId: number; readonly part: TransferPart }
  | { readonly kind: 'want-data'; readonly callId: number }
  | { readonly kind: 'answer'; readonly callId: number; readonly answer: ToolAnswer }
  | { readonly kind: 'call-failed'; readonly callId: number; readonly error: HostErrorData }
  | { readonly kind: 'stop-acknowledged' }
  /** Last words before the process ends itself. */
  | { readonly kind: 'last-words'; readonly error: HostErrorData };

export type ToThread =
  | { readonly kind: 'run'; readonly experiment: Experiment }
  | { readonly kind: 'call'; readonly callId: number; readonly call: ToolAsk };
/** On the data port of the thread, which it reads without a turn of its message loop. */
export interface DataForThread {
  readonly callId: number;
  readonly bytes: Uint8Array | null;
  readonly part?: TransferPart | null;
  readonly failed: boolean;
}
export type FromThread =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'progress';
      readonly progress: RunProgress;
      readonly points: readonly SeriesPoint[];
    }
  | {
      readonly kind: 'run-ended';
      readonly result: RunResult;
      readonly requests: RequestColumns;
      readonly trace: TraceColumns | null;
    }
  | { readonly kind: 'run-failed'; readonly error: HostErrorData }
  | { readonly kind: 'data'; readonly callId: number; readonly bytes: Uint8Array }
  | { readonly kind: 'part'; readonly callId: number; readonly part: TransferPart }
  | { readonly kind: 'want-data'; readonly callId: number }
  | { readonly kind: 'answer'; readonly callId: number; readonly answer: ToolAnswer }
  | { readonly kind: 'call-failed'; readonly callId: number; readonly error: HostErrorData };

/** Words of the control block, shared by the two threads of an engine process. */
export const CONTROL = {
  /** 1: stop the run. */
  stop: 0,
  /** 'data' and 'part' messages that may still be sent. */
  credit: 1,
  /** Goes up with each message on the data port. */
  dataSequence: 2,
  /** callId of a call that nobody waits for any more, or EVERY_CALL; 0: none. Call ids start at 1. */
  givenUp: 3,
} as const;
export const CONTROL_WORDS = 4;
export const EVERY_CALL = -1;
/** 'data' and 'part' messages of 1 MiB at most that may be on their way at once. */
export const DATA_CREDIT = 4;

/** What the engine process hands its thread at birth. */
export interface ThreadBirth {
  readonly control: SharedArrayBuffer;
}
