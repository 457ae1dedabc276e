// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import { ArrayDisk } from '../../test/support/file-system-lab.ts';
import { Memory, plainArena } from '../memory/index.ts';
import { Bio } from './bio.ts';
import type { BlockDevice, DeviceRequest } from './device.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { SliceDevice } from './slice.ts';

function disk(limits: Partial<BlockDevice['limits']> = {}): BlockDevice & { bytes: Uint8Array } {
  const memory = new Memory(plainArena(8), false);
  const lower = new ArrayDisk(memory, new Uint8Array(65_536), true);
  return Object.assign(lower, { limits: { ...DEFAULT_LIMITS, ...limits } });
}

function request(sectorStart: number, sizeBytes: number, ended: number[]): DeviceRequest {
  const bio = new Bio(1);
  bio.op = 'write';
  bio.pushVector(1, 0, sizeBytes);
  const onEnd = (_request: DeviceRequest, status: number): number => ended.push(status);
  const rest = { id: 1, flags: 0, queuedAtNs: 0, bios: [bio], bioCount: 1 };
  return { ...rest, op: 'write', sectorStart, sizeBytes, onEnd };
}

it('moves requests by its start, and lets none out', () => {
  const lower = disk();
  const slice = new SliceDevice(lower, 63, 17, 'slice');
  const ended: number[] = [];
  const memory = (lower as unknown as { memory: Memory }).memory;
  memory.bytes.fill(7, 4096, 8192);
  expect(slice.submit(request(16, 512, ended))).toBe('queued');
  expect(ended).toEqual([0]);
  expect(lower.bytes.indexOf(7)).toBe(79 * 512);
  expect(lower.bytes.lastIndexOf(7)).toBe(80 * 512 - 1);
  expect(() => slice.submit(request(16, 1024, ended))).toThrow('leaves the slice');
  expect(() => slice.submit(request(-1, 512, ended))).toThrow('leaves the slice');
});

it('its limits are such that those of the device hold at the shifted place', () => {
  const lower = disk({ chunkSectors: 128, physicalBlockBytes: 4096 });
  expect(new SliceDevice(lower, 64, 8, 'a').limits).toMatchObject({
    chunkSectors: 64,
    physicalBlockBytes: 4096,
  });
  expect(new SliceDevice(lower, 63, 8, 'b').limits).toMatchObject({
    chunkSectors: 1,
    physicalBlockBytes: 512,
  });
  expect(new SliceDevice(disk(), 0, 8, 'c').limits.chunkSectors).toBe(0);
});

it('is made of whole logical blocks inside its device', () => {
  expect(() => new SliceDevice(disk(), 120, 9, 'a')).toThrow('slice leaves its device');
  const wide = disk({ logicalBlockBytes: 4096 });
  expect(() => new SliceDevice(wide, 63, 8, 'b')).toThrow('whole logical blocks');
});
