// SPDX-License-Identifier: GPL-2.0-only
/**
 * The boot sector and what follows from its BPB (fat_read_bpb, fat_fill_super): every value is checked before it is used. As in the
 * kernel, a FAT size of 0 in 16 bits makes it FAT32, whatever the number of clusters; else more than 4,084 clusters make it FAT16.
 */
import {
  BOOT,
  BOOT_BYTES,
  BOOT_SIGNATURE,
  CLUSTERS_MAX,
  ENTRY_BYTES,
  EXTENDED_SIGNATURE,
  FIRST_CLUSTER,
  FLAG_NO_MIRROR,
  STATE_DIRTY,
  type FatBits,
} from './layout.ts';
import { decodeOem } from './names.ts';
import { FatRecord, refusal } from './record.ts';

/** Where everything is; sectors are the BPB's. */
export interface Geometry {
  readonly fatBits: FatBits;
  readonly sectorBytes: number;
  /** log2 of it: i_blkbits. */
  readonly sectorBits: number;
  readonly sectorsPerCluster: number;
  readonly clusterBytes: number;
  readonly reservedSectors: number;
  readonly fatCount: number;
  readonly fatSectors: number;
  readonly rootEntries: number;
  /** First sector of the fixed root directory; of the clusters on FAT32. */
  readonly rootSector: number;
  readonly rootSectors: number;
  readonly dataSector: number;
  readonly clusterCount: number;
  readonly sectorCount: number;
  /** FAT32; else 0. */
  readonly rootCluster: number;
  readonly infoSector: number;
  readonly backupSector: number;
  readonly media: number;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

export class BootSector {
  readonly record: FatRecord;
  readonly geometry: Geometry;

  /** `bytes`: the first 512 bytes of the device. Throws `HostError` naming the field. */
  constructor(bytes: Uint8Array, deviceBytes: number) {
    this.record = new FatRecord('boot sector', 0, bytes.subarray(0, BOOT_BYTES));
    this.geometry = this.read(deviceBytes);
  }

  private get isFat32(): boolean {
    return this.geometry.fatBits === 32;
  }
  /** Offset of the state byte. */
  get stateOffset(): number {
    return this.isFat32 ? BOOT.state32 : BOOT.state;
  }
  get isMarkedDirty(): boolean {
    return (this.record.u8(this.stateOffset) & STATE_DIRTY) !== 0;
  }
  private get hasExtension(): boolean {
    return this.record.u8(this.isFat32 ? BOOT.signature32 : BOOT.signature) === EXTENDED_SIGNATURE;
  }
  get serial(): number {
    return this.hasExtension ? this.record.u32(this.isFat32 ? BOOT.serial32 : BOOT.serial) : 0;
  }
  /** The label in the boot sector; the root directory's counts more. */
  get label(): string {
    if (!this.hasExtension) return '';
    const at = this.isFat32 ? BOOT.label32 : BOOT.label;
    const text = decodeOem(this.record.bytes.subarray(at, at + 11)).trimEnd();
    return text === 'NO NAME' ? '' : text;
  }
  get oemName(): string {
    return decodeOem(this.record.bytes.subarray(BOOT.oemName, BOOT.oemName + 8)).trimEnd();
  }

  private read(deviceBytes: number): Geometry {
    const { record } = this;
    const sectorBytes = record.u16(BOOT.sectorBytes);
    if (!isPowerOfTwo(sectorBytes) || sectorBytes < 512 || sectorBytes > 4096) {
      throw record.damaged('bytes per sector', sectorBytes, '512, 1024, 2048 or 4096');
    }
    const sectorsPerCluster = record.u8(BOOT.sectorsPerCluster);
    if (!isPowerOfTwo(sectorsPerCluster)) {
      throw record.damaged('sectors per cluster', sectorsPerCluster, 'a power of two up to 128');
    }
    const reservedSectors = record.u16(BOOT.reservedSectors);
    if (reservedSectors === 0) throw record.damaged('reserved sectors', 0, 'at least 1');
    const fatCount = record.u8(BOOT.fatCount);
    if (fatCount === 0 || fatCount > 4) {
      throw record.damaged('number of FATs', fatCount, '1 to 4');
    }
    const media = record.u8(BOOT.media);
    if (media < 0xf8 && media !== 0xf0) {
      throw record.damaged('media', media, '0xf0, or 0xf8 to 0xff');
    }
    const fatSectors16 = record.u16(BOOT.fatSectors16);
    const isFat32 = fatSectors16 === 0;
    const fatSectors = isFat32 ? record.u32(BOOT.fatSectors32) : fatSectors16;
    if (fatSectors === 0) throw record.damaged('sectors per FAT', 0, 'at least 1');
    const rootEntries = record.u16(BOOT.rootEntries);
    if (rootEntries % (sectorBytes / ENTRY_BYTES) !== 0 || (!isFat32 && rootEntries === 0)) {
      const expected = `a multiple of ${String(sectorBytes / ENTRY_BYTES)}`;
      throw record.damaged('root entries', rootEntries, expected);
    }
    const part = { sectorBytes, sectorsPerCluster, reservedSectors, fatCount, fatSectors };
    return this.place({ ...part, rootEntries, media }, isFat32, deviceBytes);
  }

  private place(
    part: Pick<
      Geometry,
      | 'sectorBytes'
      | 'sectorsPerCluster'
      | 'reservedSectors'
      | 'fatCount'
      | 'fatSectors'
      | 'rootEntries'
      | 'media'
    >,
    isFat32: boolean,
    deviceBytes: number,
  ): Geometry {
    const { record } = this;
    const { sectorBytes, sectorsPerCluster } = part;
    const sectorCount = record.u16(BOOT.sectors16) || record.u32(BOOT.sectors32);
    const rootSector = part.reservedSectors + part.fatCount * part.fatSectors;
    const rootSectors = (part.rootEntries * ENTRY_BYTES) / sectorBytes;
    const dataSector = rootSector + rootSectors;
    if (sectorCount * sectorBytes > deviceBytes) {
      throw refusal(
        'image.truncated',
        `the file system has ${String(sectorCount * sectorBytes)} bytes, the device ${String(deviceBytes)}`,
        'boot sector, block 0, field total sectors',
        'Give a whole image.',
      );
    }
    const clusters = Math.floor((sectorCount - dataSector) / sectorsPerCluster);
    if (clusters < 1) {
      const expected = `more than ${String(dataSector)}`;
      throw record.damaged('total sectors', sectorCount, expected);
    }
    const fatBits: FatBits = isFat32 ? 32 : clusters > CLUSTERS_MAX[12] ? 16 : 12;
    const inFat = Math.floor((part.fatSectors * sectorBytes * 8) / fatBits) - FIRST_CLUSTER;
    const clusterCount = Math.min(clusters, inFat);
    if (clusterCount < 1 || clusterCount > CLUSTERS_MAX[fatBits]) {
      const expected = `1 to ${String(CLUSTERS_MAX[fatBits])}`;
      throw record.damaged('number of clusters', clusterCount, expected);
    }
    return {
      ...part,
      fatBits,
      sectorBits: Math.log2(sectorBytes),
      clusterBytes: sectorBytes * sectorsPerCluster,
      rootSector,
      rootSectors,
      dataSector,
      clusterCount,
      sectorCount,
      ...(isFat32 ? this.readFat32(part.reservedSectors, clusterCount) : noFat32),
    };
  }

  private readFat32(
    reservedSectors: number,
    clusterCount: number,
  ): Pick<Geometry, 'rootCluster' | 'infoSector' | 'backupSector'> {
    const { record } = this;
    const version = record.u16(BOOT.version32);
    if (version !== 0) throw record.damaged('FAT32 version', version, '0');
    const rootCluster = record.u32(BOOT.rootCluster32);
    if (rootCluster < FIRST_CLUSTER || rootCluster >= clusterCount + FIRST_CLUSTER) {
      const expected = `2 to ${String(clusterCount + 1)}`;
      throw record.damaged('root cluster', rootCluster, expected);
    }
    const flags = record.u16(BOOT.flags32);
    if ((flags & FLAG_NO_MIRROR) !== 0 && (flags & 15) !== 0) {
      throw refusal(
        'image.unsupported',
        `only copy ${String(flags & 15)} of its FAT is in use`,
        'boot sector, block 0, field flags',
        'Check a copy of it with fsck.fat -a, which makes the copies equal.',
      );
    }
    // The kernel takes 1 for an FSInfo sector of 0; one outside the reserved sectors is as good as none.
    const info = record.u16(BOOT.infoSector32) || 1;
    const backup = record.u16(BOOT.backupSector32);
    return {
      rootCluster,
      infoSector: info < reservedSectors ? info : 0,
      backupSector: backup < reservedSectors ? backup : 0,
    };
  }
}

const noFat32 = { rootCluster: 0, infoSector: 0, backupSector: 0 } as const;

/** Tells a FAT boot sector from others (an MBR, NTFS, exFAT, zeros): the jump, the signature, and a BPB that holds. */
export function looksLikeFat(bytes: Uint8Array): boolean {
  if (bytes.length < BOOT_BYTES) return false;
  const record = new FatRecord('boot sector', 0, bytes.subarray(0, BOOT_BYTES));
  const jump = record.u8(BOOT.jump);
  const hasJump = (jump === 0xeb && record.u8(2) === 0x90) || jump === 0xe9;
  return hasJump && record.u16(BOOT.end) === BOOT_SIGNATURE;
}

/** The cluster that a sector of the data lies in. */
export const clusterOfSector = (geometry: Geometry, sector: number): number =>
  Math.floor((sector - geometry.dataSector) / geometry.sectorsPerCluster) + FIRST_CLUSTER;

/** First sector of a cluster (fat_clus_to_blknr). */
export function sectorOfCluster(geometry: Geometry, cluster: number): number {
  return geometry.dataSector + (cluster - FIRST_CLUSTER) * geometry.sectorsPerCluster;
}

/** The number is that of a cluster of the volume. */
export function isCluster(geometry: Geometry, value: number): boolean {
  return value >= FIRST_CLUSTER && value < geometry.clusterCount + FIRST_CLUSTER;
}
