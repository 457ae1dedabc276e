// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the parts of a mounted btrfs share, and how inodes of many trees get one number each.
 *
 * Every subvolume counts its inodes from 256. The lab's number is the inode's own in the top-level subvolume, and
 * tree id * 2^32 + inode number in the others; both parts fit in 2^53 as long as a tree id is below 2^20.
 */
import { fail, succeed, type Result, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type { CoreSuperBlock, IoCounters, Kernel, PageCacheSettings } from '../../vfs/index.ts';
import type { ChunkMap } from './chunks.ts';
import {
  FIRST_FREE_OBJECT,
  KEY_TYPE,
  LAST_FREE_OBJECT,
  LEVEL_MAX,
  ROOT,
  ROOT_TREE_DIRECTORY,
  TREE,
} from './layout.ts';
import { findEntry } from './names.ts';
import type { Superblock, TreeRoot } from './superblock.ts';
import { encodeText } from './text.ts';
import type { Item, Trees } from './tree.ts';

const TREE_STEP = 2 ** 32;
const TREES_MAX = 2 ** 20;

export interface BtrfsState {
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly superblock: Superblock;
  readonly chunks: ChunkMap;
  readonly trees: Trees;
  readonly pageSettings: PageCacheSettings;
  readonly superOperations: CoreSuperBlock;
  readonly counters: IoCounters;
  /** Roots of subvolumes by tree id, as they were looked up. */
  readonly subvolumes: Map<number, Subvolume>;
}

export interface Subvolume extends TreeRoot {
  /** Inode number of its first directory. */
  readonly directory: number;
}

/** The lab's number of an inode; null where it cannot have one. */
export function numberOf(treeId: number, objectId: number): number | null {
  if (objectId < 1 || objectId >= TREE_STEP || treeId < 1 || treeId >= TREES_MAX) return null;
  return treeId === TREE.fs ? objectId : treeId * TREE_STEP + objectId;
}

export function partsOf(inodeNumber: number): {
  readonly treeId: number;
  readonly objectId: number;
} {
  const treeId = Math.floor(inodeNumber / TREE_STEP);
  return { treeId: treeId === 0 ? TREE.fs : treeId, objectId: inodeNumber % TREE_STEP };
}

export const isSubvolumeId = (treeId: number): boolean =>
  treeId === TREE.fs || (treeId >= FIRST_FREE_OBJECT && treeId <= LAST_FREE_OBJECT);

/** A ROOT_ITEM. Throws `HostError`. */
export function readRoot({ objectId, data }: Item): Subvolume {
  if (data.lengthBytes < ROOT.bytes) {
    throw data.damaged('size', data.lengthBytes, `at least ${String(ROOT.bytes)}`);
  }
  const level = data.u8(ROOT.level);
  if (level > LEVEL_MAX) throw data.damaged('level', level, '0 to 7');
  return {
    treeId: objectId,
    byte: data.u64(ROOT.byte),
    level,
    generation: data.u64(ROOT.generation),
    directory: data.u64(ROOT.directory),
  };
}

/** The root of a tree; ENOENT where there is none. Throws `HostError`. */
export function* findRoot(state: BtrfsState, treeId: number): Task<Result<Subvolume>> {
  const known = state.subvolumes.get(treeId);
  if (known !== undefined) return succeed(known);
  const [item] = yield* state.trees.itemsOf(state.superblock.rootTree, treeId, KEY_TYPE.rootItem);
  if (item === undefined) return fail('ENOENT', `there is no tree ${String(treeId)}`);
  const root = readRoot(item);
  state.subvolumes.set(treeId, root);
  return succeed(root);
}

/** Tree ids of all subvolumes and snapshots, the top-level one first. */
export function* subvolumeIds(state: BtrfsState): Task<number[]> {
  const ids: number[] = [];
  const from = { objectId: TREE.fs, type: 0, offset: 0 };
  yield* state.trees.walk(state.superblock.rootTree, from, ({ objectId, type }) => {
    if (objectId > LAST_FREE_OBJECT) return false;
    if (type === KEY_TYPE.rootItem && isSubvolumeId(objectId)) ids.push(objectId);
    return true;
  });
  return [...new Set(ids)];
}

/** The subvolume that the kernel mounts where none is named (btrfs subvolume set-default). */
export function* defaultSubvolume(state: BtrfsState): Task<number> {
  const { rootTree } = state.superblock;
  const name = encodeText('default');
  const entry = yield* findEntry(state.trees, rootTree, ROOT_TREE_DIRECTORY, name);
  return entry?.isSubvolume === true && isSubvolumeId(entry.objectId) ? entry.objectId : TREE.fs;
}
