// SPDX-License-Identifier: GPL-2.0-only
/** Small memory for the structs of single system calls (statx, flock, ioctl). Used and read at once: nothing in it lasts. */
import type { Arena } from '../../../engine/base/index.ts';
import { makeNativeArena } from './arena.ts';

let arena: Arena | null = null;

/** 16 pages; the caller clears what it uses. */
export function scratch(): Arena {
  arena ??= makeNativeArena(16);
  return arena;
}

/** Reads 64 bits as a safe integer (inode and device numbers beyond 2^53 are compared as bigint elsewhere). */
export function readU64(words: Int32Array, index: number): number {
  return ((words[index + 1] as number) >>> 0) * 2 ** 32 + ((words[index] as number) >>> 0);
}
