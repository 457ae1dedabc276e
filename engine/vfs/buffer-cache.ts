// SPDX-License-Identifier: GPL-2.0-only
/**
 * Metadata blocks of a device (kernel `struct buffer_head` of the block device's page cache, fs/buffer.c): read once, changed in
 * place, written when the file system says so and in the order it says.
 *
 *   absent --read--> clean --markDirty--> dirty --snapshot (file system)--> clean, pinned until written
 *      ^----------evict / forget------------|
 *
 * Rules: 1. A buffer may be evicted while nobody has it pinned and it is clean: whoever holds one over a place that may sleep pins
 * it. 2. Code that does not sleep uses `peek`; where it gives null the block's number is in `missingBlock`, and `load` brings it.
 * 3. The cache never writes by itself: the order of metadata on disk is the file system's affair. 4. Words are little endian, as on
 * disk and as on every host the engine runs on.
 */
import { assert, BIO_FLAG, ERRNO, PAGE_BYTES, WaitQueue } from '../base/index.ts';
import type { KernelReturn, MaybeTask, Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { BioGroup } from './bio-group.ts';
import type { Kernel } from './contract.ts';

export class BlockBuffer {
  readonly bytes: Uint8Array;
  /** The same bytes as 32-bit words. */
  readonly words: Uint32Array;
  readonly view: DataView;
  isUptodate = false;
  /** buffer_verified: the file system has checked the content; false again once it is read anew. */
  isVerified = false;
  isDirty = false;
  /** Nothing on the disk points at it yet: it is written before what will. */
  isUnlinked = false;
  /** Part of what it held has moved to blocks that the disk does not know yet: it is written after what links those. */
  isThinned = false;
  /** Whose it is (inode number); 0: the file system's own. */
  owner = 0;
  pinCount = 0;
  wasUsed = true;

  constructor(
    readonly deviceBlock: number,
    readonly page: number,
    readonly offsetBytes: number,
    memory: Uint8Array,
    lengthBytes: number,
  ) {
    const at = memory.byteOffset + page * PAGE_BYTES + offsetBytes;
    this.bytes = new Uint8Array(memory.buffer, at, lengthBytes);
    this.words = new Uint32Array(memory.buffer, at, lengthBytes / 4);
    this.view = new DataView(memory.buffer, at, lengthBytes);
  }
}

interface Slot {
  readonly page: number;
  readonly offsetBytes: number;
}

export class BufferCache {
  readonly blockBytes: number;
  /** The block that the last failed `peek` asked for. */
  missingBlock = -1;
  /** Dirty buffers, by owner. */
  private readonly dirtyByOwner = new Map<number, Set<BlockBuffer>>();
  private dirtyTotal = 0;
  private readonly buffers = new Map<number, BlockBuffer>();
  private readonly ring: BlockBuffer[] = [];
  private readonly freeSlots: Slot[] = [];
  private readonly pages: number[] = [];
  private hand = 0;
  private readonly readDone: WaitQueue;
  private readonly reading = new Set<number>();

  constructor(
    private readonly kernel: Kernel,
    private readonly device: BlockDevice,
    readonly blockBits: number,
    /** Blocks of the device that may be asked for: 0 .. this - 1. */
    private readonly deviceBlockCount: number,
    /** Beyond so many buffers clean ones are evicted; dirty and pinned ones may push the number above it. */
    private readonly buffersMax: number,
  ) {
    this.blockBytes = 2 ** blockBits;
    assert(blockBits >= 9 && this.blockBytes <= PAGE_BYTES, 'block size fits no page', {
      blockBits,
    });
    this.readDone = new WaitQueue('bio', 'metadata read');
  }

  get bufferCount(): number {
    return this.buffers.size;
  }
  get dirtyCount(): number {
    return this.dirtyTotal;
  }
  /** Half of what the cache may hold is dirty: time for the file system to write. */
  get isCrowded(): boolean {
    return this.dirtyTotal * 2 > this.buffersMax;
  }
  /** For tests and checks. */
  get pinnedCount(): number {
    let count = 0;
    for (const buffer of this.buffers.values()) if (buffer.pinCount > 0) count++;
    return count;
  }

  /** sb_find_get_block: the buffer where its content is cached, else null with `missingBlock` set. Never sleeps or pins. */
  peek(deviceBlock: number): BlockBuffer | null {
    const buffer = this.buffers.get(deviceBlock);
    if (buffer?.isUptodate !== true) {
      this.missingBlock = deviceBlock;
      return null;
    }
    buffer.wasUsed = true;
    return buffer;
  }

  /** sb_bread: the buffer, pinned; or minus an errno. */
  read(deviceBlock: number): MaybeTask<BlockBuffer | number> {
    const buffer = this.peek(deviceBlock);
    if (buffer === null) return this.load(deviceBlock);
    buffer.pinCount++;
    return buffer;
  }

  /** Reads the block where it is not cached, and pins it; or minus an errno. */
  *load(deviceBlock: number): Task<BlockBuffer | number> {
    if (deviceBlock < 0 || deviceBlock >= this.deviceBlockCount) return -ERRNO.EIO;
    for (;;) {
      const cached = this.peek(deviceBlock);
      if (cached !== null) {
        cached.pinCount++;
        return cached;
      }
      if (!this.reading.has(deviceBlock)) break;
      yield this.readDone;
    }
    const buffer = this.take(deviceBlock);
    if (buffer === null) return -ERRNO.ENOMEM;
    buffer.pinCount++;
    this.reading.add(deviceBlock);
    const flags = BIO_FLAG.sync | BIO_FLAG.metadata;
    const group = new BioGroup(this.kernel, this.device, 'read', flags, 'metadata read');
    const at = deviceBlock * this.blockBytes;
    group.add(at, buffer.page, buffer.offsetBytes, this.blockBytes);
    const error = yield* group.wait();
    this.reading.delete(deviceBlock);
    this.kernel.scheduler.wakeAll(this.readDone);
    if (error !== 0) {
      buffer.pinCount--;
      return error;
    }
    buffer.isUptodate = true;
    buffer.isVerified = false;
    return buffer;
  }

  /** sb_getblk of a block just allocated: zeroed, up to date, dirty, pinned and unlinked. Null: no memory. */
  create(deviceBlock: number, owner: number): BlockBuffer | null {
    this.forget(deviceBlock);
    const buffer = this.take(deviceBlock);
    if (buffer === null) return null;
    buffer.pinCount++;
    buffer.bytes.fill(0);
    buffer.isUptodate = true;
    buffer.isVerified = true;
    buffer.isUnlinked = true;
    buffer.isThinned = false;
    this.markDirty(buffer, owner);
    return buffer;
  }

  /** brelse */
  release(buffer: BlockBuffer): void {
    assert(buffer.pinCount > 0, 'buffer released more often than taken', {
      block: buffer.deviceBlock,
    });
    buffer.pinCount--;
  }

  /** mark_buffer_dirty, mark_buffer_dirty_inode. */
  markDirty(buffer: BlockBuffer, owner: number): void {
    if (buffer.isDirty) return;
    buffer.isDirty = true;
    buffer.owner = owner;
    this.dirtyTotal++;
    const set = this.dirtyByOwner.get(owner);
    if (set === undefined) this.dirtyByOwner.set(owner, new Set([buffer]));
    else set.add(buffer);
  }

  hasDirty(owner: number): boolean {
    return this.dirtyByOwner.has(owner);
  }

  /** The dirty buffers of an owner; the caller copies and `markClean`s them. */
  dirtyOf(owner: number): readonly BlockBuffer[] {
    return [...(this.dirtyByOwner.get(owner) ?? [])];
  }

  markClean(buffer: BlockBuffer): void {
    if (!buffer.isDirty) return;
    buffer.isDirty = false;
    this.dirtyTotal--;
    const set = this.dirtyByOwner.get(buffer.owner);
    set?.delete(buffer);
    if (set?.size === 0) this.dirtyByOwner.delete(buffer.owner);
  }

  /** bforget: the block was freed; its content is of no use, dirty or not. */
  forget(deviceBlock: number): void {
    const buffer = this.buffers.get(deviceBlock);
    if (buffer === undefined) return;
    this.markClean(buffer);
    this.buffers.delete(deviceBlock);
    const at = this.ring.indexOf(buffer);
    const last = this.ring.pop() as BlockBuffer;
    if (last !== buffer) this.ring[at] = last;
    if (buffer.pinCount === 0) {
      this.freeSlots.push({ page: buffer.page, offsetBytes: buffer.offsetBytes });
    } else {
      // Somebody still looks at it: its memory is not used again before the cache is closed.
      buffer.isUptodate = false;
    }
  }

  /** clean_bdev_aliases: blocks that become file data must not be written as the metadata they once were. */
  readonly cleanAliases = (deviceBlock: number, countBlocks: number): void => {
    if (this.buffers.size === 0) return;
    for (let block = deviceBlock; block < deviceBlock + countBlocks; block++) {
      if (this.buffers.has(block)) this.forget(block);
    }
  };

  /** Drops every clean buffer that nobody has pinned (drop_caches). */
  dropClean(): void {
    for (const buffer of [...this.buffers.values()]) {
      if (!buffer.isDirty && buffer.pinCount === 0) this.forget(buffer.deviceBlock);
    }
  }

  /** Gives all memory back; dirty content is lost, so the file system has written before. */
  close(): void {
    this.buffers.clear();
    this.dirtyByOwner.clear();
    this.dirtyTotal = 0;
    this.ring.length = 0;
    this.freeSlots.length = 0;
    for (const page of this.pages) this.kernel.memory.freePages(page, 1);
    this.pages.length = 0;
  }

  private take(deviceBlock: number): BlockBuffer | null {
    const stale = this.buffers.get(deviceBlock);
    if (stale !== undefined) return stale;
    const slot = this.takeSlot();
    if (slot === null) return null;
    const { memory } = this.kernel;
    const { page, offsetBytes } = slot;
    const buffer = new BlockBuffer(deviceBlock, page, offsetBytes, memory.bytes, this.blockBytes);
    this.buffers.set(deviceBlock, buffer);
    this.ring.push(buffer);
    return buffer;
  }

  private takeSlot(): Slot | null {
    const free = this.freeSlots.pop();
    if (free !== undefined) return free;
    if (this.buffers.size >= this.buffersMax && this.evictOne()) {
      return this.freeSlots.pop() ?? null;
    }
    const page = this.kernel.memory.allocatePages(1);
    if (page < 0) return this.evictOne() ? (this.freeSlots.pop() ?? null) : null;
    this.pages.push(page);
    for (let at = PAGE_BYTES - this.blockBytes; at > 0; at -= this.blockBytes) {
      this.freeSlots.push({ page, offsetBytes: at });
    }
    return { page, offsetBytes: 0 };
  }

  /** Second chance: a buffer used since the hand last passed stays. False: all are dirty, pinned or being read. */
  private evictOne(): boolean {
    const { ring } = this;
    for (let steps = ring.length * 2; steps > 0; steps--) {
      this.hand = this.hand + 1 >= ring.length ? 0 : this.hand + 1;
      const buffer = ring[this.hand];
      if (buffer === undefined) return false;
      if (buffer.isDirty || buffer.pinCount > 0) continue;
      if (buffer.wasUsed) {
        buffer.wasUsed = false;
        continue;
      }
      this.buffers.delete(buffer.deviceBlock);
      const last = ring.pop() as BlockBuffer;
      if (last !== buffer) ring[this.hand] = last;
      this.freeSlots.push({ page: buffer.page, offsetBytes: buffer.offsetBytes });
      return true;
    }
    return false;
  }
}

/** A block as it is to be written: a copy, so that later changes wait for the next time. */
export interface BlockImage {
  readonly deviceBlock: number;
  readonly bytes: Uint8Array;
}

/** Pages of bounce memory that one round of `writeBlockImages` uses at most. */
const BOUNCE_PAGES = 64;

/** Writes copies of metadata blocks in ascending order through bounce pages, and waits. 0 or minus an errno. */
export function* writeBlockImages(
  kernel: Kernel,
  device: BlockDevice,
  images: readonly BlockImage[],
): Task<KernelReturn> {
  const sorted = [...images].sort((a, b) => a.deviceBlock - b.deviceBlock);
  const { memory } = kernel;
  let firstError = 0;
  for (let from = 0; from < sorted.length;) {
    const blockBytes = (sorted[from] as BlockImage).bytes.length;
    const perPage = PAGE_BYTES / blockBytes;
    let pages = Math.min(BOUNCE_PAGES, Math.ceil((sorted.length - from) / perPage));
    let bounce = memory.allocatePages(pages);
    if (bounce < 0) {
      pages = 1;
      bounce = memory.allocatePages(1);
    }
    if (bounce < 0) return -ERRNO.ENOMEM;
    const flags = BIO_FLAG.sync | BIO_FLAG.metadata;
    const group = new BioGroup(kernel, device, 'write', flags, 'metadata write');
    kernel.startPlug();
    const to = Math.min(sorted.length, from + pages * perPage);
    for (let index = from; index < to; index++) {
      const image = sorted[index] as BlockImage;
      const at = (index - from) * blockBytes;
      memory.bytes.set(image.bytes, bounce * PAGE_BYTES + at);
      const page = bounce + Math.floor(at / PAGE_BYTES);
      group.add(image.deviceBlock * blockBytes, page, at % PAGE_BYTES, blockBytes);
    }
    group.submit();
    kernel.finishPlug();
    const error = yield* group.wait();
    memory.freePages(bounce, pages);
    if (error !== 0 && firstError === 0) firstError = error;
    from = to;
  }
  return firstError;
}
