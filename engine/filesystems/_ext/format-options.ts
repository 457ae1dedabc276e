// SPDX-License-Identifier: GPL-2.0-only
/**
 * What `format` of the ext family can be told, as data, and the features that follow from it. The defaults are those of mke2fs 1.47
 * for images of 512 MiB or more.
 *
 *   export const ext4 = { options: EXT4_FORMAT.options, format: EXT4_FORMAT.format, ... }
 */
import type { OptionSchema, OptionsOf, Result, Task } from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import type { Kernel } from '../../vfs/index.ts';
import { formatExt } from './format.ts';
import { COMPAT, INCOMPAT, RO_COMPAT } from './layout.ts';

const MIB = 1024 * 1024;

const SIZES = {
  blockSize: {
    type: 'choice',
    title: 'Block size',
    help: 'Bytes a block. Mapping and holes go by blocks; direct I/O may still be as small as a sector.',
    choices: ['1024', '2048', '4096'],
    default: '4096',
  },
  inodeSize: {
    type: 'choice',
    title: 'Inode size',
    help: 'Bytes an inode takes in its table.',
    choices: ['128', '256'],
    default: '256',
  },
  bytesPerInode: {
    type: 'quantity',
    title: 'Bytes per inode',
    help: 'One inode is made for so many bytes of the image.',
    unit: 'bytes',
    default: 16384,
    min: 1024,
    max: 67108864,
  },
} as const satisfies OptionSchema;

const LABEL = {
  type: 'path',
  title: 'Label',
  help: 'Name of the file system, up to 16 bytes.',
  default: '',
} as const;

function reserved(percent: number): {
  readonly type: 'quantity';
  readonly title: string;
  readonly help: string;
  readonly unit: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
} {
  return {
    type: 'quantity',
    title: 'Reserved blocks',
    help: 'Share of the blocks that only root may use when the kernel mounts the image.',
    unit: 'percent',
    default: percent,
    min: 0,
    max: 50,
  };
}

const JOURNAL = {
  type: 'quantity',
  title: 'Journal size',
  help: 'Size of the journal; 0: as mke2fs chooses by the size of the image.',
  unit: 'MiB',
  default: 0,
  min: 0,
  max: 10240,
} as const;

const EXT2_OPTIONS = {
  ...SIZES,
  reservedPercent: reserved(0),
} as const satisfies OptionSchema;

const EXT3_OPTIONS = {
  ...SIZES,
  reservedPercent: reserved(5),
  journalMib: JOURNAL,
  label: LABEL,
} as const satisfies OptionSchema;

const EXT4_OPTIONS = {
  ...SIZES,
  inodeSize: { ...SIZES.inodeSize, choices: ['128', '256', '512', '1024'] },
  reservedPercent: reserved(5),
  journal: {
    type: 'flag',
    title: 'Journal',
    help: 'Metadata goes through a journal when the kernel mounts the image.',
    default: true,
  },
  journalMib: JOURNAL,
  checksums: {
    type: 'choice',
    title: 'Checksums',
    help: 'Of all metadata (crc32c), of group descriptors only (crc16), or none.',
    choices: ['metadata', 'descriptors', 'none'],
    default: 'metadata',
  },
  extents: {
    type: 'flag',
    title: 'Extents',
    help: 'Files are mapped by extents; without, by indirect blocks.',
    default: true,
  },
  wide: {
    type: 'flag',
    title: '64-bit',
    help: 'Group descriptors of 64 bytes, whose checksums of bitmaps have all 32 bits.',
    default: true,
  },
  flexible: {
    type: 'flag',
    title: 'Flexible groups',
    help: 'The bitmaps and inode tables of 16 groups lie together.',
    default: true,
  },
  lazy: {
    type: 'flag',
    title: 'Lazy inode tables',
    help: 'Inode tables that no inode uses are left as they are; the kernel zeroes them once it mounts the image. On an image that held something else before, e2fsck has a harder time after a power cut.',
    default: false,
  },
  label: LABEL,
} as const satisfies OptionSchema;

/** Options of a module and what makes the file system from them. */
export interface FormatOffer<S extends OptionSchema> {
  readonly options: S;
  readonly format: (
    kernel: Kernel,
    device: BlockDevice,
    options: OptionsOf<S>,
  ) => Task<Result<void>>;
}

interface CommonChoice {
  readonly blockSize: string;
  readonly inodeSize: string;
  readonly bytesPerInode: number;
  readonly reservedPercent: number;
}

function sizesOf(chosen: CommonChoice): {
  readonly blockBytes: number;
  readonly inodeBytes: number;
  readonly bytesPerInode: number;
  readonly reservedPercent: number;
} {
  return {
    blockBytes: Number(chosen.blockSize),
    inodeBytes: Number(chosen.inodeSize),
    bytesPerInode: chosen.bytesPerInode,
    reservedPercent: chosen.reservedPercent,
  };
}

function journalBytes(mib: number): number | 'auto' {
  return mib === 0 ? 'auto' : mib * MIB;
}

/** base_features of mke2fs.conf: what ext3 and ext4 have alike. */
const BASE_COMPAT = COMPAT.resize_inode | COMPAT.dir_index | COMPAT.ext_attr;
const BASE_RO_COMPAT = RO_COMPAT.sparse_super | RO_COMPAT.large_file;

export const EXT2_FORMAT: FormatOffer<typeof EXT2_OPTIONS> = {
  options: EXT2_OPTIONS,
  format: (kernel, device, chosen) =>
    formatExt(kernel, device, {
      title: 'ext2',
      ...sizesOf(chosen),
      label: '',
      compat: 0,
      incompat: INCOMPAT.filetype,
      roCompat: BASE_RO_COMPAT,
      journalBytes: 'auto',
      isLazy: false,
    }),
};

export const EXT3_FORMAT: FormatOffer<typeof EXT3_OPTIONS> = {
  options: EXT3_OPTIONS,
  format: (kernel, device, chosen) =>
    formatExt(kernel, device, {
      title: 'ext3',
      ...sizesOf(chosen),
      label: chosen.label,
      compat: BASE_COMPAT | COMPAT.has_journal,
      incompat: INCOMPAT.filetype,
      roCompat: BASE_RO_COMPAT,
      journalBytes: journalBytes(chosen.journalMib),
      isLazy: false,
    }),
};

const CHECKSUM_FEATURES = {
  metadata: RO_COMPAT.metadata_csum,
  descriptors: RO_COMPAT.uninit_bg,
  none: 0,
} as const;

export const EXT4_FORMAT: FormatOffer<typeof EXT4_OPTIONS> = {
  options: EXT4_OPTIONS,
  format: (kernel, device, chosen) =>
    formatExt(kernel, device, {
      title: 'ext4',
      ...sizesOf(chosen),
      label: chosen.label,
      compat: BASE_COMPAT | (chosen.journal ? COMPAT.has_journal : 0),
      incompat:
        INCOMPAT.filetype |
        (chosen.extents ? INCOMPAT.extents : 0) |
        (chosen.wide ? INCOMPAT['64bit'] : 0) |
        (chosen.flexible ? INCOMPAT.flex_bg : 0),
      roCompat:
        BASE_RO_COMPAT |
        RO_COMPAT.huge_file |
        RO_COMPAT.dir_nlink |
        (chosen.inodeSize === '128' ? 0 : RO_COMPAT.extra_isize) |
        CHECKSUM_FEATURES[chosen.checksums],
      journalBytes: journalBytes(chosen.journalMib),
      isLazy: chosen.lazy,
    }),
};
