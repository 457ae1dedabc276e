// SPDX-License-Identifier: GPL-2.0-only
/** An experiment as groups of rows, in the order of the form. Usual values that say nothing are left out. Pure. */
import type { Experiment, Job } from '../../../main/contract/index.ts';
import {
  formatCount,
  formatExactBytes,
  formatSizeShares,
  joinShown,
} from '../../format/numbers.ts';

type Row = readonly [name: string, value: string];
export interface AskedGroup {
  readonly title: string;
  readonly rows: readonly Row[];
}
const bytes = (value: number): string => joinShown(formatExactBytes(value));
const when = (condition: boolean, name: string, value: string): Row[] =>
  condition ? [[name, value]] : [];

function loadRows(job: Job): Row[] {
  return [
    ['pattern', job.rw],
    ...when(job.rw.endsWith('rw'), 'reads', `${String(job.rwMixReadPercent)} %`),
    ['block size', formatSizeShares(job.blockSizes)],
    ...when(job.offsetBytes > 0, 'starts at', bytes(job.offsetBytes)),
    ['area', job.sizeBytes === null ? 'whole file' : bytes(job.sizeBytes)],
    job.timeBased
      ? ['length', `${String(job.runtimeSeconds)} s`]
      : ['length', job.ioSizeBytes === null ? 'the area once' : bytes(job.ioSizeBytes)],
    ...when(job.rampSeconds > 0, 'ramp', `${String(job.rampSeconds)} s`),
    ...when(job.distribution.kind !== 'random', 'spread',
      `${job.distribution.kind} ${String(job.distribution.parameter)}`),
    ...when(job.rw.startsWith('rand'), 'seed', formatCount(job.randSeed)),
    ...when(!job.direct, 'O_DIRECT', 'no, buffered'),
    ...when(job.nowait, 'RWF_NOWAIT', 'yes'),
    ...when(job.sync !== 'none', 'syncing', `O_${job.sync.toUpperCase()}`),
    ...when(job.fsyncEvery > 0, 'fsync every', `${formatCount(job.fsyncEvery)} writes`),
    ...when(job.endFsync, 'fsync', 'at the end'),
  ]; // prettier-ignore
}

export function askedGroups({ target, jobs, revision, trace }: Experiment): AskedGroup[] {
  const path = Object.entries(target.device.options).find(([name]) => name === 'path')?.[1];
  const ground: Row[] = [
    ['device', target.device.id],
    ...when(path !== undefined, 'image', String(path).split('/').at(-1) ?? ''),
    ['file system', target.fileSystem.id],
    ...Object.entries(target.fileSystem.options).map(([name, value]): Row => [name, String(value)]),
    ['file', target.filePath ?? 'the whole device'],
    ...when(target.fileSizeBytes !== null, 'file size', bytes(target.fileSizeBytes ?? 0)),
  ];
  const perJob = jobs.flatMap((job, index): AskedGroup[] => {
    const suffix = jobs.length > 1 ? ` of ${job.name || String(index + 1)}` : '';
    return [
      { title: `Load${suffix}`, rows: loadRows(job) },
      {
        title: `Alignment${suffix}`,
        rows: [
          ['offset', `+ ${formatCount(job.alignment.offsetBytes)} B`],
          [
            'length',
            `${job.alignment.lengthBytes < 0 ? '\u2212' : '+'} ${formatCount(Math.abs(job.alignment.lengthBytes))} B`,
          ],
          ['memory', `+ ${formatCount(job.alignment.memoryBytes)} B`],
        ],
      },
      {
        title: `Engine${suffix}`,
        rows: [
          ['AIO mode', job.ioEngine],
          ['depth', `${formatCount(job.ioDepth)} in flight`],
          ['batch', `${formatCount(job.submitBatch)} a submit`],
          ['jobs', formatCount(job.numJobs)],
          ...when(index === jobs.length - 1, 'kernel', revision),
          ...when(index === jobs.length - 1, 'trace', trace.level),
        ],
      },
    ];
  });
  return [{ title: 'Ground', rows: ground }, ...perJob];
}
