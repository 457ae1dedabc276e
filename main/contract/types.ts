// SPDX-License-Identifier: GPL-2.0-only
/** Types that faces read. Data only: they cross processes as they are. */
import type {
  Comparison,
  ExhibitInfo,
  ExhibitRun,
  RevisionRun,
  RevisionSummary,
  TraceDifference,
} from '../../engine/lab/comparison.ts';
import type {
  AlignmentVerdict,
  ExplainRequest,
  Explanation,
  ExplainStep,
} from '../../engine/lab/explanation.ts';
import type {
  CheckedAnswer,
  CheckedField,
  Exercise,
  LessonAnswer,
  LessonContentRun,
  LessonEvidence,
  LessonField,
  LessonImage,
  LessonInfo,
  LessonRequest,
} from '../../engine/lab/lesson.ts';
import type { HostErrorData, OptionSchema, TraceRow } from '../../engine/base/index.ts';
import type { FileExtent, DirectoryEntry, FileSystemProbe } from '../../engine/vfs/contract.ts';
import type { Experiment, Job, Target } from '../../engine/lab/experiment.ts';
import type {
  DeviceCounters,
  DirectionResult,
  HostEvidence,
  JobResult,
  LatencySummary,
  RunProgress,
  RunResult,
  SeriesPoint,
  VerdictClaim,
} from '../../engine/lab/result.ts';
import type { VerifyResult } from './grounds.ts';

export type {
  AlignmentVerdict, Comparison, ExhibitInfo, ExhibitRun, RevisionRun, RevisionSummary, TraceDifference, DeviceCounters, DirectionResult, DirectoryEntry, Experiment, ExplainRequest, ExplainStep, Explanation, FileExtent, FileSystemProbe, HostErrorData, HostEvidence, Job,
  JobResult, LatencySummary, OptionSchema, RunProgress, RunResult, SeriesPoint, Target, TraceRow, VerdictClaim,
}; // prettier-ignore

export type {
  CheckedAnswer, CheckedField, Exercise, LessonAnswer, LessonContentRun, LessonEvidence, LessonField, LessonImage, LessonInfo, LessonRequest,
}; // prettier-ignore

export { BLOCK_USES } from '../../engine/lab/workbench.ts';
export type {
  BlockDescription,
  BlockUse,
  NamedFact,
  StructureField,
} from '../../engine/vfs/contract.ts';

/** Before the name of an image in the lab's own folder: `lab:first-light.img`. Stands wherever an image's path may stand. */
export const LAB_IMAGE_PREFIX = 'lab:';

/** One thing that this host can or cannot do. */
export interface HostFact {
  readonly id: string;
  readonly title: string;
  readonly state: 'yes' | 'no' | 'partly';
  /** One sentence with values. */
  readonly text: string;
  /** Where it is missing: the way to get it, or null where there is none. */
  readonly remedy: string | null;
}
export interface HostFacts {
  readonly facts: readonly HostFact[];
  readonly platform: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly dataFolder: string;
  readonly version: string;
  /** Which face this is: what the window can do and the browser cannot. */
  readonly face: 'window' | 'browser' | 'terminal';
}

/** A module of a visible list, as the interface shows it. */
export interface ModuleInfo {
  readonly id: string;
  readonly title: string;
  readonly help: string;
  readonly options: OptionSchema;
  readonly unavailableWhy: string | null;
}
export interface RevisionInfo {
  readonly id: string;
  readonly title: string;
  readonly releasedOn: string;
  readonly basedOn: string | null;
}
export interface Catalogue {
  readonly devices: readonly ModuleInfo[];
  readonly fileSystems: readonly (ModuleInfo & {
    readonly canWrite: boolean;
    readonly canFormat: boolean;
    /** Who can make it: the lab's own code, and the host's mkfs where that is installed. Absent: as `canFormat` says, the lab's. */
    readonly formatters?: readonly ('lab' | 'system')[];
  })[];
  readonly executors: readonly ModuleInfo[];
  readonly revisions: readonly RevisionInfo[];
  readonly presets: readonly Preset[];
}
export interface Preset {
  readonly id: string;
  readonly title: string;
  /** One sentence: what it shows. */
  readonly help: string;
  readonly experiment: Experiment;
}

/** An image as probing found it. */
export interface ImageInfo {
  readonly path: string;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  readonly madeByLab: boolean;
  readonly writable: boolean;
  /** Why it cannot be used now (in use elsewhere, not a regular file...); null: it can. */
  readonly refusal: HostErrorData | null;
  readonly fileSystemId: string;
  readonly probe: FileSystemProbe | null;
  readonly isDirect: boolean;
  readonly directRefusedWhy: string | null;
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
}
export interface ImageEntry extends DirectoryEntry {
  readonly sizeBytes: number;
}
export interface FileMap {
  readonly blockSizeBytes: number;
  readonly sizeBytes: number;
  readonly extents: readonly FileExtent[];
}

export interface ExperimentCheck {
  readonly problems: readonly HostErrorData[];
  readonly alignment: readonly AlignmentVerdict[];
  /** Plain-language summary of what will happen. */
  readonly summary: readonly string[];
  readonly estimateSeconds: number | null;
  readonly willWriteBytes: number | null;
  readonly needsConsent: boolean;
}
export interface ParsedText {
  readonly experiment: Experiment | null;
  /** `line` counts from 1. */
  readonly problems: readonly (HostErrorData & { readonly line: number | null })[];
  /** Keys that are recognised as fio's and not honoured, and the like. */
  readonly notes: readonly string[];
}

export type RunState =
  'preparing' | 'running' | 'finished' | 'cancelled' | 'failed' | 'unfinished' | 'aborted';
export interface RunListEntry {
  readonly id: string;
  readonly name: string;
  readonly state: RunState;
  readonly startedAtUnixMs: number;
  readonly elapsedNs: number | null;
  readonly summary: {
    readonly rw: string;
    readonly blockSizeBytes: number;
    readonly ioEngine: string;
    readonly ioDepth: number;
    readonly fileSystem: string;
    readonly revision: string;
    readonly iops: number | null;
    readonly bytesPerSecond: number | null;
    readonly p50Ns: number | null;
    readonly p99Ns: number | null;
  };
  /** What was found out about its image afterwards; absent or null: nothing was looked at. */
  readonly verify?: VerifyResult | null;
}
/** The result of a run with what was found out about its image afterwards. */
export interface KeptRunResult extends RunResult {
  readonly verify?: VerifyResult | null;
}
export type RunEvent =
  | { readonly kind: 'progress'; readonly progress: RunProgress }
  | { readonly kind: 'series'; readonly points: readonly SeriesPoint[] }
  | { readonly kind: 'ended'; readonly state: RunState; readonly failure: HostErrorData | null };
