// SPDX-License-Identifier: GPL-2.0-only
/**
 * Writing back, in the order that keeps the image repairable after a power cut at any point:
 *
 *   1. copies of everything dirty are taken at one moment: FAT sectors, directory sectors with the sizes as they are now
 *   2. dirty pages of all files, and new clusters of directories, which nothing points at yet; flush
 *   3. FAT entries that link those clusters; flush
 *   4. directory sectors; where an entry was moved, first with the old one still in its place; flush
 *   5. the FAT, every copy, with what files gave up marked free; flush
 *   6. directory sectors again, where 4 held a size back, and FSInfo; flush
 *   7. only now what was given up can be used again
 *
 * What follows (the crash sentence): a size or a start on the disk belongs to data that is there, since 2 comes before 4. Between 4 and
 * 5 an entry may have a longer size than its chain: fsck.fat cuts it to the end of the chain's last cluster. Of a file that only grew
 * these clusters are its own still, and 2 filled them. A file that was cut and grew again has others instead: the chain on the disk
 * ends with clusters that nobody fills any more, so its size there is held back to what it was cut to until the FAT is written.
 * Nothing is used again before 7. Directories go the other way round, since fsck.fat takes a directory without clusters for a wrong
 * root. A name that moves is there twice rather than not at all.
 *
 * Rules: 1. One commit at a time, always of the whole: files share FAT sectors. 2. Nobody waits for a commit while holding an inode
 * lock. 3. Copies are written, so that later changes wait for their own data. 4. A failed write makes everything dirty again.
 */
import { type KernelReturn, type Task } from '../../base/index.ts';
import {
  flushDevice,
  writeBlockImages,
  type BlockBuffer,
  type BlockImage,
} from '../../vfs/index.ts';
import { slotRecordBytes } from './directory.ts';
import { settled } from './chains.ts';
import { NEVER_CUT, type FatInode } from './inode.ts';
import { ENTRY, ENTRY_BYTES, FREE, INFO } from './layout.ts';
import { FatRecord } from './record.ts';
import type { FatState } from './state.ts';

/** An inode whose entry a commit writes, as it was when the copies were taken. */
interface TakenInode {
  readonly inode: FatInode;
  readonly entryByte: number;
  readonly cutToBytes: number;
  readonly isEntryNew: boolean;
}

/** What one commit is about to write. */
interface Snapshot {
  readonly inodes: readonly TakenInode[];
  readonly buffers: readonly BlockBuffer[];
  readonly fresh: BlockImage[];
  readonly linked: BlockImage[];
  readonly fat: Map<number, Uint8Array>;
  /** The copies before frees went into them, of sectors that link new clusters of directories. */
  readonly directoryFat: Map<number, Uint8Array>;
  readonly frees: number[];
  readonly moved: Map<number, Uint8Array>;
  readonly reserved: readonly number[];
  readonly newClusters: number[];
}

export class Committer {
  constructor(private readonly state: FatState) {}

  /** sync_filesystem. The caller holds no inode lock. 0 or minus an errno. */
  *commitAll(): Task<KernelReturn> {
    const { state } = this;
    if (state.isReadOnly) return 0;
    yield* state.commitLock.lockExclusive();
    state.table.holdCount++;
    const pinned: BlockBuffer[] = [];
    try {
      const prepared = yield* this.prepare(pinned);
      if (prepared < 0) return prepared;
      const snapshot = this.take();
      const status = yield* this.write(snapshot);
      if (status < 0) this.putBack(snapshot);
      else this.settle(snapshot);
      return status;
    } finally {
      for (const buffer of pinned) state.cache.release(buffer);
      state.table.holdCount--;
      state.commitLock.unlockExclusive();
    }
  }

  /** Everything that step 1 touches comes into memory, and stays. */
  private *prepare(pinned: BlockBuffer[]): Task<KernelReturn> {
    const { state } = this;
    const sectors = new Set<number>();
    for (;;) {
      let isComplete = true;
      for (const inode of [...state.dirtyInodes]) {
        const sector = Math.floor(inode.entryByte / state.geometry.sectorBytes);
        if (sectors.has(sector)) continue;
        isComplete = false;
        const buffer = yield* state.cache.load(sector);
        if (typeof buffer === 'number') return buffer;
        sectors.add(sector);
        pinned.push(buffer);
      }
      const frees = state.pendingFrees;
      for (let at = 0; at < frees.length; at += 2) {
        const end = (frees[at] as number) + (frees[at + 1] as number);
        for (let cluster = frees[at] as number; cluster < end; cluster++) {
          if (state.table.peek(cluster) >= 0) continue;
          isComplete = false;
          const status = yield* state.table.load(cluster);
          if (status < 0) return status;
        }
      }
      if (isComplete) return 0;
    }
  }

  /** Step 1. Does not sleep. */
  private take(): Snapshot {
    const { state } = this;
    const { cache, table, geometry } = state;
    const inodes: TakenInode[] = [];
    for (const inode of state.dirtyInodes) {
      const { entryByte, cutToBytes, isEntryNew } = inode;
      inodes.push({ inode, entryByte, cutToBytes, isEntryNew });
      inode.cutToBytes = NEVER_CUT;
      inode.isEntryNew = false;
      const sector = Math.floor(inode.entryByte / geometry.sectorBytes);
      const buffer = cache.peek(sector) as BlockBuffer;
      const bytes = slotRecordBytes(buffer, inode.entryByte);
      inode.encode(new FatRecord('directory entry', sector, bytes));
      cache.markDirty(buffer, 0);
      inode.isDirty = false;
      inode.areTimesDirty = false;
    }
    state.dirtyInodes.clear();
    const buffers = cache.dirtyOf(0);
    const fresh: BlockImage[] = [];
    const linked: BlockImage[] = [];
    for (const buffer of buffers) {
      const image = { deviceBlock: buffer.deviceBlock, bytes: buffer.bytes.slice() };
      (buffer.isUnlinked ? fresh : linked).push(image);
      buffer.pinCount++;
      cache.markClean(buffer);
    }
    const fat = table.takeDirty();
    const directoryFat = new Map<number, Uint8Array>();
    for (const cluster of state.newDirectoryClusters) {
      for (const sector of table.sectorsOf(cluster)) {
        const copy = fat.get(sector);
        if (copy !== undefined) directoryFat.set(sector, copy.slice());
      }
    }
    const snapshot: Snapshot = {
      inodes,
      buffers,
      fresh,
      linked,
      fat,
      directoryFat,
      frees: state.pendingFrees,
      moved: state.movedAway,
      reserved: [...state.reservedSlots],
      newClusters: state.newDirectoryClusters,
    };
    state.pendingFrees = [];
    state.movedAway = new Map();
    state.newDirectoryClusters = [];
    eachCluster(snapshot.frees, (cluster) => {
      table.freeInCopies(fat, cluster);
    });
    return snapshot;
  }

  private *write(snapshot: Snapshot): Task<KernelReturn> {
    let status = yield* this.writePages();
    const heldBack = this.holdBack(snapshot);
    if (status === 0) status = yield* this.writeImages(snapshot.fresh);
    // One flush in any case: fsync of data alone ends here.
    if (status === 0) status = yield* flushDevice(this.state.kernel, this.state.device);
    if (status === 0) status = yield* this.writeStep(this.fatImages(snapshot.directoryFat));
    if (status === 0) status = yield* this.writeStep(this.beforeMove(snapshot));
    if (status === 0) status = yield* this.writeStep(snapshot.linked);
    if (status === 0) status = yield* this.writeStep(this.fatImages(snapshot.fat));
    if (status === 0) status = yield* this.writeStep(heldBack);
    if (status === 0) status = yield* this.writeInfo(snapshot.frees);
    return status;
  }

  private *writePages(): Task<KernelReturn> {
    let status = 0;
    for (const inode of [...this.state.inodes.values()]) {
      if (!inode.mapping.hasDirtyPages && !inode.lock.isHeld) continue;
      // A write under way has clusters that are in the copies; its pages are dirty once it is over.
      yield* inode.lock.lockShared();
      const error = yield* settled(inode.mapping.writeAndWait(0, Number.MAX_SAFE_INTEGER));
      inode.lock.unlockShared();
      if (status === 0) status = error;
    }
    return status;
  }

  /**
   * Sizes in the copies become those that hold before the FAT is written. The directory sectors for after it. Comes after the pages: a
   * cut while the commit waited for them took some away, so that the size goes no further than that in either.
   */
  private holdBack({ inodes, fresh, linked }: Snapshot): BlockImage[] {
    const { sectorBytes } = this.state.geometry;
    const images = new Map([...fresh, ...linked].map((image) => [image.deviceBlock, image]));
    const later = new Map<number, BlockImage>();
    for (const { inode, entryByte, cutToBytes } of inodes) {
      if (inode.kind !== 'file') continue;
      // Cut to nothing, it starts elsewhere: nothing on the disk follows from there yet.
      const keptBytes = cutToBytes === 0 ? NEVER_CUT : cutToBytes;
      if (Math.min(keptBytes, inode.cutToBytes) === NEVER_CUT) continue;
      const deviceBlock = Math.floor(entryByte / sectorBytes);
      const image = images.get(deviceBlock);
      if (image === undefined) continue;
      const after = later.get(deviceBlock) ?? { deviceBlock, bytes: image.bytes.slice() };
      const [first, second] = [image, after].map(({ bytes }) => {
        const at = entryByte % sectorBytes;
        return new FatRecord('directory entry', deviceBlock, bytes.subarray(at, at + ENTRY_BYTES));
      }) as [FatRecord, FatRecord];
      const sizeBytes = Math.min(first.u32(ENTRY.size), inode.cutToBytes);
      const heldBytes = Math.min(sizeBytes, keptBytes);
      first.setU32(ENTRY.size, heldBytes);
      second.setU32(ENTRY.size, sizeBytes);
      if (heldBytes < sizeBytes) later.set(deviceBlock, after);
    }
    return [...later.values()];
  }

  private *writeImages(images: readonly BlockImage[]): Task<KernelReturn> {
    if (images.length === 0) return 0;
    return yield* writeBlockImages(this.state.kernel, this.state.device, images);
  }

  private *writeStep(images: readonly BlockImage[]): Task<KernelReturn> {
    if (images.length === 0) return 0;
    const error = yield* this.writeImages(images);
    return error < 0 ? error : yield* flushDevice(this.state.kernel, this.state.device);
  }

  /** The same content for every copy of the FAT (fat_mirror_bhs). */
  private fatImages(sectors: ReadonlyMap<number, Uint8Array>): BlockImage[] {
    const { reservedSectors, fatCount, fatSectors } = this.state.geometry;
    const images: BlockImage[] = [];
    for (let copy = 0; copy < fatCount; copy++) {
      const first = reservedSectors + copy * fatSectors;
      for (const [sector, bytes] of sectors) images.push({ deviceBlock: first + sector, bytes });
    }
    return images;
  }

  /** Directory sectors with entries that moved still in their old places, where the new place is in another sector. */
  private beforeMove(snapshot: Snapshot): BlockImage[] {
    if (snapshot.moved.size === 0) return [];
    const { sectorBytes } = this.state.geometry;
    return snapshot.linked.map((image) => {
      const bytes = image.bytes.slice();
      const first = image.deviceBlock * sectorBytes;
      for (let at = 0; at < sectorBytes; at += ENTRY_BYTES) {
        const old = snapshot.moved.get(first + at);
        if (old !== undefined) bytes.set(old, at);
      }
      return { deviceBlock: image.deviceBlock, bytes };
    });
  }

  /** FSInfo, where there is one and its numbers changed. */
  private *writeInfo(frees: readonly number[]): Task<KernelReturn> {
    const { state } = this;
    const { infoSector } = state.geometry;
    let freed = 0;
    for (let at = 1; at < frees.length; at += 2) freed += frees[at] as number;
    if (infoSector === 0 || (!state.isInfoDirty && freed === 0)) return 0;
    const buffer = yield* state.cache.load(infoSector);
    if (typeof buffer === 'number') return buffer;
    const record = new FatRecord('FSInfo', infoSector, buffer.bytes);
    record.setU32(INFO.freeClusters, state.freeClusters + freed);
    record.setU32(INFO.nextCluster, state.lastAllocated);
    const image = { deviceBlock: infoSector, bytes: buffer.bytes.slice() };
    state.cache.release(buffer);
    state.isInfoDirty = false;
    return yield* this.writeStep([image]);
  }

  private putBack(snapshot: Snapshot): void {
    const { state } = this;
    for (const buffer of snapshot.buffers) {
      state.cache.release(buffer);
      state.cache.markDirty(buffer, 0);
    }
    for (const { inode, cutToBytes, isEntryNew } of snapshot.inodes) {
      inode.cutToBytes = Math.min(inode.cutToBytes, cutToBytes);
      inode.isEntryNew ||= isEntryNew;
      inode.markDirty();
    }
    state.table.putBack(snapshot.fat.keys());
    state.pendingFrees = snapshot.frees.concat(state.pendingFrees);
    for (const [byte, old] of snapshot.moved) {
      if (!state.movedAway.has(byte)) state.movedAway.set(byte, old);
    }
    state.newDirectoryClusters = snapshot.newClusters.concat(state.newDirectoryClusters);
    state.isInfoDirty = true;
  }

  /** Step 7. */
  private settle(snapshot: Snapshot): void {
    const { state } = this;
    for (const buffer of snapshot.buffers) {
      state.cache.release(buffer);
      buffer.isUnlinked = false;
    }
    eachCluster(snapshot.frees, (cluster) => {
      if (state.table.peek(cluster) !== FREE) state.freeClusters++;
      state.table.freeInMemory(cluster);
      state.pendingFreeClusters--;
    });
    for (const byte of snapshot.reserved) state.reservedSlots.delete(byte);
  }
}

function eachCluster(runs: readonly number[], visit: (cluster: number) => void): void {
  for (let at = 0; at < runs.length; at += 2) {
    const end = (runs[at] as number) + (runs[at + 1] as number);
    for (let cluster = runs[at] as number; cluster < end; cluster++) visit(cluster);
  }
}
