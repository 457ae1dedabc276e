// SPDX-License-Identifier: GPL-2.0-only
/** Queue limits: what every device's must obey, and those of a device that has none. */
import { assert, isPowerOfTwo, PAGE_BYTES, SECTOR_BYTES } from '../base/index.ts';
import type { QueueLimits } from './device.ts';

/** BLK_DEF_MAX_SECTORS: 1280 KiB. */
export const IO_SIZE_SECTORS_DEFAULT = 2560;

/** Limits of a device that takes nearly anything; spread and override what differs. */
export const DEFAULT_LIMITS: QueueLimits = {
  logicalBlockBytes: 512,
  physicalBlockBytes: 4096,
  dmaAlignmentBytes: 1,
  ioSizeSectorsMax: IO_SIZE_SECTORS_DEFAULT,
  segmentCountMax: 256,
  segmentSizeBytesMax: 0x7fff_f000,
  chunkSectors: 0,
  hasVolatileCache: false,
};

/** What block/blk-settings.c makes sure of; a device that breaks it is a bug of the device. */
export function checkLimits(name: string, limits: QueueLimits): void {
  const { logicalBlockBytes, physicalBlockBytes, dmaAlignmentBytes } = limits;
  const fail = (rule: string): string => `limits of ${name}: ${rule}`;
  assert(
    isPowerOfTwo(logicalBlockBytes) && logicalBlockBytes >= SECTOR_BYTES,
    fail('logical block is a power of two from 512'),
    { logicalBlockBytes },
  );
  assert(logicalBlockBytes <= PAGE_BYTES, fail('logical block is at most a page'), {
    logicalBlockBytes,
  });
  assert(
    isPowerOfTwo(physicalBlockBytes) && physicalBlockBytes >= logicalBlockBytes,
    fail('physical block is a power of two, not below the logical one'),
    { physicalBlockBytes },
  );
  assert(
    isPowerOfTwo(dmaAlignmentBytes) && dmaAlignmentBytes <= PAGE_BYTES,
    fail('DMA alignment is a power of two up to a page'),
    { dmaAlignmentBytes },
  );
  const logicalSectors = logicalBlockBytes / SECTOR_BYTES;
  assert(
    limits.ioSizeSectorsMax >= logicalSectors,
    fail('longest request is at least a logical block'),
    { ioSizeSectorsMax: limits.ioSizeSectorsMax },
  );
  assert(limits.segmentCountMax >= 1, fail('at least one segment'));
  assert(limits.segmentSizeBytesMax >= SECTOR_BYTES, fail('segments of at least a sector'));
  assert(
    limits.chunkSectors % logicalSectors === 0,
    fail('chunk is made of whole logical blocks'),
    { chunkSectors: limits.chunkSectors },
  );
}
