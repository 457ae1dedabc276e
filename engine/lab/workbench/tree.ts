// SPDX-License-Identifier: GPL-2.0-only
/** Walks the tree of a mounted file system: bounded, and never twice into the same folder, so that a damaged one cannot hold us. */
import type { Task } from '../../base/index.ts';
import type { Inode, MountedFileSystem } from '../../vfs/index.ts';

export interface TreeEntry {
  /** Relative to where the walk began, without a slash in front; '' is the start itself. */
  readonly path: string;
  readonly inodeNumber: number;
  readonly kind: Inode['kind'];
}
export interface Tree {
  /** Folders before what is in them. */
  readonly entries: readonly TreeEntry[];
  /** False: there are more than were asked for, or some folder cannot be read. */
  readonly isWhole: boolean;
}

const PATH_CHARACTERS_MAX = 4096;

/** All entries below a folder, at most `entriesMax`. A folder that cannot be read is left out, and `isWhole` says so. */
export function* walkTree(
  fileSystem: MountedFileSystem,
  start: number,
  entriesMax: number,
): Task<Tree> {
  const entries: TreeEntry[] = [];
  const seen = new Set([start]);
  const folders = [{ path: '', inodeNumber: start }];
  let isWhole = true;
  for (let at = 0; at < folders.length; at++) {
    const folder = folders[at] as { path: string; inodeNumber: number };
    const inode = yield* fileSystem.readInode(folder.inodeNumber);
    const listed = inode.ok ? yield* fileSystem.readDirectory(inode.value) : inode;
    if (!listed.ok) {
      isWhole = false;
      continue;
    }
    for (const { name, inodeNumber, kind } of listed.value) {
      if (name === '.' || name === '..') continue;
      if (!isName(name)) {
        isWhole = false;
        continue;
      }
      const path = folder.path === '' ? name : `${folder.path}/${name}`;
      if (entries.length >= entriesMax || path.length > PATH_CHARACTERS_MAX) {
        return { entries, isWhole: false };
      }
      entries.push({ path, inodeNumber, kind });
      if (kind !== 'directory') continue;
      if (seen.has(inodeNumber)) isWhole = false;
      else folders.push({ path, inodeNumber });
      seen.add(inodeNumber);
    }
  }
  return { entries, isWhole };
}

/** A damaged folder may hold what is no name, and would lead elsewhere as part of a path. */
const isName = (name: string): boolean => name !== '' && !/[/\0]/.test(name);
