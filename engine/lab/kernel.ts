// SPDX-License-Identifier: GPL-2.0-only
/**
 * The modelled kernel of one run: block layer, work queue, bio pool, and the main loop that makes everything go on.
 *
 *   runUntil:  run tasks --all asleep--> pull the plug (blk_flush_plug on schedule) --> predicate? --> fire timers
 *      ^                                                                                                   |
 *      '------ completions woke tasks <-- device.wait(until the next timer) <-- device.commit() <----------'
 *
 * Rules: 1. Everything runs on the calling thread, which `runUntil` blocks. 2. A wait lasts `WAIT_NS_MAX` at most, so that a predicate
 * that looks at a stop flag is heard. 3. Where no task can run, nothing is in flight and no timer is set, nobody can wake anybody: that
 * is an assertion that names who sleeps on what. 4. Without I/O in flight a virtual clock jumps to the next timer, a real one sleeps.
 */
import {
  assert,
  InvariantError,
  isTask,
  VirtualClock,
  WaitQueue,
  type Clock,
  type CompletionSource,
  type MaybeTask,
  type Nanoseconds,
  type Random,
  type Scheduler,
  type Task,
  type Trace,
} from '../base/index.ts';
import { BioPool, Plug, RequestQueue, type Bio, type BlockDevice } from '../block/index.ts';
import type { Memory } from '../memory/index.ts';
import type { Kernel } from '../vfs/contract.ts';

/** Longest single wait. */
const WAIT_NS_MAX = 20_000_000;
/** Longest wait for one device where several have I/O in flight. */
const SHARED_WAIT_NS_MAX = 100_000;
/** Turns of the main loop in which tasks were made or woken, before the devices are looked at again. */
const POLL_TURNS = 16;
/** Resumptions of tasks before timers and the predicate are looked at again. */
const STEPS_MAX = 1024;

export interface KernelPorts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly memory: Memory;
  /** Null: tracing is off. */
  readonly trace: Trace | null;
  /** As in `Kernel`: absent where a run has to be repeatable. */
  readonly unixMs?: () => number;
  readonly random?: Random;
}

/** Something beside the block devices that has I/O in flight. `endedCount`: how much has ended since it was made. */
export interface HostSource extends CompletionSource {
  readonly endedCount: number;
}

interface Work {
  readonly label: string;
  readonly run: () => MaybeTask<void>;
}

export class RunKernel implements Kernel {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly memory: Memory;
  readonly trace: Trace | null;
  readonly unixMs?: () => number;
  readonly random?: Random;
  private readonly bioPool = new BioPool();
  private readonly plug = new Plug();
  private readonly queues: RequestQueue[] = [];
  private readonly sources: HostSource[] = [];
  /** The queue of the last bio: nearly always the next one's too. */
  private lastQueue: RequestQueue | null = null;
  private bioCount = 0;
  private readonly works: Work[] = [];
  private isWorking = false;
  /** Requests that had ended when nothing was left to wait for. */
  private endedWhenIdle = -1;
  private readonly rescheduled = new WaitQueue('event', 'its next turn');

  constructor(ports: KernelPorts) {
    this.clock = ports.clock;
    this.scheduler = ports.scheduler;
    this.memory = ports.memory;
    this.trace = ports.trace;
    if (ports.unixMs !== undefined) this.unixMs = ports.unixMs;
    if (ports.random !== undefined) this.random = ports.random;
  }

  // Kernel -------------------------------------------------------------------------------------

  /** submit_bio: to the queue of `bio.device`. */
  submitBio(bio: Bio): void {
    const queue = this.lastQueue;
    if (queue !== null && queue.device === bio.device) queue.submitBio(bio);
    else {
      assert(bio.device !== null, 'bio without a device');
      this.queueOf(bio.device).submitBio(bio);
    }
  }

  startPlug(): void {
    this.plug.start();
  }

  finishPlug(): void {
    this.plug.finish();
  }

  /** One worker, made when there is work: works run in order, each to its end, also where it sleeps. */
  queueWork(label: string, work: () => MaybeTask<void>): void {
    this.works.push({ label, run: work });
    if (this.isWorking) return;
    this.isWorking = true;
    this.scheduler.spawn(`kworker: ${label}`, this.runWorks());
  }

  nextBioId(): number {
    return this.bioCount++;
  }

  allocateBio(vectorCountMax: number): Bio {
    return this.bioPool.allocate(vectorCountMax);
  }

  releaseBio(bio: Bio): void {
    this.bioPool.release(bio);
  }

  // The run's own ------------------------------------------------------------------------------

  /** The request queue of a device; made at its first use. Its counters are what the run reports. */
  queueOf(device: BlockDevice): RequestQueue {
    let queue = this.queues.find((known) => known.device === device);
    if (queue === undefined) {
      const { clock, trace, bioPool, plug } = this;
      queue = new RequestQueue(device, { clock, trace, bioPool, plug });
      this.queues.push(queue);
    }
    this.lastQueue = queue;
    return queue;
  }

  /** What has I/O in flight without a request queue; the main loop waits for it as for a device. */
  addSource(source: HostSource): void {
    this.sources.push(source);
  }

  /** cond_resched: lets everybody else run, timers fire and the predicate be looked at. For loops that may never sleep. */
  *reschedule(): Task<void> {
    yield this.rescheduled;
  }

  /** Runs until `predicate` is true, which is looked at whenever all tasks sleep, and now and then while they do not. */
  runUntil(predicate: () => boolean): void {
    const { scheduler, plug, rescheduled } = this;
    let turnsWithoutPoll = 0;
    for (;;) {
      const steps = scheduler.run(STEPS_MAX);
      if (!scheduler.hasRunnable) plug.flush();
      if (predicate()) return;
      if (scheduler.nextTimerNs() !== null) scheduler.fireTimers(this.clock.nowNs());
      const isSpinning = rescheduled.sleepers.length > 0;
      if (isSpinning) scheduler.wakeAll(rescheduled);
      // The predicate may submit, too: what it left in a plug that a sleeping task holds has to go.
      else if (!scheduler.hasRunnable && !plug.isEmpty) plug.flush();
      if (!scheduler.hasRunnable) {
        if (!this.sleep()) this.assertProgress();
        turnsWithoutPoll = 0;
      } else if (isSpinning || steps >= STEPS_MAX || ++turnsWithoutPoll >= POLL_TURNS) {
        this.poll();
        turnsWithoutPoll = 0;
      }
    }
  }

  /** Runs a task to its end, and returns its value; an exception of the task comes out of here. */
  runTask<T>(label: string, task: Task<T>): T {
    let result: { readonly value: T } | null = null;
    let failure: { readonly error: unknown } | null = null;
    this.scheduler.spawn(
      label,
      task,
      (value) => {
        result = { value };
      },
      (error) => {
        failure = { error };
      },
    );
    this.runUntil(() => result !== null || failure !== null);
    const failed = failure as { readonly error: unknown } | null;
    if (failed !== null) throw failed.error;
    return (result as unknown as { readonly value: T }).value;
  }

  /** Requests under way in all devices, and waiting for room in them. */
  get inFlightCount(): number {
    let count = 0;
    for (const queue of this.queues) count += queue.deviceCount + queue.waitingCount;
    for (const source of this.sources) count += source.inFlightCount;
    return count;
  }

  /** Runs until no request is under way any more: before a device is closed. */
  drain(): void {
    this.runUntil(() => this.inFlightCount === 0 && this.plug.isEmpty && !this.isWorking);
  }

  private *runWorks(): Task<void> {
    try {
      for (;;) {
        const work = this.works.shift();
        if (work === undefined) return;
        const running = work.run();
        if (isTask(running)) yield* running;
      }
    } finally {
      this.isWorking = false;
    }
  }

  /** Tasks could run: what is queued is handed over, and what has completed is taken, without waiting. */
  private poll(): void {
    for (const queue of this.queues) {
      if (!canWaitFor(queue)) continue;
      queue.device.commit();
      queue.device.wait(0 as Nanoseconds);
    }
    for (const source of this.sources) {
      if (source.inFlightCount === 0) continue;
      source.commit();
      source.wait(0 as Nanoseconds);
    }
  }

  /** No task can run: waits for a completion or a timer. False: there is neither. */
  private sleep(): boolean {
    let busy: CompletionSource | null = null;
    let isShared = false;
    for (const queue of this.queues) {
      if (!canWaitFor(queue)) continue;
      queue.device.commit();
      isShared = busy !== null;
      busy ??= queue.device;
    }
    // A run has either block devices or one such source at work, so the first that is busy is enough.
    for (const source of this.sources) {
      if (source.inFlightCount === 0 || busy !== null) continue;
      source.commit();
      busy = source;
    }
    const timerNs = this.scheduler.nextTimerNs();
    if (busy === null) {
      if (timerNs !== null) this.sleepUntilTimer(timerNs);
      return timerNs !== null;
    }
    let waitNs = isShared ? SHARED_WAIT_NS_MAX : WAIT_NS_MAX;
    if (timerNs !== null) waitNs = Math.min(waitNs, Math.max(0, timerNs - this.clock.nowNs()));
    if (isShared) this.waitForAny(waitNs);
    else busy.wait(waitNs as Nanoseconds);
    return true;
  }

  /**
   * Nothing is in flight, and no timer is set: a predicate that has just submitted to a device that ends inline is told so by the
   * counters, and is looked at again. Where they stand still nobody can wake anybody.
   */
  private assertProgress(): void {
    let ended = 0;
    for (const { counters } of this.queues) {
      ended += counters.reads + counters.writes + counters.flushes;
    }
    for (const source of this.sources) ended += source.endedCount;
    if (ended === this.endedWhenIdle) throw this.deadlock();
    this.endedWhenIdle = ended;
  }

  /** Several devices are at work: the first that has something is enough. */
  private waitForAny(waitNs: number): void {
    let first: CompletionSource | null = null;
    for (const queue of this.queues) {
      if (!canWaitFor(queue)) continue;
      first ??= queue.device;
      if (queue.device.wait(0 as Nanoseconds) > 0) return;
    }
    first?.wait(waitNs as Nanoseconds);
  }

  private sleepUntilTimer(timerNs: number): void {
    const { clock } = this;
    const nowNs = clock.nowNs();
    if (timerNs <= nowNs) return;
    if (clock instanceof VirtualClock) clock.advanceTo(timerNs);
    else sleepNs(Math.min(WAIT_NS_MAX, timerNs - nowNs));
  }

  private deadlock(): InvariantError {
    const sleepers = this.scheduler
      .liveTasks()
      .map(({ label, asleepOn }) =>
        asleepOn === null ? label : `${label} on ${asleepOn.kind} ${asleepOn.label}`,
      );
    return new InvariantError('nothing can go on: no I/O in flight, no timer, and tasks sleep', {
      sleepers: sleepers.join('; ') || 'none',
    });
  }
}

/** Its device has something in flight, and is not served by tasks: those sleep on another device, or on nothing. */
const canWaitFor = (queue: RequestQueue): boolean =>
  queue.deviceCount > 0 && queue.device.isServedByTasks !== true;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread. */
function sleepNs(durationNs: number): void {
  Atomics.wait(sleepCell, 0, 0, durationNs / 1e6);
}
