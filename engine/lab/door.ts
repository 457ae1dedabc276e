// SPDX-License-Identifier: GPL-2.0-only
/**
 * The lab's door: what main/ may ask of the engine. Everything here runs to its end on the calling thread and blocks it, so main/
 * calls it on a thread made for it (the engine process's engine thread), never on one with a message loop.
 */
import type { Arena, Clock, TraceColumns } from '../base/index.ts';
import type {
  DevicePorts,
  ExecutorPort,
  ImageFilePort,
  LoopPort,
  PlainFilePort,
} from '../devices/contract.ts';
import type { DirectoryEntry, FileExtent, FileSystemProbe } from '../vfs/contract.ts';
import type { Comparison, CompareRequest, ExhibitRun } from './comparison.ts';
import type { Experiment, Target } from './experiment.ts';
import type { ExplainRequest, Explanation } from './explanation.ts';
import type { CheckedAnswer, Exercise, LessonAnswer, LessonImageBytes } from './lesson.ts';
import type { PartitionTable } from './partition-table.ts';
import type {
  HostEvidence,
  RequestColumns,
  RunProgress,
  RunResult,
  SeriesPoint,
} from './result.ts';
import type { WorkbenchTools } from './workbench.ts';

/** What the lab needs of the host. Optional ports may be missing: modules that need them then say so. */
export interface LabPorts {
  readonly clock: Clock;
  /** Unix time, for what is written down (time stamps on disk and in results). */
  readonly unixMs: () => number;
  /** Makes the arena of a run; `pageCount` pages of 4096 bytes. */
  readonly makeArena: (pageCount: number) => Arena;
  /** Takes an arena back that nobody reads or writes any more: a later `makeArena` may give it again, cleared. Absent: not kept. */
  readonly releaseArena?: (arena: Arena) => void;
  readonly imageFiles?: ImageFilePort;
  readonly executors?: ExecutorPort;
  readonly loops?: LoopPort;
  readonly plainFiles?: PlainFilePort;
  /** CPU time of the engine process so far. */
  readonly cpuTimes: () => { readonly userNs: number; readonly systemNs: number };
  /** Begins to watch what the host counts for an image file; call the result at the end of the run. */
  readonly watchHost?: (
    imagePath: string,
  ) => () => Omit<HostEvidence, 'isDirect' | 'directRefusedWhy'>;
}

export interface RunControl {
  /** Looked at between requests; true once the person cancelled. */
  isStopRequested(): boolean;
  /** 10 to 30 times a second. */
  onProgress(progress: RunProgress, newPoints: readonly SeriesPoint[]): void;
}
export interface RunOutcome {
  readonly result: RunResult;
  readonly requests: RequestColumns;
  readonly trace: TraceColumns | null;
}

/** Implemented in run.ts, explain.ts, compare.ts, gallery/, lessons/, image-tools.ts and workbench/. Host refusals are thrown as `HostError`. */
export interface Lab {
  run(experiment: Experiment, ports: LabPorts, control: RunControl): RunOutcome;
  explain(request: ExplainRequest, ports: LabPorts): Explanation;
  /** The same request on several revisions. */
  compare(request: CompareRequest, ports: LabPorts): Comparison;
  /** An exhibit of the bug gallery on its old and its fixed revision; it needs nothing of the host. */
  exhibit(id: string): ExhibitRun;
  lessons: LessonTools;
  image: ImageTools;
  workbench: WorkbenchTools;
}

/** Exercises on images in memory, made from a seed. They need memory of the host, and no file. */
export interface LessonTools {
  /** The question with the numbers of the seed. */
  start(ports: LabPorts, id: string, seed: number): Exercise;
  /** Checks the answer against what the engine does on the image. */
  answer(ports: LabPorts, id: string, seed: number, answer: LessonAnswer): CheckedAnswer;
  /** The bytes of an image of the exercise. */
  image(ports: LabPorts, id: string, seed: number, imageId: string): LessonImageBytes;
}

export interface OpenedProbe {
  readonly sizeBytes: number;
  readonly fileSystemId: string;
  readonly probe: FileSystemProbe | null;
  readonly isDirect: boolean;
  readonly directRefusedWhy: string | null;
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
}
/** Work on the files inside an image, or in a partition of it. Paths inside are absolute, '/' separated. */
export interface ImageTools {
  probe(ports: LabPorts, path: string): OpenedProbe;
  /** The partition table and what each partition holds; `kind` is null where the image has none. A damaged table is a `HostError`. */
  partitions(ports: LabPorts, path: string): PartitionTable;
  /** Formats an existing regular file of the right size, made by the caller for this purpose. */
  format(
    ports: LabPorts,
    path: string,
    fileSystemId: string,
    options: Readonly<Record<string, unknown>>,
  ): void;
  list(
    ports: LabPorts,
    path: string,
    folder: string,
    partition?: number | null,
  ): (DirectoryEntry & { readonly sizeBytes: number })[];
  map(
    ports: LabPorts,
    path: string,
    file: string,
    partition?: number | null,
  ): {
    readonly blockSizeBytes: number;
    readonly sizeBytes: number;
    readonly extents: FileExtent[];
  };
  /** Reads a file in pieces of at most 1 MiB. */
  read(
    ports: LabPorts,
    path: string,
    file: string,
    onData: (bytes: Uint8Array) => void,
    partition?: number | null,
  ): void;
  /** Makes the file, or replaces its content; `nextData` gives null at the end. */
  write(
    ports: LabPorts,
    path: string,
    file: string,
    nextData: () => Uint8Array | null,
    partition?: number | null,
  ): void;
}
export type { DevicePorts, Target };
