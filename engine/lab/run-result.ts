// SPDX-License-Identifier: GPL-2.0-only
/** From what a run counted to its result: plain data. */
import type { ExecutorChoice } from '../executor/contract.ts';
import type { QueueCounters } from '../block/index.ts';
import type { FileExtent, IoCounters } from '../vfs/index.ts';
import { SECTOR_BYTES } from '../base/index.ts';
import type { Experiment, Job } from './experiment.ts';
import type { DirectionRecord, JobRecord } from './load.ts';
import type { DeviceCounters, DirectionResult, HostEvidence, JobResult } from './result.ts';

/** CPU time, in ns. */
export interface CpuTimes {
  readonly userNs: number;
  readonly systemNs: number;
}

/** Results of all jobs. The engine is one process: its CPU time is shared out by the requests that each job did. */
export function jobResults(
  experiment: Experiment,
  records: readonly JobRecord[],
  executor: ExecutorChoice | null,
  cpu: CpuTimes,
): JobResult[] {
  const done = records.map((record) =>
    record.directions.reduce((sum, direction) => sum + direction.totalIos, 0),
  );
  const all = done.reduce((sum, count) => sum + count, 0);
  return experiment.jobs.map((job, index) => {
    const record = records[index] as JobRecord;
    const share = all === 0 ? 1 / records.length : (done[index] as number) / all;
    const runtimeNs = Math.max(0, record.lastEndNs - job.rampSeconds * 1e9);
    return {
      name: job.name,
      read: directionResult(record.directions[0], runtimeNs),
      write: directionResult(record.directions[1], runtimeNs),
      syncs: record.syncs.summary(),
      executor: executor ?? withoutExecutor(job),
      errors: { ...record.errors },
      firstError: record.firstError,
      userCpuNs: cpu.userNs * share,
      systemCpuNs: cpu.systemNs * share,
      submit: { ...record.submit },
    };
  });
}

/** Devices without an executor serve every engine as it is. */
function withoutExecutor(job: Job): ExecutorChoice {
  const { ioEngine, ioDepth } = job;
  return { asked: ioEngine, got: ioEngine, refusals: [], depthAsked: ioDepth, depthGot: ioDepth };
}

function directionResult(record: DirectionRecord, runtimeNs: number): DirectionResult {
  const seconds = runtimeNs / 1e9;
  const isEmpty = record.totalIos === 0;
  return {
    totalIos: record.totalIos,
    shortIos: record.shortIos,
    bytes: record.bytes,
    runtimeNs: isEmpty ? 0 : runtimeNs,
    iops: isEmpty || seconds === 0 ? 0 : record.totalIos / seconds,
    bytesPerSecond: isEmpty || seconds === 0 ? 0 : record.bytes / seconds,
    slat: record.slat.summary(),
    clat: record.clat.summary(),
    lat: record.lat.summary(),
  };
}

/** What was counted since `before`. */
export function countersSince(now: IoCounters, before: IoCounters): IoCounters {
  return {
    requests: now.requests - before.requests,
    getBlockCalls: now.getBlockCalls - before.getBlockCalls,
    bios: now.bios - before.bios,
    bioBytes: now.bioBytes - before.bioBytes,
    zeroedBlocks: now.zeroedBlocks - before.zeroedBlocks,
    zeroedBytes: now.zeroedBytes - before.zeroedBytes,
    fallbacks: now.fallbacks - before.fallbacks,
    fallbackBytes: now.fallbackBytes - before.fallbackBytes,
  };
}

/** What the device did since `before`. */
export function deviceCountersSince(now: QueueCounters, before: DeviceCounters): DeviceCounters {
  return {
    reads: now.reads - before.reads,
    writes: now.writes - before.writes,
    flushes: now.flushes - before.flushes,
    readBytes: now.readBytes - before.readBytes,
    writeBytes: now.writeBytes - before.writeBytes,
    merges: now.merges - before.merges,
    splits: now.splits - before.splits,
  };
}

/** Where nobody watches the host. */
export const NO_EVIDENCE: Omit<HostEvidence, 'isDirect' | 'directRefusedWhy'> = {
  deviceName: null,
  deviceReadBytes: null,
  deviceWriteBytes: null,
  processReadBytes: null,
  processWriteBytes: null,
  pageCacheGrowthBytes: null,
};

/**
 * From an offset in the file to a sector of the device, by the file's extents; -1 where the offset lies in a hole or beyond them.
 * Extents are in file order.
 */
export function sectorFinder(
  extents: readonly FileExtent[],
  blockSizeBytes: number,
): (fileOffsetBytes: number) => number {
  const starts = Float64Array.from(extents, (extent) => extent.fileBlock * blockSizeBytes);
  return (fileOffsetBytes) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= fileOffsetBytes) low = middle + 1;
      else high = middle;
    }
    const extent = extents[low - 1];
    if (extent === undefined || extent.deviceBlock === null) return -1;
    const within = fileOffsetBytes - (starts[low - 1] as number);
    if (within >= extent.count * blockSizeBytes) return -1;
    return Math.floor((extent.deviceBlock * blockSizeBytes + within) / SECTOR_BYTES);
  };
}
