// SPDX-License-Identifier: GPL-2.0-only
/** What executors ask of the host, what a module of the list brings, and how one says that the host refuses it. */
import { HostError, type Arena, type OptionSchema, type SyscallTable } from '../base/index.ts';
import type { Executor, ExecutorId, ExecutorOptions } from './contract.ts';
import type { SyscallNumbers } from './linux.ts';
import type { IoThreadLayout } from './threads/loop.ts';

/** Starts I/O threads: each runs `ioThreadLoop` with a system call table of its own until told to stop. */
export interface ThreadPort {
  /**
   * Starts `count` threads that share `control` (where `layout` says). They need no message loop of ours. Throws `HostError` where
   * the host refuses.
   */
  start(count: number, control: Arena, layout: IoThreadLayout): void;
}

export interface ExecutorHost {
  readonly syscalls: SyscallTable;
  readonly numbers: SyscallNumbers;
  /** Where the slots' buffers lie. */
  readonly data: Arena;
  /** Makes cleared memory for rings and iocbs that the kernel can reach. */
  readonly makeArena: (pageCount: number) => Arena;
  readonly threads: ThreadPort | null;
  /** What the self-test takes in place of memory of its own (3 pages) and of its far offset, where the host needs that. */
  readonly selfTest?: { readonly arena: Arena; readonly fileOffsetBytes: number };
}

/** One way of doing raw I/O. A new one is a folder and a line in index.ts. */
export interface ExecutorModule {
  readonly id: ExecutorId;
  readonly title: string;
  readonly help: string;
  readonly options: OptionSchema;
  /** Most slots it can ever have; the host may have less. */
  readonly depthMax: number;
  /** Throws `ExecutorRefusal` where the host refuses, so that the next one is tried. */
  open(host: ExecutorHost, options: ExecutorOptions): OpenedExecutor;
}
export interface OpenedExecutor {
  readonly executor: Executor;
  /** Why the depth or a capability is less than asked; empty where nothing is. */
  readonly notes: readonly string[];
}

/** The host does not have this executor: the next one is tried. */
export class ExecutorRefusal extends HostError {
  constructor(
    readonly executorId: ExecutorId,
    why: string,
  ) {
    super({ code: 'executor.refused', message: why, where: executorId, exitCode: 78 });
  }
}

/** The host failed in the middle of a run in a way that no slot can carry: an errno of the ring or the context itself. */
export function executorFailure(id: ExecutorId, call: string, errno: string): HostError {
  return new HostError({
    code: 'executor.failed',
    message: `${call} failed with ${errno}`,
    where: id,
    hint: 'Run again with another ioengine, and see the kernel log.',
    exitCode: 74,
  });
}
