// SPDX-License-Identifier: GPL-2.0-only
/** engine/dio: the port of fs/direct-io.c. Imports base, memory, block, vfs. */
export * from './revision.ts';
export * from './revisions/index.ts';
export { resolveRevision } from './revisions/resolve.ts';
export * from './run.ts';
export { DioPool } from './state.ts';
export type { DioTraits } from './traits.ts';
