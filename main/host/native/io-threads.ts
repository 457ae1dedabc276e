// SPDX-License-Identifier: GPL-2.0-only
/**
 * Starts the threads of the `threads` executor: Node workers, each with a koffi call of its own. Their program is the text of
 * `ioThreadLoop`, which is why that function may use nothing outside itself. They end by themselves when the executor closes, and
 * never keep the process alive.
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { HostError, type Arena } from '../../../engine/base/index.ts';
import type { ThreadPort } from '../../../engine/executor/ports.ts';
import { ioThreadLoop } from '../../../engine/executor/threads/loop.ts';
import { SYSCALL_PARAMETERS } from './syscalls.ts';

const require = createRequire(import.meta.url);

/** Plain JavaScript: it is compiled by the thread, not by us. */
function threadProgram(): string {
  return `'use strict';
const { workerData } = require('node:worker_threads');
const koffi = require(workerData.koffiPath);
const syscall = koffi.load(null).func('syscall', 'long', workerData.parameters);
const call = (n, a, b, c, d, e, f) => {
  const result = syscall(n, a, b, c, d, e, f);
  return result === -1 ? -koffi.errno() : result;
};
(${ioThreadLoop.toString()})(workerData.buffer, workerData.layout, workerData.threadIndex, call);
`;
}

export const ioThreads: ThreadPort = {
  start(count, control: Arena, layout) {
    const program = threadProgram();
    const koffiPath = require.resolve('koffi');
    for (let threadIndex = 0; threadIndex < count; threadIndex++) {
      try {
        const worker = new Worker(program, {
          eval: true,
          name: `io-${String(threadIndex)}`,
          // The thread keeps almost nothing of its own.
          resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
          workerData: {
            koffiPath,
            parameters: SYSCALL_PARAMETERS,
            buffer: control.bytes.buffer,
            layout,
            threadIndex,
          },
        });
        // A thread that cannot run fails the executor's self-test; this says why, and keeps the process from ending with it.
        worker.on('error', (error) => {
          process.emitWarning(`I/O thread ${String(threadIndex)} ended: ${String(error)}`);
        });
        worker.unref();
      } catch (error) {
        throw new HostError({
          code: 'threads.cannot-start',
          message: `thread ${String(threadIndex)} of ${String(count)} did not start: ${String(error)}`,
          where: 'threads',
          hint: 'Lower the depth, or use another ioengine.',
          exitCode: 78,
        });
      }
    }
  },
};
