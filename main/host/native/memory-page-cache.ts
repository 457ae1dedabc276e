// SPDX-License-Identifier: GPL-2.0-only
/** How much of a file lies in the host's page cache: cachestat (Linux 6.5). Where there is none, the answer is null, not a guess. */
import { PAGE_BYTES } from '../../../engine/base/index.ts';
import { storeU64 } from '../../../engine/executor/linux.ts';
import { readU64, scratch } from './scratch.ts';
import { nativeSyscalls } from './syscalls.ts';

/**
 *   struct cachestat_range:  0 off u64, 8 len u64 (0: to the end)
 *   struct cachestat:        0 nr_cache u64, 8 nr_dirty, 16 nr_writeback, 24 nr_evicted, 32 nr_recently_evicted   (in pages)
 *
 * Both in the last page of the scratch memory, so that a buffer in the first ones stays.
 */
const RANGE_BYTES = 15 * PAGE_BYTES;
const STAT_BYTES = RANGE_BYTES + 64;

/** Bytes of whole pages of the range (length 0: to the end of the file) in the page cache; null where the host cannot tell. */
export function cachedBytes(fd: number, offsetBytes: number, lengthBytes: number): number | null {
  const native = nativeSyscalls();
  if (native === null) return null;
  const { words, baseAddress } = scratch();
  storeU64(words, RANGE_BYTES / 4, offsetBytes);
  storeU64(words, RANGE_BYTES / 4 + 2, lengthBytes);
  const { table, numbers } = native;
  const result = table.call(
    numbers.cachestat,
    fd,
    baseAddress + RANGE_BYTES,
    baseAddress + STAT_BYTES,
    0,
    0,
    0,
  );
  return result < 0 ? null : readU64(words, STAT_BYTES / 4) * PAGE_BYTES;
}
