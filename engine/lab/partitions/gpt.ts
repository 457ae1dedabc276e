// SPDX-License-Identifier: GPL-2.0-only
/**
 * GUID partition tables (UEFI specification, chapter 5; kernel: block/partitions/efi.c).
 *
 *   sector 0          protective MBR with an entry of type 0xee
 *   sector 1          header; its backup is the last sector of the disk
 *   entries' sector   array of entries, its checksum in the header; a backup array in front of the backup header
 *
 *   header                                       entry
 *   0   'EFI PART'        40  first usable       0   type GUID, zeros: unused
 *   12  header bytes      48  last usable        16  partition GUID
 *   16  CRC of header     72  entries' sector    32  first sector
 *   24  its own sector    80  count of entries   40  last sector, inclusive
 *   32  the other one     84  bytes an entry     56  name, 36 UTF-16 units
 *                         88  CRC of the array
 *
 * Nothing of a header is used before both checksums hold. Where the primary one does not, the backup counts.
 */
import { damagedTable } from './damaged.ts';
import { HostError, type Task } from '../../base/index.ts';
import type { Partition } from '../partition-table.ts';
import { gptTypeName } from './types.ts';

const HEADER_BYTES_MIN = 92;
const ENTRY_BYTES_MIN = 128;
/** Array: 128 entries of 128 bytes are 16 KiB; nobody has more than 1 MiB. */
const ARRAY_BYTES_MAX = 1024 * 1024;
const SECTOR_SIZES = [512, 4096] as const;

/** Reads bytes of the disk; null: they cannot be read, or lie outside. */
export type ReadBytes = (offsetBytes: number, lengthBytes: number) => Task<Uint8Array | null>;

export interface Gpt {
  readonly sectorBytes: number;
  readonly isBackup: boolean;
  readonly partitions: readonly Partition[];
}

interface Header {
  readonly firstUsable: number;
  readonly lastUsable: number;
  readonly entries: Uint8Array;
  readonly entryBytes: number;
}

/** The table of a disk whose MBR is protective; throws `HostError` where neither copy can be used. */
export function* readGpt(diskBytes: number, read: ReadBytes): Task<Gpt> {
  let firstError: HostError | null = null;
  for (const isBackup of [false, true]) {
    for (const sectorBytes of SECTOR_SIZES) {
      const sectors = Math.floor(diskBytes / sectorBytes);
      const sector = isBackup ? sectors - 1 : 1;
      try {
        const header = yield* readHeader(sector, sectors, sectorBytes, read);
        if (header === null) continue;
        return { sectorBytes, isBackup, partitions: entriesOf(header, sectorBytes) };
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        firstError ??= error;
      }
    }
  }
  throw firstError ?? damagedTable('GPT header', 512, 'signature', 'absent', "'EFI PART'");
}

/** Null: there is no header. Throws where there is one that cannot be right. */
function* readHeader(
  sector: number,
  sectors: number,
  sectorBytes: number,
  read: ReadBytes,
): Task<Header | null> {
  const at = sector * sectorBytes;
  const bytes = sector < 1 ? null : yield* read(at, sectorBytes);
  if (bytes === null || String.fromCharCode(...bytes.subarray(0, 8)) !== 'EFI PART') return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, sectorBytes);
  const refuse = (field: string, found: number, expected: string): HostError =>
    damagedTable('GPT header', at, field, found, expected);
  const headerBytes = view.getUint32(12, true);
  if (headerBytes < HEADER_BYTES_MIN || headerBytes > sectorBytes) {
    throw refuse('HeaderSize', headerBytes, `92 to ${String(sectorBytes)}`);
  }
  const wanted = view.getUint32(16, true);
  const copy = bytes.slice(0, headerBytes);
  copy.fill(0, 16, 20);
  const sum = crc32(copy);
  if (sum !== wanted) throw refuse('HeaderCRC32', wanted, String(sum));
  const own = wide(view, 24);
  if (own !== sector) throw refuse('MyLBA', own, String(sector));
  const firstUsable = wide(view, 40);
  const lastUsable = wide(view, 48);
  if (lastUsable >= sectors) throw refuse('LastUsableLBA', lastUsable, `below ${String(sectors)}`);
  if (firstUsable > lastUsable) {
    throw refuse('FirstUsableLBA', firstUsable, `at most ${String(lastUsable)}`);
  }
  const entryBytes = view.getUint32(84, true);
  const isPower = (entryBytes & (entryBytes - 1)) === 0;
  if (entryBytes < ENTRY_BYTES_MIN || entryBytes > 4096 || !isPower) {
    throw refuse('SizeOfPartitionEntry', entryBytes, 'a power of two from 128 to 4096');
  }
  const count = view.getUint32(80, true);
  if (count < 1 || count * entryBytes > ARRAY_BYTES_MAX) {
    throw refuse('NumberOfPartitionEntries', count, 'an array of at most 1 MiB');
  }
  const arraySector = wide(view, 72);
  const entries =
    arraySector < 1 || arraySector >= sectors
      ? null
      : yield* read(arraySector * sectorBytes, count * entryBytes);
  if (entries === null) {
    throw refuse('PartitionEntryLBA', arraySector, `an array before sector ${String(sectors)}`);
  }
  const arraySum = crc32(entries);
  const arrayWanted = view.getUint32(88, true);
  if (arraySum !== arrayWanted) {
    throw refuse('PartitionEntryArrayCRC32', arrayWanted, String(arraySum));
  }
  return { firstUsable, lastUsable, entries, entryBytes };
}

function entriesOf(header: Header, sectorBytes: number): Partition[] {
  const { entries, entryBytes } = header;
  const partitions: Partition[] = [];
  for (let at = 0; at + entryBytes <= entries.length; at += entryBytes) {
    const view = new DataView(entries.buffer, entries.byteOffset + at, entryBytes);
    const type = guid(view, 0);
    if (/^[0-]+$/.test(type)) continue;
    const first = wide(view, 32);
    const last = wide(view, 40);
    partitions.push({
      number: at / entryBytes + 1,
      startBytes: first * sectorBytes,
      sizeBytes: Math.max(0, last - first + 1) * sectorBytes,
      typeName: gptTypeName(type),
      label: nameOf(view),
      uuid: guid(view, 16),
      isContainer: false,
      problem: problemOf(header, first, last),
    });
  }
  return partitions;
}

function problemOf(
  { firstUsable, lastUsable }: Header,
  first: number,
  last: number,
): string | null {
  if (last < first) return `it ends at sector ${String(last)}, before its start ${String(first)}`;
  if (first >= firstUsable && last <= lastUsable) return null;
  return `its sectors ${String(first)} to ${String(last)} are not among the usable ones, ${String(firstUsable)} to ${String(lastUsable)}`;
}

/** 64 bits; beyond 2^53 no disk has a sector, and the loss of the low bits changes no answer. */
function wide(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** A GUID as people write it: the first three groups are little endian. */
function guid(view: DataView, at: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const tail = Array.from({ length: 8 }, (_, index) => hex(view.getUint8(at + 8 + index), 2));
  return [
    hex(view.getUint32(at, true), 8),
    hex(view.getUint16(at + 4, true), 4),
    hex(view.getUint16(at + 6, true), 4),
    tail.slice(0, 2).join(''),
    tail.slice(2).join(''),
  ].join('-');
}

function nameOf(view: DataView): string {
  let name = '';
  for (let index = 0; index < 36; index++) {
    const unit = view.getUint16(56 + index * 2, true);
    if (unit === 0) break;
    name += String.fromCharCode(unit);
  }
  return name;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
}); // prettier-ignore

/** CRC-32 of IEEE 802.3, as UEFI has it. */
export function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] as number);
  return (value ^ 0xffffffff) >>> 0;
}
