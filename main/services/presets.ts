// SPDX-License-Identifier: GPL-2.0-only
/** Experiments for a newcomer: each runs in one click, on an image that the lab makes itself in its data folder. */
import { join } from 'node:path';
import { GIB, KIB, MIB } from '../../engine/base/index.ts';
import type { Experiment, Job, Target } from '../../engine/lab/experiment.ts';
import { DEFAULT_REVISION_ID } from '../../engine/lab/lists.ts';
import type { Preset } from '../contract/types.ts';
import { DEFAULT_JOB } from './formats/job-keys.ts';

const TRACE = { level: 'requests', rowsMax: 1_000_000 } as const;

const job = (name: string, change: Partial<Job>): Job => ({ ...DEFAULT_JOB, name, ...change });
const sized = (sizeBytes: number): Pick<Job, 'blockSizes'> => ({
  blockSizes: [{ sizeBytes, percent: 100 }],
});
const timed = (seconds: number): Pick<Job, 'runtimeSeconds' | 'timeBased'> => ({
  runtimeSeconds: seconds,
  timeBased: true,
});

/** `imagesFolder`: the lab's own folder for images. */
export function presets(imagesFolder: string): Preset[] {
  return [
    firstLight(imagesFolder),
    sectorInBlock(imagesFolder),
    extendingWrite(imagesFolder),
    modelDisk(
      'model-hdd',
      'Model: a hard disk',
      'hdd',
      "Seek and rotation, in the model's own time: run it, then the NVMe one, and compare the latencies.",
    ),
    modelDisk(
      'model-nvme',
      'Model: an NVMe drive',
      'nvme',
      'The same load on a drive with channels and no moving parts: depth helps here, and not there.',
    ),
    engineAlone(),
  ];
}

function inImage(folder: string, name: string, change: Partial<Target>): Target {
  return {
    device: { id: 'image-file', options: { path: join(folder, name) } },
    fileSystem: { id: 'ext2', options: {} },
    filePath: '/data',
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
    ...change,
  };
}

const experiment = (name: string, target: Target, jobs: readonly Job[]): Experiment => ({
  name,
  target,
  jobs,
  revision: DEFAULT_REVISION_ID,
  trace: TRACE,
});

function firstLight(folder: string): Preset {
  const target = inImage(folder, 'first-light.img', {
    create: { sizeBytes: GIB },
    fileSizeBytes: 256 * MIB,
  });
  const reads = job('random reads', {
    rw: 'randread',
    ioEngine: 'io_uring',
    ioDepth: 32,
    ...timed(10),
  });
  return {
    id: 'first-light',
    title: 'First light',
    help: 'Random 4 KiB reads, 32 in flight, through an ext2 file system inside an image, down to the disk with O_DIRECT.',
    experiment: experiment('First light', target, [reads]),
  };
}

function sectorInBlock(folder: string): Preset {
  const target = inImage(folder, 'first-light.img', {
    create: { sizeBytes: GIB },
    fileSizeBytes: 256 * MIB,
  });
  const reads = job('at offset 1536', {
    ...sized(512),
    rw: 'randread',
    alignment: { offsetBytes: 1536, lengthBytes: 0, memoryBytes: 512 },
    ioEngine: 'io_uring',
    ioDepth: 8,
    ...timed(5),
  });
  return {
    id: 'sector-in-block',
    title: '512 in 4096',
    help: 'Reads of 512 bytes at odd sectors of a file system with 4096-byte blocks: the block factor at work, and what a disk with 4096-byte sectors says to it.',
    experiment: experiment('512 in 4096', target, [reads]),
  };
}

function extendingWrite(folder: string): Preset {
  const target = inImage(folder, 'extending.img', {
    create: { sizeBytes: GIB },
    filePath: '/grows',
  });
  const writes = job('extending writes', {
    ...sized(64 * KIB),
    rw: 'write',
    sizeBytes: 256 * MIB,
    ioEngine: 'libaio',
    ioDepth: 16,
    runtimeSeconds: 10,
  });
  return {
    id: 'extending-write',
    title: 'Extending async write',
    help: 'Asynchronous writes that make a file longer are not asynchronous at all: the submit call itself blocks, and the verdict says for how long.',
    experiment: experiment('Extending async write', target, [writes]),
  };
}

function modelDisk(id: string, title: string, profile: string, help: string): Preset {
  const target: Target = {
    device: { id: 'model', options: { profile } },
    fileSystem: { id: 'raw', options: {} },
    filePath: null,
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
  };
  const reads = job('random reads', {
    rw: 'randread',
    ioEngine: 'libaio',
    ioDepth: 32,
    ...timed(20),
  });
  return { id, title, help, experiment: experiment(title, target, [reads]) };
}

function engineAlone(): Preset {
  const target: Target = {
    device: { id: 'memory', options: {} },
    fileSystem: { id: 'raw', options: {} },
    filePath: null,
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
  };
  const mixed = job('mixed', {
    rw: 'randrw',
    rwMixReadPercent: 70,
    blockSizes: [
      { sizeBytes: 4 * KIB, percent: 60 },
      { sizeBytes: 64 * KIB, percent: 40 },
    ],
    ioEngine: 'libaio',
    ioDepth: 32,
    ...timed(5),
  });
  return {
    id: 'engine-alone',
    title: 'The engine alone',
    help: 'A disk in memory: what the engine itself costs a request, with no disk to wait for.',
    experiment: experiment('The engine alone', target, [mixed]),
  };
}
