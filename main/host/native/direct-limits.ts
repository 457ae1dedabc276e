// SPDX-License-Identifier: GPL-2.0-only
/**
 * What direct I/O on an open file takes, and whether it is direct at all. An open with O_DIRECT proves nothing: tmpfs takes it and
 * reads from memory. So: what statx says (DIOALIGN, Linux 6.1), else the device's logical block, else a page; then trial reads.
 */
import { fstatSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { ERRNO, errnoName, PAGE_BYTES } from '../../../engine/base/index.ts';
import { cachedBytes } from './memory-page-cache.ts';
import { scratch } from './scratch.ts';
import type { NativeSyscalls } from './syscalls.ts';

export interface DirectLimits {
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
  readonly source: 'statx' | 'logical sector' | 'page size';
  /** Null: the file system has direct I/O on this file, as far as it says. */
  readonly refusedWhy: string | null;
}

const AT_EMPTY_PATH = 0x1000;
const STATX_DIOALIGN = 0x2000;
/** struct statx, 256 bytes:  0 stx_mask u32  ...  152 stx_dio_mem_align u32  156 stx_dio_offset_align u32 */
const STATX_BYTES = 256;
const STATX = { maskWord: 0, memoryAlignWord: 38, offsetAlignWord: 39 } as const;

/** File systems that live in memory: f_type of struct statfs (its first 8 bytes). */
const MEMORY_FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x01021994: 'tmpfs',
  0x858458f6: 'ramfs',
  0x958458f6: 'hugetlbfs',
};

/** 'tmpfs' and the like, or null for file systems with a disk (or a server) under them. */
export function memoryFileSystem(native: NativeSyscalls, fd: number): string | null {
  const { words, baseAddress } = scratch();
  if (native.table.call(native.numbers.fstatfs, fd, baseAddress, 0, 0, 0, 0) < 0) return null;
  return MEMORY_FILE_SYSTEMS[(words[0] as number) >>> 0] ?? null;
}

/** Folder of the device's queue limits in sysfs; a partition has its disk's. Null where st_dev is no block device. */
export function queueFolder(major: number, minor: number): string | null {
  try {
    const folder = realpathSync(`/sys/dev/block/${String(major)}:${String(minor)}`);
    for (const candidate of [folder, dirname(folder)]) {
      try {
        readFileSync(`${candidate}/queue/logical_block_size`);
        return `${candidate}/queue`;
      } catch {
        // A partition has no queue of its own: its parent does.
      }
    }
    return null;
  } catch {
    // Not a block device (tmpfs, overlay, network): there is no queue to look at.
    return null;
  }
}

/** st_dev as major and minor (glibc's makedev). */
export function majorMinor(dev: bigint): { readonly major: number; readonly minor: number } {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** What the file system states. The scratch memory holds the struct. */
export function statedLimits(native: NativeSyscalls, fd: number): DirectLimits {
  const memoryBacked = memoryFileSystem(native, fd);
  if (memoryBacked !== null) {
    return {
      offsetAlignBytes: PAGE_BYTES,
      memoryAlignBytes: PAGE_BYTES,
      source: 'page size',
      refusedWhy: `${memoryBacked} lives in memory: there is no disk to be direct with`,
    };
  }
  const { words, baseAddress } = scratch();
  // Word 0 of the struct's page is the empty path, the struct follows in the next page.
  words.fill(0, 0, (PAGE_BYTES + STATX_BYTES) / 4);
  const { table, numbers } = native;
  const into = baseAddress + PAGE_BYTES;
  const result = table.call(numbers.statx, fd, baseAddress, AT_EMPTY_PATH, STATX_DIOALIGN, into, 0);
  const at = PAGE_BYTES / 4;
  if (result === 0 && ((words[at + STATX.maskWord] as number) & STATX_DIOALIGN) !== 0) {
    const memoryAlignBytes = words[at + STATX.memoryAlignWord] as number;
    const offsetAlignBytes = words[at + STATX.offsetAlignWord] as number;
    const has = memoryAlignBytes > 0 && offsetAlignBytes > 0;
    return {
      offsetAlignBytes: has ? offsetAlignBytes : PAGE_BYTES,
      memoryAlignBytes: has ? memoryAlignBytes : PAGE_BYTES,
      source: 'statx',
      refusedWhy: has ? null : 'statx says that direct I/O is not supported on this file',
    };
  }
  const { major, minor } = majorMinor(fstatSync(fd, { bigint: true }).dev);
  const queue = queueFolder(major, minor);
  const sector = queue === null ? 0 : Number(readFileSync(`${queue}/logical_block_size`, 'utf8'));
  const align = sector > 0 ? sector : PAGE_BYTES;
  return {
    offsetAlignBytes: align,
    memoryAlignBytes: align,
    source: sector > 0 ? 'logical sector' : 'page size',
    refusedWhy: null,
  };
}

/**
 * Reads through the descriptor (open with O_DIRECT): an aligned read has to work, and then either an unaligned one is refused, or
 * the page read did not enter the page cache. Null: proved; else one sentence.
 */
export function proveDirect(
  native: NativeSyscalls,
  fd: number,
  limits: DirectLimits,
  sizeBytes: number,
): string | null {
  const { table, numbers } = native;
  const buffer = scratch().baseAddress + PAGE_BYTES;
  const lengthBytes = limits.offsetAlignBytes;
  const read = (address: number, offset: number, length: number): number =>
    table.call(numbers.pread64, fd, address, length, offset, 0, 0);
  if (lengthBytes > 8 * PAGE_BYTES) {
    return `it takes only multiples of ${String(lengthBytes)} bytes, which is more than we try`;
  }
  // A file shorter than that has nothing to prove it with: what the file system states stands.
  if (sizeBytes < 2 * lengthBytes) return null;
  const before = cachedBytes(fd, 0, lengthBytes);
  const aligned = read(buffer, 0, lengthBytes);
  if (aligned !== lengthBytes) {
    const got = aligned < 0 ? (errnoName(aligned) ?? String(aligned)) : `${String(aligned)} bytes`;
    return `a direct read of ${String(lengthBytes)} bytes at 0 gave ${got}`;
  }
  const after = cachedBytes(fd, 0, lengthBytes);
  if (read(buffer + 1, 1, lengthBytes) === -ERRNO.EINVAL) return null;
  if (before === 0 && after === 0) return null;
  if (before === 0 && after !== null && after > 0) {
    return 'a read with O_DIRECT went through the page cache of the host';
  }
  return limits.source === 'statx'
    ? null
    : 'an unaligned read passed, so nothing shows that reads are direct';
}
