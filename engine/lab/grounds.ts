// SPDX-License-Identifier: GPL-2.0-only
/**
 * The same job on several grounds: which there are, in which order they are measured, and what the samples say together. Pure data and
 * functions; who runs the experiments is main's affair.
 *
 *   engine         the engine on the file system in the image
 *   host-file      the host's own kernel on a plain file beside the image, by the same executor, without the engine
 *   loop-direct    the engine on a real loop device over the image, direct-io on
 *   loop-buffered  the same with direct-io off: the host's page cache lies between
 *   kernel-mount   the host's own file system code on that loop device (a read-only mount of the image), reads only
 *
 * Rules: 1. A round measures every ground once, in an order shuffled by the seed and the round; rounds follow each other. So what
 * changes slowly on the host changes for all. 2. A row is the median of its rounds with the smallest and the largest; ratios to the
 * engine are paired by round, and the median of those. 3. A ground measures memory where the disk moved less than half of what was
 * asked for, or where nothing says otherwise and its path has the host's page cache in it.
 */
import { Sfc32, type OptionValues } from '../base/index.ts';
import { experimentWrites } from './check.ts';
import type { Experiment, Target } from './experiment.ts';
import type { RunResult } from './result.ts';

export const GROUND_IDS = [
  'engine',
  'host-file',
  'loop-direct',
  'loop-buffered',
  'kernel-mount',
] as const;
export type GroundId = (typeof GROUND_IDS)[number];

interface Ground {
  readonly id: GroundId;
  readonly title: string;
  readonly help: string;
  /** Takes the privileged helper. */
  readonly needsHelper: boolean;
  /** The host's page cache lies in its path by design. */
  readonly isCached: boolean;
  /** Why it cannot take this experiment; null: it can. */
  readonly refusal: (experiment: Experiment) => string | null;
  readonly target: (target: Target) => Target;
}

const onLoop = (target: Target, directIo: boolean): Target => {
  const options: OptionValues = { path: target.device.options['path'] ?? '', directIo };
  return { ...target, device: { id: 'loop', options } };
};

/** In the order of the table. */
export const GROUNDS: readonly Ground[] = [
  {
    id: 'engine',
    title: 'Engine on the image',
    help: 'The engine on the file system in the image file.',
    needsHelper: false,
    isCached: false,
    refusal: () => null,
    target: (target) => target,
  },
  {
    id: 'host-file',
    title: 'Plain file of the host',
    help: "The host's own kernel on a plain file beside the image: the same executor, without the engine.",
    needsHelper: false,
    isCached: false,
    refusal: () => null,
    target: (target) => ({ ...target, by: 'host' }),
  },
  {
    id: 'loop-direct',
    title: 'Loop device, direct-io on',
    help: 'The engine on a real loop device that goes around the page cache under the image.',
    needsHelper: true,
    isCached: false,
    refusal: () => null,
    target: (target) => onLoop(target, true),
  },
  {
    id: 'loop-buffered',
    title: 'Loop device, direct-io off',
    help: "The engine on a real loop device that goes through the host's page cache.",
    needsHelper: true,
    isCached: true,
    refusal: () => null,
    target: (target) => onLoop(target, false),
  },
  {
    id: 'kernel-mount',
    title: "Kernel's own file system on the loop device",
    help: 'The file in the image, read through a mount by the host’s kernel, on a loop device with direct-io on.',
    needsHelper: true,
    isCached: false,
    refusal: (experiment) => {
      if (experimentWrites(experiment)) return 'the mount is read-only, and the job writes';
      if (experiment.target.filePath === null) return 'the job is not on a file in a file system';
      return null;
    },
    target: (target) => ({ ...onLoop(target, true), by: 'host', fileSizeBytes: null }),
  },
];

/** The experiment on a ground: traced not at all, and made from a target whose file is there. */
export function onGround(experiment: Experiment, id: GroundId): Experiment {
  const ground = GROUNDS.find((one) => one.id === id) as Ground;
  return {
    ...experiment,
    name: `${experiment.name}: ${ground.title}`,
    target: { ...ground.target(experiment.target), create: null },
    trace: { level: 'off', rowsMax: 0 },
  };
}

/** Order of measuring: one list of grounds a round. The same seed gives the same order. */
export function groundOrder(ids: readonly GroundId[], rounds: number, seed: number): GroundId[][] {
  const random = new Sfc32(seed, rounds);
  return Array.from({ length: rounds }, () => {
    const order = [...ids];
    for (let at = order.length - 1; at > 0; at--) {
      const other = random.next32() % (at + 1);
      [order[at], order[other]] = [order[other] as GroundId, order[at] as GroundId];
    }
    return order;
  });
}

/** One run on one ground. */
export interface GroundSample {
  readonly ground: GroundId;
  /** From 0. */
  readonly round: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly cpuUserNs: number;
  readonly cpuSystemNs: number;
  readonly requests: number;
  /** Asked of the device or file, and what the host's disk says that it moved for this process; null: not known. */
  readonly askedBytes: number;
  readonly movedBytes: number | null;
  /** Of the image file in the host's page cache; null: not known. */
  readonly cacheGrowthBytes: number | null;
  /** Why there are no numbers, in one sentence; null: there are. */
  readonly failure: string | null;
}

/** A number over the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}
export interface GroundRow {
  readonly ground: GroundId;
  readonly title: string;
  readonly rounds: number;
  readonly iops: Spread;
  readonly bytesPerSecond: Spread;
  readonly p50Ns: Spread;
  readonly p99Ns: Spread;
  /** CPU time of the lab's process a request, user and system together. */
  readonly cpuNsPerRequest: Spread;
  readonly cacheGrowthBytes: Spread | null;
  /** IOPS over the engine's in the same round; null where there is nothing to divide by. */
  readonly ratioToEngine: Spread | null;
  /** One sentence where its numbers are memory's, not the disk's; null: they are the disk's as far as can be told. */
  readonly measuresMemoryWhy: string | null;
  /** The first failure; null: none. */
  readonly failure: string | null;
}

/** What a run says of its ground. */
export function sampleOf(ground: GroundId, round: number, result: RunResult): GroundSample {
  let iops = 0;
  let bytesPerSecond = 0;
  let requests = 0;
  let cpuUserNs = 0;
  let cpuSystemNs = 0;
  let p50Ns = 0;
  let p99Ns = 0;
  for (const job of result.jobs) {
    cpuUserNs += job.userCpuNs;
    cpuSystemNs += job.systemCpuNs;
    for (const direction of [job.read, job.write]) {
      iops += direction.iops;
      bytesPerSecond += direction.bytesPerSecond;
      requests += direction.totalIos;
      p50Ns = Math.max(p50Ns, direction.lat.percentilesNs['50.000000'] ?? 0);
      p99Ns = Math.max(p99Ns, direction.lat.percentilesNs['99.000000'] ?? 0);
    }
  }
  const { host, device } = result;
  const isCounted = host.processReadBytes !== null && host.processWriteBytes !== null;
  const disk =
    host.deviceReadBytes === null || host.deviceWriteBytes === null
      ? null
      : host.deviceReadBytes + host.deviceWriteBytes;
  const own = isCounted ? (host.processReadBytes ?? 0) + (host.processWriteBytes ?? 0) : null;
  // A loop device's I/O is its worker's, not ours: there only the disk's own counter says what moved.
  const isLoop = result.experiment.target.device.id === 'loop';
  const errors = Object.keys(
    result.jobs.find((job) => Object.keys(job.errors).length > 0)?.errors ?? {},
  );
  return {
    ground,
    round,
    iops,
    bytesPerSecond,
    p50Ns,
    p99Ns,
    cpuUserNs,
    cpuSystemNs,
    requests,
    askedBytes: device.readBytes + device.writeBytes,
    movedBytes: isLoop ? disk : own,
    cacheGrowthBytes: host.pageCacheGrowthBytes,
    failure:
      result.failure?.message ??
      (errors.length > 0 ? `a request failed with ${errors.join(', ')}` : null),
  };
}

/** Of at least one number. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
  return { median, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

/** The table: a row for each ground that has a sample, in the order of `GROUNDS`. */
export function groundRows(samples: readonly GroundSample[]): GroundRow[] {
  const engine = new Map(
    samples
      .filter(({ ground, failure }) => ground === 'engine' && failure === null)
      .map((sample) => [sample.round, sample]),
  );
  return GROUNDS.flatMap((ground) => {
    const own = samples.filter((sample) => sample.ground === ground.id);
    return own.length === 0 ? [] : [rowOf(ground, own, engine)];
  });
}

function rowOf(
  ground: Ground,
  own: readonly GroundSample[],
  engine: ReadonlyMap<number, GroundSample>,
): GroundRow {
  const good = own.filter(({ failure }) => failure === null);
  const over = (pick: (sample: GroundSample) => number): Spread => spreadOf(good.map(pick));
  const ratios = good.flatMap((sample) => {
    const base = engine.get(sample.round)?.iops ?? 0;
    return base === 0 ? [] : [sample.iops / base];
  });
  const growth = good.flatMap(({ cacheGrowthBytes }) => cacheGrowthBytes ?? []);
  return {
    ground: ground.id,
    title: ground.title,
    rounds: good.length,
    iops: over(({ iops }) => iops),
    bytesPerSecond: over(({ bytesPerSecond }) => bytesPerSecond),
    p50Ns: over(({ p50Ns }) => p50Ns),
    p99Ns: over(({ p99Ns }) => p99Ns),
    cpuNsPerRequest: over((sample) =>
      sample.requests === 0 ? 0 : (sample.cpuUserNs + sample.cpuSystemNs) / sample.requests,
    ),
    cacheGrowthBytes: growth.length === 0 ? null : spreadOf(growth),
    ratioToEngine: ratios.length === 0 ? null : spreadOf(ratios),
    measuresMemoryWhy: measuresMemoryWhy(ground, good),
    failure: own.find(({ failure }) => failure !== null)?.failure ?? null,
  };
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(0)} %`;

function measuresMemoryWhy(ground: Ground, samples: readonly GroundSample[]): string | null {
  const asked = samples.reduce((sum, { askedBytes }) => sum + askedBytes, 0);
  if (asked === 0) return null;
  const known = samples.filter(({ movedBytes }) => movedBytes !== null);
  if (known.length === samples.length) {
    const moved = known.reduce((sum, { movedBytes }) => sum + (movedBytes ?? 0), 0);
    if (moved < asked / 2) {
      return `the disk moved ${percent(moved, asked)} of the bytes that were asked for: the rest came from, or went to, memory`;
    }
  }
  if (!ground.isCached) return null;
  return "its path goes through the host's page cache, so its numbers are memory's as far as the cache reaches";
}
