// SPDX-License-Identifier: GPL-2.0-only
/** The counters that every mounted file system has, at their start. */
import type { IoCounters } from './contract.ts';

export const newIoCounters = (): IoCounters => ({
  requests: 0,
  getBlockCalls: 0,
  bios: 0,
  bioBytes: 0,
  zeroedBlocks: 0,
  zeroedBytes: 0,
  fallbacks: 0,
  fallbackBytes: 0,
});
