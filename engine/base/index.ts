// SPDX-License-Identifier: GPL-2.0-only
/** engine/base: what every other layer may use. Imports nothing. */
export * from './assert.ts';
export * from './errno.ts';
export * from './host-error.ts';
export * from './options.ts';
export * from './ports.ts';
export * from './random.ts';
export * from './task.ts';
export * from './trace.ts';
export * from './units.ts';
export * from './virtual-clock.ts';
