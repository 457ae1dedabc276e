// SPDX-License-Identifier: GPL-2.0-only
/**
 * The executor that does each operation inside `push`: pread64 and pwrite64, preadv2 and pwritev2 where there are vectors or RWF_
 * flags, fsync and fdatasync. One operation is at the host at a time whatever the depth; the slots only hold completions until
 * they are reaped. This is fio's psync.
 */
import { ERRNO, type SyscallTable } from '../../base/index.ts';
import {
  RAW_FLAG,
  RAW_KIND,
  type Executor,
  type ExecutorCapabilities,
  type ExecutorOptions,
  type RawSlots,
} from '../contract.ts';
import { storeU64, type SyscallNumbers } from '../linux.ts';
import type { ExecutorHost, ExecutorModule } from '../ports.ts';
import { SlotTable } from '../slot-table.ts';

class SyncExecutor implements Executor {
  readonly id = 'sync';
  readonly supports: ExecutorCapabilities;
  readonly depth: number;
  readonly slots: RawSlots;
  private readonly table: SlotTable;
  private readonly syscalls: SyscallTable;
  private readonly numbers: SyscallNumbers;
  private readonly dataAddress: number;
  private readonly iovecAddress: number;
  private readonly iovecWords: Int32Array;
  private readonly flagsAlways: number;

  constructor(host: ExecutorHost, options: ExecutorOptions) {
    this.table = new SlotTable(options.depth);
    this.depth = options.depth;
    this.slots = this.table.slots;
    this.syscalls = host.syscalls;
    this.numbers = host.numbers;
    this.dataAddress = host.data.baseAddress;
    const control = host.makeArena(1);
    this.iovecAddress = control.baseAddress;
    this.iovecWords = control.words;
    this.flagsAlways = options.polled ? RAW_FLAG.hipri : 0;
    this.supports = { polled: true, fixedBuffers: false, fsync: true, blocking: true };
  }

  get inFlightCount(): number {
    return this.table.takenCount;
  }
  takeSlot(): number {
    return this.table.take();
  }
  push(slot: number): void {
    this.table.ready(slot, this.perform(slot));
  }
  commit(): void {
    // Nothing waits: `push` has done it all.
  }
  reap(
    completionsMin: number,
    timeoutNs: number,
    onEnd: (slot: number, result: number) => void,
  ): number {
    // Whatever was pushed is done, so there is never anything to wait for.
    void completionsMin;
    void timeoutNs;
    return this.table.deliver(onEnd);
  }
  cancelAll(): void {
    // Nothing is ever in flight at the host.
  }
  close(): void {
    while (this.table.readyCount > 0) this.table.deliver(() => undefined);
  }

  private perform(slot: number): number {
    for (;;) {
      const result = this.call(slot);
      if (result !== -ERRNO.EINTR) return result;
    }
  }

  private call(slot: number): number {
    const { slots, numbers, syscalls } = this;
    const kind = slots.kind[slot] as number;
    const fd = slots.fd[slot] as number;
    if (kind === RAW_KIND.fsync) return syscalls.call(numbers.fsync, fd, 0, 0, 0, 0, 0);
    if (kind === RAW_KIND.fdatasync) return syscalls.call(numbers.fdatasync, fd, 0, 0, 0, 0, 0);
    const offset = slots.fileOffsetBytes[slot] as number;
    const address = this.dataAddress + (slots.bufferOffset[slot] as number);
    const length = slots.lengthBytes[slot] as number;
    const vectorCount = slots.vectorCount[slot] as number;
    const flags = (slots.flags[slot] as number) | this.flagsAlways;
    const isRead = kind === RAW_KIND.read;
    if (vectorCount === 0 && flags === 0) {
      const number = isRead ? numbers.pread64 : numbers.pwrite64;
      return syscalls.call(number, fd, address, length, offset, 0, 0);
    }
    const number = isRead ? numbers.preadv2 : numbers.pwritev2;
    // On a 64-bit kernel the low half of the position carries all of it, and the high half is shifted away.
    if (vectorCount > 0) return syscalls.call(number, fd, address, vectorCount, offset, 0, flags);
    storeU64(this.iovecWords, 0, address);
    storeU64(this.iovecWords, 2, length);
    return syscalls.call(number, fd, this.iovecAddress, 1, offset, 0, flags);
  }
}

export const syncExecutor: ExecutorModule = {
  id: 'sync',
  title: 'Synchronous',
  help: 'Each request is one pread or pwrite and blocks until it is done (psync in fio).',
  options: {},
  depthMax: 32_768,
  open: (host, options) => ({
    executor: new SyncExecutor(host, options),
    notes:
      options.depth > 1 ? [`sync has one operation at the host at a time, whatever the depth`] : [],
  }),
};
