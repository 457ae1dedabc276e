// SPDX-License-Identifier: GPL-2.0-only
/**
 * File and executor ports for macOS and Windows, behind the same contracts as on Linux. Never chosen on Linux. Executors there are
 * `threads` and `sync`; io_uring and libaio refuse with ENOSYS, and their place is taken as always.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { ERRNO, PAGE_BYTES, type Arena } from '../../../../engine/base/index.ts';
import type { ExecutorPort, ImageFilePort } from '../../../../engine/devices/contract.ts';
import { openExecutor } from '../../../../engine/executor/index.ts';
import { makeNativeArena } from '../arena.ts';
import { FS_NUMBERS, makeFsCall, type Region } from './fs-calls.ts';
import { fsThreads } from './fs-threads.ts';
import { elsewhereImageFiles } from './image-files.ts';
import { platformOf, realCalls, type Platform } from './platforms.ts';

/** What the doctor says of whatever has not been run on its platform. */
export const NOT_TRIED = 'Not tried on this platform.';

/** The platform of this process, or null where Linux's way or nothing is taken. */
export const thisPlatform = (): Platform | null => platformOf(process.platform);

/** An open file without a name: it goes with its descriptor, or, where an open file cannot be removed, is removed at the end. */
function openScratch(): number {
  const path = join(tmpdir(), `diolab-test-${randomBytes(6).toString('hex')}`);
  const fd = fs.openSync(path, 'wx+', 0o600);
  fs.rmSync(path, { force: true });
  return fd;
}

/** Executors over Node's file functions. Their data arena is known at `open`. */
export const fsExecutors: ExecutorPort['open'] = (asked, options, arena) => {
  if (arena === undefined) throw new Error('executors elsewhere need their arena');
  // The test's memory is made before any thread starts: a thread knows what was there by then.
  const test = makeNativeArena(3);
  const regions: Region[] = [arena, test];
  const makeArena = (pageCount: number): Arena => {
    const made = makeNativeArena(pageCount);
    regions.push(made);
    return made;
  };
  return openExecutor(asked, options, {
    syscalls: { call: makeFsCall(fs, regions, FS_NUMBERS, ERRNO, openScratch) },
    numbers: FS_NUMBERS,
    data: arena,
    makeArena,
    threads: fsThreads([arena, test]),
    // A file system without holes would have to write 4 GiB to get as far as on Linux.
    selfTest: { arena: test, fileOffsetBytes: PAGE_BYTES },
  });
};

export const filesOf = (platform: Platform): ImageFilePort =>
  elsewhereImageFiles(platform, fs, realCalls(koffi));
