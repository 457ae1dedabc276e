// SPDX-License-Identifier: GPL-2.0-only
/** A partition table as plain data, which crosses processes as it is. The code that reads it is in partitions/. */
import type { FileSystemProbe } from '../vfs/contract.ts';

/** One entry of the table; `Target.partition` and `Place.partition` name it by its number. */
export interface Partition {
  /** As sfdisk numbers them: MBR slots 1 to 4 and logical ones from 5; GPT entries from 1. */
  readonly number: number;
  readonly startBytes: number;
  readonly sizeBytes: number;
  /** `Linux filesystem`, `EFI System`, `FAT32 (LBA)`; an unknown one by its number. */
  readonly typeName: string;
  /** PARTLABEL: GPT only. */
  readonly label: string;
  /** PARTUUID as blkid writes it; empty where the disk has no identity. */
  readonly uuid: string;
  /** An extended partition: it holds logical ones, and no file system. */
  readonly isContainer: boolean;
  /** Why it cannot be opened, as one clause; null: it can. */
  readonly problem: string | null;
}

export interface PartitionInfo extends Partition {
  /** Null: none that the lab knows. */
  readonly fileSystemId: string | null;
  readonly probe: FileSystemProbe | null;
}

export interface PartitionTable<P extends Partition = PartitionInfo> {
  /** Null: the image has no partition table. */
  readonly kind: 'mbr' | 'gpt' | null;
  /** What the table counts in. MBR: always taken for 512. */
  readonly sectorBytes: number;
  /** GPT: the primary table is damaged and its backup was read. */
  readonly isBackup: boolean;
  readonly partitions: readonly P[];
}
