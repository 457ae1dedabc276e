// SPDX-License-Identifier: GPL-2.0-only
/**
 * Whole runs with every revision of direct I/O, every executor, on the raw device and through ext2, where bios end inline (memory) and
 * where they end later (model). What a revision does wrong is asked of its own data: its changes and its callers.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeHost } from '../../test/support/fake-executor.ts';
import type { Clock } from '../base/index.ts';
import { REVISIONS, type RevisionSpec } from '../dio/index.ts';
import { resolveRevision } from '../dio/revisions/resolve.ts';
import { plainArena } from '../memory/index.ts';
import type { LabPorts, RunOutcome } from './door.ts';
import type { Experiment, Job, Target } from './experiment.ts';
import { runExperiment } from './run.ts';

const KIB = 1024;
const FILE_BYTES = 256 * KIB;
const EXECUTORS = ['sync', 'threads', 'libaio', 'io_uring'] as const;
const DEVICES = {
  memory: { id: 'memory', options: { sizeKib: 4096 } },
  model: { id: 'model', options: { profile: 'nvme', capacityMib: 16 } },
};
const FILE_SYSTEMS = ['raw', 'ext2'] as const;

const hostClock: Clock = { nowNs: () => Math.round(performance.now() * 1e6) as never };
const control = { isStopRequested: (): boolean => false, onProgress: (): void => undefined };

function ports(): LabPorts {
  return {
    clock: hostClock,
    unixMs: () => 1_700_000_000_000,
    makeArena: (pageCount) => plainArena(pageCount),
    cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
  };
}
const job = (change: Partial<Job>): Job => ({
  name: 'job',
  rw: 'randread',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: FILE_BYTES,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'libaio',
  ioDepth: 4,
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
  randSeed: 7,
  noRandomMap: false,
  distribution: { kind: 'random', parameter: 0 },
  ...change,
});
const target = (
  device: keyof typeof DEVICES,
  fileSystem: string,
  fileSizeBytes: number | null,
): Target => ({
  device: DEVICES[device],
  fileSystem: { id: fileSystem, options: {} },
  filePath: fileSystem === 'raw' ? null : '/data',
  fileSizeBytes: fileSystem === 'raw' ? null : fileSizeBytes,
  create: null,
  consentToWrite: false,
});

function run(spec: RevisionSpec, on: Target, asked: Job, hostPorts = ports()): RunOutcome {
  const experiment: Experiment = {
    name: 'test',
    target: on,
    jobs: [asked],
    revision: spec.id,
    trace: { level: 'full', rowsMax: 50_000 },
  };
  return runExperiment(experiment, hostPorts, control);
}
/** A defect, by the words of the revision's own list. */
const hasChange = (spec: RevisionSpec, words: RegExp): boolean =>
  resolveRevision(spec).changes.some((change) => words.test(change.what));
const callersOf = (spec: RevisionSpec) => resolveRevision(spec).callers;
const MISPLACES = /gives data from the wrong place/;
const STAYS_ASYNC = /asynchronous write that extends the file stays asynchronous/;
const UNLOCKS = /neither lock nor write dirty pages back, but unlock/;
const LEAKS_REFUSED = /misaligned request leaks the pages/;

function told({ result }: RunOutcome): string {
  return [...result.verdict.map((claim) => claim.text), ...result.notes].join(' | ');
}

describe.each(REVISIONS)('a run with $id', (spec) => {
  const cases = EXECUTORS.flatMap((ioEngine) =>
    FILE_SYSTEMS.flatMap((fileSystem) =>
      (['memory', 'model'] as const).map((device) => ({ ioEngine, fileSystem, device })),
    ),
  );

  it.each(cases)(
    'reads and writes all of $fileSystem on $device with $ioEngine, each request once',
    ({ ioEngine, fileSystem, device }) => {
      const on = target(device, fileSystem, FILE_BYTES);
      const asked = { ioEngine, ioDepth: 8, fsyncEvery: 16, endFsync: true, submitBatch: 4 };
      const { result } = run(spec, on, job({ ...asked, rw: 'randrw' }));
      const [first] = result.jobs;
      expect(result).toMatchObject({ state: 'finished', failure: null });
      expect(first?.errors).toEqual({});
      expect((first?.read.bytes ?? 0) + (first?.write.bytes ?? 0)).toBe(FILE_BYTES);
      expect((first?.read.totalIos ?? 0) + (first?.write.totalIos ?? 0)).toBe(64);
      expect((first?.read.shortIos ?? 0) + (first?.write.shortIos ?? 0)).toBe(0);
      const isTwice = callersOf(spec).queueCounts && ioEngine !== 'sync';
      const reads = first?.read.totalIos ?? 0;
      expect(result.revisionEffects).toEqual({
        extendingWaits: 0,
        extendingInFlight: 0,
        sizeAheadOfData: 0,
        shortReadWaits: 0,
        answeredTwice: isTwice ? 64 : 0,
        unheldUnlocks: fileSystem === 'ext2' && hasChange(spec, UNLOCKS) ? reads : 0,
        syncedInFlight: 0,
        misplacedBuffers: 0,
        leakedReferences: 0,
        zeroPageReferences: 0,
        lostBytes: 0,
      });
    },
  );

  it.each(EXECUTORS)('extends a file with %s as its kernel did', (ioEngine) => {
    const blockSizes = [{ sizeBytes: 16 * KIB, percent: 100 }];
    const outcome = run(
      spec,
      target('model', 'ext2', null),
      job({ ioEngine, rw: 'write', blockSizes }),
    );
    const { result } = outcome;
    const effects = result.revisionEffects;
    expect(result).toMatchObject({ state: 'finished', failure: null });
    expect(result.jobs[0]?.write).toMatchObject({ totalIos: 16, bytes: FILE_BYTES, shortIos: 0 });
    const isAsync = ioEngine !== 'sync';
    if (!isAsync) {
      expect(effects).toMatchObject({ extendingWaits: 0, extendingInFlight: 0 });
      return;
    }
    expect((effects?.extendingWaits ?? 0) + (effects?.extendingInFlight ?? 0)).toBe(16);
    if (!hasChange(spec, STAYS_ASYNC)) {
      expect(effects).toMatchObject({ extendingWaits: 16, sizeAheadOfData: 0 });
      expect(told(outcome)).toMatch(/were over when the call returned/);
    } else if (callersOf(spec).queueCounts) {
      expect(effects).toMatchObject({ extendingInFlight: 16, sizeAheadOfData: 16, lostBytes: 0 });
      expect(told(outcome)).toMatch(/before the data had arrived/);
    } else {
      // Nobody moves the end behind -EIOCBQUEUED; the next write, which starts beyond it, is waited for and does.
      expect(effects?.extendingInFlight).toBeGreaterThan(0);
      expect(effects).toMatchObject({ sizeAheadOfData: 0 });
      expect(told(outcome)).toMatch(/stayed in flight/);
    }
  });

  it('fills holes and new blocks in units of 512 bytes', () => {
    const on = (): Target => target('model', 'ext2', null);
    const holes = run(spec, on(), job({ ioEngine: 'sync', rw: 'randwrite' })).result;
    expect(holes.jobs[0]?.write).toMatchObject({ totalIos: 64, bytes: FILE_BYTES, shortIos: 0 });
    // Only where every write may allocate does none of it go through the page cache.
    const allocatesAlways = resolveRevision(spec).traits.createRule === 'always';
    expect(holes.counters.fallbacks > 0).toBe(!allocatesAlways);
    const blockSizes = [{ sizeBytes: 512, percent: 100 }];
    const small = run(spec, on(), job({ ioEngine: 'sync', rw: 'write', blockSizes })).result;
    expect(small.jobs[0]?.write).toMatchObject({ totalIos: 512, bytes: FILE_BYTES, shortIos: 0 });
    expect(small.counters.zeroedBytes).toBeGreaterThan(0);
    expect(small.revisionEffects?.leakedReferences).toBe(0);
  });

  it.each(FILE_SYSTEMS)(
    'refuses what is misaligned on %s, and says what that cost',
    (fileSystem) => {
      const alignment = { offsetBytes: 100, lengthBytes: 0, memoryBytes: 0 };
      const outcome = run(spec, target('model', fileSystem, FILE_BYTES), job({ alignment }));
      expect(outcome.result.state).toBe('finished');
      expect(Object.keys(outcome.result.jobs[0]?.errors ?? {})).toEqual(['EINVAL']);
      const leaks = hasChange(spec, LEAKS_REFUSED);
      expect(outcome.result.revisionEffects?.leakedReferences).toBe(leaks ? 1 : 0);
      if (leaks)
        expect(told(outcome)).toMatch(/1 reference on pages of the buffers was never dropped/);
    },
  );

  it('syncs asynchronous O_DSYNC writes when its kernel did', () => {
    const outcome = run(
      spec,
      target('model', 'ext2', FILE_BYTES),
      job({ rw: 'randwrite', sync: 'dsync' }),
    );
    expect(outcome.result.jobs[0]?.write).toMatchObject({ totalIos: 64, bytes: FILE_BYTES });
    const isEarly = callersOf(spec).syncInFlight;
    expect(outcome.result.revisionEffects?.syncedInFlight).toBe(isEarly ? 64 : 0);
    expect(/does not say that they are durable/.test(told(outcome))).toBe(isEarly);
    expect(outcome.result.device.flushes).toBeGreaterThan(0);
  });

  it.each(EXECUTORS)('takes a buffer inside a page with %s, or stops as it did', (ioEngine) => {
    const on = target('model', 'ext2', FILE_BYTES);
    const at = (memoryBytes: number): RunOutcome =>
      run(
        spec,
        on,
        job({
          ioEngine,
          rw: 'randrw',
          numJobs: 2,
          alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes },
        }),
      );
    const near = at(1024);
    const far = at(3072);
    expect(near.result.state).toBe('finished');
    if (!hasChange(spec, MISPLACES)) {
      expect(far.result).toMatchObject({ state: 'finished', failure: null });
      expect(near.result.revisionEffects?.misplacedBuffers).toBe(0);
      return;
    }
    expect(near.result.revisionEffects?.misplacedBuffers).toBe(128);
    expect(told(near)).toMatch(/wrong place in memory/);
    const { result, trace } = far;
    expect(result.state).toBe('failed');
    expect(result.failure).toMatchObject({
      code: 'kernel.bug',
      where: 'BUG: vector outside its page',
    });
    expect(result.failure?.message).toContain(spec.id);
    expect(result.failure?.message).toMatch(/(read|write) of 4096 bytes at offset .* of job job/);
    expect(result.failure?.hint).toMatch(/another one.*gallery/);
    expect(result.failure?.data).toMatchObject({ lengthBytes: 4096, memoryOffsetBytes: 3072 });
    expect(result.verdict[0]?.tone).toBe('bad');
    expect(told(far)).toMatch(/unmounted in order/);
    expect(result.revisionEffects?.leakedReferences).toBeGreaterThan(0);
    expect(trace?.rowCount).toBeGreaterThan(0);
  });
});

describe('a device that fails', () => {
  it.each(REVISIONS)('is an error counted once with $id', (spec) => {
    const folder = mkdtempSync(join(tmpdir(), 'diolab-revisions-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const path = join(folder, 'a.img');
    writeFileSync(path, new Uint8Array(1024 * KIB));
    const arena = plainArena(20_000);
    const host = fakeHost(arena, { failure: (operation) => (operation < 5 ? 0 : -5) });
    const on: Target = {
      ...target('memory', 'raw', null),
      device: { id: 'image-file', options: { path } },
    };
    const { imageFiles, executors } = host;
    const hostPorts = { ...ports(), makeArena: () => arena, imageFiles, executors };
    const { result } = run(spec, on, job({ ioDepth: 1 }), hostPorts);
    expect(result).toMatchObject({ state: 'finished', failure: null });
    expect(result.jobs[0]?.errors).toEqual({ EIO: 1 });
    expect(result.jobs[0]?.read.totalIos).toBe(5);
  });
});

describe('requests that wait for the lock of one that stopped the kernel', () => {
  const misplacing = REVISIONS.filter((spec) => hasChange(spec, MISPLACES));
  it.each(misplacing)('end, and the file system is unmounted with $id', (spec) => {
    const change = { ioEngine: 'io_uring', rw: 'write', ioDepth: 4 } as const;
    const alignment = { offsetBytes: 0, lengthBytes: 0, memoryBytes: 3072 };
    const blockSizes = [{ sizeBytes: 8 * KIB, percent: 100 }];
    const outcome = run(
      spec,
      target('model', 'ext2', null),
      job({ ...change, alignment, blockSizes }),
    );
    expect(outcome.result.failure?.code).toBe('kernel.bug');
    expect(told(outcome)).toMatch(/The kernel stopped in \d requests?, which never ended/);
    expect(told(outcome)).toMatch(/unmounted in order/);
  });
});
