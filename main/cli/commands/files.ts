// SPDX-License-Identifier: GPL-2.0-only
/** cat, put, get: the content of files inside an image, streamed in pieces. */
import { createReadStream, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import { EXIT } from '../errors.ts';
import type { Terminal } from '../terminal.ts';

const PIECE_BYTES = 1024 * 1024;

export async function cat(terminal: Terminal, image: string, path: string): Promise<number> {
  const session = await terminal.session();
  await session.readFile(resolve(image), path, async (bytes) => {
    terminal.signal.throwIfAborted();
    await terminal.out(bytes);
  });
  return EXIT.ok;
}

/** What `put` reads: a regular file or standard input. */
function contentOf(local: string): AsyncIterable<Uint8Array> {
  if (local === '-') return process.stdin as AsyncIterable<Uint8Array>;
  const found = statSync(local, { throwIfNoEntry: false });
  if (found?.isFile() !== true) {
    throw new HostError({
      code: 'input.not-a-file',
      message: found === undefined ? `There is no file ${local}` : `${local} is not a regular file`,
      where: local,
      hint: 'Name a regular file of this machine, or - for standard input.',
      exitCode: EXIT.noInput,
    });
  }
  return createReadStream(local, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Uint8Array>;
}

/** The same content, ended by an error once the signal is aborted: a half-written file is then undone. */
async function* untilAborted(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    signal.throwIfAborted();
    yield piece;
  }
}

export async function put(
  terminal: Terminal,
  image: string,
  local: string,
  path: string,
  options: { readonly consent: boolean },
): Promise<number> {
  const content = untilAborted(contentOf(local), terminal.signal);
  const session = await terminal.session();
  await session.writeFile(resolve(image), path, content, options.consent);
  return EXIT.ok;
}

export async function get(
  terminal: Terminal,
  image: string,
  path: string,
  local: string,
  options: { readonly force: boolean },
): Promise<number> {
  if (local === '-') return cat(terminal, image, path);
  const found = statSync(local, { throwIfNoEntry: false });
  if (found !== undefined && (!options.force || !found.isFile())) {
    throw new HostError({
      code: 'output.exists',
      message: `${local} exists already`,
      where: local,
      hint: 'Choose another name, or replace a regular file with --force.',
      exitCode: EXIT.cannotCreate,
    });
  }
  const session = await terminal.session();
  const half = join(dirname(local), `.${basename(local)}.${String(process.pid)}.part`);
  const handle = await open(half, 'wx').catch((error: NodeJS.ErrnoException) => {
    throw new HostError({
      code: 'output.cannot-create',
      message: `${local} cannot be made: ${error.code ?? error.message}`,
      where: local,
      hint: 'Choose a folder that exists and may be written to.',
      exitCode: EXIT.cannotCreate,
    });
  });
  try {
    const write = async (bytes: Uint8Array): Promise<void> => {
      terminal.signal.throwIfAborted();
      await handle.writeFile(bytes);
    };
    await session.readFile(resolve(image), path, write);
    await handle.close();
    await rename(half, local);
  } catch (error) {
    await handle.close().catch(() => undefined); // closed already where the rename failed
    await rm(half, { force: true });
    throw error;
  }
  return EXIT.ok;
}
