// SPDX-License-Identifier: GPL-2.0-only
/**
 * The engine alone: what a request costs in the direct-I/O core, the block layer and a device that completes inline and moves no
 * data, with the trace off. Used by `npm run bench`; no test asserts its numbers.
 */
import { MAP_FLAG, PAGE_BYTES, Scheduler } from '../../engine/base/index.ts';
import { openDevice } from '../../engine/devices/index.ts';
import { findRevision, openDirectIo, REVISIONS } from '../../engine/dio/index.ts';
import { RunKernel } from '../../engine/lab/kernel.ts';
import { IovIter, Memory, plainArena } from '../../engine/memory/index.ts';
import { InodeLock, type DirectIoRequest, type Inode, type Kiocb } from '../../engine/vfs/index.ts';

export interface EngineBenchRow {
  readonly revision: string;
  readonly op: 'read' | 'write';
  readonly requestBytes: number;
  /** Most file system blocks that one map call gives; null: no limit. */
  readonly blocksPerMapping: number | null;
  /** Median of the rounds. */
  readonly nsPerRequest: number;
  /** The best round: what other work on the machine cannot have slowed down. */
  readonly bestNsPerRequest: number;
  readonly requestsPerSecond: number;
}

export interface EngineBenchOptions {
  /** Default: all in the list. */
  readonly revisions?: readonly string[];
  /** Requests of a round. */
  readonly requestsPerRound?: number;
  readonly rounds?: number;
}

const nowNs = (): number => performance.now() * 1e6;
const BLOCK_BYTES = 4096;
const FILE_BYTES = 1 << 30;

/** Measures every combination; about a tenth of a second each with the defaults. */
export function benchEngine(options: EngineBenchOptions = {}): EngineBenchRow[] {
  const rows: EngineBenchRow[] = [];
  for (const revision of options.revisions ?? REVISIONS.map((spec) => spec.id)) {
    for (const requestBytes of [4096, 65536]) {
      for (const blocksPerMapping of [1, 16, null]) {
        for (const op of ['read', 'write'] as const) {
          const run = makeLoad(revision, op, requestBytes, blocksPerMapping);
          const { nsPerRequest, bestNsPerRequest } = measure(run, options);
          const requestsPerSecond = 1e9 / nsPerRequest;
          rows.push({
            revision,
            op,
            requestBytes,
            blocksPerMapping,
            nsPerRequest,
            bestNsPerRequest,
            requestsPerSecond,
          });
        }
      }
    }
  }
  return rows;
}

function measure(
  run: (requests: number) => void,
  options: EngineBenchOptions,
): Pick<EngineBenchRow, 'nsPerRequest' | 'bestNsPerRequest'> {
  const requests = options.requestsPerRound ?? 20_000;
  const rounds = options.rounds ?? 5;
  run(requests);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startNs = nowNs();
    run(requests);
    times.push((nowNs() - startNs) / requests);
  }
  times.sort((one, other) => one - other);
  return { nsPerRequest: times[Math.floor(rounds / 2)] ?? 0, bestNsPerRequest: times[0] ?? 0 };
}

/** One file of one extent; each call of the result sends that many requests, one place after the other. */
function makeLoad(
  revision: string,
  op: 'read' | 'write',
  requestBytes: number,
  blocksPerMapping: number | null,
): (requests: number) => void {
  const memory = new Memory(plainArena(64), false);
  const scheduler = new Scheduler();
  const clock = { nowNs: () => 0 as never };
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const io = { ioEngine: 'sync', depth: 1, submitBatch: 1, direct: true, readOnly: false } as const;
  const { device } = openDevice('memory', { keepsData: false }, { clock, memory, scheduler, io });
  const { directIo } = openDirectIo(findRevision(revision));
  const firstPage = memory.allocatePages(requestBytes / PAGE_BYTES);
  const segments = [{ addressBytes: firstPage * PAGE_BYTES, lengthBytes: requestBytes }];
  const iter = new IovIter(memory, op, 'user', segments);
  const inode: Inode = {
    inodeNumber: 1,
    kind: 'file',
    blockBits: 12,
    lock: new InodeLock(scheduler, 'bench'),
    sizeBytes: FILE_BYTES,
    dioCount: 0,
    mapping: { cachedPageCount: 0, writeAndWait: () => 0, invalidate: () => 0 },
    superBlock: { hasDioWorkQueue: true, initDioWorkQueue: () => 0 },
  };
  const iocb: Kiocb = {
    id: 1,
    inode,
    isDirect: true,
    isNowait: false,
    isDsync: false,
    isAppend: false,
    positionBytes: 0,
    onComplete: null,
  };
  const mappingMax = (blocksPerMapping ?? Infinity) * BLOCK_BYTES;
  const request: DirectIoRequest = {
    kernel,
    iocb,
    inode,
    device,
    iter,
    getBlock: (_inode, fileBlock, mapping) => {
      mapping.flags = MAP_FLAG.mapped;
      mapping.deviceBlock = fileBlock;
      mapping.device = device;
      if (mapping.lengthBytes > mappingMax) mapping.lengthBytes = mappingMax;
      return 0;
    },
    endIo: null,
    submitIo: null,
    locking: 'none',
    skipHoles: false,
    cleanAliases: () => undefined,
    writeSync: () => 0,
    truncate: () => undefined,
  };
  const placesBytes = FILE_BYTES / 2;
  return (requests) => {
    for (let index = 0; index < requests; index++) {
      iter.rewind();
      iocb.positionBytes = (index * requestBytes) % placesBytes;
      const moved = directIo(request);
      if (moved !== requestBytes) throw new Error('a request of the bench did not succeed');
    }
  };
}

/** The list, for a bench that runs each in a process of its own. */
export const revisionIds = (): string[] => REVISIONS.map((spec) => spec.id);
