// SPDX-License-Identifier: GPL-2.0-only
/** The loads that are compared with fio, and fio itself as the peer. */
import { execFileSync } from 'node:child_process';
import type { ExecutorId } from '../../engine/executor/contract.ts';

export interface Load {
  readonly id: string;
  readonly title: string;
  readonly ioEngine: ExecutorId;
  readonly depth: number;
  readonly rw: 'randread' | 'randwrite' | 'read';
  readonly blockSizeBytes: number;
}

export const LOADS: readonly Load[] = [
  { id: 'sync-randread-4k-qd1', title: '4 KiB random reads, sync, depth 1', ioEngine: 'sync', depth: 1, rw: 'randread', blockSizeBytes: 4096 },
  { id: 'libaio-randread-4k-qd32', title: '4 KiB random reads, libaio, depth 32', ioEngine: 'libaio', depth: 32, rw: 'randread', blockSizeBytes: 4096 },
  { id: 'io_uring-randread-4k-qd32', title: '4 KiB random reads, io_uring, depth 32', ioEngine: 'io_uring', depth: 32, rw: 'randread', blockSizeBytes: 4096 },
  { id: 'io_uring-randwrite-4k-qd32', title: '4 KiB random writes, io_uring, depth 32', ioEngine: 'io_uring', depth: 32, rw: 'randwrite', blockSizeBytes: 4096 },
  { id: 'io_uring-read-1m-qd8', title: '1 MiB sequential reads, io_uring, depth 8', ioEngine: 'io_uring', depth: 8, rw: 'read', blockSizeBytes: 1024 * 1024 },
]; // prettier-ignore

/** fio's name of an executor. */
const FIO_ENGINE: Readonly<Record<ExecutorId, string>> = {
  sync: 'psync',
  threads: 'posixaio',
  libaio: 'libaio',
  io_uring: 'io_uring',
};

/** IOPS of fio for the load on the file: one request a submission, as ours; offsets may repeat, as ours. */
export function fioIops(load: Load, path: string, sizeBytes: number, runtimeMs: number): number {
  const output = execFileSync(
    'fio',
    [
      '--name=peer',
      `--filename=${path}`,
      `--size=${String(sizeBytes)}`,
      `--rw=${load.rw}`,
      `--bs=${String(load.blockSizeBytes)}`,
      `--ioengine=${FIO_ENGINE[load.ioEngine]}`,
      `--iodepth=${String(load.depth)}`,
      '--direct=1',
      '--norandommap',
      '--randrepeat=0',
      '--time_based',
      `--runtime=${String(runtimeMs)}ms`,
      '--output-format=json',
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  // fio may write notes before the JSON.
  const parsed = JSON.parse(output.slice(output.indexOf('{'))) as {
    jobs: { read: { iops: number }; write: { iops: number } }[];
  };
  const job = parsed.jobs[0];
  if (job === undefined) throw new Error('fio gave no job');
  return load.rw === 'randwrite' ? job.write.iops : job.read.iops;
}
