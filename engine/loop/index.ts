// SPDX-License-Identifier: GPL-2.0-only
/** engine/loop: the loop driver inside the engine. Imports base, memory, block, vfs. */
export * from './counters.ts';
export * from './device.ts';
export { segmentsOf } from './transfer.ts';
