// SPDX-License-Identifier: GPL-2.0-only
/** The request queue over a scripted device: checks, merging, plugs, a busy device, flush order, errors, and a reference model. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BIO_FLAG, ERRNO, PAGE_BYTES, Trace, traceRows, VirtualClock } from '../base/index.ts';
import { Memory, plainArena } from '../memory/index.ts';
import { BioPool } from './bio-pool.ts';
import type { Bio, BioOp } from './bio.ts';
import type { BlockDevice, DeviceRequest, QueueLimits } from './device.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { Plug } from './plug.ts';
import { PLUG_REQUESTS_MAX, RequestQueue } from './queue.ts';
import { SparseStore } from './sparse-store.ts';

interface Script {
  readonly limits?: Partial<QueueLimits>;
  /** Requests that it takes before it is busy; 0: it ends them inside `submit`. */
  readonly depth?: number;
  readonly isReadOnly?: boolean;
  readonly ops?: readonly BioOp[];
  readonly capacitySectors?: number;
}

/** Checks that every request keeps the limits; ends requests when told to, or inline. */
class ScriptedDevice implements BlockDevice {
  readonly name = 'scripted';
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp>;
  readonly isReadOnly: boolean;
  readonly pending: DeviceRequest[] = [];
  readonly seen: string[] = [];
  readonly store: SparseStore;
  busyCount = 0;
  status = 0;
  private readonly depth: number;

  constructor(memory: Memory, script: Script) {
    this.capacitySectors = script.capacitySectors ?? 4096;
    this.limits = { ...DEFAULT_LIMITS, ...script.limits };
    this.ops = new Set(script.ops ?? ['read', 'write', 'flush', 'discard']);
    this.isReadOnly = script.isReadOnly ?? false;
    this.depth = script.depth ?? 0;
    this.store = new SparseStore(memory, this.capacitySectors * 512);
  }
  get inFlightCount(): number {
    return this.pending.length;
  }
  submit(request: DeviceRequest): 'queued' | 'busy' {
    this.checkRequest(request);
    if (this.depth > 0 && this.pending.length >= this.depth) {
      this.busyCount++;
      return 'busy';
    }
    const flags = request.flags & BIO_FLAG.fua ? ' fua' : '';
    const place = request.op === 'flush' ? '' : ` ${String(request.sectorStart)}+${String(request.sizeBytes / 512)}`; // prettier-ignore
    this.seen.push(`${request.op}${place}${flags}`);
    if (this.depth > 0) this.pending.push(request);
    else this.finish(request);
    return 'queued';
  }
  /** Ends the pending request at that index. */
  end(index = 0, status = 0): void {
    const request = this.pending.splice(index, 1)[0] as DeviceRequest;
    this.finish(request, status);
  }
  commit(): void {
    // Nothing to hand over.
  }
  wait(): number {
    return 0;
  }
  close(): void {
    this.pending.length = 0;
  }
  private finish(request: DeviceRequest, status = this.status): void {
    if (status === 0) this.store.transfer(request);
    request.onEnd(request, status);
  }
  private checkRequest(request: DeviceRequest): void {
    const { limits } = this;
    if (request.op === 'flush') return;
    const sectors = request.sizeBytes / 512;
    let sizeBytes = 0;
    let segments = 0;
    for (let index = 0; index < request.bioCount; index++) {
      const bio = request.bios[index] as Bio;
      expect(bio.sectorStart).toBe(request.sectorStart + sizeBytes / 512);
      expect(bio.op).toBe(request.op);
      sizeBytes += bio.sizeBytes;
      for (let at = 0; at < bio.vectorCount; at++) {
        const length = bio.vectors[at * 3 + 2] as number;
        segments += Math.ceil(length / limits.segmentSizeBytesMax);
      }
    }
    expect(sizeBytes).toBe(request.sizeBytes);
    expect(sectors).toBeLessThanOrEqual(limits.ioSizeSectorsMax);
    expect(segments).toBeLessThanOrEqual(limits.segmentCountMax);
    expect(request.sizeBytes % limits.logicalBlockBytes).toBe(0);
    expect((request.sectorStart * 512) % limits.logicalBlockBytes).toBe(0);
    if (limits.chunkSectors === 0) return;
    const chunk = (sector: number): number => Math.floor(sector / limits.chunkSectors);
    expect(chunk(request.sectorStart)).toBe(chunk(request.sectorStart + sectors - 1));
  }
}

function setUp(script: Script = {}, traced = false) {
  const clock = new VirtualClock();
  const memory = new Memory(plainArena(300), false);
  const device = new ScriptedDevice(memory, script);
  const plug = new Plug();
  const trace = traced ? new Trace(clock, 1000) : null;
  const bioPool = new BioPool();
  const queue = new RequestQueue(device, { clock, trace, bioPool, plug });
  const ended: string[] = [];
  let bioId = 0;
  const send = (
    op: BioOp,
    sectorStart: number,
    sectorCount: number,
    flags = 0,
    onEnd?: () => void,
  ): Bio => {
    const bio = bioPool.allocate(Math.max(1, Math.ceil(sectorCount / 8)));
    bio.id = bioId++;
    bio.op = op;
    bio.flags = flags;
    bio.device = device;
    bio.sectorStart = sectorStart;
    if (op === 'read' || op === 'write') {
      for (let left = sectorCount, page = 20; left > 0; left -= 8, page += 2) {
        bio.pushVector(page, 0, Math.min(8, left) * 512);
      }
    } else bio.sizeBytes = sectorCount * 512;
    bio.onEnd = () => {
      ended.push(bio.status === 0 ? String(bio.id) : `${String(bio.id)}:${String(bio.status)}`);
      onEnd?.();
    };
    queue.submitBio(bio);
    return bio;
  };
  const rows = () => traceRows((trace as Trace).columns());
  return { clock, memory, device, plug, queue, send, ended, rows, bioPool };
}

describe('checks', () => {
  it.each([
    ['beyond the end', 'read', 4090, 8, ERRNO.EIO],
    ['far beyond the end', 'write', 1e12, 8, ERRNO.EIO],
    ['before the start', 'read', -8, 8, ERRNO.EIO],
    ['an operation it does not have', 'write-zeroes', 0, 8, ERRNO.EOPNOTSUPP],
  ] as const)('ends with an error: %s', (_what, op, sector, count, errno) => {
    const { send, ended, device } = setUp();
    send(op, sector, count);
    expect(ended).toEqual([`0:${String(-errno)}`]);
    expect(device.seen).toEqual([]);
  });

  it('takes the last sector of the device', () => {
    const { send, ended } = setUp();
    send('read', 4088, 8);
    expect(ended).toEqual(['0']);
  });

  it('refuses writes on a read-only device as the loop driver does, with EIO', () => {
    const { send, ended } = setUp({ isReadOnly: true });
    send('write', 0, 8);
    send('discard', 0, 8);
    send('read', 0, 8);
    expect(ended).toEqual(['0:-5', '1:-5', '2']);
  });

  it('refuses parts of logical blocks', () => {
    const { send, ended } = setUp({ limits: { logicalBlockBytes: 4096 } });
    send('read', 1, 8);
    send('read', 8, 7);
    send('read', 8, 8);
    expect(ended).toEqual(['0:-5', '1:-5', '2']);
  });

  it('refuses a buffer that misses the DMA alignment', () => {
    const { queue, bioPool, device, ended } = setUp({ limits: { dmaAlignmentBytes: 512 } });
    for (const offset of [512, 256]) {
      const bio = bioPool.allocate(1);
      bio.device = device;
      bio.pushVector(20, offset, 512);
      bio.onEnd = () => ended.push(String(bio.status));
      queue.submitBio(bio);
    }
    expect(ended).toEqual(['0', String(-ERRNO.EINVAL)]);
  });

  it('ends an empty bio that asks for nothing', () => {
    const { send, ended, device } = setUp({ limits: { hasVolatileCache: true } });
    send('write', 0, 0);
    expect(ended).toEqual(['0']);
    expect(device.seen).toEqual([]);
  });
});

describe('split', () => {
  it('ends the bio once, after all pieces, with the first error', () => {
    const world = setUp({ depth: 8, limits: { ioSizeSectorsMax: 16 } }, true);
    const bio = world.send('write', 0, 40);
    expect(world.device.seen).toEqual(['write 0+16', 'write 16+16', 'write 32+8']);
    world.device.end(1, -ERRNO.ENOSPC);
    world.device.end(1, -ERRNO.EIO);
    expect(world.ended).toEqual([]);
    world.device.end(0);
    expect(world.ended).toEqual([`0:${String(-ERRNO.ENOSPC)}`]);
    expect([bio.sizeBytes, bio.vectorCount, bio.sectorStart]).toEqual([40 * 512, 5, 0]);
    expect(world.queue.counters).toMatchObject({ splits: 2, writes: 3, writeBytes: 16 * 512 });
    const splits = world.rows().filter((row) => row.kind === 'split');
    expect(splits.map((row) => row.values)).toEqual([
      [0, 16, 0],
      [16, 32, 0],
    ]);
  });

  it('ends the bio once where pieces end inline', () => {
    const { send, ended } = setUp({ limits: { segmentCountMax: 1 } });
    send('read', 0, 64);
    expect(ended).toEqual(['0']);
  });

  it('does not split a NOWAIT bio', () => {
    const { send, ended, device } = setUp({ limits: { ioSizeSectorsMax: 16 } });
    send('read', 0, 40, BIO_FLAG.nowait);
    expect(ended).toEqual([`0:${String(-ERRNO.EAGAIN)}`]);
    expect(device.seen).toEqual([]);
  });

  it('refuses a bio of which no logical block fits, without a piece sent', () => {
    const world = setUp({ limits: { logicalBlockBytes: 1024, segmentCountMax: 1 } });
    const { queue, bioPool, device, ended } = world;
    const bio = bioPool.allocate(2);
    bio.device = device;
    bio.pushVector(20, 0, 512);
    bio.pushVector(22, 0, 512);
    bio.onEnd = () => ended.push(String(bio.status));
    queue.submitBio(bio);
    expect(ended).toEqual([String(-ERRNO.EINVAL)]);
    expect(device.seen).toEqual([]);
  });
});

describe('merge', () => {
  it('joins bios at the back and at the front inside a plug', () => {
    const world = setUp({ depth: 4 }, true);
    world.plug.start();
    world.send('write', 16, 8);
    world.send('write', 24, 8);
    world.send('write', 8, 8);
    world.plug.finish();
    expect(world.device.seen).toEqual(['write 8+24']);
    world.device.end();
    expect(world.ended).toEqual(['2', '0', '1']);
    expect(world.queue.counters).toMatchObject({ merges: 2, writes: 1, writeBytes: 24 * 512 });
    const merges = world.rows().filter((row) => row.kind === 'merge');
    expect(merges.map((row) => row.values)).toEqual([
      [24, 4096, 0, 1],
      [8, 4096, 0, 0],
    ]);
  });

  it.each([
    ['another operation', {}, 'read', 0, ['write 0+8', 'read 8+8']],
    ['a gap', {}, 'write', 8, ['write 0+8', 'write 16+8']],
    ['longest request', { ioSizeSectorsMax: 12 }, 'write', 0, ['write 0+8', 'write 8+8']],
    ['segments', { segmentCountMax: 1 }, 'write', 0, ['write 0+8', 'write 8+8']],
    ['chunk', { chunkSectors: 8 }, 'write', 0, ['write 0+8', 'write 8+8']],
  ] as const)('does not join: %s', (_what, limits, op, gap, seen) => {
    const { plug, send, device } = setUp({ limits });
    plug.start();
    send('write', 0, 8);
    send(op, 8 + gap, 8);
    plug.finish();
    expect(device.seen).toEqual(seen);
  });

  it('does not join at the front across a chunk', () => {
    const { plug, send, device } = setUp({ limits: { chunkSectors: 16 } });
    plug.start();
    send('write', 16, 8);
    send('write', 8, 8);
    plug.finish();
    expect(device.seen).toEqual(['write 16+8', 'write 8+8']);
  });

  it('keeps a NOWAIT request that a patient bio has joined', () => {
    const { plug, send, device, ended } = setUp({ depth: 1 });
    send('read', 100, 8);
    plug.start();
    send('read', 0, 8, BIO_FLAG.nowait);
    send('read', 8, 8);
    plug.finish();
    expect(ended).toEqual([]);
    device.end();
    device.end();
    expect(ended).toEqual(['0', '1', '2']);
  });

  it('compares with the newest plugged request only', () => {
    const { plug, send, device } = setUp();
    plug.start();
    send('write', 0, 8);
    send('write', 100, 8);
    send('write', 8, 8);
    plug.finish();
    expect(device.seen).toEqual(['write 0+8', 'write 100+8', 'write 8+8']);
  });

  it('does not join without a plug on an idle device', () => {
    const { send, device } = setUp();
    send('write', 0, 8);
    send('write', 8, 8);
    expect(device.seen).toEqual(['write 0+8', 'write 8+8']);
  });

  it('joins requests that wait for room, as far as the newest eight', () => {
    const { send, device, queue } = setUp({ depth: 1 });
    send('write', 2000, 8);
    for (let index = 0; index < 9; index++) send('write', index * 100, 8);
    send('write', 808, 8);
    send('write', 108, 8);
    send('write', 8, 8);
    expect(queue.waitingCount).toBe(10);
    while (device.pending.length > 0) device.end();
    expect(device.seen.slice(1, 3)).toEqual(['write 0+8', 'write 100+16']);
    expect(device.seen.slice(-2)).toEqual(['write 800+16', 'write 8+8']);
  });

  it('keeps FUA and preflush writes apart', () => {
    const { plug, send, device } = setUp({ limits: { hasVolatileCache: true, hasFua: true } });
    plug.start();
    send('write', 0, 8);
    send('write', 8, 8, BIO_FLAG.fua);
    send('write', 16, 8);
    plug.finish();
    expect(device.seen).toEqual(['write 0+8', 'write 8+8 fua', 'write 16+8']);
  });
});

describe('plug', () => {
  it('flushes itself at 32 requests, and behind a request of 128 KiB', () => {
    const { plug, send, device } = setUp();
    plug.start();
    for (let index = 0; index < PLUG_REQUESTS_MAX; index++) send('read', index * 100, 8);
    expect(device.seen).toHaveLength(0);
    send('read', 3300, 8);
    expect(device.seen).toHaveLength(PLUG_REQUESTS_MAX);
    plug.finish();
    device.seen.length = 0;
    plug.start();
    send('read', 0, 256);
    expect(device.seen).toEqual([]);
    send('read', 1000, 8);
    expect(device.seen).toEqual(['read 0+256']);
    plug.finish();
    expect(device.seen).toEqual(['read 0+256', 'read 1000+8']);
  });

  it('dispatches what an end function plugs at the next flush', () => {
    const { plug, send, device } = setUp();
    plug.start();
    send('read', 0, 8, 0, () => send('read', 100, 8));
    plug.finish();
    expect(device.seen).toEqual(['read 0+8', 'read 100+8']);
    expect(plug.isEmpty).toBe(true);
  });

  it('keeps its order where an end function plugs more than a plug holds', () => {
    const { plug, send, ended, device } = setUp();
    plug.start();
    send('read', 0, 8, 0, () => {
      for (let index = 1; index <= 80; index++) send('read', index * 16, 8);
    });
    plug.flush();
    plug.finish();
    expect(ended).toEqual(Array.from({ length: 81 }, (_, index) => String(index)));
    expect(device.seen).toHaveLength(81);
    expect(plug.isEmpty).toBe(true);
  });

  it('refuses a finish without a start', () => {
    expect(() => {
      new Plug().finish();
    }).toThrow('not started');
  });
});

describe('a busy device', () => {
  it('gets requests again after completions, in order', () => {
    const { send, device, ended, queue } = setUp({ depth: 2 });
    for (let index = 0; index < 5; index++) send('read', index * 100, 8);
    expect(device.seen).toHaveLength(2);
    expect([queue.deviceCount, queue.waitingCount]).toEqual([2, 3]);
    device.end(1);
    device.end(0);
    device.end(0);
    while (device.pending.length > 0) device.end(0);
    expect(ended).toEqual(['1', '0', '2', '3', '4']);
    expect(device.seen).toEqual([0, 1, 2, 3, 4].map((n) => `read ${String(n * 100)}+8`));
    expect(queue.waitingCount).toBe(0);
  });

  it('fails NOWAIT bios with EAGAIN instead of keeping them', () => {
    const { send, device, ended } = setUp({ depth: 1 });
    send('read', 0, 8);
    send('read', 100, 8, BIO_FLAG.nowait);
    send('read', 200, 8);
    send('read', 300, 8, BIO_FLAG.nowait);
    expect(ended).toEqual([`1:${String(-ERRNO.EAGAIN)}`, `3:${String(-ERRNO.EAGAIN)}`]);
    device.end();
    device.end();
    expect(ended.slice(2)).toEqual(['0', '2']);
  });

  it('does not recurse where end functions submit on a device that ends inline', () => {
    const { send, ended } = setUp();
    let left = 20_000;
    const next = (): void => {
      if (left-- > 0) send('read', (left % 500) * 8, 8, 0, next);
    };
    next();
    expect(ended).toHaveLength(20_000);
  });

  it('goes on after an end function that throws', () => {
    const { send, ended, device } = setUp();
    expect(() => {
      send('read', 0, 8, 0, () => {
        throw new RangeError('the end function');
      });
    }).toThrow('the end function');
    send('read', 8, 8);
    expect(ended).toEqual(['0', '1']);
    expect(device.seen).toHaveLength(2);
  });

  it('asserts where a device is busy with nothing in flight', () => {
    const { send, device } = setUp({ depth: 1 });
    const stuck = Object.assign(device, { submit: () => 'busy' as const });
    expect(() => {
      send('read', 0, 8);
    }).toThrow('idle device');
    expect(stuck.pending).toEqual([]);
  });

  it('asserts where a request ends twice', () => {
    const { send, device } = setUp({ depth: 1 });
    send('read', 0, 8);
    const request = device.pending[0] as DeviceRequest;
    device.end();
    expect(() => {
      request.onEnd(request, 0);
    }).toThrow('does not have');
  });
});

describe('flush', () => {
  const cached = { hasVolatileCache: true };

  it('ends at once without a volatile cache, and ignores FUA there', () => {
    const { send, device, ended, queue } = setUp();
    send('flush', 0, 0);
    send('write', 0, 8, BIO_FLAG.fua | BIO_FLAG.preflush);
    expect(ended).toEqual(['0', '1']);
    expect(device.seen).toEqual(['write 0+8']);
    expect(queue.counters.flushes).toBe(0);
  });

  it('goes to the device, past what is plugged and what is in flight', () => {
    const { send, device, ended, plug, queue } = setUp({ limits: cached, depth: 8 });
    plug.start();
    send('write', 0, 8);
    send('flush', 0, 0);
    expect(device.seen).toEqual(['flush']);
    device.end();
    expect(ended).toEqual(['1']);
    plug.finish();
    device.end();
    expect(ended).toEqual(['1', '0']);
    expect(queue.counters.flushes).toBe(1);
  });

  it('does preflush, data, postflush one after the other', () => {
    const { send, device, ended } = setUp({ limits: cached, depth: 8 });
    send('write', 8, 8, BIO_FLAG.preflush | BIO_FLAG.fua);
    const seen = (): string => device.seen.join(', ');
    expect(seen()).toBe('flush');
    device.end();
    expect(seen()).toBe('flush, write 8+8');
    device.end();
    expect(seen()).toBe('flush, write 8+8, flush');
    expect(ended).toEqual([]);
    device.end();
    expect(ended).toEqual(['0']);
  });

  it('leaves FUA to a device that has it', () => {
    const { send, device, ended } = setUp({ limits: { ...cached, hasFua: true }, depth: 8 });
    send('write', 8, 8, BIO_FLAG.fua);
    expect(device.seen).toEqual(['write 8+8 fua']);
    device.end();
    send('write', 8, 8, BIO_FLAG.preflush | BIO_FLAG.fua);
    device.end();
    expect(device.seen).toEqual(['write 8+8 fua', 'flush', 'write 8+8 fua']);
    device.end();
    expect(ended).toEqual(['0', '1']);
  });

  it('shares one flush among all that came while another was under way', () => {
    const { send, device, ended } = setUp({ limits: cached, depth: 8 });
    send('flush', 0, 0);
    send('flush', 0, 0);
    send('flush', 0, 0);
    expect(device.seen).toEqual(['flush']);
    device.end();
    expect(ended).toEqual(['0']);
    expect(device.seen).toEqual(['flush', 'flush']);
    device.end();
    expect(ended).toEqual(['0', '1', '2']);
  });

  it('waits with a postflush for the data of others, but not for ever', () => {
    const { send, device, ended, clock } = setUp({ limits: cached, depth: 8 });
    send('write', 0, 8, BIO_FLAG.fua);
    send('write', 100, 8, BIO_FLAG.fua);
    device.end(0);
    expect(device.seen).toEqual(['write 0+8', 'write 100+8']);
    send('write', 200, 8, BIO_FLAG.fua);
    clock.advanceTo(6e9);
    device.end(1);
    expect(device.seen.at(-1)).toBe('flush');
    device.end(1);
    expect(ended).toEqual(['0', '2']);
  });

  it('ends with the error of a step, and does no further one', () => {
    const { send, device, ended } = setUp({ limits: cached, depth: 8 });
    send('write', 0, 8, BIO_FLAG.preflush);
    device.end(0, -ERRNO.EIO);
    send('write', 8, 8, BIO_FLAG.fua);
    device.end(0, -ERRNO.ENOSPC);
    send('write', 16, 8, BIO_FLAG.fua);
    device.end(0);
    device.end(0, -ERRNO.EIO);
    expect(ended).toEqual(['0:-5', `1:${String(-ERRNO.ENOSPC)}`, '2:-5']);
    expect(device.seen).toEqual(['flush', 'write 8+8', 'write 16+8', 'flush']);
  });

  it('waits like any request where the device is busy, NOWAIT or not', () => {
    const { send, device, ended } = setUp({ limits: cached, depth: 1 });
    send('read', 0, 8);
    send('write', 8, 8, BIO_FLAG.preflush | BIO_FLAG.fua | BIO_FLAG.nowait);
    send('read', 100, 8);
    for (let left = 5; left > 0; left--) device.end();
    expect(ended).toEqual(['0', '2', '1']);
    expect(device.seen).toEqual(['read 0+8', 'flush', 'read 100+8', 'write 8+8', 'flush']);
  });

  it('takes an empty preflush write for a flush', () => {
    const { send, device, ended } = setUp({ limits: cached });
    send('write', 0, 0, BIO_FLAG.preflush);
    expect(device.seen).toEqual(['flush']);
    expect(ended).toEqual(['0']);
  });
});

describe('trace', () => {
  it('has dispatch before device-end also where the device ends inline or was busy', () => {
    const inline = setUp({}, true);
    inline.send('read', 8, 8);
    expect(inline.rows().map((row) => [row.kind, row.bioId, row.values])).toEqual([
      ['dispatch', 0, [8, 4096, 0, 0]],
      ['device-end', 0, [8, 4096, 0, 0, 0]],
    ]);
    const busy = setUp({ depth: 1 }, true);
    busy.send('read', 8, 8);
    busy.send('write', 80, 8);
    busy.device.end(0, -5);
    busy.device.end();
    const kinds = busy.rows().map((row) => `${row.kind} ${String(row.bioId)}`);
    expect(kinds).toEqual(['dispatch 0', 'device-end 0', 'dispatch 1', 'device-end 1']);
    expect(busy.rows()[1]?.values).toEqual([8, 4096, 0, 0, -5]);
  });
});

// Property -------------------------------------------------------------------------------------

const SECTORS = 256;

const limitsArbitrary = fc
  .record({
    logicalBits: fc.integer({ min: 0, max: 2 }),
    physicalMore: fc.integer({ min: 0, max: 2 }),
    ioBlocks: fc.integer({ min: 1, max: 40 }),
    segmentCountMax: fc.integer({ min: 1, max: 20 }),
    segmentSizeBytesMax: fc.constantFrom(4096, 8192, 0x7fff_f000),
    chunkBlocks: fc.integer({ min: 0, max: 12 }),
    hasVolatileCache: fc.boolean(),
    hasFua: fc.boolean(),
  })
  .map(({ logicalBits, physicalMore, ioBlocks, chunkBlocks, ...rest }) => ({
    ...DEFAULT_LIMITS,
    ...rest,
    logicalBlockBytes: 512 << logicalBits,
    physicalBlockBytes: 512 << (logicalBits + physicalMore),
    ioSizeSectorsMax: ioBlocks << logicalBits,
    chunkSectors: chunkBlocks << logicalBits,
  }));

const stepArbitrary = fc.record({
  action: fc.constantFrom('bio', 'bio', 'bio', 'bio', 'plug', 'unplug', 'end', 'end'),
  op: fc.constantFrom('read', 'write', 'write', 'flush'),
  block: fc.nat(63),
  blocks: fc.integer({ min: 1, max: 40 }),
  fill: fc.nat(255),
  flags: fc.constantFrom(0, 0, 0, BIO_FLAG.fua, BIO_FLAG.preflush),
  pick: fc.nat(1000),
  vectorBlocks: fc.integer({ min: 1, max: 5 }),
});

describe('property: random bios on random limits', () => {
  it('moves the bytes that a flat array moves, ends every bio once, and keeps every limit', () => {
    fc.assert(
      fc.property(
        limitsArbitrary,
        fc.integer({ min: 0, max: 4 }),
        fc.array(stepArbitrary, { minLength: 1, maxLength: 60 }),
        (limits, depth, steps) => {
          runAgainstModel(limits, depth, steps);
        },
      ),
      { numRuns: 400 },
    );
  });
});

type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

/**
 * Bios in flight never overlap here (what the device does with those is its own), so a flat array that is changed at submission
 * says what every read must find.
 */
function runAgainstModel(limits: QueueLimits, depth: number, steps: readonly Step[]): void {
  const { queue, plug, bioPool, device, memory } = setUp({
    limits,
    depth,
    capacitySectors: SECTORS,
  });
  const model = new Uint8Array(SECTORS * 512);
  const busySectors = new Uint8Array(SECTORS);
  let plugs = 0;
  let out = 0;
  let firstPage = 1;
  const submit = (step: Step): void => {
    const blockSectors = limits.logicalBlockBytes / 512;
    const start = (step.block * blockSectors) % SECTORS;
    const count = Math.min(step.blocks * blockSectors, SECTORS - start);
    const isFlush = step.op === 'flush';
    const range = isFlush ? busySectors.subarray(0, 0) : busySectors.subarray(start, start + count);
    if (range.some((busy) => busy !== 0)) return;
    const sizeBytes = isFlush ? 0 : count * 512;
    const lengths = vectorLengths(sizeBytes, step.vectorBlocks * limits.logicalBlockBytes);
    if (firstPage + 2 * (lengths.length + 8) > memory.pageCount) return;
    const bio = bioPool.allocate(Math.max(1, lengths.length));
    bio.op = step.op;
    bio.flags = isFlush || step.op === 'read' ? 0 : step.flags;
    bio.device = device;
    bio.sectorStart = start;
    const pieces: Uint8Array[] = [];
    for (const length of lengths) {
      bio.pushVector(firstPage, 0, length);
      pieces.push(memory.bytes.subarray(firstPage * PAGE_BYTES, firstPage * PAGE_BYTES + length));
      firstPage += Math.ceil(length / PAGE_BYTES) + 1;
    }
    const wanted = model.subarray(start * 512, start * 512 + sizeBytes);
    if (step.op === 'write') {
      for (const piece of pieces) piece.fill(step.fill);
      wanted.fill(step.fill);
    }
    const expected = wanted.slice();
    range.fill(1);
    out++;
    bio.onEnd = () => {
      expect(bio.status).toBe(0);
      range.fill(0);
      out--;
      if (step.op === 'read') expect(Buffer.concat(pieces).equals(expected)).toBe(true);
    };
    queue.submitBio(bio);
  };
  for (const step of steps) {
    if (step.action === 'bio') submit(step);
    else if (step.action === 'plug') {
      plug.start();
      plugs++;
    } else if (step.action === 'unplug' && plugs > 0) {
      plug.finish();
      plugs--;
    } else if (device.pending.length > 0) device.end(step.pick % device.pending.length);
  }
  while (plugs-- > 0) plug.finish();
  while (device.pending.length > 0) device.end();
  expect(out).toBe(0);
  expect([queue.deviceCount, queue.waitingCount]).toEqual([0, 0]);
  const arenaByte = (memory.pageCount - 3) * PAGE_BYTES;
  for (let sector = 0; sector < SECTORS; sector += 8) {
    device.store.read(sector * 512, arenaByte, PAGE_BYTES);
    const found = memory.bytes.subarray(arenaByte, arenaByte + PAGE_BYTES);
    const wanted = model.subarray(sector * 512, sector * 512 + PAGE_BYTES);
    expect(Buffer.compare(found, wanted)).toBe(0);
  }
}

function vectorLengths(sizeBytes: number, vectorBytes: number): number[] {
  const lengths: number[] = [];
  for (let left = sizeBytes; left > 0; left -= vectorBytes) {
    lengths.push(Math.min(left, vectorBytes));
  }
  return lengths;
}
