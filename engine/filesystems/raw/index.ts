// SPDX-License-Identifier: GPL-2.0-only
/**
 * The whole device as one file, as a program sees it that opens a block device.
 *
 * Its direct I/O goes through the ported fs/direct-io.c with the block device's own get_block, as the kernel did up to 3.x
 * (blkdev_direct_IO calling __blockdev_direct_IO without flags). Kernels of the 6.x era have code of their own for block devices
 * (block/fops.c), which checks buffer addresses against the DMA alignment only and sends one bio where 256 vectors do.
 *
 * Block size as set_init_blocksize: the largest power of two, from the logical block size to a page, that divides the size.
 */
import {
  ERRNO,
  fail,
  isTask,
  MAP_FLAG,
  PAGE_BYTES,
  SECTOR_BYTES,
  succeed,
  type KernelReturn,
  type Result,
  type Task,
} from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  CoreInode,
  CoreSuperBlock,
  flushDevice,
  GenericFile,
  PageCache,
  PagePool,
  type DirectIo,
  type DirectoryEntry,
  type FileExtent,
  type FileOperations,
  type FileSystemModule,
  type FileSystemProbe,
  type GetBlock,
  type Inode,
  type IoCounters,
  type Kernel,
  type MountedFileSystem,
  type OpenFile,
  type PageCacheSettings,
  newIoCounters,
} from '../../vfs/index.ts';

/** The one inode. */
const DEVICE_INODE = 1;
const CACHE_PAGES_MAX = 4096;

/** Bytes a block of the device's page cache has. */
export function rawBlockBytes(device: BlockDevice): number {
  const sizeBytes = device.capacitySectors * SECTOR_BYTES;
  let blockBytes = device.limits.logicalBlockBytes;
  while (blockBytes < PAGE_BYTES && sizeBytes % (blockBytes * 2) === 0) blockBytes *= 2;
  return blockBytes;
}

class DeviceInode extends CoreInode {
  override readonly mapping: PageCache;
  constructor(kernel: Kernel, settings: PageCacheSettings, blockBytes: number, sizeBytes: number) {
    const superBlock = new CoreSuperBlock();
    super(kernel, superBlock, DEVICE_INODE, 'block-device', Math.log2(blockBytes));
    this.sizeBytes = sizeBytes;
    this.mapping = new PageCache(this, settings);
  }
}

class RawDevice implements MountedFileSystem {
  readonly moduleId = 'raw';
  readonly rootInodeNumber = DEVICE_INODE;
  readonly blockSizeBytes: number;
  readonly dioProfile = { locking: 'none', skipHoles: false, allocatesInHoles: false } as const;
  readonly counters: IoCounters = newIoCounters();
  readonly getBlock: GetBlock;
  private readonly inode: DeviceInode;
  private readonly operations: FileOperations;

  constructor(
    private readonly kernel: Kernel,
    readonly device: BlockDevice,
    directIo: DirectIo,
  ) {
    this.blockSizeBytes = rawBlockBytes(device);
    const sizeBytes = device.capacitySectors * SECTOR_BYTES;
    this.getBlock = this.makeGetBlock(Math.floor(sizeBytes / this.blockSizeBytes));
    const cleanAliases = (): void => undefined;
    const pagesMax = Math.min(CACHE_PAGES_MAX, Math.max(16, kernel.memory.pageCount >> 2));
    const pool = new PagePool(kernel, pagesMax);
    const settings = { pool, device, getBlock: this.getBlock, cleanAliases };
    this.inode = new DeviceInode(kernel, settings, this.blockSizeBytes, sizeBytes);
    this.operations = this.makeOperations(directIo, cleanAliases);
  }

  /** blkdev_get_block: block n of the file is block n of the device, as far as the device goes. */
  private makeGetBlock(blocksCount: number): GetBlock {
    const { device, blockSizeBytes } = this;
    return (_inode, fileBlock, mapping, create) => {
      const left = blocksCount - fileBlock;
      if (left <= 0) return create ? -ERRNO.EIO : 0;
      mapping.device = device;
      mapping.deviceBlock = fileBlock;
      mapping.flags |= MAP_FLAG.mapped;
      const leftBytes = left * blockSizeBytes;
      if (mapping.lengthBytes > leftBytes) mapping.lengthBytes = leftBytes;
      return 0;
    };
  }

  private makeOperations(directIo: DirectIo, cleanAliases: () => void): FileOperations {
    const nothing = (): void => undefined;
    return {
      kernel: this.kernel,
      device: this.device,
      directIo,
      getBlock: this.getBlock,
      counters: this.counters,
      locking: 'none',
      skipHoles: false,
      cleanAliases,
      supportsNowait: true,
      isBlockDevice: true,
      isReadOnly: this.device.isReadOnly,
      sizeBytesMax: this.inode.sizeBytes,
      needsRoom: () => false,
      *makeRoom() {
        return 0;
      },
      inodeChanged: nothing,
      touch: nothing,
      *writeFailed() {
        // Nothing was allocated.
      },
      *reclaimSpace() {
        return false;
      },
      syncRange: (_inode, firstByte, lastByte) => this.syncRange(firstByte, lastByte),
      *truncate() {
        return -ERRNO.EINVAL;
      },
      extents: () => this.extents(),
    };
  }

  /** blkdev_fsync */
  private *syncRange(firstByte: number, lastByte: number): Task<KernelReturn> {
    const written = this.inode.mapping.writeAndWait(firstByte, lastByte);
    const error = isTask(written) ? yield* written : written;
    return error < 0 ? error : yield* flushDevice(this.kernel, this.device);
  }

  private *extents(): Task<Result<FileExtent[]>> {
    const count = Math.floor(this.inode.sizeBytes / this.blockSizeBytes);
    return succeed([{ fileBlock: 0, count, deviceBlock: 0, state: 'mapped' as const }]);
  }

  *readInode(inodeNumber: number): Task<Result<Inode>> {
    return inodeNumber === DEVICE_INODE ? succeed(this.inode) : fail('ENOENT');
  }
  *lookup(): Task<Result<number>> {
    return fail('ENOTDIR', 'a raw device holds no files');
  }
  *readDirectory(): Task<Result<DirectoryEntry[]>> {
    return fail('ENOTDIR', 'a raw device holds no files');
  }
  *open(inode: Inode): Task<Result<OpenFile>> {
    return inode === this.inode
      ? succeed(new GenericFile(this.inode, this.operations))
      : fail('EINVAL');
  }
  *create(): Task<Result<Inode>> {
    return fail('ENOTDIR', 'a raw device holds no files');
  }
  *unlink(): Task<Result<void>> {
    return fail('ENOTDIR', 'a raw device holds no files');
  }
  *truncate(): Task<KernelReturn> {
    return -ERRNO.EINVAL;
  }
  statfs(): FileSystemProbe {
    return describe(this.device);
  }
  *unmount(): Task<KernelReturn> {
    const status = yield* this.sync();
    yield* this.inode.mapping.discard();
    return status;
  }
  *sync(): Task<KernelReturn> {
    return yield* this.syncRange(0, Number.MAX_SAFE_INTEGER);
  }
  *checkInvariants(): Task<readonly { readonly rule: string; readonly where: string }[]> {
    return [];
  }
}

function describe(device: BlockDevice): FileSystemProbe {
  return {
    label: '',
    blockSizeBytes: rawBlockBytes(device),
    sizeBytes: device.capacitySectors * SECTOR_BYTES,
    freeBytes: 0,
    state: 'clean',
    confidence: 'magic',
  };
}

export const raw: FileSystemModule<Record<string, never>> = {
  id: 'raw',
  title: 'Raw device',
  help: 'The whole image as one block device, without a file system.',
  options: {},
  supports: {
    write: true,
    allocate: false,
    directories: false,
    unwrittenExtents: false,
    journal: false,
  },
  // Anything is a raw device, so probing never answers with it.
  *probe() {
    return null;
  },
  *mount(kernel, device, directIo) {
    return new RawDevice(kernel, device, directIo);
  },
};
