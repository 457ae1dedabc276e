// SPDX-License-Identifier: GPL-2.0-only
/** What a block belongs to and what its fields say, with the names of xfs_db. From the block's own bytes and the survey. */
import { fail, succeed, type Result, type Task } from '../../base/index.ts';
import type { BlockDescription, BlockRange, StructureField } from '../../vfs/index.ts';
import { decodeExtent } from './extent-list.ts';
import {
  AGF,
  AGFL,
  AGFL_HEADER_BYTES,
  AGI,
  BMAP_MAGIC,
  FORK_FORMAT,
  INODE,
  INODE3,
  INODE_CORE_BYTES,
  INODE_FLAG2,
  INODE_MAGIC,
  LONG_BLOCK,
  MAGIC,
  SB,
  SHORT_BLOCK,
  TREE,
} from './layout.ts';
import { hex, XfsRecord, type Field } from './record.ts';
import { fieldText } from './values.ts';
import type { XfsVolume } from './volume.ts';

/** Records, keys, pointers and entries shown of one block. */
const ROWS_MAX = 256;
type FieldTable = Readonly<Record<string, Field>>;

export function* describeXfsBlock(
  volume: XfsVolume,
  ranges: readonly BlockRange[],
  deviceBlock: number,
): Task<Result<BlockDescription>> {
  const found = rangeOf(ranges, deviceBlock);
  if (found === null) return fail('EINVAL', `there is no block ${String(deviceBlock)}`);
  const behind = deviceBlock - found.deviceBlock;
  const range: BlockRange = {
    ...found,
    deviceBlock,
    count: 1,
    fileBlock: found.fileBlock === null ? null : found.fileBlock + behind,
  };
  if (range.use === 'outside') {
    return succeed({ range, title: 'outside the file system', fields: [] });
  }
  const bytes = yield* volume.bytes(deviceBlock);
  const rows = new Rows(volume, new XfsRecord('block', deviceBlock, bytes));
  const group = volume.groupOf(deviceBlock);
  return succeed({ range, title: titleOf(range, group, rows), fields: rows.fields });
}

function rangeOf(ranges: readonly BlockRange[], deviceBlock: number): BlockRange | null {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle] as BlockRange;
    if (range.deviceBlock + range.count <= deviceBlock) low = middle + 1;
    else high = middle;
  }
  const range = ranges[low];
  return range !== undefined && range.deviceBlock <= deviceBlock ? range : null;
}

function titleOf(range: BlockRange, group: number, rows: Rows): string {
  const ofGroup = `of group ${String(group)}`;
  const ofInode = range.inodeNumber === null ? '' : ` of inode ${String(range.inodeNumber)}`;
  switch (range.use) {
    case 'superblock':
    case 'descriptors':
      return `${rows.headers(group)} ${ofGroup}`;
    case 'inodes':
      rows.inodes();
      return `inodes ${ofGroup}`;
    case 'tree':
      return `${rows.tree()} ${ofGroup}`;
    case 'map':
      rows.map();
      return `bmbt block${ofInode}`;
    case 'directory':
      return `${rows.directory()}${ofInode}`;
    case 'journal':
      return 'log';
    case 'data':
    case 'unwritten':
      return range.use === 'data' ? `data${ofInode}` : `unwritten block${ofInode}`;
    case 'reserved':
      return ofInode === '' ? `reserved block ${ofGroup}` : `extended attributes${ofInode}`;
    default:
      return `${range.use} block ${ofGroup}`;
  }
}

/** Fields of one block as they are met. */
class Rows {
  readonly fields: StructureField[] = [];
  private readonly hasCrc: boolean;

  constructor(
    private readonly volume: XfsVolume,
    private readonly record: XfsRecord,
  ) {
    this.hasCrc = volume.geometry.hasCrc;
  }

  private add(name: string, offsetBytes: number, lengthBytes: number, value: string): void {
    this.fields.push({ name, offsetBytes, lengthBytes, value, help: '' });
  }

  private table(
    table: FieldTable,
    at: number,
    limit: number,
    prefix = '',
    isBigTime = false,
  ): void {
    const part = this.record.part(this.record.structure, at, limit);
    for (const field of Object.values(table)) {
      if (field.at + field.lengthBytes > limit) continue;
      const value = fieldText(part, field, isBigTime);
      this.add(prefix + field.name, at + field.at, field.lengthBytes, value);
    }
  }

  // Headers of a group ----------------------------------------------------------------------------

  /** The sectors of headers that this block holds; returns what they are. */
  headers(group: number): string {
    const { sectorBytes, blockBytes, groupBlocks } = this.volume.geometry;
    const first = ((this.record.deviceBlock - group * groupBlocks) * blockBytes) / sectorBytes;
    const names: string[] = [];
    for (let at = 0; at < blockBytes; at += sectorBytes) {
      const name = this.header(first + at / sectorBytes, at, sectorBytes);
      if (name !== null) names.push(name);
    }
    return names.join(', ');
  }

  private header(sector: number, at: number, sectorBytes: number): string | null {
    const limit = (five: number, four: number): number =>
      Math.min(sectorBytes, this.hasCrc ? five : four);
    if (sector === 0) {
      this.table(SB, at, limit(264, 208), 'sb.');
      return 'superblock';
    }
    if (sector === 1) {
      this.table(AGF, at, limit(224, 64), 'agf.');
      return 'AGF';
    }
    if (sector === 2) {
      this.table(AGI, at, limit(344, 296), 'agi.');
      return 'AGI';
    }
    if (sector !== 3) return null;
    if (this.hasCrc) this.table(AGFL, at, AGFL_HEADER_BYTES, 'agfl.');
    const from = this.hasCrc ? AGFL_HEADER_BYTES : 0;
    for (let index = 0; from + index * 4 + 4 <= sectorBytes && index < ROWS_MAX; index++) {
      const value = this.record.u32(at + from + index * 4);
      const text = value === 0xffffffff ? 'null' : String(value);
      this.add(`agfl.bno[${String(index)}]`, at + from + index * 4, 4, text);
    }
    return 'AGFL';
  }

  // Inodes ----------------------------------------------------------------------------------------

  inodes(): void {
    const { inodeBytes, inodesPerBlock } = this.volume.geometry;
    for (let slot = 0; slot < inodesPerBlock; slot++) this.inode(slot, slot * inodeBytes);
  }

  private inode(slot: number, at: number): void {
    const { record } = this;
    const { inodeBytes } = this.volume.geometry;
    const prefix = `inode[${String(slot)}].`;
    const version = record.u8(at + INODE.version.at);
    const isThree = version === 3;
    const flags2 = isThree ? record.u32(at + INODE3.flags2.at + 4) : 0;
    const isBigTime = (flags2 & INODE_FLAG2.bigtime) !== 0;
    this.table(INODE, at, INODE_CORE_BYTES[0], prefix, isBigTime);
    if (isThree) this.table(INODE3, at, INODE_CORE_BYTES[1], prefix, isBigTime);
    if (record.u16(at) !== INODE_MAGIC || record.u16(at + INODE.mode.at) === 0) return;
    const core = INODE_CORE_BYTES[isThree ? 1 : 0];
    const forkOffset = record.u8(at + INODE.forkoff.at) * 8;
    const room = Math.min(forkOffset === 0 ? inodeBytes : forkOffset, inodeBytes - core);
    const format = record.u8(at + INODE.format.at);
    const from = at + core;
    if (format === FORK_FORMAT.extents) {
      const isBig = (flags2 & INODE_FLAG2.nrext64) !== 0;
      const count = isBig
        ? record.u64Rounded(at + INODE3.bigExtents.at)
        : record.u32(at + INODE.nextents.at);
      this.extents(`${prefix}u3.bmx`, from, Math.min(count, Math.floor(room / 16)), 0);
    } else if (format === FORK_FORMAT.btree) {
      this.add(`${prefix}u3.bmbt.level`, from, 2, String(record.u16(from)));
      this.add(`${prefix}u3.bmbt.numrecs`, from + 2, 2, String(record.u16(from + 2)));
      const slots = Math.floor((room - 4) / 16);
      const count = Math.min(record.u16(from + 2), slots);
      this.longPointers(`${prefix}u3.bmbt.`, from + 4, slots, count);
    }
  }

  private extents(name: string, from: number, count: number, firstIndex: number): void {
    for (let index = 0; index < Math.min(count, ROWS_MAX); index++) {
      const at = from + index * 16;
      const extent = decodeExtent(this.record, at);
      const { fileBlock, fsblock, length, isUnwritten } = extent;
      const state = isUnwritten ? ', unwritten' : '';
      const text = `[startoff ${String(fileBlock)}, startblock ${String(fsblock)}, blockcount ${String(length)}${state}]`;
      this.add(`${name}[${String(firstIndex + index)}]`, at, 16, text);
    }
  }

  private longPointers(prefix: string, from: number, slots: number, count: number): void {
    for (let index = 0; index < Math.min(count, ROWS_MAX); index++) {
      const name = `[${String(index + 1)}]`;
      const key = from + index * 8;
      const pointer = from + slots * 8 + index * 8;
      this.add(`${prefix}keys${name}.startoff`, key, 8, String(this.record.u64Rounded(key)));
      this.add(`${prefix}ptrs${name}`, pointer, 8, String(this.record.u64Rounded(pointer)));
    }
  }

  // Trees -----------------------------------------------------------------------------------------

  map(): void {
    const header = this.hasCrc ? 72 : 24;
    this.table(LONG_BLOCK, 0, header);
    if (this.record.u32(0) !== BMAP_MAGIC[this.hasCrc ? 1 : 0]) return;
    const slots = Math.floor((this.record.bytes.length - header) / 16);
    const count = Math.min(this.record.u16(6), slots);
    if (this.record.u16(4) === 0) this.extents('recs', header, count, 1);
    else this.longPointers('', header, slots, count);
  }

  /** A block of a group's tree; returns which. */
  tree(): string {
    const { record } = this;
    const magic = record.u32(0);
    const kind = Object.values(TREE).find((one) => one.magic[this.hasCrc ? 1 : 0] === magic);
    const header = this.hasCrc ? 56 : 16;
    this.table(SHORT_BLOCK, 0, header);
    if (kind === undefined) return 'B+tree block';
    const isLeaf = record.u16(4) === 0;
    const each = isLeaf ? kind.recordBytes : kind.keyBytes;
    const slots = Math.floor((record.bytes.length - header) / (isLeaf ? each : each + 4));
    const count = Math.min(record.u16(6), slots, ROWS_MAX);
    for (let index = 0; index < count; index++) {
      const at = header + index * each;
      const name = `${isLeaf ? 'recs' : 'keys'}[${String(index + 1)}]`;
      this.add(name, at, each, wordsText(record, at, each));
      if (isLeaf) continue;
      const pointer = header + slots * each + index * 4;
      this.add(`ptrs[${String(index + 1)}]`, pointer, 4, String(record.u32(pointer)));
    }
    return `${kind.id} ${isLeaf ? 'leaf' : 'node'}`;
  }

  // Directories -----------------------------------------------------------------------------------

  /** The header of a directory's block where this is its first; returns what it is. */
  directory(): string {
    const { record, hasCrc } = this;
    const index = hasCrc ? 1 : 0;
    const magic = record.u32(0);
    const isData = magic === MAGIC.dirData[index];
    const isBlock = magic === MAGIC.dirBlock[index];
    if (isData || isBlock) {
      this.add(isData ? 'dhdr.hdr.magic' : 'bhdr.hdr.magic', 0, 4, hex(magic));
      if (hasCrc) this.common('hdr.', { crc: 4, bno: 8, lsn: 16, uuid: 24, owner: 40 });
      return isData ? 'directory data block' : 'directory block';
    }
    const short = record.u16(8);
    const isHash = [0xd2f1, 0x3df1, 0xd2ff, 0x3dff, 0xfebe, 0x3ebe].includes(short);
    if (!isHash) return 'directory block';
    this.add('hdr.info.hdr.forw', 0, 4, String(record.u32(0)));
    this.add('hdr.info.hdr.back', 4, 4, String(record.u32(4)));
    this.add('hdr.info.hdr.magic', 8, 2, hex(short, 4));
    if (hasCrc) this.common('hdr.info.', { crc: 12, bno: 16, lsn: 24, uuid: 32, owner: 48 });
    const at = hasCrc ? 56 : 12;
    this.add('hdr.count', at, 2, String(record.u16(at)));
    const isNode = short === 0xfebe || short === 0x3ebe;
    this.add(isNode ? 'hdr.level' : 'hdr.stale', at + 2, 2, String(record.u16(at + 2)));
    return isNode ? 'directory node' : 'directory leaf';
  }

  private common(
    prefix: string,
    at: { crc: number; bno: number; lsn: number; uuid: number; owner: number },
  ): void {
    const field = (
      name: string,
      offset: number,
      type: Field['type'],
      lengthBytes: number,
    ): void => {
      const text = fieldText(this.record, { name, at: offset, type, lengthBytes }, false);
      this.add(prefix + name, offset, lengthBytes, text);
    };
    field('crc', at.crc, 'crc', 4);
    field('bno', at.bno, 'u64', 8);
    field('lsn', at.lsn, 'lsn', 8);
    field('uuid', at.uuid, 'uuid', 16);
    field('owner', at.owner, 'u64', 8);
  }
}

function wordsText(record: XfsRecord, at: number, lengthBytes: number): string {
  const words: string[] = [];
  for (let word = 0; word < lengthBytes; word += 4) words.push(String(record.u32(at + word)));
  return `[${words.join(', ')}]`;
}
