// SPDX-License-Identifier: GPL-2.0-only
/** The experiment file: what is read, every problem with its line, and that writing and reading give the same experiment. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RW_PATTERNS, type Experiment, type Job } from '../../../engine/lab/experiment.ts';
import { experimentSchema } from '../../contract/schemas.ts';
import {
  HEAD_KEYS,
  parseExperimentFile,
  setExperimentValue,
  INNER_KEYS,
  TARGET_KEYS,
  writeExperimentFile,
} from './experiment-file.ts';
import { DEFAULT_JOB, JOB_KEYS } from './job-keys.ts';
import { nearestWord, parseFioSize, parseSeconds, parseSize, writeSize } from './quantities.ts';

const root = new URL('../../../', import.meta.url);

const FULL = `# every part of it
name: Reads and writes
target:
  image: first-light.img
  filesystem: { id: ext2, blockBytes: 4k }
  file: /data
  file_size: 512m
  create: 1g
  consent_to_write: true
revision: "6.4"
trace: full
trace_rows: 5000
jobs:
  - name: mix
    rw: randrw
    rwmixread: 70
    bs: 4k/60:8k/40
    offset: 1m
    size: 64MiB
    io_size: 1g
    align_offset: 512
    align_length: -512
    align_memory: 512
    ioengine: libaio
    iodepth: 32
    submit_batch: 4
    numjobs: 2
    direct: true
    sync: dsync
    nowait: no
    fsync: 16
    end_fsync: yes
    runtime: 20s
    time_based: true
    ramp_time: 500ms
    randseed: 7
    norandommap: true
    random_distribution: zipf:1.2
  - rw: read
    bs: [{ size: 64k, percent: 25 }, { size: 128k }]
`;

describe('reading an experiment file', () => {
  it('reads every key', () => {
    const { experiment, problems } = parseExperimentFile(FULL);
    expect(problems).toEqual([]);
    expect(experiment).toEqual({
      name: 'Reads and writes',
      target: {
        device: { id: 'image-file', options: { path: 'first-light.img' } },
        fileSystem: { id: 'ext2', options: { blockBytes: 4096 } },
        filePath: '/data',
        fileSizeBytes: 512 * 2 ** 20,
        create: { sizeBytes: 2 ** 30 },
        consentToWrite: true,
      },
      jobs: [
        {
          name: 'mix',
          rw: 'randrw',
          rwMixReadPercent: 70,
          blockSizes: [
            { sizeBytes: 4096, percent: 60 },
            { sizeBytes: 8192, percent: 40 },
          ],
          offsetBytes: 2 ** 20,
          sizeBytes: 64 * 2 ** 20,
          ioSizeBytes: 2 ** 30,
          alignment: { offsetBytes: 512, lengthBytes: -512, memoryBytes: 512 },
          ioEngine: 'libaio',
          ioDepth: 32,
          submitBatch: 4,
          numJobs: 2,
          direct: true,
          sync: 'dsync',
          nowait: false,
          fsyncEvery: 16,
          endFsync: true,
          runtimeSeconds: 20,
          timeBased: true,
          rampSeconds: 0.5,
          randSeed: 7,
          noRandomMap: true,
          distribution: { kind: 'zipf', parameter: 1.2 },
        },
        {
          ...DEFAULT_JOB,
          name: 'job2',
          rw: 'read',
          blockSizes: [
            { sizeBytes: 65536, percent: 25 },
            { sizeBytes: 131072, percent: 75 },
          ],
        },
      ],
      revision: '6.4',
      trace: { level: 'full', rowsMax: 5000 },
    } satisfies Experiment);
  });

  it('names several problems at once, each with its line and what would be right', () => {
    const text = `name: broken
target:
  imgae: a.img
  file_size: lots
jobs:
  - rw: randomread
    iodpeth: 8
    bs: 4k/60:8k/30
  - rw: read
    iodepth: many
`;
    const { experiment, problems } = parseExperimentFile(text);
    expect(experiment).toBeNull();
    expect(problems.map(({ line, code }) => [line, code])).toEqual([
      [3, 'job.unknown-key'],
      [4, 'job.bad-value'],
      [6, 'job.bad-value'],
      [7, 'job.unknown-key'],
      [8, 'job.bad-value'],
      [10, 'job.bad-value'],
    ]);
    expect(problems[0]?.hint).toBe('Did you mean image?');
    expect(problems[3]?.hint).toBe('Did you mean iodepth?');
    expect(problems[4]?.message).toContain('add up to 100');
    expect(problems.every((problem) => problem.exitCode === 65)).toBe(true);
  });

  it.each([
    ['', 'job.not-an-experiment'],
    ['just text', 'job.not-an-experiment'],
    ['name: x\ntarget: { image: a }\n', 'job.none'],
    ['name: x\njobs: 5\n', 'job.bad-value'],
    ['name: x\njobs:\n  - [1, 2]\n', 'job.bad-value'],
    ['name: [unclosed\njobs: []\n', 'job.bad-yaml'],
    ['name: x\nname: y\njobs: [{ rw: read }]\n', 'job.bad-yaml'],
    ['target: { filesystem: { blockBytes: 4k } }\njobs: [{ rw: read }]\n', 'job.missing-id'],
  ])('refuses %j as %s', (text, code) => {
    const { experiment, problems } = parseExperimentFile(text);
    expect(experiment).toBeNull();
    expect(problems[0]?.code).toBe(code);
    expect(problems[0]?.line === null || (problems[0]?.line ?? 0) >= 1).toBe(true);
  });

  it('finds values outside their range, with the line of the key and the range', () => {
    const { problems } = parseExperimentFile(
      'trace_rows: -1\njobs:\n  - rw: read\n  - rw: read\n    iodepth: 99999\n    bs: 1t\n    name: ""\n',
    );
    expect(problems.map(({ line, message }) => [line, message])).toEqual([
      [5, 'iodepth is 99999, expected at most 4096'],
      [6, 'bs is "1t", expected at most 256m'],
      [7, 'name is "", expected a text'],
    ]);
    const head = parseExperimentFile('trace_rows: -1\njobs:\n  - rw: read\n').problems;
    expect(head.map(({ message }) => message)).toEqual(['trace.rowsMax: expected at least 0']);
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200, unit: 'binary' }), (text) => {
        const { experiment, problems } = parseExperimentFile(text);
        expect(experiment === null).toBe(problems.length > 0);
      }),
    );
  });
});

const anyJob = fc.record<Job>({
  name: fc.string({ minLength: 1, maxLength: 20 }).filter((name) => !/[\r\n]/.test(name)),
  rw: fc.constantFrom(...RW_PATTERNS),
  rwMixReadPercent: fc.integer({ min: 0, max: 100 }),
  blockSizes: fc.constantFrom(
    [{ sizeBytes: 4096, percent: 100 }],
    [
      { sizeBytes: 1000, percent: 33.5 },
      { sizeBytes: 65536, percent: 66.5 },
    ],
  ),
  offsetBytes: fc.integer({ min: 0, max: 2 ** 40 }),
  sizeBytes: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
  ioSizeBytes: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
  alignment: fc.record({
    offsetBytes: fc.integer({ min: 0, max: 4096 }),
    lengthBytes: fc.integer({ min: -900, max: 4096 }),
    memoryBytes: fc.integer({ min: 0, max: 4095 }),
  }),
  ioEngine: fc.constantFrom('sync', 'threads', 'libaio', 'io_uring'),
  ioDepth: fc.integer({ min: 1, max: 4096 }),
  submitBatch: fc.integer({ min: 1, max: 64 }),
  numJobs: fc.integer({ min: 1, max: 64 }),
  direct: fc.boolean(),
  sync: fc.constantFrom('none', 'dsync', 'sync'),
  nowait: fc.boolean(),
  fsyncEvery: fc.nat(1000),
  endFsync: fc.boolean(),
  runtimeSeconds: fc.constantFrom(0, 1, 0.25, 3600),
  timeBased: fc.boolean(),
  rampSeconds: fc.constantFrom(0, 2.5),
  randSeed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  noRandomMap: fc.boolean(),
  distribution: fc.constantFrom(
    { kind: 'random', parameter: 0 },
    { kind: 'zipf', parameter: 1.25 },
    { kind: 'normal', parameter: 12 },
  ),
});
export const anyExperiment = fc.record<Experiment>({
  name: fc
    .string({ minLength: 1, maxLength: 40 })
    .filter((name) => name.trim() === name && !/[\r\n]/.test(name)),
  target: fc.record(
    {
      device: fc.constantFrom(
        { id: 'image-file', options: { path: '/some where/a: b#.img' } },
        { id: 'image-file', options: { path: 'yes', logicalBlockBytes: '512' } },
        { id: 'model', options: { profile: 'hdd', readOnly: true, sizeMib: 64 } },
        { id: 'memory', options: {} },
      ),
      fileSystem: fc.constantFrom(
        { id: 'auto', options: {} },
        { id: 'ext2', options: { blockBytes: '4096', label: '4k' } },
      ),
      filePath: fc.constantFrom(null, '/data', '/a b/- c'),
      fileSizeBytes: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
      create: fc.option(fc.record({ sizeBytes: fc.integer({ min: 0, max: 2 ** 40 }) })),
      consentToWrite: fc.boolean(),
      partition: fc.integer({ min: 1, max: 1024 }),
    },
    {
      requiredKeys: [
        'device',
        'fileSystem',
        'filePath',
        'fileSizeBytes',
        'create',
        'consentToWrite',
      ],
    },
  ),
  jobs: fc.array(anyJob, { minLength: 1, maxLength: 3 }),
  revision: fc.constantFrom('6.4', '2.6.31-pages'),
  trace: fc.record({
    level: fc.constantFrom('off', 'requests', 'full'),
    rowsMax: fc.nat(20_000_000),
  }),
}) as fc.Arbitrary<Experiment>;

describe('writing an experiment file', () => {
  it('is read back as the same experiment', () => {
    fc.assert(
      fc.property(anyExperiment, (experiment) => {
        expect(experimentSchema.safeParse(experiment).success).toBe(true);
        const { experiment: read, problems } = parseExperimentFile(writeExperimentFile(experiment));
        expect(problems).toEqual([]);
        expect(read).toEqual(experiment);
      }),
    );
  });

  it('leaves defaults out', () => {
    const { experiment } = parseExperimentFile('name: short\njobs:\n  - rw: read\n');
    expect(writeExperimentFile(experiment as Experiment)).toBe(
      'name: short\ntarget:\n  filesystem: auto\nrevision: "6.4"\ntrace: requests\njobs:\n  - name: job1\n    rw: read\n    bs: 4k\n    ioengine: io_uring\n',
    );
  });
});

describe('--set', () => {
  const base = parseExperimentFile(FULL).experiment as Experiment;
  it('sets a key for all jobs, for one, in the target and in the head', () => {
    expect(setExperimentValue(base, 'iodepth', '8').jobs.map((job) => job.ioDepth)).toEqual([8, 8]);
    expect(setExperimentValue(base, 'jobs.mix.bs', '16k').jobs[0]?.blockSizes).toEqual([
      { sizeBytes: 16384, percent: 100 },
    ]);
    expect(setExperimentValue(base, 'jobs.1.rw', 'write').jobs[1]?.rw).toBe('write');
    expect(setExperimentValue(base, 'target.image', '/b.img').target.device.options).toEqual({
      path: '/b.img',
    });
    expect(setExperimentValue(base, 'trace', 'off').trace.level).toBe('off');
    expect(base.jobs[0]?.ioDepth).toBe(32);
  });
  it('says what would be right', () => {
    expect(() => setExperimentValue(base, 'iodpeth', '8')).toThrow(/did you mean iodepth/);
    expect(() => setExperimentValue(base, 'iodepth', 'x')).toThrow(/whole number/);
    expect(() => setExperimentValue(base, 'iodepth', '0')).toThrow('at least 1');
    expect(() => setExperimentValue(base, 'jobs.0.bs', '1t')).toThrow('at most 256m');
    expect(() => setExperimentValue(base, 'jobs.nobody.rw', 'read')).toThrow(/mix, job2/);
    expect(() => setExperimentValue(base, 'jobs.0.name.x', 'read')).toThrow(/known key|one of/);
  });
});

describe('quantities', () => {
  it.each([
    ['4k', 4096],
    ['4K', 4096],
    ['4KiB', 4096],
    ['4kB', 4000],
    ['1.5g', 1.5 * 2 ** 30],
    ['512', 512],
    ['512 B', 512],
    ['1MB', 1e6],
    ['2t', 2 ** 41],
    ['0', 0],
    ['', null],
    ['k', null],
    ['1.3', null],
    ['4x', null],
    ['-1', null],
    ['1ib', null],
  ])('reads %j as %s bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
  // As fio 3.33 itself does: checked by running it.
  it.each([
    ['1m', 1048576],
    ['1mb', 1048576],
    ['1mib', 1e6],
    ['2ki', 2000],
    ['0x10', 16],
    ['4kx', null],
  ])('reads %j as fio does: %s', (text, bytes) => {
    expect(parseFioSize(text)).toBe(bytes);
  });
  it.each([
    ['20', 20],
    ['20s', 20],
    ['500ms', 0.5],
    ['2m', 120],
    ['1h', 3600],
    ['90us', 9e-5],
    ['5 fortnights', null],
  ])('reads %j as %s seconds', (text, seconds) => {
    const read = parseSeconds(text);
    expect(read === null ? null : Number(read.toFixed(9))).toBe(seconds);
  });
  it('writes sizes that read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 46 }), (bytes) => {
        expect(parseSize(writeSize(bytes))).toBe(bytes);
        expect(parseFioSize(writeSize(bytes))).toBe(bytes);
      }),
    );
  });
  it('finds the nearest word only where it is near', () => {
    expect(nearestWord('rw_mixread', ['rwmixread', 'rw'])).toBe('rwmixread');
    expect(nearestWord('colour', ['rwmixread', 'bs'])).toBeNull();
    expect(nearestWord('foo', ['job', 'jobs'])).toBeNull();
    expect(nearestWord('rv', ['rw'])).toBe('rw');
  });
});

describe('an image in a file of the image', () => {
  const head = 'name: n\ntarget:\n  image: lab:a.img\n  filesystem: ext2\n  file: /data\n';
  const jobs = 'jobs:\n  - rw: read\n';

  it('is read, and written as it was', () => {
    const inner =
      '  inner:\n    file: /in.img\n    filesystem:\n      id: ext4\n      blockSize: 4k\n    size: 64m\n    transfer: direct\n    sector: 4096\n';
    const { experiment, problems } = parseExperimentFile(`${head}${inner}${jobs}`);
    expect(problems).toEqual([]);
    if (experiment === null) return;
    expect(experiment.target).toMatchObject({
      fileSystem: { id: 'ext2', options: {} },
      filePath: '/data',
      inner: {
        file: '/in.img',
        fileSystem: { id: 'ext4', options: { blockSize: '4096' } },
        fileSizeBytes: 64 * 1024 * 1024,
        transfer: 'direct',
        sectorBytes: 4096,
      },
    });
    const again = parseExperimentFile(writeExperimentFile(experiment));
    expect(again.problems).toEqual([]);
    expect(again.experiment).toEqual(experiment);
  });

  it('names what is wrong with its line', () => {
    const inner = '  inner:\n    fil: /in.img\n    transfer: fast\n';
    const { problems } = parseExperimentFile(`${head}${inner}${jobs}`);
    expect(problems.map(({ code, line }) => [code, line])).toEqual([
      ['job.unknown-key', 7],
      ['job.bad-value', 8],
      ['job.missing-file', 7],
    ]);
  });
});

describe('documentation and samples', () => {
  it('describes every key', () => {
    const page = readFileSync(
      fileURLToPath(new URL('docs/EXPERIMENT-FILE.md', root)),
      'utf8',
    ).replaceAll(/ +/g, ' ');
    for (const { key, form, help } of [...HEAD_KEYS, ...TARGET_KEYS, ...INNER_KEYS, ...JOB_KEYS]) {
      expect(page, key).toContain(`| \`${key}\` | ${form.replaceAll('|', '\\|')} | ${help} |`);
    }
  });
  const samples = fileURLToPath(new URL('assets/experiments/', root));
  it.each(readdirSync(samples).filter((name) => name.endsWith('.yaml')))(
    'reads the sample %s',
    (name) => {
      const { problems } = parseExperimentFile(readFileSync(`${samples}/${name}`, 'utf8'));
      expect(problems).toEqual([]);
    },
  );
});
