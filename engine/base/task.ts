// SPDX-License-Identifier: GPL-2.0-only
/**
 * Code that may sleep is a Task: a generator that yields the wait queue it sleeps on. The scheduler runs tasks one at a time in
 * a fixed order, so a run is deterministic and can be stepped. Nothing here makes a promise.
 *
 *   runnable --(runs)--> running --(yield queue)--> asleep --(queue.wake)--> runnable
 *                           \--(return)--> finished
 *
 * Rules: 1. A task that wakes looks at its condition again: `while (!condition) yield queue;`.
 * 2. A function that usually does not sleep returns `MaybeTask`: the value itself, or a Task where it has to sleep. The caller
 *    writes `const r = f(); const v = isTask(r) ? yield* r : r;` and so pays for a generator only where something sleeps.
 * 3. Wakes are in order of falling asleep.
 */
import { assert } from './assert.ts';
import type { Nanoseconds } from './units.ts';

export type Task<T> = Generator<WaitQueue, T, void>;
/** T must not itself be an object with a `next` method. */
export type MaybeTask<T> = T | Task<T>;

export function isTask<T>(value: MaybeTask<T>): value is Task<T> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { next?: unknown }).next === 'function'
  );
}

/** What a task sleeps on; what it says it is serves the step-through view. */
export class WaitQueue {
  /** In order of falling asleep. The scheduler's only. */
  readonly sleepers: RunningTask[] = [];
  constructor(
    readonly kind: 'lock' | 'bio' | 'timer' | 'queue' | 'event',
    readonly label: string,
  ) {}
}

/** A task under a scheduler. */
export interface RunningTask {
  readonly id: number;
  readonly label: string;
  readonly task: Task<unknown>;
  readonly onFinished: ((value: unknown) => void) | null;
  readonly onFailed: ((error: unknown) => void) | null;
  asleepOn: WaitQueue | null;
  finished: boolean;
  /** Place in the scheduler's list of live tasks. The scheduler's only. */
  liveIndex: number;
}

interface Timer {
  readonly wakeAtNs: number;
  readonly sequence: number;
  readonly queue: WaitQueue;
}

export class Scheduler {
  private runnable: RunningTask[] = [];
  private nextId = 1;
  private timerSequence = 0;
  private readonly timers: Timer[] = [];
  /** In no order: a finished task's place is taken by the last one. */
  private readonly live: RunningTask[] = [];

  /** Tasks that are neither finished nor failed. */
  get liveCount(): number {
    return this.live.length;
  }

  /** Those tasks, oldest first: says who sleeps on what where a run cannot go on. */
  liveTasks(): RunningTask[] {
    return this.live.toSorted((a, b) => a.id - b.id);
  }

  /** Puts a task at the end of the runnable list. `onFinished` gets its value; an exception goes to `onFailed`, else out of `run`. */
  spawn<T>(
    label: string,
    task: Task<T>,
    onFinished: ((value: T) => void) | null = null,
    onFailed: ((error: unknown) => void) | null = null,
  ): RunningTask {
    const running: RunningTask = {
      id: this.nextId++,
      label,
      task: task,
      onFinished: onFinished as ((value: unknown) => void) | null,
      onFailed,
      asleepOn: null,
      finished: false,
      liveIndex: this.live.length,
    };
    this.live.push(running);
    this.runnable.push(running);
    return running;
  }

  /** Makes every sleeper of the queue runnable, in order. */
  wakeAll(queue: WaitQueue): void {
    const { sleepers } = queue;
    if (sleepers.length === 0) return;
    for (const sleeper of sleepers) {
      sleeper.asleepOn = null;
      this.runnable.push(sleeper);
    }
    sleepers.length = 0;
  }

  /** Makes the longest sleeper of the queue runnable. */
  wakeOne(queue: WaitQueue): void {
    const sleeper = queue.sleepers.shift();
    if (sleeper === undefined) return;
    sleeper.asleepOn = null;
    this.runnable.push(sleeper);
  }

  /** Sleeps until the clock of the run's timers (`fireTimers`) has reached `wakeAtNs`. */
  *sleepUntil(wakeAtNs: Nanoseconds): Task<void> {
    const queue = new WaitQueue('timer', `until ${String(wakeAtNs)} ns`);
    const timer: Timer = { wakeAtNs, sequence: this.timerSequence++, queue };
    let at = this.timers.length;
    while (at > 0) {
      const before = this.timers[at - 1];
      assert(before !== undefined, 'timer list has a gap');
      if (before.wakeAtNs <= wakeAtNs) break;
      at--;
    }
    this.timers.splice(at, 0, timer);
    yield queue;
  }

  /** When the next timer is due, or null where there is none. */
  nextTimerNs(): number | null {
    return this.timers[0]?.wakeAtNs ?? null;
  }

  /** Wakes every task whose timer is due at `nowNs`. */
  fireTimers(nowNs: number): void {
    for (;;) {
      const first = this.timers[0];
      if (first === undefined || first.wakeAtNs > nowNs) return;
      this.timers.shift();
      this.wakeAll(first.queue);
    }
  }

  get hasRunnable(): boolean {
    return this.runnable.length > 0;
  }

  /** Runs tasks until none is runnable, or until `stepsMax` resumptions are done (0: no limit). Returns the resumptions. */
  run(stepsMax = 0): number {
    let steps = 0;
    while (this.runnable.length > 0) {
      // Take the whole list: tasks woken meanwhile go behind it, as they would in one queue.
      const batch = this.runnable;
      this.runnable = [];
      let index = 0;
      try {
        while (index < batch.length && (stepsMax === 0 || steps < stepsMax)) {
          const next = batch[index++] as RunningTask;
          this.resume(next);
          steps++;
        }
      } finally {
        // A task that throws takes none of the others with it: they run where somebody goes on with the run.
        if (index < batch.length) this.runnable = batch.slice(index).concat(this.runnable);
      }
      if (stepsMax !== 0 && steps >= stepsMax) return steps;
    }
    return steps;
  }

  private forget(running: RunningTask): void {
    running.finished = true;
    const last = this.live.pop();
    if (last === undefined || last === running) return;
    this.live[running.liveIndex] = last;
    last.liveIndex = running.liveIndex;
  }

  private resume(running: RunningTask): void {
    let step: IteratorResult<WaitQueue, unknown>;
    try {
      step = running.task.next();
    } catch (error) {
      this.forget(running);
      if (running.onFailed === null) throw error;
      running.onFailed(error);
      return;
    }
    if (step.done === true) {
      this.forget(running);
      running.onFinished?.(step.value);
      return;
    }
    running.asleepOn = step.value;
    step.value.sleepers.push(running);
  }
}

/** Runs a task that must not sleep to its end; an assertion where it does. For tests and set-up on inline devices. */
export function runToEnd<T>(task: MaybeTask<T>): T {
  if (!isTask(task)) return task;
  const step = task.next();
  if (step.done === true) return step.value;
  throw new Error(
    `the task sleeps on ${step.value.kind} ${step.value.label}, and nothing here can wake it`,
  );
}
