// SPDX-License-Identifier: GPL-2.0-only
/**
 * ext3: ext2 with a journal. Direct I/O as fs/ext3 had it from 2.6 until it left the kernel with 4.3: ext3_direct_IO goes through
 * blockdev_direct_IO with ext3_get_block and no end_io, that is the core takes the inode lock for reads (DIO_LOCKING) and leaves holes
 * inside the file to the page cache (DIO_SKIP_HOLES). A write beyond the end put the inode on the list of orphans first and took it off
 * after, so that a crash in between cut the file back; here an inode's record is written only when no such write is under way
 * (commit.ts), which comes to the same without the list. The journal is left as it was found: clean.
 */
import type { FileSystemModule } from '../../vfs/index.ts';
import {
  EXT3_FORMAT,
  INCOMPAT,
  mountExt,
  probeExt,
  RO_COMPAT,
  type FamilyMember,
} from '../_ext/index.ts';

const member: FamilyMember = {
  moduleId: 'ext3',
  title: 'ext3',
  incompat: INCOMPAT.filetype | INCOMPAT.meta_bg,
  readIncompat: 0,
  roCompat: RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir,
  dioProfile: { locking: 'core-locks', skipHoles: true, allocatesInHoles: false },
  hasFallocate: false,
  keepsIndex: true,
  supportsNowait: false,
};

export const ext3: FileSystemModule<typeof EXT3_FORMAT.options> = {
  id: 'ext3',
  title: 'ext3',
  help: 'Indirect blocks and a journal; direct I/O by the kernel’s fs/direct-io.c.',
  options: EXT3_FORMAT.options,
  supports: {
    write: true,
    allocate: true,
    directories: true,
    unwrittenExtents: false,
    journal: true,
  },
  probe: (kernel, device) => probeExt(member, kernel, device),
  mount: (kernel, device, directIo) => mountExt(member, kernel, device, directIo),
  format: EXT3_FORMAT.format,
};
