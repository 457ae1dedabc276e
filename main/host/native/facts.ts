// SPDX-License-Identifier: GPL-2.0-only
/**
 * What this host can do, found out by trying: the doctor's list. Nothing here is remembered and nothing stays behind; a probe that
 * fails is a fact with its reason, not an error.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { EXECUTORS, type ExecutorId } from '../../../engine/executor/index.ts';
import type { HostFact } from '../../contract/types.ts';
import { helperStart } from './helper-session.ts';
import { cachedBytes } from './memory-page-cache.ts';
import { NOT_TRIED, thisPlatform } from './elsewhere/index.ts';
import type { Platform } from './elsewhere/platforms.ts';
import { imageFiles } from './image-files.ts';
import { nativePorts } from './ports.ts';
import { nativeSyscalls, whyNoSyscalls } from './syscalls.ts';

const PROBE_BYTES = 64 * 1024;
const PROBE_DEPTH = 4;

const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Absent on this host; the facts that need it say so.
    return null;
  }
};
const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The folder, or the nearest one above it that is there: a probe makes no folders. */
function existingFolder(folder: string): string {
  let candidate = resolve(folder);
  while (!existsSync(candidate) && dirname(candidate) !== candidate) candidate = dirname(candidate);
  return candidate;
}

/** O_DIRECT in a folder, tried on a file of our own that is removed again. */
export function directFact(folder: string): HostFact {
  const base = { id: 'direct', title: 'O_DIRECT' } as const;
  const remedy = 'Keep images in a folder on ext4 or XFS on a disk (set the data folder there).';
  const path = join(existingFolder(folder), `.probe-${randomBytes(6).toString('hex')}`);
  try {
    writeFileSync(path, Buffer.alloc(PROBE_BYTES), { flag: 'wx' });
    const files = nativePorts().imageFiles ?? imageFiles;
    const image = files.open(path, { readOnly: false, direct: true });
    image.close();
    if (!image.isDirect) {
      const text = `${folder}: not direct: ${image.directRefusedWhy ?? 'no reason given'}.`;
      return { ...base, state: 'no', text, remedy };
    }
    const platform = thisPlatform();
    if (platform !== null) return { ...base, ...elsewhereDirect(platform, folder) };
    const text =
      `${folder}: direct; offset and length in multiples of ${String(image.offsetAlignBytes)} B,` +
      ` memory aligned to ${String(image.memoryAlignBytes)} B.`;
    return { ...base, state: 'yes', text, remedy: null };
  } catch (error) {
    return { ...base, state: 'no', text: `${folder}: ${reasonOf(error)}.`, remedy };
  } finally {
    rmSync(path, { force: true });
  }
}

/** What is said of direct I/O where it is asked for by other means, and nobody has tried them. */
export function elsewhereDirect(
  platform: Platform,
  folder: string,
): Pick<HostFact, 'title' | 'state' | 'text' | 'remedy'> {
  return {
    title: platform.directBy,
    state: 'partly',
    text: `${folder}: ${platform.directBy} was accepted. ${NOT_TRIED}`,
    remedy: 'Numbers to rely on come from Linux; the model and memory devices run anywhere.',
  };
}

/** How images are kept from others, and what is missing of it: on Linux loop devices, mounts and swap are looked at as well. */
export function elsewhereLocks(platform: Platform): HostFact {
  return {
    id: 'locks',
    title: 'Locks of images',
    state: 'partly',
    text: `${platform.title}: ${platform.lockBy}. Whether the system has an image attached cannot be seen. ${NOT_TRIED}`,
    remedy: 'Detach an image from the system before a run writes it.',
  };
}

const EXECUTOR_REMEDY: Readonly<Record<ExecutorId, string | null>> = {
  io_uring: 'Linux 6.6 or later with kernel.io_uring_disabled = 0; until then libaio is used.',
  libaio: 'Raise fs.aio-max-nr, or use a kernel with CONFIG_AIO; until then threads are used.',
  threads: null,
  sync: null,
};

/** Opens each executor of the list as a run would, with its self-test, and closes it again. */
function executorFacts(): HostFact[] {
  const ports = nativePorts();
  const { executors } = ports;
  return EXECUTORS.map(({ id, title }) => {
    const base = { id: `executor.${id}`, title };
    if (executors === undefined) {
      return { ...base, state: 'no', text: `${whyNoSyscalls()}.`, remedy: null };
    }
    try {
      const options = { depth: PROBE_DEPTH, submitBatch: 1, polled: false };
      const { executor, choice } = executors.open(id, options, ports.makeArena(1));
      executor.close();
      const refusal = choice.refusals.find((entry) => entry.id === id);
      if (refusal !== undefined) {
        return {
          ...base,
          state: 'no',
          text: `${refusal.why}; ${choice.got} takes its place.`,
          remedy: EXECUTOR_REMEDY[id],
        };
      }
      return {
        ...base,
        state: executor.depth < PROBE_DEPTH || thisPlatform() !== null ? 'partly' : 'yes',
        text: [
          workingText(id),
          ...(thisPlatform() === null ? [] : [NOT_TRIED]),
          ...(executor.depth < PROBE_DEPTH ? (choice.notes ?? []) : []),
        ].join(' '),
        remedy: executor.depth < PROBE_DEPTH ? EXECUTOR_REMEDY[id] : null,
      };
    } catch (error) {
      return { ...base, state: 'no', text: `${reasonOf(error)}.`, remedy: EXECUTOR_REMEDY[id] };
    }
  });
}

function workingText(id: ExecutorId): string {
  switch (id) {
    case 'io_uring':
      return `Works on Linux ${release()}, rings in our own memory.`;
    case 'libaio': {
      const max = textOf('/proc/sys/fs/aio-max-nr') ?? 'unknown';
      const used = textOf('/proc/sys/fs/aio-nr') ?? 'unknown';
      return `Works; the host has ${max} requests (fs.aio-max-nr), ${used} of them taken.`;
    }
    case 'threads':
      return `Works; one thread for each request in flight.`;
    case 'sync':
      return 'Works; each request blocks until it is done.';
  }
}

function pageCacheFact(): HostFact {
  const base = { id: 'page-cache', title: 'Page cache counting' } as const;
  return countsPageCache()
    ? { ...base, state: 'yes', text: 'cachestat tells how much of an image the host caches.', remedy: null }
    : { ...base, state: 'no', text: 'This kernel has no cachestat; growth of the cache is not shown.', remedy: 'Linux 6.5 or later.' };
} // prettier-ignore

/** Tried on our own executable: a regular file that surely exists. */
function countsPageCache(): boolean {
  const fd = openSync(process.execPath, constants.O_RDONLY);
  try {
    return cachedBytes(fd, 0, 0) !== null;
  } finally {
    closeSync(fd);
  }
}

function loopFact(): HostFact {
  const base = { id: 'loop', title: 'Loop devices' } as const;
  const remedy = 'modprobe loop; runs on image files need no loop device.';
  if (!existsSync('/dev/loop-control')) {
    return { ...base, state: 'no', text: 'There is no /dev/loop-control.', remedy };
  }
  let count = 0;
  try {
    count = readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name)).length;
    accessSync('/dev/loop-control', constants.R_OK | constants.W_OK);
  } catch {
    // Present but not ours: that is the normal case without root.
    return {
      ...base,
      state: 'partly',
      text: `The host has ${String(count)}; attaching one takes the privileged helper.`,
      remedy: 'Runs on image files need no loop device.',
    };
  }
  return { ...base, state: 'yes', text: `The host has ${String(count)}, and we may attach more.`, remedy: null };
} // prettier-ignore

/** Whether it could be started; asking it would ask the person for a password. */
function helperFact(): HostFact {
  const base = { id: 'helper', title: 'Privileged helper' } as const;
  const start = helperStart();
  if ('missingWhy' in start) {
    const text = `Not here: ${start.missingWhy}. Only loop devices, verification mounts and kernel traces take it.`;
    return { ...base, state: 'no', text, remedy: start.remedy };
  }
  const text = `${[start.command, ...start.words].join(' ')}: loop devices, verification mounts and kernel traces.`;
  return { ...base, state: 'yes', text, remedy: null };
}

/** Without importing electron: its package would try to fetch the runtime. */
export function electronFact(): HostFact {
  const base = { id: 'electron', title: 'Electron runtime' } as const;
  const running = process.versions['electron'];
  if (running !== undefined) {
    return { ...base, state: 'yes', text: `Running in Electron ${running}.`, remedy: null };
  }
  const remedy = 'npm start fetches it where the network allows; the browser face needs none.';
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch {
    // Installed without the packages for development.
    return { ...base, state: 'no', text: 'The electron package is not installed.', remedy };
  }
  const dist = process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? join(folder, 'dist');
  const program = textOf(join(folder, 'path.txt')) ?? 'electron';
  return existsSync(join(dist, program))
    ? { ...base, state: 'yes', text: `The runtime is in ${dist}.`, remedy: null }
    : { ...base, state: 'no', text: 'The package is installed, its runtime is not.', remedy };
}

/** All facts, for images that would lie in `dataFolder`. Takes about a second (it starts threads). */
export function hostFacts(dataFolder: string): HostFact[] {
  const isLinux = nativeSyscalls() !== null;
  const cpu = cpus()[0]?.model ?? 'unknown';
  return [
    {
      id: 'kernel',
      title: 'Kernel',
      state: isLinux ? 'yes' : 'partly',
      text: isLinux ? `Linux ${release()} on ${arch()}.` : `${platform()} ${release()}: ${whyNoSyscalls()}.`,
      remedy: isLinux ? null : 'Use Linux for real disks; the model and memory devices run anywhere.',
    },
    { id: 'cpu', title: 'Processors', state: 'yes', text: `${String(availableParallelism())} of ${cpu}.`, remedy: null },
    directFact(dataFolder),
    ...executorFacts(),
    pageCacheFact(),
    loopFact(),
    helperFact(),
    electronFact(),
    ...[thisPlatform()].flatMap((other) => (other === null ? [] : [elsewhereLocks(other)])),
  ];
} // prettier-ignore
