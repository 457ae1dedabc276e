// SPDX-License-Identifier: GPL-2.0-only
/**
 * Probing and mounting (open_ctree): superblock, the chunks that it lists, the chunk tree with all of them, then the root tree. Mounted
 * for reading only, whatever the device allows.
 */
import { HostError, SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  CoreSuperBlock,
  PagePool,
  type DirectIo,
  type FileSystemProbe,
  type Kernel,
  newIoCounters,
} from '../../vfs/index.ts';
import { ChunkMap, readChunk, type ChunkLimits } from './chunks.ts';
import { BtrfsFileSystem } from './file-system.ts';
import { CHUNK, FIRST_FREE_OBJECT, KEY_BYTES, KEY_TYPE } from './layout.ts';
import { getBlock } from './map.ts';
import type { BtrfsRecord } from './record.ts';
import { defaultSubvolume, findRoot, numberOf, type BtrfsState } from './state.ts';
import {
  hasBtrfsMagic,
  isChecksumGood,
  readSuperblock,
  readSuperblockBytes,
  probeOf,
  Superblock,
} from './superblock.ts';
import { FIRST_KEY, Trees } from './tree.ts'; // prettier-ignore

const CACHE_PAGES_MAX = 4096;

/** Null: not a btrfs that can be mounted here. Never throws on hostile content. */
export function* probeBtrfs(kernel: Kernel, device: BlockDevice): Task<FileSystemProbe | null> {
  try {
    const bytes = yield* readSuperblockBytes(kernel, device);
    if (bytes === null || !hasBtrfsMagic(bytes) || !isChecksumGood(bytes)) return null;
    return probeOf(new Superblock(bytes, device));
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

export function* mountBtrfs(
  kernel: Kernel,
  device: BlockDevice,
  directIo: DirectIo,
): Task<BtrfsFileSystem> {
  const superblock = yield* readSuperblock(kernel, device);
  const chunks = new ChunkMap();
  const limits: ChunkLimits = {
    deviceId: superblock.deviceId,
    deviceBytes: device.capacitySectors * SECTOR_BYTES,
    sectorBytes: superblock.sectorBytes,
  };
  readSystemArray(superblock.systemArray, chunks, limits);
  const trees = new Trees(kernel, device, superblock, chunks);
  yield* trees.walk(superblock.chunkTree, FIRST_KEY, (item) => {
    if (item.type === KEY_TYPE.chunk) addChunk(chunks, item.data, item.offset, limits);
    return true;
  });
  const cachePages = Math.min(CACHE_PAGES_MAX, Math.max(16, kernel.memory.pageCount >> 2));
  const state: BtrfsState = {
    kernel,
    device,
    superblock,
    chunks,
    trees,
    pageSettings: {
      pool: new PagePool(kernel, cachePages),
      device,
      getBlock,
      cleanAliases: () => undefined,
    },
    superOperations: new CoreSuperBlock(),
    counters: newIoCounters(),
    subvolumes: new Map(),
  };
  const treeId = yield* defaultSubvolume(state);
  const root = yield* findRoot(state, treeId);
  const rootNumber = numberOf(treeId, root.ok ? root.value.directory : FIRST_FREE_OBJECT);
  const fileSystem = new BtrfsFileSystem(state, directIo, rootNumber ?? FIRST_FREE_OBJECT);
  const directory = yield* fileSystem.readInode(fileSystem.rootInodeNumber);
  if (directory.ok && directory.value.kind === 'directory') return fileSystem;
  const why = directory.ok
    ? `it is a ${directory.value.kind}`
    : (directory.detail ?? directory.error);
  throw new HostError({
    code: 'image.damaged',
    message: `btrfs: the root directory cannot be used: ${why}`,
    where: `subvolume ${String(treeId)}, field root_dirid`,
    hint: 'Check a copy of the image with btrfs check --readonly.',
    exitCode: 65,
  });
}

function addChunk(
  chunks: ChunkMap,
  record: BtrfsRecord,
  startByte: number,
  limits: ChunkLimits,
): void {
  if (chunks.add(readChunk(record, startByte, limits))) return;
  throw record.damaged('key offset', startByte, 'a start outside the other chunks');
}

/** Key, chunk item, key, chunk item ... */
function readSystemArray(array: BtrfsRecord, chunks: ChunkMap, limits: ChunkLimits): void {
  for (let at = 0; at < array.lengthBytes;) {
    const type = array.u8(at + 8);
    if (type !== KEY_TYPE.chunk) throw array.damaged('key type', type, String(KEY_TYPE.chunk));
    const startByte = array.u64(at + 9);
    const stripeCount = array.u16(at + KEY_BYTES + CHUNK.stripeCount);
    const length = CHUNK.stripes + stripeCount * CHUNK.stripeBytes;
    const record = array.part('system chunk array', at + KEY_BYTES, length);
    addChunk(chunks, record, startByte, limits);
    at += KEY_BYTES + length;
  }
}
