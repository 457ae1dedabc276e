// SPDX-License-Identifier: GPL-2.0-only
/** cat, put, get: files and folders in and out of an image, streamed in pieces. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { TransferEvent } from '../../contract/workbench.ts';
import { EXIT } from '../errors.ts';
import { placeOf, type PlaceOptions } from '../place.ts';
import { TransferLine } from '../progress.ts';
import { line, type Terminal } from '../terminal.ts';

export async function cat(
  terminal: Terminal,
  image: string,
  path: string,
  options: PlaceOptions = {},
): Promise<number> {
  const session = await terminal.session();
  const { path: imagePath, partition } = placeOf(image, options);
  const write = async (bytes: Uint8Array): Promise<void> => {
    terminal.signal.throwIfAborted();
    await terminal.out(bytes);
  };
  await session.readFile(imagePath, path, write, partition);
  return EXIT.ok;
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

/** Shows how a transfer goes on, and tells what it left out. */
async function follow(
  terminal: Terminal,
  events: AsyncIterable<TransferEvent>,
): Promise<TransferEvent & { readonly kind: 'done' }> {
  const bar = new TransferLine(terminal);
  try {
    for await (const event of events) {
      terminal.signal.throwIfAborted();
      if (event.kind === 'progress') bar.show(event);
      else {
        bar.end();
        for (const note of event.notes ?? []) terminal.error(line(`diolab: ${note}`));
        return event;
      }
    }
  } finally {
    bar.end();
  }
  throw new HostError({
    code: 'transfer.no-end',
    message: 'The copy ended without a word',
    exitCode: EXIT.software,
  });
}

type CopyOptions = PlaceOptions & { readonly json?: boolean };

async function tell(
  terminal: Terminal,
  options: CopyOptions,
  done: { readonly files: number; readonly bytes: number },
): Promise<number> {
  const { files, bytes } = done;
  if (options.json === true) await terminal.out(line(JSON.stringify({ files, bytes })));
  return EXIT.ok;
}

/** A file or a folder of this machine. */
function checkLocal(local: string): void {
  const found = statSync(local, { throwIfNoEntry: false });
  if (found?.isFile() === true || found?.isDirectory() === true) return;
  throw new HostError({
    code: 'input.not-a-file',
    message:
      found === undefined
        ? `There is no file ${local}`
        : `${local} is neither a regular file nor a folder`,
    where: local,
    hint: 'Name a regular file or a folder of this machine, or - for standard input.',
    exitCode: EXIT.noInput,
  });
}

export async function put(
  terminal: Terminal,
  image: string,
  local: string,
  path: string,
  options: CopyOptions & { readonly consent: boolean },
): Promise<number> {
  const { consent } = options;
  const place = placeOf(image, options);
  if (local === '-') {
    const content = untilAborted(process.stdin as AsyncIterable<Uint8Array>, terminal.signal);
    const session = await terminal.session();
    await session.writeFile(place.path, path, content, consent, place.partition);
    return EXIT.ok;
  }
  checkLocal(local);
  const { client } = await terminal.session();
  const ask = { ...place, hostPath: resolve(local), file: path, consent };
  const events = await client.images.putFromHost(ask, { signal: terminal.signal });
  return tell(terminal, options, await follow(terminal, events));
}

export async function get(
  terminal: Terminal,
  image: string,
  path: string,
  local: string,
  options: CopyOptions & { readonly force: boolean },
): Promise<number> {
  if (local === '-') return cat(terminal, image, path, options);
  const { client } = await terminal.session();
  const ask = {
    ...placeOf(image, options),
    file: path,
    hostPath: resolve(local),
    replace: options.force,
  };
  const events = await client.images.getToHost(ask, { signal: terminal.signal });
  return tell(terminal, options, await follow(terminal, events));
}
