// SPDX-License-Identifier: GPL-2.0-only
/** mkfs, ls, map: commands on an image as a whole, or on its folders and maps. */
import { resolve } from 'node:path';
import { HostError, type OptionValues } from '../../../engine/base/index.ts';
import type { Catalogue, ImageEntry } from '../../contract/types.ts';
import type { LayoutRecipe, Place } from '../../contract/workbench.ts';
import { EXIT } from '../errors.ts';
import { bytesText } from '../quantities.ts';
import { parseSizeBytes, parseWhole } from '../size.ts';
import { parseFileRecipe, placeOf, type JsonOptions, type PlaceOptions } from '../place.ts';
import { entriesText, longEntriesText, mapJson, mapText } from '../tables.ts';
import { line, type Terminal } from '../terminal.ts';
import { layoutText } from '../workbench-text.ts';
import type { MkfsOptions } from '../workbench-program.ts';

type FileSystemInfo = Catalogue['fileSystems'][number];

/** The file system asked for, which must be one to format; what this machine's mkfs can make, it says itself. */
function chosenFileSystem(
  catalogue: Catalogue,
  id: string,
  formatter: MkfsOptions['formatter'],
): FileSystemInfo {
  const found = catalogue.fileSystems.find((module) => module.id === id);
  const able = catalogue.fileSystems.filter((module) => module.canFormat).map(({ id }) => id);
  if (found !== undefined && (found.canFormat || formatter === 'system')) return found;
  throw new HostError({
    code: found === undefined ? 'usage.unknown-file-system' : 'usage.cannot-format',
    message:
      found === undefined
        ? `There is no file system '${id}'`
        : `diolab reads ${found.title} but does not format it`,
    where: '--fs',
    hint: `One of: ${able.join(', ')}; --formatter system takes this machine's mkfs.`,
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

/** `key=value` words of `--option` in the types that the module wants. */
function optionValues(module: FileSystemInfo, words: readonly string[]): OptionValues {
  const values: Record<string, OptionValues[string]> = {};
  for (const word of words) {
    const cut = word.indexOf('=');
    const name = cut < 0 ? word : word.slice(0, cut);
    const text = cut < 0 ? 'true' : word.slice(cut + 1);
    const field = Object.hasOwn(module.options, name) ? module.options[name] : undefined;
    if (field === undefined) {
      throw new HostError({
        code: 'usage.unknown-option',
        message: `${module.title} has no option '${name}'`,
        where: '--option',
        hint: `It has ${Object.keys(module.options).join(', ') || 'none'}.`,
        exitCode: EXIT.usage,
      });
    }
    if (field.type === 'quantity') values[name] = quantity(text, name);
    else if (field.type === 'flag') values[name] = flagValue(text, name);
    else values[name] = text;
  }
  return values;
}

const quantity = (text: string, name: string): number =>
  /^\d+\.\d+$/.test(text) ? Number(text) : parseSizeBytes(text, `--option ${name}`);

function flagValue(text: string, name: string): boolean {
  if (['true', 'yes', 'on', '1'].includes(text)) return true;
  if (['false', 'no', 'off', '0'].includes(text)) return false;
  throw new HostError({
    code: 'usage.flag',
    message: `${name} is true or false, not '${text}'`,
    where: '--option',
    hint: `--option ${name}=true`,
    exitCode: EXIT.usage,
  });
}

function recipeOf(options: MkfsOptions): LayoutRecipe | null {
  const { layout, freePieces, seed } = options;
  if (layout.length === 0 && freePieces === undefined) return null;
  return {
    files: layout.map(parseFileRecipe),
    freePieceBytes: freePieces === undefined ? 0 : parseSizeBytes(freePieces, '--free-pieces'),
    seed: parseWhole(seed, '--seed', 0, 2 ** 32 - 1),
  };
}

export async function mkfs(
  terminal: Terminal,
  image: string,
  options: MkfsOptions,
): Promise<number> {
  const path = resolve(image);
  const sizeBytes = parseSizeBytes(options.size, '--size');
  const recipe = recipeOf(options);
  const session = await terminal.session();
  const { formatter, preallocate, label } = options;
  const module = chosenFileSystem(await session.client.host.catalogue(), options.fs, formatter);
  const values = {
    ...(options.blockSize !== undefined && blockSizeOption(module, options.blockSize)),
    ...optionValues(module, label === undefined ? [] : [`label=${label}`]),
    ...optionValues(module, options.option),
  };
  const made = {
    path,
    name: null,
    sizeBytes,
    fileSystemId: module.id,
    options: values,
    ...(preallocate && { preallocate }),
    ...(formatter === 'system' && { formatter }),
    ...(recipe !== null && { recipe }),
  };
  const notes: string[] = [];
  await session.makeImage(made, {
    replaceExisting: options.force,
    signal: terminal.signal,
    onNotes: (told) => {
      notes.push(...told);
    },
  });
  for (const note of notes) terminal.error(line(`diolab: ${note}`));
  const text = `${path}: ${module.title}, ${bytesText(sizeBytes)} (${String(sizeBytes)} bytes)`;
  const json = { path, fileSystem: module.id, sizeBytes, notes };
  await terminal.out(line(options.json ? JSON.stringify(json, null, 2) : text));
  return EXIT.ok;
}

type ListOptions = PlaceOptions &
  JsonOptions & { readonly long?: boolean; readonly recursive?: boolean };
interface Listing {
  readonly folder: string;
  readonly entries: readonly ImageEntry[];
}
const FOLDERS_MAX = 10_000;

/** The folder, and those below it where asked. */
async function listings(
  terminal: Terminal,
  place: Place,
  folder: string,
  isRecursive: boolean,
): Promise<Listing[]> {
  const { client } = await terminal.session();
  const found: Listing[] = [];
  const waiting = [folder];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    terminal.signal.throwIfAborted();
    const entries = await client.images.entries({ ...place, folder: next });
    found.push({ folder: next, entries });
    if (!isRecursive || found.length >= FOLDERS_MAX) break;
    const inner = entries.filter(({ kind }) => kind === 'directory');
    waiting.unshift(...inner.map(({ name }) => `${next === '/' ? '' : next}/${name}`));
  }
  return found;
}

export async function ls(
  terminal: Terminal,
  image: string,
  folder: string,
  options: ListOptions,
): Promise<number> {
  const isRecursive = options.recursive === true;
  const found = await listings(terminal, placeOf(image, options), folder, isRecursive);
  const [first] = found;
  const asText = options.long === true ? longEntriesText : entriesText;
  if (options.json) {
    const answer = isRecursive ? found : (first?.entries ?? []);
    await terminal.out(line(JSON.stringify(answer, null, 2)));
  } else if (isRecursive) {
    const texts = found.map((each) => `${each.folder}:\n${asText(each.entries)}`);
    await terminal.out(texts.join('\n'));
  } else await terminal.out(asText(first?.entries ?? []));
  return EXIT.ok;
}

export async function map(
  terminal: Terminal,
  image: string,
  file: string | null,
  options: PlaceOptions & JsonOptions & { readonly width?: string },
): Promise<number> {
  const { client } = await terminal.session();
  const place = placeOf(image, options);
  if (file !== null) {
    const found = await client.images.map({ ...place, file });
    await terminal.out(options.json ? line(JSON.stringify(mapJson(found))) : mapText(file, found));
    return EXIT.ok;
  }
  const { width: asked } = options;
  const width = asked === undefined ? terminal.columns : parseWhole(asked, '--width', 40, 1000);
  const layout = await client.images.layout(place, { signal: terminal.signal });
  const text = options.json
    ? line(JSON.stringify(layout))
    : layoutText(layout, width, terminal.hasColours);
  await terminal.out(text);
  return EXIT.ok;
}
