// SPDX-License-Identifier: GPL-2.0-only
/** Which requests a rule hits, what they end with, and what of them is moved. */
import { expect, it } from 'vitest';
import { ERRNO, resolveOptions, Scheduler, VirtualClock } from '../../base/index.ts';
import type { BioOp } from '../../block/index.ts';
import { RunKernel } from '../../lab/kernel.ts';
import { Memory, plainArena } from '../../memory/index.ts';
import { ArrayDisk } from '../../../test/support/file-system-lab.ts';
import { FaultyDevice, faultyDevice } from './index.ts';

function setUp(rule: Readonly<Record<string, unknown>>) {
  const memory = new Memory(plainArena(64), true);
  const kernel = new RunKernel({
    clock: new VirtualClock(),
    scheduler: new Scheduler(),
    memory,
    trace: null,
  });
  const disk = new ArrayDisk(memory, new Uint8Array(1 << 20), false);
  const device = new FaultyDevice(disk, resolveOptions(faultyDevice.options, rule, 'test'));
  /** Sends one request and says how it ended. */
  const send = (op: BioOp, sectorStart: number, lengthBytes = 1024): number => {
    const bio = kernel.allocateBio(1);
    bio.op = op;
    bio.device = device;
    bio.sectorStart = sectorStart;
    if (op !== 'flush') bio.pushVector(1, 0, lengthBytes);
    let status = NaN;
    bio.onEnd = () => (status = bio.status);
    kernel.submitBio(bio);
    kernel.drain();
    return status;
  };
  return { memory, disk, device, send };
}

it('fails every so-many-th request of its direction, and only those', () => {
  const { device, send } = setUp({ fault: 'enospc', direction: 'write', every: 3, after: 1 });
  const found = [];
  for (let index = 0; index < 8; index++) {
    expect(send('read', index * 8)).toBe(0);
    expect(send('flush', 0)).toBe(0);
    found.push(send('write', index * 8));
  }
  const no = -ERRNO.ENOSPC;
  expect(found).toEqual([0, 0, 0, no, 0, 0, no, 0]);
  expect([device.faultCount, device.seenCount]).toEqual([2, 8]);
  expect(device.firstFault).toMatchObject({ op: 'write', status: no, offsetBytes: 24 * 512 });
});

it('fails a range of sectors, as often as it may', () => {
  const rule = { fault: 'timeout', every: 1, firstSector: 10, sectorCount: 2, countMax: 2 };
  const { send } = setUp(rule);
  const late = -ERRNO.ETIMEDOUT;
  expect([send('read', 8), send('read', 9), send('write', 11), send('read', 12)]).toEqual([
    0,
    late,
    late,
    0,
  ]);
  expect(send('read', 10)).toBe(0);
});

it('moves half of a short transfer, whole blocks of it, and ends it with EIO', () => {
  const { memory, disk, device, send } = setUp({ fault: 'short', every: 1 });
  memory.bytes.fill(7, 4096, 8192);
  expect(send('write', 0, 1536)).toBe(-ERRNO.EIO);
  expect([disk.bytes[511], disk.bytes[512]]).toEqual([7, 0]);
  expect(device.firstFault).toMatchObject({ offsetBytes: 512, lengthBytes: 1024 });
  expect(send('write', 0, 512)).toBe(-ERRNO.EIO);
});

it('draws from its seed: the same one gives the same faults', () => {
  const faults = (seed: number): string => {
    const { send } = setUp({ fault: 'efault', every: 1, chancePercent: 30, seed });
    let text = '';
    for (let index = 0; index < 60; index++) text += send('read', 0) === 0 ? '.' : 'F';
    return text;
  };
  const first = faults(1);
  expect(faults(1)).toBe(first);
  expect(faults(2)).not.toBe(first);
  expect(first.split('F').length - 1).toBeGreaterThan(5);
  expect(first.split('F').length - 1).toBeLessThan(35);
});

it('does nothing without a rule, and hits a request once that was busy below', () => {
  expect(setUp({}).send('write', 0)).toBe(0);
  const { disk, device, send } = setUp({ every: 2 });
  const submit = disk.submit.bind(disk);
  let isFirst = true;
  disk.submit = (request) => {
    if (request.sectorStart === 8 && isFirst) {
      isFirst = false;
      return 'busy';
    }
    return submit(request);
  };
  expect(send('write', 0)).toBe(0);
  expect(send('write', 16)).toBe(-ERRNO.EIO);
  expect([device.seenCount, device.faultCount]).toEqual([2, 1]);
});
