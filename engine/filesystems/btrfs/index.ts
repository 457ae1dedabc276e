// SPDX-License-Identifier: GPL-2.0-only
/**
 * btrfs, for reading: one device, chunks that are single or DUP, all subvolumes. Regular and preallocated extents are mapped; inline
 * and compressed ones are shown as what they are, without a place of their own.
 *
 * The kernel's btrfs never went through fs/direct-io.c alone: it submits its own bios behind its own mapping, and falls back to the page
 * cache where the request is not aligned to blocks (file.ts). What is shown here is the map and the bios of that read.
 */
import type { FileSystemModule } from '../../vfs/index.ts';
import { mountBtrfs, probeBtrfs } from './mount.ts';

export const btrfs: FileSystemModule<Record<string, never>> = {
  id: 'btrfs',
  title: 'btrfs',
  help: 'Copy-on-write trees, subvolumes and snapshots; can be browsed, mapped and read, not written.',
  options: {},
  supports: {
    write: false,
    allocate: false,
    directories: true,
    unwrittenExtents: true,
    journal: false,
  },
  probe: probeBtrfs,
  mount: mountBtrfs,
};
