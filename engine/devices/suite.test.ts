// SPDX-License-Identifier: GPL-2.0-only
/** What every listed device has to do. A new module is tested by being in the list. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  below,
  ERRNO,
  HostError,
  PAGE_BYTES,
  resolveOptions,
  Scheduler,
  Sfc32,
  VirtualClock,
  type Clock,
  type Nanoseconds,
} from '../base/index.ts';
import { checkLimits, type Bio, type BioOp, type BlockDevice } from '../block/index.ts';
import { RunKernel } from '../lab/kernel.ts';
import { Memory, plainArena } from '../memory/index.ts';
import { fakeHost } from '../../test/support/fake-executor.ts';
import type { DeviceModule } from './contract.ts';
import { DEVICES, deviceModule, openDevice } from './index.ts';

const IMAGE_BYTES = 4 * 1024 * 1024;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-devices-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const hostClock: Clock = { nowNs: () => (performance.now() * 1e6) as Nanoseconds };

/** Opens a module with its defaults; options of type 'path' get an image of zeros. */
function setUp(module: DeviceModule, readOnly = false) {
  const clock = module.virtualTime ? new VirtualClock() : hostClock;
  const scheduler = new Scheduler();
  const memory = new Memory(plainArena(500), true);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const host = fakeHost(memory.arena, { orderSeed: 3 });
  const given: Record<string, string> = {};
  for (const [name, field] of Object.entries(module.options)) {
    if (field.type !== 'path') continue;
    given[name] = join(folder, `${module.id}-${name}.img`);
    writeFileSync(given[name], Buffer.alloc(IMAGE_BYTES));
  }
  const io = {
    ioEngine: 'sync',
    depth: 4,
    submitBatch: 1,
    direct: true,
    readOnly,
  } as const;
  const ports = {
    clock,
    memory,
    scheduler,
    io,
    ...(module.needs.includes('imageFiles') && { imageFiles: host.imageFiles }),
    ...(module.needs.includes('executors') && { executors: host.executors }),
    ...(module.needs.includes('loops') && { loops: host.loops }),
  };
  const opened = openDevice(module.id, given, ports);
  return { kernel, memory, host, given, ports, opened, device: opened.device };
}

function bioFor(
  kernel: RunKernel,
  device: BlockDevice,
  op: BioOp,
  sectorStart: number,
  vectors: readonly (readonly [number, number, number])[],
): Bio {
  const bio = kernel.allocateBio(Math.max(1, vectors.length));
  bio.op = op;
  bio.device = device;
  bio.sectorStart = sectorStart;
  for (const [page, offset, length] of vectors) bio.pushVector(page, offset, length);
  return bio;
}

/** Sends one bio and runs until it has ended; its status. */
function once(kernel: RunKernel, bio: Bio): number {
  let endCount = 0;
  bio.onEnd = () => endCount++;
  kernel.submitBio(bio);
  kernel.drain();
  expect(endCount).toBe(1);
  return bio.status;
}

describe('the list', () => {
  it('has unique ids in order, and says what there is where one is unknown', () => {
    const ids = DEVICES.map((module) => module.id);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(() => deviceModule('floppy')).toThrow(HostError);
    expect(() => deviceModule('floppy')).toThrow('floppy');
  });
});

describe.each(DEVICES.map((module) => [module.id, module] as const))('%s', (id, module) => {
  it('describes itself and its options', () => {
    expect(id).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(module.title).not.toBe('');
    expect(module.help).toMatch(/\.$/);
    for (const [name, field] of Object.entries(module.options)) {
      expect(name).toMatch(/^[a-z][A-Za-z0-9]*$/);
      expect(field.title).not.toBe('');
      expect(field.help).toMatch(/\.$/);
    }
    expect(() => resolveOptions(module.options, {}, id)).not.toThrow();
    expect(() => resolveOptions(module.options, { noSuchOption: 1 }, id)).toThrow(HostError);
  });

  it('opens with limits that hold, and closes more than once', () => {
    const { device, host } = setUp(module);
    checkLimits(device.name, device.limits);
    expect(device.capacitySectors).toBeGreaterThan(0);
    expect(device.ops.has('read')).toBe(true);
    expect(device.ops.has('write')).toBe(true);
    expect(device.inFlightCount).toBe(0);
    expect(device.isReadOnly).toBe(false);
    device.close();
    device.close();
    expect(host.openImages.size).toBe(0);
  });

  it('refuses to open without a port that it needs', () => {
    const { ports, given, device } = setUp(module);
    device.close();
    for (const need of module.needs) {
      const rest = Object.fromEntries(Object.entries(ports).filter(([name]) => name !== need));
      expect(() => openDevice(id, given, rest as typeof ports)).toThrow(need);
    }
  });

  it('reads zeros where nothing was written', () => {
    const { kernel, memory, device } = setUp(module);
    memory.bytes.fill(7, 300 * PAGE_BYTES, 302 * PAGE_BYTES);
    const read = bioFor(kernel, device, 'read', 64, [[300, 512, PAGE_BYTES]]);
    expect(once(kernel, read)).toBe(0);
    const found = memory.bytes.subarray(300 * PAGE_BYTES, 302 * PAGE_BYTES);
    expect(found.subarray(512, 512 + PAGE_BYTES).every((byte) => byte === 0)).toBe(true);
    expect([found[511], found[512 + PAGE_BYTES]]).toEqual([7, 7]);
    device.close();
  });

  it('gives back what was written: 200 bios in flight at random places', () => {
    const { kernel, memory, device } = setUp(module);
    const random = new Sfc32(11);
    const blockCount = Math.min(device.capacitySectors / 8, 512);
    const model = new Uint8Array(blockCount).fill(0);
    const ends: number[] = [];
    for (let round = 0; round < 4; round++) {
      const taken = new Set<number>();
      for (let index = 0; index < 50; index++) {
        const block = below(random, blockCount);
        if (taken.has(block)) continue;
        taken.add(block);
        const page = 250 + index;
        const isWrite = below(random, 3) > 0;
        const fill = 1 + below(random, 255);
        memory.bytes.fill(isWrite ? fill : 0xee, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        const op = isWrite ? 'write' : 'read';
        const bio = bioFor(kernel, device, op, block * 8, [[page, 0, PAGE_BYTES]]);
        const wanted = isWrite ? fill : (model[block] as number);
        model[block] = wanted;
        bio.onEnd = () => {
          ends.push(bio.status);
          const found = memory.bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
          expect(found.every((byte) => byte === wanted)).toBe(true);
        };
        kernel.submitBio(bio);
      }
      kernel.drain();
      expect(device.inFlightCount).toBe(0);
    }
    expect(ends.length).toBeGreaterThan(100);
    expect(ends.every((status) => status === 0)).toBe(true);
    device.close();
  });

  it('moves one large bio that the limits split, from scattered memory, in order', () => {
    const { kernel, memory, device } = setUp(module);
    const vectors = Array.from({ length: 200 }, (_, index) => [40 + 2 * index, 0, 512] as const);
    vectors.forEach(([page], index) => {
      memory.bytes.fill(index + 1, page * PAGE_BYTES, page * PAGE_BYTES + 512);
    });
    expect(once(kernel, bioFor(kernel, device, 'write', 8, vectors))).toBe(0);
    for (const [page] of vectors) memory.bytes.fill(0, page * PAGE_BYTES, page * PAGE_BYTES + 512);
    expect(once(kernel, bioFor(kernel, device, 'read', 8, vectors))).toBe(0);
    vectors.forEach(([page], index) => {
      expect(memory.bytes[page * PAGE_BYTES]).toBe(index + 1);
      expect(memory.bytes[page * PAGE_BYTES + 511]).toBe(index + 1);
    });
    device.close();
  });

  it('flushes, and clears where it says that it can', () => {
    const { kernel, memory, device } = setUp(module);
    memory.bytes.fill(9, 300 * PAGE_BYTES, 301 * PAGE_BYTES);
    expect(once(kernel, bioFor(kernel, device, 'write', 0, [[300, 0, PAGE_BYTES]]))).toBe(0);
    expect(once(kernel, bioFor(kernel, device, 'flush', 0, []))).toBe(0);
    for (const op of ['discard', 'write-zeroes'] as const) {
      const clear = bioFor(kernel, device, op, 0, []);
      clear.sizeBytes = 512;
      expect(once(kernel, clear)).toBe(device.ops.has(op) ? 0 : -ERRNO.EOPNOTSUPP);
    }
    expect(once(kernel, bioFor(kernel, device, 'read', 0, [[301, 0, PAGE_BYTES]]))).toBe(0);
    expect(memory.bytes[301 * PAGE_BYTES]).toBe(device.ops.has('write-zeroes') ? 0 : 9);
    expect(memory.bytes[301 * PAGE_BYTES + 512]).toBe(9);
    device.close();
  });

  it('refuses to write where the run is read-only', () => {
    const { kernel, device } = setUp(module, true);
    expect(device.isReadOnly).toBe(true);
    expect(once(kernel, bioFor(kernel, device, 'write', 0, [[300, 0, 512]]))).toBe(-ERRNO.EIO);
    expect(once(kernel, bioFor(kernel, device, 'read', 0, [[300, 0, 512]]))).toBe(0);
    device.close();
  });

  it('ends bios beyond its end with EIO', () => {
    const { kernel, device } = setUp(module);
    const sectorStart = device.capacitySectors - 1;
    const bio = bioFor(kernel, device, 'read', sectorStart, [[300, 0, 1024]]);
    expect(once(kernel, bio)).toBe(-ERRNO.EIO);
    device.close();
  });

  it('moves time by itself exactly where it says so', () => {
    const { kernel, device } = setUp(module);
    const { clock } = kernel;
    const startNs = clock.nowNs();
    expect(once(kernel, bioFor(kernel, device, 'read', 0, [[300, 0, 512]]))).toBe(0);
    if (module.virtualTime) expect(clock.nowNs()).toBeGreaterThan(startNs);
    expect(clock instanceof VirtualClock).toBe(module.virtualTime);
    device.close();
  });
});
