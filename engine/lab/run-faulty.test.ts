// SPDX-License-Identifier: GPL-2.0-only
/** Experiments over the stacked devices: faults show in the errors by errno and in the verdict, the recorder tells what it kept. */
import { expect, it } from 'vitest';
import type { Clock } from '../base/index.ts';
import { plainArena } from '../memory/index.ts';
import type { LabPorts } from './door.ts';
import type { Experiment, Job } from './experiment.ts';
import { runExperiment } from './run.ts';

const hostClock: Clock = { nowNs: () => Math.round(performance.now() * 1e6) as never };
const ports: LabPorts = {
  clock: hostClock,
  unixMs: () => 1_700_000_000_000,
  makeArena: (pageCount) => plainArena(pageCount),
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};

const job: Job = {
  name: 'job',
  rw: 'write',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: null,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'libaio',
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
};

function run(id: string, options: Readonly<Record<string, unknown>>, changed: Partial<Job> = {}) {
  const experiment: Experiment = {
    name: 'test',
    target: {
      device: { id, options: { sizeKib: 1024, ...options } },
      fileSystem: { id: 'raw', options: {} },
      filePath: null,
      fileSizeBytes: null,
      create: null,
      consentToWrite: true,
    },
    jobs: [{ ...job, ...changed }],
    revision: '6.4',
    trace: { level: 'requests', rowsMax: 10_000 },
  };
  return runExperiment(experiment, ports, {
    isStopRequested: () => false,
    onProgress: () => undefined,
  }).result;
}

it.each(['eio', 'short', 'enospc', 'efault', 'timeout'])(
  'a %s is EIO to the modelled kernel, and has its own name beside it',
  (fault) => {
    const result = run('faulty', { fault, direction: 'write', every: 10 });
    const errno = { eio: 'EIO', short: 'EIO', timeout: 'ETIMEDOUT' }[fault] ?? fault.toUpperCase();
    expect(result.jobs[0]?.errors).toEqual({ EIO: 1 });
    expect(result.jobs[0]?.firstError).toMatchObject({ op: 'write', fileOffsetBytes: 9 * 4096 });
    const text = result.verdict.map((claim) => claim.text).join(' ');
    expect(text).toContain(`The faulty disk made it ${errno} for a write`);
    expect(result.notes.join(' ')).toMatch(/The faulty disk failed 1 of 10 requests of its rule\./);
  },
);

it('a fault that the rule keeps from the run leaves no trace', () => {
  const result = run('faulty', { every: 1, direction: 'read' });
  expect(result.jobs[0]?.errors).toEqual({});
  expect(result.jobs[0]?.write.totalIos).toBe(256);
});

it('the recorder says what was written in how many epochs', () => {
  const result = run('recorder', {}, { fsyncEvery: 64 });
  expect(result.jobs[0]?.errors).toEqual({});
  expect(result.notes.join(' ')).toMatch(
    /The recorder kept \d+ writes of 2048 sectors in \d+ flush epochs\./,
  );
});
