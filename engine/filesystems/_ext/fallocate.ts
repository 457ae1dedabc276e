// SPDX-License-Identifier: GPL-2.0-only
/**
 * fallocate(2) on files mapped by extents (ext4_fallocate, ext4_punch_hole, ext4_zero_range). A file by block pointers answers
 * -EOPNOTSUPP, as ext4 does for all but punching.
 *
 * Rules: 1. The caller holds the inode lock. 2. Cached pages of the range are written and dropped before its blocks change, and once
 * more after, since readers take no lock. 3. Only whole blocks change hands; what the range holds of its first and last block is
 * overwritten with zeros through the page cache. 4. Zeroing a range that goes beyond the end of the file moves the end, as without
 * FALLOC_FL_KEEP_SIZE.
 */
import { ERRNO, isTask, PAGE_BYTES, type KernelReturn, type Task } from '../../base/index.ts';
import { newMapping, type FallocateMode } from '../../vfs/index.ts';
import { mapOne, type BlockMap } from './block-map.ts';
import type { ExtInode } from './inode.ts';
import type { ExtState } from './state.ts';

export interface FallocateContext {
  readonly state: ExtState;
  readonly blockMap: BlockMap;
  /** i_size has changed. */
  readonly sizeChanged: (inode: ExtInode) => void;
}

/** 0 or minus an errno. Offsets and lengths were checked. */
export function* fallocateLocked(
  context: FallocateContext,
  inode: ExtInode,
  mode: FallocateMode,
  offsetBytes: number,
  lengthBytes: number,
): Task<KernelReturn> {
  if (!inode.hasExtents) return -ERRNO.EOPNOTSUPP;
  yield* inode.waitForDirectIo();
  const endBytes = offsetBytes + lengthBytes;
  let status: number;
  if (mode === 'punch') status = yield* punch(context, inode, offsetBytes, endBytes);
  else if (mode === 'zero') status = yield* zero(context, inode, offsetBytes, endBytes);
  else {
    const { blockBytes } = context.state.geometry;
    const first = Math.floor(offsetBytes / blockBytes);
    status = yield* context.blockMap.allocate(inode, first, Math.ceil(endBytes / blockBytes));
  }
  if (status < 0) return status;
  if ((mode === 'allocate' || mode === 'zero') && endBytes > inode.sizeBytes) {
    inode.sizeBytes = endBytes;
    context.sizeChanged(inode);
  }
  inode.touch();
  inode.markDirty();
  return 0;
}

function* punch(
  context: FallocateContext,
  inode: ExtInode,
  offsetBytes: number,
  endBytes: number,
): Task<KernelReturn> {
  if (offsetBytes >= inode.sizeBytes) return 0;
  const { blockBytes } = context.state.geometry;
  const prepared = yield* prepareRange(context, inode, offsetBytes, endBytes);
  if (prepared < 0) return prepared;
  const first = Math.ceil(offsetBytes / blockBytes);
  const last = Math.floor(endBytes / blockBytes);
  const status = last > first ? yield* context.blockMap.remove(inode, first, last) : 0;
  yield* dropPages(inode, offsetBytes, endBytes);
  return status;
}

function* zero(
  context: FallocateContext,
  inode: ExtInode,
  offsetBytes: number,
  endBytes: number,
): Task<KernelReturn> {
  const { blockBytes } = context.state.geometry;
  const prepared = yield* prepareRange(context, inode, offsetBytes, endBytes);
  if (prepared < 0) return prepared;
  const first = Math.ceil(offsetBytes / blockBytes);
  const last = Math.floor(endBytes / blockBytes);
  let status = yield* context.blockMap.allocate(
    inode,
    Math.floor(offsetBytes / blockBytes),
    Math.ceil(endBytes / blockBytes),
  );
  if (status === 0 && last > first) {
    const converted = context.blockMap.convert(inode, first, last, true);
    status = isTask(converted) ? yield* converted : converted;
  }
  yield* dropPages(inode, offsetBytes, endBytes);
  return status;
}

/** Rules 2 and 3, before blocks change. */
function* prepareRange(
  context: FallocateContext,
  inode: ExtInode,
  offsetBytes: number,
  endBytes: number,
): Task<KernelReturn> {
  const written = inode.mapping.writeAndWait(offsetBytes, endBytes - 1);
  const error = isTask(written) ? yield* written : written;
  if (error < 0) return error;
  yield* dropPages(inode, offsetBytes, endBytes);
  const { blockBytes } = context.state.geometry;
  const firstEnd = Math.min(endBytes, Math.ceil(offsetBytes / blockBytes) * blockBytes);
  const lastStart = Math.max(firstEnd, Math.floor(endBytes / blockBytes) * blockBytes);
  const head = yield* zeroPiece(context, inode, offsetBytes, firstEnd);
  if (head < 0) return head;
  const tail = yield* zeroPiece(context, inode, lastStart, endBytes);
  if (tail < 0) return tail;
  const flushed = inode.mapping.writeAndWait(offsetBytes, endBytes - 1);
  const status = isTask(flushed) ? yield* flushed : flushed;
  yield* dropPages(inode, offsetBytes, endBytes);
  return status;
}

function* dropPages(inode: ExtInode, offsetBytes: number, endBytes: number): Task<void> {
  const firstPage = Math.floor(offsetBytes / PAGE_BYTES);
  const dropped = inode.mapping.invalidate(firstPage, Math.floor((endBytes - 1) / PAGE_BYTES));
  if (isTask(dropped)) yield* dropped;
}

/** ext4_zero_partial_blocks: zeros inside one block, where it holds anything and lies inside the file. */
function* zeroPiece(
  { state, blockMap }: FallocateContext,
  inode: ExtInode,
  fromByte: number,
  toByte: number,
): Task<KernelReturn> {
  if (toByte <= fromByte) return 0;
  const fileBlock = Math.floor(fromByte / state.geometry.blockBytes);
  const mapping = newMapping(state.device);
  const mapped = mapOne(blockMap.getBlock, inode, fileBlock, mapping, false);
  const deviceBlock = isTask(mapped) ? yield* mapped : mapped;
  if (deviceBlock <= 0) return deviceBlock;
  const page = yield* inode.mapping.lockPage(Math.floor(fromByte / PAGE_BYTES));
  if (typeof page === 'number') return page;
  const from = fromByte % PAGE_BYTES;
  const to = from + (toByte - fromByte);
  const error = yield* inode.mapping.prepareWrite(page, from, to);
  if (error === 0) {
    state.kernel.memory.bytes.fill(0, page.address + from, page.address + to);
    inode.mapping.markDirty(page, from, to);
  }
  inode.mapping.unlockPage(page);
  return error;
}
