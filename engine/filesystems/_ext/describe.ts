// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a block belongs to and what its fields say, and the facts of the file system and its inodes: the hex view and `stat`.
 *
 * Rules: 1. The block's own bytes are shown, checked or not: a damaged structure is described as far as its fields lie inside the
 * block. 2. Lists are cut at so many fields that a face can show them.
 */
import {
  fail,
  HostError,
  SECTOR_BYTES,
  succeed,
  type Result,
  type Task,
} from '../../base/index.ts';
import type { BlockDescription, BlockRange, NamedFact, StructureField } from '../../vfs/index.ts';
import type { BlockMap } from './block-map.ts';
import { countSet } from './bitmap.ts';
import { inodeLocation, inodeRecord } from './commit.ts';
import * as rows from './describe-fields.ts';
import { field, fieldsOf, timeText, uuidText } from './describe-fields.ts';
import { readEntries } from './directory.ts';
import { countOffsetOf, IndexNode, NODE_COUNT_OFFSET } from './directory-index.ts';
import { errnoResult } from './errno-result.ts';
import { descriptorBlock, hasSuperblock } from './groups.ts';
import { ExtInode } from './inode.ts';
import { JOURNAL_KIND, JOURNAL_MAGIC } from './journal-layout.ts';
import { LayoutMap, rangeOf } from './layout-map.ts';
import {
  DESCRIPTOR_BYTES_64BIT,
  GROUP_FLAG,
  INO,
  INODE_BYTES_MIN,
  INODE_FLAG,
  JOURNAL_INODE,
  MODE,
  MODE_KIND,
  RESIZE_INODE,
  SB,
  SUPERBLOCK_BYTE,
} from './layout.ts';
import type { ExtState } from './state.ts';

const ENTRIES_MAX = 512;
const EXTENT_MAGIC = 0xf30a;
const EXTENT_RECORD_BYTES = 12;
const POINTER_BYTES = 4;

const KIND_NAMES: Readonly<Record<number, string>> = {
  [MODE.fifo]: 'fifo',
  [MODE.characterDevice]: 'character device',
  [MODE.directory]: 'directory',
  [MODE.blockDevice]: 'block device',
  [MODE.file]: 'file',
  [MODE.symlink]: 'symbolic link',
  [MODE.socket]: 'socket',
};

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

const USE_TITLES: Readonly<Record<string, string>> = {
  free: 'free',
  reserved: 'in use by no file',
  outside: 'beyond the file system',
};

export class Describer {
  private known: readonly BlockRange[] | null = null;

  constructor(
    private readonly state: ExtState,
    private readonly blockMap: BlockMap,
  ) {}

  /** The block map. Of an image that is only read it is made once. */
  *layout(): Task<Result<readonly BlockRange[]>> {
    if (this.known !== null) return succeed(this.known);
    const ranges = yield* new LayoutMap(this.state, this.blockMap).ranges();
    if (ranges.ok && this.state.isReadOnly) this.known = ranges.value;
    return ranges;
  }

  *describeBlock(deviceBlock: number): Task<Result<BlockDescription>> {
    const layout = yield* this.layout();
    if (!layout.ok) return layout;
    const range = rangeOf(layout.value, deviceBlock);
    if (range === null) return fail('EINVAL', `there is no block ${String(deviceBlock)}`);
    if (range.use === 'outside') {
      return succeed({ range, title: 'beyond the file system', fields: [] });
    }
    const { cache } = this.state;
    const buffer = yield* cache.load(deviceBlock);
    if (typeof buffer === 'number') return errnoResult(buffer);
    const bytes = buffer.bytes.slice();
    cache.release(buffer);
    return succeed(this.describe(range, deviceBlock, bytes));
  }

  private describe(range: BlockRange, deviceBlock: number, bytes: Uint8Array): BlockDescription {
    const inode = String(range.inodeNumber);
    const made = (title: string, fields: StructureField[] = []): BlockDescription => ({
      range,
      title,
      fields,
    });
    switch (range.use) {
      case 'superblock':
        return made(this.superblockTitle(deviceBlock), this.superblockFields(deviceBlock, bytes));
      case 'descriptors':
        return this.describeDescriptors(range, deviceBlock, bytes);
      case 'bitmap':
        return this.describeBitmap(range, deviceBlock, bytes);
      case 'inodes':
        return this.describeTable(range, deviceBlock, bytes);
      case 'journal':
        return this.describeJournal(range, deviceBlock, bytes);
      case 'directory':
        return this.describeDirectory(range, deviceBlock, bytes);
      case 'map':
        return this.describeMap(range, bytes);
      case 'data':
        return made(`data of inode ${inode}`);
      case 'unwritten':
        return made(`unwritten data of inode ${inode}: it reads as zeros`);
      default: {
        const isReserve = range.use === 'reserved' && range.inodeNumber === RESIZE_INODE;
        if (isReserve) return made('reserved for more group descriptors');
        if (deviceBlock < this.state.geometry.firstDataBlock) return made('boot block');
        return made(USE_TITLES[range.use] ?? range.use);
      }
    }
  }

  // Structures ------------------------------------------------------------------------------------

  private superblockTitle(deviceBlock: number): string {
    const { superblock, groups } = this.state;
    if (deviceBlock === superblock.deviceBlock) return 'superblock';
    return `copy of the superblock in group ${String(groups.groupOf(deviceBlock))}`;
  }
  private superblockFields(deviceBlock: number, bytes: Uint8Array): StructureField[] {
    const isFirst = deviceBlock === this.state.superblock.deviceBlock;
    const start = isFirst ? SUPERBLOCK_BYTE % bytes.length : 0;
    return fieldsOf(bytes, start, rows.SUPERBLOCK_FIELDS);
  }

  private describeDescriptors(
    range: BlockRange,
    deviceBlock: number,
    bytes: Uint8Array,
  ): BlockDescription {
    const { geometry, groups } = this.state;
    const { descriptorsPerBlock, groupCount } = geometry;
    const own = groups.groupOf(deviceBlock);
    const isMeta = Math.floor(own / descriptorsPerBlock) >= geometry.firstMetaGroup;
    const inHead = deviceBlock - groups.firstBlock(own) - (hasSuperblock(geometry, own) ? 1 : 0);
    const index = isMeta ? Math.floor(own / descriptorsPerBlock) : inHead;
    const firstGroup = index * descriptorsPerBlock;
    const lastGroup = Math.min(groupCount, firstGroup + descriptorsPerBlock) - 1;
    const isCopy = deviceBlock !== descriptorBlock(geometry, index);
    const each = bytes.length / descriptorsPerBlock;
    const fields: StructureField[] = [];
    for (let group = firstGroup; group <= lastGroup; group++) {
      const start = (group - firstGroup) * each;
      const prefix = `group ${String(group)}: `;
      fields.push(...fieldsOf(bytes, start, rows.DESCRIPTOR_FIELDS, prefix));
      if (each >= DESCRIPTOR_BYTES_64BIT) {
        fields.push(...fieldsOf(bytes, start, rows.WIDE_DESCRIPTOR_FIELDS, prefix));
      }
    }
    const of = `group descriptors ${String(firstGroup)} to ${String(lastGroup)}`;
    const title = isCopy ? `copy of ${of} in group ${String(own)}` : of;
    return { range, title, fields };
  }

  private describeBitmap(
    range: BlockRange,
    deviceBlock: number,
    bytes: Uint8Array,
  ): BlockDescription {
    const { groups, geometry } = this.state;
    let group = groups.blockBitmap.indexOf(deviceBlock);
    const isBlocks = group >= 0;
    if (!isBlocks) group = groups.inodeBitmap.indexOf(deviceBlock);
    const what = isBlocks ? 'block' : 'inode';
    const count = isBlocks ? groups.blocksIn(group) : geometry.inodesPerGroup;
    const flag = isBlocks ? GROUP_FLAG.blockUninit : GROUP_FLAG.inodeUninit;
    const first = isBlocks ? groups.firstBlock(group) : group * geometry.inodesPerGroup + 1;
    const last = first + count - 1;
    const title = `${what} bitmap of group ${String(group)}`;
    const covers = `${what}s ${String(first)} to ${String(last)}`;
    const length = Math.ceil(count / 8);
    if (groups.hasFlag(group, flag)) {
      const value = 'not in use: the descriptor says that the group is untouched';
      return { range, title, fields: [field('bitmap', 0, length, value, covers)] };
    }
    const used = countSet(bytes, count);
    const value = `${String(used)} in use, ${String(count - used)} free`;
    return { range, title, fields: [field('bitmap', 0, length, value, covers)] };
  }

  private describeTable(
    range: BlockRange,
    deviceBlock: number,
    bytes: Uint8Array,
  ): BlockDescription {
    const { groups, geometry } = this.state;
    const { inodeBytes, inodesPerGroup } = geometry;
    const group = groups.inodeTable.findIndex(
      (table) => deviceBlock >= table && deviceBlock < table + groups.inodeTableBlocks,
    );
    const perBlock = bytes.length / inodeBytes;
    const index = (deviceBlock - (groups.inodeTable[group] as number)) * perBlock;
    const count = Math.min(perBlock, inodesPerGroup - index);
    const first = group * inodesPerGroup + index + 1;
    const fields: StructureField[] = [];
    for (let slot = 0; slot < count; slot++) {
      const start = slot * inodeBytes;
      const name = `inode ${String(first + slot)}`;
      if (view(bytes).getUint16(start + INO.linkCount, true) === 0) {
        fields.push(field(name, start, inodeBytes, 'free'));
        continue;
      }
      fields.push(...fieldsOf(bytes, start, rows.INODE_FIELDS, `${name}: `));
      fields.push(...this.rootFields(bytes, start, `${name}: `));
      if (inodeBytes > INODE_BYTES_MIN) {
        fields.push(...fieldsOf(bytes, start, rows.EXTRA_INODE_FIELDS, `${name}: `));
      }
    }
    const last = first + count - 1;
    const title = `inode table of group ${String(group)}: inodes ${String(first)} to ${String(last)}`;
    return { range, title, fields };
  }

  /** i_block: extents, pointers, or the text of a short link. */
  private rootFields(bytes: Uint8Array, start: number, prefix: string): StructureField[] {
    const fields = view(bytes);
    const at = start + INO.pointers;
    const flags = fields.getUint32(start + INO.flags, true);
    if ((flags & INODE_FLAG.extents) !== 0) return extentFields(bytes, at, 60, prefix);
    const kind = fields.getUint16(start + INO.mode, true) & MODE_KIND;
    if (kind === MODE.symlink && fields.getUint32(start + INO.sectors, true) === 0) {
      const text = rows.nameText(bytes.subarray(at, at + 60));
      return [field(`${prefix}i_block`, at, 60, text, 'target of the link')];
    }
    return pointerFields(bytes, at, 60, `${prefix}i_block`);
  }

  private describeJournal(
    range: BlockRange,
    deviceBlock: number,
    bytes: Uint8Array,
  ): BlockDescription {
    const at = (range.fileBlock ?? 0) + deviceBlock - range.deviceBlock;
    const where = `block ${String(at)} of the journal`;
    const fields = view(bytes);
    if (fields.getUint32(0) !== JOURNAL_MAGIC) {
      return { range, title: `${where}: content of another block, or not in use`, fields: [] };
    }
    const header = fieldsOf(bytes, 0, rows.JOURNAL_FIELDS, '', true);
    const kind = fields.getUint32(4);
    if (kind === JOURNAL_KIND.superblockV1 || kind === JOURNAL_KIND.superblockV2) {
      const more = fieldsOf(bytes, 0, rows.JOURNAL_SUPERBLOCK_FIELDS, '', true);
      return { range, title: 'superblock of the journal', fields: [...header, ...more] };
    }
    const names = new Map<number, string>([
      [JOURNAL_KIND.descriptor, 'descriptor'],
      [JOURNAL_KIND.commit, 'commit'],
      [JOURNAL_KIND.revoke, 'revoke'],
    ]);
    const title = `${where}: ${names.get(kind) ?? 'block of an unknown kind'}`;
    return { range, title, fields: header };
  }

  private describeDirectory(
    range: BlockRange,
    deviceBlock: number,
    bytes: Uint8Array,
  ): BlockDescription {
    const inode = String(range.inodeNumber);
    const at = (range.fileBlock ?? 0) + deviceBlock - range.deviceBlock;
    const { checksums } = this.state;
    const hasTail = checksums.coversAll && checksums.hasDirectoryTail(bytes);
    const offset = hasTail ? -1 : countOffsetOf(bytes);
    const isRoot = offset > NODE_COUNT_OFFSET && at === 0;
    const isNode = offset === NODE_COUNT_OFFSET && new IndexNode(bytes, offset).limit > 0;
    if (isRoot || isNode) {
      const what = isRoot ? 'index root' : 'index node';
      const info = isRoot ? fieldsOf(bytes, 0, rows.INDEX_ROOT_FIELDS) : [];
      const fields = [...info, ...indexFields(bytes, offset)];
      return { range, title: `${what} of directory ${inode}`, fields };
    }
    const room = hasTail ? bytes.subarray(0, checksums.directoryRoom(bytes.length)) : bytes;
    const fields = this.entryFields(room, deviceBlock);
    if (hasTail) {
      const tail = fieldsOf(bytes, room.length, [['det_checksum', 8, 4, 'hex', 'of the block']]);
      fields.push(...tail);
    }
    return { range, title: `block ${String(at)} of directory ${inode}`, fields };
  }

  private entryFields(room: Uint8Array, deviceBlock: number): StructureField[] {
    try {
      return readEntries(room, deviceBlock, this.state.geometry).map((entry) => {
        const { offset, length, inodeNumber } = entry;
        const name = inodeNumber === 0 ? 'unused' : rows.nameText(entry.name);
        const help = inodeNumber === 0 ? '' : `inode ${String(inodeNumber)}`;
        return field(`entry at ${String(offset)}`, offset, length, name, help);
      });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return [field('entries', 0, room.length, 'damaged', error.message)];
    }
  }

  private describeMap(range: BlockRange, bytes: Uint8Array): BlockDescription {
    const inode = String(range.inodeNumber);
    const magic = view(bytes).getUint32(0, true);
    if (magic === 0xea020000) {
      const fields = fieldsOf(bytes, 0, [
        ['h_magic', 0, 4, 'hex', '0xea020000'],
        ['h_refcount', 4, 4, 'number', 'inodes that share it'],
        ['h_blocks', 8, 4, 'number', ''],
        ['h_hash', 12, 4, 'hex', ''],
        ['h_checksum', 16, 4, 'hex', ''],
      ]);
      return { range, title: `extended attributes of inode ${inode}`, fields };
    }
    if ((magic & 0xffff) === EXTENT_MAGIC) {
      const fields = extentFields(bytes, 0, bytes.length, '');
      return { range, title: `extent node of inode ${inode}`, fields };
    }
    const fields = pointerFields(bytes, 0, bytes.length, 'pointer');
    return { range, title: `indirect block of inode ${inode}`, fields };
  }

  // Facts -----------------------------------------------------------------------------------------

  /** Facts of the file system. */
  facts(): NamedFact[] {
    const { superblock, geometry, groups, member } = this.state;
    const { record } = superblock;
    const fact = (id: string, title: string, value: string): NamedFact => ({ id, title, value });
    const flex = record.u8(SB.logGroupsPerFlex);
    const time = (offset: number): string => timeText(record.u32(offset));
    return [
      fact('file-system', 'File system', member.title),
      fact('label', 'Label', superblock.label === '' ? 'none' : superblock.label),
      fact('uuid', 'UUID', uuidText(record.bytes(SB.uuid, 16))),
      fact('state', 'State', superblock.state),
      fact('block-size', 'Block size', `${String(geometry.blockBytes)} bytes`),
      fact('blocks', 'Blocks', String(geometry.blocksCount)),
      fact('free-blocks', 'Free blocks', String(groups.freeBlocksTotal)),
      fact('reserved-blocks', 'Reserved blocks', String(geometry.reservedBlocks)),
      fact('inodes', 'Inodes', String(geometry.inodesCount)),
      fact('free-inodes', 'Free inodes', String(groups.freeInodesTotal)),
      fact('inode-size', 'Inode size', `${String(geometry.inodeBytes)} bytes`),
      fact('groups', 'Groups', String(geometry.groupCount)),
      fact('blocks-per-group', 'Blocks per group', String(geometry.blocksPerGroup)),
      fact('inodes-per-group', 'Inodes per group', String(geometry.inodesPerGroup)),
      fact('groups-per-flex', 'Groups per flexible group', flex === 0 ? 'none' : String(2 ** flex)),
      fact('journal', 'Journal', journalText(record.u32(SB.journalInode))),
      fact('checksums', 'Checksums', this.state.checksums.kind),
      fact('features', 'Features', superblock.features().join(' ')),
      fact('made', 'Made', time(SB.mkfsTime)),
      fact('mounted', 'Last mount', time(SB.mountTime)),
      fact('written', 'Last write', time(SB.writeTime)),
      fact('checked', 'Last check', time(SB.lastCheck)),
      fact('mounts', 'Mounts since', String(record.u16(SB.mountCount))),
    ];
  }

  /** Facts of an inode. */
  *inodeFacts(inodeNumber: number): Task<Result<readonly NamedFact[]>> {
    const { state, blockMap } = this;
    if (inodeNumber < 1 || inodeNumber > state.geometry.inodesCount) {
      return fail('EINVAL', `there is no inode ${String(inodeNumber)}`);
    }
    const inode = yield* this.loadInode(inodeNumber);
    if (!inode.ok) return inode;
    const own = inode.value;
    const count = { extents: 0, unwritten: 0, maps: 0 };
    if (own.hasBlockMap && own.unsupported().length === 0) {
      const status = yield* blockMap.walk(own, {
        data: (_fileBlock, _deviceBlock, _count, isUnwritten) => {
          count.extents++;
          if (isUnwritten) count.unwritten++;
        },
        indirect: () => ++count.maps <= state.geometry.blocksCount,
      });
      if (status < 0) return errnoResult(status);
    }
    return succeed(inodeFactList(own, count));
  }

  private *loadInode(inodeNumber: number): Task<Result<ExtInode>> {
    const { state } = this;
    const cached = state.inodes.get(inodeNumber);
    if (cached !== undefined) return succeed(cached);
    const block = yield* state.cache.load(inodeLocation(state, inodeNumber).deviceBlock);
    if (typeof block === 'number') return errnoResult(block);
    try {
      const record = inodeRecord(state, inodeNumber, block);
      const inode = new ExtInode(state, inodeNumber, record.u16(INO.mode));
      inode.decode(record);
      return succeed(inode);
    } finally {
      state.cache.release(block);
    }
  }
}

function journalText(inodeNumber: number): string {
  if (inodeNumber === 0) return 'none';
  return inodeNumber === JOURNAL_INODE ? 'inside' : `inode ${String(inodeNumber)}`;
}

function inodeFactList(
  inode: ExtInode,
  count: { readonly extents: number; readonly unwritten: number; readonly maps: number },
): NamedFact[] {
  const fact = (id: string, title: string, value: string): NamedFact => ({ id, title, value });
  const allocated = inode.sectorCount * SECTOR_BYTES;
  const runs = String(count.extents);
  const unwritten = count.unwritten > 0 ? `, ${String(count.unwritten)} unwritten` : '';
  return [
    fact('inode', 'Inode', String(inode.inodeNumber)),
    fact('kind', 'Kind', KIND_NAMES[inode.mode & MODE_KIND] ?? 'unknown'),
    fact('size', 'Size', `${String(inode.sizeBytes)} bytes`),
    fact('allocated', 'Allocated', `${String(allocated)} bytes`),
    fact('mode', 'Permissions', `0${(inode.mode & 0o7777).toString(8)}`),
    fact('owner', 'Owner', `${String(inode.uid)}:${String(inode.gid)}`),
    fact('links', 'Links', String(inode.linkCount)),
    fact('mapping', 'Mapped by', inode.hasExtents ? 'extents' : 'block pointers'),
    fact('extents', 'Extents', runs + unwritten),
    fact('map-blocks', 'Blocks of the map', String(count.maps)),
    fact('flags', 'Flags', `0x${inode.flags.toString(16)}`),
    fact('generation', 'Generation', String(inode.generation)),
    fact('modified', 'Modified', timeText(inode.modifyTime)),
    fact('changed', 'Changed', timeText(inode.changeTime)),
    fact('read', 'Read', timeText(inode.accessTime)),
  ];
}

/** An extent node of `lengthBytes` at `start`: header, then indexes or extents. */
function extentFields(
  bytes: Uint8Array,
  start: number,
  lengthBytes: number,
  prefix: string,
): StructureField[] {
  const fields = fieldsOf(bytes, start, rows.EXTENT_HEADER_FIELDS, prefix);
  const data = view(bytes);
  const depth = data.getUint16(start + 6, true);
  const fits = Math.floor((lengthBytes - EXTENT_RECORD_BYTES) / EXTENT_RECORD_BYTES);
  const count = Math.min(data.getUint16(start + 2, true), fits, ENTRIES_MAX);
  for (let index = 0; index < count; index++) {
    const at = start + (index + 1) * EXTENT_RECORD_BYTES;
    const fileBlock = data.getUint32(at, true);
    const name = `${prefix}${depth > 0 ? 'ei' : 'ee'}[${String(index)}]`;
    if (depth > 0) {
      const child = data.getUint32(at + 4, true) + data.getUint16(at + 8, true) * 2 ** 32;
      const value = `from file block ${String(fileBlock)}: node in block ${String(child)}`;
      fields.push(field(name, at, EXTENT_RECORD_BYTES, value));
      continue;
    }
    const stored = data.getUint16(at + 4, true);
    const isUnwritten = stored > 32768;
    const length = isUnwritten ? stored - 32768 : stored;
    const place = data.getUint32(at + 8, true) + data.getUint16(at + 6, true) * 2 ** 32;
    const run = `file blocks ${String(fileBlock)} to ${String(fileBlock + length - 1)}`;
    const value = `${run} in block ${String(place)} and on${isUnwritten ? ', unwritten' : ''}`;
    fields.push(field(name, at, EXTENT_RECORD_BYTES, value));
  }
  return fields;
}

/** Block pointers, runs of neighbours as one field. */
function pointerFields(
  bytes: Uint8Array,
  start: number,
  lengthBytes: number,
  name: string,
): StructureField[] {
  const data = view(bytes);
  const fields: StructureField[] = [];
  const count = Math.floor(lengthBytes / POINTER_BYTES);
  for (let index = 0; index < count && fields.length < ENTRIES_MAX;) {
    const first = data.getUint32(start + index * POINTER_BYTES, true);
    let run = 1;
    while (
      index + run < count &&
      data.getUint32(start + (index + run) * POINTER_BYTES, true) ===
        (first === 0 ? 0 : first + run)
    ) {
      run++;
    }
    const last = index + run - 1;
    const label =
      run === 1 ? `${name}[${String(index)}]` : `${name}[${String(index)}..${String(last)}]`;
    const blocks =
      run === 1
        ? `block ${String(first)}`
        : `blocks ${String(first)} to ${String(first + run - 1)}`;
    const value = first === 0 ? 'none' : blocks;
    fields.push(field(label, start + index * POINTER_BYTES, run * POINTER_BYTES, value));
    index += run;
  }
  return fields;
}

/** Limit, count and children of a root or node of a hash index. */
function indexFields(bytes: Uint8Array, offset: number): StructureField[] {
  const node = new IndexNode(bytes, offset);
  const room = Math.floor((bytes.length - offset) / 8);
  const fields = fieldsOf(bytes, offset, [
    ['limit', 0, 2, 'number', 'entries that fit'],
    ['count', 2, 2, 'number', 'entries in use'],
  ]);
  const count = Math.min(node.count, room, ENTRIES_MAX);
  for (let index = 0; index < count; index++) {
    const hash = `0x${node.hash(index).toString(16).padStart(8, '0')}`;
    const value = `from hash ${hash}: block ${String(node.child(index))} of the directory`;
    fields.push(field(`dx_entry[${String(index)}]`, offset + index * 8, 8, value));
  }
  return fields;
}
