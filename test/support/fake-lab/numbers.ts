// SPDX-License-Identifier: GPL-2.0-only
/** Made-up measurements for the scripted lab: deterministic, shaped like a disk's. */
import type {
  DirectionResult,
  Experiment,
  LatencySummary,
  RunResult,
  SeriesPoint,
} from '../../../main/contract/index.ts';
import type { RequestColumns } from '../../../main/contract/bulk.ts';

/** A small generator (mulberry32): the same picture at every start. */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(6.28318 * random());

export function sampleLatencyNs(random: () => number): number {
  const kind = random();
  if (kind > 0.9995) return 4e6 * Math.exp(0.5 * normal(random));
  if (kind > 0.985) return 620e3 * Math.exp(0.25 * normal(random));
  return 268e3 * Math.exp(0.16 * normal(random));
}

function summaryOf(count: number, seed: number, scale: number): LatencySummary {
  const none = {
    count: 0,
    minNs: 0,
    maxNs: 0,
    meanNs: 0,
    stddevNs: 0,
    percentilesNs: {},
    bins: [],
  };
  if (count === 0) return none;
  const random = makeRandom(seed);
  const samples = Float64Array.from(
    { length: 60_000 },
    () => sampleLatencyNs(random) * scale,
  ).sort();
  const bins = new Map<number, number>();
  const weight = count / samples.length;
  for (const ns of samples) {
    const edge = Math.round(10 ** (Math.ceil(Math.log10(ns) * 100) / 100));
    bins.set(edge, (bins.get(edge) ?? 0) + weight);
  }
  const at = (share: number): number =>
    samples[Math.min(samples.length - 1, Math.floor(share * samples.length))] as number;
  return {
    count,
    minNs: samples[0] as number,
    maxNs: samples.at(-1) as number,
    meanNs: samples.reduce((sum, ns) => sum + ns, 0) / samples.length,
    stddevNs: 60e3,
    percentilesNs: { '50.000000': at(0.5), '99.000000': at(0.99), '99.900000': at(0.999) },
    bins: [...bins].map(([edge, each]) => [edge, Math.max(1, Math.round(each))] as const),
  };
}
function direction(count: number, seconds: number, bytes: number, seed: number): DirectionResult {
  const lat = summaryOf(count, seed, seed % 2 === 0 ? 1 : 1.7);
  return {
    totalIos: count,
    shortIos: 0,
    bytes: count * bytes,
    runtimeNs: seconds * 1e9,
    iops: count / seconds,
    bytesPerSecond: (count * bytes) / seconds,
    slat: lat,
    clat: lat,
    lat,
  };
}

export function pointAt(
  index: number,
  random: () => number,
  mix: number,
  bytes: number,
): SeriesPoint {
  const wave = 104_000 + 9_000 * Math.sin(index / 17) + 5_000 * normal(random) * 0.6;
  const read = wave * mix;
  const write = wave * (1 - mix);
  return {
    atNs: (index + 1) * 1e8,
    readIops: read,
    writeIops: write,
    readBytesPerSecond: read * bytes,
    writeBytesPerSecond: write * bytes,
    p50Ns: 266e3 + 9e3 * normal(random),
    p99Ns: 640e3 + 45e3 * normal(random),
    p999Ns: Math.abs(1.8e6 + 380e3 * normal(random)),
    inFlight: 30 + Math.round(2 * random()),
  };
}

export function requestColumns(rowCount: number, seconds: number, mix: number): RequestColumns {
  const random = makeRandom(11);
  const columns: RequestColumns = {
    rowCount,
    sampledEvery: rowCount >= 1_000_000 ? 2 : 1,
    atNs: new Float64Array(rowCount),
    latencyNs: new Float64Array(rowCount),
    sector: new Float64Array(rowCount),
    lengthBytes: new Uint32Array(rowCount).fill(4096),
    op: new Uint8Array(rowCount),
    status: new Int16Array(rowCount),
    job: new Uint8Array(rowCount),
  };
  for (let row = 0; row < rowCount; row += 1) {
    columns.atNs[row] = ((row + random()) / rowCount) * seconds * 1e9;
    columns.latencyNs[row] = sampleLatencyNs(random);
    const place = random();
    const base =
      place < 0.42
        ? 40_000 + place * 500_000
        : place < 0.8
          ? 420_000 + place * 480_000
          : 980_000 + place * 420_000;
    columns.sector[row] = Math.floor(base / 8) * 8;
    columns.op[row] = random() < mix ? 0 : 1;
  }
  return columns;
}

export function makeResult(
  experiment: Experiment,
  startedAtUnixMs: number,
  cancelledAt = 1,
): RunResult {
  const job = experiment.jobs[0];
  if (job === undefined) throw new Error('an experiment has a job');
  const seconds = (job.timeBased ? job.runtimeSeconds : 4) * cancelledAt;
  const mix = job.rw.endsWith('rw') ? job.rwMixReadPercent / 100 : job.rw.endsWith('read') ? 1 : 0;
  const bytes = job.blockSizes[0]?.sizeBytes ?? 4096;
  const count = Math.round(104_912 * seconds);
  const reads = Math.round(count * mix);
  const random = makeRandom(5);
  const isSplit = job.alignment.offsetBytes % 4096 !== 0;
  return {
    experiment,
    state: cancelledAt < 1 ? 'cancelled' : 'finished',
    startedAtUnixMs,
    elapsedNs: seconds * 1e9,
    jobs: [
      {
        name: job.name,
        read: direction(reads, seconds, bytes, 2),
        write: direction(count - reads, seconds, bytes, 3),
        syncs: summaryOf(0, 1, 1),
        executor: {
          asked: job.ioEngine,
          got: job.ioEngine,
          refusals: [],
          depthAsked: job.ioDepth,
          depthGot: job.ioDepth,
        },
        errors: {},
        firstError: null,
        userCpuNs: seconds * 0.31e9,
        systemCpuNs: seconds * 0.24e9,
      },
    ],
    counters: {
      requests: count,
      getBlockCalls: Math.round(count * 1.0004),
      bios: Math.round(count * 1.0004),
      bioBytes: count * bytes,
      zeroedBlocks: 0,
      zeroedBytes: 0,
      fallbacks: 0,
      fallbackBytes: 0,
    },
    device: {
      reads,
      writes: count - reads,
      flushes: 0,
      readBytes: reads * bytes,
      writeBytes: (count - reads) * bytes,
      merges: 0,
      splits: 0,
    },
    series: Array.from({ length: Math.round(seconds * 10) }, (_, index) =>
      pointAt(index, random, mix, bytes),
    ),
    host: {
      deviceName: 'vda',
      deviceReadBytes: reads * bytes + 8192,
      deviceWriteBytes: (count - reads) * bytes,
      processReadBytes: reads * bytes,
      processWriteBytes: (count - reads) * bytes,
      pageCacheGrowthBytes: 0,
      isDirect: true,
      directRefusedWhy: null,
    },
    verdict: [
      {
        tone: 'good',
        text: 'Really direct. Every request reached the device, and the host’s page cache of the image grew by 0 B.',
        evidence: ['host.isDirect', 'host.pageCacheGrowthBytes'],
      },
      ...(isSplit
        ? [
            {
              tone: 'warn' as const,
              text: 'Small units. The offset is not a multiple of the 4 KiB block, so the request is done in 512 B units (block factor 3): each touches two blocks.',
              evidence: ['counters.getBlockCalls', 'counters.bios'],
            },
          ]
        : [
            {
              tone: 'plain' as const,
              text: 'One mapping and one bio for nearly every request: 4 096 bytes a bio.',
              evidence: ['counters.getBlockCalls', 'counters.bioBytes'],
            },
          ]),
    ],
    virtualTime: false,
    traceRows: count,
    traceDropped: 0,
    deviceSectors: 2_097_152,
    notes: [],
    failure: null,
  };
}
