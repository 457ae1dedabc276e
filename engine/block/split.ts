// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where a bio has to be cut so that each piece keeps the queue's limits (block/blk-merge.c: `bio_split_rw`).
 *
 * A piece takes vectors from the front until one of these is reached:
 *   1. `ioSizeSectorsMax`, taken down so that the next piece starts on a physical block (`get_max_io_size`):
 *      limit 255 sectors, physical block 8 sectors, start at sector 3: the piece may end at (3 + 255) & ~7 = 256, so 253 sectors.
 *   2. `chunkSectors`: the next multiple of it on the device. Chunk 256, start at sector 250: 6 sectors.
 *   3. `segmentCountMax` segments. A vector longer than `segmentSizeBytesMax` counts as several.
 * Then it is cut down to whole logical blocks. The rest is looked at again, from its own start.
 *
 * No object is made: the splitter is a cursor over one bio, with the answer in its own fields.
 */
import { SECTOR_BYTES } from '../base/index.ts';
import { VECTOR_WORDS, type Bio } from './bio.ts';
import type { QueueLimits } from './device.ts';

/** Column c (rule) of a 'split' row. */
export const SPLIT_RULE = { ioSize: 0, chunk: 1, segmentCount: 2, segmentSize: 3 } as const;
export const SPLIT_RULES = [
  'ioSizeSectorsMax',
  'chunkSectors',
  'segmentCountMax',
  'segmentSizeBytesMax',
] as const;

export class Splitter {
  /** The answer: bytes of the piece (0: no whole logical block fits), its segments and vectors, and the rule that cut it. */
  pieceBytes = 0;
  pieceSegments = 0;
  pieceVectors = 0;
  rule: number = SPLIT_RULE.ioSize;
  /** Start of the piece. */
  sector = 0;
  leftBytes = 0;
  private bio: Bio | null = null;
  private vectorIndex = 0;
  private vectorOffsetBytes = 0;

  constructor(private readonly limits: QueueLimits) {}

  begin(bio: Bio): void {
    this.bio = bio;
    this.sector = bio.sectorStart;
    this.leftBytes = bio.sizeBytes;
    this.vectorIndex = 0;
    this.vectorOffsetBytes = 0;
  }

  /** Works out the piece at the cursor. */
  plan(): void {
    const bytesMax = this.longestPieceBytes();
    const bio = this.bio as Bio;
    this.pieceSegments = 0;
    this.pieceVectors = 0;
    this.pieceBytes = 0;
    if (bio.vectorCount === 0) {
      this.pieceBytes = Math.min(bytesMax, this.leftBytes);
      return;
    }
    let skipBytes = this.vectorOffsetBytes;
    for (let index = this.vectorIndex; index < bio.vectorCount; index++) {
      const lengthBytes = (bio.vectors[index * VECTOR_WORDS + 2] as number) - skipBytes;
      skipBytes = 0;
      if (this.takeVector(lengthBytes, bytesMax)) break;
    }
    if (this.pieceBytes < this.leftBytes) {
      this.pieceBytes -= this.pieceBytes % this.limits.logicalBlockBytes;
    }
  }

  /** Copies the planned piece into `piece`, an empty bio, and moves the cursor behind it. */
  take(piece: Bio): void {
    const bio = this.bio as Bio;
    piece.sectorStart = this.sector;
    let left = this.pieceBytes;
    if (bio.vectorCount === 0) piece.sizeBytes = left;
    else {
      while (left > 0) {
        const at = this.vectorIndex * VECTOR_WORDS;
        const page = bio.vectors[at] as number;
        const offsetBytes = (bio.vectors[at + 1] as number) + this.vectorOffsetBytes;
        const restBytes = (bio.vectors[at + 2] as number) - this.vectorOffsetBytes;
        const lengthBytes = Math.min(restBytes, left);
        piece.pushVector(page, offsetBytes, lengthBytes);
        left -= lengthBytes;
        this.vectorOffsetBytes += lengthBytes;
        if (lengthBytes === restBytes) {
          this.vectorIndex++;
          this.vectorOffsetBytes = 0;
        }
      }
    }
    this.sector += this.pieceBytes / SECTOR_BYTES;
    this.leftBytes -= this.pieceBytes;
  }

  /** get_max_io_size, in bytes; sets the rule that it comes from. */
  private longestPieceBytes(): number {
    const { chunkSectors, ioSizeSectorsMax, physicalBlockBytes, logicalBlockBytes } = this.limits;
    let sectorsMax = ioSizeSectorsMax;
    this.rule = SPLIT_RULE.ioSize;
    if (chunkSectors !== 0) {
      const toChunkEnd = chunkSectors - (this.sector % chunkSectors);
      if (toChunkEnd <= sectorsMax) {
        sectorsMax = toChunkEnd;
        this.rule = SPLIT_RULE.chunk;
      }
    }
    const physicalSectors = physicalBlockBytes / SECTOR_BYTES;
    const start = this.sector % physicalSectors;
    const end = start + sectorsMax - ((start + sectorsMax) % physicalSectors);
    if (end > start) return (end - start) * SECTOR_BYTES;
    const logicalSectors = logicalBlockBytes / SECTOR_BYTES;
    return (sectorsMax - (sectorsMax % logicalSectors)) * SECTOR_BYTES;
  }

  /** bvec_split_segs: takes of the vector what the limits leave room for; true where that is not all of it. */
  private takeVector(vectorBytes: number, bytesMax: number): boolean {
    const { segmentCountMax, segmentSizeBytesMax } = this.limits;
    const roomBytes = bytesMax - this.pieceBytes;
    const wantedBytes = Math.min(vectorBytes, roomBytes);
    const segmentsWanted = Math.ceil(wantedBytes / segmentSizeBytesMax);
    const segments = Math.min(segmentsWanted, segmentCountMax - this.pieceSegments);
    const takenBytes = Math.min(wantedBytes, segments * segmentSizeBytesMax);
    if (takenBytes > 0) this.pieceVectors++;
    this.pieceSegments += segments;
    this.pieceBytes += takenBytes;
    if (takenBytes < wantedBytes) {
      const isLong = this.pieceSegments > this.pieceVectors || segments > 0;
      this.rule = isLong ? SPLIT_RULE.segmentSize : SPLIT_RULE.segmentCount;
    }
    return takenBytes < vectorBytes;
  }
}

/**
 * True where the bio keeps every limit as it is, by a test that looks at no vector. False says nothing yet: `Splitter.plan` does.
 */
export function surelyFits(limits: QueueLimits, bio: Bio): boolean {
  return (
    limits.chunkSectors === 0 &&
    bio.sizeBytes + limits.physicalBlockBytes <= limits.ioSizeSectorsMax * SECTOR_BYTES &&
    bio.sizeBytes <= limits.segmentSizeBytesMax &&
    bio.vectorCount <= limits.segmentCountMax
  );
}
