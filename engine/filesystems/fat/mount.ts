// SPDX-License-Identifier: GPL-2.0-only
/**
 * Probing and mounting (fat_fill_super). Nothing of the image is used before it was checked; a refusal is a `HostError` that names
 * structure, sector and field.
 *
 * Not left clean is what the boot sector's state bit says, which is the kernel's, or the bit in FAT[1], which is that of others. Such
 * an image is looked through before it is mounted for writing (check.ts). A read-only device is never written, not even its state.
 */
import { PAGE_BYTES, SECTOR_BYTES, HostError, type Task } from '../../base/index.ts';
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
import { BootSector, looksLikeFat } from './boot-sector.ts';
import { Chains } from './chains.ts';
import { mendImage } from './check.ts';
import { Committer } from './commit.ts';
import { Directories } from './directory.ts';
import { FatTable } from './fat-table.ts';
import { FatFileSystem, writeState } from './file-system.ts';
import { FatInode } from './inode.ts';
import { FIRST_CLUSTER, INFO, INFO_LEAD, INFO_STRUCTURE, ROOT_INODE } from './layout.ts';
import { FIRST_ALIAS_NUMBER, Namespace } from './namespace.ts';
import { FatRecord, refusal } from './record.ts';
import type { FatState } from './state.ts';

const BUFFER_PAGES_MAX = 4096;
const CACHE_PAGES_MAX = 4096;
/** A larger FAT is not counted at mount where FSInfo has a number that can be. */
const COUNTED_FAT_BYTES_MAX = 16 * 1024 * 1024;

/** The first page of the device; null where it is shorter or cannot be read. */
function* readStart(kernel: Kernel, device: BlockDevice): Task<Uint8Array | null> {
  const length = Math.min(PAGE_BYTES, device.capacitySectors * SECTOR_BYTES);
  if (length < SECTOR_BYTES) return null;
  const page = kernel.memory.allocatePages(1);
  if (page < 0) return null;
  const group = new BioGroup(kernel, device, 'read', 0, 'boot sector');
  group.add(
    0,
    page,
    0,
    Math.floor(length / device.limits.logicalBlockBytes) * device.limits.logicalBlockBytes,
  );
  const error = yield* group.wait();
  const bytes = kernel.memory.view(page, 0, length).slice();
  kernel.memory.freePages(page, 1);
  return error === 0 ? bytes : null;
}

/** Null: no FAT. Never throws on hostile content. */
export function* probeFat(kernel: Kernel, device: BlockDevice): Task<FileSystemProbe | null> {
  const start = yield* readStart(kernel, device);
  if (start === null || !looksLikeFat(start)) return null;
  try {
    const boot = new BootSector(start, device.capacitySectors * SECTOR_BYTES);
    const { geometry } = boot;
    return {
      label: boot.label,
      blockSizeBytes: geometry.sectorBytes,
      sizeBytes: geometry.clusterCount * geometry.clusterBytes,
      freeBytes: 0,
      state: boot.isMarkedDirty ? 'dirty' : 'clean',
      confidence: 'magic',
    };
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

export function* mountFat(
  kernel: Kernel,
  device: BlockDevice,
  directIo: DirectIo,
): Task<FatFileSystem> {
  const start = yield* readStart(kernel, device);
  if (start === null) {
    const message = `${device.name} is too short for a file system, or cannot be read`;
    throw refusal('image.truncated', message, 'boot sector, block 0', 'Give a whole image.');
  }
  const boot = new BootSector(start, device.capacitySectors * SECTOR_BYTES);
  const { sectorBytes } = boot.geometry;
  if (sectorBytes < device.limits.logicalBlockBytes) {
    throw refusal(
      'image.unsupported',
      `its sectors of ${String(sectorBytes)} bytes are smaller than the device's`,
      'boot sector, block 0, field bytes per sector',
      `Use a device with sectors of ${String(sectorBytes)} bytes.`,
    );
  }
  const { cache, pool } = makeCaches(kernel, device, boot);
  try {
    return yield* mountWith(kernel, device, directIo, boot, cache, pool);
  } catch (error) {
    cache.close();
    throw error;
  }
}

function makeCaches(
  kernel: Kernel,
  device: BlockDevice,
  boot: BootSector,
): { readonly cache: BufferCache; readonly pool: PagePool } {
  const { geometry } = boot;
  const quarter = Math.max(16, kernel.memory.pageCount >> 2);
  const buffers = Math.min(BUFFER_PAGES_MAX, quarter) * (PAGE_BYTES / geometry.sectorBytes);
  const { sectorBits, sectorCount } = geometry;
  return {
    cache: new BufferCache(kernel, device, sectorBits, sectorCount, buffers),
    pool: new PagePool(kernel, Math.min(CACHE_PAGES_MAX, quarter)),
  };
}

function* mountWith(
  kernel: Kernel,
  device: BlockDevice,
  directIo: DirectIo,
  boot: BootSector,
  cache: BufferCache,
  pool: PagePool,
): Task<FatFileSystem> {
  const { geometry } = boot;
  const table = new FatTable(kernel, device, geometry);
  const loaded = yield* table.load(0);
  if (loaded < 0) throw unreadable(device, 'FAT', geometry.reservedSectors);
  const holder: { chains: Chains | null } = { chains: null };
  const state: FatState = {
    kernel,
    device,
    boot,
    geometry,
    table,
    cache,
    pageSettings: {
      pool,
      device,
      getBlock: (inode, fileBlock, mapping, create) =>
        (holder.chains as Chains).getBlockOfPage(inode, fileBlock, mapping, create),
      cleanAliases: cache.cleanAliases,
    },
    superOperations: new CoreSuperBlock(),
    counters: newIoCounters(),
    isReadOnly: device.isReadOnly,
    wasClean: !boot.isMarkedDirty && isMarkedClean(table, geometry.fatBits),
    inodes: new Map(),
    byEntry: new Map(),
    known: new Map(),
    dirtyInodes: new Set(),
    commitLock: new InodeLock(kernel.scheduler, 'commit'),
    pendingFrees: [],
    pendingFreeClusters: 0,
    freeClusters: 0,
    lastAllocated: FIRST_CLUSTER,
    isInfoDirty: false,
    newDirectoryClusters: [],
    movedAway: new Map(),
    reservedSlots: new Set(),
    nextAlias: FIRST_ALIAS_NUMBER,
    damage: [],
  };
  const chains = new Chains(state);
  holder.chains = chains;
  const directories = new Directories(state, chains);
  yield* countClusters(state);
  yield* makeRoot(state, directories);
  const fileSystem = new FatFileSystem(state, chains, directories, directIo);
  if (!state.isReadOnly) yield* prepareForWriting(state, chains, directories);
  return fileSystem;
}

/** FAT[1] of FAT16 and FAT32: bit 15 or 27 is 1 where it was left clean, the one below where the disk had no errors. */
function isMarkedClean(table: FatTable, fatBits: number): boolean {
  if (fatBits === 12) return true;
  return (table.raw(1) & cleanBits(fatBits)) === cleanBits(fatBits);
}
function cleanBits(fatBits: number): number {
  return fatBits === 16 ? 0xc000 : 0x0c000000;
}

function unreadable(device: BlockDevice, structure: string, sector: number): HostError {
  const where = `${structure}, block ${String(sector)}`;
  return refusal(
    'image.unreadable',
    `${device.name}: ${where} cannot be read`,
    where,
    'Give a whole image.',
  );
}

/** Free clusters and where to look for the next: FSInfo is a hint, and believed only where counting would take long. */
function* countClusters(state: FatState): Task<void> {
  const { geometry, cache, table, wasClean } = state;
  let hinted = -1;
  if (geometry.infoSector !== 0) {
    const buffer = yield* cache.load(geometry.infoSector);
    if (typeof buffer === 'number') throw unreadable(state.device, 'FSInfo', geometry.infoSector);
    const record = new FatRecord('FSInfo', geometry.infoSector, buffer.bytes);
    const isInfo =
      record.u32(INFO.lead) === INFO_LEAD && record.u32(INFO.structure) === INFO_STRUCTURE;
    const free = record.u32(INFO.freeClusters);
    const next = record.u32(INFO.nextCluster);
    if (isInfo && free <= geometry.clusterCount) hinted = free;
    if (isInfo && next >= FIRST_CLUSTER && next < geometry.clusterCount + FIRST_CLUSTER) {
      state.lastAllocated = next;
    }
    cache.release(buffer);
  }
  const fatBytes = geometry.fatSectors * geometry.sectorBytes;
  if (hinted >= 0 && wasClean && fatBytes > COUNTED_FAT_BYTES_MAX) {
    state.freeClusters = hinted;
    return;
  }
  const counted = yield* table.countFree();
  if (counted < 0) throw unreadable(state.device, 'FAT', geometry.reservedSectors);
  state.freeClusters = counted;
  state.isInfoDirty = hinted >= 0 && counted !== hinted;
}

/** fat_read_root */
function* makeRoot(state: FatState, directories: Directories): Task<void> {
  const root = new FatInode(state, ROOT_INODE, 'directory');
  root.startCluster = state.geometry.rootCluster;
  root.attributes = 16;
  state.inodes.set(ROOT_INODE, root);
  const status = yield* directories.measure(root);
  if (status < 0) {
    throw refusal(
      'image.damaged',
      'the root directory cannot be used: its chain is broken',
      `root directory, block ${String(state.geometry.rootSector)}, field first cluster`,
      'Check a copy of the image with fsck.fat -n.',
    );
  }
}

/** Looks through an image that was not left clean, then marks it mounted (fat_set_state(sb, 1, 0)). */
function* prepareForWriting(state: FatState, chains: Chains, directories: Directories): Task<void> {
  if (!state.wasClean) {
    const namespace = new Namespace(state, chains, directories);
    const [first] = yield* mendImage(state, namespace, chains);
    if (first !== undefined) {
      throw refusal(
        'image.not-clean',
        `${state.device.name} was not unmounted cleanly, and needs a check: ${first.rule}`,
        first.where,
        'Repair it with fsck.fat -a IMAGE.',
      );
    }
    if (state.geometry.fatBits !== 12) {
      state.table.set(1, state.table.raw(1) | cleanBits(state.geometry.fatBits));
    }
  }
  const marked = yield* writeState(state, true);
  const status = marked === 0 && !state.wasClean ? yield* new Committer(state).commitAll() : marked;
  if (status < 0) {
    throw refusal(
      'image.unwritable',
      `${state.device.name}: the boot sector cannot be written (${String(status)})`,
      'boot sector, block 0',
      'Look at the host for errors of its disk.',
    );
  }
}
