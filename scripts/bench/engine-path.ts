// SPDX-License-Identifier: GPL-2.0-only
/**
 * The whole path of a run (workload, direct I/O port, file system, block layer, device, executor) against fio: on the raw image
 * file, and through ext2 in the image against the kernel's own mount of that image over a loop device with direct I/O.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Experiment, Job } from '../../engine/lab/experiment.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { fioIops, LOADS, type Load } from './loads.ts';
import { matches, type RawBenchOptions } from './raw.ts';
import { pairedRow, type BenchRow } from './rows.ts';

const CONTROL = { isStopRequested: () => false, onProgress: () => undefined };
const MS_PER_SECOND = 1000;

/** The file inside the ext2 image. */
const FILE_PATH = '/bench.dat';

function jobOf(load: Load, areaBytes: number, runtimeMs: number): Job {
  return {
    name: load.id,
    rw: load.rw,
    rwMixReadPercent: 50,
    blockSizes: [{ sizeBytes: load.blockSizeBytes, percent: 100 }],
    offsetBytes: 0,
    sizeBytes: areaBytes,
    ioSizeBytes: null,
    alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
    ioEngine: load.ioEngine,
    ioDepth: load.depth,
    submitBatch: 1,
    numJobs: 1,
    direct: true,
    sync: 'none',
    nowait: false,
    fsyncEvery: 0,
    endFsync: false,
    runtimeSeconds: runtimeMs / MS_PER_SECOND,
    timeBased: true,
    rampSeconds: 0,
    randSeed: Date.now() >>> 0,
    noRandomMap: true,
    distribution: { kind: 'random', parameter: 0 },
  };
}

export function experimentOf(
  load: Load,
  path: string,
  fileSystemId: 'raw' | 'ext2',
  areaBytes: number,
  runtimeMs: number,
): Experiment {
  return {
    name: load.id,
    target: {
      device: { id: 'image-file', options: { path } },
      fileSystem: { id: fileSystemId, options: {} },
      filePath: fileSystemId === 'raw' ? null : FILE_PATH,
      fileSizeBytes: null,
      create: null,
      consentToWrite: true,
    },
    jobs: [jobOf(load, areaBytes, runtimeMs)],
    revision: '6.4',
    trace: { level: 'off', rowsMax: 0 },
  };
}

/** IOPS of a run of ours; throws where it failed, fell back or was not direct. */
export function engineIops(experiment: Experiment): number {
  const { result } = runExperiment(experiment, nativePorts(), CONTROL);
  if (result.failure !== null) throw new Error(result.failure.message);
  const [job] = result.jobs;
  if (job === undefined || job.firstError !== null) {
    throw new Error(`the run failed: ${JSON.stringify(job?.firstError)}`);
  }
  if (!result.host.isDirect || job.executor.got !== job.executor.asked) {
    throw new Error(`not what was asked for: ${JSON.stringify([result.host, job.executor])}`);
  }
  return job.read.iops + job.write.iops;
}

/** The raw image file. */
export function benchEngineRaw(options: RawBenchOptions): BenchRow[] {
  return LOADS.filter(({ id }) => matches(`raw.${id}`, options.only)).map((load) =>
    pairedRow(
      { id: `raw.${load.id}`, title: `Engine, raw image: ${load.title}`, unit: 'IOPS', bar: 0.95 },
      options.pairs,
      () =>
        engineIops(experimentOf(load, options.path, 'raw', options.sizeBytes, options.runtimeMs)),
      () => fioIops(load, options.path, options.sizeBytes, options.runtimeMs),
    ),
  );
}

/** Mounts the image as the kernel does, hands out the path of the file in it, and takes all apart again. */
function withKernelMount<T>(imagePath: string, use: (filePath: string) => T): T {
  const point = mkdtempSync(join(tmpdir(), 'diolab-bench-'));
  const device = execFileSync('losetup', ['-f', '--show', '--direct-io=on', imagePath], {
    encoding: 'utf8',
  }).trim();
  try {
    const direct = execFileSync('losetup', ['-n', '-O', 'DIO', '-l', device], { encoding: 'utf8' });
    if (direct.trim() !== '1') throw new Error(`${device} has no direct I/O`);
    execFileSync('mount', ['-t', 'ext2', device, point]);
    try {
      return use(join(point, FILE_PATH));
    } finally {
      execFileSync('umount', [point]);
    }
  } finally {
    execFileSync('losetup', ['-d', device]);
    rmdirSync(point);
  }
}

/**
 * ext2 in the image: `options.path` is overwritten with a file system of the host's mke2fs and one file of the engine's own making,
 * three quarters of it.
 */
export function benchEngineExt2(options: RawBenchOptions): BenchRow[] {
  const loads = LOADS.filter(({ id }) => matches(`ext2.${id}`, options.only));
  const [first] = loads;
  if (first === undefined) return [];
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext2', '-b', '4096', options.path]);
  const areaBytes = Math.floor((options.sizeBytes * 0.75) / 2 ** 20) * 2 ** 20;
  const layOut = experimentOf(first, options.path, 'ext2', areaBytes, 1);
  engineIops({ ...layOut, target: { ...layOut.target, fileSizeBytes: areaBytes } });
  return loads.map((load) =>
    pairedRow(
      {
        id: `ext2.${load.id}`,
        title: `Engine, ext2 in the image, and the kernel's mount: ${load.title}`,
        unit: 'IOPS',
        bar: 1,
      },
      options.pairs,
      () => engineIops(experimentOf(load, options.path, 'ext2', areaBytes, options.runtimeMs)),
      () =>
        withKernelMount(options.path, (filePath) =>
          fioIops(load, filePath, areaBytes, options.runtimeMs),
        ),
    ),
  );
}
