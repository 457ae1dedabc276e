// SPDX-License-Identifier: GPL-2.0-only
/** The executors over a scripted kernel: what they ask of it by number, what they make of its refusals, and who falls back to whom. */
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ERRNO, PAGE_BYTES, type Arena } from '../base/index.ts';
import { plainArena } from '../memory/index.ts';
import {
  EXECUTORS,
  openExecutor,
  RAW_KIND,
  syscallNumbers,
  type Executor,
  type ExecutorHost,
  type ExecutorId,
  type ExecutorOptions,
} from './index.ts';
import { storeTimespec, storeU64, type SyscallNumbers } from './linux.ts';
import { slotColumns, SLOT_COLUMN_BYTES, SlotTable } from './slot-table.ts';
import { ioThreadLoop } from './threads/loop.ts';

const NUMBERS = syscallNumbers('x64') as SyscallNumbers;
const NAME_OF = new Map(Object.entries(NUMBERS).map(([name, number]) => [number as number, name]));
const RING_FD = 500;
const MEMFD = 600;
const CONTEXT = 0x7f00_1234_5000;

type Hook = (args: readonly number[]) => number | undefined;

/** A kernel of a few system calls over plain memory: files are byte arrays, everything completes at once. */
class ScriptedKernel {
  readonly calls: string[] = [];
  /** By name; undefined: go on as usual. */
  readonly hooks: Partial<Record<keyof SyscallNumbers, Hook>> = {};
  readonly file = new Map<number, number>();
  readonly open = new Set<number>();
  private readonly arenas: Arena[] = [];
  private nextAddress = 0x7f00_0000_0000;
  private ring: { params: number; sq: number; cq: number; entries: number } | null = null;
  private readonly events: { data: number; result: number }[] = [];

  makeArena = (pageCount: number): Arena => {
    const arena = { ...plainArena(pageCount), baseAddress: this.nextAddress };
    this.nextAddress += (pageCount + 16) * PAGE_BYTES;
    this.arenas.push(arena);
    return arena;
  };
  host(): ExecutorHost {
    return {
      syscalls: { call: (number, ...args) => this.call(number, args) },
      numbers: NUMBERS,
      data: this.makeArena(16),
      makeArena: this.makeArena,
      threads: null,
    };
  }

  private call(number: number, args: readonly number[]): number {
    const name = NAME_OF.get(number) as keyof SyscallNumbers;
    this.calls.push(name);
    return this.hooks[name]?.(args) ?? this.perform(name, args);
  }

  private perform(name: keyof SyscallNumbers, args: readonly number[]): number {
    const [a, b, c, d] = args as [number, number, number, number];
    switch (name) {
      case 'memfd_create':
        this.open.add(MEMFD);
        return MEMFD;
      case 'close':
        return this.open.delete(a) ? 0 : -ERRNO.EBADF;
      case 'pread64':
        return this.transfer(false, [[b, c]], d);
      case 'pwrite64':
        return this.transfer(true, [[b, c]], d);
      case 'preadv2':
      case 'pwritev2':
        return this.transfer(name === 'pwritev2', this.vectors(b, c), d);
      case 'fsync':
      case 'fdatasync':
        return 0;
      case 'io_setup':
        this.words(b, (words, at) => {
          storeU64(words, at, CONTEXT);
        });
        return 0;
      case 'io_destroy':
      case 'io_cancel':
        return name === 'io_destroy' ? 0 : -ERRNO.EINVAL;
      case 'io_submit':
        return this.submitAio(a, b, c);
      case 'io_getevents':
        return this.getEvents(d);
      case 'io_uring_setup':
        return this.setupRing(a, b);
      case 'io_uring_enter':
        return this.enterRing(b);
      default:
        return -ERRNO.ENOSYS;
    }
  }

  private at(address: number): { readonly arena: Arena; readonly offset: number } {
    for (const arena of this.arenas) {
      const offset = address - arena.baseAddress;
      if (offset >= 0 && offset < arena.bytes.length) return { arena, offset };
    }
    throw new Error(`no memory at ${address.toString(16)}`);
  }
  private words<T>(address: number, use: (words: Int32Array, at: number) => T): T {
    const { arena, offset } = this.at(address);
    return use(arena.words, offset / 4);
  }
  private u64(address: number): number {
    return this.words(address, (words, at) => {
      const high = (words[at + 1] as number) >>> 0;
      return high * 2 ** 32 + ((words[at] as number) >>> 0);
    });
  }
  private u32(address: number): number {
    return this.words(address, (words, at) => words[at] as number);
  }
  private vectors(address: number, count: number): [number, number][] {
    return Array.from({ length: count }, (_, index) => [
      this.u64(address + index * 16),
      this.u64(address + index * 16 + 8),
    ]);
  }
  private transfer(
    isWrite: boolean,
    pieces: readonly (readonly number[])[],
    start: number,
  ): number {
    let position = start;
    for (const [address, length] of pieces as [number, number][]) {
      const { arena, offset } = this.at(address);
      for (let index = 0; index < length; index++, position++) {
        if (isWrite) this.file.set(position, arena.bytes[offset + index] as number);
        else arena.bytes[offset + index] = this.file.get(position) ?? 0;
      }
    }
    return position - start;
  }

  private submitAio(context: number, count: number, pointers: number): number {
    if (context !== CONTEXT) return -ERRNO.EINVAL;
    for (let index = 0; index < count; index++) {
      const iocb = this.u64(pointers + index * 8);
      const opcode = this.u32(iocb + 16);
      if (this.u32(iocb + 20) < 0) return index > 0 ? index : -ERRNO.EBADF;
      const [buffer, length] = [this.u64(iocb + 24), this.u64(iocb + 32)];
      const offset = this.u64(iocb + 40);
      const isWrite = opcode === 1 || opcode === 8;
      const pieces = opcode >= 7 ? this.vectors(buffer, length) : [[buffer, length]];
      const isSync = opcode === 2 || opcode === 3;
      const result = isSync ? 0 : this.transfer(isWrite, pieces, offset);
      this.events.push({ data: this.u64(iocb), result });
    }
    return count;
  }
  private getEvents(address: number): number {
    const count = this.events.length;
    this.events.splice(0).forEach(({ data, result }, index) => {
      this.words(address + index * 32, (words, at) => {
        storeU64(words, at, data);
        storeU64(words, at + 4, result);
      });
    });
    return count;
  }

  private setupRing(entries: number, params: number): number {
    const [sq, cq] = [this.u64(params + 72), this.u64(params + 112)];
    this.ring = { params, sq, cq, entries };
    this.words(params, (words, at) => {
      words[at + 5] = 1 << 8;
      // head, tail and mask of both rings in the header, CQEs behind it.
      words.set([0, 4, 16], at + 10);
      words.set([8, 12, 20, 0, 24, 64], at + 20);
    });
    this.words(cq, (words, at) => {
      words[at + 4] = entries - 1;
      words[at + 5] = entries * 2 - 1;
    });
    this.open.add(RING_FD);
    return RING_FD;
  }
  private enterRing(toSubmit: number): number {
    const { sq, cq, entries } = this.ring as NonNullable<ScriptedKernel['ring']>;
    return this.words(cq, (rings, at) => {
      for (let taken = 0; taken < toSubmit; taken++) {
        const head = rings[at] as number;
        if (head === rings[at + 1]) return taken;
        const sqe = sq + (head & (entries - 1)) * 64;
        rings[at] = (head + 1) | 0;
        const tail = rings[at + 3] as number;
        const cqe = at + 16 + (tail & (entries * 2 - 1)) * 4;
        rings[cqe] = this.u32(sqe + 32);
        rings[cqe + 2] = this.performSqe(sqe);
        rings[at + 3] = (tail + 1) | 0;
      }
      return toSubmit;
    });
  }
  private performSqe(sqe: number): number {
    const opcode = this.u32(sqe) & 0xff;
    if (opcode === 3 || opcode === 14) return 0;
    const [address, length] = [this.u64(sqe + 16), this.u32(sqe + 24)];
    const pieces = opcode <= 2 ? this.vectors(address, length) : [[address, length]];
    return this.transfer(opcode === 2 || opcode === 23, pieces, this.u64(sqe + 8));
  }
}

const OPTIONS: ExecutorOptions = { depth: 4, submitBatch: 1, polled: false };
const KERNEL_EXECUTORS: readonly ExecutorId[] = ['io_uring', 'libaio', 'sync'];

function fillSlot(executor: Executor, kind: number, bufferOffset: number, offset: number): number {
  const slot = executor.takeSlot();
  const { slots } = executor;
  slots.kind[slot] = kind;
  slots.fd[slot] = 7;
  slots.fileOffsetBytes[slot] = offset;
  slots.bufferOffset[slot] = bufferOffset;
  slots.lengthBytes[slot] = PAGE_BYTES;
  return slot;
}

describe.each(KERNEL_EXECUTORS)('%s over a scripted kernel', (id) => {
  it('passes the known I/O, moves data, and leaves nothing open', () => {
    const kernel = new ScriptedKernel();
    const host = kernel.host();
    const { executor, choice } = openExecutor(id, OPTIONS, host);
    expect(choice).toMatchObject({ asked: id, got: id, refusals: [], depthAsked: 4, depthGot: 4 });
    const far = 3 * 2 ** 32 + 512;
    host.data.bytes.fill(0x5a, 0, PAGE_BYTES);
    const results: number[] = [];
    executor.push(fillSlot(executor, RAW_KIND.write, 0, far));
    executor.push(fillSlot(executor, RAW_KIND.read, 2 * PAGE_BYTES, far));
    executor.push(fillSlot(executor, RAW_KIND.fdatasync, 0, 0));
    while (results.length < 3) executor.reap(1, 0, (_slot, result) => results.push(result));
    expect(results).toEqual([PAGE_BYTES, PAGE_BYTES, 0]);
    expect(kernel.file.get(far)).toBe(0x5a);
    expect(host.data.bytes[3 * PAGE_BYTES - 1]).toBe(0x5a);
    executor.close();
    expect(kernel.open.size).toBe(0);
  });

  it('hands over a batch in one call where it makes calls to submit', () => {
    const kernel = new ScriptedKernel();
    const { executor } = openExecutor(id, { ...OPTIONS, submitBatch: 3 }, kernel.host());
    kernel.calls.length = 0;
    for (let index = 0; index < 3; index++) {
      executor.push(fillSlot(executor, RAW_KIND.read, 0, 0));
    }
    if (id !== 'sync') expect(kernel.calls).toHaveLength(1);
    let ends = 0;
    while (ends < 3) executor.reap(3, 0, () => ends++);
    executor.close();
  });

  it('is refused where a known I/O comes back wrong, and the next one is taken', () => {
    const kernel = new ScriptedKernel();
    kernel.hooks.memfd_create = () => {
      // Everything at this place of the file reads as zero: what was written does not come back.
      kernel.file.set = () => kernel.file;
      return undefined;
    };
    expect(() => openExecutor(id, OPTIONS, kernel.host())).toThrow(/self-test read back a wrong/);
  });
});

describe('falling back', () => {
  const refusing = (errnos: Partial<Record<'io_uring_setup' | 'io_setup', number>>) => {
    const kernel = new ScriptedKernel();
    for (const [name, errno] of Object.entries(errnos)) {
      kernel.hooks[name as 'io_setup'] = () => -errno;
    }
    const { executor, choice } = openExecutor('io_uring', OPTIONS, kernel.host());
    executor.close();
    return choice;
  };

  it.each([
    [ERRNO.EPERM, 'io_uring_disabled'],
    [ERRNO.ENOSYS, 'no io_uring'],
    [ERRNO.EINVAL, 'Linux 6.6'],
    [ERRNO.ENOMEM, 'memlock'],
    [ERRNO.EMFILE, 'EMFILE'],
  ])('io_uring refused with %i goes to libaio, and says %s', (errno, words) => {
    const choice = refusing({ io_uring_setup: errno });
    expect(choice.got).toBe('libaio');
    expect(choice.refusals).toHaveLength(1);
    expect(choice.refusals[0]?.why).toContain(words);
  });

  it('goes on to what is left, with a reason for each', () => {
    const choice = refusing({ io_uring_setup: ERRNO.ENOSYS, io_setup: ERRNO.ENOSYS });
    expect(choice.got).toBe('sync');
    expect(choice.refusals.map(({ id }) => id)).toEqual(['io_uring', 'libaio', 'threads']);
  });

  it('never goes the other way: sync stays sync', () => {
    const kernel = new ScriptedKernel();
    const { executor, choice } = openExecutor('sync', OPTIONS, kernel.host());
    expect(choice.got).toBe('sync');
    expect(kernel.calls).not.toContain('io_uring_setup');
    executor.close();
  });

  it('an older kernel gives a ring of one page, and the depth says so', () => {
    const kernel = new ScriptedKernel();
    kernel.hooks.io_uring_setup = ([entries]) =>
      (entries as number) > 64 ? -ERRNO.EINVAL : undefined;
    const { executor, choice } = openExecutor(
      'io_uring',
      { ...OPTIONS, depth: 256 },
      kernel.host(),
    );
    expect(choice).toMatchObject({ got: 'io_uring', depthAsked: 256, depthGot: 64 });
    expect(choice.notes?.join()).toContain('64 entries');
    executor.close();
  });

  it('libaio halves its depth until the host has room', () => {
    const kernel = new ScriptedKernel();
    kernel.hooks.io_setup = ([requests]) => ((requests as number) > 10 ? -ERRNO.EAGAIN : undefined);
    const { executor, choice } = openExecutor('libaio', { ...OPTIONS, depth: 64 }, kernel.host());
    expect(choice).toMatchObject({ got: 'libaio', depthGot: 8 });
    expect(choice.notes?.join()).toContain('aio-max-nr');
    executor.close();
  });

  it.each([0, -1, 1.5, NaN])('a depth or a batch of %d is refused', (value) => {
    const host = new ScriptedKernel().host();
    for (const name of ['depth', 'submitBatch']) {
      expect(() => openExecutor('sync', { ...OPTIONS, [name]: value }, host)).toThrow(
        expect.objectContaining({ code: 'executor.bad-options', exitCode: 65 }),
      );
    }
  });
});

describe('libaio and a batch that the host takes in part', () => {
  it('ends the refused one with its errno and hands over the rest', () => {
    const kernel = new ScriptedKernel();
    const { executor } = openExecutor('libaio', { ...OPTIONS, submitBatch: 4 }, kernel.host());
    const slots = [0, 1, 2].map((page) => fillSlot(executor, RAW_KIND.read, page * PAGE_BYTES, 0));
    executor.slots.fd[slots[1] as number] = -1;
    for (const slot of slots) executor.push(slot);
    const results = new Map<number, number>();
    while (results.size < 3) executor.reap(1, 0, (slot, result) => results.set(slot, result));
    expect(slots.map((slot) => results.get(slot))).toEqual([PAGE_BYTES, -ERRNO.EBADF, PAGE_BYTES]);
    executor.close();
  });

  it('keeps what the host has no room for, and cancels it on the way out', () => {
    const kernel = new ScriptedKernel();
    const { executor } = openExecutor('libaio', OPTIONS, kernel.host());
    kernel.hooks.io_submit = () => -ERRNO.EAGAIN;
    executor.push(fillSlot(executor, RAW_KIND.read, 0, 0));
    const results: number[] = [];
    expect(executor.reap(1, 0, (_slot, result) => results.push(result))).toBe(0);
    executor.cancelAll();
    expect(executor.reap(1, 0, (_slot, result) => results.push(result))).toBe(1);
    expect(results).toEqual([-ERRNO.ECANCELED]);
    expect(executor.inFlightCount).toBe(0);
    executor.close();
  });
});

describe('what an I/O thread runs', () => {
  it('uses nothing outside itself, so that its text can be sent', () => {
    const alone = runInThisContext(`(${ioThreadLoop.toString()})`) as typeof ioThreadLoop;
    const words = new Int32Array(new SharedArrayBuffer(4096));
    words[4] = 1;
    const layout = {
      numbers: NUMBERS, dataAddress: 0, depth: 4, ringMask: 3, workWord: 16, doneWord: 20,
      resultsWord: 24, columnsBytes: 112, iovecsBytes: 256, controlAddress: 0, flagsAlways: 0,
    }; // prettier-ignore
    // STOP is set: it sets itself up and returns at once.
    alone(words.buffer, layout, 0, () => expect.fail('nothing was pushed'));
    expect(words[2]).toBe(0);
  });

  it('lays the columns where the slot table does', () => {
    const columns = slotColumns(new ArrayBuffer(4 * SLOT_COLUMN_BYTES), 0, 4);
    const offsets = [0, 32, 64, 80, 96, 104, 108];
    const { fileOffsetBytes, bufferOffset, fd, lengthBytes, vectorCount, kind, flags } = columns;
    const arrays = [fileOffsetBytes, bufferOffset, fd, lengthBytes, vectorCount, kind, flags];
    expect(arrays.map(({ byteOffset }) => byteOffset)).toEqual(offsets);
  });
});

describe('the slot table', () => {
  it('frees a slot after the caller has seen it, and never twice', () => {
    const table = new SlotTable(2);
    const first = table.take();
    const second = table.take();
    expect(table.take()).toBe(-1);
    table.ready(second, 5);
    table.ready(first, 6);
    const seen: number[][] = [];
    expect(
      table.deliver((slot, result) => {
        expect(table.takenCount).toBe(2 - seen.length);
        seen.push([slot, result]);
      }),
    ).toBe(2);
    expect(seen).toEqual([
      [second, 5],
      [first, 6],
    ]);
    expect(table.takenCount).toBe(0);
    expect(new Set([table.take(), table.take()]).size).toBe(2);
  });

  it('clears flags and vectors of a slot that is taken again', () => {
    const table = new SlotTable(1);
    const slot = table.take();
    table.slots.flags[slot] = 3;
    table.slots.vectorCount[slot] = 9;
    table.finish(slot, 0, () => undefined);
    expect(table.take()).toBe(slot);
    expect([table.slots.flags[slot], table.slots.vectorCount[slot]]).toEqual([0, 0]);
  });
});

describe('numbers', () => {
  it('splits 64 bits into halves, little end first', () => {
    const words = new Int32Array(4);
    storeU64(words, 0, 0x7f12_89ab_cdef);
    expect([...new Uint8Array(words.buffer, 0, 8)]).toEqual([
      0xef, 0xcd, 0xab, 0x89, 0x12, 0x7f, 0, 0,
    ]);
    storeTimespec(words, 0, 3_000_000_007);
    expect([...words]).toEqual([3, 0, 7, 0]);
  });

  it('has both machines, each call with a number of its own, and no other', () => {
    for (const architecture of ['x64', 'arm64']) {
      const numbers = Object.values(syscallNumbers(architecture) as SyscallNumbers);
      expect(new Set(numbers).size).toBe(numbers.length);
    }
    expect(syscallNumbers('riscv64')).toBeNull();
  });

  it('lists each executor once, in the order of falling back', () => {
    expect(EXECUTORS.map(({ id }) => id)).toEqual(['io_uring', 'libaio', 'threads', 'sync']);
  });
});
