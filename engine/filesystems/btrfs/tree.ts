// SPDX-License-Identifier: GPL-2.0-only
/**
 * Reading trees (kernel: fs/btrfs/ctree.c, disk-io.c, tree-checker.c). A walk goes from a key upwards, leaf by leaf.
 *
 * Rules: 1. A node is used only where checksum, place, fsid, generation and level are what its parent says, its keys ascend, its first
 * key is the parent's, and the data of its items are packed as they must be. 2. The level falls with every step, and no walk reads a
 * node twice: what the disk could turn into a circle ends there. 3. A node whose checksum is wrong is read from its copy, if it has one.
 * 4. Nodes are kept, up to `KEPT_BYTES`, the oldest go first; they are never changed, so that nothing else has to be kept in step.
 */
import { errnoName, HostError, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { readDeviceBytes, type Kernel } from '../../vfs/index.ts';
import type { ChunkMap } from './chunks.ts';
import { ITEM_BYTES, KEY_BYTES, NODE, POINTER_BYTES } from './layout.ts';
import { BtrfsRecord } from './record.ts';
import { isChecksumGood, type Superblock, type TreeRoot } from './superblock.ts';

const KEPT_BYTES = 24 * 1024 * 1024;

export interface Key {
  readonly objectId: number;
  readonly type: number;
  readonly offset: number;
}
export interface Item extends Key {
  /** The item's data. */
  readonly data: BtrfsRecord;
}
export const FIRST_KEY: Key = { objectId: 0, type: 0, offset: 0 };

export function compareKeys(a: Key, b: Key): number {
  return a.objectId - b.objectId || a.type - b.type || a.offset - b.offset;
}

function readKey(record: BtrfsRecord, at: number): Key {
  const type = record.u8(at + 8);
  return { objectId: record.u64(at), type, offset: record.u64(at + KEY_BYTES - 8) };
}

const keyText = ({ objectId, type, offset }: Key): string =>
  `(${String(objectId)} ${String(type)} ${String(offset)})`;

/** A checked node. */
export interface TreeNode {
  readonly byte: number;
  readonly level: number;
  readonly record: BtrfsRecord;
  readonly keys: readonly Key[];
}

/** What a parent says of a node. */
interface Expected extends TreeRoot {
  /** Null: it is the root. */
  readonly firstKey: Key | null;
}

export class Trees {
  private readonly kept = new Map<number, TreeNode>();

  constructor(
    private readonly kernel: Kernel,
    private readonly device: BlockDevice,
    private readonly superblock: Superblock,
    private readonly chunks: ChunkMap,
  ) {}

  /** Every item from `from` on, in order, until `visit` gives false. Throws `HostError`. */
  *walk(root: TreeRoot, from: Key, visit: (item: Item) => boolean): Task<void> {
    yield* this.walkNode({ ...root, firstKey: null }, from, visit, new Set());
  }

  /** The item with exactly this key; null: there is none. */
  *find(root: TreeRoot, key: Key): Task<Item | null> {
    let found: Item | null = null;
    yield* this.walk(root, key, (item) => {
      if (compareKeys(item, key) === 0) found = item;
      return false;
    });
    return found;
  }

  /** The items of one object and type, in order. */
  *itemsOf(root: TreeRoot, objectId: number, type: number): Task<Item[]> {
    const items: Item[] = [];
    yield* this.walk(root, { objectId, type, offset: 0 }, (item) => {
      if (item.objectId !== objectId || item.type !== type) return false;
      items.push(item);
      return true;
    });
    return items;
  }

  private *walkNode(
    expected: Expected,
    from: Key,
    visit: (item: Item) => boolean,
    visited: Set<number>,
  ): Task<boolean> {
    const node = yield* this.readNode(expected);
    if (visited.has(expected.byte)) {
      throw node.record.damaged('place in the tree', 'a second one', 'one');
    }
    visited.add(expected.byte);
    const { keys, record, level } = node;
    let index = firstNotBelow(keys, from);
    if (level === 0) {
      for (; index < keys.length; index++) {
        if (!visit(itemAt(node, index))) return false;
      }
      return true;
    }
    // The child before the first key that is not below may hold keys from `from` on, too.
    if (index > 0 && (index === keys.length || compareKeys(keys[index] as Key, from) > 0)) index--;
    for (; index < keys.length; index++) {
      const at = NODE.items + index * POINTER_BYTES + KEY_BYTES;
      const child: Expected = {
        treeId: expected.treeId,
        byte: record.u64(at),
        generation: record.u64(at + 8),
        level: level - 1,
        firstKey: keys[index] as Key,
      };
      if (!(yield* this.walkNode(child, from, visit, visited))) return false;
    }
    return true;
  }

  /** The node at a logical byte, with what is expected of it where somebody knows. Throws `HostError`. */
  *readNode(expected: Expected | { readonly byte: number }): Task<TreeNode> {
    const { byte } = expected;
    let node = this.kept.get(byte);
    if (node === undefined) {
      node = yield* this.loadNode(byte);
      this.keep(node);
    }
    if ('level' in expected) checkExpected(node, expected);
    return node;
  }

  private keep(node: TreeNode): void {
    this.kept.set(node.byte, node);
    const keptMax = Math.max(16, Math.floor(KEPT_BYTES / this.superblock.nodeBytes));
    if (this.kept.size <= keptMax) return;
    for (const byte of this.kept.keys()) {
      this.kept.delete(byte);
      break;
    }
  }

  private *loadNode(byte: number): Task<TreeNode> {
    const { nodeBytes, sectorBytes, nodeFsid } = this.superblock;
    const place = byte % sectorBytes === 0 ? this.chunks.find(byte) : null;
    const nothing = new BtrfsRecord('tree node', byte, new Uint8Array(0));
    if (place === null || place.lengthBytes < nodeBytes) {
      throw nothing.damaged('logical address', byte, 'a whole node inside a chunk');
    }
    let error = 0;
    for (const at of [place.byte, place.copyByte]) {
      if (at === null) break;
      const bytes = yield* readDeviceBytes(this.kernel, this.device, at, nodeBytes);
      if (typeof bytes === 'number') error = bytes;
      else if (isChecksumGood(bytes)) return checkNode(byte, bytes, nodeFsid);
    }
    if (error === 0) throw nothing.damaged('csum', 'wrong', 'that of its content');
    throw new HostError({
      code: 'image.unreadable',
      message: `the tree node at logical byte ${String(byte)} cannot be read: ${errnoName(error) ?? String(error)}`,
      where: `tree node, byte ${String(byte)}`,
      hint: 'Give a whole image.',
      exitCode: 74,
    });
  }
}

/** What a node alone can tell (tree-checker.c). */
function checkNode(byte: number, bytes: Uint8Array, fsid: Uint8Array): TreeNode {
  const record = new BtrfsRecord('tree node', byte, bytes);
  const own = record.u64(NODE.byte);
  if (own !== byte) throw record.damaged('bytenr', own, String(byte));
  if (record.slice(NODE.fsid, 16).some((value, index) => value !== fsid[index])) {
    throw record.damaged('fsid', record.uuid(NODE.fsid), 'that of the file system');
  }
  const level = record.u8(NODE.level);
  if (level > 7) throw record.damaged('level', level, '0 to 7');
  const count = record.u32(NODE.itemCount);
  const entryBytes = level === 0 ? ITEM_BYTES : POINTER_BYTES;
  const countMax = Math.floor((bytes.length - NODE.items) / entryBytes);
  if (count > countMax || (level > 0 && count === 0)) {
    throw record.damaged('nritems', count, `at most ${String(countMax)}, in a leaf also 0`);
  }
  const keys: Key[] = [];
  let dataEnd = bytes.length - NODE.items;
  for (let index = 0; index < count; index++) {
    const at = NODE.items + index * entryBytes;
    const key = readKey(record, at);
    const before = keys.at(-1);
    if (before !== undefined && compareKeys(before, key) >= 0) {
      // Beyond 2^53 neighbours may look alike: only their order can be judged.
      const isFar = before.objectId > Number.MAX_SAFE_INTEGER || before.offset > Number.MAX_SAFE_INTEGER;
      if (!isFar || compareKeys(before, key) > 0) {
        throw record.damaged(`key ${String(index)}`, keyText(key), `above ${keyText(before)}`);
      }
    } // prettier-ignore
    keys.push(key);
    if (level > 0) continue;
    const offset = record.u32(at + KEY_BYTES);
    const size = record.u32(at + KEY_BYTES + 4);
    if (offset + size !== dataEnd || offset < count * ITEM_BYTES) {
      const expected = `an end at ${String(dataEnd)}, behind the items`;
      throw record.damaged(`item ${String(index)} offset`, offset, expected);
    }
    dataEnd = offset;
  }
  return { byte, level, record, keys };
}

function checkExpected(node: TreeNode, expected: Expected): void {
  const { record, level, keys } = node;
  if (level !== expected.level) throw record.damaged('level', level, String(expected.level));
  const generation = record.u64(NODE.generation);
  if (generation !== expected.generation) {
    throw record.damaged('generation', generation, String(expected.generation));
  }
  const { firstKey } = expected;
  if (firstKey === null) return;
  const [first] = keys;
  if (first === undefined || compareKeys(first, firstKey) !== 0) {
    throw record.damaged('first key', first === undefined ? 'absent' : keyText(first), keyText(firstKey));
  } // prettier-ignore
}

function itemAt({ record, keys }: TreeNode, index: number): Item {
  const at = NODE.items + index * ITEM_BYTES + KEY_BYTES;
  const key = keys[index] as Key;
  const data = record.part(`item ${keyText(key)}`, NODE.items + record.u32(at), record.u32(at + 4));
  return { ...key, data };
}

function firstNotBelow(keys: readonly Key[], key: Key): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(keys[middle] as Key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
