// SPDX-License-Identifier: GPL-2.0-only
/** The physics of the modelled drives: what must be faster than what, and by how much. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { below, HostError, MIB, Scheduler, Sfc32, VirtualClock } from '../../base/index.ts';
import type { BioOp } from '../../block/index.ts';
import { RunKernel } from '../../lab/kernel.ts';
import { Memory, plainArena } from '../../memory/index.ts';
import { openDevice } from '../index.ts';
import { DiskModel } from './disk.ts';
import { EventHeap } from './event-heap.ts';
import { PROFILES } from './profiles.ts';

const io = {
  ioEngine: 'sync',
  depth: 1,
  submitBatch: 1,
  direct: true,
  readOnly: false,
} as const;

interface Load {
  readonly options: Readonly<Record<string, unknown>>;
  readonly op?: BioOp;
  readonly count: number;
  readonly depth: number;
  readonly sizeBytes?: number;
  /** Next block number of so many; absent: one after the other. */
  readonly pick?: (blockCount: number) => number;
  /** Part of the device that is used. */
  readonly part?: number;
}

/** Does `count` requests, `depth` at a time; seconds of virtual time, and the time of each end. */
function run(load: Load): { readonly seconds: number; readonly endsNs: number[] } {
  const clock = new VirtualClock();
  const scheduler = new Scheduler();
  const memory = new Memory(plainArena(600), true);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const { device } = openDevice('model', load.options, { clock, memory, scheduler, io });
  const sizeBytes = load.sizeBytes ?? 4096;
  const blockSectors = sizeBytes / 512;
  const blockCount = Math.floor((device.capacitySectors * (load.part ?? 1)) / blockSectors);
  const endsNs: number[] = [];
  let submitted = 0;
  const submitNext = (): void => {
    const block = load.pick?.(blockCount) ?? submitted % blockCount;
    submitted++;
    const bio = kernel.allocateBio(1);
    bio.device = device;
    bio.op = load.op ?? 'read';
    bio.sectorStart = block * blockSectors;
    bio.pushVector(16, 0, sizeBytes);
    bio.onEnd = () => {
      endsNs.push(clock.nowNs());
      kernel.releaseBio(bio);
      if (submitted < load.count) submitNext();
    };
    kernel.submitBio(bio);
  };
  while (submitted < Math.min(load.depth, load.count)) submitNext();
  kernel.drain();
  expect(endsNs).toHaveLength(load.count);
  const seconds = clock.nowNs() / 1e9;
  device.close();
  return { seconds, endsNs };
}

const random = (seed = 5) => {
  const source = new Sfc32(seed);
  return (blockCount: number): number => below(source, blockCount);
};
const iops = (load: Load): number => load.count / run(load).seconds;

describe('hdd', () => {
  const options = { profile: 'hdd', capacityMib: 4096 };

  it('does about 82 random reads a second, as its seek curve and rotation say', () => {
    const rate = iops({ options, count: 400, depth: 1, pick: random() });
    expect(rate).toBeGreaterThan(72);
    expect(rate).toBeLessThan(92);
  });

  it('streams sequential reads near the media rate, far faster than random ones', () => {
    const sizeBytes = 128 * 1024;
    const bytesPerSecond = iops({ options, count: 800, depth: 1, sizeBytes }) * sizeBytes;
    expect(bytesPerSecond / 1e6).toBeGreaterThan(165);
    expect(bytesPerSecond / 1e6).toBeLessThan(190);
    const small = iops({ options, count: 4000, depth: 1 });
    expect(small).toBeGreaterThan(50 * iops({ options, count: 200, depth: 1, pick: random() }));
  });

  it('is slower inside than outside', () => {
    const sizeBytes = MIB;
    const outside = iops({ options, count: 200, depth: 2, sizeBytes });
    let at = 3800;
    const inside = iops({ options, count: 200, depth: 2, sizeBytes, pick: () => at++ });
    expect(inside / outside).toBeGreaterThan(0.45);
    expect(inside / outside).toBeLessThan(0.65);
  });

  it('is faster on a short stroke than over the whole disk', () => {
    const short = iops({ options, count: 400, depth: 1, pick: random(), part: 1 / 32 });
    const full = iops({ options, count: 400, depth: 1, pick: random() });
    expect(short / full).toBeGreaterThan(1.4);
  });

  it('misses a turn with each sequential write of depth 1, and none with commands waiting', () => {
    const turnNs = 60e9 / 7200;
    const { endsNs } = run({ options, op: 'write', count: 50, depth: 1 });
    const gaps = endsNs.slice(1).map((end, index) => end - (endsNs[index] as number));
    // The next sector is under the head when the command comes 50 us late: a turn less nothing.
    for (const gap of gaps) expect(Math.abs(gap - turnNs) / turnNs).toBeLessThan(0.01);
    const queued = run({ options, op: 'write', count: 50, depth: 8 });
    expect(queued.seconds).toBeLessThan(4 * (turnNs / 1e9));
  });

  it('turns faster with more rpm', () => {
    const pick = (): number => 0;
    const slow = run({
      options: { ...options, rpm: 5400 },
      op: 'write',
      count: 50,
      depth: 1,
      pick,
    });
    const fast = run({
      options: { ...options, rpm: 15_000 },
      op: 'write',
      count: 50,
      depth: 1,
      pick,
    });
    expect(slow.seconds / fast.seconds).toBeGreaterThan(2.5);
    expect(slow.seconds / fast.seconds).toBeLessThan(3);
  });

  it('gains nothing from depth on random reads: it has no elevator', () => {
    const one = iops({ options, count: 300, depth: 1, pick: random() });
    const many = iops({ options, count: 300, depth: 32, pick: random() });
    expect(many / one).toBeGreaterThan(0.9);
    expect(many / one).toBeLessThan(1.1);
  });

  it('seeks along a curve from the shortest to the full stroke', () => {
    const disk = new DiskModel(PROFILES.hdd, 4096 * 2048, new Sfc32(1), 0);
    const full = disk.seekNs(disk.cylinderCount - 1);
    expect(full).toBeCloseTo(17e6, 0);
    expect(disk.seekNs(0)).toBe(0);
    let before = 0;
    for (let cylinders = 1; cylinders < disk.cylinderCount; cylinders += 7) {
      expect(disk.seekNs(cylinders)).toBeGreaterThan(before);
      before = disk.seekNs(cylinders);
    }
  });
});

describe('nvme', () => {
  const options = { profile: 'nvme', jitterPercent: 0 };

  it('takes 69 us for one read', () => {
    const { seconds } = run({ options, count: 1, depth: 1 });
    expect(seconds * 1e6).toBeCloseTo(69.17, 1);
  });

  it('scales with depth until its dies collide', () => {
    const at = (depth: number): number => iops({ options, count: 4000, depth, pick: random() });
    const [one, four, thirtyTwo, many] = [at(1), at(4), at(32), at(512)];
    expect(one).toBeGreaterThan(14_000);
    expect(one).toBeLessThan(15_000);
    expect(four / one).toBeGreaterThan(3.6);
    expect(thirtyTwo / one).toBeGreaterThan(18);
    expect(thirtyTwo / one).toBeLessThan(32);
    expect(many).toBeGreaterThan(thirtyTwo * 1.3);
    expect(many).toBeLessThan(1_000_000);
  });

  it('is bound by its link on large reads', () => {
    const sizeBytes = MIB;
    const bytesPerSecond = iops({ options, count: 400, depth: 16, sizeBytes }) * sizeBytes;
    expect(bytesPerSecond / 1e9).toBeGreaterThan(3.3);
    expect(bytesPerSecond / 1e9).toBeLessThanOrEqual(3.5);
  });

  it('reads slower while the write buffer drains', () => {
    const busy = { ...options, writeBufferKib: 1024 };
    const idle = iops({ options: busy, count: 500, depth: 1, pick: random() });
    const clock = new VirtualClock();
    const scheduler = new Scheduler();
    const memory = new Memory(plainArena(600), true);
    const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
    const { device } = openDevice('model', busy, { clock, memory, scheduler, io });
    const pick = random();
    const read = (left: number): void => {
      const bio = kernel.allocateBio(1);
      bio.device = device;
      bio.sectorStart = pick(1000) * 8;
      bio.pushVector(16, 0, 4096);
      bio.onEnd = () => {
        if (left > 0) read(left - 1);
      };
      kernel.submitBio(bio);
    };
    const write = (): void => {
      const bio = kernel.allocateBio(1);
      bio.device = device;
      bio.op = 'write';
      bio.sectorStart = pick(1000) * 2048;
      bio.pushVector(16, 0, MIB);
      kernel.submitBio(bio);
    };
    for (let index = 0; index < 100; index++) write();
    const startNs = clock.nowNs();
    read(99);
    kernel.drain();
    expect(100 / ((clock.nowNs() - startNs) / 1e9)).toBeLessThan(idle);
  });
});

describe('sata-ssd', () => {
  const options = { profile: 'sata-ssd', jitterPercent: 0 };

  it('has a ceiling of 100,000 commands a second', () => {
    const rate = iops({ options, count: 5000, depth: 64, pick: random() });
    expect(rate).toBeGreaterThan(60_000);
    expect(rate).toBeLessThanOrEqual(100_000);
  });

  it('takes writes at the speed of its link until the buffer is full, then at that of the drain', () => {
    const sizeBytes = 128 * 1024;
    const load = { options, op: 'write', depth: 8, sizeBytes, pick: random() } as const;
    const burst = iops({ ...load, count: 60 }) * sizeBytes;
    const small = { ...options, writeBufferKib: 4096 };
    const steady = iops({ ...load, options: small, count: 1200 }) * sizeBytes;
    expect(burst / 1e6).toBeGreaterThan(480);
    expect(steady / 1e6).toBeGreaterThan(310);
    expect(steady / 1e6).toBeLessThan(380);
  });

  it('flushes as long as its buffer takes to drain', () => {
    const timeOfFlush = (writes: number): number => {
      const clock = new VirtualClock();
      const scheduler = new Scheduler();
      const memory = new Memory(plainArena(600), true);
      const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
      const { device } = openDevice('model', options, { clock, memory, scheduler, io });
      for (let index = 0; index < writes; index++) {
        const bio = kernel.allocateBio(1);
        bio.device = device;
        bio.op = 'write';
        bio.sectorStart = index * 2048;
        bio.pushVector(16, 0, MIB);
        kernel.submitBio(bio);
      }
      kernel.drain();
      const startNs = clock.nowNs();
      const flush = kernel.allocateBio(0);
      flush.device = device;
      flush.op = 'flush';
      kernel.submitBio(flush);
      kernel.drain();
      return clock.nowNs() - startNs;
    };
    expect(timeOfFlush(0) / 1e6).toBeCloseTo(2.02, 2);
    // The first one is taken for scattered: 2 MiB, of which some is left when the last one has come.
    expect(timeOfFlush(4) / 1e6).toBeGreaterThan(2.1);
  });
});

describe('model', () => {
  const load = (seed: number): Load => ({
    options: { profile: 'nvme', seed },
    count: 500,
    depth: 16,
    pick: random(9),
  });

  it('gives the same run for the same seed, and another for another', () => {
    expect(run(load(3)).endsNs).toEqual(run(load(3)).endsNs);
    expect(run(load(3)).endsNs).not.toEqual(run(load(4)).endsNs);
    const disk = (seed: number): Load => ({ ...load(seed), options: { profile: 'hdd', seed } });
    expect(run(disk(3)).endsNs).toEqual(run(disk(3)).endsNs);
    expect(run(disk(3)).endsNs).not.toEqual(run(disk(4)).endsNs);
  });

  it('refuses a drive it does not have', () => {
    expect(() => run({ ...load(1), options: { profile: 'floppy' } })).toThrow(HostError);
  });
});

describe('EventHeap', () => {
  it('gives slots by time, then by order of arrival', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 }), (times) => {
        const heap = new EventHeap(60);
        times.forEach((atNs, slot) => {
          heap.push(slot, atNs);
        });
        const expected = times
          .map((atNs, slot) => ({ atNs, slot }))
          .sort((a, b) => a.atNs - b.atNs || a.slot - b.slot);
        const got: { atNs: number; slot: number }[] = [];
        while (heap.count > 0) {
          const atNs = heap.nextNs();
          got.push({ atNs, slot: heap.pop() });
        }
        expect(got).toEqual(expected);
        expect(heap.nextNs()).toBe(Infinity);
      }),
    );
  });
});
