// SPDX-License-Identifier: GPL-2.0-only
/**
 * The master boot record, and the chain of extended boot records (kernel: block/partitions/msdos.c).
 *
 *   sector 0                               entry (16 bytes)
 *   0    boot code                         0   0x80 active, 0 not; anything else: no table
 *   440  disk identity, 4 bytes            4   type, 0: unused
 *   446  4 entries of 16 bytes             8   first sector, little endian
 *   510  0x55 0xaa                         12  count of sectors
 *
 * An extended partition starts with such a sector, too: entry 0 is a logical partition counted from this sector, entry 1 the next link
 * counted from the start of the extended partition. A sector counts 512 bytes: the table does not say, and images nearly always do.
 */
import { SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { Partition } from '../partition-table.ts';
import { MBR_TYPE, mbrTypeName } from './types.ts';

const ENTRIES_AT = 446;
const ENTRY_BYTES = 16;
const DISK_ID_AT = 440;
/** Linux numbers no more than it has minors for; a chain that is longer is a circle or a joke. */
const LOGICAL_MAX = 124;

interface Entry {
  readonly type: number;
  readonly startSector: number;
  readonly countSectors: number;
}

/** Reads a sector; null: it cannot be read. */
export type ReadSector = (sector: number) => Task<Uint8Array | null>;

const isExtended = (type: number): boolean =>
  type === MBR_TYPE.extended || type === MBR_TYPE.extendedLba || type === MBR_TYPE.extendedLinux;

/** The four entries of a boot record; null where the sector is none: no signature, or a flag that no table has. */
export function bootRecordEntries(sector: Uint8Array): readonly Entry[] | null {
  if (sector.length < SECTOR_BYTES || sector[510] !== 0x55 || sector[511] !== 0xaa) return null;
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR_BYTES);
  const entries: Entry[] = [];
  for (let at = ENTRIES_AT; at < ENTRIES_AT + 4 * ENTRY_BYTES; at += ENTRY_BYTES) {
    if ((view.getUint8(at) & 0x7f) !== 0) return null;
    entries.push({
      type: view.getUint8(at + 4),
      startSector: view.getUint32(at + 8, true),
      countSectors: view.getUint32(at + 12, true),
    });
  }
  return entries;
}

/**
 * True where sector 0 is the boot sector of a file system, which also ends with 0x55 0xaa: FAT, exFAT and NTFS lay their parameters
 * where a disk's boot record has code. Loaders leave that place empty, so the sizes there must all be possible ones.
 */
export function isFileSystemBootSector(sector: Uint8Array): boolean {
  const text = (at: number, length: number): string =>
    String.fromCharCode(...sector.subarray(at, at + length));
  if (text(3, 8) === 'EXFAT   ' || text(3, 8) === 'NTFS    ') return true;
  const sectorBytes = (sector[11] ?? 0) + (sector[12] ?? 0) * 256;
  const clusterSectors = sector[13] ?? 0;
  const reserved = (sector[14] ?? 0) + (sector[15] ?? 0) * 256;
  const fats = sector[16] ?? 0;
  const media = sector[21] ?? 0;
  return (
    [512, 1024, 2048, 4096].includes(sectorBytes) &&
    clusterSectors > 0 &&
    (clusterSectors & (clusterSectors - 1)) === 0 &&
    reserved > 0 &&
    (fats === 1 || fats === 2) &&
    (media === 0xf0 || media >= 0xf8)
  );
}

/** The partitions of the boot record in sector 0 and of its chains. Problems of single ones are noted in them. */
export function* readMbr(
  sectorZero: Uint8Array,
  entries: readonly Entry[],
  read: ReadSector,
): Task<Partition[]> {
  const view = new DataView(sectorZero.buffer, sectorZero.byteOffset, SECTOR_BYTES);
  const diskId = view.getUint32(DISK_ID_AT, true);
  const partitions: Partition[] = [];
  const chains: { readonly startSector: number; readonly endSector: number }[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry.type === 0 || entry.countSectors === 0) continue;
    partitions.push(partitionOf(index + 1, entry, entry.startSector, diskId));
    const endSector = entry.startSector + entry.countSectors;
    if (isExtended(entry.type)) chains.push({ startSector: entry.startSector, endSector });
  }
  const [chain] = chains;
  if (chain !== undefined) {
    partitions.push(...(yield* readChain(chain.startSector, chain.endSector, diskId, read)));
  }
  return partitions;
}

function* readChain(
  extendedStart: number,
  extendedEnd: number,
  diskId: number,
  read: ReadSector,
): Task<Partition[]> {
  const found: Partition[] = [];
  const visited = new Set<number>();
  let link = extendedStart;
  while (!visited.has(link) && visited.size < LOGICAL_MAX) {
    visited.add(link);
    const sector = yield* read(link);
    const entries = sector === null ? null : bootRecordEntries(sector);
    if (entries === null) return found;
    const logical = entries.find(({ type, countSectors }) => usable(type, countSectors));
    if (logical !== undefined) {
      const partition = partitionOf(5 + found.length, logical, link + logical.startSector, diskId);
      const end = link + logical.startSector + logical.countSectors;
      const leaves = end > extendedEnd ? 'it leaves its extended partition' : null;
      found.push({ ...partition, problem: partition.problem ?? leaves });
    }
    const next = entries.find(({ type, countSectors }) => isExtended(type) && countSectors > 0);
    if (next === undefined) return found;
    link = extendedStart + next.startSector;
    if (link <= extendedStart || link >= extendedEnd) return found;
  }
  return found;
}

const usable = (type: number, countSectors: number): boolean =>
  type !== 0 && !isExtended(type) && countSectors > 0;

function partitionOf(number: number, entry: Entry, startSector: number, diskId: number): Partition {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return {
    number,
    startBytes: startSector * SECTOR_BYTES,
    sizeBytes: entry.countSectors * SECTOR_BYTES,
    typeName: mbrTypeName(entry.type),
    label: '',
    uuid: diskId === 0 ? '' : `${hex(diskId, 8)}-${hex(number, 2)}`,
    isContainer: isExtended(entry.type),
    problem: startSector === 0 ? 'it starts at the table itself' : null,
  };
}
