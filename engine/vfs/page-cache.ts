// SPDX-License-Identifier: GPL-2.0-only
/**
 * A small page cache (mm/filemap.c, fs/buffer.c, mm/truncate.c): the cached pages of one file, and a pool that bounds the pages of
 * all files of a mounted file system.
 *
 *   absent --pageFor--> locked --read / prepare--> clean --markDirty--> dirty --write-back--> clean
 *                                     clean --evict, invalidate, truncate--> absent
 *
 * Rules: 1. State is kept per block of a page (bits, lowest block first): `uptodate` content is the file's, `dirty` is not yet on the
 * device; dirty implies uptodate. 2. A page is locked while it is filled or prepared, and under write-back while a bio writes it;
 * neither is removed. 3. Blocks get their place on disk when they are made dirty, so write-back never allocates. 4. Whoever finds a
 * page locked sleeps on `pagesChanged` and looks the page up again.
 */
import { assert, BIO_FLAG, ERRNO, MAP_FLAG, PAGE_BITS, PAGE_BYTES } from '../base/index.ts';
import { isTask, WaitQueue, type KernelReturn, type MaybeTask, type Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { BioGroup } from './bio-group.ts';
import type { AddressSpace, BlockMapping, GetBlock, Inode, Kernel } from './contract.ts';

export class CachedPage {
  uptodateBits = 0;
  dirtyBits = 0;
  isLocked = false;
  isWriteback = false;
  wasUsed = true;
  /** False once removed from its file. */
  isAttached = true;
  constructor(
    readonly owner: PageCache,
    readonly pageIndex: number,
    /** Page of the arena. */
    readonly page: number,
  ) {}
  get address(): number {
    return this.page * PAGE_BYTES;
  }
}

/** All cached pages of one mounted file system; second-chance eviction. */
export class PagePool {
  private readonly ring: CachedPage[] = [];
  private hand = 0;

  constructor(
    readonly kernel: Kernel,
    readonly pagesMax: number,
  ) {}

  get pageCount(): number {
    return this.ring.length;
  }

  /** A page frame for a file, or -1: nothing free and nothing to evict. */
  takeFrame(): number {
    if (this.ring.length >= this.pagesMax) this.evictOne();
    if (this.ring.length >= this.pagesMax * 2) return -1;
    const page = this.kernel.memory.allocatePages(1);
    if (page >= 0) return page;
    return this.evictOne() ? this.kernel.memory.allocatePages(1) : -1;
  }
  attach(page: CachedPage): void {
    this.ring.push(page);
  }
  detach(page: CachedPage): void {
    const at = this.ring.indexOf(page);
    const last = this.ring.pop() as CachedPage;
    if (last !== page) this.ring[at] = last;
    this.kernel.memory.freePages(page.page, 1);
  }
  /** A file with dirty pages, for whoever needs room. */
  someDirtyFile(): PageCache | null {
    return this.ring.find((page) => page.dirtyBits !== 0)?.owner ?? null;
  }

  private evictOne(): boolean {
    for (let steps = this.ring.length * 2; steps > 0; steps--) {
      this.hand = this.hand + 1 >= this.ring.length ? 0 : this.hand + 1;
      const page = this.ring[this.hand] as CachedPage;
      if (page.dirtyBits !== 0 || page.isLocked || page.isWriteback) continue;
      if (page.wasUsed) {
        page.wasUsed = false;
        continue;
      }
      page.owner.remove(page);
      return true;
    }
    return false;
  }
}

export interface PageCacheSettings {
  readonly pool: PagePool;
  readonly device: BlockDevice;
  readonly getBlock: GetBlock;
  /** clean_bdev_aliases */
  readonly cleanAliases: (deviceBlock: number, countBlocks: number) => void;
}

export class PageCache implements AddressSpace {
  /** What a task that found a page locked or under write-back sleeps on. */
  readonly pagesChanged: WaitQueue;
  private readonly pages = new Map<number, CachedPage>();
  private readonly kernel: Kernel;
  private readonly blocksPerPage: number;
  private readonly allBits: number;
  /** Dirty pages and pages under write-back. */
  private unstableCount = 0;
  /** AS_EIO: a write-back nobody waited for failed; reported once. */
  private writeError = 0;

  constructor(
    private readonly inode: Inode,
    private readonly settings: PageCacheSettings,
  ) {
    this.kernel = settings.pool.kernel;
    this.blocksPerPage = 2 ** (PAGE_BITS - inode.blockBits);
    this.allBits = 2 ** this.blocksPerPage - 1;
    this.pagesChanged = new WaitQueue('event', `pages of inode ${String(inode.inodeNumber)}`);
  }

  get cachedPageCount(): number {
    return this.pages.size;
  }
  get hasDirtyPages(): boolean {
    return this.unstableCount > 0;
  }
  /** filemap_range_needs_writeback, both bytes inclusive. */
  needsWriteback(firstByte: number, lastByte: number): boolean {
    if (this.unstableCount === 0) return false;
    return this.range(firstByte, lastByte).some((page) => page.dirtyBits !== 0 || page.isWriteback);
  }
  /** filemap_range_has_page, both bytes inclusive. */
  hasPages(firstByte: number, lastByte: number): boolean {
    return this.pages.size > 0 && this.range(firstByte, lastByte).length > 0;
  }
  isPageUptodate(page: CachedPage): boolean {
    return page.uptodateBits === this.allBits;
  }
  find(pageIndex: number): CachedPage | null {
    const page = this.pages.get(pageIndex) ?? null;
    if (page !== null) page.wasUsed = true;
    return page;
  }

  /** The page, locked, made where it was absent; or -ENOMEM. */
  *lockPage(pageIndex: number): Task<CachedPage | number> {
    for (;;) {
      const found = this.find(pageIndex);
      if (found !== null) {
        if (!found.isLocked) {
          found.isLocked = true;
          return found;
        }
        yield this.pagesChanged;
        continue;
      }
      const made = this.makeLocked(pageIndex);
      if (made !== null) return made;
      const dirty = this.settings.pool.someDirtyFile();
      if (dirty === null) return -ERRNO.ENOMEM;
      const error = yield* dirty.writeRange(0, Number.MAX_SAFE_INTEGER, true);
      if (error < 0) return error;
    }
  }

  unlockPage(page: CachedPage): void {
    page.isLocked = false;
    this.kernel.scheduler.wakeAll(this.pagesChanged);
  }

  /**
   * block_write_begin of a locked page: every block of the range gets its place on disk, new blocks are zeroed outside the range, and
   * blocks written in part are read first. 0, or minus an errno with what was allocated zeroed and dirty.
   */
  *prepareWrite(page: CachedPage, from: number, to: number): Task<KernelReturn> {
    const { blockBits } = this.inode;
    const mapping = newMapping(this.settings.device);
    const blockBytes = 2 ** blockBits;
    let readBits = 0;
    let group: BioGroup | null = null;
    let newBits = 0;
    for (let block = from >> blockBits; block << blockBits < to; block++) {
      const error = yield* this.map(page, block, true, mapping);
      if (error < 0) {
        this.zeroNewBlocks(page, newBits);
        if (group !== null) yield* group.wait();
        return error;
      }
      const bit = 1 << block;
      const start = block << blockBits;
      const end = start + blockBytes;
      const isNew = (mapping.flags & (MAP_FLAG.new | MAP_FLAG.unwritten)) !== 0;
      if ((mapping.flags & MAP_FLAG.new) !== 0) {
        this.settings.cleanAliases(mapping.deviceBlock, 1);
        newBits |= bit;
      }
      if ((page.uptodateBits & bit) !== 0) continue;
      if (isNew) {
        const at = page.address;
        if (start < from) this.kernel.memory.bytes.fill(0, at + start, at + from);
        if (end > to) this.kernel.memory.bytes.fill(0, at + to, at + end);
      } else if (start < from || end > to) {
        group ??= this.group('read', 'partly written block');
        group.add(mapping.deviceBlock * blockBytes, page.page, start, blockBytes);
        readBits |= bit;
      }
    }
    const error = group === null ? 0 : yield* group.wait();
    if (error === 0) page.uptodateBits |= readBits;
    else this.zeroNewBlocks(page, newBits);
    return error;
  }

  /** block_commit_write: the range of a prepared page holds the file's newest bytes. */
  markDirty(page: CachedPage, from: number, to: number): void {
    const { blockBits } = this.inode;
    let bits = 0;
    for (let block = from >> blockBits; block << blockBits < to; block++) bits |= 1 << block;
    this.addDirtyBits(page, bits);
  }

  /**
   * Brings `countPages` pages from `firstPage` up to date (readahead: pages that are there or busy are left alone). Blocks beyond the
   * file's end are zeros and are not read. 0 or minus an errno.
   */
  *readPages(firstPage: number, countPages: number): Task<KernelReturn> {
    const status = yield* this.readRun(firstPage, countPages);
    if (status !== -ERRNO.EIO || countPages === 1) return status;
    // A bad sector ahead is nobody's error yet: readahead fails in silence, and the page that is wanted is read alone.
    return yield* this.readRun(firstPage, 1);
  }

  private *readRun(firstPage: number, countPages: number): Task<KernelReturn> {
    const group = this.group('read', 'page read');
    const mapping = newMapping(this.settings.device);
    const filled: { page: CachedPage; bits: number }[] = [];
    let status = 0;
    this.kernel.startPlug();
    for (let index = firstPage; index < firstPage + countPages && status === 0; index++) {
      const present = this.pages.get(index);
      if (present !== undefined && (present.isLocked || this.isPageUptodate(present))) continue;
      // Only the first page is worth waiting for memory; the rest is read ahead as far as memory goes.
      const page = index === firstPage ? yield* this.lockPage(index) : this.tryLockPage(index);
      if (page === null) break;
      if (typeof page === 'number') {
        status = page;
        break;
      }
      const bits = this.allBits & ~page.uptodateBits;
      filled.push({ page, bits });
      status = yield* this.addReads(group, page, bits, mapping);
    }
    group.submit();
    this.kernel.finishPlug();
    const error = yield* group.wait();
    if (status === 0) status = error;
    for (const { page, bits } of filled) {
      if (status === 0) page.uptodateBits |= bits;
      page.isLocked = false;
    }
    this.kernel.scheduler.wakeAll(this.pagesChanged);
    return status;
  }

  /** filemap_write_and_wait_range, both bytes inclusive; without dirty pages it returns at once. */
  writeAndWait(firstByte: number, lastByte: number): MaybeTask<KernelReturn> {
    if (this.unstableCount === 0) return this.takeWriteError();
    return this.writeRange(firstByte, lastByte, true);
  }

  /** __filemap_fdatawrite_range, then waits where asked. */
  *writeRange(firstByte: number, lastByte: number, wait: boolean): Task<KernelReturn> {
    const group = this.group('write', 'page write-back');
    const written: { page: CachedPage; bits: number }[] = [];
    const mapping = newMapping(this.settings.device);
    let status = 0;
    this.kernel.startPlug();
    for (const page of this.range(firstByte, lastByte)) {
      while (page.isAttached && (page.isLocked || page.isWriteback)) yield this.pagesChanged;
      if (!page.isAttached || page.dirtyBits === 0) continue;
      const bits = page.dirtyBits;
      page.isWriteback = true;
      page.dirtyBits = 0;
      written.push({ page, bits });
      const error = yield* this.addWrites(group, page, bits, mapping);
      if (error < 0 && status === 0) status = error;
    }
    group.submit();
    this.kernel.finishPlug();
    const error = yield* group.wait();
    for (const { page } of written) {
      page.isWriteback = false;
      if (page.dirtyBits === 0) this.unstableCount--;
    }
    this.kernel.scheduler.wakeAll(this.pagesChanged);
    if (status === 0) status = error;
    if (!wait && status < 0) this.writeError = status;
    return status === 0 ? this.takeWriteError() : status;
  }

  /** invalidate_inode_pages2_range, both pages inclusive: waits for write-back, removes; a dirty page stays: -EBUSY. */
  invalidate(firstPage: number, lastPage: number): MaybeTask<KernelReturn> {
    if (this.pages.size === 0) return 0;
    return this.invalidateRange(firstPage, lastPage);
  }

  /** invalidate_mapping_pages: removes what is clean and not in use, both pages inclusive. */
  dropClean(firstPage: number, lastPage: number): void {
    if (this.pages.size === 0) return;
    for (const page of this.range(firstPage * PAGE_BYTES, lastPage * PAGE_BYTES)) {
      if (page.dirtyBits === 0 && !page.isLocked && !page.isWriteback) this.remove(page);
    }
  }

  /**
   * truncate_pagecache: no page at or beyond `sizeBytes` is left, dirty or not; what the last page holds beyond it is zeros that
   * nobody writes back.
   */
  *truncate(sizeBytes: number): Task<void> {
    for (const page of this.range(sizeBytes, Number.MAX_SAFE_INTEGER)) {
      while (page.isAttached && (page.isLocked || page.isWriteback)) yield this.pagesChanged;
      if (!page.isAttached) continue;
      const keptBytes = Math.max(0, sizeBytes - page.pageIndex * PAGE_BYTES);
      const keptBlocks = Math.ceil(keptBytes / 2 ** this.inode.blockBits);
      if (page.dirtyBits !== 0) {
        page.dirtyBits &= 2 ** keptBlocks - 1;
        if (page.dirtyBits === 0) this.unstableCount--;
      }
      if (keptBytes === 0) this.remove(page);
      else this.kernel.memory.bytes.fill(0, page.address + keptBytes, page.address + PAGE_BYTES);
    }
  }

  /** At unmount: gives all pages back, dirty or not; waits for those in use. */
  *discard(): Task<void> {
    yield* this.truncate(0);
  }

  /** For the pool: takes a clean, idle page out. */
  remove(page: CachedPage): void {
    assert(
      page.dirtyBits === 0 && !page.isLocked && !page.isWriteback && page.isAttached,
      'page removed from the page cache while in use',
      { page: page.pageIndex, inode: this.inode.inodeNumber },
    );
    page.isAttached = false;
    this.pages.delete(page.pageIndex);
    this.settings.pool.detach(page);
  }

  private *invalidateRange(firstPage: number, lastPage: number): Task<KernelReturn> {
    let result = 0;
    for (const page of this.range(firstPage * PAGE_BYTES, lastPage * PAGE_BYTES)) {
      while (page.isAttached && (page.isLocked || page.isWriteback)) yield this.pagesChanged;
      if (!page.isAttached) continue;
      if (page.dirtyBits !== 0) result = -ERRNO.EBUSY;
      else this.remove(page);
    }
    return result;
  }

  /** Cached pages that hold a byte of the range, in order. */
  private range(firstByte: number, lastByte: number): CachedPage[] {
    const first = Math.floor(firstByte / PAGE_BYTES);
    const last = Math.floor(lastByte / PAGE_BYTES);
    const found: CachedPage[] = [];
    if (last - first < this.pages.size) {
      for (let index = first; index <= last; index++) {
        const page = this.pages.get(index);
        if (page !== undefined) found.push(page);
      }
      return found;
    }
    for (const [index, page] of this.pages) {
      if (index >= first && index <= last) found.push(page);
    }
    return found.sort((a, b) => a.pageIndex - b.pageIndex);
  }

  private makeLocked(pageIndex: number): CachedPage | null {
    const frame = this.settings.pool.takeFrame();
    if (frame < 0) return null;
    const page = new CachedPage(this, pageIndex, frame);
    page.isLocked = true;
    this.pages.set(pageIndex, page);
    this.settings.pool.attach(page);
    return page;
  }

  /** The page, locked, without sleeping; null where that cannot be. */
  private tryLockPage(pageIndex: number): CachedPage | null {
    const found = this.find(pageIndex);
    if (found === null) return this.makeLocked(pageIndex);
    if (found.isLocked) return null;
    found.isLocked = true;
    return found;
  }

  private group(op: 'read' | 'write', label: string): BioGroup {
    const flags = op === 'write' ? BIO_FLAG.sync : 0;
    return new BioGroup(this.kernel, this.settings.device, op, flags, label);
  }

  private addDirtyBits(page: CachedPage, bits: number): void {
    if (page.dirtyBits === 0 && !page.isWriteback && bits !== 0) this.unstableCount++;
    page.dirtyBits |= bits;
    page.uptodateBits |= bits;
  }

  /** page_zero_new_buffers: blocks that were allocated and get no data must not show what the disk held. */
  private zeroNewBlocks(page: CachedPage, newBits: number): void {
    const { blockBits } = this.inode;
    for (let block = 0; block < this.blocksPerPage; block++) {
      const bit = 1 << block;
      if ((newBits & bit) === 0 || (page.uptodateBits & bit) !== 0) continue;
      const at = page.address + (block << blockBits);
      this.kernel.memory.bytes.fill(0, at, at + 2 ** blockBits);
    }
    this.addDirtyBits(page, newBits);
  }

  /** get_block for one block of a page. */
  private *map(
    page: CachedPage,
    block: number,
    create: boolean,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const fileBlock = page.pageIndex * this.blocksPerPage + block;
    mapping.flags = 0;
    mapping.lengthBytes = 2 ** this.inode.blockBits;
    const result = this.settings.getBlock(this.inode, fileBlock, mapping, create);
    return isTask(result) ? yield* result : result;
  }

  /** block_read_full_folio: reads mapped blocks, zeroes holes and what lies beyond the file's end. */
  private *addReads(
    group: BioGroup,
    page: CachedPage,
    bits: number,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const { blockBits } = this.inode;
    const blockBytes = 2 ** blockBits;
    for (let block = 0; block < this.blocksPerPage; block++) {
      if ((bits & (1 << block)) === 0) continue;
      const start = block << blockBits;
      mapping.flags = 0;
      if (page.pageIndex * PAGE_BYTES + start < this.inode.sizeBytes) {
        const error = yield* this.map(page, block, false, mapping);
        if (error < 0) return error;
      }
      if ((mapping.flags & MAP_FLAG.mapped) === 0 || (mapping.flags & MAP_FLAG.unwritten) !== 0) {
        const at = page.address + start;
        this.kernel.memory.bytes.fill(0, at, at + blockBytes);
      } else {
        group.add(mapping.deviceBlock * blockBytes, page.page, start, blockBytes);
      }
    }
    return 0;
  }

  private *addWrites(
    group: BioGroup,
    page: CachedPage,
    bits: number,
    mapping: BlockMapping,
  ): Task<KernelReturn> {
    const { blockBits } = this.inode;
    const blockBytes = 2 ** blockBits;
    for (let block = 0; block < this.blocksPerPage; block++) {
      if ((bits & (1 << block)) === 0) continue;
      const error = yield* this.map(page, block, false, mapping);
      if (error < 0) return error;
      // Rule 3; only a damaged image takes a mapping away.
      if ((mapping.flags & MAP_FLAG.mapped) === 0) return -ERRNO.EIO;
      group.add(mapping.deviceBlock * blockBytes, page.page, block << blockBits, blockBytes);
    }
    return 0;
  }

  private takeWriteError(): KernelReturn {
    const error = this.writeError;
    this.writeError = 0;
    return error;
  }
}

/** A map_bh for a request of the page cache's own. */
export function newMapping(device: BlockDevice | null): BlockMapping {
  return { flags: 0, deviceBlock: -1, lengthBytes: 0, driverData: 0, device };
}
