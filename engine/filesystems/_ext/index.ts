// SPDX-License-Identifier: GPL-2.0-only
/** What the ext file systems share: layout, checks, block map, allocation, directories, commit, format. */
export type { FamilyMember } from './family.ts';
export { ExtFileSystem } from './file-system.ts';
export { EXT2_FORMAT, EXT3_FORMAT, EXT4_FORMAT } from './format-options.ts';
export { INCOMPAT, RO_COMPAT } from './layout.ts';
export { mountExt, probeExt } from './mount.ts';
