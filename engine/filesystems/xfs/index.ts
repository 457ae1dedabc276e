// SPDX-License-Identifier: GPL-2.0-only
/**
 * XFS, versions 4 and 5: browsed, read and mapped, never written. What mkfs.xfs makes by default is opened, with reverse maps, sparse
 * inodes and sectors of 512 or 4096 bytes; external logs, realtime devices, blocks larger than a page and unknown features are refused
 * by name (superblock.ts), a log that needs a replay with the way out (mount.ts).
 */
import type { FileSystemModule } from '../../vfs/index.ts';
import { mountXfs, probeXfs } from './mount.ts';

export const xfs: FileSystemModule<Record<string, never>> = {
  id: 'xfs',
  title: 'XFS',
  help: 'Extent lists and B+trees; mapped and read, not written.',
  options: {},
  supports: {
    write: false,
    allocate: false,
    directories: true,
    unwrittenExtents: true,
    journal: false,
  },
  probe: probeXfs,
  mount: mountXfs,
};
