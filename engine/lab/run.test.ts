// SPDX-License-Identifier: GPL-2.0-only
/** Whole experiments over the memory and model devices: what is counted, how runs end, and what they refuse. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeHost, type FakeFaults } from '../../test/support/fake-executor.ts';
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
    expect(
      result.jobs.map(({ name, read, write }) => [name, read.totalIos, write.totalIos]),
    ).toEqual([
      ['a', 768, 0],
      ['b', 0, 128],
    ]);
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

describe('runExperiment through ext2', () => {
  const ext2 = (sizeKib: number, change: Partial<Target> = {}): Target =>
    memory(sizeKib, { fileSystem: { id: 'ext2', options: {} }, filePath: '/a/data', ...change });

  it('formats, lays the file out, reads it, and finds every request on the device', () => {
    const { result, requests } = run(
      experiment(ext2(16384, { fileSizeBytes: 4 * 2 ** 20 }), [job()]),
    );
    expect(result.jobs[0]?.read).toMatchObject({ totalIos: 1024, bytes: 4 * 2 ** 20, shortIos: 0 });
    expect(result.counters).toMatchObject({ requests: 1024, getBlockCalls: 1024, bios: 1024 });
    expect(result.notes.join(' ')).toMatch(/was empty and was formatted as ext2/);
    expect(new Set(requests.sector).size).toBe(1024);
    expect(Math.min(...requests.sector)).toBeGreaterThan(0);
  });

  it('shows that asynchronous writes which extend a file are done in the submit call', () => {
    const outcome = run(
      experiment(ext2(16384), [
        job({ rw: 'write', blockSizes: [{ sizeBytes: 65536, percent: 100 }], sizeBytes: 2 ** 22 }),
      ]),
    );
    const [first] = outcome.result.jobs;
    expect(first?.write).toMatchObject({ totalIos: 64, bytes: 2 ** 22 });
    expect(first?.submit?.completedInSubmit).toBe(64);
    expect(first?.errors).toEqual({});
  });

  it('stops at the offset where the file system is full, and leaves it clean', () => {
    const outcome = run(
      experiment(ext2(1024), [job({ rw: 'write', sizeBytes: 2 ** 22, ioEngine: 'sync' })]),
    );
    const [first] = outcome.result.jobs;
    expect(first?.errors).toEqual({ ENOSPC: 1 });
    expect(first?.firstError?.fileOffsetBytes).toBe(first?.write.bytes);
    expect(outcome.result.failure).toBeNull();
    expect(verdictText(outcome)).toMatch(/full/);
  });

  it('reads buffered through the modelled page cache, and direct writes into holes fall back', () => {
    const buffered = run(
      experiment(ext2(16384, { fileSizeBytes: 2 ** 20 }), [
        job({ direct: false, ioSizeBytes: 2 ** 22 }),
      ]),
    );
    expect(buffered.result.jobs[0]?.read.bytes).toBe(2 ** 22);
    expect(buffered.result.device.readBytes).toBeLessThanOrEqual(2 ** 20);
    const holes = run(
      experiment(ext2(16384), [
        job({ rw: 'randwrite', sizeBytes: 2 ** 20, ioEngine: 'sync', randSeed: 5 }),
      ]),
    );
    expect(holes.result.counters.fallbacks).toBeGreaterThan(0);
    expect(verdictText(holes)).toMatch(/fell back/);
  });

  it('names a missing file, a file that does not fit, and an odd size it lays out all the same', () => {
    expect(() => run(experiment(ext2(4096), [job()]))).toThrow(
      expect.objectContaining({ code: 'target.no-file', exitCode: 66 }),
    );
    expect(() => run(experiment(ext2(4096, { fileSizeBytes: 2 ** 24 }), [job()]))).toThrow(
      expect.objectContaining({ code: 'image.full' }),
    );
    const odd = run(
      experiment(ext2(8192, { fileSizeBytes: 2 ** 20 + 777 }), [
        job({ rw: 'read', blockSizes: [{ sizeBytes: 512, percent: 100 }] }),
      ]),
    );
    expect(odd.result.jobs[0]?.read.totalIos).toBe(2049);
  });

  it('is cancelled while the file is laid out', () => {
    let frames = 0;
    const { result } = run(experiment(ext2(2 ** 20, { fileSizeBytes: 2 ** 29 }), [job()]), {
      isStopRequested: () => frames >= 3,
      onProgress: () => {
        frames++;
      },
    });
    expect(result.state).toBe('cancelled');
    expect(result.jobs[0]?.read.totalIos).toBe(0);
  });
});

describe('runExperiment over an image file', () => {
  /** Ports whose executor is given; time goes on by a second each time it is looked at. */
  function imagePorts(faults: FakeFaults, stuck: boolean): LabPorts & { path: string } {
    const folder = mkdtempSync(join(tmpdir(), 'diolab-run-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const path = join(folder, 'a.img');
    writeFileSync(path, new Uint8Array(2 ** 20));
    const arena = plainArena(20_000);
    const host = fakeHost(arena, faults);
    let seconds = 0;
    return {
      ...ports(),
      path,
      clock: stuck ? { nowNs: () => (seconds++ * 1e9) as never } : hostClock,
      makeArena: () => arena,
      imageFiles: host.imageFiles,
      executors: {
        open(asked, options, memoryOfRun) {
          const opened = host.executors.open(asked, options, memoryOfRun);
          if (stuck) opened.executor.reap = (): number => 0;
          return opened;
        },
      },
    };
  }
  const onImage = (path: string, change: Partial<Target> = {}): Target =>
    memory(0, { device: { id: 'image-file', options: { path } }, ...change });

  it('gives a device up that answers nothing, and says so instead of waiting for ever', () => {
    const stuck = imagePorts({}, true);
    const { result } = runExperiment(experiment(onImage(stuck.path), [job()]), stuck, {
      isStopRequested: () => false,
      onProgress: () => undefined,
    });
    expect(result.state).toBe('failed');
    expect(result.failure).toMatchObject({ code: 'device.stalled', exitCode: 74 });
    expect(result.verdict[0]?.tone).toBe('bad');
  });

  it('writes nobody has agreed to are refused, and so is an image that holds something else', () => {
    const real = imagePorts({}, false);
    const control = { isStopRequested: () => false, onProgress: () => undefined };
    const writing = [job({ rw: 'write', direct: true })];
    expect(() => runExperiment(experiment(onImage(real.path), writing), real, control)).toThrow(
      expect.objectContaining({ code: 'target.no-consent', exitCode: 77 }),
    );
    writeFileSync(real.path, new Uint8Array(2 ** 20).fill(7));
    const target = onImage(real.path, {
      fileSystem: { id: 'ext2', options: {} },
      filePath: '/data',
      create: { sizeBytes: 2 ** 20 },
    });
    expect(() => runExperiment(experiment(target, [job()]), real, control)).toThrow(
      expect.objectContaining({ code: 'image.not-empty', exitCode: 73 }),
    );
    expect(readFileSync(real.path).every((value) => value === 7)).toBe(true);
  });

  it('closes the image again where a job does not fit it', () => {
    const real = imagePorts({}, false);
    const closed: string[] = [];
    const { imageFiles } = real;
    const watched: LabPorts = {
      ...real,
      imageFiles: {
        open(path, how) {
          const image = imageFiles?.open(path, how);
          if (image === undefined) throw new Error('no port');
          const { close } = image;
          image.close = (): void => {
            closed.push(path);
            close();
          };
          return image;
        },
      },
    };
    expect(() =>
      runExperiment(experiment(onImage(real.path), [job({ sizeBytes: 2 ** 21 })]), watched, {
        isStopRequested: () => false,
        onProgress: () => undefined,
      }),
    ).toThrow(expect.objectContaining({ code: 'job.area-beyond-end' }));
    expect(closed).toEqual([real.path]);
  });

  it('gives an errno of the host its name again', () => {
    const failing = imagePorts({ failure: (operation) => (operation < 5 ? 0 : -28) }, false);
    const target = onImage(failing.path, { consentToWrite: true });
    const outcome = runExperiment(experiment(target, [job({ rw: 'write', ioDepth: 1 })]), failing, {
      isStopRequested: () => false,
      onProgress: () => undefined,
    });
    expect(Object.values(outcome.result.jobs[0]?.errors ?? {})).toEqual([1]);
    expect(verdictText(outcome)).toMatch(/On the host it was ENOSPC/);
  });
});
