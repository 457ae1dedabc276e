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
import { descriptorBlock } from './groups.ts';
import { ExtInode } from './inode.ts';
import { INO, ROOT_INODE } from './layout.ts';
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
      for (let block = first; block < first + groups.blocksIn(group); block++) {
        if (groups.isSystemBlock(block)) setBit(this.used, block);
      }
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
      const bitmap = yield* state.cache.load(groups.inodeBitmap[group] as number);
      if (typeof bitmap === 'number') {
        this.note('inode bitmap cannot be read', `group ${String(group)}`);
        continue;
      }
      yield* this.checkGroup(group, bitmap);
      state.cache.release(bitmap);
    }
  }

  private *checkGroup(group: number, bitmap: BlockBuffer): Task<void> {
    const { geometry, groups } = this.state;
    let used = 0;
    let directories = 0;
    for (let bit = 0; bit < geometry.inodesPerGroup && !this.isFull; bit++) {
      const number = group * geometry.inodesPerGroup + bit + 1;
      const isReserved = number < geometry.firstInode && number !== ROOT_INODE;
      const isMarked = testBit(bitmap.bytes, bit);
      if (isReserved && !isMarked) {
        this.note('reserved inode is not marked', `inode ${String(number)}`);
        continue;
      }
      const kind = yield* this.checkInode(number, isMarked, isReserved);
      if (kind === 'directory') directories++;
      if (kind === 'free' && isMarked) {
        this.mend('marked inode is not in use', `inode ${String(number)}`, () => {
          clearBit(bitmap.bytes, bit);
          this.state.cache.markDirty(bitmap, 0);
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
    inode.decode(record);
    state.cache.release(block);
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
    if (directory !== null) this.directories.push(directory);
    for (const what of inode.unsupported())
      this.note('inode uses what is not known', `${name}: ${what}`);
    if (inode.hasBlockMap) yield* this.checkBlocks(inode, name, directory);
    return directory !== null ? 'directory' : 'other';
  }

  private *checkBlocks(inode: ExtInode, name: string, directory: Directory | null): Task<void> {
    const { geometry } = this.state;
    let blocks = 0;
    let end = 0;
    const status = yield* this.blockMap.walk(inode, {
      data: (fileBlock, deviceBlock, count) => {
        this.claim(deviceBlock, count, name);
        blocks += count;
        end = fileBlock + count;
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
        for (const entry of readEntries(buffer.bytes, deviceBlock, state.geometry)) {
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

  private refer(inodeNumber: number, where: string): void {
    if (!testBit(this.inUse, inodeNumber)) this.note('entry leads to a free inode', where);
    else this.references[inodeNumber] = (this.references[inodeNumber] as number) + 1;
  }

  private checkLinks(): void {
    const { inodesCount } = this.state.geometry;
    if (!testBit(this.inUse, ROOT_INODE)) this.note('there is no root directory', 'inode 2');
    for (let number = 1; number <= inodesCount && !this.isFull; number++) {
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
      const bitmap = yield* state.cache.load(groups.blockBitmap[group] as number);
      if (typeof bitmap === 'number') {
        this.note('block bitmap cannot be read', where);
        continue;
      }
      const first = groups.firstBlock(group);
      let free = 0;
      for (let bit = 0; bit < groups.blocksIn(group); bit++) {
        const isMarked = testBit(bitmap.bytes, bit);
        const isUsed = testBit(this.used, first + bit);
        if (!isUsed) free++;
        if (isMarked === isUsed) continue;
        const rule = isUsed ? 'block in use is not marked' : 'marked block is not in use';
        this.mend(rule, `${where}, block ${String(first + bit)}`, () => {
          if (isUsed) setBit(bitmap.bytes, bit);
          else clearBit(bitmap.bytes, bit);
          state.cache.markDirty(bitmap, 0);
        });
      }
      state.cache.release(bitmap);
      if (free !== groups.freeBlocks(group)) {
        this.mend('free block count is wrong', where, () => {
          groups.addFreeBlocks(group, free - groups.freeBlocks(group));
        });
      }
    }
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
