// SPDX-License-Identifier: GPL-2.0-only
/** Whole experiments on real image files with the real executors: what the host's kernel counts, what e2fsck says, and fio's forms. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunControl, RunOutcome } from '../../engine/lab/door.ts';
import type { Experiment, Job } from '../../engine/lab/experiment.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { imageFiles, nativePorts } from '../../main/host/native/index.ts';
import {
  formatExperiment,
  formatFioResult,
  parseExperiment,
} from '../../main/services/formats/index.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 2 ** 20;
const EXECUTORS = ['sync', 'threads', 'libaio', 'io_uring'] as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-runs-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A fresh image of so many MiB; sparse. */
function freshImage(name: string, sizeMib: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeMib * MIB);
  return path;
}

/** Why there is no direct I/O in the folder of temporary files; null: there is. */
function whyNotDirect(): string | null {
  const here = mkdtempSync(join(tmpdir(), 'diolab-runs-'));
  try {
    const path = join(here, 'probe');
    writeFileSync(path, new Uint8Array(65536));
    const image = imageFiles.open(path, { readOnly: true, direct: true });
    const why = image.isDirect ? null : (image.directRefusedWhy ?? 'no direct I/O');
    image.close();
    return why;
  } finally {
    rmSync(here, { recursive: true });
  }
}

function experiment(path: string, jobs: string, target = ''): Experiment {
  const text = `target: { image: ${JSON.stringify(path)}, consent_to_write: true, ${target} }\njobs:\n  - { ${jobs} }\n`;
  const parsed = parseExperiment(text, 'yaml');
  expect(parsed.problems).toEqual([]);
  return parsed.experiment as Experiment;
}
const IN_EXT2 = 'filesystem: ext2, file: /data, file_size: 32m, create: 64m';

function run(asked: Experiment, control: Partial<RunControl> = {}): RunOutcome {
  return runExperiment(asked, nativePorts(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
    ...control,
  });
}

function assertSound(path: string): void {
  const { status, stdout } = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], {
    encoding: 'utf8',
  });
  expect(stdout).not.toMatch(/WARNING|not cleanly unmounted/);
  expect(status, stdout).toBe(0);
}

describeUnless(
  missingReason(['e2fsprogs']) ?? whyNotDirect(),
  'experiments on an image, through ext2',
  () => {
    it.each(EXECUTORS)('reads with %s, and the host counts the same bytes', (engine) => {
      const path = freshImage(`reads-${engine}`, 64);
      const { result } = run(
        experiment(path, `rw: randread, bs: 4k, ioengine: ${engine}, iodepth: 16`, IN_EXT2),
      );
      const [first] = result.jobs;
      expect(first?.executor.got).toBe(engine);
      expect(first?.read).toMatchObject({ totalIos: 8192, bytes: 32 * MIB, shortIos: 0 });
      const ours = result.device.readBytes;
      expect(result.host.isDirect).toBe(true);
      expect(result.host.processReadBytes).toBeGreaterThanOrEqual(ours);
      expect(result.host.processReadBytes).toBeLessThanOrEqual(ours * 1.01);
      // Others use the same disk: it counts ours at least.
      if (result.host.deviceReadBytes !== null) {
        expect(result.host.deviceReadBytes).toBeGreaterThanOrEqual(ours * 0.99);
      }
      expect(result.verdict.map((claim) => claim.text).join(' ')).toMatch(/Really direct/);
      assertSound(path);
    });

    it.each(EXECUTORS)('extends a file with %s, and e2fsck finds nothing', (engine) => {
      const path = freshImage(`extends-${engine}`, 64);
      const { result } = run(
        experiment(
          path,
          `rw: write, bs: 64k, size: 24m, ioengine: ${engine}, iodepth: 8, end_fsync: true`,
          'filesystem: ext2, file: /a/grows, create: 64m',
        ),
      );
      const [first] = result.jobs;
      expect(first?.write).toMatchObject({ totalIos: 384, bytes: 24 * MIB });
      expect(first?.syncs.count).toBe(1);
      expect(result.host.processWriteBytes).toBeGreaterThanOrEqual(24 * MIB);
      if (engine !== 'sync') {
        expect(first?.submit).toMatchObject({ submits: 384, completedInSubmit: 384 });
      }
      assertSound(path);
    });

    it('writes at random over a laid out file, mixed with reads, and stays sound', () => {
      const path = freshImage('mixed', 64);
      const { result } = run(
        experiment(
          path,
          'rw: randrw, bs: 4k/50:16k/50, ioengine: io_uring, iodepth: 32, fsync: 64, numjobs: 2',
          IN_EXT2,
        ),
      );
      const [first] = result.jobs;
      expect((first?.read.bytes ?? 0) + (first?.write.bytes ?? 0)).toBe(64 * MIB);
      expect(first?.errors).toEqual({});
      assertSound(path);
    });

    it('stops where the file system is full, and stays sound', () => {
      const path = freshImage('full', 8);
      const { result } = run(
        experiment(
          path,
          'rw: write, bs: 256k, size: 32m, ioengine: libaio, iodepth: 4',
          'filesystem: ext2, file: /data, create: 8m',
        ),
      );
      expect(Object.keys(result.jobs[0]?.errors ?? {})).toEqual(['ENOSPC']);
      assertSound(path);
    });

    it('is cancelled in the middle of writes, and leaves the file system clean', () => {
      const path = freshImage('cancelled', 64);
      let frames = 0;
      const { result } = run(
        experiment(
          path,
          'rw: randwrite, bs: 4k, ioengine: io_uring, iodepth: 32, runtime: 60s, time_based: true',
          IN_EXT2,
        ),
        {
          isStopRequested: () => frames >= 3,
          onProgress: (progress) => {
            if (progress.phase === 'running') frames++;
          },
        },
      );
      expect(result.state).toBe('cancelled');
      expect(result.elapsedNs).toBeLessThan(30e9);
      assertSound(path);
    });
  },
);

describeUnless(whyNotDirect(), 'experiments on a raw image', () => {
  it('tells a refused alignment with the request and the nearest that passes', () => {
    const path = freshImage('refused', 4);
    const { result } = run(
      experiment(
        path,
        'rw: read, bs: 4k, align_memory: 100, ioengine: io_uring',
        'filesystem: raw',
      ),
    );
    expect(Object.keys(result.jobs[0]?.errors ?? {})).toEqual(['EINVAL']);
    expect(result.verdict[0]?.text).toMatch(/memory 100 .*nearest that passes/s);
  });

  it('measures RAM when it is buffered, and says so', () => {
    const path = join(folder, 'buffered');
    writeFileSync(path, new Uint8Array(8 * MIB));
    const { result } = run(
      experiment(path, 'rw: randread, bs: 4k, direct: false, ioengine: sync', 'filesystem: raw'),
    );
    expect(result.host.isDirect).toBe(false);
    expect(result.jobs[0]?.read.bytes).toBe(8 * MIB);
    expect(result.verdict.map((claim) => claim.text).join(' ')).toMatch(/Buffered by request/);
  });
});

/** Every path of keys in a document; bins and percentiles are values, not shape. */
function shapeOf(value: unknown, prefix = ''): string[] {
  if (Array.isArray(value)) return shapeOf(value[0], `${prefix}[]`);
  if (typeof value !== 'object' || value === null) return [prefix];
  return Object.entries(value).flatMap(([key, inner]) =>
    /^(bins|percentile|job options|global options)$/.test(key)
      ? [`${prefix}.${key}`]
      : shapeOf(inner, `${prefix}.${key}`),
  );
}

describeUnless(missingReason(['fio']), 'fio itself', () => {
  const fio = (...args: string[]): string =>
    execFileSync(findProgram('fio') ?? 'fio', args, { encoding: 'utf8', cwd: folder });

  it('accepts the job files that we write', () => {
    const asked = experiment(
      '/tmp/a.img',
      'rw: randrw, rwmixread: 70, bs: 4k/60:8k/40, size: 1m, io_size: 2m, offset: 4k, ioengine: libaio, iodepth: 8, submit_batch: 2, numjobs: 2, sync: dsync, fsync: 4, end_fsync: true, runtime: 1.5s, time_based: true, ramp_time: 1s, norandommap: true, random_distribution: zipf:1.2, align_offset: 512',
      IN_EXT2,
    );
    const path = join(folder, 'ours.fio');
    writeFileSync(path, formatExperiment(asked, 'fio').text);
    expect(() => fio('--parse-only', path)).not.toThrow();
    for (const rw of ['read', 'write', 'randread', 'randwrite', 'rw'] as const) {
      const jobs = [{ ...(asked.jobs[0] as Job), rw, ioEngine: 'sync' as const, nowait: false }];
      writeFileSync(path, formatExperiment({ ...asked, jobs }, 'fio').text);
      expect(() => fio('--parse-only', path)).not.toThrow();
    }
  });

  it('prints json+ whose keys our output has, each and every one', () => {
    const job = ['--name=j', '--filename=shape', '--size=1m', '--bs=4k', '--rw=randrw'];
    const text = fio(...job, '--ioengine=libaio', '--iodepth=4', '--output-format=json+');
    const theirs = JSON.parse(text) as unknown;
    const path = freshImage('shape.img', 1);
    const { result } = run(
      experiment(path, 'rw: randrw, bs: 4k, ioengine: libaio, iodepth: 4', 'filesystem: raw'),
    );
    const ours = new Set(shapeOf(JSON.parse(JSON.stringify(formatFioResult(result)))));
    const missing = shapeOf(theirs).filter(
      // What fio says of its disk tool chain and of batches is its own.
      (key) => !ours.has(key) && !/disk_util|iodepth_submit|iodepth_complete/.test(key),
    );
    expect(missing).toEqual([]);
  });

  it('does the same amount of I/O for the same job file', () => {
    const path = freshImage('same.img', 4);
    const text = `[global]\nfilename=${path}\nioengine=psync\ndirect=1\n[a]\nrw=randwrite\nbs=8k\nsize=4m\n[b]\nrw=read\nbs=64k\nsize=4m\n`;
    const file = join(folder, 'same.fio');
    writeFileSync(file, text);
    const parsed = parseExperiment(text, 'fio');
    expect(parsed.problems).toEqual([]);
    const asked = parsed.experiment as Experiment;
    const { result } = run({
      ...asked,
      target: { ...asked.target, create: null, consentToWrite: true },
    });
    const theirs = JSON.parse(fio('--output-format=json', file)) as {
      jobs: { read: { total_ios: number }; write: { total_ios: number } }[];
    };
    expect(result.jobs.map(({ read, write }) => [read.totalIos, write.totalIos])).toEqual(
      theirs.jobs.map(({ read, write }) => [read.total_ios, write.total_ios]),
    );
  });
});

describe('memory over a long run', () => {
  it('does not grow with the requests', () => {
    const text = `trace: off\ntarget: { device: { id: memory, keepsData: false }, filesystem: raw }\njobs: [{ rw: randread, bs: 4k, ioengine: libaio, iodepth: 32, io_size: 3g }]\n`;
    const asked = parseExperiment(text, 'yaml').experiment as Experiment;
    const used: number[] = [];
    const { result } = run(asked, {
      onProgress: () => {
        used.push(process.memoryUsage().heapUsed);
      },
    });
    expect(result.jobs[0]?.read.totalIos).toBe(786_432);
    const early = Math.max(...used.slice(0, Math.ceil(used.length / 2)));
    expect(Math.max(...used)).toBeLessThan(early + 32 * MIB);
  });
});
