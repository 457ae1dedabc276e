// SPDX-License-Identifier: GPL-2.0-only
/** What the log says: data as it was at submission, epochs by the flushes, room. */
import { expect, it } from 'vitest';
import { PAGE_BYTES, Scheduler, VirtualClock } from '../../base/index.ts';
import type { BioOp, DeviceRequest } from '../../block/index.ts';
import { RunKernel } from '../../lab/kernel.ts';
import { Memory, plainArena } from '../../memory/index.ts';
import { ArrayDisk } from '../../../test/support/file-system-lab.ts';
import { RecorderDevice } from './index.ts';

function setUp(keepBytesMax = Infinity, inline = false) {
  const memory = new Memory(plainArena(64), true);
  const kernel = new RunKernel({
    clock: new VirtualClock(),
    scheduler: new Scheduler(),
    memory,
    trace: null,
  });
  const disk = new ArrayDisk(memory, new Uint8Array(1 << 20), inline);
  const recorder = new RecorderDevice(disk, memory, keepBytesMax);
  const send = (op: BioOp, sectorStart: number, page: number, lengthBytes: number): void => {
    const bio = kernel.allocateBio(1);
    bio.op = op;
    bio.device = recorder;
    bio.sectorStart = sectorStart;
    if (lengthBytes > 0) bio.pushVector(page, 0, lengthBytes);
    bio.onEnd = () => undefined;
    kernel.submitBio(bio);
  };
  return { memory, kernel, disk, recorder, send };
}

it('keeps the data that was submitted, whatever the buffer holds afterwards', () => {
  const { memory, kernel, recorder, disk, send } = setUp();
  memory.bytes.fill(7, PAGE_BYTES, PAGE_BYTES + 512);
  send('write', 8, 1, 512);
  kernel.drain();
  memory.bytes.fill(9, PAGE_BYTES, PAGE_BYTES + 512);
  expect(recorder.writes).toHaveLength(1);
  const [write] = recorder.writes;
  expect([write?.sectorStart, write?.lengthBytes, write?.status]).toEqual([8, 512, 0]);
  expect(write?.data.every((byte) => byte === 7)).toBe(true);
  expect(disk.bytes[8 * 512]).toBe(7);
});

it('puts a write into the epoch of the first flush that was asked for after it had ended', () => {
  const { kernel, recorder, send } = setUp();
  send('write', 0, 1, 512);
  kernel.drain();
  send('flush', 0, 0, 0);
  // In flight beside the flush: it is not covered by it.
  send('write', 8, 2, 512);
  kernel.drain();
  send('flush', 0, 0, 0);
  kernel.drain();
  send('write', 16, 3, 512);
  kernel.drain();
  expect(recorder.writes.map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
  expect(recorder.flushCount).toBe(2);
  expect(recorder.flushedAt).toEqual([2, 2]);
});

it('only counts what it has no room for, and reads leave no trace', () => {
  const { kernel, recorder, send } = setUp(1024, true);
  for (let index = 0; index < 4; index++) send('write', index * 8, 1, 512);
  send('read', 0, 2, 512);
  kernel.drain();
  expect([recorder.writes.length, recorder.droppedCount]).toEqual([2, 2]);
});

it('forgets a request that the disk below had no room for, and keeps it once when it is offered again', () => {
  const { memory, disk } = setUp();
  let isBusy = true;
  const submit = disk.submit.bind(disk);
  disk.submit = (request: DeviceRequest) => (isBusy ? 'busy' : submit(request));
  const recorder = new RecorderDevice(disk, memory);
  const statuses: number[] = [];
  const request = {
    id: 1,
    op: 'write',
    flags: 0,
    sectorStart: 0,
    sizeBytes: 0,
    bios: [],
    bioCount: 0,
    queuedAtNs: 0,
    onEnd: (_request: DeviceRequest, status: number) => statuses.push(status),
  } as DeviceRequest;
  expect(recorder.submit(request)).toBe('busy');
  expect([recorder.writes.length, recorder.inFlightCount]).toEqual([0, 0]);
  isBusy = false;
  expect(recorder.submit(request)).toBe('queued');
  expect(recorder.inFlightCount).toBe(1);
  recorder.wait(0 as never);
  expect([recorder.writes.length, recorder.inFlightCount, statuses]).toEqual([1, 0, [0]]);
});
