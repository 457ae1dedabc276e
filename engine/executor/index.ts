// SPDX-License-Identifier: GPL-2.0-only
/**
 * Raw I/O against the host. `EXECUTORS` is the list; `openExecutor` opens what was asked for, or what comes next where the host
 * refuses it: io_uring, libaio, threads, sync. Nothing is replaced silently: `ExecutorChoice` says what was refused and why.
 */
import { HostError } from '../base/index.ts';
import type { Executor, ExecutorChoice, ExecutorId, ExecutorOptions } from './contract.ts';
import { ioUringExecutor } from './io-uring/index.ts';
import { libaioExecutor } from './libaio/index.ts';
import { ExecutorRefusal, type ExecutorHost, type ExecutorModule } from './ports.ts';
import { selfTest } from './self-test.ts';
import { syncExecutor } from './sync/index.ts';
import { threadsExecutor } from './threads/index.ts';

export * from './contract.ts';
export { syscallNumbers, type SyscallNumbers } from './linux.ts';
export {
  ExecutorRefusal,
  type ExecutorHost,
  type ExecutorModule,
  type ThreadPort,
} from './ports.ts';
export { ioThreadLoop, type IoThreadLayout } from './threads/loop.ts';

/** In the order of falling back: from any of them to those behind it. */
export const EXECUTORS: readonly ExecutorModule[] = [
  ioUringExecutor,
  libaioExecutor,
  threadsExecutor,
  syncExecutor,
];

/** Rules of `ExecutorOptions`: throws `HostError` for a depth or a batch that is not a positive integer. */
function checkOptions(options: ExecutorOptions): void {
  for (const [name, value] of [
    ['depth', options.depth],
    ['submitBatch', options.submitBatch],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new HostError({
      code: 'executor.bad-options',
      message: `${name} is ${String(value)}`,
      where: name,
      hint: `${name} is a whole number of at least 1.`,
      exitCode: 65,
    });
  }
}

/** Opens one module and puts the known I/O through it. Throws `ExecutorRefusal`. */
function openTested(
  module: ExecutorModule,
  host: ExecutorHost,
  options: ExecutorOptions,
  notes: string[],
): Executor {
  const depth = Math.min(options.depth, module.depthMax);
  const submitBatch = Math.min(options.submitBatch, depth);
  // A polled ring only takes files that can be polled, which a memory file cannot: an ordinary one is tried in its place.
  if (options.polled) {
    const trial = module.open(host, { depth: 1, submitBatch: 1, polled: false });
    closeAfterTest(module, host, trial.executor, true);
  }
  const opened = module.open(host, { depth, submitBatch, polled: options.polled });
  if (!options.polled) closeAfterTest(module, host, opened.executor, false);
  if (depth < options.depth) {
    notes.push(
      `${module.id} has at most ${String(depth)} slots, ${String(options.depth)} were asked for.`,
    );
  }
  notes.push(...opened.notes);
  return opened.executor;
}

/** Closes the executor where the test fails, and where it was opened for the test only. */
function closeAfterTest(
  module: ExecutorModule,
  host: ExecutorHost,
  executor: Executor,
  forTestOnly: boolean,
): void {
  const problem = selfTest(host, executor);
  // Closing waits for what is in flight; after a lost completion that would be for ever, and the ring is left to the process's end.
  if ((problem !== null || forTestOnly) && executor.inFlightCount === 0) executor.close();
  if (problem !== null) throw new ExecutorRefusal(module.id, problem);
}

/**
 * Opens `asked`, or the first behind it in `EXECUTORS` that the host does not refuse. Throws `HostError` where all are refused or the
 * options make no sense.
 */
export function openExecutor(
  asked: ExecutorId,
  options: ExecutorOptions,
  host: ExecutorHost,
): { readonly executor: Executor; readonly choice: ExecutorChoice } {
  checkOptions(options);
  const refusals: { id: ExecutorId; why: string }[] = [];
  const notes: string[] = [];
  for (const module of EXECUTORS.slice(EXECUTORS.findIndex(({ id }) => id === asked))) {
    try {
      const executor = openTested(module, host, options, notes);
      const { depth } = executor;
      return {
        executor,
        choice: {
          asked,
          got: executor.id,
          refusals,
          depthAsked: options.depth,
          depthGot: depth,
          notes,
        },
      };
    } catch (error) {
      if (!(error instanceof ExecutorRefusal)) throw error;
      refusals.push({ id: module.id, why: error.message });
    }
  }
  throw new HostError({
    code: 'executor.none',
    message: refusals.map(({ id, why }) => `${id}: ${why}`).join('; '),
    where: asked,
    hint: 'diolab doctor lists what this host can do.',
    exitCode: 78,
  });
}
