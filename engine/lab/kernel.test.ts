// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import {
  InvariantError,
  Scheduler,
  Trace,
  traceRows,
  VirtualClock,
  WaitQueue,
  type Nanoseconds,
  type Task,
} from '../base/index.ts';
import type { Bio, BlockDevice, DeviceRequest } from '../block/index.ts';
import { DEFAULT_LIMITS } from '../block/index.ts';
import { openDevice } from '../devices/index.ts';
import { Memory, plainArena } from '../memory/index.ts';
import { RunKernel } from './kernel.ts';

function makeKernel(traced = false) {
  const clock = new VirtualClock();
  const scheduler = new Scheduler();
  const memory = new Memory(plainArena(64), false);
  const trace = traced ? new Trace(clock, 1000) : null;
  const kernel = new RunKernel({ clock, scheduler, memory, trace });
  const io = {
    ioEngine: 'sync',
    depth: 1,
    submitBatch: 1,
    direct: true,
    readOnly: false,
  } as const;
  const { device } = openDevice('memory', { sizeKib: 1024 }, { clock, memory, scheduler, io });
  return { kernel, clock, scheduler, memory, device, trace };
}

function makeBio(kernel: RunKernel, device: BlockDevice, sector: number, page: number): Bio {
  const bio = kernel.allocateBio(1);
  bio.id = kernel.nextBioId();
  bio.op = 'write';
  bio.device = device;
  bio.sectorStart = sector;
  bio.pushVector(page, 0, 4096);
  return bio;
}

/** Ends requests `latencyNs` after their submission, on a virtual clock. */
class DelayDevice implements BlockDevice {
  readonly name = 'delay';
  readonly capacitySectors = 1 << 20;
  readonly limits = DEFAULT_LIMITS;
  readonly ops: BlockDevice['ops'] = new Set(['read', 'write'] as const);
  readonly isReadOnly = false;
  readonly pending: { readonly request: DeviceRequest; readonly atNs: number }[] = [];
  commits = 0;
  constructor(
    private readonly clock: VirtualClock,
    private readonly latencyNs: number,
  ) {}
  get inFlightCount(): number {
    return this.pending.length;
  }
  submit(request: DeviceRequest): 'queued' {
    this.pending.push({ request, atNs: this.clock.nowNs() + this.latencyNs });
    return 'queued';
  }
  commit(): void {
    this.commits++;
  }
  wait(timeoutNs: number): number {
    const first = this.pending[0];
    if (first === undefined) return 0;
    const limitNs = this.clock.nowNs() + timeoutNs;
    if (first.atNs > limitNs) {
      this.clock.advanceTo(limitNs);
      return 0;
    }
    this.pending.shift();
    this.clock.advanceTo(Math.max(first.atNs, this.clock.nowNs()));
    first.request.onEnd(first.request, 0);
    return 1;
  }
  close(): void {
    this.pending.length = 0;
  }
}

describe('RunKernel', () => {
  it('runs a bio through the memory device and back', () => {
    const { kernel, device, memory } = makeKernel();
    memory.bytes.fill(0x5a, 4096, 8192);
    const ended: number[] = [];
    const write = makeBio(kernel, device, 8, 1);
    write.onEnd = (bio) => ended.push(bio.status);
    kernel.submitBio(write);
    const read = makeBio(kernel, device, 8, 2);
    read.op = 'read';
    read.onEnd = (bio) => ended.push(bio.status);
    kernel.submitBio(read);
    expect(ended).toEqual([0, 0]);
    expect(memory.bytes.subarray(8192, 12288).every((byte) => byte === 0x5a)).toBe(true);
  });

  it('merges adjacent bios inside nested plugs, and dispatches at the outermost finish', () => {
    const { kernel, device, trace } = makeKernel(true);
    let ended = 0;
    kernel.startPlug();
    kernel.startPlug();
    for (const sector of [0, 8, 16]) {
      const bio = makeBio(kernel, device, sector, 1);
      bio.onEnd = () => ended++;
      kernel.submitBio(bio);
    }
    kernel.finishPlug();
    expect(ended).toBe(0);
    kernel.finishPlug();
    expect(ended).toBe(3);
    const rows = traceRows((trace as Trace).columns());
    expect(rows.map((row) => row.kind)).toEqual(['merge', 'merge', 'dispatch', 'device-end']);
    expect(rows[2]?.values).toEqual([0, 3 * 4096, 1, 0]);
    expect(kernel.queueOf(device).counters).toMatchObject({ writes: 1, merges: 2 });
  });

  it('pulls the plug of a task that goes to sleep', () => {
    const { kernel, device } = makeKernel();
    const queue = new WaitQueue('bio', 'bio 0');
    function* reader(): Task<number> {
      kernel.startPlug();
      const bio = makeBio(kernel, device, 0, 1);
      bio.onEnd = () => {
        kernel.scheduler.wakeAll(queue);
      };
      kernel.submitBio(bio);
      yield queue;
      kernel.finishPlug();
      return 7;
    }
    expect(kernel.runTask('reader', reader())).toBe(7);
  });

  it('moves a virtual clock to completions and timers, in order', () => {
    const { kernel, clock, scheduler } = makeKernel();
    const device = new DelayDevice(clock, 500);
    const log: string[] = [];
    function* sleeper(): Task<void> {
      yield* scheduler.sleepUntil(200 as Nanoseconds);
      log.push(`timer ${String(clock.nowNs())}`);
      yield* scheduler.sleepUntil(900 as Nanoseconds);
      log.push(`timer ${String(clock.nowNs())}`);
    }
    scheduler.spawn('sleeper', sleeper());
    const bio = makeBio(kernel, device, 0, 1);
    bio.onEnd = () => log.push(`bio ${String(clock.nowNs())}`);
    kernel.submitBio(bio);
    kernel.runUntil(() => scheduler.liveCount === 0);
    expect(log).toEqual(['timer 200', 'bio 500', 'timer 900']);
    expect(device.commits).toBeGreaterThan(0);
  });

  it('runs works in order, each to its end', () => {
    const { kernel, scheduler } = makeKernel();
    const log: string[] = [];
    kernel.queueWork('first', function* () {
      log.push('first begins');
      yield* scheduler.sleepUntil(100 as Nanoseconds);
      log.push('first ends');
    });
    kernel.queueWork('second', () => {
      log.push('second');
    });
    expect(log).toEqual([]);
    kernel.runUntil(() => scheduler.liveCount === 0);
    expect(log).toEqual(['first begins', 'first ends', 'second']);
    kernel.queueWork('third', () => {
      log.push('third');
    });
    kernel.drain();
    expect(log.at(-1)).toBe('third');
  });

  it('names who sleeps on what where nothing can go on', () => {
    const { kernel, scheduler } = makeKernel();
    const queue = new WaitQueue('lock', 'inode 12');
    scheduler.spawn(
      'writer 3',
      (function* () {
        yield queue;
      })(),
    );
    const run = (): void => {
      kernel.runUntil(() => false);
    };
    expect(run).toThrow(InvariantError);
    expect(run).toThrow('writer 3 on lock inode 12');
  });

  it('hands the exception of a task to the caller', () => {
    const { kernel } = makeKernel();
    function* failing(): Task<void> {
      throw new RangeError('no such block');
    }
    expect(() => {
      kernel.runTask('failing', failing());
    }).toThrow('no such block');
  });

  it('lets timers fire and the predicate be heard while a task never sleeps on I/O', () => {
    const { kernel, scheduler, clock } = makeKernel();
    let turns = 0;
    scheduler.spawn(
      'spinner',
      (function* () {
        for (;;) {
          turns++;
          clock.advanceTo(clock.nowNs() + 10);
          yield* kernel.reschedule();
        }
      })(),
    );
    let fired = -1;
    scheduler.spawn(
      'timer',
      (function* () {
        yield* scheduler.sleepUntil(1000 as Nanoseconds);
        fired = clock.nowNs();
      })(),
    );
    kernel.runUntil(() => turns >= 200);
    expect(fired).toBeGreaterThanOrEqual(1000);
    expect(fired).toBeLessThanOrEqual(1020);
  });

  it('lets a predicate submit, to a device that ends inline and into a plug that a sleeper holds', () => {
    const { kernel, device, scheduler } = makeKernel();
    const queue = new WaitQueue('event', 'the end');
    scheduler.spawn(
      'holder',
      (function* () {
        kernel.startPlug();
        yield queue;
        kernel.finishPlug();
      })(),
    );
    let ended = 0;
    kernel.runUntil(() => {
      if (ended === 5) scheduler.wakeAll(queue);
      else {
        const bio = makeBio(kernel, device, ended * 80, 1);
        bio.onEnd = () => ended++;
        kernel.submitBio(bio);
      }
      return ended > 5 || scheduler.liveCount === 0;
    });
    expect(ended).toBe(5);
  });

  it('waits for several devices at once', () => {
    const { kernel, clock } = makeKernel();
    const slow = new DelayDevice(clock, 300_000);
    const quick = new DelayDevice(clock, 1_000);
    const log: string[] = [];
    for (const [name, device] of [
      ['slow', slow],
      ['quick', quick],
    ] as const) {
      const bio = makeBio(kernel, device, 0, 1);
      bio.onEnd = () => log.push(name);
      kernel.submitBio(bio);
    }
    kernel.drain();
    expect(log).toEqual(['quick', 'slow']);
  });

  it('gives bios of the smallest capacity that fits, and takes them back once', () => {
    const { kernel } = makeKernel();
    expect(
      [1, 4, 5, 16, 17, 65, 129, 256].map((n) => kernel.allocateBio(n).vectorCountMax),
    ).toEqual([4, 4, 16, 16, 64, 128, 256, 256]);
    const bio = kernel.allocateBio(3);
    kernel.releaseBio(bio);
    expect(() => {
      kernel.releaseBio(bio);
    }).toThrow('released twice');
    expect(kernel.allocateBio(1)).toBe(bio);
  });
});
