// SPDX-License-Identifier: GPL-2.0-only
/** The file systems of the trust suites: one line each. contract.ts says what an adapter brings. */
import type { TrustAdapter } from './contract.ts';
import { ext2, ext3, ext4 } from './ext.ts';
import { xfs } from './xfs.ts';
import { fat } from './fat.ts';
import { btrfs } from './btrfs.ts';

export type * from './contract.ts';

export const ADAPTERS: readonly TrustAdapter[] = [ext2, ext3, ext4, xfs, fat, btrfs];
