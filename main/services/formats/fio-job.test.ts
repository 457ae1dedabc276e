// SPDX-License-Identifier: GPL-2.0-only
/** fio job files: the grammar, the keys that are honoured, those that are named, and writing one that reads back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Experiment } from '../../../engine/lab/experiment.ts';
import { parseExperimentFile } from './experiment-file.ts';
import { FIO_KEYS, parseFioJob, writeFioJob } from './fio-job.ts';

const good = (text: string): Experiment => {
  const { experiment, problems } = parseFioJob(text);
  expect(problems).toEqual([]);
  return experiment as Experiment;
};

describe('reading a fio job', () => {
  it('reads every key that is honoured', () => {
    const { experiment, problems, notes } = parseFioJob(`; a comment
# another
[global]
filename=/tmp/x.img
ioengine=libaio
direct=1
time_based
runtime=20s

[mix]        
rw = randrw
rwmixread=70
bssplit=4k/60:8k/40
size=1m
offset=1mb
io_size=2m
iodepth=32
iodepth_batch=4
numjobs=2
randseed=7
norandommap
sync=dsync
fsync=16
end_fsync=1
ramp_time=500ms
random_distribution=zipf:1.2
nowait=1

[plain]
bs=64k
`);
    expect([problems, notes]).toEqual([[], []]);
    expect(experiment?.target).toMatchObject({
      device: { id: 'image-file', options: { path: '/tmp/x.img' } },
      fileSystem: { id: 'raw' },
      filePath: null,
      create: { sizeBytes: 2 ** 21 },
    });
    expect(experiment?.jobs[0]).toMatchObject({
      name: 'mix',
      rw: 'randrw',
      rwMixReadPercent: 70,
      blockSizes: [
        { sizeBytes: 4096, percent: 60 },
        { sizeBytes: 8192, percent: 40 },
      ],
      sizeBytes: 2 ** 20,
      offsetBytes: 2 ** 20,
      ioSizeBytes: 2 ** 21,
      ioEngine: 'libaio',
      ioDepth: 32,
      submitBatch: 4,
      numJobs: 2,
      direct: true,
      randSeed: 7,
      noRandomMap: true,
      sync: 'dsync',
      fsyncEvery: 16,
      endFsync: true,
      runtimeSeconds: 20,
      timeBased: true,
      rampSeconds: 0.5,
      distribution: { kind: 'zipf', parameter: 1.2 },
      nowait: true,
    });
    // fio's own defaults hold where nothing is said.
    expect(experiment?.jobs[1]).toMatchObject({
      name: 'plain',
      rw: 'read',
      sync: 'none',
      ioDepth: 1,
    });
  });

  it('has the defaults of fio: read, psync, buffered, depth 1', () => {
    const experiment = good('[job]\nfilename=a\n');
    expect(experiment.jobs[0]).toMatchObject({
      rw: 'read',
      ioEngine: 'sync',
      direct: false,
      ioDepth: 1,
    });
    expect(experiment.target.create).toBeNull();
  });

  it('lets a later [global] hold only for what follows it', () => {
    const { jobs } = good('[global]\nfilename=a\nbs=8k\n[one]\n[global]\nbs=16k\n[two]\n');
    expect(jobs.map((job) => job.blockSizes[0]?.sizeBytes)).toEqual([8192, 16384]);
  });

  it('names every other key, with its line, and runs all the same', () => {
    const { experiment, notes } = parseFioJob(
      '[global]\nfilename=a\nverify=crc32c\n[j]\nstonewall\nrate_iops=100\niodpeth=8\ngroup_reporting\n',
    );
    expect(experiment).not.toBeNull();
    expect(notes).toEqual([
      'line 3: verify is not honoured.',
      'line 5: stonewall is not honoured.',
      'line 6: rate_iops is not honoured.',
      'line 7: iodpeth is not honoured (a slip of iodepth?).',
      'line 8: group_reporting is not honoured.',
    ]);
  });

  it.each([
    ['iodepth=0', 'iodepth=0: expected at least 1'],
    ['numjobs=1000', 'numjobs=1000: expected at most 64'],
    ['bs=0', 'bs=0: expected at least 1'],
    ['filename=', 'filename=: expected the path of a file'],
    ['rw read', '"rw read" is not a key'],
    ['=5', 'what stands before the = is not a key'],
  ])('refuses %s with its line and what would be right', (text, message) => {
    const { experiment, problems } = parseFioJob(`[global]\nfilename=a\n[j]\n${text}\n`);
    expect(experiment).toBeNull();
    expect(problems).toMatchObject([{ message, line: 4, exitCode: 65 }]);
  });

  it('names jobs by their sections, also where [global] has a name, as fio does', () => {
    const { jobs } = good('[global]\nname=all\nfilename=a\n[one]\n[two]\nname=second\n[three]\n');
    expect(jobs.map((job) => job.name)).toEqual(['one', 'second', 'three']);
  });

  it('takes the value of the direction from a list, and says what it does with a mixed one', () => {
    expect(
      good('[w]\nfilename=a\nbs=4k,64k\nrw=randwrite\n').jobs[0]?.blockSizes[0]?.sizeBytes,
    ).toBe(65536);
    expect(good('[r]\nfilename=a\nrw=read\nbs=4k,64k\n').jobs[0]?.blockSizes[0]?.sizeBytes).toBe(
      4096,
    );
    expect(parseFioJob('[m]\nfilename=a\nrw=randrw\nbs=4k,64k\n').notes).toHaveLength(1);
  });

  it('reads our own keys from comments that fio skips', () => {
    const { target, jobs, revision } = good(`; diolab target.filesystem = ext2
; diolab target.file = /data
; diolab target.file_size = 64m
[a]
filename=/x.img
size=1m
; diolab align_memory = 512
[b]
filename=/x.img
`);
    expect(target).toMatchObject({
      fileSystem: { id: 'ext2' },
      filePath: '/data',
      fileSizeBytes: 2 ** 26,
    });
    expect(jobs.map((job) => job.alignment.memoryBytes)).toEqual([512, 0]);
    expect(revision).toBe('6.4');
  });

  it.each([
    ['[j]\nfilename=a\nbs=lots\n', 'job.bad-value', 3],
    ['[j]\nfilename=a\nioengine=cosmic\n', 'job.bad-value', 3],
    ['[j]\nfilename=a\nbs\n', 'job.bad-value', 3],
    ['[j]\nfilename=a:b\n', 'job.bad-value', 2],
    ['[j]\nfilename=a\nrw=trim\n', 'job.bad-value', 3],
    ['include other.fio\n[j]\nfilename=a\n', 'fio.include', 1],
    ['rw=read\n[j]\nfilename=a\n', 'fio.no-section', 1],
    ['[j]\nfilename=a\niodepth=99999\n', 'job.bad-value', 3],
    ['[j]\nfilename=a\n; diolab target.colour = red\n', 'job.bad-value', 3],
    ['', 'job.none', null],
    ['[global]\nbs=4k\n', 'job.none', null],
    ['[a]\nfilename=x\n[b]\nfilename=y\n', 'fio.several-files', null],
  ] as const)('refuses %j as %s', (text, code, line) => {
    const { experiment, problems } = parseFioJob(text);
    expect(experiment).toBeNull();
    expect(problems[0]).toMatchObject({ code, line });
    expect(problems[0]?.hint).toBeTruthy();
  });

  it('never throws, whatever the text', () => {
    const line = fc.oneof(
      fc
        .constantFrom(...FIO_KEYS.flatMap(({ names }) => names))
        .chain((key) => fc.string({ maxLength: 12 }).map((value) => `${key}=${value}`)),
      fc.string({ maxLength: 30 }),
      fc.constant('[section]'),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const { experiment, problems } = parseFioJob(lines.join('\n'));
        expect(experiment === null).toBe(problems.length > 0);
      }),
    );
  });
});

describe('writing a fio job', () => {
  it('reads back as the same experiment, the inside of the target and dials included', () => {
    const { experiment } = parseExperimentFile(`name: "both ways: a test"
target: { image: "/data/a:b.img", filesystem: ext2, file: /data, file_size: 64m, create: 1g, consent_to_write: true }
trace: off
jobs:
  - { name: one, rw: randrw, rwmixread: 30, bs: 4k/50:1m/50, ioengine: libaio, iodepth: 8, numjobs: 3, align_offset: 512, size: 32m, runtime: 1.5s, time_based: true, ramp_time: 2s }
  - { name: two, rw: write, bs: 64k, ioengine: libaio, submit_batch: 4, sync: sync, fsync: 2, end_fsync: true, norandommap: true, nowait: true, align_length: -512, align_memory: 16, random_distribution: pareto:0.3, offset: 1m, io_size: 2g, randseed: 9 }
`);
    const written = writeFioJob(experiment as Experiment);
    const { experiment: read, problems, notes } = parseFioJob(written.text);
    expect(problems).toEqual([]);
    expect(notes).toEqual([]);
    expect(read).toEqual(experiment);
    expect(written.notes.join(' ')).toMatch(/alignment dials/);
  });

  it('writes only keys that it reads', () => {
    const names = FIO_KEYS.flatMap((key) => key.names);
    const { experiment } = parseExperimentFile('jobs:\n  - { rw: randwrite, bs: 512 }\n');
    for (const line of writeFioJob(experiment as Experiment).text.split('\n')) {
      const [key] = line.split('=');
      if (line.includes('=') && !line.startsWith(';')) expect(names).toContain(key);
    }
  });
});
