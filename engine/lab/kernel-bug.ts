// SPDX-License-Identifier: GPL-2.0-only
/**
 * A run in which the modelled kernel stopped (a BUG of the chosen revision): what is said of it, and how the run is brought to its end.
 *
 *   stopped --> nothing more is submitted --> all that is in flight ends --> who sleeps? --nobody--> unmount in order
 *                                                  ^                         |     \--on anything else--> left as it is
 *                                                  '---- its lock is dropped ---- on the file's lock
 *
 * Rules: 1. The request that stopped keeps its pages and its slot: its buffer is never used again. 2. Bios that were submitted end
 * before anything is closed. 3. The lock of the file that it held is dropped once everybody else waits for it, so that they end, too;
 * a kernel would leave them there for ever. 4. The file system is unmounted only where no task can be in the middle of changing it;
 * else the image keeps its mark of being in use, and fsck has the word.
 */
import { KernelBug, type HostErrorData } from '../base/index.ts';
import type { Inode } from '../vfs/index.ts';
import type { RunKernel } from './kernel.ts';
import type { StoppedRequest } from './load.ts';
import { numberText } from './words.ts';

/** The outcome's word about it. `stopped`: the request that was being submitted, where one was. */
export function kernelBugFailure(
  bug: KernelBug,
  stopped: StoppedRequest | null,
  revision: string,
): HostErrorData {
  const site = bug.what.replace(/^BUG: /, '');
  const request = stopped === null ? 'at the end of a request in flight' : requestText(stopped);
  return {
    code: 'kernel.bug',
    message: `the kernel of revision ${revision} stopped (${site}: ${bug.why}) ${request}`,
    where: bug.what,
    hint: 'This is a fault of that revision, kept as it was: choose another one; the bug gallery shows such faults by themselves.',
    exitCode: 1,
    data: {
      what: bug.what,
      why: bug.why,
      revision,
      ...(stopped !== null && {
        job: stopped.jobName,
        op: stopped.isWrite ? 'write' : 'read',
        isAsync: stopped.isAsync,
        fileOffsetBytes: stopped.fileOffsetBytes,
        lengthBytes: stopped.lengthBytes,
        memoryOffsetBytes: stopped.memoryOffsetBytes,
      }),
    },
  };
}

function requestText(stopped: StoppedRequest): string {
  const { isWrite, isAsync, fileOffsetBytes, lengthBytes, memoryOffsetBytes, jobName } = stopped;
  const kind = `${isAsync ? 'asynchronous ' : ''}${isWrite ? 'write' : 'read'}`;
  return (
    `on the ${kind} of ${numberText(lengthBytes)} bytes at offset ${numberText(fileOffsetBytes)} of job ${jobName}, ` +
    `memory ${numberText(memoryOffsetBytes)} bytes into a page`
  );
}

/**
 * Lets what is in flight end, and all tasks that can. A request that stops the kernel again on the way is no more than another one that
 * never ends. False: `isGivenUp` said so first, and buffers may still be in use.
 */
export function endTheRest(kernel: RunKernel, inode: Inode, isGivenUp: () => boolean): boolean {
  for (;;) {
    if (!drain(kernel, isGivenUp)) return false;
    // Nobody runs and nothing is in flight: the lock belongs to a request that is gone.
    if (!inode.lock.isHeldExclusive || !waitsOnlyForLock(kernel, inode)) return true;
    inode.lock.unlockExclusive();
  }
}

function drain(kernel: RunKernel, isGivenUp: () => boolean): boolean {
  let hasGivenUp = false;
  for (;;) {
    try {
      kernel.runUntil(() => {
        hasGivenUp = isGivenUp();
        return hasGivenUp || (kernel.inFlightCount === 0 && !kernel.scheduler.hasRunnable);
      });
      return !hasGivenUp;
    } catch (error) {
      if (!(error instanceof KernelBug)) throw error;
    }
  }
}

function waitsOnlyForLock(kernel: RunKernel, inode: Inode): boolean {
  return kernel.scheduler
    .liveTasks()
    .every(({ asleepOn }) => asleepOn?.kind === 'lock' && asleepOn.label === inode.lock.label);
}
