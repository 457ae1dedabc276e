// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files that are there whole or not at all, also after a power cut: a temporary file in the same folder, fsync, rename, fsync of the
 * folder. And who owns what: a process by its id, its start time and the boot, so that a reused id is not mistaken for it.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';

/** What a failed file operation means, in words. */
const WORDS: Readonly<Record<string, { code: string; words: string; exitCode: number }>> = {
  ENOSPC: { code: 'host.no-space', words: 'no space is left', exitCode: 73 },
  EDQUOT: { code: 'host.no-space', words: 'the quota is used up', exitCode: 73 },
  EACCES: { code: 'host.permission', words: 'permission is denied', exitCode: 77 },
  EPERM: { code: 'host.permission', words: 'the operation is not permitted', exitCode: 77 },
  EROFS: { code: 'host.read-only', words: 'the file system is read-only', exitCode: 73 },
  ENOENT: { code: 'host.not-found', words: 'it does not exist', exitCode: 66 },
  ENOTDIR: { code: 'host.not-found', words: 'a part of the path is not a folder', exitCode: 66 },
  EEXIST: { code: 'host.exists', words: 'it exists already', exitCode: 73 },
  EFBIG: {
    code: 'host.too-big',
    words: 'the file system does not allow a file of this size',
    exitCode: 73,
  },
  EIO: { code: 'host.io', words: 'the host reports an I/O error', exitCode: 74 },
  EMFILE: { code: 'host.too-many-files', words: 'too many files are open', exitCode: 74 },
};

/** A Node file error as a `HostError`; anything else is given back as it is. `doing`: 'make the image'. */
export function fileError(error: unknown, doing: string, where: string): unknown {
  const errno = (error as { code?: unknown } | null)?.code;
  if (!(error instanceof Error) || error instanceof HostError || typeof errno !== 'string')
    return error;
  const known = WORDS[errno];
  return new HostError({
    code: known?.code ?? 'host.file',
    message: `Cannot ${doing}: ${known?.words ?? error.message} (${errno})`,
    where,
    exitCode: known?.exitCode ?? 74,
    data: { errno },
  });
}

/** fsync of a folder: makes a rename or a removal in it last. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** fsync of a file that another writer closed. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );

/**
 * Makes the folder and what is above it, and makes them last. Not by mkdir's own `recursive`: that never ends where a file system
 * answers ENOENT inside a folder that exists (/proc).
 */
export async function makeFolder(folder: string): Promise<void> {
  if (await isFolder(folder)) return;
  const above = dirname(folder);
  if (above !== folder) await makeFolder(above);
  try {
    await mkdir(folder);
    await syncFolder(above);
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (await isFolder(folder)) return;
    throw fileError(error, 'make the folder', folder);
  }
}

/** A name beside `path` that nobody else uses. */
export const temporaryName = (path: string): string =>
  join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);

/** Writes JSON whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(`${JSON.stringify(value)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(error, 'write the file', path);
  }
}

/** The JSON of a file; null where there is none. A file that is no JSON is an error: none of ours is ever half written. */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(error, 'read the file', path);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new HostError({
      code: 'store.damaged',
      message: 'A file of the lab is damaged: it holds no JSON',
      where: path,
      hint: 'It was changed from outside. Remove the folder it lies in to go on without it.',
      exitCode: 65,
    });
  }
}

export interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: start of the process in clock ticks since boot. */
  readonly startTicks: number;
  readonly bootId: string;
}

let bootId: string | null = null;
function thisBoot(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return bootId;
}

/** Start of a process, or null where it is gone (a zombie is gone too). */
function startTicksOf(pid: number): number | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  } catch {
    return null; // no such process
  }
  // The name in parentheses may hold anything; fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : Number(fields[19]);
}

export function thisProcess(): Owner {
  return { pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0, bootId: thisBoot() };
}

export function isAlive(owner: Owner): boolean {
  return owner.bootId === thisBoot() && startTicksOf(owner.pid) === owner.startTicks;
}
