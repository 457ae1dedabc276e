// SPDX-License-Identifier: GPL-2.0-only
/** engine/block: bios, the request queue and the device contract. Imports base and memory. */
export * from './bio.ts';
export * from './bio-pool.ts';
export * from './device.ts';
export * from './handed-on.ts';
export * from './limits.ts';
export * from './plug.ts';
export * from './queue.ts';
export * from './slice.ts';
export * from './sparse-store.ts';
export { SPLIT_RULE, SPLIT_RULES } from './split.ts';
