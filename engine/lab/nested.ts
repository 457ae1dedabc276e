// SPDX-License-Identifier: GPL-2.0-only
/**
 * An image in a file of an image: what a target says of both levels, the loop device between them, and what it did to a run.
 *
 *   device -> lower file system -> file -> loop device of the engine's -> upper file system -> file
 */
import { HostError, PAGE_BYTES, SECTOR_BYTES } from '../base/index.ts';
import type { BlockDevice, QueueCounters } from '../block/index.ts';
import { findRevision, resolveRevision } from '../dio/index.ts';
import { LoopDevice, loopCountsSince, type LoopCounts } from '../loop/index.ts';
import type { FileExtent, MountedFileSystem, OpenFile } from '../vfs/index.ts';
import type { Experiment, InnerImage, Target } from './experiment.ts';
import type { RunKernel } from './kernel.ts';
import type { JobRecord } from './load.ts';
import type { LoopEvidence } from './result.ts';
import { bytesText } from './words.ts';

/** How direct I/O of a revision takes memory of the kernel's. */
export const kernelMemoryOf = (revision: string): 'vectors' | 'pages' | 'none' =>
  resolveRevision(findRevision(revision)).traits.kernelMemory;

/** The lower half: the file that holds the image is the file. */
export function lowerTarget(target: Target): Target {
  const { fileSystem, file, fileSizeBytes } = target.inner as InnerImage;
  return { ...target, fileSystem, filePath: file, fileSizeBytes };
}

/** The upper half. A file that the lab may lay out may be formatted by it, too, if it holds nothing but zeros. */
export function upperTarget(target: Target): Target {
  const { inner, ...upper } = target;
  const sizeBytes = inner?.fileSizeBytes ?? null;
  const isOurs = sizeBytes !== null && target.consentToWrite;
  return { ...upper, create: target.create ?? (isOurs ? { sizeBytes } : null) };
}

/** What a run asks of the loop device under it. */
export interface NestedLoop {
  readonly device: LoopDevice;
  /** The file that holds the image, and the file system that it is in. */
  readonly image: OpenFile;
  readonly lower: MountedFileSystem;
  readonly notes: readonly string[];
  /** Of the loop device and of the device below; they go on counting. */
  readonly above: QueueCounters;
  readonly below: QueueCounters;
}

/** What is open below. */
interface LowerFile {
  readonly file: OpenFile;
  readonly device: BlockDevice;
  readonly fileSystem: MountedFileSystem;
  readonly deviceCounters: QueueCounters;
}

/** losetup over the open file. `HostError` where it is too small to be a disk. */
export function attachInner(
  kernel: RunKernel,
  target: Target,
  revision: string,
  lower: LowerFile,
): NestedLoop {
  const { file: path, sectorBytes, transfer } = target.inner as InnerImage;
  const { file } = lower;
  const device = new LoopDevice(kernel, {
    file,
    lowerDevice: lower.device,
    transfer,
    kernelMemory: kernelMemoryOf(revision),
    sectorBytes,
    isReadOnly: lower.device.isReadOnly,
  });
  if (device.capacitySectors === 0) {
    throw new HostError({
      code: 'inner.too-small',
      message: `${path} has ${bytesText(file.inode.sizeBytes)}, which is no whole logical block of a loop device`,
      where: 'target.inner.file',
      hint: 'Give the inner image a size to have it made.',
      exitCode: 65,
    });
  }
  return {
    device,
    image: file,
    lower: lower.fileSystem,
    notes: [roadNote(device, path, revision)],
    above: kernel.queueOf(device).counters,
    below: lower.deviceCounters,
  };
}

/** How the data goes between the two file systems, in a sentence. */
function roadNote(device: LoopDevice, path: string, revision: string): string {
  const size = bytesText(device.capacitySectors * SECTOR_BYTES);
  const over = `The image lies in ${path} (${size}) under the engine's loop driver`;
  if (device.fellBackWhy !== null) {
    return `${over}, which goes through the lower page cache although direct transfer was asked for: ${device.fellBackWhy}.`;
  }
  switch (device.road) {
    case 'buffered':
      return `${over}, which copies through the lower page cache.`;
    case 'pages':
      return `${over}, which hands the pages of its bios down to direct I/O as the series of 2009 does; what that moves short counts as done.`;
    case 'vectors':
      return `${over}, which hands the vectors of its bios down to direct I/O. Revision ${revision} has no such series; this is the way of later drivers, one bio at a time.`;
  }
}

/** What the loop device and the queues had counted when the load began. */
export interface LoopBefore {
  readonly counts: LoopCounts;
  readonly aboveRequests: number;
  readonly belowRequests: number;
}

const requestsOf = ({ reads, writes, flushes }: QueueCounters): number => reads + writes + flushes;

export function loopBefore({ device, above, below }: NestedLoop): LoopBefore {
  return {
    counts: { ...device.counters },
    aboveRequests: requestsOf(above),
    belowRequests: requestsOf(below),
  };
}

/** The evidence at the end of the load, both files still open. `extents`: of the upper file. */
export function loopEvidence(
  loop: NestedLoop,
  before: LoopBefore,
  upper: { readonly file: OpenFile; readonly blockBytes: number },
  extents: readonly FileExtent[],
  upperCopiedBytes: number,
): LoopEvidence {
  const { device, image } = loop;
  return {
    ...loopCountsSince(device.counters, before.counts),
    // What was asked for.
    transfer: device.road === 'buffered' && device.fellBackWhy === null ? 'buffered' : 'direct',
    road: device.road,
    fellBackWhy: device.fellBackWhy,
    upperCopiedBytes,
    requestsAbove: requestsOf(loop.above) - before.aboveRequests,
    requestsBelow: requestsOf(loop.below) - before.belowRequests,
    upperCachedPages: upper.file.inode.mapping.cachedPageCount,
    lowerCachedPages: image.inode.mapping.cachedPageCount,
    pagesHeldTwice: pagesHeldTwice(upper.file, image, extents, upper.blockBytes),
  };
}

/** Cached pages of the upper file of which a part lies in the lower page cache, at its place in the image. */
function pagesHeldTwice(
  upper: OpenFile,
  image: OpenFile,
  extents: readonly FileExtent[],
  blockBytes: number,
): number {
  const [upperPages, lowerPages] = [upper.inode.mapping, image.inode.mapping];
  if (upperPages.cachedPageCount === 0 || lowerPages.cachedPageCount === 0) return 0;
  let held = 0;
  let countedTo = 0;
  for (const { fileBlock, deviceBlock, count } of extents) {
    if (deviceBlock === null) continue;
    const startByte = fileBlock * blockBytes;
    const endByte = startByte + count * blockBytes;
    const shift = (deviceBlock - fileBlock) * blockBytes;
    let at = Math.max(startByte, countedTo);
    while (at < endByte) {
      const pageEnd = Math.min((Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES, endByte);
      const isAbove = upperPages.hasPages?.(at, pageEnd - 1) === true;
      if (isAbove && lowerPages.hasPages?.(at + shift, pageEnd - 1 + shift) === true) {
        held++;
        countedTo = Math.ceil(pageEnd / PAGE_BYTES) * PAGE_BYTES;
      }
      at = pageEnd;
    }
  }
  return held;
}

/** What went between the upper page cache and the caller's memory: all of a buffered load, or what fell back of a direct one. */
export function upperCopiedBytes(
  { jobs }: Experiment,
  records: readonly JobRecord[],
  fallbackBytes: number,
): number {
  if (jobs[0]?.direct ?? true) return fallbackBytes;
  let copied = 0;
  for (const { directions } of records) {
    for (const { bytes } of directions) copied += bytes;
  }
  return copied;
}
