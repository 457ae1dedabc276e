// SPDX-License-Identifier: GPL-2.0-only
/** What is written through the overlay reads back; the device under it never changes. */
import { expect, it } from 'vitest';
import { PAGE_BYTES, Scheduler, type Nanoseconds } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { openDevice } from '../devices/index.ts';
import { Memory, plainArena } from '../memory/index.ts';
import { RunKernel } from './kernel.ts';
import { OverlayDevice } from './overlay.ts';

it('keeps writes to itself', () => {
  const memory = new Memory(plainArena(16), false);
  const scheduler = new Scheduler();
  const clock = { nowNs: () => 0 as Nanoseconds };
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null });
  const io = { ioEngine: 'sync', depth: 1, submitBatch: 1, direct: true, readOnly: false } as const;
  const { device } = openDevice('memory', { sizeKib: 64 }, { clock, memory, scheduler, io });
  const overlay = new OverlayDevice(device, memory);
  const page = memory.allocatePages(2);
  const move = (on: BlockDevice, op: 'read' | 'write', sectorStart: number, bytes: number) => {
    const bio = kernel.allocateBio(1);
    bio.op = op;
    bio.device = on;
    bio.sectorStart = sectorStart;
    bio.pushVector(page, 0, bytes);
    let status = 1;
    bio.onEnd = (ended) => {
      status = ended.status;
    };
    kernel.submitBio(bio);
    if (on === overlay && op === 'write') {
      expect([status, on.inFlightCount]).toEqual([1, 1]);
      expect(on.wait(0 as Nanoseconds)).toBe(1);
    }
    expect([status, on.inFlightCount]).toEqual([0, 0]);
    return memory.bytes.slice(page * PAGE_BYTES, page * PAGE_BYTES + bytes);
  };
  const fill = (value: number) =>
    memory.bytes.fill(value, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  fill(1);
  move(device, 'write', 0, 4096);
  fill(2);
  move(overlay, 'write', 3, 1024);
  fill(9);
  const seen = move(overlay, 'read', 0, 4096);
  expect([...new Set(seen.subarray(0, 1536))]).toEqual([1]);
  expect([...new Set(seen.subarray(1536, 2560))]).toEqual([2]);
  expect([...new Set(seen.subarray(2560))]).toEqual([1]);
  expect([...new Set(move(device, 'read', 0, 4096))]).toEqual([1]);
});
