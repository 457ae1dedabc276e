// SPDX-License-Identifier: GPL-2.0-only
/**
 * Partitions of an image: the table, a partition as a device of its own, and what is said where one has to be chosen.
 *
 * Rules: 1. An image with a partition table is never opened as one file system, also where the bytes of an old one still lie in it:
 * writing there would go into the partitions. `probeWhole` is the probe that knows this. 2. A table is one where its entries are: a
 * boot sector without any is left to the file systems, and so is the boot sector of a FAT, exFAT or NTFS. 3. Partitions that overlap,
 * leave the image or do not begin at a logical block of the disk are listed, and refused when they are chosen.
 */
import { HostError, SECTOR_BYTES, type Task } from '../../base/index.ts';
import { SliceDevice, type BlockDevice } from '../../block/index.ts';
import { probeFileSystem } from '../../filesystems/index.ts';
import {
  readDeviceBytes,
  type FileSystemModule,
  type FileSystemProbe,
  type Kernel,
} from '../../vfs/index.ts';
import type { Partition, PartitionInfo, PartitionTable } from '../partition-table.ts';
import { readGpt } from './gpt.ts';
import { bootRecordEntries, isFileSystemBootSector, readMbr } from './mbr.ts';
import { MBR_TYPE } from './types.ts';

const NO_TABLE = {
  kind: null,
  sectorBytes: SECTOR_BYTES,
  isBackup: false,
  partitions: [],
} as const;

/** The partition table of a device. Throws `HostError` where there is one that cannot be read. */
export function* readPartitionTable(
  kernel: Kernel,
  device: BlockDevice,
): Task<PartitionTable<Partition>> {
  // What lies in a partition is a file system's, whatever its first sector looks like.
  if (device instanceof SliceDevice) return NO_TABLE;
  const read = function* (offsetBytes: number, lengthBytes: number): Task<Uint8Array | null> {
    const bytes = yield* readDeviceBytes(kernel, device, offsetBytes, lengthBytes);
    return typeof bytes === 'number' ? null : bytes;
  };
  const sectorZero = yield* read(0, SECTOR_BYTES);
  const entries = sectorZero === null ? null : bootRecordEntries(sectorZero);
  if (sectorZero === null || entries === null) return NO_TABLE;
  const diskBytes = device.capacitySectors * SECTOR_BYTES;
  if (entries.some(({ type }) => type === MBR_TYPE.gpt)) {
    const { sectorBytes, isBackup, partitions } = yield* readGpt(diskBytes, read);
    return { kind: 'gpt', sectorBytes, isBackup, partitions: checked(partitions, device) };
  }
  if (isFileSystemBootSector(sectorZero)) return NO_TABLE;
  const readSector = (sector: number): Task<Uint8Array | null> =>
    read(sector * SECTOR_BYTES, SECTOR_BYTES);
  const found = yield* readMbr(sectorZero, entries, readSector);
  if (found.length === 0) return NO_TABLE;
  const partitions = checked(found, device);
  return { kind: 'mbr', sectorBytes: SECTOR_BYTES, isBackup: false, partitions };
}

/** Notes in each partition what keeps it from being opened on this device. */
function checked(partitions: readonly Partition[], device: BlockDevice): Partition[] {
  return partitions.map((partition) => ({
    ...partition,
    problem: partition.problem ?? placeProblem(partition, partitions, device),
  }));
}

function placeProblem(
  partition: Partition,
  all: readonly Partition[],
  device: BlockDevice,
): string | null {
  const { startBytes, sizeBytes } = partition;
  const endBytes = startBytes + sizeBytes;
  const deviceBytes = device.capacitySectors * SECTOR_BYTES;
  const unit = device.limits.logicalBlockBytes;
  if (endBytes > deviceBytes) {
    return `it ends at byte ${String(endBytes)}, and the image has ${String(deviceBytes)}`;
  }
  if (startBytes % unit !== 0 || sizeBytes < unit) {
    return `it starts at byte ${String(startBytes)}, and the disk here is read in blocks of ${String(unit)} bytes`;
  }
  for (const other of all) {
    if (other.number === partition.number || other.isContainer || partition.isContainer) continue;
    if (startBytes < other.startBytes + other.sizeBytes && other.startBytes < endBytes) {
      return `it overlaps partition ${String(other.number)}`;
    }
  }
  return null;
}

/** The partition as a device; `device` is closed with it. Throws `HostError` where it is not there or cannot be opened. */
export function* openPartition(
  kernel: Kernel,
  device: BlockDevice,
  number: number,
): Task<SliceDevice> {
  const { kind, partitions } = yield* readPartitionTable(kernel, device);
  if (kind === null) {
    throw refused('image.no-partitions', 'the image has no partition table', 'Leave the partition out.');
  } // prettier-ignore
  const found = partitions.find((partition) => partition.number === number);
  if (found === undefined) {
    throw refused(
      'image.no-partition',
      `the image has no partition ${String(number)}: ${yield* listText(kernel, device, partitions)}`,
      'Choose one of these.',
    );
  }
  const problem = found.isContainer ? 'it is an extended partition' : found.problem;
  if (problem !== null) {
    throw refused(
      'image.bad-partition',
      `partition ${String(number)} cannot be opened: ${problem}`,
      found.isContainer
        ? 'Choose one of the logical partitions in it, from 5 on.'
        : 'Look at a copy of the image with sfdisk --verify.',
    );
  }
  return sliceOf(device, found);
}

function refused(code: string, message: string, hint: string): HostError {
  return new HostError({ code, message, where: 'partition', hint, exitCode: 65 });
}

function sliceOf(device: BlockDevice, partition: Partition): SliceDevice {
  const blockSectors = device.limits.logicalBlockBytes / SECTOR_BYTES;
  const sectors = Math.floor(partition.sizeBytes / SECTOR_BYTES / blockSectors) * blockSectors;
  const name = `${device.name}, partition ${String(partition.number)}`;
  return new SliceDevice(device, partition.startBytes / SECTOR_BYTES, sectors, name);
}

/** The table with what each partition holds. A partition that cannot be opened holds nothing. */
export function* probePartitions(kernel: Kernel, device: BlockDevice): Task<PartitionTable> {
  const table = yield* readPartitionTable(kernel, device);
  const partitions = yield* withProbes(kernel, device, table.partitions);
  return { ...table, partitions };
}

function* withProbes(
  kernel: Kernel,
  device: BlockDevice,
  partitions: readonly Partition[],
): Task<PartitionInfo[]> {
  const found: PartitionInfo[] = [];
  for (const partition of partitions) {
    const isOpenable = partition.problem === null && !partition.isContainer;
    const held = isOpenable ? yield* probeFileSystem(kernel, sliceOf(device, partition)) : null;
    const fileSystemId = held?.module.id ?? null;
    found.push({ ...partition, fileSystemId, probe: held?.probe ?? null });
  }
  return found;
}

/** What the whole device holds: `probeFileSystem`, but a disk with partitions, damaged table or not, is none of the file systems. */
export function* probeWhole(
  kernel: Kernel,
  device: BlockDevice,
): Task<{ readonly module: FileSystemModule; readonly probe: FileSystemProbe } | null> {
  try {
    const table = yield* readPartitionTable(kernel, device);
    if (table.kind !== null) return null;
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
  return yield* probeFileSystem(kernel, device);
}

/** The refusal of a partitioned image with no partition chosen; null where it has no partitions. */
export function* refuseUnchosen(kernel: Kernel, device: BlockDevice): Task<HostError | null> {
  const table = yield* readPartitionTable(kernel, device);
  const { kind, partitions } = table;
  if (kind === null) return null;
  const list = yield* listText(kernel, device, partitions);
  const kindName = kind === 'gpt' ? 'GPT' : 'MBR';
  const example = partitions.find(({ problem, isContainer }) => problem === null && !isContainer);
  return new HostError({
    code: 'image.partitioned',
    message: `the image is a disk with ${kindName} partitions, and none was chosen: ${list}`,
    where: 'partition',
    hint: `Choose one: --partition ${String(example?.number ?? 1)}, or partition: ${String(example?.number ?? 1)} in the target of an experiment.`,
    exitCode: 65,
  });
}

/** `1: Linux, 100 MiB, ext4 "root"; 2: ...`. */
function* listText(
  kernel: Kernel,
  device: BlockDevice,
  partitions: readonly Partition[],
): Task<string> {
  if (partitions.length === 0) return 'the table is empty';
  const infos = yield* withProbes(kernel, device, partitions);
  const texts = infos.map((info) => {
    const label = info.probe?.label ?? info.label;
    const held = info.isContainer
      ? 'holds the logical ones'
      : (info.problem ?? info.fileSystemId ?? 'no known file system');
    const quoted = label === '' ? '' : ` ${JSON.stringify(label)}`;
    return `${String(info.number)}: ${info.typeName}, ${sizeText(info.sizeBytes)}, ${held}${quoted}`;
  });
  return texts.join('; ');
}

function sizeText(sizeBytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${String(Math.round(value * 10) / 10)} ${units[unit] ?? ''}`;
}
