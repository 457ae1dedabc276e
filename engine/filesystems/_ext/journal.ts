// SPDX-License-Identifier: GPL-2.0-only
/**
 * Replaying a journal (fs/jbd2/recovery.c) without writing: what it holds is laid over the device, and the file system is seen as it will
 * be after recovery. For writing an image is refused until e2fsck has replayed its journal.
 *
 *   scan: where does the log end? --> revoke: which blocks were freed later? --> replay: newest content of every other block
 *
 *   const recovered = yield* recoverJournal(state, blockMap);   // the device to mount instead, read only
 *
 * Rules: 1. A transaction counts with its commit block only; one without, or with a wrong checksum, ends the log, as does a block of
 * another sequence. 2. A block that a transaction revoked is not replayed from that transaction or earlier ones. 3. Every block number
 * is checked; no walk is longer than the log. 4. What the log says with a wrong checksum inside a committed transaction is damage, and a
 * refusal. 5. Fast commits that follow the log are refused by name: they are operations, not blocks.
 */
import { HostError, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type { BlockMap } from './block-map.ts';
import { crc32c } from './checksum.ts';
import { inodeLocation, inodeRecord } from './commit.ts';
import { damaged, DiskRecord } from './disk-record.ts';
import { ExtInode, kindOfMode } from './inode.ts';
import { RecoveredDevice } from './journal-device.ts';
import {
  FAST_COMMIT_BLOCKS_DEFAULT,
  JOURNAL_COMPAT,
  JOURNAL_INCOMPAT,
  JOURNAL_KIND,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK_BYTES,
  JS,
  TAG_FLAG,
} from './journal-layout.ts';
import {
  featureNames,
  INCOMPAT,
  INO,
  JOURNAL_INODE,
  SB,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
} from './layout.ts';
import type { ExtState } from './state.ts';

/** Replayed blocks are kept in memory. */
const REPLAYED_BYTES_MAX = 128 * 1024 * 1024;
const HEADER_BYTES = 12;
const REVOKE_HEADER_BYTES = 16;
const UUID_BYTES = 16;
const TAIL_BYTES = 4;
/** Offset of the checksum in a commit block. */
const COMMIT_CHECKSUM = 16;
/** Tag that begins an area of fast commits: kind u16, length u16, features u32, transaction u32; little endian. */
const FAST_COMMIT_HEAD = 9;

/** A journal as its superblock describes it. */
export interface JournalShape {
  readonly blocks: number;
  readonly first: number;
  /** First log block behind the ring. */
  readonly end: number;
  readonly start: number;
  readonly startSequence: number;
  readonly incompat: number;
  readonly seed: number;
}

interface Tag {
  readonly deviceBlock: number;
  readonly flags: number;
  readonly checksum: number;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function wayOut(message: string, where: string): HostError {
  return new HostError({
    code: 'image.needs-recovery',
    message,
    where,
    hint: 'Replay it on a copy: e2fsck -fy IMAGE, or diolab fsck --repair IMAGE.',
    exitCode: 65,
  });
}

/** The refusal for an image that is to be written while its journal has to be replayed. */
export function refuseDirtyJournal(device: BlockDevice, superblockBlock: number): HostError {
  return wayOut(
    `${device.name} has a journal that has to be replayed first (needs_recovery)`,
    `superblock, block ${String(superblockBlock)}, field feature_incompat`,
  );
}

/** Checks a journal's superblock. Throws `HostError` naming structure, block and field. */
export function readJournalShape(
  block: Uint8Array,
  deviceBlock: number,
  mappedBlocks: number,
): JournalShape {
  const sb = view(block);
  const bad = (field: string, found: number | string, expected: string): HostError =>
    damaged('journal superblock', deviceBlock, field, found, expected);
  const magic = sb.getUint32(JS.magic);
  if (magic !== JOURNAL_MAGIC) throw bad('h_magic', `0x${magic.toString(16)}`, '0xc03b3998');
  const kind = sb.getUint32(JS.kind);
  if (kind !== JOURNAL_KIND.superblockV1 && kind !== JOURNAL_KIND.superblockV2) {
    throw bad('h_blocktype', kind, '3 or 4');
  }
  const blockSize = sb.getUint32(JS.blockSize);
  if (blockSize !== block.length) throw bad('s_blocksize', blockSize, String(block.length));
  const blocks = sb.getUint32(JS.blocks);
  if (blocks > mappedBlocks || blocks < 2)
    throw bad('s_maxlen', blocks, `2 to ${String(mappedBlocks)}`);
  const hasFeatures = kind === JOURNAL_KIND.superblockV2;
  const incompat = hasFeatures ? sb.getUint32(JS.incompat) : 0;
  refuseFeatures(sb, deviceBlock, incompat, hasFeatures);
  const hasFast = (incompat & JOURNAL_INCOMPAT.fast_commit) !== 0;
  const fast = sb.getUint32(JS.fastCommitBlocks) || FAST_COMMIT_BLOCKS_DEFAULT;
  const end = hasFast ? blocks - fast : blocks;
  const first = sb.getUint32(JS.first);
  if (first < 1 || first >= end) throw bad('s_first', first, `1 to ${String(end - 1)}`);
  const start = sb.getUint32(JS.start);
  if (start !== 0 && (start < first || start >= end)) {
    throw bad('s_start', start, `0, or ${String(first)} to ${String(end - 1)}`);
  }
  const uuid = block.subarray(JS.uuid, JS.uuid + UUID_BYTES);
  const startSequence = sb.getUint32(JS.startSequence);
  return { blocks, first, end, start, startSequence, incompat, seed: crc32c(~0, uuid) };
}

function refuseFeatures(
  sb: DataView,
  deviceBlock: number,
  incompat: number,
  hasFeatures: boolean,
): void {
  const known = Object.values(JOURNAL_INCOMPAT).reduce((sum, bit) => sum | bit, 0);
  const names = featureNames(incompat & ~known, JOURNAL_INCOMPAT);
  const checksums = JOURNAL_INCOMPAT.csum_v2 | JOURNAL_INCOMPAT.csum_v3;
  const compat = hasFeatures ? sb.getUint32(JS.compat) : 0;
  if ((compat & JOURNAL_COMPAT.checksum) !== 0 && (incompat & checksums) === 0) {
    names.push('checksums of whole transactions (journal_checksum, version 1)');
  }
  if (names.length > 0) {
    const where = `journal superblock, block ${String(deviceBlock)}, field s_feature_incompat`;
    throw wayOut(`the journal uses ${names.join(', ')}`, where);
  }
  if ((incompat & checksums) === 0) return;
  const copy = new Uint8Array(sb.buffer, sb.byteOffset, JOURNAL_SUPERBLOCK_BYTES).slice();
  const said = view(copy).getUint32(JS.checksum);
  view(copy).setUint32(JS.checksum, 0);
  if (crc32c(~0, copy) !== said) {
    throw damaged('journal superblock', deviceBlock, 's_checksum', said, 'that of its bytes');
  }
}

/**
 * The device as it will be after recovery. `state` is of the image as it is, read only, and is given up afterwards. Throws `HostError`
 * where the journal is damaged or of a kind that is not known here.
 */
export function* recoverJournal(state: ExtState, blockMap: BlockMap): Task<BlockDevice> {
  const log = new Log(state, yield* mapJournal(state, blockMap));
  const blocks = yield* log.replay();
  yield* settleSuperblock(state, blocks);
  const { device, kernel, geometry } = state;
  return new RecoveredDevice(device, kernel.memory, geometry.blockBytes, blocks);
}

/** Device blocks of the journal's file, by block of the log. */
export function* mapJournal(state: ExtState, blockMap: BlockMap): Task<Float64Array> {
  const { superblock, geometry, cache } = state;
  const number = superblock.record.u32(SB.journalInode);
  if (number !== JOURNAL_INODE) {
    const where = `superblock, block ${String(superblock.deviceBlock)}, field journal_inum`;
    if (number === 0) throw wayOut('the journal is on another device', where);
    throw damaged('superblock', superblock.deviceBlock, 'journal_inum', number, '8');
  }
  const { deviceBlock } = inodeLocation(state, number);
  const table = yield* cache.load(deviceBlock);
  const bad = (field: string, found: number | string, expected: string): HostError =>
    damaged('inode 8 (journal)', deviceBlock, field, found, expected);
  if (typeof table === 'number') throw bad('record', 'unreadable', 'readable');
  let inode: ExtInode;
  try {
    const record = inodeRecord(state, number, table);
    if (kindOfMode(record.u16(INO.mode)) !== 'file') {
      throw bad('mode', record.u16(INO.mode), 'a regular file');
    }
    inode = new ExtInode(state, number, record.u16(INO.mode));
    inode.decode(record);
  } finally {
    cache.release(table);
  }
  const count = Math.floor(inode.sizeBytes / geometry.blockBytes);
  if (count > geometry.blocksCount) throw bad('size', inode.sizeBytes, 'at most the image');
  const map = new Float64Array(count);
  const status = yield* blockMap.walk(inode, {
    data: (fileBlock, first, run) => {
      for (let at = 0; at < run && fileBlock + at < count; at++) map[fileBlock + at] = first + at;
    },
    indirect: () => true,
  });
  if (status < 0) throw bad('i_block', 'unusable', 'a map of the journal');
  return map;
}

/** The superblock that is mounted: as replayed, with nothing left to replay. */
function* settleSuperblock(state: ExtState, blocks: Map<number, Uint8Array>): Task<void> {
  const { superblock, geometry } = state;
  const { deviceBlock } = superblock;
  const block = (blocks.get(deviceBlock) ?? superblock.block).slice();
  const offset = SUPERBLOCK_BYTE % geometry.blockBytes;
  const record = new DiskRecord('superblock', deviceBlock, block, offset, SUPERBLOCK_BYTES);
  record.setU32(SB.featureIncompat, record.u32(SB.featureIncompat) & ~INCOMPAT.needs_recovery);
  state.checksums.sealSuperblock(record);
  blocks.set(deviceBlock, block);
}

/** The log of one journal. */
class Log {
  private shape: JournalShape | null = null;

  constructor(
    private readonly state: ExtState,
    private readonly map: Float64Array,
  ) {}

  *replay(): Task<Map<number, Uint8Array>> {
    const blocks = new Map<number, Uint8Array>();
    const shape = readJournalShape(yield* this.read(0), this.map[0] as number, this.map.length);
    this.shape = shape;
    const revoked = new Map<number, number>();
    let end = shape.startSequence;
    if (shape.start !== 0) {
      end = yield* this.walk(shape, null, null, revoked);
      yield* this.walk(shape, end, blocks, revoked);
    }
    yield* this.refuseFastCommits(shape, end);
    return blocks;
  }

  /** A block of the log; its bytes are good until the next one is read. */
  private *read(index: number): Task<Uint8Array> {
    const deviceBlock = this.map[index] ?? 0;
    if (deviceBlock === 0) {
      throw damaged('inode 8 (journal)', 0, `block ${String(index)}`, 'a hole', 'a block');
    }
    const { cache } = this.state;
    const buffer = yield* cache.load(deviceBlock);
    if (typeof buffer === 'number') {
      throw damaged('journal', deviceBlock, 'block', 'unreadable', 'readable');
    }
    const { bytes } = buffer;
    cache.release(buffer);
    return bytes;
  }

  /**
   * Walks over the transactions. Without `end`: up to where the log ends, gathering what was revoked on the way; the sequence behind
   * the last whole transaction. With `end`: up to there, taking the blocks.
   */
  private *walk(
    shape: JournalShape,
    end: number | null,
    blocks: Map<number, Uint8Array> | null,
    revoked: Map<number, number>,
  ): Task<number> {
    let sequence = shape.startSequence;
    let at = shape.start;
    /** Of the transaction that is being read; they count with its commit. */
    let found: number[] = [];
    const step = (from: number, count: number): number => {
      const next = from + count;
      return next >= shape.end ? next - (shape.end - shape.first) : next;
    };
    for (let visited = 0; visited <= shape.end && sequence !== end; visited++) {
      const bytes = yield* this.read(at);
      const header = view(bytes);
      if (header.getUint32(0) !== JOURNAL_MAGIC || header.getUint32(8) !== sequence) break;
      const kind = header.getUint32(4);
      const here = at;
      at = step(at, 1);
      if (kind === JOURNAL_KIND.descriptor) {
        if (end === null && !this.isTailGood(bytes)) break;
        const tags = this.tagsOf(bytes);
        if (tags.length > shape.end) break;
        if (blocks === null) at = step(at, tags.length);
        else {
          for (const tag of tags) {
            yield* this.take(tag, at, sequence, blocks, revoked);
            at = step(at, 1);
          }
        }
        visited += tags.length;
      } else if (kind === JOURNAL_KIND.revoke) {
        if (end === null && !this.isTailGood(bytes)) break;
        if (end === null) found.push(...this.revokesOf(bytes, here));
      } else if (kind === JOURNAL_KIND.commit) {
        if (end === null && !this.isCommitGood(bytes)) break;
        for (const block of found) revoked.set(block, sequence);
        found = [];
        sequence = (sequence + 1) >>> 0;
      } else break;
    }
    return sequence;
  }

  private has(feature: number): boolean {
    return ((this.shape?.incompat ?? 0) & feature) !== 0;
  }
  private get hasChecksums(): boolean {
    return this.has(JOURNAL_INCOMPAT.csum_v2 | JOURNAL_INCOMPAT.csum_v3);
  }
  private get seed(): number {
    return this.shape?.seed ?? 0;
  }

  private isTailGood(bytes: Uint8Array): boolean {
    return this.isSealed(bytes, bytes.length - TAIL_BYTES);
  }
  private isCommitGood(bytes: Uint8Array): boolean {
    return this.isSealed(bytes, COMMIT_CHECKSUM);
  }
  /** The checksum at `offset` is that of the block with zeros in its place. */
  private isSealed(bytes: Uint8Array, offset: number): boolean {
    if (!this.hasChecksums) return true;
    const said = view(bytes).getUint32(offset);
    let crc = crc32c(this.seed, bytes, 0, offset);
    crc = crc32c(crc, new Uint8Array(TAIL_BYTES));
    return crc32c(crc, bytes, offset + TAIL_BYTES) === said;
  }

  private tagsOf(bytes: Uint8Array): Tag[] {
    const fields = view(bytes);
    const isV3 = this.has(JOURNAL_INCOMPAT.csum_v3);
    const isWide = this.has(JOURNAL_INCOMPAT['64bit']);
    const extra = this.has(JOURNAL_INCOMPAT.csum_v2) ? 2 : 0;
    const tagBytes = isV3 ? 16 : 8 + (isWide ? 4 : 0) + extra;
    const end = bytes.length - (this.hasChecksums ? TAIL_BYTES : 0);
    const tags: Tag[] = [];
    for (let at = HEADER_BYTES; at + tagBytes <= end;) {
      const flags = isV3 ? fields.getUint32(at + 4) : fields.getUint16(at + 6);
      const high = isWide ? fields.getUint32(at + 8) : 0;
      const deviceBlock = fields.getUint32(at) + high * 2 ** 32;
      const checksum = isV3 ? fields.getUint32(at + 12) : fields.getUint16(at + 4);
      tags.push({ deviceBlock, flags, checksum });
      at += tagBytes + ((flags & TAG_FLAG.sameUuid) === 0 ? UUID_BYTES : 0);
      if ((flags & TAG_FLAG.last) !== 0) break;
    }
    return tags;
  }

  private revokesOf(bytes: Uint8Array, index: number): number[] {
    const fields = view(bytes);
    const each = this.has(JOURNAL_INCOMPAT['64bit']) ? 8 : 4;
    const used = fields.getUint32(HEADER_BYTES);
    const most = bytes.length - (this.hasChecksums ? TAIL_BYTES : 0);
    if (used > most || used < REVOKE_HEADER_BYTES) {
      const where = `journal revoke block in log block ${String(index)}`;
      throw damaged(where, this.map[index] as number, 'r_count', used, `16 to ${String(most)}`);
    }
    const blocks: number[] = [];
    for (let at = REVOKE_HEADER_BYTES; at + each <= used; at += each) {
      const high = each === 8 ? fields.getUint32(at) : 0;
      blocks.push(high * 2 ** 32 + fields.getUint32(at + each - 4));
    }
    return blocks;
  }

  /** One block of a committed transaction. */
  private *take(
    tag: Tag,
    index: number,
    sequence: number,
    blocks: Map<number, Uint8Array>,
    revoked: ReadonlyMap<number, number>,
  ): Task<void> {
    if (tag.deviceBlock >= this.state.geometry.blocksCount) {
      const where = `journal descriptor before log block ${String(index)}`;
      const place = this.map[index] as number;
      throw damaged(where, place, 't_blocknr', tag.deviceBlock, 'a block inside the image');
    }
    const revokedBy = revoked.get(tag.deviceBlock);
    if (revokedBy !== undefined && ((revokedBy - sequence) | 0) >= 0) return;
    const bytes = (yield* this.read(index)).slice();
    this.checkTag(tag, bytes, index, sequence);
    if ((tag.flags & TAG_FLAG.escaped) !== 0) view(bytes).setUint32(0, JOURNAL_MAGIC);
    blocks.set(tag.deviceBlock, bytes);
    if (blocks.size * bytes.length > REPLAYED_BYTES_MAX) {
      const mib = String(REPLAYED_BYTES_MAX / 1024 / 1024);
      throw wayOut(`the journal holds more than ${mib} MiB to replay`, 'journal, inode 8');
    }
  }

  /** jbd2_block_tag_csum_verify: of the block as it is in the log. */
  private checkTag(tag: Tag, bytes: Uint8Array, index: number, sequence: number): void {
    if (!this.hasChecksums) return;
    const number = new Uint8Array(4);
    view(number).setUint32(0, sequence);
    const crc = crc32c(crc32c(this.seed, number), bytes);
    const expected = this.has(JOURNAL_INCOMPAT.csum_v3) ? crc : crc & 0xffff;
    if (expected === tag.checksum) return;
    const where = `journal, log block ${String(index)} for block ${String(tag.deviceBlock)}`;
    const said = `0x${tag.checksum.toString(16)}`;
    throw damaged(where, this.map[index] as number, 't_checksum', said, 'that of the block');
  }

  /** Fast commits count where they follow the last whole transaction. */
  private *refuseFastCommits(shape: JournalShape, sequence: number): Task<void> {
    if (!this.has(JOURNAL_INCOMPAT.fast_commit)) return;
    // The block right behind the ring belongs to neither.
    const area = shape.end + 1;
    const head = view(yield* this.read(area));
    const isHead = head.getUint16(0, true) === FAST_COMMIT_HEAD;
    if (!isHead || head.getUint32(8, true) !== sequence) return;
    const where = `fast commit area, block ${String(this.map[area])}, field fc_tid`;
    throw wayOut('the journal holds fast commits (fast_commit) that were not replayed', where);
  }
}
