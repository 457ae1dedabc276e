// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the lab gets of this host: `nativePorts()` for a run (or for the tools). One call for each engine thread; the arena that its
 * `makeArena` gave last is where its executors find their buffers, unless they are told another.
 */
// The global of the same name is looked up through a getter at each use.
import { performance } from 'node:perf_hooks';
import { HostError, nanoseconds, type Arena } from '../../../engine/base/index.ts';
import { openExecutor } from '../../../engine/executor/index.ts';
import type { LabPorts } from '../../../engine/lab/door.ts';
import { KeptArena, makeNativeArena } from './arena.ts';
import { filesOf, fsExecutors, thisPlatform } from './elsewhere/index.ts';
import { watchHost } from './evidence.ts';
import { imageFiles } from './image-files.ts';
import { ioThreads } from './io-threads.ts';
import { loops } from './loops.ts';
import { plainFiles } from './plain-files.ts';
import { nativeSyscalls } from './syscalls.ts';

const NS_PER_MS = 1e6;
const NS_PER_US = 1e3;

/** Monotonic nanoseconds of this process as a double: exact to less than 1 ns for a month, 50 ns a call. */
export const hostClock: LabPorts['clock'] = {
  nowNs: () => nanoseconds(performance.now() * NS_PER_MS),
};

/** Ports over the real host. On a platform without a system call table the file and executor ports are absent. */
export function nativePorts(): LabPorts {
  let lastArena: Arena | null = null;
  const kept = new KeptArena();
  const base: LabPorts = {
    clock: hostClock,
    unixMs: () => Date.now(),
    makeArena: (pageCount) => (lastArena = kept.take(pageCount) ?? makeNativeArena(pageCount)),
    releaseArena: (arena) => {
      kept.put(arena);
    },
    cpuTimes: () => {
      const { user, system } = process.cpuUsage();
      return { userNs: user * NS_PER_US, systemNs: system * NS_PER_US };
    },
  };
  const native = nativeSyscalls();
  if (native === null) {
    const platform = thisPlatform();
    if (platform === null) return base;
    const open: typeof fsExecutors = (asked, options, arena) =>
      fsExecutors(asked, options, arena ?? lastArena ?? undefined);
    return { ...base, imageFiles: filesOf(platform), executors: { open } };
  }
  return {
    ...base,
    imageFiles,
    watchHost,
    loops,
    plainFiles,
    executors: {
      open(asked, options, arena) {
        const data = arena ?? lastArena;
        if (data === null) {
          throw new HostError({
            code: 'executor.no-arena',
            message: 'an executor was asked for before an arena was made',
            where: asked,
            hint: 'Make the arena first.',
            exitCode: 78,
          });
        }
        return openExecutor(asked, options, {
          syscalls: native.table,
          numbers: native.numbers,
          data,
          makeArena: makeNativeArena,
          threads: ioThreads,
        });
      },
    },
  };
}
