// SPDX-License-Identifier: GPL-2.0-only
/** Runs a scenario through a revision and gives its trace in the golden format. */
import {
  ERRNO,
  isTask,
  KernelBug,
  type KernelReturn,
  type TraceColumns,
} from '../../base/index.ts';
import { findRevision, type RevisionSpec } from '../../dio/index.ts';
import { PAGE_STATE } from '../../memory/index.ts';
import type { DirectIoRequest } from '../../vfs/index.ts';
import { encodeRows } from './encode.ts';
import {
  completeScenario,
  type GoldenRequest,
  type GoldenTrace,
  type Scenario,
  type ScenarioRequest,
} from './scenario.ts';
import { errorNumber, type ScenarioFiles } from './world-files.ts';
import { FIRST_USER_PAGE } from './world-memory.ts';
import { returnText, World } from './world.ts';
import { PAGE_BYTES } from '../../base/index.ts';

/** SHA-256 as lower-case hex: the engine has no hash of its own. */
export type HashPort = (bytes: Uint8Array) => string;

export interface ScenarioRun {
  readonly trace: GoldenTrace;
  /** Every row, decisions included, and where each request's rows begin. */
  readonly rows: TraceColumns;
  readonly firstRowOfRequest: readonly number[];
  /** Rows there were when each call came back: what is behind them happened while nobody waited. */
  readonly rowsAtReturn: readonly number[];
  /** What each call returned. */
  readonly returned: readonly KernelReturn[];
  /** Arena page of the user's first page, as it stands in rows. */
  readonly firstUserPage: number;
  /** Where the kernel stopped; null: it did not. */
  readonly stopped: KernelBug | null;
  /** User pages and disk as the scenario left them. */
  readonly userBytes: Uint8Array;
  readonly diskBytes: Uint8Array;
  /** The map of the file at the end. */
  readonly extents: ScenarioFiles['extents'];
}

export interface ScenarioOptions {
  /** Everything that may sleep does: the file system, the page cache, end_io, the inode lock. The trace stays the same. */
  readonly isSleepy?: boolean;
}

/** Runs every request of the scenario, one after the other. A KernelBug ends it and is part of the trace. */
export function runScenario(
  revision: string | RevisionSpec,
  scenario: Scenario,
  hash: HashPort,
  options: ScenarioOptions = {},
): ScenarioRun {
  const spec = typeof revision === 'string' ? findRevision(revision) : revision;
  const full = completeScenario(scenario, scenario.name ?? 'scenario');
  const world = new World(spec, full, options.isSleepy === true);
  const requests: GoldenRequest[] = [];
  const firstRowOfRequest: number[] = [];
  const returns: Returns = { rowsAtReturn: [], returned: [] };
  let stopped: KernelBug | null = null;
  for (const [index, request] of world.scenario.reqs.entries()) {
    const firstRow = world.trace.rowCount;
    firstRowOfRequest.push(firstRow);
    try {
      requests.push(runRequest(world, request, index, firstRow, returns));
    } catch (error) {
      if (!(error instanceof KernelBug)) throw error;
      stopped = error;
      requests.push({
        ev: encodeRows(world.trace.columns(), firstRow, world.trace.rowCount).events,
      });
      break;
    }
  }
  return {
    trace: finalTrace(world, requests, stopped?.what ?? null, hash),
    rows: world.trace.columns(),
    firstRowOfRequest,
    ...returns,
    firstUserPage: FIRST_USER_PAGE,
    stopped,
    userBytes: world.memory.bytes.subarray(FIRST_USER_PAGE * PAGE_BYTES),
    diskBytes: world.device.disk,
    extents: world.files.extents,
  };
}

/** Of each call that came back. */
interface Returns {
  readonly rowsAtReturn: number[];
  readonly returned: KernelReturn[];
}

interface Completion {
  result: KernelReturn | null;
  positionBytes: number;
}

function runRequest(
  world: World,
  request: ScenarioRequest,
  index: number,
  firstRow: number,
  returns: Returns,
): GoldenRequest {
  world.prepare(request);
  const completion: Completion = { result: null, positionBytes: 0 };
  const direct = makeDirectIoRequest(world, request, index, completion);
  const returned = enter(world, direct);
  returns.rowsAtReturn.push(world.trace.rowCount);
  returns.returned.push(returned);
  world.finishBios();
  world.runDeferredWork();
  if (returned === -ERRNO.EIOCBQUEUED && completion.result === null) {
    throw new KernelBug('BUG: never completed', 'queued, and no bio is left that could end it');
  }
  const result = returned === -ERRNO.EIOCBQUEUED ? (completion.result ?? 0) : returned;
  if (request.op === 'w' && result > 0) {
    world.inode.sizeBytes = Math.max(world.inode.sizeBytes, request.pos + result);
    world.files.markWritten(request.pos, request.pos + result - 1);
  }
  const { traits } = world;
  const encoded = encodeRows(world.trace.columns(), firstRow, world.trace.rowCount);
  return {
    ev: encoded.events,
    ret: returnText(returned),
    ...(traits.takesIterator && { left: direct.iter.remainingBytes }),
    ...(traits.takesIterator && completion.result !== null && { kpos: completion.positionBytes }),
    ...(traits.accountsWrites && { acct: request.op === 'w' ? encoded.accountedBytes : 0 }),
  };
}

function enter(world: World, direct: DirectIoRequest): KernelReturn {
  const isRead = direct.iter.direction === 'read';
  const locksInside = direct.locking === 'core-locks' && isRead && direct.iter.remainingBytes > 0;
  if (locksInside) world.contendInodeLock();
  const isCallersLock = direct.locking === 'driver-locks' && isRead;
  if (isCallersLock) direct.inode.lock.tryLockExclusive();
  const returned = enterLocked(world, direct);
  if (isCallersLock) direct.inode.lock.unlockExclusive();
  return returned;
}

function enterLocked(world: World, direct: DirectIoRequest): KernelReturn {
  const value = world.io.directIo(direct);
  if (!isTask(value)) {
    world.endContention();
    return value;
  }
  const ended = world.runTask(value);
  if (ended === null) throw new KernelBug('BUG: hang', 'asleep with nothing in flight');
  return ended.value;
}

function makeDirectIoRequest(
  world: World,
  request: ScenarioRequest,
  index: number,
  completion: Completion,
): DirectIoRequest {
  const iocb = world.makeKiocb(index, request, (kiocb, result) => {
    completion.result = result;
    completion.positionBytes = kiocb.positionBytes;
  });
  const { endio } = request;
  const endIoError = typeof endio === 'string' ? errorNumber(endio) : 0;
  return {
    kernel: world.kernel,
    iocb,
    inode: world.inode,
    device: world.scenario.bdev === 0 ? null : world.device,
    iter: world.makeIter(request),
    getBlock: (_inode, fileBlock, mapping, create) =>
      world.slowly(world.files.getBlock(fileBlock, mapping, create)),
    endIo: endio === undefined || endio === 0 ? null : () => world.slowly(endIoError),
    submitIo:
      request.subio === 1
        ? (bio) => {
            world.kernel.submitBio(bio);
          }
        : null,
    locking: lockingOf(world, request),
    skipHoles: request.skip === 1,
    cleanAliases: () => undefined,
    writeSync: () => world.slowly(world.errors.writeSync),
    truncate: (inode, sizeBytes) => {
      inode.sizeBytes = sizeBytes;
      world.files.truncate(sizeBytes);
      return world.slowly(undefined);
    },
  };
}

/** `own` counts where there are lock types. */
function lockingOf(world: World, request: ScenarioRequest): DirectIoRequest['locking'] {
  if (request.own === 1 && world.traits.hasLockTypes) return 'driver-locks';
  return request.locking === 1 ? 'core-locks' : 'none';
}

function finalTrace(
  world: World,
  requests: readonly GoldenRequest[],
  bug: string | null,
  hash: HashPort,
): GoldenTrace {
  const { memory, device, inode, io } = world;
  const core = {
    reqs: requests,
    isize: inode.sizeBytes,
    mem: hash(memory.bytes.subarray(FIRST_USER_PAGE * PAGE_BYTES)),
    dev: hash(device.disk),
  };
  if (bug !== null) return { ...core, bug };
  const refs: Record<string, number> = {};
  const dirty: number[] = [];
  for (let page = 0; page < memory.pageCount; page++) {
    const count = memory.references[page] as number;
    const key = page < FIRST_USER_PAGE ? 'z' : String(page - FIRST_USER_PAGE);
    if (count !== 0) refs[key] = count;
    const isDirty = ((memory.state[page] as number) & PAGE_STATE.dirty) !== 0;
    if (isDirty && page >= FIRST_USER_PAGE) dirty.push(page - FIRST_USER_PAGE);
  }
  const live: [number, number] = [io.pool.liveCount, device.liveBioCount];
  const sem = inode.allocationReaderCount ?? 0;
  return {
    ...core,
    refs,
    dio: inode.dioCount,
    dirty,
    ...((live[0] !== 0 || live[1] !== 0) && { live }),
    ...(sem !== 0 && { sem }),
  };
}
