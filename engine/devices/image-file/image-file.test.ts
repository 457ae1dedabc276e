// SPDX-License-Identifier: GPL-2.0-only
/** The image-file device over a fake executor that does real reads and writes of a temporary file. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERRNO, HostError, PAGE_BYTES, Scheduler, VirtualClock } from '../../base/index.ts';
import { RAW_KIND } from '../../executor/contract.ts';
import { RunKernel } from '../../lab/kernel.ts';
import { Memory, plainArena } from '../../memory/index.ts';
import { fakeHost, type FakeFaults } from '../../../test/support/fake-executor.ts';
import { openDevice } from '../index.ts';
import { IOVEC_PAGES_MAX } from '../_host-file/index.ts';

const SIZE_BYTES = 256 * 1024;
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-image-file-'));
  path = join(folder, 'disk.img');
  writeFileSync(path, Buffer.alloc(SIZE_BYTES, 0xa5));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

interface Setup extends FakeFaults {
  readonly depth?: number;
  readonly pages?: number;
  readonly readOnly?: boolean;
  readonly direct?: boolean;
  readonly endsInSubmit?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
}

function setUp(setup: Setup = {}) {
  const clock = new VirtualClock();
  const scheduler = new Scheduler();
  const memory = new Memory(plainArena(setup.pages ?? 400), false);
  const host = fakeHost(memory.arena, setup);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const io = {
    ioEngine: 'io_uring',
    depth: setup.depth ?? 4,
    submitBatch: 1,
    direct: setup.direct ?? true,
    readOnly: setup.readOnly ?? false,
    endsInSubmit: setup.endsInSubmit ?? false,
  } as const;
  const open = () =>
    openDevice(
      'image-file',
      { path, ...setup.options },
      { clock, memory, scheduler, io, imageFiles: host.imageFiles, executors: host.executors },
    );
  return { kernel, memory, host, open };
}
type World = ReturnType<typeof setUp>;

/** Submits one bio; the statuses that ended so far are in the list. */
function send(
  { kernel }: World,
  device: ReturnType<World['open']>['device'],
  op: 'read' | 'write' | 'flush',
  sectorStart: number,
  vectors: readonly (readonly [number, number, number])[],
): number[] {
  const ended: number[] = [];
  const bio = kernel.allocateBio(Math.max(1, vectors.length));
  bio.op = op;
  bio.device = device;
  bio.sectorStart = sectorStart;
  for (const [page, offset, length] of vectors) bio.pushVector(page, offset, length);
  bio.onEnd = () => ended.push(bio.status);
  kernel.submitBio(bio);
  return ended;
}

describe('image-file', () => {
  it('joins vectors that touch into one plain write, and writes them to the file', () => {
    const world = setUp();
    const { device } = world.open();
    world.memory.bytes.fill(1, 300 * PAGE_BYTES, 301 * PAGE_BYTES);
    world.memory.bytes.fill(2, 301 * PAGE_BYTES, 302 * PAGE_BYTES);
    const ended = send(world, device, 'write', 16, [
      [300, 0, 4096],
      [301, 0, 4096],
    ]);
    world.kernel.drain();
    expect(ended).toEqual([0]);
    expect(world.host.opened[0]?.log).toEqual([
      { kind: RAW_KIND.write, offsetBytes: 8192, vectors: 0 },
    ]);
    const content = readFileSync(path);
    expect([content[8191], content[8192], content[12288], content[16384]]).toEqual([
      0xa5, 1, 2, 0xa5,
    ]);
  });

  it('gives scattered memory as an iovec array, also across merged bios', () => {
    const world = setUp();
    const { device } = world.open();
    const content = readFileSync(path);
    for (let index = 0; index < content.length; index++) content[index] = (index >> 9) & 0xff;
    writeFileSync(path, content);
    world.kernel.startPlug();
    const first = send(world, device, 'read', 8, [[310, 512, 1024], [305, 0, 512]]); // prettier-ignore
    const second = send(world, device, 'read', 11, [[305, 512, 512], [300, 0, 512]]); // prettier-ignore
    world.kernel.finishPlug();
    world.kernel.drain();
    expect([...first, ...second]).toEqual([0, 0]);
    expect(world.host.opened[0]?.log).toEqual([
      { kind: RAW_KIND.read, offsetBytes: 4096, vectors: 3 },
    ]);
    const { bytes } = world.memory;
    const at = (page: number, offset: number): number =>
      bytes[page * PAGE_BYTES + offset] as number;
    expect([at(310, 512), at(310, 1024), at(305, 0), at(305, 512), at(300, 0)]).toEqual([
      8, 9, 10, 11, 12,
    ]);
  });

  it('continues short transfers from a whole logical block', () => {
    const world = setUp({ transferBytesMax: 1300 });
    const { device } = world.open();
    // Each sector of memory says which it is.
    for (let sector = 0; sector < 8; sector++) {
      world.memory.view(300, sector * 512, 512).fill(sector + 1);
      world.memory.view(302, sector * 512, 512).fill(sector + 9);
    }
    const ended = send(world, device, 'write', 0, [
      [300, 0, 4096],
      [302, 0, 4096],
    ]);
    world.kernel.drain();
    expect(ended).toEqual([0]);
    const offsets = world.host.opened[0]?.log.map((entry) => entry.offsetBytes);
    expect(offsets).toEqual([0, 1024, 2048, 3072, 4096, 5120, 6144, 7168]);
    const content = readFileSync(path);
    const wrong = content.subarray(0, 8192).findIndex((byte, at) => byte !== 1 + (at >> 9));
    expect(wrong).toBe(-1);
  });

  it('ends with EIO where the file was cut behind our back, and says where', () => {
    const world = setUp();
    const opened = world.open();
    truncateSync(path, 6144);
    const ended = send(world, opened.device, 'read', 8, [[300, 0, 4096]]);
    world.kernel.drain();
    expect(ended).toEqual([-ERRNO.EIO]);
    expect(opened.firstFault?.()).toEqual({
      op: 'read',
      status: -ERRNO.EIO,
      offsetBytes: 6144,
      lengthBytes: 2048,
      isEndOfFile: true,
    });
  });

  it('hands the errno of the host on, and tries again after EINTR', () => {
    let interrupted = 0;
    const world = setUp({
      failure: (_operation, _kind, offsetBytes) => {
        if (offsetBytes === 4096) return -ERRNO.ENOSPC;
        return interrupted++ === 0 ? -ERRNO.EINTR : 0;
      },
    });
    const opened = world.open();
    const fine = send(world, opened.device, 'write', 0, [[300, 0, 4096]]);
    world.kernel.drain();
    const full = send(world, opened.device, 'write', 8, [[300, 0, 4096]]);
    world.kernel.drain();
    expect([fine, full]).toEqual([[0], [-ERRNO.ENOSPC]]);
    expect(interrupted).toBe(2);
    expect(opened.firstFault?.()).toMatchObject({ status: -ERRNO.ENOSPC, offsetBytes: 4096 });
  });

  it('flushes with fdatasync after a FUA write and for a flush', () => {
    const world = setUp();
    const { device } = world.open();
    const ended = send(world, device, 'flush', 0, []);
    world.kernel.drain();
    expect(ended).toEqual([0]);
    expect(world.host.opened[0]?.log.map((entry) => entry.kind)).toEqual([RAW_KIND.fdatasync]);
    expect(world.kernel.queueOf(device).counters.flushes).toBe(1);
  });

  it.each([1, 2, 5])('does 40 requests over %i slots, in any order', (depth) => {
    const world = setUp({ depth, orderSeed: 7 });
    const { device } = world.open();
    const ends: number[][] = [];
    for (let index = 0; index < 40; index++) {
      world.memory.bytes.fill(index + 1, (320 + index) * PAGE_BYTES, (321 + index) * PAGE_BYTES);
      // Every other block, so that nothing merges.
      ends.push(send(world, device, 'write', index * 8, [[320 + index, 0, 512]]));
    }
    world.kernel.drain();
    expect(ends.flat()).toEqual(new Array<number>(40).fill(0));
    const content = readFileSync(path);
    for (let index = 0; index < 40; index++) expect(content[index * 4096]).toBe(index + 1);
  });

  it('is busy, not lost, where the iovec pages run out', () => {
    const depth = IOVEC_PAGES_MAX + 8;
    const world = setUp({ depth, pages: 1000 });
    const { device } = world.open();
    const ends: number[][] = [];
    for (let index = 0; index < depth; index++) {
      ends.push(send(world, device, 'read', index * 3, [[700, 0, 512], [702, 0, 512]])); // prettier-ignore
    }
    expect(world.kernel.queueOf(device).waitingCount).toBe(8);
    world.kernel.drain();
    expect(ends.flat()).toEqual(new Array<number>(depth).fill(0));
  });

  it('takes its limits from the host', () => {
    const strict = setUp({ offsetAlignBytes: 4096, memoryAlignBytes: 4 });
    expect(strict.open().device.limits).toMatchObject({
      logicalBlockBytes: 4096,
      dmaAlignmentBytes: 4,
      hasVolatileCache: true,
    });
    const buffered = setUp({ offsetAlignBytes: 4096, direct: false });
    expect(buffered.open().device.limits).toMatchObject({
      logicalBlockBytes: 512,
      dmaAlignmentBytes: 1,
    });
    const refused = setUp({ offsetAlignBytes: 4096, options: { logicalBlockBytes: '512' } });
    expect(refused.open).toThrow(HostError);
    expect(refused.host.openImages.size).toBe(0);
  });

  it('refuses an address that misses the host alignment with EINVAL', () => {
    const world = setUp();
    const { device } = world.open();
    expect(send(world, device, 'read', 0, [[300, 100, 512]])).toEqual([-ERRNO.EINVAL]);
  });

  it('leaves a tail of less than a block out, and refuses a file without a block', () => {
    truncateSync(path, 4096 + 700);
    expect(setUp().open().device.capacitySectors).toBe(9);
    truncateSync(path, 100);
    const world = setUp();
    expect(world.open).toThrow('100 bytes');
    expect(world.host.openImages.size).toBe(0);
  });

  it('ends inside submit what a blocking executor has done, also where an end submits again', () => {
    for (const endsInSubmit of [true, false]) {
      const world = setUp({ isBlocking: true, endsInSubmit, transferBytesMax: 2048 });
      const { device } = world.open();
      const first = send(world, device, 'write', 0, [[300, 0, 512]]);
      expect(first).toEqual(endsInSubmit ? [0] : []);
      world.kernel.drain();
      let second: number[] = [];
      const bio = world.kernel.allocateBio(1);
      bio.op = 'write';
      bio.device = device;
      bio.sectorStart = 8;
      // Comes out short first, so that the rest is pushed while the completions are walked.
      bio.pushVector(301, 0, 4096);
      bio.onEnd = () => {
        second = send(world, device, 'read', 0, [[302, 0, 512]]);
      };
      world.kernel.submitBio(bio);
      world.kernel.drain();
      expect([first, second, bio.status]).toEqual([[0], [0], 0]);
      expect(device.inFlightCount).toBe(0);
    }
  });

  it('refuses writes on a read-only image, and reaps all before it closes', () => {
    const world = setUp({ readOnly: true });
    const { device } = world.open();
    const freePagesBefore = world.memory.allocatePages(1);
    world.memory.freePages(freePagesBefore, 1);
    expect(send(world, device, 'write', 0, [[300, 0, 512]])).toEqual([-ERRNO.EIO]);
    const ended = send(world, device, 'read', 0, [[300, 0, 512]]);
    expect(device.inFlightCount).toBe(1);
    device.close();
    device.close();
    expect(ended).toHaveLength(1);
    expect(world.host.opened[0]?.isClosed).toBe(true);
    expect(world.host.openImages.size).toBe(0);
  });

  it('reaps all and lets go of the file also where an end function throws', () => {
    const world = setUp();
    const { device } = world.open();
    const { kernel } = world;
    for (let index = 0; index < 3; index++) {
      const bio = kernel.allocateBio(2);
      bio.device = device;
      bio.sectorStart = index * 16;
      bio.pushVector(300, 0, 512);
      bio.pushVector(304, 0, 512);
      bio.onEnd = () => {
        throw new RangeError(`end ${String(index)}`);
      };
      kernel.submitBio(bio);
    }
    expect(() => {
      device.close();
    }).toThrow('end 0');
    expect(world.host.opened[0]?.inFlightCount).toBe(0);
    expect(world.host.opened[0]?.isClosed).toBe(true);
    expect(world.host.openImages.size).toBe(0);
  });

  it('says what is missing', () => {
    const world = setUp({ pages: 3 });
    expect(world.open).toThrow('do not fit in the arena');
    expect(world.host.opened[0]?.isClosed).toBe(true);
    expect(setUp({ options: { path: '' } }).open).toThrow('no image file is named');
  });
});
