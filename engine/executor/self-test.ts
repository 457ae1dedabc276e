// SPDX-License-Identifier: GPL-2.0-only
/**
 * A known I/O through an executor before anything else goes through it: a write, a vectored read back and an fsync on an anonymous
 * memory file. It shows that the struct layouts, the numbers and the byte order are the host's.
 */
import { errnoName, PAGE_BYTES } from '../base/index.ts';
import { RAW_KIND, type Executor } from './contract.ts';
import { storeU64 } from './linux.ts';
import type { ExecutorHost } from './ports.ts';

const MFD_CLOEXEC = 1;
const SECOND_NS = 1e9;
const LOOKS_MAX = 100;
/** Beyond 2^32, so that the high half of the offset counts too. */
const FILE_OFFSET_BYTES = 2 ** 32 + PAGE_BYTES;
/** Bytes of the page that the first of the two vectors takes; odd, so that a mixed up length shows. */
const FIRST_VECTOR_BYTES = 1537;

/** Null where all is well, else one sentence on what is not. Leaves nothing open. */
export function selfTest(host: ExecutorHost, executor: Executor): string | null {
  const { syscalls, numbers } = host;
  // Page 0: name and iovecs. Page 1: what is written. Page 2: where it is read to.
  const arena = host.selfTest?.arena ?? host.makeArena(3);
  const fileOffsetBytes = host.selfTest?.fileOffsetBytes ?? FILE_OFFSET_BYTES;
  arena.bytes.set([0x74, 0x65, 0x73, 0x74, 0], 0);
  const fd = syscalls.call(numbers.memfd_create, arena.baseAddress, MFD_CLOEXEC, 0, 0, 0, 0);
  if (fd < 0) return `the self-test got no memory file (${errnoName(fd) ?? String(fd)})`;
  try {
    // Buffers are named by their distance from the data arena, and this one lies elsewhere.
    const shift = arena.baseAddress - host.data.baseAddress;
    const source = arena.bytes.subarray(PAGE_BYTES, 2 * PAGE_BYTES);
    for (let index = 0; index < PAGE_BYTES; index++) source[index] = (index * 31 + 7) & 0xff;
    const { words, baseAddress } = arena;
    storeU64(words, 16, baseAddress + 2 * PAGE_BYTES);
    storeU64(words, 18, FIRST_VECTOR_BYTES);
    storeU64(words, 20, baseAddress + 2 * PAGE_BYTES + FIRST_VECTOR_BYTES);
    storeU64(words, 22, PAGE_BYTES - FIRST_VECTOR_BYTES);
    const steps: readonly (readonly [number, number, number, number])[] = [
      [RAW_KIND.write, shift + PAGE_BYTES, 0, PAGE_BYTES],
      [RAW_KIND.read, shift + 64, 2, PAGE_BYTES],
      ...(executor.supports.fsync ? [[RAW_KIND.fsync, 0, 0, 0] as const] : []),
    ];
    for (const [kind, bufferOffset, vectorCount, expected] of steps) {
      const result = runOne(executor, fd, fileOffsetBytes, kind, bufferOffset, vectorCount);
      if (result !== expected) {
        const got = result === null ? 'nothing within 1 s' : (errnoName(result) ?? String(result));
        return `the self-test expected ${String(expected)} and got ${got} (operation ${String(kind)})`;
      }
    }
    const target = arena.bytes.subarray(2 * PAGE_BYTES, 3 * PAGE_BYTES);
    const wrong = target.findIndex((value, index) => value !== source[index]);
    return wrong < 0 ? null : `the self-test read back a wrong byte at ${String(wrong)}`;
  } finally {
    syscalls.call(numbers.close, fd, 0, 0, 0, 0, 0);
  }
}

/** Bytes or minus an errno; null where nothing came, or something that was not asked. */
function runOne(
  executor: Executor,
  fd: number,
  fileOffsetBytes: number,
  kind: number,
  bufferOffset: number,
  vectorCount: number,
): number | null {
  const slot = executor.takeSlot();
  const { slots } = executor;
  slots.kind[slot] = kind;
  slots.fd[slot] = fd;
  slots.fileOffsetBytes[slot] = fileOffsetBytes;
  slots.bufferOffset[slot] = bufferOffset;
  slots.lengthBytes[slot] = PAGE_BYTES;
  slots.vectorCount[slot] = vectorCount;
  executor.push(slot);
  executor.commit();
  let result: number | null = null;
  // A signal (a profiler's, say) ends a wait early, so one empty look proves nothing.
  for (let look = 0; look < LOOKS_MAX && result === null; look++) {
    executor.reap(1, SECOND_NS / LOOKS_MAX, (ended, value) => {
      if (ended === slot) result = value;
    });
  }
  return result;
}
