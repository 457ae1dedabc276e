// SPDX-License-Identifier: GPL-2.0-only
/** The block layer down to a real file with O_DIRECT, with each executor: what is written is in the file, and comes back. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { below, ERRNO, PAGE_BYTES, Scheduler, Sfc32 } from '../../engine/base/index.ts';
import type { Bio, BioOp } from '../../engine/block/index.ts';
import { openDevice } from '../../engine/devices/index.ts';
import { EXECUTORS, type ExecutorId } from '../../engine/executor/index.ts';
import { RunKernel } from '../../engine/lab/kernel.ts';
import { Memory } from '../../engine/memory/index.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { describeUnless } from '../support/tools.ts';

const ports = nativePorts();
const IMAGE_BYTES = 2 * 1024 * 1024;
const MEMORY_PAGES = 1200;
const SEED = 20_260_101;

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-image-device-'));
  path = join(folder, 'disk.img');
  writeFileSync(path, Buffer.alloc(IMAGE_BYTES, 0xa5));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function setUp(ioEngine: ExecutorId, depth: number) {
  const { clock, imageFiles, executors } = ports;
  const scheduler = new Scheduler();
  const memory = new Memory(ports.makeArena(MEMORY_PAGES), true);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const io = { ioEngine, depth, submitBatch: 4, direct: true, readOnly: false };
  const opened = openDevice(
    'image-file',
    { path },
    { clock, scheduler, memory, io, imageFiles: imageFiles!, executors: executors! },
  );
  const { device } = opened;
  const bioFor = (
    op: BioOp,
    sectorStart: number,
    vectors: readonly (readonly [number, number, number])[],
  ): Bio => {
    const bio = kernel.allocateBio(Math.max(1, vectors.length));
    bio.op = op;
    bio.device = device;
    bio.sectorStart = sectorStart;
    for (const [page, offset, length] of vectors) bio.pushVector(page, offset, length);
    return bio;
  };
  const once = (bio: Bio): number => {
    kernel.submitBio(bio);
    kernel.drain();
    return bio.status;
  };
  return { kernel, memory, opened, device, bioFor, once };
}

describeUnless(
  ports.imageFiles === undefined ? 'missing: system calls (Linux on x86-64 or arm64)' : null,
  'image-file over the real host',
  () => {
    it.each(EXECUTORS.map(({ id }) => id))('%s: 300 bios in flight at random places', (id) => {
      const { kernel, memory, opened, device, bioFor } = setUp(id, 8);
      const { limits } = device;
      expect(opened.image?.isDirect).toBe(true);
      const unit = Math.max(limits.logicalBlockBytes, 512);
      const random = new Sfc32(SEED);
      const image = Buffer.alloc(IMAGE_BYTES, 0xa5);
      const firstPage = memory.allocatePages(900);
      let ended = 0;
      for (let round = 0; round < 6; round++) {
        const taken = new Set<number>();
        for (let index = 0; index < 50; index++) {
          const slot = below(random, IMAGE_BYTES / 32768);
          if (taken.has(slot)) continue;
          taken.add(slot);
          // One to four pieces of memory, not all of them next to each other: plain and vectored operations.
          const count = 1 + below(random, 4);
          const step = 1 + below(random, 2);
          const isWrite = below(random, 2) === 0;
          const vectors = Array.from({ length: count }, (_, piece) => {
            const page = firstPage + index * 16 + piece * step;
            return [page, 0, piece === count - 1 ? unit : PAGE_BYTES] as const;
          });
          const start = slot * 32768;
          const views = vectors.map(([page, offset, length]) => memory.view(page, offset, length));
          let at = start;
          for (const view of views) {
            view.fill(isWrite ? 1 + below(random, 255) : 0);
            if (isWrite) image.set(view, at);
            at += view.length;
          }
          const wanted = Buffer.from(image.subarray(start, at));
          const bio = bioFor(isWrite ? 'write' : 'read', start / 512, vectors);
          bio.onEnd = () => {
            ended++;
            expect(bio.status).toBe(0);
            expect(Buffer.concat(views).equals(wanted)).toBe(true);
          };
          kernel.submitBio(bio);
        }
        kernel.drain();
      }
      expect(ended).toBeGreaterThan(150);
      expect(kernel.queueOf(device).counters.reads).toBeGreaterThan(50);
      device.close();
      expect(readFileSync(path).equals(image)).toBe(true);
    });

    it.each(EXECUTORS.map(({ id }) => id))('%s: flush, one slot, and the end of the file', (id) => {
      const { kernel, memory, opened, device, bioFor, once } = setUp(id, 1);
      const page = memory.allocatePages(8);
      const ends: number[] = [];
      // More than the one slot holds, all in order.
      for (let index = 0; index < 20; index++) {
        const bio = bioFor('read', index * 16, [[page, 0, PAGE_BYTES]]);
        bio.onEnd = () => ends.push(index);
        kernel.submitBio(bio);
      }
      kernel.drain();
      expect(ends).toEqual(Array.from({ length: 20 }, (_, index) => index));
      expect(once(bioFor('flush', 0, []))).toBe(0);
      truncateSync(path, IMAGE_BYTES - 32768);
      expect(once(bioFor('read', (IMAGE_BYTES - 4096) / 512, [[page, 0, 4096]]))).toBe(-ERRNO.EIO);
      expect(opened.firstFault?.()).toMatchObject({ isEndOfFile: true, status: -ERRNO.EIO });
      // Half of it is there: that part is read, then the end is met.
      const across = bioFor('read', (IMAGE_BYTES - 32768 - 4096) / 512, [[page, 0, 8192]]);
      expect(once(across)).toBe(-ERRNO.EIO);
      expect(memory.view(page, 0, 4096).every((byte) => byte === 0xa5)).toBe(true);
      device.close();
    });
  },
);
