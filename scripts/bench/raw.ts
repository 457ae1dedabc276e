// SPDX-License-Identifier: GPL-2.0-only
/** The executors alone, without the engine above them, against fio with the same ioengine on the same file. */
import { Sfc32 } from '../../engine/base/index.ts';
import { RAW_KIND, type Executor } from '../../engine/executor/index.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { fioIops, LOADS, type Load } from './loads.ts';
import { pairedRow, type BenchRow } from './rows.ts';

export interface RawBenchOptions {
  /** A file of ours on a real disk; its content is overwritten. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly pairs: number;
  readonly runtimeMs: number;
  /** Parts of the ids to run; empty: all. */
  readonly only: readonly string[];
}

const NS_PER_MS = 1e6;
const NS_PER_SECOND = 1e9;

/** Keeps `executor` full for `runtimeMs`; the rate of completions. */
function drive(
  executor: Executor,
  fd: number,
  load: Load,
  options: RawBenchOptions,
  nowNs: () => number,
): number {
  const { slots } = executor;
  const { blockSizeBytes } = load;
  const blocks = Math.floor(options.sizeBytes / blockSizeBytes);
  const random = new Sfc32(Date.now() >>> 0);
  const isRandom = load.rw !== 'read';
  const kind = load.rw === 'randwrite' ? RAW_KIND.write : RAW_KIND.read;
  let next = 0;
  let done = 0;
  const onEnd = (slot: number, result: number): void => {
    if (result !== blockSizeBytes) {
      throw new Error(`slot ${String(slot)} ended with ${String(result)}`);
    }
    done++;
  };
  const fill = (): void => {
    for (;;) {
      const slot = executor.takeSlot();
      if (slot < 0) return;
      const block = isRandom ? Math.floor((random.next32() / 2 ** 32) * blocks) : next++ % blocks;
      slots.kind[slot] = kind;
      slots.fd[slot] = fd;
      slots.fileOffsetBytes[slot] = block * blockSizeBytes;
      slots.bufferOffset[slot] = slot * blockSizeBytes;
      slots.lengthBytes[slot] = blockSizeBytes;
      executor.push(slot);
    }
  };
  const start = nowNs();
  const end = start + options.runtimeMs * NS_PER_MS;
  let now = start;
  while (now < end) {
    fill();
    executor.reap(1, Infinity, onEnd);
    now = nowNs();
  }
  const rate = (done * NS_PER_SECOND) / (now - start);
  while (executor.inFlightCount > 0) executor.reap(executor.inFlightCount, Infinity, onEnd);
  return rate;
}

/** IOPS of one executor by itself. */
export function executorIops(load: Load, options: RawBenchOptions): number {
  const ports = nativePorts();
  const arena = ports.makeArena((load.depth * load.blockSizeBytes) / 4096);
  const image = ports.imageFiles!.open(options.path, { readOnly: false, direct: true });
  const { executor } = ports.executors!.open(
    load.ioEngine,
    { depth: load.depth, submitBatch: 1, polled: false },
    arena,
  );
  try {
    if (executor.id !== load.ioEngine) throw new Error(`this host has no ${load.ioEngine}`);
    return drive(executor, image.fd, load, options, () => ports.clock.nowNs());
  } finally {
    executor.close();
    image.close();
  }
}

/** One row a load. */
export function benchRaw(options: RawBenchOptions): BenchRow[] {
  return LOADS.filter(({ id }) => matches(`executor.${id}`, options.only)).map((load) =>
    pairedRow(
      {
        id: `executor.${load.id}`,
        title: `Executor alone: ${load.title}`,
        unit: 'IOPS',
        bar: 0.95,
      },
      options.pairs,
      () => executorIops(load, options),
      () => fioIops(load, options.path, options.sizeBytes, options.runtimeMs),
    ),
  );
}

export const matches = (id: string, only: readonly string[]): boolean =>
  only.length === 0 || only.some((part) => id.includes(part));
