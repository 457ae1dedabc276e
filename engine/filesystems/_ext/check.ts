// SPDX-License-Identifier: GPL-2.0-only
/**
 * A small fsck: reads the whole image's metadata and says what contradicts what. Used by tests after every random run, and by mount
 * on an image that was not left clean; then it also brings bitmaps and counters (rules 2 and 3) in line with the inodes, in the
 * buffer cache, since those are all that our own order of writing leaves behind (commit.ts).
 *
 * Rules checked: 1. no block has two owners, none lies outside; 2. the bitmaps mark exactly what is in use; 3. counters agree;
 * 4. directories are sound, every entry leads to an inode in use of the same kind, every inode in use is reached, link counts agree;
 * 5. sizes cover the blocks, and i_blocks counts them.
 */
import type { Task } from '../../base/index.ts';
import { HostError } from '../../base/index.ts';
import type { BlockBuffer } from '../../vfs/index.ts';
import { clearBit, setBit, testBit } from './bitmap.ts';
import type { BlockMap } from './block-map.ts';
import { inodeLocation, inodeRecord } from './commit.ts';
import { decodeName } from './text.ts';
import { readEntries } from './directory.ts';
import { countOffsetOf } from './directory-index.ts';
import type { DiskRecord } from './disk-record.ts';
import { descriptorBlock } from './groups.ts';
import { ExtInode } from './inode.ts';
import { COMPAT, GROUP_FLAG, INO, ROOT_INODE, SB } from './layout.ts';
import type { ExtState } from './state.ts';

export interface Finding {
  readonly rule: string;
  readonly where: string;
}

/** Beyond so many findings the image is damaged enough. */
const FINDINGS_MAX = 50;

interface Directory {
  readonly inode: ExtInode;
  readonly blocks: number[];
}

class Checker {
  readonly findings: Finding[] = [];
  private readonly used: Uint8Array;
  private readonly inUse: Uint8Array;
  private readonly isFolder: Uint8Array;
  /** The file in which the kernel lists orphans has no name; 0: there is none. */
  private readonly orphanFile: number;
  private readonly links: Uint16Array;
  private readonly references: Uint16Array;
  private readonly directories: Directory[] = [];
  private readonly aclBlocks = new Set<number>();

  /** Bits and counters brought in line. */
  repairCount = 0;

  constructor(
    private readonly state: ExtState,
    private readonly blockMap: BlockMap,
    private readonly repairs: boolean,
  ) {
    const { blocksCount, inodesCount } = state.geometry;
    this.used = new Uint8Array(Math.ceil(blocksCount / 8));
    this.inUse = new Uint8Array(Math.ceil((inodesCount + 1) / 8));
    const hasOrphanFile = (state.superblock.compat & COMPAT.orphan_file) !== 0;
    this.orphanFile = hasOrphanFile ? state.superblock.record.u32(SB.orphanFileInode) : 0;
    this.isFolder = new Uint8Array(Math.ceil((inodesCount + 1) / 8));
    this.links = new Uint16Array(inodesCount + 1);
    this.references = new Uint16Array(inodesCount + 1);
  }

  *run(): Task<readonly Finding[]> {
    this.markSystemBlocks();
    yield* this.checkInodes();
    for (const directory of this.directories) {
      if (this.isFull) break;
      yield* this.checkDirectory(directory);
    }
    this.checkLinks();
    if (!this.isFull) yield* this.checkBitmaps();
    return this.findings;
  }

  private get isFull(): boolean {
    return this.findings.length >= FINDINGS_MAX;
  }
  private note(rule: string, where: string): void {
    if (!this.isFull) this.findings.push({ rule, where });
  }

  /** What a repair puts right; without one it is a finding. */
  private mend(rule: string, where: string, repair: () => void): void {
    if (!this.repairs) {
      this.note(rule, where);
      return;
    }
    repair();
    this.repairCount++;
  }

  private markSystemBlocks(): void {
    const { groups, geometry } = this.state;
    for (let group = 0; group < geometry.groupCount; group++) {
      const first = groups.firstBlock(group);
      groups.eachSystemRun(group, (from, to) => {
        for (let bit = from; bit < to; bit++) setBit(this.used, first + bit);
      });
    }
    const descriptors = Math.ceil(geometry.groupCount / geometry.descriptorsPerBlock);
    for (let index = 0; index < descriptors; index++) {
      setBit(this.used, descriptorBlock(geometry, index));
    }
  }

  private claim(block: number, count: number, who: string): void {
    const { blocksCount } = this.state.geometry;
    for (let at = block; at < block + count && !this.isFull; at++) {
      if (at >= blocksCount) this.note('block outside the image', `${who}, block ${String(at)}`);
      else if (testBit(this.used, at))
        this.note('block has two owners', `${who}, block ${String(at)}`);
      else setBit(this.used, at);
    }
  }

  private *checkInodes(): Task<void> {
    const { state } = this;
    const { geometry, groups } = state;
    for (let group = 0; group < geometry.groupCount && !this.isFull; group++) {
      if (groups.hasFlag(group, GROUP_FLAG.inodeUninit)) {
        this.checkUnusedGroup(group);
        continue;
      }
      const bitmap = yield* state.cache.load(groups.inodeBitmap[group] as number);
      if (typeof bitmap === 'number') {
        this.note('inode bitmap cannot be read', `group ${String(group)}`);
        continue;
      }
      const isUnsealed = groups.unsealedInodeBitmaps.has(group);
      if (!isUnsealed && !groups.isInodeBitmapGood(group, bitmap.bytes)) {
        this.mend('checksum of the inode bitmap is wrong', `group ${String(group)}`, () => {
          this.changeInodeBitmap(group, bitmap);
        });
      }
      yield* this.checkGroup(group, bitmap);
      state.cache.release(bitmap);
    }
  }

  /** Nothing was ever made in it, and its bitmap never written. */
  private checkUnusedGroup(group: number): void {
    const { geometry, groups } = this.state;
    const where = `group ${String(group)}`;
    const missing = geometry.inodesPerGroup - groups.freeInodes(group);
    if (missing !== 0) {
      this.mend('free inode count is wrong', where, () => {
        groups.addFreeInodes(group, missing);
      });
    }
    if (groups.directories(group) !== 0) {
      this.mend('directory count is wrong', where, () => {
        groups.addDirectories(group, -groups.directories(group));
      });
    }
  }

  private changeInodeBitmap(group: number, bitmap: BlockBuffer): void {
    this.state.groups.unsealedInodeBitmaps.add(group);
    this.state.cache.markDirty(bitmap, 0);
  }

  private *checkGroup(group: number, bitmap: BlockBuffer): Task<void> {
    const { geometry, groups } = this.state;
    let used = 0;
    let directories = 0;
    const everUsed = geometry.inodesPerGroup - groups.unusedInodes(group);
    for (let bit = 0; bit < geometry.inodesPerGroup && !this.isFull; bit++) {
      const number = group * geometry.inodesPerGroup + bit + 1;
      const isReserved = number < geometry.firstInode && number !== ROOT_INODE;
      const isMarked = testBit(bitmap.bytes, bit);
      if (isReserved && !isMarked) {
        this.note('reserved inode is not marked', `inode ${String(number)}`);
        continue;
      }
      if (bit >= everUsed) {
        if (isMarked) this.note('marked inode lies in the unused part', `inode ${String(number)}`);
        continue;
      }
      const kind = yield* this.checkInode(number, isMarked, isReserved);
      if (kind === 'directory') directories++;
      if (kind === 'free' && isMarked) {
        this.mend('marked inode is not in use', `inode ${String(number)}`, () => {
          clearBit(bitmap.bytes, bit);
          this.changeInodeBitmap(group, bitmap);
        });
      }
      if (testBit(bitmap.bytes, bit)) used++;
    }
    const where = `group ${String(group)}`;
    if (this.isFull) return;
    const free = geometry.inodesPerGroup - used;
    if (free !== groups.freeInodes(group)) {
      this.mend('free inode count is wrong', where, () => {
        groups.addFreeInodes(group, free - groups.freeInodes(group));
      });
    }
    if (directories !== groups.directories(group)) {
      this.mend('directory count is wrong', where, () => {
        groups.addDirectories(group, directories - groups.directories(group));
      });
    }
  }

  /** What the inode turns out to be; 'free' also for one that is marked and not in use. */
  private *checkInode(
    number: number,
    isMarked: boolean,
    isReserved: boolean,
  ): Task<'free' | 'directory' | 'other'> {
    const { state } = this;
    const block = yield* state.cache.load(inodeLocation(state, number).deviceBlock);
    const name = `inode ${String(number)}`;
    if (typeof block === 'number') {
      this.note('inode table cannot be read', name);
      return 'other';
    }
    const record = inodeRecord(state, number, block);
    const inode = new ExtInode(state, number, record.u16(INO.mode));
    const isInUse = isMarked && record.u16(INO.linkCount) > 0;
    const isSealed = !isInUse || state.checksums.isInodeGood(record, number);
    const isSound = this.decode(inode, record, name);
    state.cache.release(block);
    if (!isSealed) this.note('checksum of the inode is wrong', name);
    if (!isSound) return 'other';
    if (!isMarked) {
      if (inode.linkCount > 0 && inode.mode !== 0) this.note('inode in use is not marked', name);
      return 'free';
    }
    if (isReserved) {
      if (inode.hasBlockMap || inode.sectorCount > 0) yield* this.checkBlocks(inode, name, null);
      return 'other';
    }
    if (inode.linkCount === 0) return 'free';
    setBit(this.inUse, number);
    this.links[number] = inode.linkCount;
    const directory = inode.kind === 'directory' ? { inode, blocks: [] as number[] } : null;
    if (directory !== null) {
      this.directories.push(directory);
      setBit(this.isFolder, number);
    }
    for (const what of inode.unsupported())
      this.note('inode uses what is not known', `${name}: ${what}`);
    if (inode.hasBlockMap) yield* this.checkBlocks(inode, name, directory);
    return directory !== null ? 'directory' : 'other';
  }

  private decode(inode: ExtInode, record: DiskRecord, name: string): boolean {
    try {
      inode.decode(record);
      return true;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.note('inode is damaged', `${name}: ${error.message}`);
      return false;
    }
  }

  private *checkBlocks(inode: ExtInode, name: string, directory: Directory | null): Task<void> {
    const { geometry } = this.state;
    let blocks = 0;
    let end = 0;
    const status = yield* this.blockMap.walk(inode, {
      data: (fileBlock, deviceBlock, count, isUnwritten) => {
        this.claim(deviceBlock, count, name);
        blocks += count;
        // Unwritten blocks may lie beyond the end of the file.
        if (!isUnwritten) end = fileBlock + count;
        if (directory === null) return;
        if (directory.blocks.length !== fileBlock) this.note('directory has a hole', name);
        for (let index = 0; index < count; index++) directory.blocks.push(deviceBlock + index);
      },
      indirect: (deviceBlock) => {
        const isFresh = !testBit(this.used, deviceBlock);
        this.claim(deviceBlock, 1, name);
        blocks++;
        return isFresh && !this.isFull;
      },
    });
    if (status < 0) this.note('block pointer is wrong', name);
    if (inode.aclBlock !== 0) {
      blocks++;
      if (!this.aclBlocks.has(inode.aclBlock)) this.claim(inode.aclBlock, 1, name);
      this.aclBlocks.add(inode.aclBlock);
    }
    const isReserved = inode.inodeNumber < geometry.firstInode && inode.inodeNumber !== ROOT_INODE;
    if (isReserved) return;
    const size = inode.sizeBytes;
    if (end * geometry.blockBytes > Math.ceil(size / geometry.blockBytes) * geometry.blockBytes) {
      this.note('blocks beyond the end of the file', name);
    }
    if ((blocks * geometry.blockBytes) / 512 !== inode.sectorCount) {
      this.note('count of sectors is wrong', name);
    }
    if (directory !== null && end * geometry.blockBytes !== size) {
      this.note('size of the directory is wrong', name);
    }
  }

  private *checkDirectory({ inode, blocks }: Directory): Task<void> {
    const { state } = this;
    const own = `directory ${String(inode.inodeNumber)}`;
    const seen = new Set<string>();
    for (const deviceBlock of blocks) {
      if (this.isFull) return;
      const buffer = yield* state.cache.load(deviceBlock);
      if (typeof buffer === 'number') {
        this.note('directory block cannot be read', own);
        continue;
      }
      try {
        if (!this.isDirectorySealed(inode, buffer.bytes)) {
          this.note(
            'checksum of a directory block is wrong',
            `${own}, block ${String(deviceBlock)}`,
          );
        }
        for (const entry of readEntries(this.roomOf(buffer), deviceBlock, state.geometry)) {
          if (entry.inodeNumber === 0) continue;
          const name = decodeName(entry.name);
          if (seen.has(name)) this.note('name is there twice', `${own}, ${name}`);
          seen.add(name);
          this.refer(entry.inodeNumber, `${own}, entry ${name}`);
        }
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        this.note('directory block is damaged', `${own}: ${error.message}`);
      } finally {
        state.cache.release(buffer);
      }
    }
    if (!seen.has('.') || !seen.has('..')) this.note('directory has no . or ..', own);
  }

  private isDirectorySealed(directory: ExtInode, bytes: Uint8Array): boolean {
    const { checksums } = this.state;
    if (!checksums.coversAll) return true;
    const seed = directory.checksumSeed;
    if (checksums.hasDirectoryTail(bytes)) return checksums.isDirectoryGood(bytes, seed);
    const offset = countOffsetOf(bytes);
    return offset > 0 && checksums.isIndexGood(bytes, offset, seed);
  }

  private roomOf({ bytes }: BlockBuffer): Uint8Array {
    const { checksums } = this.state;
    if (!checksums.coversAll || !checksums.hasDirectoryTail(bytes)) return bytes;
    return bytes.subarray(0, checksums.directoryRoom(bytes.length));
  }

  private refer(inodeNumber: number, where: string): void {
    if (!testBit(this.inUse, inodeNumber)) this.note('entry leads to a free inode', where);
    else this.references[inodeNumber] = (this.references[inodeNumber] as number) + 1;
  }

  private checkLinks(): void {
    const { inodesCount } = this.state.geometry;
    if (!testBit(this.inUse, ROOT_INODE)) this.note('there is no root directory', 'inode 2');
    for (let number = 1; number <= inodesCount && !this.isFull; number++) {
      // dir_nlink: a folder with more subfolders than links can count has one.
      const isUncounted =
        this.state.geometry.hasManyLinks &&
        this.links[number] === 1 &&
        testBit(this.isFolder, number);
      if (isUncounted || number === this.orphanFile) continue;
      if (testBit(this.inUse, number) && this.links[number] !== this.references[number]) {
        const found = `${String(this.references[number])} entries`;
        const said = `${String(this.links[number])} links`;
        this.note('link count is wrong', `inode ${String(number)}: ${said}, ${found}`);
      }
    }
  }

  private *checkBitmaps(): Task<void> {
    const { state } = this;
    const { groups, geometry } = state;
    for (let group = 0; group < geometry.groupCount && !this.isFull; group++) {
      const where = `group ${String(group)}`;
      if (groups.hasFlag(group, GROUP_FLAG.blockUninit)) {
        this.checkUnwrittenBitmap(group);
        continue;
      }
      const bitmap = yield* state.cache.load(groups.blockBitmap[group] as number);
      if (typeof bitmap === 'number') {
        this.note('block bitmap cannot be read', where);
        continue;
      }
      const isUnsealed = groups.unsealedBlockBitmaps.has(group);
      if (!isUnsealed && !groups.isBlockBitmapGood(group, bitmap.bytes)) {
        this.mend('checksum of the block bitmap is wrong', where, () => {
          this.changeBlockBitmap(group, bitmap);
        });
      }
      this.compareBitmap(group, bitmap.bytes, () => {
        this.changeBlockBitmap(group, bitmap);
      });
      state.cache.release(bitmap);
    }
  }

  private changeBlockBitmap(group: number, bitmap: BlockBuffer): void {
    this.state.groups.unsealedBlockBitmaps.add(group);
    this.state.cache.markDirty(bitmap, 0);
  }

  /** A bitmap that stands for its initial content; where that is not so any more a repair writes it. */
  private checkUnwrittenBitmap(group: number): void {
    const { groups, cache, geometry } = this.state;
    const bytes = new Uint8Array(geometry.blockBytes);
    groups.fillBlockBitmap(group, bytes);
    let hasChanged = false;
    this.compareBitmap(group, bytes, () => {
      hasChanged = true;
    });
    if (!hasChanged) return;
    const buffer = cache.create(groups.blockBitmap[group] as number, 0);
    if (buffer === null) {
      this.note('there is no memory for a block bitmap', `group ${String(group)}`);
      return;
    }
    buffer.bytes.set(bytes);
    buffer.isUnlinked = false;
    groups.clearFlag(group, GROUP_FLAG.blockUninit);
    groups.unsealedBlockBitmaps.add(group);
    cache.release(buffer);
  }

  private compareBitmap(group: number, bytes: Uint8Array, changed: () => void): void {
    const { groups } = this.state;
    const where = `group ${String(group)}`;
    const first = groups.firstBlock(group);
    let free = 0;
    for (let bit = 0; bit < groups.blocksIn(group) && !this.isFull; bit++) {
      const isMarked = testBit(bytes, bit);
      const isUsed = testBit(this.used, first + bit);
      if (!isUsed) free++;
      if (isMarked === isUsed) continue;
      const rule = isUsed ? 'block in use is not marked' : 'marked block is not in use';
      this.mend(rule, `${where}, block ${String(first + bit)}`, () => {
        if (isUsed) setBit(bytes, bit);
        else clearBit(bytes, bit);
        changed();
      });
    }
    if (free === groups.freeBlocks(group) || this.isFull) return;
    this.mend('free block count is wrong', where, () => {
      groups.addFreeBlocks(group, free - groups.freeBlocks(group));
    });
  }
}

/** Findings of the image as it is on the disk and in the buffer cache; empty: sound. Changes nothing. */
export function* checkImage(state: ExtState, blockMap: BlockMap): Task<readonly Finding[]> {
  return yield* new Checker(state, blockMap, false).run();
}

/**
 * The same, with bitmaps and counters brought in line in the buffer cache. Where there are findings beside those, the caller throws
 * the cache away; else the next commit writes what was mended.
 */
export function* mendImage(
  state: ExtState,
  blockMap: BlockMap,
): Task<{ readonly findings: readonly Finding[]; readonly repairCount: number }> {
  const checker = new Checker(state, blockMap, true);
  const findings = yield* checker.run();
  return { findings, repairCount: checker.repairCount };
}
