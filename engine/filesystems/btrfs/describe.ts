// SPDX-License-Identifier: GPL-2.0-only
/** What a block of the device is, with the fields of a superblock or of the part of a tree node that lies in it. */
import { fail, succeed, type Result, type Task } from '../../base/index.ts';
import type { BlockDescription, BlockRange, StructureField } from '../../vfs/index.ts';
import {
  ITEM_BYTES,
  KEY_NAMES,
  NODE,
  POINTER_BYTES,
  SB,
  TREE_NAMES,
  SUPERBLOCK_BYTES,
} from './layout.ts';
import type { DeviceLayout } from './layout-map.ts';
import { BtrfsRecord } from './record.ts';
import type { BtrfsState } from './state.ts';
import { partsOf } from './state.ts';
import { readSuperblockBytes } from './superblock.ts';
import type { Key, TreeNode } from './tree.ts'; // prettier-ignore

export function* describeBlock(
  state: BtrfsState,
  layout: DeviceLayout,
  deviceBlock: number,
): Task<Result<BlockDescription>> {
  const whole = rangeAt(layout.ranges, deviceBlock);
  if (whole === null) return fail('EINVAL', `there is no block ${String(deviceBlock)}`);
  const within = deviceBlock - whole.deviceBlock;
  const fileBlock = whole.fileBlock === null ? null : whole.fileBlock + within;
  const range: BlockRange = { ...whole, deviceBlock, count: 1, fileBlock };
  const { sectorBytes } = state.superblock;
  if (range.use === 'superblock') {
    const place = deviceBlock * sectorBytes;
    const bytes = yield* readSuperblockBytes(state.kernel, state.device, place);
    const fields = bytes === null ? [] : superblockFields(bytes, place);
    return succeed({ range, title: 'superblock', fields });
  }
  if (range.use !== 'tree') return succeed({ range, title: titleOf(state, range), fields: [] });
  const start = nodeStart(layout.nodeBlocks, deviceBlock);
  const logical = start === null ? null : state.chunks.logicalAt(start * sectorBytes);
  if (start === null || logical === null) return succeed({ range, title: 'tree node', fields: [] });
  const node = yield* state.trees.readNode({ byte: logical });
  const owner = node.record.u64(NODE.owner);
  const tree = TREE_NAMES[owner] ?? `tree ${String(owner)}`;
  const kind = node.level === 0 ? 'leaf' : `node of level ${String(node.level)}`;
  const from = (deviceBlock - start) * sectorBytes;
  const fields = nodeFields(node).filter(
    ({ offsetBytes }) => offsetBytes >= from && offsetBytes < from + sectorBytes,
  );
  const title = `${kind} of the ${tree}, block ${String(deviceBlock - start + 1)} of ${String(node.record.bytes.length / sectorBytes)}`;
  return succeed({
    range,
    title,
    fields: fields.map((field) => shifted(field, from, sectorBytes)),
  });
}

/** Cut at the end of the block where a field goes on in the next one. */
function shifted(field: StructureField, from: number, blockBytes: number): StructureField {
  const offsetBytes = field.offsetBytes - from;
  return {
    ...field,
    offsetBytes,
    lengthBytes: Math.min(field.lengthBytes, blockBytes - offsetBytes),
  };
}

function rangeAt(ranges: readonly BlockRange[], deviceBlock: number): BlockRange | null {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle] as BlockRange).deviceBlock <= deviceBlock) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low - 1];
  return found !== undefined && deviceBlock < found.deviceBlock + found.count ? found : null;
}

function nodeStart(nodeBlocks: readonly number[], deviceBlock: number): number | null {
  let low = 0;
  let high = nodeBlocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((nodeBlocks[middle] as number) <= deviceBlock) low = middle + 1;
    else high = middle;
  }
  return nodeBlocks[low - 1] ?? null;
}

function titleOf(state: BtrfsState, range: BlockRange): string {
  if (range.inodeNumber !== null) {
    const { treeId, objectId } = partsOf(range.inodeNumber);
    const what = range.use === 'unwritten' ? 'preallocated for' : 'data of';
    const compressed = range.fileBlock === null ? ', compressed' : '';
    return `${what} inode ${String(objectId)} of subvolume ${String(treeId)}${compressed}`;
  }
  if (range.use === 'data') return 'data that no file shows: a part of an extent in use';
  if (range.use === 'free') {
    const isInChunk =
      state.chunks.logicalAt(range.deviceBlock * state.superblock.sectorBytes) !== null;
    return isInChunk ? 'free in a chunk' : 'in no chunk';
  }
  return range.use === 'reserved' ? 'reserved: the first MiB' : 'behind the file system';
}

const superblockNames: readonly (readonly [string, number, 4 | 8 | 16 | 32 | 1 | 2, string])[] = [
  ['csum', SB.checksum, 32, 'crc32c of everything behind it'],
  ['fsid', SB.fsid, 16, ''],
  ['bytenr', SB.byte, 8, 'its own place'],
  ['flags', SB.flags, 8, ''],
  ['magic', SB.magic, 8, ''],
  ['generation', SB.generation, 8, 'transaction that wrote it'],
  ['root', SB.root, 8, 'logical byte of the root tree'],
  ['chunk_root', SB.chunkRoot, 8, 'logical byte of the chunk tree'],
  ['log_root', SB.logRoot, 8, '0: nothing to replay'],
  ['total_bytes', SB.totalBytes, 8, ''],
  ['bytes_used', SB.usedBytes, 8, ''],
  ['num_devices', SB.deviceCount, 8, ''],
  ['sectorsize', SB.sectorBytes, 4, ''],
  ['nodesize', SB.nodeBytes, 4, ''],
  ['sys_chunk_array_size', SB.systemArrayBytes, 4, ''],
  ['compat_ro_flags', SB.compatRoFlags, 8, ''],
  ['incompat_flags', SB.incompatFlags, 8, ''],
  ['csum_type', SB.checksumType, 2, '0: crc32c'],
  ['root_level', SB.rootLevel, 1, ''],
  ['chunk_root_level', SB.chunkRootLevel, 1, ''],
  ['dev_item.devid', SB.deviceId, 8, ''],
];

function superblockFields(bytes: Uint8Array, place: number): StructureField[] {
  const record = new BtrfsRecord('superblock', place, bytes.subarray(0, SUPERBLOCK_BYTES));
  return superblockNames.map(([name, offsetBytes, lengthBytes, help]) => ({
    name,
    offsetBytes,
    lengthBytes,
    value: valueText(record, name, offsetBytes, lengthBytes),
    help,
  }));
}

const hexNames = ['flags', 'compat_ro_flags', 'incompat_flags'];

function valueText(record: BtrfsRecord, name: string, at: number, lengthBytes: number): string {
  if (name === 'magic') return String.fromCharCode(...record.slice(at, 8));
  if (lengthBytes === 16) return record.uuid(at);
  if (lengthBytes === 32) return `0x${record.u32(at).toString(16).padStart(8, '0')}`;
  const value =
    lengthBytes === 8
      ? record.u64(at)
      : lengthBytes === 4
        ? record.u32(at)
        : lengthBytes === 2
          ? record.u16(at)
          : record.u8(at);
  return hexNames.includes(name) ? `0x${value.toString(16)}` : String(value);
}

const keyWords = ({ objectId, type, offset }: Key): string =>
  `(${String(objectId)} ${KEY_NAMES[type] ?? String(type)} ${String(offset)})`;

/** Header, then items with their data, or pointers; offsets in the node. */
function nodeFields(node: TreeNode): StructureField[] {
  const { record, keys, level } = node;
  const field = (name: string, offsetBytes: number, lengthBytes: number, value: string, help = ''): StructureField => ({ name, offsetBytes, lengthBytes, value, help });
  const fields = [
    field('csum', NODE.checksum, 32, `0x${record.u32(0).toString(16).padStart(8, '0')}`),
    field('fsid', NODE.fsid, 16, record.uuid(NODE.fsid)),
    field('bytenr', NODE.byte, 8, String(record.u64(NODE.byte)), 'its own logical byte'),
    field('flags', NODE.flags, 8, `0x${record.u64(NODE.flags).toString(16)}`),
    field('chunk_tree_uuid', NODE.chunkTreeUuid, 16, record.uuid(NODE.chunkTreeUuid)),
    field('generation', NODE.generation, 8, String(record.u64(NODE.generation))),
    field('owner', NODE.owner, 8, String(record.u64(NODE.owner)), 'the tree it is of'),
    field('nritems', NODE.itemCount, 4, String(keys.length)),
    field('level', NODE.level, 1, String(level), level === 0 ? 'a leaf' : ''),
  ];
  for (const [index, key] of keys.entries()) {
    const name = String(index);
    if (level > 0) {
      const at = NODE.items + index * POINTER_BYTES;
      fields.push(field(`pointer ${name}`, at, POINTER_BYTES, `${keyWords(key)} at ${String(record.u64(at + 17))}`));
      continue;
    }
    const at = NODE.items + index * ITEM_BYTES;
    const offset = record.u32(at + 17);
    const size = record.u32(at + 21);
    fields.push(field(`item ${name}`, at, ITEM_BYTES, `${keyWords(key)}, ${String(size)} bytes at ${String(NODE.items + offset)}`));
    if (size > 0) {
      const value = `${String(size)} bytes`;
      fields.push(field(`data ${name}`, NODE.items + offset, size, value, keyWords(key)));
    }
  }
  return fields.sort((a, b) => a.offsetBytes - b.offsetBytes);
} // prettier-ignore
