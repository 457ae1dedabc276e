// SPDX-License-Identifier: GPL-2.0-only
/**
 * ext2: indirect blocks, no journal. Direct I/O as fs/ext2 did until it moved to iomap: blockdev_direct_IO, that is the core takes the
 * inode lock for reads (DIO_LOCKING) and leaves holes inside the file to the page cache (DIO_SKIP_HOLES).
 */
import type { FileSystemModule } from '../../vfs/index.ts';
import {
  EXT2_FORMAT,
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
  readIncompat: 0,
  roCompat: RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir,
  dioProfile: { locking: 'core-locks', skipHoles: true, allocatesInHoles: false },
  hasFallocate: false,
  keepsIndex: false,
  supportsNowait: false,
};

export const ext2: FileSystemModule<typeof EXT2_FORMAT.options> = {
  id: 'ext2',
  title: 'ext2',
  help: 'Indirect blocks, no journal; direct I/O by the kernel’s fs/direct-io.c.',
  options: EXT2_FORMAT.options,
  supports: {
    write: true,
    allocate: true,
    directories: true,
    unwrittenExtents: false,
    journal: false,
  },
  probe: (kernel, device) => probeExt(member, kernel, device),
  mount: (kernel, device, directIo) => mountExt(member, kernel, device, directIo),
  format: EXT2_FORMAT.format,
};
