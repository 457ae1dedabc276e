// SPDX-License-Identifier: GPL-2.0-only
/** mkfs, ls, map: commands on an image as a whole, or on its folders and maps. */
import { resolve } from 'node:path';
import { HostError, type OptionValues } from '../../../engine/base/index.ts';
import type { Catalogue } from '../../contract/types.ts';
import { EXIT } from '../errors.ts';
import { bytesText } from '../quantities.ts';
import { parseSizeBytes } from '../size.ts';
import { entriesText, mapJson, mapText } from '../tables.ts';
import { line, type Terminal } from '../terminal.ts';
import type { MkfsOptions } from '../program.ts';

type FileSystemInfo = Catalogue['fileSystems'][number];

/** The file system asked for, which must be able to format. */
function chosenFileSystem(catalogue: Catalogue, id: string): FileSystemInfo {
  const found = catalogue.fileSystems.find((module) => module.id === id);
  const able = catalogue.fileSystems.filter((module) => module.canFormat).map(({ id }) => id);
  if (found?.canFormat === true) return found;
  throw new HostError({
    code: found === undefined ? 'usage.unknown-file-system' : 'usage.cannot-format',
    message:
      found === undefined
        ? `There is no file system '${id}'`
        : `diolab reads ${found.title} but does not format it`,
    where: '--fs',
    hint: `One of: ${able.join(', ')}.`,
    exitCode: EXIT.usage,
  });
}

/** The module's own name for its block size, and the value in the type it wants. */
function blockSizeOption(module: FileSystemInfo, text: string): OptionValues {
  const sizeBytes = parseSizeBytes(text, '--block-size');
  for (const [name, field] of Object.entries(module.options)) {
    if (!/^blockSize/i.test(name)) continue;
    if (field.type === 'choice') {
      if (field.choices.includes(String(sizeBytes))) return { [name]: String(sizeBytes) };
      throw new HostError({
        code: 'usage.block-size',
        message: `${module.title} has no block size of ${String(sizeBytes)} bytes`,
        where: '--block-size',
        hint: `One of: ${field.choices.join(', ')}.`,
        exitCode: EXIT.usage,
      });
    }
    return { [name]: sizeBytes };
  }
  throw new HostError({
    code: 'usage.block-size',
    message: `${module.title} has no block size to choose`,
    where: '--block-size',
    hint: 'Leave the option out.',
    exitCode: EXIT.usage,
  });
}

export async function mkfs(
  terminal: Terminal,
  image: string,
  options: MkfsOptions,
): Promise<number> {
  const path = resolve(image);
  const sizeBytes = parseSizeBytes(options.size, '--size');
  const session = await terminal.session();
  const module = chosenFileSystem(await session.client.host.catalogue(), options.fs);
  const values = options.blockSize === undefined ? {} : blockSizeOption(module, options.blockSize);
  const made = { path, name: null, sizeBytes, fileSystemId: module.id, options: values };
  await session.makeImage(made, { replaceExisting: options.force, signal: terminal.signal });
  const text = `${path}: ${module.title}, ${bytesText(sizeBytes)} (${String(sizeBytes)} bytes)`;
  await terminal.out(line(text));
  return EXIT.ok;
}

export async function ls(
  terminal: Terminal,
  image: string,
  folder: string,
  options: { readonly json: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const entries = await client.images.entries({ path: resolve(image), folder });
  await terminal.out(options.json ? line(JSON.stringify(entries, null, 2)) : entriesText(entries));
  return EXIT.ok;
}

export async function map(
  terminal: Terminal,
  image: string,
  file: string,
  options: { readonly json: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const found = await client.images.map({ path: resolve(image), file });
  await terminal.out(options.json ? line(JSON.stringify(mapJson(found))) : mapText(file, found));
  return EXIT.ok;
}
