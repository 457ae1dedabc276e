// SPDX-License-Identifier: GPL-2.0-only
/**
 * ext2: indirect blocks, no journal. Direct I/O as fs/ext2 did until it moved to iomap: blockdev_direct_IO, that is the core takes the
 * inode lock for reads (DIO_LOCKING) and leaves holes inside the file to the page cache (DIO_SKIP_HOLES).
 */
import type { OptionSchema } from '../../base/index.ts';
import type { FileSystemModule } from '../../vfs/index.ts';
import {
  formatExt2,
  INCOMPAT,
  mountExt,
  probeExt,
  RO_COMPAT,
  type FamilyMember,
} from '../_ext/index.ts';

const member: FamilyMember = {
  moduleId: 'ext2',
  title: 'ext2',
  incompat: INCOMPAT.filetype | INCOMPAT.meta_bg,
  roCompat: RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir,
  dioProfile: { locking: 'core-locks', skipHoles: true, allocatesInHoles: false },
  supportsNowait: false,
};

const options = {
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
  reservedPercent: {
    type: 'quantity',
    title: 'Reserved blocks',
    help: 'Share of the blocks that only root may use when the kernel mounts the image.',
    unit: 'percent',
    default: 0,
    min: 0,
    max: 50,
  },
} as const satisfies OptionSchema;

export const ext2: FileSystemModule<typeof options> = {
  id: 'ext2',
  title: 'ext2',
  help: 'Indirect blocks, no journal; direct I/O by the kernel’s fs/direct-io.c.',
  options,
  supports: {
    write: true,
    allocate: true,
    directories: true,
    unwrittenExtents: false,
    journal: false,
  },
  probe: (kernel, device) => probeExt(member, kernel, device),
  mount: (kernel, device, directIo) => mountExt(member, kernel, device, directIo),
  format: (kernel, device, chosen) =>
    formatExt2(kernel, device, {
      blockBytes: Number(chosen.blockSize),
      inodeBytes: Number(chosen.inodeSize),
      bytesPerInode: chosen.bytesPerInode,
      reservedPercent: chosen.reservedPercent,
      label: '',
    }),
};
