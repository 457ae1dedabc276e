// SPDX-License-Identifier: GPL-2.0-only
/**
 * Raw I/O against the host, by number and not by object. No BigInt, no object and no promise per operation; what the kernel reads
 * and writes (iocbs, SQEs, CQEs, iovecs, data) lies in the arena, laid out as its own structs.
 *
 *   slot:  free --take--> queued --submit--> in flight --reap--> free      (only the reaper frees)
 *
 * An executor is a slab of `depth` slots. The caller fills a slot's columns, pushes the slot, commits, and reaps.
 */
export type ExecutorId = 'sync' | 'threads' | 'libaio' | 'io_uring';

export const RAW_KIND = { read: 0, write: 1, fsync: 2, fdatasync: 3 } as const;
/** Raw flags of an operation (RWF_*), as the kernel numbers them. */
export const RAW_FLAG = { hipri: 1, dsync: 2, sync: 4, nowait: 8 } as const;

/** Columns of the operations: index = slot, 0..depth-1. The caller writes them before `push`, the executor never changes them. */
export interface RawSlots {
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly fd: Int32Array;
  readonly fileOffsetBytes: Float64Array;
  /** One buffer: offset in the arena and length. With `vectorCount` > 0: offset of an iovec array in the arena instead. */
  readonly bufferOffset: Float64Array;
  readonly lengthBytes: Uint32Array;
  readonly vectorCount: Uint16Array;
}

export interface ExecutorCapabilities {
  readonly polled: boolean;
  readonly fixedBuffers: boolean;
  readonly fsync: boolean;
  /** Submission itself may block until the operation is done ('sync'). */
  readonly blocking: boolean;
}

export interface Executor {
  readonly id: ExecutorId;
  readonly supports: ExecutorCapabilities;
  /** Slots; at most the host's limit. */
  readonly depth: number;
  readonly slots: RawSlots;
  /** Taken from `takeSlot` and not yet reaped. */
  readonly inFlightCount: number;
  /** A free slot, or -1. */
  takeSlot(): number;
  /** Queues a filled slot; nothing reaches the host before `commit`, except that a full submit batch commits by itself. */
  push(slot: number): void;
  commit(): void;
  /**
   * Waits for at least `completionsMin` completions, `timeoutNs` at most (0: only looks; Infinity: no limit). Calls `onEnd(slot,
   * result)` for each, with bytes or minus an errno, after which the slot is free. Returns how many. Blocks the engine's own thread.
   */
  reap(
    completionsMin: number,
    timeoutNs: number,
    onEnd: (slot: number, result: number) => void,
  ): number;
  /** Asks the host to cancel what it can; completions still come through `reap`. */
  cancelAll(): void;
  /** Cancels, reaps all, then releases. */
  close(): void;
}

export interface ExecutorOptions {
  readonly depth: number;
  /** Operations handed over in one system call at most; 1 = each by itself. */
  readonly submitBatch: number;
  readonly polled: boolean;
}

/** What was asked for, what came of it, and why, step by step: shown to the person. */
export interface ExecutorChoice {
  readonly asked: ExecutorId;
  readonly got: ExecutorId;
  readonly refusals: readonly { readonly id: ExecutorId; readonly why: string }[];
  readonly depthAsked: number;
  readonly depthGot: number;
  /** Why the depth or a capability is less than asked, and what to know of the executor got. */
  readonly notes?: readonly string[];
}
