// SPDX-License-Identifier: GPL-2.0-only
/** Well-formed experiments, results and columns for tests, with values that can be told apart row by row. */
import type { TraceColumns } from '../../../engine/base/index.ts';
import type { Experiment, Job } from '../../../engine/lab/experiment.ts';
import type {
  DirectionResult,
  LatencySummary,
  RequestColumns,
  RunProgress,
  RunResult,
} from '../../../engine/lab/result.ts';

export function jobOf(changes: Partial<Job> = {}): Job {
  return {
    name: 'job',
    rw: 'randread',
    rwMixReadPercent: 50,
    blockSizes: [{ sizeBytes: 4096, percent: 100 }],
    offsetBytes: 0,
    sizeBytes: null,
    ioSizeBytes: null,
    alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
    ioEngine: 'sync',
    ioDepth: 1,
    submitBatch: 1,
    numJobs: 1,
    direct: true,
    sync: 'none',
    nowait: false,
    fsyncEvery: 0,
    endFsync: false,
    runtimeSeconds: 0,
    timeBased: false,
    rampSeconds: 0,
    randSeed: 1,
    noRandomMap: false,
    distribution: { kind: 'random', parameter: 0 },
    ...changes,
  };
}

export function experimentOf(name: string, changes: Partial<Experiment> = {}): Experiment {
  return {
    name,
    target: {
      device: { id: 'memory', options: {} },
      fileSystem: { id: 'raw', options: {} },
      filePath: null,
      fileSizeBytes: null,
      create: null,
      consentToWrite: false,
    },
    jobs: [jobOf()],
    revision: '6.4',
    trace: { level: 'requests', rowsMax: 1_000_000 },
    ...changes,
  };
}

const noLatency: LatencySummary = {
  count: 0, minNs: 0, maxNs: 0, meanNs: 0, stddevNs: 0, percentilesNs: {}, bins: [],
}; // prettier-ignore
const latency: LatencySummary = {
  count: 10, minNs: 1000, maxNs: 9000, meanNs: 5000, stddevNs: 100,
  percentilesNs: { '50.000000': 5000, '99.000000': 8900 }, bins: [[5000, 9], [9000, 1]],
}; // prettier-ignore
const direction = (ios: number): DirectionResult => ({
  totalIos: ios,
  shortIos: 0,
  bytes: ios * 4096,
  runtimeNs: ios * 5000,
  iops: ios === 0 ? 0 : 200_000,
  bytesPerSecond: ios === 0 ? 0 : 819_200_000,
  slat: ios === 0 ? noLatency : latency,
  clat: ios === 0 ? noLatency : latency,
  lat: ios === 0 ? noLatency : latency,
});

export function resultOf(experiment: Experiment, changes: Partial<RunResult> = {}): RunResult {
  return {
    experiment,
    state: 'finished',
    startedAtUnixMs: 1_700_000_000_000,
    elapsedNs: 50_000,
    jobs: [
      {
        name: 'job',
        read: direction(10),
        write: direction(0),
        syncs: noLatency,
        executor: { asked: 'sync', got: 'sync', refusals: [], depthAsked: 1, depthGot: 1 },
        errors: {},
        firstError: null,
        userCpuNs: 1,
        systemCpuNs: 2,
      },
    ],
    counters: {
      requests: 10, getBlockCalls: 10, bios: 10, bioBytes: 40960,
      zeroedBlocks: 0, zeroedBytes: 0, fallbacks: 0, fallbackBytes: 0,
    },
    device: { reads: 10, writes: 0, flushes: 0, readBytes: 40960, writeBytes: 0, merges: 0, splits: 0 },
    series: [
      {
        atNs: 50_000, readIops: 200_000, writeIops: 0, readBytesPerSecond: 819_200_000,
        writeBytesPerSecond: 0, p50Ns: 5000, p99Ns: 8900, p999Ns: 9000, inFlight: 1,
      },
    ],
    host: {
      deviceName: null, deviceReadBytes: null, deviceWriteBytes: null, processReadBytes: null,
      processWriteBytes: null, pageCacheGrowthBytes: null, isDirect: true, directRefusedWhy: null,
    },
    verdict: [{ tone: 'good', text: 'scripted', evidence: [] }],
    virtualTime: false,
    traceRows: 0,
    traceDropped: 0,
    deviceSectors: 131_072,
    notes: [],
    failure: null,
    ...changes,
  }; // prettier-ignore
}

/** Row i: at i us, latency 1000 + i ns, sector 8 i, every third a write. */
export function requestColumns(rowCount: number): RequestColumns {
  const columns: RequestColumns = {
    rowCount,
    sampledEvery: 1,
    atNs: new Float64Array(rowCount),
    latencyNs: new Float64Array(rowCount),
    sector: new Float64Array(rowCount),
    lengthBytes: new Uint32Array(rowCount).fill(4096),
    op: new Uint8Array(rowCount),
    status: new Int16Array(rowCount),
    job: new Uint8Array(rowCount),
  };
  for (let i = 0; i < rowCount; i++) {
    columns.atNs[i] = 1000 * i;
    columns.latencyNs[i] = 1000 + i;
    columns.sector[i] = 8 * i;
    columns.op[i] = i % 3 === 2 ? 1 : 0;
    columns.status[i] = i % 100 === 99 ? -5 : 0;
  }
  return columns;
}

/** Row i: kind 0, at i us, dio i, bio -1 for even rows, values 6 i .. 6 i + 5. */
export function traceColumns(rowCount: number): TraceColumns {
  return {
    rowCount,
    droppedCount: 0,
    kind: new Uint8Array(rowCount),
    atNs: Float64Array.from({ length: rowCount }, (_, i) => 1000 * i),
    dioId: Uint32Array.from({ length: rowCount }, (_, i) => i),
    bioId: Int32Array.from({ length: rowCount }, (_, i) => (i % 2 === 0 ? -1 : i)),
    values: Float64Array.from({ length: 6 * rowCount }, (_, i) => i),
  };
}

export function progressOf(changes: Partial<RunProgress>): RunProgress {
  return {
    phase: 'running',
    phaseText: 'scripted',
    elapsedNs: 1,
    fraction: 0.5,
    remainingNs: null,
    doneIos: 0,
    doneBytes: 0,
    inFlight: 0,
    depth: 1,
    latest: null,
    engineUserPercent: 0,
    engineSystemPercent: 0,
    ...changes,
  };
}
