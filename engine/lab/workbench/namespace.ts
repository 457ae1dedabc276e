// SPDX-License-Identifier: GPL-2.0-only
/** Changes names inside an image: makes, moves and removes files and folders. */
import { HostError, type Task } from '../../base/index.ts';
import type { Inode } from '../../vfs/index.ts';
import { ioError, namesOf, statOf, taken, walkTo } from '../image/paths.ts';
import { notKnown, type OpenPlace } from './place.ts';

const REMOVE_MAX = 1_000_000;
const DEPTH_MAX = 2048;

/** The folder that holds the last name of a path, and that name. */
export function* parentOf(
  open: OpenPlace,
  path: string,
): Task<{ readonly folder: Inode; readonly name: string }> {
  const { fileSystem, image } = open;
  const names = namesOf(image, path);
  const name = names.pop();
  if (name === undefined) throw rootRefused(image, path);
  const folder = yield* walkTo(fileSystem, image, path, names);
  return { folder, name };
}

function rootRefused(image: string, path: string): HostError {
  return new HostError({
    code: 'image.root',
    message: `${path} is the root of the file system, and stays as it is`,
    where: image,
    hint: 'Name a file or a folder in it.',
    exitCode: 64,
  });
}

function* syncAll(open: OpenPlace, doing: string): Task<void> {
  const status = yield* open.fileSystem.sync();
  if (status < 0) throw ioError(open.image, doing, status);
}

export function* makeFolder(open: OpenPlace, path: string): Task<void> {
  const { folder, name } = yield* parentOf(open, path);
  taken(yield* open.fileSystem.create(folder, name, 'directory'), open.image, path);
  yield* syncAll(open, 'making the folder');
}

/** Makes the folder and what is above it, as far as they are not there. Returns the paths that it made, the upper ones first. */
export function* makeFolders(open: OpenPlace, path: string): Task<string[]> {
  const { fileSystem, image } = open;
  const made: string[] = [];
  let inode = yield* walkTo(fileSystem, image, '/', []);
  let here = '';
  for (const name of namesOf(image, path)) {
    here = `${here}/${name}`;
    const found = yield* fileSystem.lookup(inode, name);
    if (found.ok) inode = taken(yield* fileSystem.readInode(found.value), image, here);
    else if (found.error !== 'ENOENT') taken(found, image, here);
    else {
      inode = taken(yield* fileSystem.create(inode, name, 'directory'), image, here);
      made.push(here);
    }
  }
  return made;
}

export function* renameEntry(open: OpenPlace, from: string, to: string): Task<void> {
  const { fileSystem, image } = open;
  if (fileSystem.rename === undefined) throw notKnown(open, 'Renaming');
  const source = namesOf(image, from);
  const target = namesOf(image, to);
  if (target.length > source.length && source.every((name, index) => name === target[index])) {
    throw new HostError({
      code: 'image.into-itself',
      message: `${from} cannot be moved into itself`,
      where: `${image}:${to}`,
      hint: 'Choose a folder outside it.',
      exitCode: 64,
    });
  }
  const old = yield* parentOf(open, from);
  const fresh = yield* parentOf(open, to);
  taken(yield* fileSystem.lookup(old.folder, old.name), image, from);
  // One inode in memory for one folder: a change of one would not show in the other.
  const isSame = old.folder.inodeNumber === fresh.folder.inodeNumber;
  const folder = isSame ? old.folder : fresh.folder;
  taken(yield* fileSystem.rename(old.folder, old.name, folder, fresh.name), image, to);
  yield* syncAll(open, 'renaming');
}

/** Removes a file, or a folder with everything in it. Returns how many entries went. */
export function* removeEntry(open: OpenPlace, path: string): Task<number> {
  const { folder, name } = yield* parentOf(open, path);
  const count = yield* removeFrom(open, folder, name, path, { left: REMOVE_MAX, depth: 0 });
  yield* syncAll(open, 'removing');
  return count;
}

function* removeFrom(
  open: OpenPlace,
  folder: Inode,
  name: string,
  path: string,
  budget: { left: number; depth: number },
): Task<number> {
  const { fileSystem, image } = open;
  const inodeNumber = taken(yield* fileSystem.lookup(folder, name), image, path);
  const { kind } = taken(yield* statOf(fileSystem, inodeNumber), image, path);
  if (kind !== 'directory') {
    taken(yield* fileSystem.unlink(folder, name), image, path);
    return 1;
  }
  if (fileSystem.removeDirectory === undefined) throw notKnown(open, 'Removing folders');
  if (budget.depth >= DEPTH_MAX) throw tooMuch(image, path);
  const inner = taken(yield* fileSystem.readInode(inodeNumber), image, path);
  const entries = taken(yield* fileSystem.readDirectory(inner), image, path);
  let removed = 0;
  budget.depth += 1;
  for (const entry of entries) {
    if (entry.name === '.' || entry.name === '..') continue;
    if (budget.left-- <= 0) throw tooMuch(image, path);
    removed += yield* removeFrom(open, inner, entry.name, `${path}/${entry.name}`, budget);
  }
  budget.depth -= 1;
  taken(yield* fileSystem.removeDirectory(folder, name), image, path);
  return removed + 1;
}

function tooMuch(image: string, path: string): HostError {
  return new HostError({
    code: 'image.too-much',
    message: `${path} holds more than ${String(REMOVE_MAX)} entries, or folders more than ${String(DEPTH_MAX)} deep`,
    where: `${image}:${path}`,
    hint: 'The image may be damaged: check it with diolab fsck. Remove parts of it one by one.',
    exitCode: 65,
  });
}
