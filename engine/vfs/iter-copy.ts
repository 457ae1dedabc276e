// SPDX-License-Identifier: GPL-2.0-only
/**
 * Copies between page-cache memory and the caller's buffers (copy_page_to_iter, copy_page_from_iter). Both lie in the arena, so a
 * copy is one `copyWithin` a page. A user page that is absent, or read-only where memory is written, ends the copy: short, never an
 * exception.
 */
import { PAGE_BYTES } from '../base/index.ts';
import { IovIter, type UserSegment } from '../memory/index.ts';

/** Bytes from the iterator's position that can be touched without a fault, `lengthMax` at most; does not move the iterator. */
export function accessibleBytes(iter: IovIter, lengthMax: number): number {
  const { memory, segments } = iter;
  const writesMemory = iter.direction === 'read';
  let found = 0;
  let skipBytes = iter.segmentOffsetBytes;
  const limit = Math.min(lengthMax, iter.remainingBytes);
  for (let index = iter.segmentIndex; index < segments.length && found < limit; index++) {
    const { addressBytes, lengthBytes } = segments[index] as UserSegment;
    let at = addressBytes + skipBytes;
    const end = addressBytes + Math.min(lengthBytes, skipBytes + limit - found);
    skipBytes = 0;
    while (at < end) {
      const page = Math.floor(at / PAGE_BYTES);
      if (iter.source === 'user' && !memory.canPin(page, writesMemory)) return found;
      const step = Math.min(end, (page + 1) * PAGE_BYTES) - at;
      found += step;
      at += step;
    }
  }
  return found;
}

/** Moves `lengthBytes` that are known to be accessible; `kernelAddress` is an offset in the arena. */
function copy(iter: IovIter, kernelAddress: number, lengthBytes: number, toUser: boolean): void {
  const { bytes } = iter.memory;
  let left = lengthBytes;
  let at = kernelAddress;
  while (left > 0) {
    const segment = iter.segments[iter.segmentIndex] as UserSegment;
    const step = Math.min(left, segment.lengthBytes - iter.segmentOffsetBytes);
    const userAddress = segment.addressBytes + iter.segmentOffsetBytes;
    if (toUser) bytes.copyWithin(userAddress, at, at + step);
    else bytes.copyWithin(at, userAddress, userAddress + step);
    iter.advance(step);
    at += step;
    left -= step;
  }
}

/** copy_page_to_iter: bytes copied; fewer than asked where a page faults or the iterator ends. */
export function copyToIter(iter: IovIter, fromAddress: number, lengthBytes: number): number {
  const length = accessibleBytes(iter, lengthBytes);
  copy(iter, fromAddress, length, true);
  return length;
}

/** copy_page_from_iter: bytes copied; fewer than asked where a page faults or the iterator ends. */
export function copyFromIter(iter: IovIter, toAddress: number, lengthBytes: number): number {
  const length = accessibleBytes(iter, lengthBytes);
  copy(iter, toAddress, length, false);
  return length;
}

/** iov_iter_revert to a known count left: starts over and moves on. For rare paths (a short transfer, a fallback). */
export function setRemaining(iter: IovIter, remainingBytes: number): void {
  if (iter.remainingBytes === remainingBytes) return;
  iter.rewind();
  const skip = iter.remainingBytes - remainingBytes;
  if (skip > 0) iter.advance(skip);
}

/** iov_iter_truncate: an iterator over at most the next `lengthMax` bytes of this one, which stays where it is. */
export function clippedIter(iter: IovIter, lengthMax: number): IovIter {
  const segments: UserSegment[] = [];
  let left = Math.min(lengthMax, iter.remainingBytes);
  let skipBytes = iter.segmentOffsetBytes;
  for (let index = iter.segmentIndex; index < iter.segments.length && left > 0; index++) {
    const { addressBytes, lengthBytes } = iter.segments[index] as UserSegment;
    const taken = Math.min(left, lengthBytes - skipBytes);
    segments.push({ addressBytes: addressBytes + skipBytes, lengthBytes: taken });
    left -= taken;
    skipBytes = 0;
  }
  return new IovIter(iter.memory, iter.direction, iter.source, segments);
}
