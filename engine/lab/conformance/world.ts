// SPDX-License-Identifier: GPL-2.0-only
/** The world of a scenario: one kernel, one inode, one device, put together for the code under test. */
import {
  ERRNO,
  isTask,
  Scheduler,
  Trace,
  WaitQueue,
  type Clock,
  type KernelReturn,
  type MaybeTask,
  type Nanoseconds,
  type Task,
} from '../../base/index.ts';
import type { Bio } from '../../block/index.ts';
import { openDirectIo, type DioTraits, type RevisionSpec } from '../../dio/index.ts';
import { IovIter, type Memory, type UserSegment } from '../../memory/index.ts';
import { PAGE_BYTES } from '../../base/index.ts';
import { InodeLock, type Inode, type Kernel, type Kiocb } from '../../vfs/index.ts';
import type { FullScenario, ScenarioRequest } from './scenario.ts';
import { ScenarioDevice } from './world-device.ts';
import { errorNumber, ScenarioFiles } from './world-files.ts';
import { FIRST_USER_PAGE, makeDisk, makeMemory } from './world-memory.ts';

/** Time stands still: order is all that counts. */
const STILL: Clock = { nowNs: () => 0 as Nanoseconds };
const TRACE_ROWS_MAX = 4_000_000;

/** What the current request makes the world answer. */
export interface RequestErrors {
  writeAndWait: KernelReturn;
  invalidate: KernelReturn;
  workQueue: KernelReturn;
  writeSync: KernelReturn;
}

export class World {
  readonly memory: Memory;
  readonly device: ScenarioDevice;
  readonly files: ScenarioFiles;
  readonly trace = new Trace(STILL, TRACE_ROWS_MAX);
  readonly scheduler = new Scheduler();
  readonly inode: Inode;
  readonly kernel: Kernel;
  readonly io: ReturnType<typeof openDirectIo>;
  readonly errors: RequestErrors = { writeAndWait: 0, invalidate: 0, workQueue: 0, writeSync: 0 };
  /** nrpages of the file. */
  cachedPageCount: number;
  private readonly work: (() => MaybeTask<void>)[] = [];
  /** What a sleepy world's answers sleep on; woken before any bio completes. */
  private readonly nap = new WaitQueue('event', 'a nap');
  private holdsInodeLock = false;
  private bioCount = 0;

  constructor(
    spec: RevisionSpec,
    readonly scenario: FullScenario,
    /** Everything that may sleep sleeps once, and a lock is contended. Traces must not change by it. */
    readonly isSleepy: boolean,
  ) {
    this.memory = makeMemory(scenario);
    this.device = new ScenarioDevice(scenario, this.memory, makeDisk(scenario.sectors));
    this.files = new ScenarioFiles(scenario, this.device);
    this.cachedPageCount = scenario.pc;
    this.inode = this.makeInode();
    this.kernel = this.makeKernel();
    this.io = openDirectIo(spec);
  }

  get traits(): DioTraits {
    return this.io.pool.revision.traits;
  }

  /** The value; in a sleepy world a task that gives it after a sleep. */
  slowly<T extends KernelReturn | undefined>(value: T): MaybeTask<T> {
    return this.isSleepy ? this.afterNap(value) : value;
  }

  private *afterNap<T>(value: T): Task<T> {
    yield this.nap;
    return value;
  }

  /** Somebody else holds the inode lock when the request comes; it is free again once the request sleeps on it. */
  contendInodeLock(): void {
    this.holdsInodeLock = this.isSleepy && this.inode.lock.tryLockExclusive();
  }

  endContention(): void {
    if (this.holdsInodeLock) this.inode.lock.unlockExclusive();
    this.holdsInodeLock = false;
  }

  /** Wakes naps until there are none; true where somebody was woken. */
  private wakeNaps(): boolean {
    let woken = false;
    while (this.nap.sleepers.length > 0) {
      this.scheduler.wakeAll(this.nap);
      this.scheduler.run();
      woken = true;
    }
    return woken;
  }

  private makeInode(): Inode {
    const { scenario, scheduler, errors } = this;
    const pageCount = (): number => this.cachedPageCount;
    const superBlock = {
      hasDioWorkQueue: false,
      initDioWorkQueue: (): KernelReturn => {
        if (errors.workQueue === 0) superBlock.hasDioWorkQueue = true;
        return errors.workQueue;
      },
    };
    return {
      inodeNumber: 1,
      kind: 'file',
      blockBits: scenario.blkbits,
      lock: new InodeLock(scheduler, 'scenario inode'),
      sizeBytes: scenario.size,
      dioCount: 0,
      mapping: {
        get cachedPageCount() {
          return pageCount();
        },
        writeAndWait: () => this.slowly(errors.writeAndWait),
        invalidate: () => this.slowly(errors.invalidate),
      },
      superBlock,
    };
  }

  private makeKernel(): Kernel {
    return {
      clock: STILL,
      scheduler: this.scheduler,
      memory: this.memory,
      trace: this.trace,
      submitBio: (bio: Bio) => {
        this.device.submitBio(bio);
      },
      // Plugging has no effect in a scenario: bios reach the device one by one.
      startPlug: () => undefined,
      finishPlug: () => undefined,
      queueWork: (_label, work) => {
        this.work.push(work);
      },
      nextBioId: () => this.bioCount++,
      allocateBio: (vectorCountMax) => this.device.allocate(vectorCountMax),
      releaseBio: () => {
        this.device.release();
      },
    };
  }

  /** Runs deferred work in order until there is none. */
  runDeferredWork(): void {
    for (let work = this.work.shift(); work !== undefined; work = this.work.shift()) {
      const value = work();
      if (isTask(value)) this.runTask(value);
      this.finishBios();
    }
  }

  finishBios(): void {
    while (this.device.completeOne());
    // A completion that had to sleep goes on as a task of its own.
    this.scheduler.run();
    this.wakeNaps();
  }

  /** Runs a task to its end, completing one bio at a time while it sleeps. Null: nothing can wake it. */
  runTask<T>(task: Task<T>): { readonly value: T } | null {
    const ended: { value: T }[] = [];
    this.scheduler.spawn('scenario request', task, (value) => ended.push({ value }));
    this.scheduler.run();
    if (this.holdsInodeLock) {
      this.endContention();
      this.scheduler.run();
    }
    this.wakeNaps();
    while (ended.length === 0) {
      if (!this.device.completeOne()) return null;
      this.scheduler.run();
      this.wakeNaps();
    }
    return ended[0] ?? null;
  }

  /** The request's buffers: user segments, or kernel vectors cut at page edges. */
  makeIter(request: ScenarioRequest): IovIter {
    const direction = request.op === 'w' ? 'write' : 'read';
    const { kernelMemory } = this.traits;
    const isKernel = request.kernel === 1 && kernelMemory !== 'none';
    const segments: UserSegment[] = [];
    for (const [address, length] of request.iov) {
      const start = address + FIRST_USER_PAGE * PAGE_BYTES;
      if (kernelMemory !== 'vectors' || !isKernel) {
        segments.push({ addressBytes: start, lengthBytes: length });
        continue;
      }
      for (let done = 0; done < length;) {
        const piece = Math.min(length - done, PAGE_BYTES - ((start + done) % PAGE_BYTES));
        segments.push({ addressBytes: start + done, lengthBytes: piece });
        done += piece;
      }
    }
    return new IovIter(this.memory, direction, isKernel ? 'kernel' : 'user', segments);
  }

  makeKiocb(
    id: number,
    request: ScenarioRequest,
    onComplete: (kiocb: Kiocb, result: KernelReturn) => void,
  ): Kiocb {
    return {
      id,
      inode: this.inode,
      isDirect: true,
      isNowait: request.nowait === 1,
      isDsync: request.dsync === 1,
      isAppend: false,
      positionBytes: request.pos,
      onComplete: request.async === 1 ? onComplete : null,
    };
  }

  /** The errors that this request's world gives. */
  prepare(request: ScenarioRequest): void {
    const number = (name: string | undefined): number =>
      name === undefined ? 0 : errorNumber(name);
    if (request.pc !== undefined) this.cachedPageCount = request.pc;
    this.errors.writeAndWait = number(request.wbwerr);
    this.errors.invalidate = number(request.invalerr);
    this.errors.workQueue = number(request.wqerr);
    this.errors.writeSync = number(request.fsyncerr);
  }
}

/** The name of the format for minus an errno; others stay numbers. */
export function returnText(value: KernelReturn): number | string {
  if (value >= 0) return value;
  return RETURN_NAMES.get(-value) ?? value;
}
const RETURN_NAMES = new Map<number, string>(
  (
    [
      'EIO',
      'EINVAL',
      'EFAULT',
      'ENOSPC',
      'ENOMEM',
      'EAGAIN',
      'EBUSY',
      'ENOTBLK',
      'EIOCBQUEUED',
    ] as const
  ).map((name) => [ERRNO[name], name]),
);
