// SPDX-License-Identifier: GPL-2.0-only
/** engine/vfs: inodes, kiocbs, locks, the page cache and the generic read and write paths. Imports base, memory, block. */
export * from './contract.ts';
export * from './counters.ts';
export * from './inode-lock.ts';
export * from './bio-group.ts';
export * from './buffer-cache.ts';
export * from './file.ts';
export * from './inode.ts';
export * from './iter-copy.ts';
export * from './page-cache.ts';
export * from './read-bytes.ts';
