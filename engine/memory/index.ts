// SPDX-License-Identifier: GPL-2.0-only
/** engine/memory: page frames, user memory, iov_iter. Imports base. */
export * from './iov-iter.ts';
export * from './memory.ts';
