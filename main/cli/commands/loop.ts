// SPDX-License-Identifier: GPL-2.0-only
/** loop attach, detach, list, clean: loop devices that diolabs keep. */
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import { hostErrorOf } from '../../contract/client.ts';
import type { Leftover, LoopDeviceInfo } from '../../contract/grounds.ts';
import { EXIT } from '../errors.ts';
import type { LoopAttachOptions } from '../ground-commands.ts';
import type { JsonOptions } from '../place.ts';
import { bytesText } from '../quantities.ts';
import { line, type Terminal } from '../terminal.ts';

type SectorBytes = 512 | 1024 | 2048 | 4096;

/** '/dev/loop3: 64 MiB, sectors of 4096 bytes, direct I/O, over /home/me/disk.img' */
function deviceText(info: LoopDeviceInfo): string {
  const parts = [
    bytesText(info.sizeBytes),
    `sectors of ${String(info.sectorBytes)} bytes`,
    info.hasDirectIo ? 'direct I/O' : 'through the page cache',
    ...(info.isReadOnly ? ['read-only'] : []),
    `over ${info.imagePath}`,
  ];
  return `${info.device}: ${parts.join(', ')}`;
}

function ownerText({ owner, pid }: LoopDeviceInfo): string {
  if (owner === 'leftover') return 'left behind: the kernel clears it with its last user';
  return `kept by process ${String(pid)}`;
}

/** Attaches, and stays until Ctrl+C or until the device is gone. */
export async function loopAttach(
  terminal: Terminal,
  image: string,
  options: LoopAttachOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { directIo, readOnly } = options;
  const sectorBytes = Number(options.sectorSize) as SectorBytes;
  const info = await client.loops.attach({ path: resolve(image), sectorBytes, directIo, readOnly });
  await terminal.out(line(options.json ? JSON.stringify(info) : deviceText(info)));
  terminal.error(
    line(`It stays until Ctrl+C, or until diolab loop detach ${info.device} is run elsewhere.`),
  );
  const { signal } = terminal;
  try {
    for await (const list of await client.loops.watch(undefined, { signal })) {
      if (!list.some(({ device, owner }) => device === info.device && owner === 'here')) {
        terminal.error(line(`${info.device} was detached.`));
        return EXIT.ok;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  // Ctrl+C is how this command is meant to end. A device in use is told, and goes with its last user.
  try {
    await client.loops.detach({ device: info.device });
  } catch (error) {
    // Ctrl+C reaches the helper too, which may have let it go before us.
    if (hostErrorOf(error).code !== 'loop.not-ours') throw error;
  }
  terminal.error(line(`${info.device} was detached.`));
  return EXIT.ok;
}

/** The device of the command line: named, or found by the image behind it. */
function deviceOf(word: string, list: readonly LoopDeviceInfo[]): string {
  if (/^\/dev\/loop\d{1,4}$/.test(word)) return word;
  const path = resolve(word);
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // An image that is gone may still be behind a device, by the name it had.
  }
  const found = list.find(({ imagePath }) => imagePath === path || imagePath === real);
  if (found !== undefined) return found.device;
  throw new HostError({
    code: 'loop.not-attached',
    message: `No diolab keeps ${word} on a loop device`,
    where: word,
    hint: 'diolab loop list shows those that are kept.',
    exitCode: EXIT.noInput,
  });
}

export async function loopDetach(
  terminal: Terminal,
  word: string,
  { json }: JsonOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const device = deviceOf(word, await client.loops.list());
  const { detached } = await client.loops.detach({ device });
  if (json) await terminal.out(line(JSON.stringify({ device, detached })));
  else if (detached) await terminal.out(line(`${device} was detached.`));
  else terminal.error(line(`${device} was not detached: the diolab that kept it ended.`));
  return detached ? EXIT.ok : EXIT.io;
}

const leftoverText = ({ path, sizeBytes, text }: Leftover): string =>
  `${path} (${bytesText(sizeBytes)}): ${text}`;

export async function loopList(terminal: Terminal, { json }: JsonOptions): Promise<number> {
  const { client } = await terminal.session();
  const [devices, leftovers] = [await client.loops.list(), await client.loops.leftovers()];
  if (json) {
    await terminal.out(line(JSON.stringify({ devices, leftovers }, null, 2)));
    return EXIT.ok;
  }
  for (const info of devices) {
    await terminal.out(line(`${deviceText(info)}; ${ownerText(info)}`));
  }
  if (devices.length === 0) terminal.error(line('No diolab keeps a loop device.'));
  for (const leftover of leftovers) await terminal.out(line(`Left: ${leftoverText(leftover)}`));
  if (leftovers.length > 0) terminal.error(line('diolab loop clean removes what was left.'));
  return EXIT.ok;
}

export async function loopClean(terminal: Terminal, { json }: JsonOptions): Promise<number> {
  const { client } = await terminal.session();
  const removed: string[] = [];
  for (const { path } of await client.loops.leftovers()) {
    await client.loops.removeLeftover({ path });
    removed.push(path);
    if (!json) await terminal.out(line(`Removed ${path}`));
  }
  if (json) await terminal.out(line(JSON.stringify({ removed })));
  else if (removed.length === 0) terminal.error(line('Nothing was left behind.'));
  return EXIT.ok;
}
