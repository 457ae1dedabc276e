// SPDX-License-Identifier: GPL-2.0-only
/**
 * Programs of the machine that some tests drive, as data: what each is for and the Debian package that brings it. `npm test` names
 * what is missing from this list, `.ci/run` installs it, and test/support/tools.ts skips by it.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export const tools = [
  {
    id: 'fio',
    programs: ['fio'],
    package: 'fio',
    usedFor: 'the peer of the bench and of the fio formats',
  },
  { id: 'chromium', programs: ['chromium'], package: 'chromium', usedFor: 'end to end' },
  {
    id: 'chromedriver',
    programs: ['chromedriver'],
    package: 'chromium-driver',
    usedFor: 'end to end',
  },
  {
    id: 'e2fsprogs',
    programs: ['mke2fs', 'e2fsck', 'debugfs', 'dumpe2fs'],
    package: 'e2fsprogs',
    usedFor: 'checks of ext2 images',
  },
  {
    id: 'mount',
    programs: ['losetup', 'mount', 'umount'],
    package: 'mount',
    usedFor: 'reading our images back through the kernel',
  },
  {
    id: 'desktop-file-utils',
    programs: ['desktop-file-validate'],
    package: 'desktop-file-utils',
    usedFor: 'the desktop entry',
  },
  {
    id: 'appstream',
    programs: ['appstreamcli'],
    package: 'appstream',
    usedFor: 'the AppStream metadata',
  },
  {
    id: 'c-compiler',
    programs: ['cc'],
    package: 'gcc',
    usedFor: 'building the privileged helper',
  },
  {
    id: 'strace',
    programs: ['strace'],
    package: 'strace',
    usedFor: 'what the privileged helper calls',
  },
  {
    id: 'xfsprogs',
    programs: ['mkfs.xfs', 'xfs_db', 'xfs_repair', 'xfs_io'],
    package: 'xfsprogs',
    usedFor: 'XFS images',
  },
  {
    id: 'btrfs-progs',
    programs: ['mkfs.btrfs', 'btrfs'],
    package: 'btrfs-progs',
    usedFor: 'btrfs images',
  },
  {
    id: 'dosfstools',
    programs: ['mkfs.fat', 'fsck.fat'],
    package: 'dosfstools',
    usedFor: 'FAT images',
  },
  {
    id: 'mtools',
    programs: ['mcopy', 'mdir'],
    package: 'mtools',
    usedFor: 'reading and filling FAT images',
  },
  {
    id: 'fdisk',
    programs: ['sfdisk'],
    package: 'fdisk',
    usedFor: 'images with partitions',
  },
  {
    id: 'libxml2-utils',
    programs: ['xmllint'],
    package: 'libxml2-utils',
    usedFor: 'the polkit policy',
  },
  {
    id: 'dpkg',
    programs: ['dpkg-deb'],
    package: 'dpkg',
    usedFor: 'looking into the .deb',
  },
  {
    id: 'man-db',
    programs: ['man'],
    package: 'man-db',
    usedFor: 'the man page',
  },
];

/** Where a program lies, or null. /sbin counts: Debian keeps mke2fs and losetup there, off the PATH of a plain user. */
export function findProgram(name) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      if (folder === '' || !existsSync(path)) continue;
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue; // there, but not for us: as good as missing
    }
  }
  return null;
}

/** Rows of the table that this machine lacks. */
export const missingTools = (rows = tools) =>
  rows.filter((row) => row.programs.some((program) => findProgram(program) === null));
