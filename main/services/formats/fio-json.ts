// SPDX-License-Identifier: GPL-2.0-only
/**
 * A result in the shape of fio's json+ output, so that tools which read fio's read ours unchanged; our own result is added whole under
 * `diolab`. Units are fio's: bw in KiB/s, runtime in ms, latencies in ns, elapsed in s.
 *
 * What fio has and we do not measure is 0, as fio itself writes for what it did not measure (page faults, context switches). Percentiles
 * and bins come with the total latency too: more than fio gives there, in the same form.
 */
import type {
  DirectionResult,
  Job,
  JobResult,
  LatencySummary,
  RunResult,
  SeriesPoint,
} from '../../contract/types.ts';
import { writeShares } from './job-keys.ts';
import { writeSize } from './quantities.ts';

type Json = Record<string, unknown>;

/** Edges of fio's latency tables; a column is "up to this many". */
const LATENCY_NS_EDGES = [2, 4, 10, 20, 50, 100, 250, 500, 750, 1000] as const;
const LATENCY_MS_EDGES = [2, 4, 10, 20, 50, 100, 250, 500, 750, 1000, 2000] as const;
const DEPTHS = [1, 2, 4, 8, 16, 32] as const;

/** The whole document. Experiments of several jobs give one entry of `jobs` each. */
export function formatFioResult(result: RunResult): Json {
  const endedAtUnixMs = result.startedAtUnixMs + Math.round(result.elapsedNs / 1e6);
  return {
    'fio version': 'diolab-0.1.0',
    timestamp: Math.floor(endedAtUnixMs / 1000),
    timestamp_ms: endedAtUnixMs,
    time: new Date(endedAtUnixMs).toUTCString(),
    'global options': { filename: imageOf(result) },
    jobs: result.jobs.map((job, index) =>
      jobJson(result, job, result.experiment.jobs[index] as Job, index),
    ),
    disk_util: diskUtil(result),
    diolab: result,
  };
}

function imageOf(result: RunResult): string {
  const { device } = result.experiment.target;
  const { path } = device.options;
  return typeof path === 'string' ? path : device.id;
}

function jobJson(result: RunResult, job: JobResult, asked: Job, index: number): Json {
  const { series } = result;
  const runtimeMs = Math.round(Math.max(job.read.runtimeNs, job.write.runtimeNs) / 1e6);
  const cpuPercent = (ns: number): number => (runtimeMs === 0 ? 0 : (ns / (runtimeMs * 1e6)) * 100);
  // The series is of all jobs together: with several it is left out rather than attributed.
  const points = result.jobs.length === 1 ? series : [];
  return {
    jobname: job.name,
    groupid: index,
    error: errorNumber(job),
    eta: 0,
    elapsed: Math.ceil(result.elapsedNs / 1e9),
    'job options': jobOptions(asked),
    read: directionJson(job.read, points, 'read'),
    write: directionJson(job.write, points, 'write'),
    trim: directionJson(NO_DIRECTION, [], 'read'),
    sync: { total_ios: job.syncs.count, lat_ns: latencyJson(job.syncs, true) },
    job_runtime: runtimeMs,
    usr_cpu: cpuPercent(job.userCpuNs),
    sys_cpu: cpuPercent(job.systemCpuNs),
    ctx: 0,
    majf: 0,
    minf: 0,
    iodepth_level: depthLevels(job.executor.depthGot, asked),
    ...latencyTables([job.read.lat, job.write.lat]),
    latency_depth: asked.ioDepth,
    latency_target: 0,
    latency_percentile: 100,
    latency_window: 0,
  };
}

const NO_LATENCY: LatencySummary = {
  count: 0,
  minNs: 0,
  maxNs: 0,
  meanNs: 0,
  stddevNs: 0,
  percentilesNs: {},
  bins: [],
};
const NO_DIRECTION: DirectionResult = {
  totalIos: 0,
  shortIos: 0,
  bytes: 0,
  runtimeNs: 0,
  iops: 0,
  bytesPerSecond: 0,
  slat: NO_LATENCY,
  clat: NO_LATENCY,
  lat: NO_LATENCY,
};

/** fio's `error` is an errno number; ours are names. The first is named. */
const ERRNO_NUMBERS: Readonly<Record<string, number>> = {
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EOPNOTSUPP: 95,
  ECANCELED: 125,
};
function errorNumber(job: JobResult): number {
  const [name] = Object.keys(job.errors);
  return name === undefined ? 0 : (ERRNO_NUMBERS[name] ?? 5);
}

function jobOptions(job: Job): Record<string, string> {
  const options: Record<string, string> = {
    name: job.name,
    rw: job.rw,
    [job.blockSizes.length > 1 ? 'bssplit' : 'bs']: writeShares(job.blockSizes),
    ioengine: job.ioEngine === 'sync' ? 'psync' : job.ioEngine,
    iodepth: String(job.ioDepth),
    numjobs: String(job.numJobs),
    direct: job.direct ? '1' : '0',
    randseed: String(job.randSeed),
  };
  if (job.rw.endsWith('rw')) options['rwmixread'] = String(job.rwMixReadPercent);
  if (job.offsetBytes > 0) options['offset'] = writeSize(job.offsetBytes);
  if (job.sizeBytes !== null) options['size'] = writeSize(job.sizeBytes);
  if (job.ioSizeBytes !== null) options['io_size'] = writeSize(job.ioSizeBytes);
  if (job.runtimeSeconds > 0) options['runtime'] = String(job.runtimeSeconds);
  if (job.timeBased) options['time_based'] = '1';
  if (job.noRandomMap) options['norandommap'] = '1';
  if (job.sync !== 'none') options['sync'] = job.sync;
  if (job.fsyncEvery > 0) options['fsync'] = String(job.fsyncEvery);
  if (job.endFsync) options['end_fsync'] = '1';
  return options;
}

function directionJson(
  direction: DirectionResult,
  series: readonly SeriesPoint[],
  kind: 'read' | 'write',
): Json {
  const isIdle = direction.totalIos === 0;
  const bandwidths = isIdle
    ? []
    : series.map(
        (point) => (kind === 'read' ? point.readBytesPerSecond : point.writeBytesPerSecond) / 1024,
      );
  const rates = isIdle
    ? []
    : series.map((point) => (kind === 'read' ? point.readIops : point.writeIops));
  const bandwidth = spread(bandwidths);
  const iops = spread(rates);
  return {
    io_bytes: direction.bytes,
    io_kbytes: Math.floor(direction.bytes / 1024),
    bw_bytes: Math.round(direction.bytesPerSecond),
    bw: Math.round(direction.bytesPerSecond / 1024),
    iops: direction.iops,
    runtime: Math.round(direction.runtimeNs / 1e6),
    total_ios: direction.totalIos,
    short_ios: direction.shortIos,
    drop_ios: 0,
    slat_ns: latencyJson(direction.slat, false),
    clat_ns: latencyJson(direction.clat, true),
    lat_ns: latencyJson(direction.lat, true),
    bw_min: Math.round(bandwidth.min),
    bw_max: Math.round(bandwidth.max),
    bw_agg: isIdle ? 0 : 100,
    bw_mean: bandwidth.mean,
    bw_dev: bandwidth.stddev,
    bw_samples: bandwidths.length,
    iops_min: Math.round(iops.min),
    iops_max: Math.round(iops.max),
    iops_mean: iops.mean,
    iops_stddev: iops.stddev,
    iops_samples: rates.length,
  };
}

function latencyJson(latency: LatencySummary, hasBins: boolean): Json {
  const { minNs, maxNs, meanNs, stddevNs, count } = latency;
  const json: Json = { min: minNs, max: maxNs, mean: meanNs, stddev: stddevNs, N: count };
  if (!hasBins || count === 0) return json;
  json['percentile'] = latency.percentilesNs;
  json['bins'] = Object.fromEntries(latency.bins.map(([edge, amount]) => [String(edge), amount]));
  return json;
}

function spread(values: readonly number[]): {
  min: number;
  max: number;
  mean: number;
  stddev: number;
} {
  if (values.length === 0) return { min: 0, max: 0, mean: 0, stddev: 0 };
  let min = Infinity;
  let max = 0;
  let sum = 0;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  const mean = sum / values.length;
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return { min, max, mean, stddev: Math.sqrt(squares / values.length) };
}

/** All requests run at the depth that the job keeps: the shares of fio's table, in percent. */
function depthLevels(depthGot: number, asked: Job): Json {
  const depth = asked.ioEngine === 'sync' ? 1 : Math.min(asked.ioDepth, Math.max(1, depthGot));
  const level = [...DEPTHS].reverse().find((edge) => depth >= edge) ?? 1;
  const levels: Json = {};
  for (const edge of DEPTHS) levels[String(edge)] = depth < 64 && edge === level ? 100 : 0;
  levels['>=64'] = depth >= 64 ? 100 : 0;
  return levels;
}

/** Share of requests, in percent, that took at most so long: fio's three tables. */
function latencyTables(latencies: readonly LatencySummary[]): Json {
  const total = latencies.reduce((sum, latency) => sum + latency.count, 0);
  const table = (edges: readonly number[], unitNs: number, fromNs: number): Json => {
    const json: Json = {};
    let lower = fromNs;
    for (const edge of edges) {
      json[String(edge)] = share(lower, edge * unitNs);
      lower = edge * unitNs;
    }
    return json;
  };
  const share = (aboveNs: number, upToNs: number): number => {
    if (total === 0) return 0;
    let count = 0;
    for (const { bins } of latencies) {
      for (const [edge, amount] of bins) if (edge > aboveNs && edge <= upToNs) count += amount;
    }
    return (count / total) * 100;
  };
  return {
    latency_ns: table(LATENCY_NS_EDGES, 1, -1),
    latency_us: table(LATENCY_NS_EDGES, 1e3, 1e3),
    latency_ms: { ...table(LATENCY_MS_EDGES, 1e6, 1e6), '>=2000': share(2000e6, Infinity) },
  };
}

function diskUtil(result: RunResult): Json[] {
  const { deviceName } = result.host;
  const { reads, writes, merges } = result.device;
  if (deviceName === null) return [];
  // Ours: requests of the engine to the image. The host's own counters are in diolab.host.
  return [
    {
      name: deviceName,
      read_ios: reads,
      write_ios: writes,
      read_merges: merges,
      write_merges: 0,
      read_ticks: 0,
      write_ticks: 0,
      in_queue: 0,
      util: 0,
    },
  ];
}
