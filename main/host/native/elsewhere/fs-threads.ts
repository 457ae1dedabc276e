// SPDX-License-Identifier: GPL-2.0-only
/** I/O threads over Node's file functions: as io-threads.ts, with `makeFsCall` in place of the system call. */
import { Worker } from 'node:worker_threads';
import { ERRNO, HostError, type Arena } from '../../../../engine/base/index.ts';
import type { ThreadPort } from '../../../../engine/executor/ports.ts';
import { ioThreadLoop } from '../../../../engine/executor/threads/loop.ts';
import { makeFsCall } from './fs-calls.ts';

/** Plain JavaScript: it is compiled by the thread, not by us. Descriptors are the process's, so every thread may use them. */
function threadProgram(): string {
  return `'use strict';
const files = require('node:fs');
const { workerData } = require('node:worker_threads');
const { regions, layout, errnos, buffer, threadIndex } = workerData;
const call = (${makeFsCall.toString()})(files, regions, layout.numbers, errnos, null);
(${ioThreadLoop.toString()})(buffer, layout, threadIndex, call);
`;
}

/** Threads that reach what `regions` has when they start, and their own control words. */
export function fsThreads(known: readonly Arena[]): ThreadPort {
  return {
    start(count, control, layout) {
      const program = threadProgram();
      const regions = [...known, control].map(({ baseAddress, bytes }) => ({ baseAddress, bytes }));
      for (let threadIndex = 0; threadIndex < count; threadIndex++) {
        try {
          const worker = new Worker(program, {
            eval: true,
            name: `io-${String(threadIndex)}`,
            workerData: {
              regions,
              layout,
              errnos: { ...ERRNO },
              buffer: control.bytes.buffer,
              threadIndex,
            },
          });
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
}
