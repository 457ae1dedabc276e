// SPDX-License-Identifier: GPL-2.0-only
/**
 * Memory that the engine, its I/O threads and the host's kernel all see: a shared WebAssembly.Memory. V8 maps it page aligned and
 * never moves it, so its address can be given to the kernel; an ordinary Buffer is rarely aligned.
 *
 * Where the host has transparent huge pages, the arena asks for them. A disk takes so many separate pieces of memory in a request
 * (254 on virtio), and a large buffer in 4 KiB pages is more pieces than that; in huge pages it is one or two. 1 MiB reads on a virtio
 * disk became 1.5 to 2.8 times as many a second.
 *
 * Rules: 1. It never grows. 2. It stays mapped as long as anybody holds the Arena; executors hold theirs until they have reaped all.
 */
import koffi from 'koffi';
import {
  alignDown,
  alignUp,
  HostError,
  MIB,
  PAGE_BYTES,
  type Arena,
} from '../../../engine/base/index.ts';
import { nativeSyscalls } from './syscalls.ts';

/** As much of WebAssembly as we use: its types come with the browser's, which main/ does not have. */
declare const WebAssembly: {
  readonly Memory: new (limits: {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

const WASM_PAGE_BYTES = 65_536;
const WASM_PAGES_MAX = 65_536;

const HUGE_PAGE_BYTES = 2 * MIB;
/** MADV_HUGEPAGE of madvise(2). */
const ADVISE_HUGE_PAGE = 14;
/** MADV_DONTNEED: private memory is given back to the host, and reads as zeros afterwards. */
const ADVISE_DONT_NEED = 4;

/** Only advice: a host that has no huge pages, or none free, goes on with small ones, and nothing else changes. */
function adviseHugePages(baseAddress: number, sizeBytes: number): void {
  const host = nativeSyscalls();
  const start = alignUp(baseAddress, HUGE_PAGE_BYTES);
  const lengthBytes = alignDown(baseAddress + sizeBytes, HUGE_PAGE_BYTES) - start;
  if (host === null || lengthBytes <= 0) return;
  host.table.call(host.numbers.madvise, start, lengthBytes, ADVISE_HUGE_PAGE, 0, 0, 0);
}

/** A cleared arena of `pageCount` pages of 4096 bytes. Throws `HostError` where the host has not the memory. */
export function makeNativeArena(pageCount: number): Arena {
  const sizeBytes = pageCount * PAGE_BYTES;
  const wasmPages = Math.ceil(sizeBytes / WASM_PAGE_BYTES);
  const refuse = (why: string): HostError =>
    new HostError({
      code: 'arena.no-memory',
      message: `cannot get ${String(sizeBytes)} bytes of shared memory: ${why}`,
      where: 'memory',
      hint: 'Lower the depth, the number of jobs or the block size.',
      exitCode: 78,
    });
  if (!(wasmPages >= 1 && wasmPages <= WASM_PAGES_MAX)) {
    throw refuse('an arena has 1 byte to 4 GiB');
  }
  let buffer: SharedArrayBuffer;
  try {
    buffer = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true })
      .buffer;
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  const bytes = new Uint8Array(buffer, 0, sizeBytes);
  const baseAddress = Number(koffi.address(bytes));
  if (baseAddress % PAGE_BYTES !== 0) throw refuse('it is not page aligned');
  adviseHugePages(baseAddress, sizeBytes);
  return { baseAddress, bytes, words: new Int32Array(buffer, 0, sizeBytes / 4) };
}

/**
 * The arena of the question before, for the next one: a tools process that answers many has the memory of one, not what the garbage
 * collector has not come to yet. At most one is kept, the larger.
 */
export class KeptArena {
  private free: Arena | null = null;

  /** A cleared arena of exactly that many pages, or null. */
  take(pageCount: number): Arena | null {
    const { free } = this;
    if (free === null || free.bytes.length !== pageCount * PAGE_BYTES) return null;
    this.free = null;
    return free;
  }

  /** Nobody, the host's kernel neither, reads or writes it any more. */
  put(arena: Arena): void {
    if (this.free !== null && this.free.bytes.length > arena.bytes.length) return;
    clear(arena);
    this.free = arena;
  }
}

/** By the host where it does that, which also gives the memory back; else byte by byte. */
function clear(arena: Arena): void {
  const { baseAddress, bytes } = arena;
  const host = nativeSyscalls();
  // A mark at both ends: memory that is shared would keep its content.
  bytes[0] = 1;
  bytes[bytes.length - 1] = 1;
  host?.table.call(host.numbers.madvise, baseAddress, bytes.length, ADVISE_DONT_NEED, 0, 0, 0);
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) bytes.fill(0);
}
