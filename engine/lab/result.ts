// SPDX-License-Identifier: GPL-2.0-only
/** What a run gives: numbers with their units, and the evidence behind each claim. Plain data that crosses processes. */
import type { HostErrorData } from '../base/index.ts';
import type { ExecutorChoice } from '../executor/contract.ts';
import type { LoopCounts, LoopRoad } from '../loop/index.ts';
import type { DirectIoEffects, IoCounters } from '../vfs/contract.ts';
import type { Experiment } from './experiment.ts';

/** A distribution of latencies. `bins` are [upper edge in ns, count] in order, exact to three digits. */
export interface LatencySummary {
  readonly count: number;
  readonly minNs: number;
  readonly maxNs: number;
  readonly meanNs: number;
  readonly stddevNs: number;
  /** Keys as fio prints them, '50.000000' .. '99.999000'. */
  readonly percentilesNs: Readonly<Record<string, number>>;
  readonly bins: readonly (readonly [number, number])[];
}

export interface DirectionResult {
  readonly totalIos: number;
  readonly shortIos: number;
  readonly bytes: number;
  /** Measured time of this direction. */
  readonly runtimeNs: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** Submission, completion, total. */
  readonly slat: LatencySummary;
  readonly clat: LatencySummary;
  readonly lat: LatencySummary;
}

export interface JobResult {
  readonly name: string;
  readonly read: DirectionResult;
  readonly write: DirectionResult;
  readonly syncs: LatencySummary;
  readonly executor: ExecutorChoice;
  /** By errno name. */
  readonly errors: Readonly<Record<string, number>>;
  /** The first request that failed, for the verdict and for explain. */
  readonly firstError: {
    readonly op: 'read' | 'write';
    readonly fileOffsetBytes: number;
    readonly lengthBytes: number;
    readonly errno: string;
  } | null;
  readonly userCpuNs: number;
  readonly systemCpuNs: number;
  /** How asynchronous submission really was; absent in results that did not measure it. */
  readonly submit?: SubmitBehaviour;
}

/** The truth about AIO: what the submissions of a job themselves did. Synchronous jobs have none. */
export interface SubmitBehaviour {
  /** Asynchronous requests submitted. */
  readonly submits: number;
  /** Of those: the submission itself slept (a lock, a metadata read, an allocating or extending write). */
  readonly slept: number;
  readonly sleptNs: number;
  readonly sleptMaxNs: number;
  /** Of those: already complete when the submission returned, so nothing about them was asynchronous. */
  readonly completedInSubmit: number;
}

/** One point of the time series; rates over the interval that ends at `atNs`. */
export interface SeriesPoint {
  readonly atNs: number;
  readonly readIops: number;
  readonly writeIops: number;
  readonly readBytesPerSecond: number;
  readonly writeBytesPerSecond: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly inFlight: number;
}

/** What the host's kernel counted for the file's device and for the process during the run; null where it cannot tell. */
export interface HostEvidence {
  readonly deviceName: string | null;
  readonly deviceReadBytes: number | null;
  readonly deviceWriteBytes: number | null;
  /** /proc/self/io of the engine process. */
  readonly processReadBytes: number | null;
  readonly processWriteBytes: number | null;
  /** Pages of the image file in the host's page cache: growth in bytes. */
  readonly pageCacheGrowthBytes: number | null;
  readonly isDirect: boolean;
  readonly directRefusedWhy: string | null;
}

/** A claim in words with the evidence it rests on. */
export interface VerdictClaim {
  readonly tone: 'good' | 'warn' | 'bad' | 'plain';
  readonly text: string;
  /** Names of counters, result fields or rules; the interface links them. */
  readonly evidence: readonly string[];
}

export interface DeviceCounters {
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly merges: number;
  readonly splits: number;
}

/** Evidence of how a revision behaved, and of what it left behind. */
export interface RevisionEffects extends Readonly<DirectIoEffects> {
  /** References on pages of the load's buffers that nobody dropped. */
  readonly leakedReferences: number;
  /** By so much the zero page's reference count is off. */
  readonly zeroPageReferences: number;
  /** From the end of the file to the end of the farthest write behind which nobody moved it; cut off at the end of the run. */
  readonly lostBytes: number;
}

/** An image in a file of an image: what the engine's loop driver did during the load, and what both page caches held at its end. */
export interface LoopEvidence extends LoopCounts {
  readonly transfer: 'buffered' | 'direct';
  /** How the data really went. */
  readonly road: LoopRoad;
  /** Direct transfer was asked for and could not be; why. */
  readonly fellBackWhy: string | null;
  /** Bytes that the upper file system copied between its page cache and the caller's memory. */
  readonly upperCopiedBytes: number;
  /** Requests of the upper file system to the loop device, and of the lower one to the device below. */
  readonly requestsAbove: number;
  readonly requestsBelow: number;
  /** Cached pages of the upper file, and of the lower one that holds the image. */
  readonly upperCachedPages: number;
  readonly lowerCachedPages: number;
  /** Of the upper file's cached pages: the same bytes lie in the lower page cache, too. */
  readonly pagesHeldTwice: number;
}

/** Request rows as columns (bounded; `sampledEvery` > 1 where they had to be thinned). */
export interface RequestColumns {
  readonly rowCount: number;
  readonly sampledEvery: number;
  readonly atNs: Float64Array;
  readonly latencyNs: Float64Array;
  readonly sector: Float64Array;
  readonly lengthBytes: Uint32Array;
  /** 0 read, 1 write. */
  readonly op: Uint8Array;
  /** 0 or minus an errno. */
  readonly status: Int16Array;
  readonly job: Uint8Array;
}

export interface RunResult {
  readonly experiment: Experiment;
  readonly state: 'finished' | 'cancelled' | 'failed';
  readonly startedAtUnixMs: number;
  readonly elapsedNs: number;
  readonly jobs: readonly JobResult[];
  readonly counters: IoCounters;
  /** What the chosen revision of direct I/O did to the run; absent in results that did not count it. */
  readonly revisionEffects?: RevisionEffects;
  readonly device: DeviceCounters;
  /** Where the image lies in a file of the image; absent: it does not. */
  readonly loop?: LoopEvidence;
  readonly series: readonly SeriesPoint[];
  readonly host: HostEvidence;
  readonly verdict: readonly VerdictClaim[];
  /** True where time was the model's own. */
  readonly virtualTime: boolean;
  readonly traceRows: number;
  readonly traceDropped: number;
  /** Sectors of the device, for the scatter's axis. */
  readonly deviceSectors: number;
  readonly notes: readonly string[];
  readonly failure: HostErrorData | null;
}

/** What a running run says of itself, 10 to 30 times a second. */
export interface RunProgress {
  readonly phase: 'preparing' | 'ramp' | 'running' | 'draining' | 'finishing';
  readonly phaseText: string;
  readonly elapsedNs: number;
  /** 0..1; null while it cannot be known. */
  readonly fraction: number | null;
  readonly remainingNs: number | null;
  readonly doneIos: number;
  readonly doneBytes: number;
  readonly inFlight: number;
  readonly depth: number;
  readonly latest: SeriesPoint | null;
  readonly engineUserPercent: number;
  readonly engineSystemPercent: number;
}
