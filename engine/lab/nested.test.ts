// SPDX-License-Identifier: GPL-2.0-only
/** Runs and explanations on an image in a file of an image: the numbers that show double caching and the single copy. */
import { describe, expect, it } from 'vitest';
import { MIB, type Clock } from '../base/index.ts';
import { plainArena } from '../memory/index.ts';
import { checkExperiment } from './check.ts';
import type { LabPorts, RunOutcome } from './door.ts';
import type { Experiment, InnerImage, Job, Target } from './experiment.ts';
import { explain } from './explain.ts';
import type { LoopEvidence } from './result.ts';
import { runExperiment } from './run.ts';

const hostClock: Clock = { nowNs: () => Math.round(performance.now() * 1e6) as never };
const ports = (): LabPorts => ({
  clock: hostClock,
  unixMs: () => 1_700_000_000_000,
  makeArena: (pageCount) => plainArena(pageCount),
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
});

const job = (change: Partial<Job> = {}): Job => ({
  name: 'job',
  rw: 'read',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 65536, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: null,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'libaio',
  ioDepth: 4,
  submitBatch: 1,
  numJobs: 1,
  direct: false,
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

const FILE_BYTES = 2 * MIB;
const FILE_PAGES = FILE_BYTES / 4096;

function target(inner: Partial<InnerImage> = {}, change: Partial<Target> = {}): Target {
  return {
    device: { id: 'memory', options: { sizeKib: 32 * 1024 } },
    fileSystem: { id: 'ext2', options: {} },
    filePath: '/data',
    fileSizeBytes: FILE_BYTES,
    create: null,
    consentToWrite: false,
    inner: {
      file: '/inner.img',
      fileSystem: { id: 'ext2', options: {} },
      fileSizeBytes: 8 * MIB,
      transfer: 'buffered',
      sectorBytes: 512,
      ...inner,
    },
    ...change,
  };
}

const experiment = (on: Target, one: Job, revision = '6.4'): Experiment => ({
  name: 'test',
  target: on,
  jobs: [one],
  revision,
  trace: { level: 'off', rowsMax: 0 },
});

function run(asked: Experiment): RunOutcome & { readonly loop: LoopEvidence } {
  const outcome = runExperiment(asked, ports(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
  });
  const { result } = outcome;
  expect([result.state, result.failure]).toEqual(['finished', null]);
  expect(result.jobs.map(({ errors }) => errors)).toEqual(result.jobs.map(() => ({})));
  if (result.loop === undefined) throw new Error('the run has no evidence of its loop device');
  return { ...outcome, loop: result.loop };
}
const verdictText = ({ result }: RunOutcome): string =>
  result.verdict.map((claim) => claim.text).join(' | ');

describe('a run on an image in a file', () => {
  it('copies twice and holds twice where both levels are buffered', () => {
    const outcome = run(experiment(target(), job()));
    const { loop } = outcome;
    expect(loop).toMatchObject({ road: 'buffered', directBios: 0, upperCopiedBytes: FILE_BYTES });
    expect([loop.upperCachedPages, loop.pagesHeldTwice]).toEqual([FILE_PAGES, FILE_PAGES]);
    expect(loop.lowerCachedPages).toBeGreaterThanOrEqual(FILE_PAGES);
    expect(loop.copiedBytes).toBeGreaterThanOrEqual(FILE_BYTES);
    expect(loop.copiedBytes).toBeLessThan(FILE_BYTES * 1.02);
    expect(verdictText(outcome)).toContain('copied twice');
    expect(verdictText(outcome)).toContain('512 pages');
  });

  it.each(['6.4', '2.6.31-pages'])('copies once and holds once with direct transfer (%s)', (id) => {
    const outcome = run(experiment(target({ transfer: 'direct' }), job(), id));
    const { loop } = outcome;
    expect(loop).toMatchObject({ copiedBytes: 0, copies: 0, pagesHeldTwice: 0, lostWriteBytes: 0 });
    expect([loop.upperCachedPages, loop.lowerCachedPages]).toEqual([FILE_PAGES, 0]);
    expect(loop.directBytes).toBeGreaterThanOrEqual(FILE_BYTES);
    expect(loop.upperCopiedBytes).toBe(FILE_BYTES);
    expect(verdictText(outcome)).toContain('copied once');
    expect(verdictText(outcome)).toContain('No page is held twice');
    expect(outcome.result.notes.join(' ')).toMatch(
      id === '6.4' ? /later drivers/ : /series of 2009/,
    );
  });

  it.each(['6.4', '2.6.31-pages'])('copies nothing where both levels are direct (%s)', (id) => {
    const load = job({ direct: true, rw: 'randrw', fsyncEvery: 8, endFsync: true });
    const { loop, result } = run(experiment(target({ transfer: 'direct' }), load, id));
    expect(loop).toMatchObject({ copiedBytes: 0, upperCopiedBytes: 0, lostWriteBytes: 0 });
    expect(loop.flushes).toBeGreaterThan(0);
    expect(loop.directBytes).toBeGreaterThanOrEqual(FILE_BYTES);
    expect(result.device.readBytes + result.device.writeBytes).toBeGreaterThanOrEqual(FILE_BYTES);
  });

  it('is the same to the nanosecond on the model device', () => {
    const device = { id: 'model', options: { profile: 'nvme', capacityMib: 64 } };
    const asked = experiment(
      target({ transfer: 'direct' }, { device }),
      job({
        direct: true,
        rw: 'randrw',
        ioDepth: 8,
        blockSizes: [{ sizeBytes: 4096, percent: 100 }],
      }),
    );
    const [first, second] = [run(asked).result, run(asked).result];
    expect(first.elapsedNs).toBeGreaterThan(0);
    expect([second.elapsedNs, second.jobs, second.loop]).toEqual([
      first.elapsedNs,
      first.jobs,
      first.loop,
    ]);
  });

  it('becomes buffered where its blocks are smaller than those below', () => {
    const device = { id: 'memory', options: { sizeKib: 32 * 1024, logicalBlockBytes: '4096' } };
    const asked = experiment(
      target({ transfer: 'direct', sectorBytes: 512 }, { device }),
      job({ direct: true }),
    );
    const { loop, result } = run(asked);
    expect(loop.road).toBe('buffered');
    expect(loop.fellBackWhy).toContain('smaller than the 4096');
    expect(result.notes.join(' ')).toContain('although direct transfer was asked for');
    const fits = run(
      experiment(target({ transfer: 'direct', sectorBytes: 4096 }, { device }), job()),
    );
    expect(fits.loop.road).toBe('vectors');
  });
});

describe('what is refused before anything is opened', () => {
  const codes = (on: Target, revision = '6.4'): string[] =>
    checkExperiment(experiment(on, job(), revision)).map(({ code }) => code);

  it('says what is wrong with an inner image', () => {
    expect(codes(target())).toEqual([]);
    expect(codes(target({ transfer: 'direct' }), '2.6.20')).toEqual([
      'inner.direct-needs-kernel-memory',
    ]);
    expect(codes(target({ sectorBytes: 520 }))).toEqual(['inner.bad-sector']);
    expect(codes(target({ fileSizeBytes: 1000 }))).toEqual(['inner.bad-size']);
    expect(codes(target({ file: 'x/../y' }))).toEqual(['target.bad-file-path']);
    const raw = { fileSystem: { id: 'raw', options: {} } };
    expect(codes(target(raw))).toEqual(['inner.raw-has-no-files']);
    expect(codes(target({}, { by: 'host' }))).toContain('inner.by-host');
  });
});

describe('explain on an image in a file', () => {
  it.each([
    { transfer: 'buffered', revision: '6.4' },
    { transfer: 'direct', revision: '6.4' },
    { transfer: 'direct', revision: '2.6.31-pages' },
  ] as const)('tells both levels, $transfer ($revision)', ({ transfer, revision }) => {
    const { steps, result } = explain(
      {
        target: target({ transfer }),
        op: 'read',
        offsetBytes: 0,
        lengthBytes: 8192,
        memoryOffsetBytes: 0,
        isAsync: false,
        isDsync: false,
        revision,
      },
      ports(),
    );
    expect(result.returned).toBe(8192);
    const levels = steps.map(({ level }) => level);
    expect(levels).toContain('upper');
    expect(levels).toContain('loop');
    // What was laid out a moment ago still lies in the lower page cache: nothing goes to the device.
    expect(levels.includes('lower')).toBe(transfer === 'direct');
    const requests = steps.filter(({ title }) => title.startsWith('Request enters direct I/O'));
    expect(requests.map(({ level }) => level)).toEqual(
      transfer === 'direct' ? ['upper', 'lower'] : ['upper'],
    );
    const ends = steps.filter(
      ({ site }) => site.endsWith(':dio_complete') && site.startsWith('fs/'),
    );
    expect(ends.at(-1)?.level).toBe('upper');
    for (const { text } of steps) expect(text).not.toMatch(/undefined|NaN/);
  });
});
