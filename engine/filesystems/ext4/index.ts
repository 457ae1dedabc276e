// SPDX-License-Identifier: GPL-2.0-only
/**
 * ext4: extents, checksums, flexible groups. Direct I/O as fs/ext4 had it on fs/direct-io.c until it moved to iomap in 5.5, in the
 * form of its last years (4.7 to 5.4, ext4_direct_IO_write):
 *
 * - a write that begins inside the file allocates unwritten blocks, in holes too (no DIO_SKIP_HOLES), uses unwritten ones as they are,
 *   and end_io converts what was written; that is left to the work queue where the write is asynchronous;
 * - a write that begins beyond the last block, and every write to a file by block pointers, takes written blocks (ext4_dio_get_block)
 *   and leaves holes inside the file to the page cache;
 * - reads go under the inode lock, taken by the core (DIO_LOCKING), as ext4 had them until 4.7; after that it took the lock itself,
 *   shared, which lets readers run side by side;
 * - a write beyond the end put the inode on the list of orphans first and took it off after; here an inode's record is written only
 *   when no such write is under way (commit.ts), which comes to the same without the list;
 * - revisions of direct I/O whose end_io does not learn how a write ended, or that have none, get written blocks at once, as ext4 did
 *   before 2.6.33.
 *
 * The journal is left as it was found: clean. Beyond what is listed here an image is refused by name: for any use where its geometry
 * means something else (bigalloc), for writing where features would have to be kept up (quota, project, verity).
 */
import type { FileSystemModule } from '../../vfs/index.ts';
import {
  EXT4_FORMAT,
  INCOMPAT,
  mountExt,
  probeExt,
  RO_COMPAT,
  type FamilyMember,
} from '../_ext/index.ts';

const member: FamilyMember = {
  moduleId: 'ext4',
  title: 'ext4',
  incompat:
    INCOMPAT.filetype |
    INCOMPAT.meta_bg |
    INCOMPAT.extents |
    INCOMPAT['64bit'] |
    INCOMPAT.flex_bg |
    INCOMPAT.metadata_csum_seed,
  readIncompat:
    INCOMPAT.mmp |
    INCOMPAT.ea_inode |
    INCOMPAT.large_dir |
    INCOMPAT.inline_data |
    INCOMPAT.encrypt |
    INCOMPAT.casefold,
  roCompat:
    RO_COMPAT.sparse_super |
    RO_COMPAT.large_file |
    RO_COMPAT.btree_dir |
    RO_COMPAT.huge_file |
    RO_COMPAT.uninit_bg |
    RO_COMPAT.dir_nlink |
    RO_COMPAT.extra_isize |
    RO_COMPAT.metadata_csum,
  dioProfile: { locking: 'core-locks', skipHoles: false, allocatesInHoles: true },
  hasFallocate: true,
  keepsIndex: true,
  supportsNowait: false,
};

export const ext4: FileSystemModule<typeof EXT4_FORMAT.options> = {
  id: 'ext4',
  title: 'ext4',
  help: 'Extents, unwritten ones too, and checksums; direct I/O by the kernel’s fs/direct-io.c.',
  options: EXT4_FORMAT.options,
  supports: {
    write: true,
    allocate: true,
    directories: true,
    unwrittenExtents: true,
    journal: true,
  },
  probe: (kernel, device) => probeExt(member, kernel, device),
  mount: (kernel, device, directIo) => mountExt(member, kernel, device, directIo),
  format: EXT4_FORMAT.format,
};
