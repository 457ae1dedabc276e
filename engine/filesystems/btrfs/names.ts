// SPDX-License-Identifier: GPL-2.0-only
/**
 * Directories (kernel: fs/btrfs/dir-item.c). Every entry is there twice: as DIR_ITEM under the hash of its name, for looking up, and as
 * DIR_INDEX under a running number, for listing. An entry points to an inode of the same tree, or to the root of another one: a
 * subvolume.
 */
import type { Task } from '../../base/index.ts';
import type { InodeKind } from '../../vfs/index.ts';
import { crc32c } from '../_ext/checksum.ts';
import { ENTRY, KEY_TYPE } from './layout.ts';
import type { TreeRoot } from './superblock.ts';
import { decodeText } from './text.ts';
import type { Item, Trees } from './tree.ts';

const NAME_BYTES_MAX = 255;

const kinds: readonly InodeKind[] = [
  'other', 'file', 'directory', 'other', 'block-device', 'other', 'other', 'symlink',
]; // prettier-ignore

export interface NameEntry {
  readonly name: Uint8Array;
  readonly kind: InodeKind;
  /** A subvolume's tree id where `isSubvolume`, else an inode of the same tree. */
  readonly objectId: number;
  readonly isSubvolume: boolean;
}

/** btrfs_name_hash: crc32c begun from ~1. */
export const nameHash = (name: Uint8Array): number => crc32c(0xffff_fffe, name);

/** The entries of a DIR_ITEM or DIR_INDEX item: names of one hash share an item. Throws `HostError`. */
export function* entriesOf(item: Item): Generator<NameEntry> {
  const { data } = item;
  for (let at = 0; at < data.lengthBytes;) {
    const nameBytes = data.u16(at + ENTRY.nameBytes);
    const dataBytes = data.u16(at + ENTRY.dataBytes);
    if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX) {
      throw data.damaged('name_len', nameBytes, '1 to 255');
    }
    const type = data.u8(at + ENTRY.type);
    const name = data.slice(at + ENTRY.name, nameBytes);
    if (name.includes(0x2f) || name.includes(0)) {
      throw data.damaged('name', JSON.stringify(decodeText(name)), 'one without / and 0');
    }
    const targetType = data.u8(at + ENTRY.location + 8);
    if (targetType !== KEY_TYPE.inode && targetType !== KEY_TYPE.rootItem) {
      throw data.damaged('location type', targetType, '1 or 132');
    }
    yield {
      name,
      kind: kinds[type] ?? 'other',
      objectId: data.u64(at + ENTRY.location),
      isSubvolume: targetType === KEY_TYPE.rootItem,
    };
    at += ENTRY.name + nameBytes + dataBytes;
  }
}

/** btrfs_lookup_dir_item; null: there is no such name. */
export function* findEntry(
  trees: Trees,
  root: TreeRoot,
  directory: number,
  name: Uint8Array,
): Task<NameEntry | null> {
  const key = { objectId: directory, type: KEY_TYPE.directoryItem, offset: nameHash(name) };
  const item = yield* trees.find(root, key);
  if (item === null) return null;
  for (const entry of entriesOf(item)) {
    const isSame = entry.name.length === name.length && entry.name.every((byte, at) => byte === name[at]);
    if (isSame) return entry;
  } // prettier-ignore
  return null;
}

/** All entries of a directory, in the order they were made. */
export function* listEntries(trees: Trees, root: TreeRoot, directory: number): Task<NameEntry[]> {
  const entries: NameEntry[] = [];
  for (const item of yield* trees.itemsOf(root, directory, KEY_TYPE.directoryIndex)) {
    entries.push(...entriesOf(item));
  }
  return entries;
}
