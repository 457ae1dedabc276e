// SPDX-License-Identifier: GPL-2.0-only
/**
 * FAT12, FAT16 and FAT32 with long names. Direct I/O as fs/fat does: blockdev_direct_IO on blocks of one sector, mapped cluster by
 * cluster; a write that ends beyond what is allocated goes through the page cache, and a gap before it is filled with zeros.
 */
import type { OptionSchema } from '../../base/index.ts';
import type { FileSystemModule } from '../../vfs/index.ts';
import { formatFat } from './format.ts';
import { mountFat, probeFat } from './mount.ts';

const options = {
  fatBits: {
    type: 'choice',
    title: 'FAT bits',
    help: 'Bits of an entry of the file allocation table. auto: as the size suggests.',
    choices: ['auto', '12', '16', '32'],
    default: 'auto',
  },
  clusterSize: {
    type: 'choice',
    title: 'Cluster size',
    help: 'Bytes that are allocated at once. auto: as the size suggests.',
    choices: ['auto', '512', '1024', '2048', '4096', '8192', '16384', '32768', '65536'],
    default: 'auto',
  },
  sectorSize: {
    type: 'choice',
    title: 'Sector size',
    help: 'Bytes a sector, at least the device’s own. Maps count in sectors.',
    choices: ['512', '1024', '2048', '4096'],
    default: '512',
  },
  fatCount: {
    type: 'quantity',
    title: 'Copies of the FAT',
    help: 'All are kept equal.',
    unit: 'copies',
    default: 2,
    min: 1,
    max: 2,
  },
  rootEntries: {
    type: 'quantity',
    title: 'Root entries',
    help: 'Entries of the fixed root directory of FAT12 and FAT16; a long name takes several.',
    unit: 'entries',
    default: 512,
    min: 16,
    max: 16384,
  },
  reservedSectors: {
    type: 'quantity',
    title: 'Reserved sectors',
    help: 'Sectors before the first FAT. 0: 1, or 32 for FAT32.',
    unit: 'sectors',
    default: 0,
    min: 0,
    max: 65535,
  },
} as const satisfies OptionSchema;

export const fat: FileSystemModule<typeof options> = {
  id: 'fat',
  title: 'FAT',
  help: 'FAT12, FAT16 and FAT32 with long names; no holes, and extending writes go through the page cache.',
  options,
  supports: {
    write: true,
    allocate: true,
    directories: true,
    unwrittenExtents: false,
    journal: false,
    holes: false,
  },
  probe: (kernel, device) => probeFat(kernel, device),
  mount: (kernel, device, directIo) => mountFat(kernel, device, directIo),
  format: (kernel, device, chosen) =>
    formatFat(kernel, device, {
      fatBits: chosen.fatBits === 'auto' ? 0 : (Number(chosen.fatBits) as 12 | 16 | 32),
      clusterBytes: chosen.clusterSize === 'auto' ? 0 : Number(chosen.clusterSize),
      sectorBytes: Number(chosen.sectorSize),
      fatCount: chosen.fatCount,
      rootEntries: chosen.rootEntries,
      reservedSectors: chosen.reservedSectors,
      label: '',
    }),
};
