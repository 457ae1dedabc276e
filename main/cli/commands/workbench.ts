// SPDX-License-Identifier: GPL-2.0-only
/** stat, frag, block, partitions, fsck, mkdir, rm, mv, snapshot: the image workbench from the terminal. */
import { resolve } from 'node:path';
import { EXIT } from '../errors.ts';
import { placeOf, type JsonOptions, type PlaceOptions } from '../place.ts';
import { parseWhole } from '../size.ts';
import { line, type Terminal } from '../terminal.ts';
import {
  blockText,
  fragmentationText,
  fsckText,
  partitionsText,
  placeFactsText,
  snapshotsText,
} from '../workbench-text.ts';

type LookOptions = PlaceOptions & JsonOptions;
type ChangeOptions = LookOptions & { readonly consent: boolean };

/** The answer as JSON, or as text. */
async function show<T>(
  terminal: Terminal,
  { json }: JsonOptions,
  answer: T,
  asText: (answer: T) => string,
): Promise<void> {
  await terminal.out(json ? line(JSON.stringify(answer, null, 2)) : asText(answer));
}

export async function stat(
  terminal: Terminal,
  image: string,
  file: string | null,
  options: LookOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const facts = await client.images.stat({ ...placeOf(image, options), file });
  await show(terminal, options, facts, placeFactsText);
  return EXIT.ok;
}

export async function frag(
  terminal: Terminal,
  image: string,
  options: LookOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { signal } = terminal;
  const found = await client.images.fragmentation(placeOf(image, options), { signal });
  await show(terminal, options, found, fragmentationText);
  return EXIT.ok;
}

export async function block(
  terminal: Terminal,
  image: string,
  number: string,
  options: LookOptions,
): Promise<number> {
  const at = parseWhole(number, 'the number of the block', 0, 2 ** 50);
  const { client } = await terminal.session();
  const view = await client.images.block({ ...placeOf(image, options), block: at });
  await show(terminal, options, view, blockText);
  return EXIT.ok;
}

export async function partitions(
  terminal: Terminal,
  image: string,
  options: JsonOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const table = await client.images.partitions({ path: resolve(image) });
  await show(terminal, options, table, partitionsText);
  return EXIT.ok;
}

/** 0: clean, or repaired; 1: damaged. */
export async function fsck(
  terminal: Terminal,
  image: string,
  options: ChangeOptions & { readonly repair: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const { repair, consent } = options;
  const ask = { ...placeOf(image, options), repair, consent };
  const result = await client.images.fsck(ask, { signal: terminal.signal });
  await show(terminal, options, result, fsckText);
  return result.state === 'damaged' ? EXIT.mismatch : EXIT.ok;
}

export async function mkdir(
  terminal: Terminal,
  image: string,
  folder: string,
  options: ChangeOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { consent } = options;
  const made = await client.images.makeFolder({ ...placeOf(image, options), folder, consent });
  await show(terminal, options, made, () => '');
  return EXIT.ok;
}

export async function rm(
  terminal: Terminal,
  image: string,
  file: string,
  options: ChangeOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { consent } = options;
  const gone = await client.images.removeEntry({ ...placeOf(image, options), file, consent });
  await show(terminal, options, gone, () => '');
  return EXIT.ok;
}

export async function mv(
  terminal: Terminal,
  image: string,
  from: string,
  to: string,
  options: ChangeOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { consent } = options;
  const moved = await client.images.renameEntry({ ...placeOf(image, options), from, to, consent });
  await show(terminal, options, moved, () => '');
  return EXIT.ok;
}

export async function snapshotMake(
  terminal: Terminal,
  image: string,
  options: JsonOptions & { readonly note: string },
): Promise<number> {
  const { client } = await terminal.session();
  const ask = { path: resolve(image), note: options.note };
  const made = await client.images.snapshot(ask, { signal: terminal.signal });
  await show(terminal, options, made, ({ id }) => line(id));
  return EXIT.ok;
}

export async function snapshotList(
  terminal: Terminal,
  image: string | null,
  options: JsonOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const path = image === null ? null : resolve(image);
  await show(terminal, options, await client.images.snapshots({ path }), snapshotsText);
  return EXIT.ok;
}

export async function snapshotRestore(
  terminal: Terminal,
  id: string,
  options: JsonOptions & { readonly consent: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const ask = { id, consent: options.consent };
  const kept = await client.images.restoreSnapshot(ask, { signal: terminal.signal });
  await show(terminal, options, kept, (before) =>
    before.id === id ? '' : line(`The image as it was before: snapshot ${before.id}`),
  );
  return EXIT.ok;
}

/** 66: there is no such snapshot. */
export async function snapshotRemove(
  terminal: Terminal,
  id: string,
  options: JsonOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { removed } = await client.images.removeSnapshot({ id });
  if (!removed) terminal.error(line(`diolab: there is no snapshot ${id}`));
  await show(terminal, options, { removed }, () => '');
  return removed ? EXIT.ok : EXIT.noInput;
}
