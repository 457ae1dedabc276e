// SPDX-License-Identifier: GPL-2.0-only
/**
 * Probing and mounting (xfs_fs_fill_super, as far as reading goes).
 *
 * A log that is not clean is a refusal: what it holds has not been written where it belongs, so that maps, sizes and names of the disk
 * may be old, and a map that may be wrong is worse than none. The way out is the kernel's own replay, or xfs_repair.
 */
import { HostError, PAGE_BYTES, SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { BioGroup, type DirectIo, type FileSystemProbe, type Kernel } from '../../vfs/index.ts';
import { probeOf, XfsFileSystem } from './file-system.ts';
import { readInodeRecord } from './inode.ts';
import { XFS_MAGIC } from './layout.ts';
import { readLogState } from './log.ts';
import { XfsReadError } from './record.ts';
import { Superblock } from './superblock.ts';
import { XfsVolume } from './volume.ts';

function* readStart(kernel: Kernel, device: BlockDevice): Task<Uint8Array | null> {
  if (device.capacitySectors * SECTOR_BYTES < PAGE_BYTES) return null;
  const page = kernel.memory.allocatePages(1);
  if (page < 0) return null;
  const group = new BioGroup(kernel, device, 'read', 0, 'superblock');
  group.add(0, page, 0, PAGE_BYTES);
  const error = yield* group.wait();
  const bytes = kernel.memory.view(page, 0, PAGE_BYTES).slice();
  kernel.memory.freePages(page, 1);
  return error === 0 ? bytes : null;
}

function unreadable(device: BlockDevice, where: string): HostError {
  return new HostError({
    code: 'image.unreadable',
    message: `${device.name} is too short for XFS, or cannot be read`,
    where,
    hint: 'Give a whole image.',
    exitCode: 65,
  });
}

function* readVolume(kernel: Kernel, device: BlockDevice): Task<XfsVolume> {
  const start = yield* readStart(kernel, device);
  if (start === null) throw unreadable(device, 'superblock, block 0');
  const superblock = new Superblock(start, device.capacitySectors * SECTOR_BYTES);
  return new XfsVolume(kernel, device, superblock);
}

const hasMagic = (start: Uint8Array): boolean =>
  new DataView(start.buffer, start.byteOffset).getUint32(0) === XFS_MAGIC;

/** Null: no XFS at all. One that `mount` would refuse is still XFS, so that the refusal can say why. */
export function* probeXfs(kernel: Kernel, device: BlockDevice): Task<FileSystemProbe | null> {
  const start = yield* readStart(kernel, device);
  if (start === null || !hasMagic(start)) return null;
  try {
    const superblock = new Superblock(start, device.capacitySectors * SECTOR_BYTES);
    const volume = new XfsVolume(kernel, device, superblock);
    try {
      const { isClean } = yield* readLogState(volume);
      return probeOf(superblock, isClean ? 'clean' : 'dirty');
    } finally {
      volume.cache.close();
    }
  } catch (error) {
    if (!(error instanceof HostError) && !(error instanceof XfsReadError)) throw error;
    const sizeBytes = device.capacitySectors * SECTOR_BYTES;
    const blockSizeBytes = PAGE_BYTES;
    return {
      label: '',
      blockSizeBytes,
      sizeBytes,
      freeBytes: 0,
      state: 'errors',
      confidence: 'magic',
    };
  }
}

export function* mountXfs(
  kernel: Kernel,
  device: BlockDevice,
  directIo: DirectIo,
): Task<XfsFileSystem> {
  const volume = yield* readVolume(kernel, device);
  try {
    yield* refuseDirtyLog(volume);
    const { rootInode } = volume.geometry;
    const root = yield* readInodeRecord(volume, rootInode);
    if (root?.kind !== 'directory') {
      throw new HostError({
        code: 'image.damaged',
        message: `the root directory is ${root === null ? 'a free inode' : `a ${root.kind}`}`,
        where: `superblock, block 0, field rootino`,
        hint: 'Check it with xfs_repair -n IMAGE.',
        exitCode: 65,
        data: { structure: 'superblock', block: 0, field: 'rootino', found: rootInode },
      });
    }
    return new XfsFileSystem(volume, directIo);
  } catch (error) {
    volume.cache.close();
    if (!(error instanceof XfsReadError)) throw error;
    throw unreadable(device, `metadata, block ${String(error.deviceBlock)}`);
  }
}

function* refuseDirtyLog(volume: XfsVolume): Task<void> {
  const log = yield* readLogState(volume);
  if (log.isClean) return;
  const { device, geometry } = volume;
  const block =
    geometry.logStart + Math.floor((log.headBlock * SECTOR_BYTES) / geometry.blockBytes);
  throw new HostError({
    code: 'image.not-clean',
    message: `${device.name} was not unmounted cleanly: the log has to be replayed first, ${log.reason}`,
    where: `log, block ${String(block)}, field head`,
    hint: 'Mount a copy once with the kernel and unmount it, or repair one with xfs_repair -L.',
    exitCode: 65,
    data: { structure: 'log', block, field: 'head', found: log.reason },
  });
}
