// SPDX-License-Identifier: GPL-2.0-only
/** Whole experiments over the memory and model devices: what is counted, how runs end, and what they refuse. */
import { describe, expect, it } from 'vitest';
import { HostError, PAGE_BYTES, type Clock } from '../base/index.ts';
import { plainArena } from '../memory/index.ts';
import type { LabPorts, RunControl, RunOutcome } from './door.ts';
import type { Experiment, Job, Target } from './experiment.ts';
import type { RunProgress, SeriesPoint } from './result.ts';
import { runExperiment } from './run.ts';

const hostClock: Clock = { nowNs: () => Math.round(performance.now() * 1e6) as never };

function ports(): LabPorts {
  return {
    clock: hostClock,
    unixMs: () => 1_700_000_000_000,
    makeArena: (pageCount) => plainArena(pageCount),
    cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
  };
}

const job = (change: Partial<Job> = {}): Job => ({
  name: 'job',
  rw: 'randread',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: null,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'libaio',
  ioDepth: 8,
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
  ...change,
});
const memory = (sizeKib: number, change: Partial<Target> = {}): Target => ({
  device: { id: 'memory', options: { sizeKib } },
  fileSystem: { id: 'raw', options: {} },
  filePath: null,
  fileSizeBytes: null,
  create: null,
  consentToWrite: false,
  ...change,
});
const model = (profile: string): Target => ({
  ...memory(0),
  device: { id: 'model', options: { profile, capacityMib: 256 } },
});
const experiment = (target: Target, jobs: Job[], change: Partial<Experiment> = {}): Experiment => ({
  name: 'test',
  target,
  jobs,
  revision: '6.4',
  trace: { level: 'requests', rowsMax: 10_000 },
  ...change,
});

function run(asked: Experiment, control: Partial<RunControl> = {}): RunOutcome {
  return runExperiment(asked, ports(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
    ...control,
  });
}
const verdictText = (outcome: RunOutcome): string =>
  outcome.result.verdict.map((claim) => claim.text).join(' | ');

describe('runExperiment over the memory device', () => {
  it('reads every block of the device once and counts all of it', () => {
    const { result, requests } = run(experiment(memory(8192), [job()]));
    const [first] = result.jobs;
    expect(result.state).toBe('finished');
    expect(result.failure).toBeNull();
    expect(first?.read).toMatchObject({ totalIos: 2048, bytes: 8192 * 1024, shortIos: 0 });
    expect(first?.write.totalIos).toBe(0);
    expect(first?.read.lat.count).toBe(2048);
    expect(first?.read.iops).toBeGreaterThan(0);
    expect(result.device).toMatchObject({ reads: 2048, readBytes: 8192 * 1024, writes: 0 });
    expect(result.counters).toMatchObject({ requests: 2048, bios: 2048, bioBytes: 8192 * 1024 });
    expect(result.deviceSectors).toBe(16384);
    expect(requests.rowCount).toBe(2048);
    expect([...requests.sector].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 2048 }, (_, index) => index * 8),
    );
    expect(result.verdict.length).toBeGreaterThanOrEqual(2);
    expect(result.verdict.length).toBeLessThanOrEqual(6);
  });

  it.each(['sync', 'threads', 'libaio', 'io_uring'] as const)('writes with %s', (ioEngine) => {
    const { result } = run(
      experiment(memory(1024), [
        job({ rw: 'write', ioEngine, ioDepth: 4, fsyncEvery: 16, endFsync: true, submitBatch: 4 }),
      ]),
    );
    const [first] = result.jobs;
    expect(first?.write).toMatchObject({ totalIos: 256, bytes: 1024 * 1024 });
    expect(first?.write.slat.count).toBe(ioEngine === 'sync' ? 0 : 256);
    expect(first?.write.clat.count).toBe(256);
    expect(first?.syncs.count).toBeGreaterThanOrEqual(16);
    expect(first?.errors).toEqual({});
    expect(result.device.writeBytes).toBe(1024 * 1024);
  });

  it('runs clones of several jobs side by side, each over the whole area', () => {
    const { result } = run(
      experiment(memory(1024), [
        job({ name: 'a', numJobs: 3, ioDepth: 2 }),
        job({ name: 'b', rw: 'randwrite', blockSizes: [{ sizeBytes: 8192, percent: 100 }] }),
      ]),
    );
    expect(result.jobs.map(({ name, read, write }) => [name, read.totalIos, write.totalIos])).toEqual(
      [['a', 768, 0], ['b', 0, 128]],
    ); // prettier-ignore
  });

  it('goes by smaller units where the dials say so, and says what it cost', () => {
    const target = memory(1024, { fileSystem: { id: 'raw', options: {} } });
    const outcome = run(
      experiment(target, [
        job({ alignment: { offsetBytes: 512, lengthBytes: 0, memoryBytes: 512 } }),
      ]),
    );
    expect(outcome.result.jobs[0]?.read.totalIos).toBe(255);
    expect(verdictText(outcome)).toMatch(/512/);
  });

  it('stops a job at its first error, as fio does, and names the nearest request that passes', () => {
    const outcome = run(
      experiment(memory(1024), [
        job({ alignment: { offsetBytes: 100, lengthBytes: 0, memoryBytes: 0 } }),
      ]),
    );
    const [first] = outcome.result.jobs;
    expect(outcome.result.state).toBe('finished');
    expect(first?.errors['EINVAL']).toBeGreaterThanOrEqual(1);
    expect(first?.errors['EINVAL']).toBeLessThanOrEqual(8);
    expect(first?.firstError).toMatchObject({ op: 'read', lengthBytes: 4096, errno: 'EINVAL' });
    expect(first?.read.totalIos).toBe(0);
    expect(verdictText(outcome)).toMatch(/nearest that passes/);
    expect(outcome.result.verdict[0]?.tone).toBe('bad');
  });

  it('is cancelled between requests and keeps what it counted', () => {
    let frames = 0;
    const outcome = run(experiment(memory(8192), [job({ timeBased: true, runtimeSeconds: 60 })]), {
      isStopRequested: () => frames >= 2,
      onProgress: (progress: RunProgress) => {
        if (progress.phase === 'running') frames++;
      },
    });
    expect(outcome.result.state).toBe('cancelled');
    expect(outcome.result.elapsedNs).toBeLessThan(10e9);
    expect(outcome.result.jobs[0]?.read.totalIos).toBeGreaterThan(0);
    expect(verdictText(outcome)).toMatch(/Cancelled/);
  });

  it('tells its progress, with fractions that grow and points that make the series', () => {
    const frames: RunProgress[] = [];
    const points: SeriesPoint[] = [];
    const { result } = run(
      experiment(memory(8192), [job({ timeBased: true, runtimeSeconds: 0.4, rampSeconds: 0.1 })]),
      {
        onProgress: (progress, fresh) => {
          frames.push(progress);
          points.push(...fresh);
        },
      },
    );
    expect(frames.map((frame) => frame.phase)).toEqual(
      expect.arrayContaining(['preparing', 'ramp', 'running', 'finishing']),
    );
    const fractions = frames.flatMap((frame) =>
      frame.phase === 'running' ? [frame.fraction ?? -1] : [],
    );
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(points).toEqual(result.series.slice(0, points.length));
    expect(points.length).toBeGreaterThan(5);
    expect(result.jobs[0]?.read.runtimeNs).toBeLessThan(result.elapsedNs - 0.09e9);
  });

  it('keeps no rows with trace off, thins them to the bound, and keeps every row with full', () => {
    const rows = (level: 'off' | 'requests' | 'full', rowsMax: number): RunOutcome =>
      run(experiment(memory(4096), [job()], { trace: { level, rowsMax } }));
    expect(rows('off', 100).requests.rowCount).toBe(0);
    const thinned = rows('requests', 100).requests;
    expect(thinned).toMatchObject({ rowCount: 64, sampledEvery: 16 });
    const full = rows('full', 200_000);
    expect(full.trace?.rowCount).toBeGreaterThan(5 * 1024);
    expect(full.result.traceRows).toBe(full.trace?.rowCount);
    expect(rows('full', 1000).result.traceDropped).toBeGreaterThan(0);
  });

  it('does the same requests for the same seed', () => {
    const sectors = (randSeed: number): number[] => [
      ...run(experiment(memory(1024), [job({ randSeed, ioDepth: 1 })])).requests.sector,
    ];
    expect(sectors(3)).toEqual(sectors(3));
    expect(sectors(3)).not.toEqual(sectors(4));
  });

  it.each([
    [{ ioEngine: 'libaio' as const }, { ioEngine: 'sync' as const }, 'job.mixed-executors'],
    [{ direct: true }, { direct: false }, 'job.mixed-executors'],
    [{ timeBased: true }, {}, 'job.endless'],
    [{ sizeBytes: 2 ** 30 }, {}, 'job.area-beyond-end'],
    [{ offsetBytes: 2 ** 30 }, {}, 'job.area-too-small'],
    [{ ioDepth: 60_000 }, { ioDepth: 60_000 }, 'job.too-deep'],
    [
      { ioDepth: 4096, blockSizes: [{ sizeBytes: 2 ** 20, percent: 100 }] },
      {},
      'job.too-much-memory',
    ],
    [{ blockSizes: [{ sizeBytes: 4096, percent: 70 }] }, {}, 'job.bad-shares'],
    [{ distribution: { kind: 'pareto' as const, parameter: 3 } }, {}, 'job.bad-distribution'],
  ])('refuses %j with %j: %s', (first, second, code) => {
    let refused: unknown;
    try {
      run(experiment(memory(1024), [job({ name: 'a', ...first }), job({ name: 'b', ...second })]));
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(HostError);
    expect((refused as HostError).code).toBe(code);
    expect((refused as HostError).hint).toBeTruthy();
  });

  it.each([
    [{ device: { id: 'tape', options: {} } }, 'device.unknown'],
    [{ fileSystem: { id: 'zfs', options: {} } }, 'file-system.unknown'],
    [{ filePath: '/data' }, 'target.raw-has-no-files'],
    [{ fileSystem: { id: 'ext2', options: {} } }, 'target.file-required'],
    [{ fileSystem: { id: 'ext2', options: {} }, filePath: '/a/../b' }, 'target.bad-file-path'],
    [{ device: { id: 'memory', options: { size: 5 } } }, 'options.unknown-name'],
  ])('refuses the target %j: %s', (change, code) => {
    expect(() => run(experiment(memory(1024, change), [job()]))).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('runExperiment over the model device', () => {
  const timed = { timeBased: true, runtimeSeconds: 5, ioDepth: 16 };

  it("counts time in the model's own: runs of the same seed are the same to the nanosecond", () => {
    const once = (): RunOutcome =>
      run(experiment(model('nvme'), [job({ ...timed, runtimeSeconds: 0.05 })]));
    const [one, other] = [once(), once()];
    expect(one.result.virtualTime).toBe(true);
    expect(one.result.jobs).toEqual(other.result.jobs);
    expect(one.result.series).toEqual(other.result.series);
    expect(one.requests).toEqual(other.requests);
    expect(one.result.jobs[0]?.read.lat.minNs).toBeGreaterThan(1000);
    expect(verdictText(one)).toMatch(/model/);
  });

  it('shows a disk that seeks to be a thousand times slower than flash, and depth to help flash', () => {
    const iops = (profile: string, ioDepth: number): number =>
      run(
        experiment(model(profile), [
          job({ ...timed, runtimeSeconds: profile === 'hdd' ? 5 : 0.05, ioDepth }),
        ]),
      ).result.jobs[0]?.read.iops ?? 0;
    const disk = iops('hdd', 1);
    expect(disk).toBeGreaterThan(50);
    expect(disk).toBeLessThan(300);
    expect(iops('nvme', 1)).toBeGreaterThan(20 * disk);
    expect(iops('nvme', 32)).toBeGreaterThan(4 * iops('nvme', 1));
  });

  it('reaps all that is in flight after the last submission', () => {
    const { result } = run(
      experiment(model('hdd'), [job({ ioDepth: 32, ioSizeBytes: 400 * PAGE_BYTES })]),
    );
    expect(result.jobs[0]?.read.totalIos).toBe(400);
    expect(result.device.reads + result.device.merges).toBe(400);
  });
});
