// SPDX-License-Identifier: GPL-2.0-only
/**
 * The image workbench: what faces may ask about an image and the files inside it, beyond probing and making (index.ts). Every call names
 * a place: an image and, where it has a partition table, the partition. Reading never changes the image; what changes one that the lab
 * did not make takes `consent`.
 */
import { eventIterator, oc } from '@orpc/contract';
import * as z from 'zod';
import type { BlockDescription, FileExtent } from '../../engine/vfs/contract.ts';
import type {
  FileRecipe,
  Fragmentation,
  ImageLayout,
  LayoutRecipe,
  Place,
  PlaceFacts,
} from '../../engine/lab/workbench.ts';
import type { PartitionInfo, PartitionTable } from '../../engine/lab/partition-table.ts';
import type { HostErrorData } from './types.ts';

export type { FileRecipe, Fragmentation, ImageLayout, LayoutRecipe, Place, PlaceFacts };
export type { PartitionInfo, PartitionTable };

const output = <T>(): z.ZodType<T> => z.custom<T>();
const hostError = {
  HOST: { status: 422, message: 'The host or the input refused', data: output<HostErrorData>() },
} as const;
const base = oc.errors(hostError);

const byteCount = z
  .int()
  .min(0)
  .max(2 ** 50);
export const placeSchema = z.strictObject({
  path: z.string().min(1).max(4096),
  /** As the partition table numbers them, from 1; null: the whole image. */
  partition: z.int().min(1).max(1024).nullable(),
}) satisfies z.ZodType<Place>;
const inside = z.string().min(1).max(4096);
const consent = z.boolean();

/** How one file is laid out. */
export const fileRecipeSchema = z.strictObject({
  path: inside,
  sizeBytes: byteCount,
  /** How many extents its data is to have; 1: as few as can be. */
  extents: z.int().min(1).max(100_000),
  /** Holes spread evenly over the file, each as long as the data between them. 0: none. */
  holes: z.int().min(0).max(10_000),
  /** 'written': with a pattern; 'unwritten': allocated and never written (fallocate), where the file system can. */
  content: z.enum(['written', 'unwritten']),
}) satisfies z.ZodType<FileRecipe>;
/** A fragmentation recipe: files as wanted, then free space as wanted. The same seed gives the same layout. */
export const layoutRecipeSchema = z.strictObject({
  files: z.array(fileRecipeSchema).max(10_000),
  /** Free space is cut into pieces of about this length by small files in between; 0: left whole. */
  freePieceBytes: byteCount,
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
}) satisfies z.ZodType<LayoutRecipe>;

export interface BlockView {
  readonly deviceBlock: number;
  /** From the start of the place. */
  readonly offsetBytes: number;
  readonly bytesBase64: string;
  /** Null where the file system cannot say. */
  readonly description: BlockDescription | null;
  readonly ownerPath: string | null;
}

export interface FilePreview {
  readonly sizeBytes: number;
  readonly offsetBytes: number;
  readonly bytesBase64: string;
  /** All of it is printable UTF-8. */
  readonly isText: boolean;
  readonly extents: readonly FileExtent[];
}

export interface FsckResult {
  /** `e2fsck`, `fsck.fat`, `xfs_repair`, `btrfs`. */
  readonly tool: string;
  readonly version: string;
  /** As it was called, for a person to repeat. */
  readonly command: string;
  readonly exitCode: number;
  /** What that exit code means, in words. */
  readonly meaning: string;
  readonly state: 'clean' | 'repaired' | 'damaged';
  readonly output: string;
  readonly elapsedMs: number;
  /** The snapshot taken before a repair; null: nothing was to be changed. */
  readonly snapshotId: string | null;
}

export interface SnapshotInfo {
  readonly id: string;
  readonly imagePath: string;
  readonly createdAtUnixMs: number;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  /** 'reflink': shares its blocks with the image until one of them changes. */
  readonly method: 'reflink' | 'copy';
  readonly note: string;
}

export type TransferEvent =
  | {
      readonly kind: 'progress';
      /** The file under way. */
      readonly file: string;
      readonly doneBytes: number;
      /** Null: not known. */
      readonly totalBytes: number | null;
    }
  | {
      readonly kind: 'done';
      readonly files: number;
      readonly bytes: number;
      /** What was left out (links, device files), or could not be had as the recipe asked. */
      readonly notes?: readonly string[];
    };

/** Where an image is used besides here: by a loop device, a mount, another process's lock, swap. */
export interface ImageUse {
  readonly kind: 'loop' | 'mount' | 'lock' | 'swap' | 'run';
  readonly text: string;
}

/** Joined to `images` of the contract. */
export const workbench = {
  /** Facts of the file system, or of the file named. */
  stat: base.input(placeSchema.extend({ file: inside.nullable() })).output(output<PlaceFacts>()),
  usedBy: base
    .input(z.strictObject({ path: placeSchema.shape.path }))
    .output(output<readonly ImageUse[]>()),
  layout: base.input(placeSchema).output(output<ImageLayout>()),
  fragmentation: base.input(placeSchema).output(output<Fragmentation>()),
  /** Bytes of one block and what they are. */
  block: base.input(placeSchema.extend({ block: byteCount })).output(output<BlockView>()),
  preview: base
    .input(
      placeSchema.extend({
        file: inside,
        offsetBytes: byteCount,
        lengthBytes: z.int().min(1).max(65536),
      }),
    )
    .output(output<FilePreview>()),
  makeFolder: base
    .input(placeSchema.extend({ folder: inside, consent }))
    .output(output<{ readonly path: string }>()),
  /** A file, or a folder with everything in it. */
  removeEntry: base
    .input(placeSchema.extend({ file: inside, consent }))
    .output(output<{ readonly removed: number }>()),
  renameEntry: base
    .input(placeSchema.extend({ from: inside, to: inside, consent }))
    .output(output<{ readonly path: string }>()),
  /** Runs the file system's own checker on the host. `repair`: changes the image, after a snapshot. */
  fsck: base
    .input(placeSchema.extend({ repair: z.boolean(), consent }))
    .output(output<FsckResult>()),
  snapshots: base
    .input(z.strictObject({ path: placeSchema.shape.path.nullable() }))
    .output(output<readonly SnapshotInfo[]>()),
  snapshot: base
    .input(z.strictObject({ path: placeSchema.shape.path, note: z.string().max(200) }))
    .output(output<SnapshotInfo>()),
  /** Puts the snapshot's content back into the image; the image as it was is kept as a snapshot of its own. */
  restoreSnapshot: base
    .input(z.strictObject({ id: z.string().max(80), consent }))
    .output(output<SnapshotInfo>()),
  removeSnapshot: base
    .input(z.strictObject({ id: z.string().max(80) }))
    .output(output<{ readonly removed: boolean }>()),
  /** Forgets an image of the list; `alsoDelete` removes a file that the lab made. */
  forget: base
    .input(z.strictObject({ path: placeSchema.shape.path, alsoDelete: z.boolean() }))
    .output(
      output<{
        readonly deleted: boolean;
        /** The deleted image, which `restoreSnapshot` brings back within a day; null: nothing was deleted. */
        readonly snapshotId: string | null;
      }>(),
    ),
  partitions: base
    .input(z.strictObject({ path: placeSchema.shape.path }))
    .output(output<PartitionTable>()),
  /** Copies a file or folder of the host into the image. Ending the iteration cancels; what was half done is taken away. */
  putFromHost: base
    .input(placeSchema.extend({ hostPath: inside, file: inside, consent }))
    .output(eventIterator(output<TransferEvent>())),
  /** Copies a file or folder out of the image; an existing host file is refused unless `replace`. */
  getToHost: base
    .input(placeSchema.extend({ file: inside, hostPath: inside, replace: z.boolean() }))
    .output(eventIterator(output<TransferEvent>())),
  /** Lays files out by a recipe in an image that has a file system. */
  layOut: base
    .input(placeSchema.extend({ recipe: layoutRecipeSchema, consent }))
    .output(eventIterator(output<TransferEvent>())),
};
