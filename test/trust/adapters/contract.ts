// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the trust suites have to know of a file system: its images, its own tools, and where its structures lie. One file a file
 * system beside this one, and one line in index.ts; `npm run trust` and the small sizes in `npm test` run over that list.
 *
 *   adapter -- variants ----> images to begin with, by our format or by the real mkfs
 *           -- fsck, repair > verdicts of the file system's own checker
 *           -- fill, maps --> trees made by the kernel or by tools, and what those say of their maps
 *           -- structures --> byte ranges for the mutator, with the way to set their checksums right again
 *
 * Rules: 1. Nothing here asks our own engine where anything is, except `structures`, which may look through our readers for offsets:
 * an adapter is the other side's word. 2. A program that is not there is named by `tools` (scripts/tools-table.mjs); the suites skip
 * by it. 3. Commands run with arguments, never through a shell. 4. `structures` reads a sound image only; it never meets a damaged one.
 */
import type { Random } from '../../../engine/base/index.ts';

/** The suites that an image variant is for; sizes differ: a crash state is copied 10,000 times, a map needs room. */
export type SuiteId = 'crash' | 'hostile' | 'writes' | 'maps' | 'faults';

/** One kind of image. */
export interface ImageVariant {
  /** Short, unique in its adapter: `1k blocks`, `mkfs.ext4 defaults`. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Options of our own format of `moduleId`; null: the program below makes it. */
  readonly format: Readonly<Record<string, unknown>> | null;
  /** The real mkfs and its arguments; `{image}` stands for the path of a file of `sizeBytes`. Null: our format makes it. */
  readonly mkfs: readonly string[] | null;
  readonly suites: readonly SuiteId[];
}

/** What a checker said. */
export interface FsckVerdict {
  /** Nothing was found: the image is sound, and was before. */
  readonly isClean: boolean;
  /** What was found has all been put right (`repair` only). */
  readonly isRepaired: boolean;
  /** Its exit status and everything it printed, for the message of a failed test. */
  readonly text: string;
}

/** A piece of a file that the tool says is on the disk. Holes are left out; the pieces are in order and do not overlap. */
export interface MappedPiece {
  readonly fileByte: number;
  readonly deviceByte: number;
  readonly lengthBytes: number;
  /** Allocated and reads as zeros (FIEMAP_EXTENT_UNWRITTEN). */
  readonly isUnwritten: boolean;
}

/** A file of a tree that the tool makes: content is zeros in the holes, `stamped(seed, ...)` in the pieces. */
export interface TreeFile {
  /** `folder/name`; folders are made on the way. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Written in this order, which is not the order in the file: that is what fragments. */
  readonly pieces: readonly { readonly fileByte: number; readonly lengthBytes: number }[];
  readonly seed: number;
  /** Ranges preallocated with fallocate --keep-size after the pieces; empty where the file system has none. */
  readonly preallocated: readonly { readonly fileByte: number; readonly lengthBytes: number }[];
}

/** A range of bytes of an image that is one structure. */
export interface DiskStructure {
  /** `superblock`, `inode 12`, `extent node of inode 12`, `FAT 1`. */
  readonly name: string;
  readonly byte: number;
  readonly lengthBytes: number;
  /** Fields worth hitting, by their offset in the structure; the mutator also hits any word. */
  readonly fields: readonly DiskField[];
  /** Sets the structure's checksum right after a change; null: it has none. Must not throw, whatever the bytes are. */
  readonly seal: ((image: Uint8Array) => void) | null;
}
export interface DiskField {
  readonly name: string;
  readonly offsetBytes: number;
  readonly lengthBytes: 1 | 2 | 4 | 8;
  readonly isBigEndian?: boolean;
  /** `pointer`: names a block, cluster or inode: swapped with others, and pointed at itself or at other structures. */
  readonly kind: 'pointer' | 'count' | 'flags' | 'length' | 'other';
}

/** A mutant of the order of writing: what the crash suite must catch. Works on the recorded writes, never on the product's code. */
export interface OrderMutant {
  readonly name: string;
  /**
   * True: the flush with that index of the log is taken away, so that what comes after may overtake what was before it. `kind` says
   * what surrounds it: the structures (by `structures` of the formatted image, `data` otherwise) written in the epoch that it ends
   * and in the next one.
   */
  readonly dropsFlush?: (before: ReadonlySet<string>, after: ReadonlySet<string>) => boolean;
  /** True: writes to this structure are moved to the epoch before (`early`), one epoch later (`late`), or are lost. */
  readonly moves?: (structure: string) => 'early' | 'late' | 'lost' | null;
}

/** Everything of one file system. */
export interface TrustAdapter {
  /** The module in FILE_SYSTEMS; an adapter whose module is not there is an error of index.test.ts. */
  readonly moduleId: string;
  /** Programs it drives: ids of scripts/tools-table.mjs (add a row there if yours is missing). */
  readonly tools: readonly string[];
  readonly variants: readonly ImageVariant[];
  /** Checks without changing anything. */
  fsck(path: string): FsckVerdict;
  /** Repairs, answering yes to everything; null: there is no such thing. The suites call `fsck` after it. */
  readonly repair: ((path: string) => FsckVerdict) | null;
  /** Type for mount(8), where the kernel may have it; null: never mounted here. */
  readonly mountType: string | null;
  /**
   * Puts the tree into the image without a mount (mtools); null: the suite mounts it by `mountType` through a loop device and writes
   * the pieces with pwrite and fallocate itself.
   */
  readonly fill: ((path: string, tree: readonly TreeFile[]) => void) | null;
  /** The map of a file by the tool, from the unmounted image; null: by FIEMAP while it is mounted. */
  readonly map:
    ((path: string, inside: string, blockBytes: number) => readonly MappedPiece[]) | null;
  /** Bytes of the device that must be the same for a file in both maps; the file system's block or cluster. */
  blockBytes(image: Uint8Array): number;
  /** Where the structures are in a sound image; names say what they are of. `random` may sample where there are very many. */
  structures(image: Uint8Array, random: Random): readonly DiskStructure[];
  /** What the crash suite has to be able to tell from the true order; empty for read-only ones. */
  readonly orderMutants: readonly OrderMutant[];
}
