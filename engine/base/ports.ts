// SPDX-License-Identifier: GPL-2.0-only
/** What the engine may ask of the outside: time, randomness, the operating system. main/ supplies real ones, tests scripted ones. */
import type { Nanoseconds } from './units.ts';

/** Monotonic; may be virtual. */
export interface Clock {
  nowNs(): Nanoseconds;
}
/** 32 uniformly distributed bits a call. */
export interface Random {
  next32(): number;
}

/**
 * User memory that the host's kernel can reach too: page aligned, at a known address that does not change.
 * `bytes` covers it all; offsets into it are what the engine calls addresses.
 */
export interface Arena {
  /** Virtual address of byte 0, a multiple of 4096. In tests without a kernel any multiple of 4096 will do. */
  readonly baseAddress: number;
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly words: Int32Array;
}

/** The one seam to the operating system, and for fault injection. Linux x86-64 and arm64 by number. */
export interface SyscallTable {
  /** The result, or minus an errno. Arguments are safe integers; addresses are `arena.baseAddress` + offset. */
  call(number: number, a: number, b: number, c: number, d: number, e: number, f: number): number;
}

/** Something that makes progress when every task sleeps: a real executor's reaper, or the model's virtual time. */
export interface CompletionSource {
  /** How many operations it owes. */
  readonly inFlightCount: number;
  /** Hands collected work to the host (one batch). Called before sleeping, and when a batch is full. */
  commit(): void;
  /** Waits for at least one completion, `timeoutNs` at most (0: only looks), delivers what is there, and says how many. */
  wait(timeoutNs: Nanoseconds): number;
}
