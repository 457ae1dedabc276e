// SPDX-License-Identifier: GPL-2.0-only
/** Reads any bytes of a device once, through pages of its own: for tables and superblocks, before there is a cache. */
import { alignDown, alignUp, ERRNO, PAGE_BYTES, SECTOR_BYTES, type Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { BioGroup } from './bio-group.ts';
import type { Kernel } from './contract.ts';

/** Pages that one round takes at most. */
const ROUND_PAGES = 64;

/**
 * A copy of `lengthBytes` bytes from `offsetBytes`, whatever their alignment; or minus an errno. A range that leaves the device is -EIO,
 * as behind its end; nothing is read then.
 */
export function* readDeviceBytes(
  kernel: Kernel,
  device: BlockDevice,
  offsetBytes: number,
  lengthBytes: number,
): Task<Uint8Array | number> {
  const unit = device.limits.logicalBlockBytes;
  const capacityBytes = alignDown(device.capacitySectors * SECTOR_BYTES, unit);
  const start = alignDown(offsetBytes, unit);
  const end = alignUp(offsetBytes + lengthBytes, unit);
  if (offsetBytes < 0 || lengthBytes < 0 || end > capacityBytes) return -ERRNO.EIO;
  const found = new Uint8Array(lengthBytes);
  const pages = Math.min(ROUND_PAGES, Math.ceil((end - start) / PAGE_BYTES));
  if (pages === 0) return found;
  const first = kernel.memory.allocatePages(pages);
  if (first < 0) return -ERRNO.ENOMEM;
  let error = 0;
  for (let at = start; at < end && error === 0; at += pages * PAGE_BYTES) {
    const count = Math.min(pages * PAGE_BYTES, end - at);
    const group = new BioGroup(kernel, device, 'read', 0, 'bytes of the device');
    for (let done = 0; done < count; done += PAGE_BYTES) {
      group.add(at + done, first + done / PAGE_BYTES, 0, Math.min(PAGE_BYTES, count - done));
    }
    error = yield* group.wait();
    const from = Math.max(at, offsetBytes);
    const to = Math.min(at + count, offsetBytes + lengthBytes);
    const base = first * PAGE_BYTES - at;
    found.set(kernel.memory.bytes.subarray(base + from, base + to), from - offsetBytes);
  }
  kernel.memory.freePages(first, pages);
  return error < 0 ? error : found;
}
