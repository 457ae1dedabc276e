// SPDX-License-Identifier: GPL-2.0-only
/** engine/block: bios, the request queue and the device contract. Imports base and memory. */
export * from './bio.ts';
export * from './device.ts';
