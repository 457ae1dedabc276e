// SPDX-License-Identifier: GPL-2.0-only
/**
 * An experiment: what the person asks for. Plain data, every field with its unit; what it means is fio's vocabulary where fio has a
 * word. The YAML file, the form, the fio job and the contract all carry this one shape.
 */
import type { OptionValues } from '../base/index.ts';
import type { ExecutorId } from '../executor/contract.ts';

export const RW_PATTERNS = ['read', 'write', 'randread', 'randwrite', 'rw', 'randrw'] as const;
export type RwPattern = (typeof RW_PATTERNS)[number];
export const DISTRIBUTIONS = ['random', 'zipf', 'pareto', 'normal'] as const;

/** A file of the lower file system that holds the image of the upper one, and the loop driver between them. */
export interface InnerImage {
  /** Path of the file in the lower file system. */
  readonly file: string;
  /** The lower file system; the target's own is the upper one. */
  readonly fileSystem: { readonly id: string; readonly options: OptionValues };
  /** Size of that file, made or grown to it with zeros before the run; null: as it is. */
  readonly fileSizeBytes: number | null;
  /** Through the lower page cache, or with the pages handed down to direct I/O of the lower file. */
  readonly transfer: 'buffered' | 'direct';
  /** Logical block of the loop device: 512, 1024, 2048 or 4096 bytes. */
  readonly sectorBytes: number;
}

/** Where the I/O goes: a device module, a file system on it, a file in it. */
export interface Target {
  readonly device: { readonly id: string; readonly options: OptionValues };
  /** Partition of the disk, as sfdisk numbers them, from 1: everything below happens in it alone. Absent: the whole image. */
  readonly partition?: number;
  /** 'auto': whatever the image holds. Without `format` an image must already hold this file system. */
  readonly fileSystem: { readonly id: string; readonly options: OptionValues };
  /**
   * The image lies in a file of the image: device, lower file system, file, the engine's own loop device, and on that the target's file
   * system and file. Absent: the file system is on the device itself.
   */
  readonly inner?: InnerImage;
  /** Null: the whole device as one block-device file (only with file system 'raw'). */
  readonly filePath: string | null;
  /** Size of the file in bytes, made or grown to it before the run (laid out and written); null: as it is. */
  readonly fileSizeBytes: number | null;
  /** Make the image first where it does not exist (`sizeBytes`), and format it. Never touches an existing file. */
  readonly create: { readonly sizeBytes: number } | null;
  /**
   * Who does the I/O of the file. 'engine' (where absent): the engine, on the file system in the image. 'host': the host's own kernel,
   * by the same load and executor; on an image file that is a plain file beside it, on a loop device the file in the image through the
   * kernel's own mount of it, which can only be read.
   */
  readonly by?: 'engine' | 'host';
  /**
   * What becomes of an image that the run changes: 'before' keeps it as a snapshot first, 'restore' also puts that back afterwards.
   * 'none' where absent. An image that the run makes itself needs none.
   */
  readonly snapshot?: 'none' | 'before' | 'restore';
  /** The person's consent, in words, that this run may change data in an image that the lab did not make. */
  readonly consentToWrite: boolean;
}

export interface BlockSizeShare {
  readonly sizeBytes: number;
  /** Parts of 100; shares of a list add up to 100. */
  readonly percent: number;
}

/** One kind of load; `numJobs` copies of it run side by side. */
export interface Job {
  readonly name: string;
  readonly rw: RwPattern;
  /** Percent of reads of a mixed load. */
  readonly rwMixReadPercent: number;
  /** One or more sizes with their shares (bs, bssplit). */
  readonly blockSizes: readonly BlockSizeShare[];
  /** Start of the area in the file. */
  readonly offsetBytes: number;
  /** Length of the area; null: to the end of the file. */
  readonly sizeBytes: number | null;
  /** Bytes to move in all; null: the area once. Ignored where `timeBased`. */
  readonly ioSizeBytes: number | null;
  /** Alignment dials: added to every offset, every length and every buffer address. */
  readonly alignment: {
    readonly offsetBytes: number;
    readonly lengthBytes: number;
    readonly memoryBytes: number;
  };
  readonly ioEngine: ExecutorId;
  readonly ioDepth: number;
  readonly submitBatch: number;
  readonly numJobs: number;
  readonly direct: boolean;
  readonly sync: 'none' | 'dsync' | 'sync';
  readonly nowait: boolean;
  /** fsync after so many writes; 0: never. */
  readonly fsyncEvery: number;
  readonly endFsync: boolean;
  /** Seconds; 0: until `ioSizeBytes` is done. */
  readonly runtimeSeconds: number;
  readonly timeBased: boolean;
  /** Seconds at the start that are not measured. */
  readonly rampSeconds: number;
  readonly randSeed: number;
  /** True: offsets may repeat (fio norandommap). */
  readonly noRandomMap: boolean;
  readonly distribution: {
    readonly kind: (typeof DISTRIBUTIONS)[number];
    /** theta of zipf, h of pareto, deviation of normal in percent. */
    readonly parameter: number;
  };
}

export interface Experiment {
  readonly name: string;
  readonly target: Target;
  readonly jobs: readonly Job[];
  /** Id of the direct-I/O revision. */
  readonly revision: string;
  readonly trace: {
    /** 'off': counters and histograms only; 'requests': one row a request; 'full': every row. */
    readonly level: 'off' | 'requests' | 'full';
    readonly rowsMax: number;
  };
}
