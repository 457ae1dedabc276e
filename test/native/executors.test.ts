// SPDX-License-Identifier: GPL-2.0-only
/** Every executor of the list against a real file with O_DIRECT. What an executor cannot do is said by its `supports`. */
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  constants,
  readFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ERRNO, PAGE_BYTES, Sfc32, type Arena } from '../../engine/base/index.ts';
import { EXECUTORS, RAW_FLAG, RAW_KIND, type Executor } from '../../engine/executor/index.ts';
import { storeU64 } from '../../engine/executor/linux.ts';
import { nativePorts } from '../../main/host/native/index.ts';

const FILE_PAGES = 256;
const SECOND_NS = 1e9;

let folder: string;
let path: string;
let fd: number;
let arena: Arena;
const ports = nativePorts();
const opened: Executor[] = [];

/** Each page begins with its number, so that a page read from the wrong place shows. */
function patterned(): Uint8Array {
  const content = new Uint8Array(FILE_PAGES * PAGE_BYTES);
  const words = new Uint32Array(content.buffer);
  for (let word = 0; word < words.length; word++) words[word] = word >>> 0;
  return content;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-executors-'));
  path = join(folder, 'image');
  writeFileSync(path, patterned());
  fd = openSync(path, constants.O_RDWR | constants.O_DIRECT);
  arena = ports.makeArena(1024);
});
afterEach(() => {
  for (const executor of opened.splice(0)) executor.close();
});
afterAll(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

function open(id: Executor['id'], depth = 8, submitBatch = 1): Executor {
  const { executor, choice } = ports.executors!.open(
    id,
    { depth, submitBatch, polled: false },
    arena,
  );
  opened.push(executor);
  expect(choice.refusals).toEqual([]);
  expect(executor.id).toBe(id);
  return executor;
}

interface Operation {
  readonly kind: number;
  readonly offset?: number;
  readonly buffer?: number;
  readonly length?: number;
  readonly vectors?: number;
  readonly flags?: number;
  readonly fd?: number;
}
function push(executor: Executor, operation: Operation): number {
  const slot = executor.takeSlot();
  expect(slot).toBeGreaterThanOrEqual(0);
  const { slots } = executor;
  slots.kind[slot] = operation.kind;
  slots.fd[slot] = operation.fd ?? fd;
  slots.fileOffsetBytes[slot] = operation.offset ?? 0;
  slots.bufferOffset[slot] = operation.buffer ?? 0;
  slots.lengthBytes[slot] = operation.length ?? 0;
  slots.vectorCount[slot] = operation.vectors ?? 0;
  slots.flags[slot] = operation.flags ?? 0;
  executor.push(slot);
  return slot;
}
function runOne(executor: Executor, operation: Operation): number {
  const slot = push(executor, operation);
  executor.commit();
  const results: [number, number][] = [];
  executor.reap(1, 5 * SECOND_NS, (ended, result) => results.push([ended, result]));
  expect(results.map(([ended]) => ended)).toEqual([slot]);
  return results[0]![1];
}

describe.each(EXECUTORS.map(({ id }) => id))('executor %s', (id) => {
  it.each([1, 4])('reads random pages with the right content, submit batch %i', (submitBatch) => {
    const executor = open(id, 8, submitBatch);
    const random = new Sfc32(7);
    const pageOfSlot = new Map<number, number>();
    let reads = 0;
    const onEnd = (slot: number, result: number): void => {
      expect(result).toBe(PAGE_BYTES);
      const page = pageOfSlot.get(slot)!;
      const at = slot * 1024;
      expect(arena.words[at]).toBe(page * 1024);
      expect(arena.words[at + 1023]).toBe(page * 1024 + 1023);
      reads++;
    };
    for (let begun = 0; begun < 400; begun++) {
      if (executor.inFlightCount === executor.depth) {
        executor.commit();
        executor.reap(1, Infinity, onEnd);
      }
      const page = random.next32() % FILE_PAGES;
      const slot = executor.takeSlot();
      const { slots } = executor;
      arena.words.fill(-1, slot * 1024, slot * 1024 + 1024);
      slots.kind[slot] = RAW_KIND.read;
      slots.fd[slot] = fd;
      slots.fileOffsetBytes[slot] = page * PAGE_BYTES;
      slots.bufferOffset[slot] = slot * PAGE_BYTES;
      slots.lengthBytes[slot] = PAGE_BYTES;
      pageOfSlot.set(slot, page);
      executor.push(slot);
    }
    executor.commit();
    while (executor.inFlightCount > 0) executor.reap(executor.inFlightCount, Infinity, onEnd);
    expect(reads).toBe(400);
    expect(executor.takeSlot()).toBeGreaterThanOrEqual(0);
  });

  it('writes what reads back, with RWF_DSYNC, and syncs', () => {
    const executor = open(id);
    for (const [index, flags] of [0, RAW_FLAG.dsync].entries()) {
      const buffer = (16 + index) * PAGE_BYTES;
      const offset = (3 + index) * PAGE_BYTES;
      arena.bytes.fill(0xa0 + index, buffer, buffer + PAGE_BYTES);
      expect(
        runOne(executor, { kind: RAW_KIND.write, offset, buffer, length: PAGE_BYTES, flags }),
      ).toBe(PAGE_BYTES);
      arena.bytes.fill(0, buffer, buffer + PAGE_BYTES);
      expect(runOne(executor, { kind: RAW_KIND.read, offset, buffer, length: PAGE_BYTES })).toBe(
        PAGE_BYTES,
      );
      expect(
        arena.bytes.subarray(buffer, buffer + PAGE_BYTES).every((b) => b === 0xa0 + index),
      ).toBe(true);
    }
    expect(runOne(executor, { kind: RAW_KIND.fsync })).toBe(0);
    expect(runOne(executor, { kind: RAW_KIND.fdatasync })).toBe(0);
    expect(
      readFileSync(path)
        .subarray(3 * PAGE_BYTES, 4 * PAGE_BYTES)
        .every((b) => b === 0xa0),
    ).toBe(true);
    writeFileSync(path, patterned());
  });

  it('reads and writes through vectors', () => {
    const executor = open(id);
    const iovec = (index: number, page: number, lengthBytes: number): void => {
      storeU64(arena.words, index * 4, arena.baseAddress + page * PAGE_BYTES);
      storeU64(arena.words, index * 4 + 2, lengthBytes);
    };
    iovec(0, 20, PAGE_BYTES);
    iovec(1, 30, 2 * PAGE_BYTES);
    const length = 3 * PAGE_BYTES;
    const both = { offset: 5 * PAGE_BYTES, buffer: 0, vectors: 2, length };
    expect(runOne(executor, { kind: RAW_KIND.read, ...both })).toBe(length);
    expect(arena.words[20 * 1024]).toBe(5 * 1024);
    expect(arena.words[31 * 1024]).toBe(7 * 1024);
    arena.words[31 * 1024] = 0x1234;
    expect(runOne(executor, { kind: RAW_KIND.write, ...both })).toBe(length);
    const content = new Int32Array(new Uint8Array(readFileSync(path)).buffer);
    expect(content[7 * 1024]).toBe(0x1234);
    writeFileSync(path, patterned());
  });

  it('gives the errno of what the host refuses, and goes on', () => {
    const executor = open(id);
    const good = { kind: RAW_KIND.read, buffer: 0, length: PAGE_BYTES };
    expect(runOne(executor, { ...good, offset: 1 })).toBe(-ERRNO.EINVAL);
    expect(runOne(executor, { ...good, fd: 1 << 20 })).toBe(-ERRNO.EBADF);
    expect(runOne(executor, { ...good, buffer: -arena.baseAddress + PAGE_BYTES })).toBe(
      -ERRNO.EFAULT,
    );
    expect(runOne(executor, { ...good, offset: FILE_PAGES * PAGE_BYTES })).toBe(0);
    expect(runOne(executor, good)).toBe(PAGE_BYTES);
  });

  it('a bad operation in a batch does not hold up the others', () => {
    const executor = open(id, 4, 4);
    const read = { kind: RAW_KIND.read, length: PAGE_BYTES };
    const slots = [
      push(executor, { ...read, buffer: 0 }),
      push(executor, { ...read, buffer: PAGE_BYTES, fd: 1 << 20 }),
      push(executor, { ...read, buffer: 2 * PAGE_BYTES, offset: 512 + 1 }),
    ];
    executor.commit();
    const results = new Map<number, number>();
    while (results.size < 3) {
      executor.reap(1, 5 * SECOND_NS, (slot, result) => results.set(slot, result));
    }
    expect(slots.map((slot) => results.get(slot))).toEqual([
      PAGE_BYTES,
      -ERRNO.EBADF,
      -ERRNO.EINVAL,
    ]);
  });

  it('waits no longer than asked, and not at all where nothing is owed', () => {
    const executor = open(id);
    const ended = (): number => executor.reap(1, 2e6, () => expect.fail('nothing was pushed'));
    expect(ended()).toBe(0);
    expect(executor.reap(0, 0, () => undefined)).toBe(0);
    expect(executor.reap(1, Infinity, () => undefined)).toBe(0);
  });

  it('takes no more slots than its depth', () => {
    const executor = open(id, 3);
    const taken = [executor.takeSlot(), executor.takeSlot(), executor.takeSlot()];
    expect(new Set(taken).size).toBe(3);
    expect(executor.takeSlot()).toBe(-1);
    for (const slot of taken) {
      executor.slots.kind[slot] = RAW_KIND.fsync;
      executor.slots.fd[slot] = fd;
      executor.push(slot);
    }
    executor.commit();
    let ends = 0;
    while (ends < 3) executor.reap(3 - ends, Infinity, () => ends++);
    expect(executor.inFlightCount).toBe(0);
  });

  it('onEnd may take, push and commit', () => {
    const executor = open(id, 2);
    let left = 50;
    const again = (slot: number, result: number): void => {
      void slot;
      expect(result).toBe(PAGE_BYTES);
      if (left-- > 0) push(executor, { kind: RAW_KIND.read, length: PAGE_BYTES });
    };
    push(executor, { kind: RAW_KIND.read, length: PAGE_BYTES });
    let ends = 0;
    while (executor.inFlightCount > 0) ends += executor.reap(1, Infinity, again);
    expect(ends).toBe(51);
  });

  it('cancels and closes with operations in flight', () => {
    const executor = open(id, 8, 8);
    for (let index = 0; index < 8; index++) {
      push(executor, {
        kind: RAW_KIND.read,
        buffer: index * 64 * PAGE_BYTES,
        length: 64 * PAGE_BYTES,
      });
    }
    executor.cancelAll();
    const results: number[] = [];
    executor.reap(1, 5 * SECOND_NS, (_slot, result) => results.push(result));
    executor.close();
    for (const result of results) expect([64 * PAGE_BYTES, -ERRNO.ECANCELED]).toContain(result);
    executor.close();
  });
});

describe('what the host limits', () => {
  it('libaio takes what fs.aio-max-nr leaves, and says so', () => {
    const max = Number(readFileSync('/proc/sys/fs/aio-max-nr', 'utf8'));
    const used = Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
    const depth = Math.min(65_536, max + 1000);
    const { executor, choice } = ports.executors!.open(
      'libaio',
      { depth, submitBatch: 1, polled: false },
      arena,
    );
    opened.push(executor);
    expect(choice.depthAsked).toBe(depth);
    expect(choice.depthGot).toBe(executor.depth);
    expect(executor.depth).toBeLessThanOrEqual(max - used);
    if (executor.depth < depth) expect(choice.notes!.join()).toContain('aio-max-nr');
  });

  it('io_uring and threads say what they cannot have', () => {
    for (const [id, depth, got] of [
      ['threads', 1000, 64],
      ['io_uring', 40_000, 32_768],
    ] as const) {
      const { executor, choice } = ports.executors!.open(
        id,
        { depth, submitBatch: 1, polled: false },
        arena,
      );
      opened.push(executor);
      expect(choice).toMatchObject({ asked: id, got: id, depthAsked: depth, depthGot: got });
      expect(choice.notes!.join()).toContain(String(depth));
    }
  });
});
