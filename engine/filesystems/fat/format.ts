// SPDX-License-Identifier: GPL-2.0-only
/**
 * Making a FAT file system, as mkfs.fat lays one out: reserved sectors, copies of the FAT, root directory, clusters.
 *
 * The order: an empty first sector, flush, everything but the boot sector, flush, the boot sector, flush. Cut short, the device
 * holds no file system.
 */
import {
  fail,
  PAGE_BYTES,
  SECTOR_BYTES,
  succeed,
  type Result,
  type Task,
  errnoName,
} from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import {
  BioGroup,
  flushDevice,
  writeBlockImages,
  writeZeroes,
  type BlockImage,
  type Kernel,
} from '../../vfs/index.ts';
import {
  ATTRIBUTE,
  BOOT,
  BOOT_SIGNATURE,
  CLUSTERS_MAX,
  END,
  ENTRY,
  ENTRY_BYTES,
  EXTENDED_SIGNATURE,
  FIRST_CLUSTER,
  INFO,
  INFO_LEAD,
  INFO_STRUCTURE,
  INFO_TRAIL,
  type FatBits,
} from './layout.ts';
import { writeEntry } from './fat-table.ts';
import { FatRecord, refusal } from './record.ts';
import { encodeTime } from './time.ts';

export interface FormatOptions {
  /** 0: as the size suggests. */
  readonly fatBits: FatBits | 0;
  /** 0: as the size suggests. */
  readonly clusterBytes: number;
  readonly sectorBytes: number;
  readonly fatCount: number;
  /** Of FAT12 and FAT16. */
  readonly rootEntries: number;
  /** 0: 1, and 32 for FAT32. */
  readonly reservedSectors: number;
  /** Up to 11 characters; empty: none. */
  readonly label: string;
}

interface Plan {
  readonly fatBits: FatBits;
  readonly sectorBytes: number;
  readonly sectorCount: number;
  readonly sectorsPerCluster: number;
  readonly reservedSectors: number;
  readonly fatCount: number;
  readonly fatSectors: number;
  readonly rootEntries: number;
  readonly rootSectors: number;
  readonly clusterCount: number;
}

const MEDIA = 0xf8;
const INFO_SECTOR = 1;
const BACKUP_SECTOR = 6;
const CLUSTER_BYTES_MAX = 65536;
const MIB = 1024 * 1024;
const ZERO_PIECE_BYTES = MIB;
/** Below so many clusters others take a volume for FAT16. */
const FAT32_CLUSTERS_USUAL = 65525;

/** How large the FAT is with so many sectors a cluster; null: the type cannot have the clusters. */
function plan(
  fatBits: FatBits,
  sectorsPerCluster: number,
  sectorCount: number,
  options: FormatOptions,
): Plan | null {
  const { sectorBytes, fatCount } = options;
  const reservedSectors = options.reservedSectors || (fatBits === 32 ? 32 : 1);
  const perSector = sectorBytes / ENTRY_BYTES;
  const rootEntries = fatBits === 32 ? 0 : Math.ceil(options.rootEntries / perSector) * perSector;
  const rootSectors = rootEntries / perSector;
  const room = sectorCount - reservedSectors - rootSectors;
  // Each cluster costs its sectors and its entries; rounding up once can only leave a little unused.
  const perCluster = sectorsPerCluster + (fatCount * fatBits) / 8 / sectorBytes;
  const most = Math.floor(room / perCluster) + 1;
  const fatSectors = Math.ceil(((most + FIRST_CLUSTER) * fatBits) / 8 / sectorBytes);
  const data = room - fatCount * fatSectors;
  const clusterCount = Math.floor(data / sectorsPerCluster);
  const least = fatBits === 16 ? CLUSTERS_MAX[12] + 1 : 1;
  if (clusterCount < least || clusterCount > CLUSTERS_MAX[fatBits]) return null;
  if (fatBits !== 32 && fatSectors > 0xffff) return null;
  return {
    fatBits,
    sectorBytes,
    sectorCount,
    sectorsPerCluster,
    reservedSectors,
    fatCount,
    fatSectors,
    rootEntries,
    rootSectors,
    clusterCount,
  };
}

/** Cluster sizes to try first, by the size of the volume (mkfs.fat's own steps for FAT32). */
function usualClusterBytes(fatBits: FatBits, deviceBytes: number): number {
  if (fatBits !== 32) return 2048;
  const steps: readonly (readonly [number, number])[] = [
    [260 * MIB, 512],
    [8192 * MIB, 4096],
    [16384 * MIB, 8192],
    [32768 * MIB, 16384],
  ];
  return steps.find(([limit]) => deviceBytes <= limit)?.[1] ?? 32768;
}

/** FAT type and cluster size. Throws `HostError` where nothing fits. */
function choose(deviceBytes: number, options: FormatOptions): Plan {
  const { sectorBytes } = options;
  const sectorCount = Math.min(2 ** 32 - 1, Math.floor(deviceBytes / sectorBytes));
  const types: readonly FatBits[] =
    options.fatBits !== 0 ? [options.fatBits] : deviceBytes > 512 * MIB ? [32] : [12, 16, 32];
  for (const fatBits of types) {
    const usual = Math.max(sectorBytes, usualClusterBytes(fatBits, deviceBytes));
    const isFixed = options.clusterBytes !== 0;
    const larger: number[] = [];
    // Automatic: FAT12 stays what it is good for, small volumes.
    const largest = options.fatBits === 0 && fatBits === 12 ? 4096 : CLUSTER_BYTES_MAX;
    for (let bytes = usual; bytes <= largest; bytes *= 2) larger.push(bytes);
    for (let bytes = usual / 2; bytes >= sectorBytes; bytes /= 2) larger.push(bytes);
    for (const bytes of isFixed ? [options.clusterBytes] : larger) {
      if (bytes < sectorBytes || bytes / sectorBytes > 128) continue;
      const found = plan(fatBits, bytes / sectorBytes, sectorCount, options);
      if (found !== null) return found;
    }
  }
  const what = options.fatBits === 0 ? 'FAT' : `FAT${String(options.fatBits)}`;
  throw refusal(
    'format.bad-size',
    `no ${what} file system fits ${String(deviceBytes)} bytes with these options`,
    'boot sector, field sectors per cluster',
    `Leave type and cluster size to the size, or change the size; FAT32 has from 1, usually ${String(FAT32_CLUSTERS_USUAL)} clusters.`,
  );
}

/** Formats the device. A refusal of the options is a `HostError`; an I/O error is the result's. */
export function* formatFat(
  kernel: Kernel,
  device: BlockDevice,
  options: FormatOptions,
): Task<Result<void>> {
  if (device.isReadOnly) return fail('EROFS');
  checkOptions(device, options);
  const layout = choose(device.capacitySectors * SECTOR_BYTES, options);
  const builder = new Builder(kernel, layout, options);
  const head = layout.sectorBytes;
  const zeroed = zeroedBytes(layout);
  const error =
    (yield* clearRange(kernel, device, 0, head)) ||
    (yield* flushDevice(kernel, device)) ||
    (yield* clearRange(kernel, device, head, zeroed - head)) ||
    (yield* writeBlockImages(kernel, device, builder.structures())) ||
    (yield* flushDevice(kernel, device)) ||
    (yield* writeBlockImages(kernel, device, [{ deviceBlock: 0, bytes: builder.boot }])) ||
    (yield* flushDevice(kernel, device));
  return error === 0 ? succeed(undefined) : fail(errnoName(error) ?? 'EIO');
}

function checkOptions(device: BlockDevice, options: FormatOptions): void {
  const { sectorBytes, reservedSectors, fatBits } = options;
  const where = 'boot sector';
  if (device.limits.logicalBlockBytes > sectorBytes) {
    const sector = String(device.limits.logicalBlockBytes);
    const message = `the device has sectors of ${sector} bytes`;
    throw refusal('format.bad-option', message, where, `Choose a sector size of ${sector}.`);
  }
  if (fatBits === 32 && reservedSectors !== 0 && reservedSectors <= BACKUP_SECTOR) {
    const message = `FAT32 keeps a copy of its boot sector in reserved sector ${String(BACKUP_SECTOR)}`;
    throw refusal('format.bad-option', message, where, 'Choose 7 reserved sectors or more.');
  }
  if (
    !/^[\u0020-\u007e]{0,11}$/.test(options.label) ||
    /[*?<>|":/\\.,;=+[\]]/.test(options.label)
  ) {
    const message = `the label ${JSON.stringify(options.label)} cannot be`;
    throw refusal(
      'format.bad-option',
      message,
      where,
      'Up to 11 ASCII letters, digits and blanks.',
    );
  }
}

/** Reserved sectors, FATs and root directory are zeros at first. */
function zeroedBytes(layout: Plan): number {
  const fixed = layout.reservedSectors + layout.fatCount * layout.fatSectors + layout.rootSectors;
  const root = layout.fatBits === 32 ? layout.sectorsPerCluster : 0;
  return (fixed + root) * layout.sectorBytes;
}

function* clearRange(
  kernel: Kernel,
  device: BlockDevice,
  firstByte: number,
  lengthBytes: number,
): Task<number> {
  if (device.ops.has('write-zeroes')) {
    return yield* writeZeroes(kernel, device, firstByte, lengthBytes);
  }
  const page = kernel.memory.allocatePages(1);
  if (page < 0) return -12;
  kernel.memory.view(page, 0, PAGE_BYTES).fill(0);
  let error = 0;
  for (let done = 0; done < lengthBytes && error === 0; done += ZERO_PIECE_BYTES) {
    const group = new BioGroup(kernel, device, 'write', 0, 'zeroes');
    const end = Math.min(lengthBytes, done + ZERO_PIECE_BYTES);
    for (let at = done; at < end; at += PAGE_BYTES) {
      group.add(firstByte + at, page, 0, Math.min(PAGE_BYTES, end - at));
    }
    error = yield* group.wait();
  }
  kernel.memory.freePages(page, 1);
  return error;
}

class Builder {
  readonly boot: Uint8Array;
  private readonly unixMs: number;
  private readonly serial: number;

  constructor(
    kernel: Kernel,
    private readonly layout: Plan,
    private readonly options: FormatOptions,
  ) {
    this.unixMs = kernel.unixMs?.() ?? 0;
    const made = Math.floor(this.unixMs / 1000) ^ Math.imul(layout.sectorCount, 0x9e3779b1);
    this.serial = (kernel.random?.next32() ?? made) >>> 0;
    this.boot = this.makeBoot();
  }

  private get label(): string {
    return this.options.label.toUpperCase();
  }

  private makeBoot(): Uint8Array {
    const { layout, options } = this;
    const bytes = new Uint8Array(layout.sectorBytes);
    const record = new FatRecord('boot sector', 0, bytes);
    const isFat32 = layout.fatBits === 32;
    // A jump over the BPB to code that stays where it is.
    bytes.set([0xeb, isFat32 ? 0x58 : 0x3c, 0x90], BOOT.jump);
    bytes.set([0xeb, 0xfe], isFat32 ? 0x5a : 0x3e);
    putText(bytes, BOOT.oemName, 'DIOLAB', 8);
    record.setU16(BOOT.sectorBytes, layout.sectorBytes);
    record.setU8(BOOT.sectorsPerCluster, layout.sectorsPerCluster);
    record.setU16(BOOT.reservedSectors, layout.reservedSectors);
    record.setU8(BOOT.fatCount, layout.fatCount);
    record.setU16(BOOT.rootEntries, layout.rootEntries);
    const isSmall = !isFat32 && layout.sectorCount < 65536;
    if (isSmall) record.setU16(BOOT.sectors16, layout.sectorCount);
    else record.setU32(BOOT.sectors32, layout.sectorCount);
    record.setU8(BOOT.media, MEDIA);
    record.setU16(BOOT.sectorsPerTrack, 32);
    record.setU16(BOOT.heads, 64);
    const label = options.label === '' ? 'NO NAME' : this.label;
    if (isFat32) {
      record.setU32(BOOT.fatSectors32, layout.fatSectors);
      record.setU32(BOOT.rootCluster32, FIRST_CLUSTER);
      record.setU16(BOOT.infoSector32, INFO_SECTOR);
      record.setU16(BOOT.backupSector32, BACKUP_SECTOR);
    } else record.setU16(BOOT.fatSectors16, layout.fatSectors);
    record.setU8(isFat32 ? BOOT.drive32 : BOOT.drive, 0x80);
    record.setU8(isFat32 ? BOOT.signature32 : BOOT.signature, EXTENDED_SIGNATURE);
    record.setU32(isFat32 ? BOOT.serial32 : BOOT.serial, this.serial);
    putText(bytes, isFat32 ? BOOT.label32 : BOOT.label, label, 11);
    putText(bytes, isFat32 ? BOOT.type32 : BOOT.type, `FAT${String(layout.fatBits)}`, 8);
    record.setU16(BOOT.end, BOOT_SIGNATURE);
    return bytes;
  }

  /** Everything but the boot sector. */
  structures(): BlockImage[] {
    const { layout } = this;
    const images: BlockImage[] = [];
    const fat = this.firstFatSector();
    for (let copy = 0; copy < layout.fatCount; copy++) {
      const deviceBlock = layout.reservedSectors + copy * layout.fatSectors;
      images.push({ deviceBlock, bytes: fat });
    }
    if (layout.fatBits === 32) {
      images.push({ deviceBlock: INFO_SECTOR, bytes: this.info() });
      images.push({ deviceBlock: BACKUP_SECTOR, bytes: this.boot });
      const copy = BACKUP_SECTOR + INFO_SECTOR;
      if (copy < layout.reservedSectors) images.push({ deviceBlock: copy, bytes: this.info() });
    }
    if (this.options.label !== '') images.push(this.labelSector());
    return images;
  }

  /** Entries 0 and 1, and on FAT32 the root directory's only cluster. */
  private firstFatSector(): Uint8Array {
    const { fatBits, sectorBytes } = this.layout;
    const bytes = new Uint8Array(sectorBytes);
    const place = (cluster: number): number => Math.floor((cluster * fatBits) / 8);
    writeEntry(bytes, fatBits, place(0), 0, 0x0fffff00 | MEDIA);
    writeEntry(bytes, fatBits, place(1), 1, END);
    if (fatBits === 32) writeEntry(bytes, fatBits, place(2), FIRST_CLUSTER, END);
    return bytes;
  }

  private info(): Uint8Array {
    const bytes = new Uint8Array(this.layout.sectorBytes);
    const record = new FatRecord('FSInfo', INFO_SECTOR, bytes);
    record.setU32(INFO.lead, INFO_LEAD);
    record.setU32(INFO.structure, INFO_STRUCTURE);
    record.setU32(INFO.freeClusters, this.layout.clusterCount - 1);
    record.setU32(INFO.nextCluster, FIRST_CLUSTER);
    record.setU32(INFO.trail, INFO_TRAIL);
    return bytes;
  }

  /** The first sector of the root directory, with the label's entry. */
  private labelSector(): BlockImage {
    const { layout } = this;
    const bytes = new Uint8Array(layout.sectorBytes);
    const record = new FatRecord('root directory', 0, bytes);
    const { date, time } = encodeTime(this.unixMs);
    putText(bytes, 0, this.label, 11);
    record.setU8(ENTRY.attributes, ATTRIBUTE.label);
    record.setU16(ENTRY.modifyTime, time);
    record.setU16(ENTRY.modifyDate, date);
    const deviceBlock = layout.reservedSectors + layout.fatCount * layout.fatSectors;
    return { deviceBlock, bytes };
  }
}

function putText(bytes: Uint8Array, at: number, text: string, length: number): void {
  const padded = text.padEnd(length).slice(0, length);
  for (let index = 0; index < length; index++) bytes[at + index] = padded.charCodeAt(index);
}
