// SPDX-License-Identifier: GPL-2.0-only
/** main/host/native: the real host for the engine. Everything that calls the operating system by number is in this folder. */
export { makeNativeArena } from './arena.ts';
export { hostFacts } from './facts.ts';
export { watchHost } from './evidence.ts';
export { allocateFile, nextDataRange, type DataRange } from './holes.ts';
export { imageFiles } from './image-files.ts';
export { usesOf } from './in-use.ts';
export { cachedBytes } from './memory-page-cache.ts';
export { privilegedTools } from './privileged.ts';
export { hostClock, nativePorts } from './ports.ts';
export { nativeSyscalls, requireSyscalls, whyNoSyscalls } from './syscalls.ts';
