// SPDX-License-Identifier: GPL-2.0-only
/**
 * The superblock and what follows from it (xfs_sb.c: xfs_validate_sb_common and its kin). Everything else is read by this geometry, so
 * every number of it is checked against the image and against the others before anything is read.
 */
import { HostError, PAGE_BYTES } from '../../base/index.ts';
import {
  FEATURES2_FTYPE,
  featureNames,
  INCOMPAT,
  INCOMPAT_KNOWN,
  RO_COMPAT,
  SB,
  VERSION_BIT,
  XFS_MAGIC,
} from './layout.ts';
import { XfsRecord, type Field } from './record.ts';
import { labelText } from './values.ts';

/** XFS_MIN_AG_BLOCKS */
const GROUP_BLOCKS_MIN = 64;
const SECTOR_BYTES_MAX = PAGE_BYTES;
/** XFS_DINODE_MAX_SIZE */
const INODE_BYTES_MAX = 2048;
const DIRECTORY_BLOCK_BYTES_MAX = 65_536;

export interface Geometry {
  /** 4 or 5. */
  readonly version: number;
  /** Version 5: checksums, UUIDs and addresses in every metadata block. */
  readonly hasCrc: boolean;
  readonly blockBytes: number;
  readonly blockBits: number;
  readonly sectorBytes: number;
  readonly blocksCount: number;
  readonly groupBlocks: number;
  readonly groupCount: number;
  /** agblklog: bits of a block's number inside its group. */
  readonly groupBlockBits: number;
  readonly inodeBytes: number;
  readonly inodesPerBlock: number;
  readonly inodesPerBlockBits: number;
  readonly rootInode: number;
  /** Of the internal log. */
  readonly logStart: number;
  readonly logBlocks: number;
  readonly directoryBlockBytes: number;
  readonly hasFileType: boolean;
  readonly hasSparseInodes: boolean;
  readonly hasFreeInodeTree: boolean;
  readonly hasReverseMap: boolean;
  readonly hasReflink: boolean;
  readonly hasBigTime: boolean;
  readonly hasBigExtentCounts: boolean;
  /** First block of a group behind its headers. */
  readonly headerBlocks: number;
  /** What metadata blocks carry. */
  readonly uuid: Uint8Array;
  readonly features: readonly string[];
}

export class Superblock {
  readonly geometry: Geometry;
  readonly label: string;
  readonly freeBlocks: number;
  readonly inodesCount: number;
  readonly freeInodes: number;
  readonly record: XfsRecord;

  /** `bytes`: the start of the device, at least a sector of it. Throws `HostError`. */
  constructor(bytes: Uint8Array, deviceBytes: number) {
    const whole = new XfsRecord('superblock', 0, bytes);
    whole.magic(0, 'magicnum', XFS_MAGIC);
    const sectorBytes = whole.number(SB.sectsize);
    const isSector = sectorBytes >= 512 && sectorBytes <= SECTOR_BYTES_MAX && isPower(sectorBytes);
    if (!isSector) {
      throw whole.damaged('sectsize', sectorBytes, 'a power of two from 512 to 4096');
    }
    const record = whole.part('superblock', 0, sectorBytes);
    this.record = record;
    const version = record.number(SB.versionnum) & 0xf;
    if (version !== 4 && version !== 5) {
      throw unsupported(SB.versionnum, [`version ${String(version)}`]);
    }
    if (version === 5) record.verifyCrc(SB.crc.at);
    refuseFeatures(record, version);
    this.geometry = readGeometry(record, version, deviceBytes);
    this.label = labelText(record.slice(SB.fname.at, SB.fname.lengthBytes));
    this.freeBlocks = Math.min(record.u64Rounded(SB.fdblocks.at), this.geometry.blocksCount);
    this.inodesCount = record.u64Rounded(SB.icount.at);
    this.freeInodes = record.u64Rounded(SB.ifree.at);
  }
}

function unsupported(field: Field, names: readonly string[], hint?: string): HostError {
  return new HostError({
    code: 'image.unsupported-feature',
    message: `the lab's XFS does not know ${names.join(', ')}`,
    where: `superblock, block 0, field ${field.name}`,
    hint: hint ?? 'Copy the files into an image made with the defaults of mkfs.xfs.',
    exitCode: 65,
    data: { structure: 'superblock', block: 0, field: field.name, found: names.join(',') },
  });
}

function refuseFeatures(sb: XfsRecord, version: number): void {
  if (version === 4) {
    const bits = sb.number(SB.versionnum);
    if ((bits & VERSION_BIT.dirv2) === 0) {
      throw unsupported(SB.versionnum, ['directories of version 1']);
    }
    if ((bits & VERSION_BIT.borg) !== 0) {
      throw unsupported(SB.versionnum, ['names without case (ascii-ci)']);
    }
  } else {
    const incompat = sb.number(SB.features_incompat);
    if ((incompat & INCOMPAT.needsrepair) !== 0) {
      const names = ['needsrepair: the image is marked as in need of a repair'];
      throw unsupported(SB.features_incompat, names, 'Repair it with xfs_repair IMAGE.');
    }
    const names = featureNames((incompat & ~INCOMPAT_KNOWN) >>> 0, INCOMPAT);
    if (names.length > 0) throw unsupported(SB.features_incompat, names);
    if ((sb.number(SB.versionnum) & VERSION_BIT.borg) !== 0) {
      throw unsupported(SB.versionnum, ['names without case (ascii-ci)']);
    }
  }
  if (sb.u64Rounded(SB.logstart.at) === 0) {
    throw unsupported(SB.logstart, ['an external log device']);
  }
  if (sb.u64Rounded(SB.rblocks.at) !== 0 || sb.u64Rounded(SB.rextents.at) !== 0) {
    throw unsupported(SB.rblocks, ['a realtime device']);
  }
  if (sb.number(SB.inprogress) !== 0) {
    throw sb.damaged('inprogress', sb.number(SB.inprogress), '0: mkfs.xfs did not finish');
  }
}

const isPower = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;

/** A size whose logarithm the superblock keeps as well. */
function sizeWithLog(sb: XfsRecord, size: Field, log: Field, min: number, max: number): number {
  const value = sb.within(size, min, max);
  if (!isPower(value)) throw sb.damaged(size.name, value, 'a power of two');
  sb.expectNumber(log.name, sb.number(log), Math.log2(value));
  return value;
}

function readGeometry(sb: XfsRecord, version: number, deviceBytes: number): Geometry {
  const hasCrc = version === 5;
  const sectorBytes = sizeWithLog(sb, SB.sectsize, SB.sectlog, 512, SECTOR_BYTES_MAX);
  const found = sb.number(SB.blocksize);
  if (isPower(found) && found > PAGE_BYTES && found <= 65_536) {
    throw unsupported(SB.blocksize, [`blocks of ${String(found)} bytes, larger than a page`]);
  }
  const blockMin = Math.max(sectorBytes, hasCrc ? 1024 : 512);
  const blockBytes = sizeWithLog(sb, SB.blocksize, SB.blocklog, blockMin, PAGE_BYTES);
  const blocksMax = Math.floor(deviceBytes / blockBytes);
  const blocksCount = sb.number(SB.dblocks);
  if (blocksCount > blocksMax) {
    const expected = `at most the ${String(blocksMax)} of the image: it is cut short, or not whole`;
    throw sb.damaged('dblocks', blocksCount, expected);
  }
  const groups = readGroups(sb, blocksCount, sectorBytes, blockBytes);
  const inodeMax = Math.min(INODE_BYTES_MAX, blockBytes);
  const inodeMin = hasCrc ? 512 : 256;
  const inodeBytes = sizeWithLog(sb, SB.inodesize, SB.inodelog, inodeMin, inodeMax);
  const inodesPerBlock = blockBytes / inodeBytes;
  sb.expectNumber('inopblock', sb.number(SB.inopblock), inodesPerBlock);
  const inodesPerBlockBits = Math.log2(inodesPerBlock);
  sb.expectNumber('inopblog', sb.number(SB.inopblog), inodesPerBlockBits);
  const directoryBlockBytes = blockBytes * 2 ** sb.number(SB.dirblklog);
  if (directoryBlockBytes > DIRECTORY_BLOCK_BYTES_MAX) {
    throw sb.damaged('dirblklog', sb.number(SB.dirblklog), 'at most 64 KiB a directory block');
  }
  const log = readLogPlace(sb, groups, blocksCount);
  return {
    version,
    hasCrc,
    blockBytes,
    blockBits: Math.log2(blockBytes),
    sectorBytes,
    blocksCount,
    ...groups,
    inodeBytes,
    inodesPerBlock,
    inodesPerBlockBits,
    rootInode: sb.number(SB.rootino),
    ...log,
    directoryBlockBytes,
    ...readFeatures(sb, hasCrc),
  };
}

type Groups = Pick<Geometry, 'groupBlocks' | 'groupCount' | 'groupBlockBits' | 'headerBlocks'>;

function readGroups(
  sb: XfsRecord,
  blocksCount: number,
  sectorBytes: number,
  blockBytes: number,
): Groups {
  const groupBlocks = sb.within(SB.agblocks, GROUP_BLOCKS_MIN, 2 ** 31);
  const groupCount = sb.within(SB.agcount, 1, Math.ceil(blocksCount / groupBlocks));
  if (groupCount * groupBlocks < blocksCount) {
    throw sb.damaged('agcount', groupCount, String(Math.ceil(blocksCount / groupBlocks)));
  }
  const groupBlockBits = Math.ceil(Math.log2(groupBlocks));
  sb.expectNumber('agblklog', sb.number(SB.agblklog), groupBlockBits);
  const headerBlocks = Math.ceil((sectorBytes * 4) / blockBytes);
  return { groupBlocks, groupCount, groupBlockBits, headerBlocks };
}

function readLogPlace(
  sb: XfsRecord,
  groups: Groups,
  blocksCount: number,
): Pick<Geometry, 'logStart' | 'logBlocks'> {
  const place = sb.number(SB.logstart);
  const group = Math.floor(place / 2 ** groups.groupBlockBits);
  const logStart = group * groups.groupBlocks + (place % 2 ** groups.groupBlockBits);
  const logBlocks = sb.number(SB.logblocks);
  if (place % 2 ** groups.groupBlockBits >= groups.groupBlocks || logStart >= blocksCount) {
    throw sb.damaged('logstart', place, 'a block inside the image');
  }
  const left = Math.min(blocksCount, (group + 1) * groups.groupBlocks) - logStart;
  if (logBlocks < 1 || logBlocks > left) {
    throw sb.damaged('logblocks', logBlocks, `1 to ${String(left)}`);
  }
  return { logStart, logBlocks };
}

type Features = Pick<
  Geometry,
  | 'hasFileType'
  | 'hasSparseInodes'
  | 'hasFreeInodeTree'
  | 'hasReverseMap'
  | 'hasReflink'
  | 'hasBigTime'
  | 'hasBigExtentCounts'
  | 'uuid'
  | 'features'
>;

function readFeatures(sb: XfsRecord, hasCrc: boolean): Features {
  const incompat = hasCrc ? sb.number(SB.features_incompat) : 0;
  const readOnly = hasCrc ? sb.number(SB.features_ro_compat) : 0;
  const more = (sb.number(SB.versionnum) & VERSION_BIT.morebits) !== 0;
  const features2 = more ? sb.number(SB.features2) : 0;
  const has = (bits: number, mask: number): boolean => (bits & mask) !== 0;
  const uuidField = has(incompat, INCOMPAT.meta_uuid) ? SB.meta_uuid : SB.uuid;
  return {
    hasFileType: hasCrc ? has(incompat, INCOMPAT.ftype) : has(features2, FEATURES2_FTYPE),
    hasSparseInodes: has(incompat, INCOMPAT.spinodes),
    hasFreeInodeTree: has(readOnly, RO_COMPAT.finobt),
    hasReverseMap: has(readOnly, RO_COMPAT.rmapbt),
    hasReflink: has(readOnly, RO_COMPAT.reflink),
    hasBigTime: has(incompat, INCOMPAT.bigtime),
    hasBigExtentCounts: has(incompat, INCOMPAT.nrext64),
    uuid: sb.slice(uuidField.at, 16).slice(),
    features: [
      ...(hasCrc ? ['crc'] : []),
      ...featureNames(incompat, INCOMPAT),
      ...featureNames(readOnly, RO_COMPAT),
    ],
  };
}
