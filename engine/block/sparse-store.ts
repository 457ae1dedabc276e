// SPDX-License-Identifier: GPL-2.0-only
/**
 * The sectors of a device that keeps them in memory: 64 KiB chunks, made at the first write into them; what was never written reads
 * as zeros (kernel: the page tree of drivers/block/brd.c).
 *
 *   byte -> group (16 MiB: 256 chunks) -> chunk (64 KiB) -> 16 views of 4 KiB
 *
 * The views are made once, with their chunk, so that a transfer of whole aligned pages makes no object.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../base/index.ts';
import type { Memory } from '../memory/index.ts';
import { VECTOR_WORDS, type Bio } from './bio.ts';
import type { DeviceRequest } from './device.ts';

const CHUNK_BYTES = 64 * 1024;
const GROUP_CHUNKS = 256;
const GROUP_BYTES = CHUNK_BYTES * GROUP_CHUNKS;
const PAGES_PER_CHUNK = CHUNK_BYTES / PAGE_BYTES;

/** The views of one chunk, in order. */
type Chunk = readonly Uint8Array[];

export class SparseStore {
  private readonly groups: ((Chunk | null)[] | null)[];
  /** One view a page of the arena, made at its first use. */
  private readonly pageViews: (Uint8Array | null)[];
  /** Bytes that chunks take up. */
  allocatedBytes = 0;

  constructor(
    private readonly memory: Memory,
    readonly capacityBytes: number,
  ) {
    const groupCount = Math.ceil(capacityBytes / GROUP_BYTES);
    this.groups = new Array<(Chunk | null)[] | null>(groupCount).fill(null);
    this.pageViews = new Array<Uint8Array | null>(memory.pageCount).fill(null);
  }

  /** Moves the data of a read or write, or clears the range of a discard or write-zeroes. */
  transfer(request: DeviceRequest): void {
    let atBytes = request.sectorStart * SECTOR_BYTES;
    const { op, bios, bioCount } = request;
    if (op === 'discard' || op === 'write-zeroes') this.clear(atBytes, request.sizeBytes);
    if (op !== 'read' && op !== 'write') return;
    for (let index = 0; index < bioCount; index++) {
      const bio = bios[index] as Bio;
      const { vectors } = bio;
      const end = bio.vectorCount * VECTOR_WORDS;
      for (let at = 0; at < end; at += VECTOR_WORDS) {
        const memoryBytes = (vectors[at] as number) * PAGE_BYTES + (vectors[at + 1] as number);
        const lengthBytes = vectors[at + 2] as number;
        if (op === 'read') this.read(atBytes, memoryBytes, lengthBytes);
        else this.write(atBytes, memoryBytes, lengthBytes);
        atBytes += lengthBytes;
      }
    }
  }

  /** Device to arena. */
  read(deviceBytes: number, memoryBytes: number, lengthBytes: number): void {
    const { bytes } = this.memory;
    let done = 0;
    while (done < lengthBytes) {
      const at = deviceBytes + done;
      const offset = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - offset, lengthBytes - done);
      const to = memoryBytes + done;
      const page = this.page(at);
      if (page === null) bytes.fill(0, to, to + count);
      else bytes.set(count === PAGE_BYTES ? page : page.subarray(offset, offset + count), to);
      done += count;
    }
  }

  /** Arena to device. */
  write(deviceBytes: number, memoryBytes: number, lengthBytes: number): void {
    let done = 0;
    while (done < lengthBytes) {
      const at = deviceBytes + done;
      const offset = at % PAGE_BYTES;
      const from = memoryBytes + done;
      const count = Math.min(PAGE_BYTES - offset, lengthBytes - done);
      const page = this.pageForWrite(at);
      if (count === PAGE_BYTES && from % PAGE_BYTES === 0) page.set(this.arenaPage(from));
      else page.set(this.memory.bytes.subarray(from, from + count), offset);
      done += count;
    }
  }

  /** Makes a range read as zeros. */
  clear(deviceBytes: number, lengthBytes: number): void {
    let done = 0;
    while (done < lengthBytes) {
      const at = deviceBytes + done;
      const offset = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - offset, lengthBytes - done);
      this.page(at)?.fill(0, offset, offset + count);
      done += count;
    }
  }

  /** Lets go of everything. */
  release(): void {
    this.groups.fill(null);
    this.pageViews.fill(null);
    this.allocatedBytes = 0;
  }

  private page(deviceBytes: number): Uint8Array | null {
    const group = this.groups[Math.floor(deviceBytes / GROUP_BYTES)] as (Chunk | null)[] | null;
    if (group === null) return null;
    const inGroup = deviceBytes % GROUP_BYTES;
    const chunk = group[(inGroup / CHUNK_BYTES) | 0] as Chunk | null;
    return chunk === null
      ? null
      : (chunk[((inGroup % CHUNK_BYTES) / PAGE_BYTES) | 0] as Uint8Array);
  }

  private pageForWrite(deviceBytes: number): Uint8Array {
    const page = this.page(deviceBytes);
    if (page !== null) return page;
    const groupIndex = Math.floor(deviceBytes / GROUP_BYTES);
    let group = this.groups[groupIndex] as (Chunk | null)[] | null;
    if (group === null) {
      group = new Array<Chunk | null>(GROUP_CHUNKS).fill(null);
      this.groups[groupIndex] = group;
    }
    const buffer = new ArrayBuffer(CHUNK_BYTES);
    const chunk = Array.from(
      { length: PAGES_PER_CHUNK },
      (_, index) => new Uint8Array(buffer, index * PAGE_BYTES, PAGE_BYTES),
    );
    group[((deviceBytes % GROUP_BYTES) / CHUNK_BYTES) | 0] = chunk;
    this.allocatedBytes += CHUNK_BYTES;
    return chunk[((deviceBytes % CHUNK_BYTES) / PAGE_BYTES) | 0] as Uint8Array;
  }

  private arenaPage(memoryBytes: number): Uint8Array {
    const index = memoryBytes / PAGE_BYTES;
    const known = this.pageViews[index] as Uint8Array | null;
    if (known !== null) return known;
    const view = this.memory.bytes.subarray(memoryBytes, memoryBytes + PAGE_BYTES);
    this.pageViews[index] = view;
    return view;
  }
}
