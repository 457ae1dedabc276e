// SPDX-License-Identifier: GPL-2.0-only
/** What the form itself can say of alignment before the host answers. Pure. */
import type { ImageInfo, Target } from '../../../main/contract/index.ts';
import { formatExactBytes, joinShown } from '../../format/numbers.ts';

/** Block size where nothing else is known. */
const USUAL_BLOCK_BYTES = 4096;

/** The file system's block: as probing found it, or as the image will be made; the usual one where neither is known. */
export function blockBytesOf(target: Target | null, info: ImageInfo | null): number {
  if (target === null) return USUAL_BLOCK_BYTES;
  if (target.fileSystem.id !== 'raw' && info?.probe) return info.probe.blockSizeBytes;
  for (const [name, value] of Object.entries(target.fileSystem.options)) {
    const bytes = Number(value);
    if (/block/i.test(name) && Number.isInteger(bytes) && bytes >= 512) return bytes;
  }
  return USUAL_BLOCK_BYTES;
}

/** The largest unit that a number of bytes is a multiple of: 'of 4 KiB', 'of 512 B only', 'not of 512 B'. */
export function alignmentWord(bytes: number, blockBytes: number, sectorBytes: number): string {
  const unit = (size: number): string => joinShown(formatExactBytes(size));
  if (bytes % blockBytes === 0) return `of ${unit(blockBytes)}`;
  if (bytes % sectorBytes === 0) return `of ${unit(sectorBytes)} only`;
  return `not of ${unit(sectorBytes)}`;
}
