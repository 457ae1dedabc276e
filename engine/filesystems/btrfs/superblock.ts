// SPDX-License-Identifier: GPL-2.0-only
/**
 * The superblock (btrfs_validate_super). Only the first copy counts, as for the kernel's mount: where its checksum is wrong and that of
 * a copy is right, the refusal says so, since btrfs rescue super-recover mends exactly that.
 */
import { isPowerOfTwo, PAGE_BYTES, SECTOR_BYTES, type Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { readDeviceBytes, type FileSystemProbe, type Kernel } from '../../vfs/index.ts';
import { crc32c } from '../_ext/checksum.ts';
import {
  CHECKSUM_NAMES,
  FLAG_ERROR,
  FLAG_HIGH,
  INCOMPAT_FEATURES,
  INCOMPAT_METADATA_UUID,
  LEVEL_MAX,
  SB,
  SUPERBLOCK_BYTE,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_PLACES,
  SYSTEM_ARRAY_BYTES_MAX,
} from './layout.ts';
import { BtrfsRecord, damaged, unsupported } from './record.ts';
import { decodeText } from './text.ts';

const MAGIC = [0x5f, 0x42, 0x48, 0x52, 0x66, 0x53, 0x5f, 0x4d];
const NODE_BYTES_MAX = 65536;
const CONVERT =
  'Convert a copy with the system’s own tools, or make an image without it (mkfs.btrfs).';

/** Where a tree begins. */
export interface TreeRoot {
  readonly treeId: number;
  readonly byte: number;
  readonly level: number;
  readonly generation: number;
}

export function hasBtrfsMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[SB.magic + index] === byte);
}

/** crc32c as btrfs has it: of everything behind the checksum's 32 bytes. */
export function isChecksumGood(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  return ~crc32c(0xffff_ffff, bytes, 32) >>> 0 === view.getUint32(0, true);
}

export class Superblock {
  readonly record: BtrfsRecord;
  readonly sectorBytes: number;
  readonly nodeBytes: number;
  readonly generation: number;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly deviceId: number;
  /** What every node repeats: the metadata UUID where there is one. */
  readonly nodeFsid: Uint8Array;
  readonly label: string;
  readonly hasErrors: boolean;

  /** Checks everything that the superblock alone can tell. Throws `HostError`. */
  constructor(bytes: Uint8Array, device: BlockDevice) {
    const record = new BtrfsRecord('superblock', SUPERBLOCK_BYTE, bytes);
    this.record = record;
    if (record.u64(SB.byte) !== SUPERBLOCK_BYTE) {
      throw record.damaged('bytenr', record.u64(SB.byte), String(SUPERBLOCK_BYTE));
    }
    this.refuseFeatures();
    this.sectorBytes = this.readSectorBytes();
    this.nodeBytes = this.readNodeBytes();
    this.generation = record.u64(SB.generation);
    this.totalBytes = record.u64(SB.totalBytes);
    this.usedBytes = record.u64(SB.usedBytes);
    this.deviceId = record.u64(SB.deviceId);
    this.hasErrors = (record.u32(SB.flags) & FLAG_ERROR) !== 0;
    const hasMetadataUuid = (record.u32(SB.incompatFlags) & INCOMPAT_METADATA_UUID) !== 0;
    this.nodeFsid = record.slice(hasMetadataUuid ? SB.metadataUuid : SB.fsid, 16);
    const label = record.slice(SB.label, 256);
    const end = label.indexOf(0);
    this.label = decodeText(end < 0 ? label : label.subarray(0, end));
    this.checkSizes(device.capacitySectors * SECTOR_BYTES);
  }

  get rootTree(): TreeRoot {
    const { record } = this;
    const level = this.levelAt('root_level', SB.rootLevel);
    return { treeId: 1, byte: record.u64(SB.root), level, generation: this.generation };
  }
  get chunkTree(): TreeRoot {
    const { record } = this;
    const level = this.levelAt('chunk_root_level', SB.chunkRootLevel);
    const generation = record.u64(SB.chunkRootGeneration);
    return { treeId: 3, byte: record.u64(SB.chunkRoot), level, generation };
  }
  /** Chunks of the chunk tree itself: keys and chunk items one behind the other. */
  get systemArray(): BtrfsRecord {
    const { record } = this;
    const length = record.u32(SB.systemArrayBytes);
    if (length === 0 || length > SYSTEM_ARRAY_BYTES_MAX) {
      throw record.damaged('sys_chunk_array_size', length, '1 to 2048');
    }
    return record.part('system chunk array', SB.systemArray, length);
  }
  /** Names of the incompatible features in use. */
  get features(): string[] {
    const bits = this.record.u32(SB.incompatFlags);
    return INCOMPAT_FEATURES.filter((_feature, bit) => (bits & (1 << bit)) !== 0).map(([name]) => name);
  } // prettier-ignore

  private levelAt(field: string, offset: number): number {
    const level = this.record.u8(offset);
    if (level > LEVEL_MAX) throw this.record.damaged(field, level, '0 to 7');
    return level;
  }

  private refuseFeatures(): void {
    const { record } = this;
    const low = record.u32(SB.incompatFlags);
    const high = record.u32(SB.incompatFlags + 4);
    for (let bit = 0; bit < 64; bit++) {
      const isSet = bit < 32 ? (low & (1 << bit)) !== 0 : (high & (1 << (bit - 32))) !== 0;
      const [name, isKnown] = INCOMPAT_FEATURES[bit] ?? [`bit ${String(bit)}`, false];
      if (isSet && !isKnown) {
        throw unsupported('superblock', 'incompat_flags', `the feature ${name} is not known here`, CONVERT);
      }
    } // prettier-ignore
    const flags = record.u32(SB.flags + 4);
    const flagged = (bit: number, what: string, hint: string): void => {
      if ((flags & bit) !== 0) throw unsupported('superblock', 'flags', what, hint);
    };
    flagged(FLAG_HIGH.seeding, 'it is a seed device', 'Clear a copy of it with btrfstune -S 0.');
    const isDump = 'it is a dump of metadata without data (btrfs-image)';
    flagged(FLAG_HIGH.metadump | FLAG_HIGH.metadump2, isDump, 'Give the image itself.');
    const isChanging = 'a change of its UUID was not finished';
    flagged(FLAG_HIGH.changingFsid, isChanging, 'Finish it on a copy with btrfstune -m or -u.');
    const devices = record.u64(SB.deviceCount);
    if (devices !== 1) {
      const what = `it is spread over ${String(devices)} devices, and one image is one device`;
      const hint = 'Mount it with all its devices and remove all but one (btrfs device remove).';
      throw unsupported('superblock', 'num_devices', what, hint);
    }
    if (record.u64(SB.logRoot) !== 0) {
      const what = 'it was not unmounted cleanly: its log tree has not been replayed';
      const hint =
        'Mount a copy once with the kernel, which replays it; or drop it with btrfs rescue zero-log.';
      throw unsupported('superblock', 'log_root', what, hint);
    }
  }

  private readSectorBytes(): number {
    const sectorBytes = this.record.u32(SB.sectorBytes);
    if (sectorBytes === PAGE_BYTES) return sectorBytes;
    if (!isPowerOfTwo(sectorBytes) || sectorBytes < 512 || sectorBytes > 65536) {
      throw this.record.damaged('sectorsize', sectorBytes, 'a power of two from 512 to 65536');
    }
    const what = `it has sectors of ${String(sectorBytes)} bytes`;
    throw unsupported(
      'superblock',
      'sectorsize',
      what,
      'Make one with mkfs.btrfs --sectorsize 4096.',
    );
  }

  private readNodeBytes(): number {
    const nodeBytes = this.record.u32(SB.nodeBytes);
    const isGood =
      isPowerOfTwo(nodeBytes) && nodeBytes >= this.sectorBytes && nodeBytes <= NODE_BYTES_MAX;
    if (!isGood) throw this.record.damaged('nodesize', nodeBytes, 'a power of two up to 65536');
    return nodeBytes;
  }

  private checkSizes(deviceBytes: number): void {
    const { record, totalBytes, usedBytes } = this;
    if (totalBytes > deviceBytes) {
      throw record.damaged('total_bytes', totalBytes, `at most ${String(deviceBytes)}, as the image has`);
    }
    if (usedBytes > totalBytes) {
      throw record.damaged('bytes_used', usedBytes, `at most ${String(totalBytes)}`);
    }
  } // prettier-ignore
}

/** The superblock's bytes; null where the device is too short, or refuses. */
export function* readSuperblockBytes(
  kernel: Kernel,
  device: BlockDevice,
  place: number = SUPERBLOCK_BYTE,
): Task<Uint8Array | null> {
  const bytes = yield* readDeviceBytes(kernel, device, place, SUPERBLOCK_BYTES);
  return typeof bytes === 'number' ? null : bytes;
}

/** Reads and checks the superblock. Throws `HostError`. */
export function* readSuperblock(kernel: Kernel, device: BlockDevice): Task<Superblock> {
  const bytes = yield* readSuperblockBytes(kernel, device);
  if (bytes === null || !hasBtrfsMagic(bytes)) {
    throw damaged('superblock', SUPERBLOCK_BYTE, 'magic', 'absent', '_BHRfS_M');
  }
  const type = new BtrfsRecord('superblock', SUPERBLOCK_BYTE, bytes).u16(SB.checksumType);
  if (type !== 0) {
    const name = CHECKSUM_NAMES[type] ?? `type ${String(type)}`;
    const what = `its checksums are ${name}, and only crc32c is known here`;
    throw unsupported('superblock', 'csum_type', what, 'Make one with mkfs.btrfs --csum crc32c.');
  }
  if (isChecksumGood(bytes)) return new Superblock(bytes, device);
  for (const place of SUPERBLOCK_PLACES.slice(1)) {
    const copy = yield* readSuperblockBytes(kernel, device, place);
    if (copy === null || !hasBtrfsMagic(copy) || !isChecksumGood(copy)) continue;
    const expected = `that of its content; the copy at byte ${String(place)} is good, and btrfs rescue super-recover brings it back`;
    throw damaged('superblock', SUPERBLOCK_BYTE, 'csum', 'wrong', expected);
  }
  throw damaged('superblock', SUPERBLOCK_BYTE, 'csum', 'wrong', 'that of its content');
}

/** What the superblock says of the whole. */
export function probeOf(superblock: Superblock): FileSystemProbe {
  const { label, sectorBytes, totalBytes, usedBytes, hasErrors } = superblock;
  return {
    label,
    blockSizeBytes: sectorBytes,
    sizeBytes: totalBytes,
    freeBytes: totalBytes - usedBytes,
    state: hasErrors ? 'errors' : 'clean',
    confidence: 'checksum',
  };
}
