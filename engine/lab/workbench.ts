// SPDX-License-Identifier: GPL-2.0-only
/**
 * The image workbench as types: places, recipes, what is asked of the tools, and what they answer. Plain data, which crosses processes
 * as it is. The tools are in workbench/.
 */
import type { BlockDescription, FileExtent, NamedFact } from '../vfs/contract.ts';
import type { LabPorts } from './door.ts';

/** For faces, which read the layout by it. */
export { BLOCK_USES } from '../vfs/contract.ts';

/** An image and, where it has a partition table, the partition. */
export interface Place {
  readonly path: string;
  /** As the partition table numbers them, from 1; null: the whole image. */
  readonly partition: number | null;
}

/** How one file is laid out. */
export interface FileRecipe {
  readonly path: string;
  readonly sizeBytes: number;
  /**
   * How many extents its data is to have (runs without a gap in the file and on the disk, as FIEMAP counts them); 1: as few as can be.
   * A file with holes has at least one more than it has holes.
   */
  readonly extents: number;
  /** Holes spread evenly over the file, each as long as the data between them. 0: none. */
  readonly holes: number;
  /** 'written': with a pattern; 'unwritten': allocated and never written (fallocate), where the file system can. */
  readonly content: 'written' | 'unwritten';
}
/** A fragmentation recipe: files as wanted, then free space as wanted. The same seed gives the same layout. */
export interface LayoutRecipe {
  readonly files: readonly FileRecipe[];
  /** Free space is cut into pieces of about this length by the blocks of one small file in between; 0: left whole. */
  readonly freePieceBytes: number;
  readonly seed: number;
}

/** `stat`: of the file system (no file named) or of a file in it. */
export interface PlaceFacts {
  readonly fileSystemId: string;
  readonly facts: readonly NamedFact[];
}

/** The block map of the whole image, in columns: one entry for each run of blocks, in order, without gaps. */
export interface ImageLayout {
  readonly fileSystemId: string;
  readonly blockSizeBytes: number;
  readonly blockCount: number;
  readonly start: readonly number[];
  readonly count: readonly number[];
  /** Index into `BLOCK_USES`. */
  readonly use: readonly number[];
  /** 0: of no file. */
  readonly inodeNumber: readonly number[];
  /** The owner's block; -1: not its content. */
  readonly fileBlock: readonly number[];
  /** Paths of the owners, as far as they were found (at most 100,000). */
  readonly owners: readonly { readonly inodeNumber: number; readonly path: string }[];
}

export interface Fragmentation {
  readonly blockSizeBytes: number;
  readonly freeBytes: number;
  readonly freeExtents: number;
  readonly largestFreeBytes: number;
  /** Free extents by length: those shorter than `belowBytes` and not in the bin before. */
  readonly freeBins: readonly {
    readonly belowBytes: number;
    readonly extents: number;
    readonly bytes: number;
  }[];
  readonly files: number;
  /** Files of more than one extent. */
  readonly fragmentedFiles: number;
  readonly extents: number;
  /** The most fragmented first, at most 100. */
  readonly worst: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly extents: number;
  }[];
}

export interface BlockBytes {
  readonly deviceBlock: number;
  /** From the start of the place. */
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
  /** Null where the file system cannot say. */
  readonly description: BlockDescription | null;
  readonly ownerPath: string | null;
}

export interface PreviewBytes {
  readonly sizeBytes: number;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
  readonly extents: readonly FileExtent[];
}

/** A file or a folder on its way into or out of an image, piece by piece. Paths are relative to what is copied; '' is that itself. */
export type TransferPart =
  | { readonly kind: 'folder'; readonly path: string }
  /** What follows, up to the next file or folder, is its content, in order. */
  | {
      readonly kind: 'file';
      readonly path: string;
      /** Null: as long as what follows. */
      readonly sizeBytes: number | null;
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A multiple of 4096 bytes, but for the last one of a file, that reads as zeros and has no blocks. */
  | { readonly kind: 'hole'; readonly lengthBytes: number }
  /** What cannot be copied (links, device files), and other remarks. */
  | { readonly kind: 'note'; readonly text: string }
  | {
      readonly kind: 'progress';
      readonly file: string;
      readonly doneBytes: number;
      readonly totalBytes: number | null;
    };

/** What a transfer has moved, or a layout has made. */
export interface TransferOutcome {
  readonly files: number;
  readonly bytes: number;
  /** What was left out, or could not be had as asked. */
  readonly notes: readonly string[];
}

/** Tools for what is inside an image. Paths inside are absolute, '/' separated. All throw `HostError`. */
export interface WorkbenchTools {
  stat(ports: LabPorts, place: Place, file: string | null): PlaceFacts;
  layout(ports: LabPorts, place: Place): ImageLayout;
  fragmentation(ports: LabPorts, place: Place): Fragmentation;
  block(ports: LabPorts, place: Place, deviceBlock: number): BlockBytes;
  preview(
    ports: LabPorts,
    place: Place,
    file: string,
    offsetBytes: number,
    lengthBytes: number,
  ): PreviewBytes;
  makeFolder(ports: LabPorts, place: Place, folder: string): void;
  /** A file, or a folder with everything in it. Returns how many entries went. */
  remove(ports: LabPorts, place: Place, file: string): number;
  rename(ports: LabPorts, place: Place, from: string, to: string): void;
  /** Copies a file or a folder out. What `onPart` throws ends it. */
  getTree(
    ports: LabPorts,
    place: Place,
    file: string,
    onPart: (part: TransferPart) => void,
  ): TransferOutcome;
  /** Copies a file or a folder in; null ends it. What `nextPart` throws undoes it: the image is as it was. */
  putTree(
    ports: LabPorts,
    place: Place,
    file: string,
    nextPart: () => TransferPart | null,
  ): TransferOutcome;
  /** Lays files out by a recipe. What `onPart` throws undoes it. */
  layOut(
    ports: LabPorts,
    place: Place,
    recipe: LayoutRecipe,
    onPart: (part: TransferPart) => void,
  ): TransferOutcome;
}
