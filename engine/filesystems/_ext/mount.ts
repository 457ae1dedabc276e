// SPDX-License-Identifier: GPL-2.0-only
/**
 * Probing and mounting (ext2_fill_super). Nothing of the image is used before it was checked; a refusal is a `HostError` that names
 * structure, block and field.
 *
 * An image that was not left clean is looked through (check.ts) before it is mounted for writing: its bitmaps may be behind, and
 * allocating from them could give one block to two files. Bitmaps and counters are brought in line; anything else that is wrong is a
 * refusal, and fsck's work. A read-only device is never written, not even its state.
 */
import { assert, HostError, PAGE_BYTES, SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  BioGroup,
  BufferCache,
  CoreSuperBlock,
  InodeLock,
  PagePool,
  type DirectIo,
  type FileSystemProbe,
  type Kernel,
  newIoCounters,
} from '../../vfs/index.ts';
import { Allocator } from './allocator.ts';
import { BlockMap } from './block-map.ts';
import { mendImage } from './check.ts';
import { Checksums } from './checksum.ts';
import { Committer } from './commit.ts';
import { memberOfFeatures, type FamilyMember } from './family.ts';
import { ExtFileSystem } from './file-system.ts';
import { descriptorBlock, GroupTable } from './groups.ts';
import { RO_COMPAT, SB, STATE_VALID, SUPERBLOCK_BYTE } from './layout.ts';
import { recoverJournal, refuseDirtyJournal } from './journal.ts';
import { unixSeconds, type ExtState } from './state.ts';
import { hasExtMagic, Superblock } from './superblock.ts';

/** Pages that the metadata and the page cache of a mount may take: a part of the arena, and no more than this. */
const BUFFER_PAGES_MAX = 8192;
const CACHE_PAGES_MAX = 4096;

function hostRefusal(code: string, message: string, where: string, hint: string): HostError {
  return new HostError({ code, message, where, hint, exitCode: 65 });
}

/** Reads the start of the device through a page of its own; null where the device is shorter or refuses. */
export function* readDeviceStart(kernel: Kernel, device: BlockDevice): Task<Uint8Array | null> {
  const length = PAGE_BYTES;
  if (device.capacitySectors * SECTOR_BYTES < length) return null;
  const page = kernel.memory.allocatePages(1);
  if (page < 0) return null;
  const group = new BioGroup(kernel, device, 'read', 0, 'superblock');
  group.add(0, page, 0, length);
  const error = yield* group.wait();
  const bytes = kernel.memory.view(page, 0, length).slice();
  kernel.memory.freePages(page, 1);
  return error === 0 ? bytes : null;
}

/** Reads and checks the superblock. */
export function* readSuperblock(kernel: Kernel, device: BlockDevice): Task<Superblock> {
  const start = yield* readDeviceStart(kernel, device);
  if (start === null) {
    const message = `${device.name} is too short for a file system, or cannot be read`;
    throw hostRefusal('image.truncated', message, 'superblock, block 0', 'Give a whole image.');
  }
  const deviceBytes = device.capacitySectors * SECTOR_BYTES;
  const probed = new Superblock(start, SUPERBLOCK_BYTE, deviceBytes);
  const { blockBytes } = probed.geometry;
  const deviceBlock = probed.deviceBlock;
  const block = start.slice(deviceBlock * blockBytes, (deviceBlock + 1) * blockBytes);
  return new Superblock(block, SUPERBLOCK_BYTE % blockBytes, deviceBytes);
}

/** Null: not of this member. Never throws on hostile content. */
export function* probeExt(
  member: FamilyMember,
  kernel: Kernel,
  device: BlockDevice,
): Task<FileSystemProbe | null> {
  try {
    const start = yield* readDeviceStart(kernel, device);
    if (start === null || !hasExtMagic(start, SUPERBLOCK_BYTE)) return null;
    const superblock = yield* readSuperblock(kernel, device);
    const { compat, incompat, roCompat, geometry } = superblock;
    if (memberOfFeatures(compat, incompat, roCompat) !== member.moduleId) return null;
    const free = Math.min(superblock.freeBlocks, geometry.blocksCount);
    return {
      label: superblock.label,
      blockSizeBytes: geometry.blockBytes,
      sizeBytes: geometry.blocksCount * geometry.blockBytes,
      freeBytes: free * geometry.blockBytes,
      state: superblock.state,
      confidence: (roCompat & RO_COMPAT.metadata_csum) !== 0 ? 'checksum' : 'magic',
    };
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

export function* mountExt(
  member: FamilyMember,
  kernel: Kernel,
  device: BlockDevice,
  directIo: DirectIo,
): Task<ExtFileSystem> {
  const superblock = yield* readSuperblock(kernel, device);
  const isReadOnly = device.isReadOnly;
  superblock.checkFeatures(member, !isReadOnly);
  if (superblock.needsRecovery && isReadOnly) {
    const recovered = yield* recoverDevice(member, kernel, device, superblock);
    return yield* mountExt(member, kernel, recovered, directIo);
  }
  refuseUnfinished(device, superblock, isReadOnly);
  if (superblock.state === 'errors' && !isReadOnly) {
    throw hostRefusal(
      'image.has-errors',
      `${device.name} is marked as having errors`,
      `superblock, block ${String(superblock.deviceBlock)}, field state`,
      'Repair a copy of it with e2fsck -fy.',
    );
  }
  const state = yield* makeState(member, kernel, device, superblock, isReadOnly);
  const allocator = new Allocator(state);
  const blockMap = new BlockMap(state, allocator);
  state.getBlock = blockMap.getBlock;
  const fileSystem = new ExtFileSystem(state, directIo, { allocator, blockMap });
  try {
    if (!isReadOnly) {
      if (!state.wasClean) yield* refuseUnsound(state, blockMap);
      yield* markMounted(state, allocator);
    }
    const root = yield* fileSystem.readInode(fileSystem.rootInodeNumber);
    if (!root.ok || root.value.kind !== 'directory') {
      const why = root.ok ? `it is a ${root.value.kind}` : (root.detail ?? root.error);
      throw hostRefusal(
        'image.damaged',
        `the root directory cannot be used: ${why}`,
        `inode 2, block ${String(state.groups.inodeTable[0])}, field mode`,
        'Check a copy of the image with e2fsck -f.',
      );
    }
  } catch (error) {
    state.cache.close();
    throw error;
  }
  return fileSystem;
}

/** The device as it will be once its journal is replayed; the image itself is not touched. */
function* recoverDevice(
  member: FamilyMember,
  kernel: Kernel,
  device: BlockDevice,
  superblock: Superblock,
): Task<BlockDevice> {
  const state = yield* makeState(member, kernel, device, superblock, true);
  try {
    return yield* recoverJournal(state, new BlockMap(state, new Allocator(state)));
  } finally {
    state.cache.close();
  }
}

/** What the kernel left to be done: a journal to replay, files deleted while they were open. */
function refuseUnfinished(device: BlockDevice, superblock: Superblock, isReadOnly: boolean): void {
  const block = String(superblock.deviceBlock);
  if (superblock.needsRecovery) throw refuseDirtyJournal(device, superblock.deviceBlock);
  if (isReadOnly || superblock.record.u32(SB.lastOrphan) === 0) return;
  throw hostRefusal(
    'image.has-orphans',
    `${device.name} holds files that were deleted while open, or cut short, and not ended`,
    `superblock, block ${block}, field last_orphan`,
    'Let e2fsck -fy IMAGE end them, on a copy, or open it for reading only.',
  );
}

function* makeState(
  member: FamilyMember,
  kernel: Kernel,
  device: BlockDevice,
  superblock: Superblock,
  isReadOnly: boolean,
): Task<ExtState> {
  const { geometry } = superblock;
  const { memory } = kernel;
  const perPage = PAGE_BYTES / geometry.blockBytes;
  const bufferPages = Math.min(BUFFER_PAGES_MAX, Math.max(16, memory.pageCount >> 2));
  const cache = new BufferCache(
    kernel,
    device,
    geometry.blockBits,
    geometry.blocksCount,
    bufferPages * perPage,
  );
  const cachePages = Math.min(CACHE_PAGES_MAX, Math.max(16, memory.pageCount >> 2));
  const checksums = new Checksums(superblock.record);
  let groups: GroupTable;
  try {
    const raw = yield* readDescriptors(device, superblock, cache);
    groups = new GroupTable(geometry, checksums, raw);
  } catch (error) {
    cache.close();
    throw error;
  }
  const state: ExtState = {
    member,
    kernel,
    device,
    superblock,
    geometry,
    checksums,
    groups,
    cache,
    pageSettings: {
      pool: new PagePool(kernel, cachePages),
      device,
      getBlock: (inode, fileBlock, mapping, create) => {
        assert(state.getBlock !== null, 'get_block before the block map was made');
        return state.getBlock(inode, fileBlock, mapping, create);
      },
      cleanAliases: cache.cleanAliases,
    },
    superOperations: new CoreSuperBlock(),
    counters: newIoCounters(),
    isReadOnly,
    wasClean: superblock.state === 'clean',
    inodes: new Map(),
    dirtyInodes: new Set(),
    commitLock: new InodeLock(kernel.scheduler, 'commit'),
    pendingFreeBlocks: 0,
    superblockDirty: false,
    damage: [],
    getBlock: null,
  };
  return state;
}

function* readDescriptors(
  device: BlockDevice,
  superblock: Superblock,
  cache: BufferCache,
): Task<Uint8Array> {
  const { geometry } = superblock;
  const count = Math.ceil(geometry.groupCount / geometry.descriptorsPerBlock);
  const raw = new Uint8Array(count * geometry.blockBytes);
  for (let index = 0; index < count; index++) {
    const deviceBlock = descriptorBlock(geometry, index);
    const buffer = yield* cache.load(deviceBlock);
    if (typeof buffer === 'number') {
      throw hostRefusal(
        'image.unreadable',
        `${device.name}: the group descriptors cannot be read`,
        `group descriptors, block ${String(deviceBlock)}`,
        'Give a whole image.',
      );
    }
    raw.set(buffer.bytes, index * geometry.blockBytes);
    cache.release(buffer);
    cache.forget(deviceBlock);
  }
  return raw;
}

function* refuseUnsound(state: ExtState, blockMap: BlockMap): Task<void> {
  const { findings } = yield* mendImage(state, blockMap);
  const [first] = findings;
  if (first === undefined) return;
  throw hostRefusal(
    'image.not-clean',
    `${state.device.name} was not unmounted cleanly, and needs a check: ${first.rule}`,
    first.where,
    'Repair it with e2fsck -fy IMAGE.',
  );
}

/** ext2_setup_super: while it is mounted for writing, the image says so. */
function* markMounted(state: ExtState, allocator: Allocator): Task<void> {
  const { record } = state.superblock;
  record.setU16(SB.state, record.u16(SB.state) & ~STATE_VALID);
  record.setU16(SB.mountCount, (record.u16(SB.mountCount) + 1) & 0xffff);
  record.setU32(SB.mountTime, unixSeconds(state));
  state.superblockDirty = true;
  const error = yield* new Committer(state, allocator).commitAll();
  if (error < 0) {
    throw hostRefusal(
      'image.unwritable',
      `${state.device.name}: the superblock cannot be written (${String(error)})`,
      `superblock, block ${String(state.superblock.deviceBlock)}`,
      'Look at the host for errors of its disk.',
    );
  }
}
