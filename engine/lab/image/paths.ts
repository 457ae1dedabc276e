// SPDX-License-Identifier: GPL-2.0-only
/** Paths inside an image, and the words for what the file system answers about them. */
import { ERRNO, errnoName, HostError, type Result, type Task } from '../../base/index.ts';
import type { Inode, MountedFileSystem, OpenFile } from '../../vfs/index.ts';

export function ioError(where: string, what: string, status: number): HostError {
  const name = errnoName(status) ?? String(status);
  if (status === -ERRNO.EOPNOTSUPP) {
    return new HostError({
      code: 'image.unsupported-feature',
      message: `${what}: the content is stored in a form that the lab shows but does not read, such as compressed (${name})`,
      where,
      hint: 'Its map and its facts can be seen (diolab map, diolab stat); read the content through a mount by the kernel.',
      exitCode: 65,
    });
  }
  return new HostError({
    code: status === -28 ? 'image.no-space' : 'image.io-error',
    message: `${what}: ${name}`,
    where,
    hint:
      status === -28
        ? 'Remove files from the image, or make a larger one.'
        : 'Look at the host for errors of its disk.',
    exitCode: 74,
  });
}

const messages: Readonly<Record<string, readonly [string, string, number]>> = {
  ENOENT: ['image.no-entry', 'there is no such file or folder', 66],
  ENOTDIR: ['image.not-a-folder', 'a part of the path is no folder', 66],
  EISDIR: ['image.is-a-folder', 'it is a folder', 66],
  EEXIST: ['image.exists', 'it exists', 73],
  ENAMETOOLONG: ['image.bad-name', 'a name has more than 255 bytes', 65],
  ENOSPC: ['image.no-space', 'there is no space left in the image', 74],
  EUCLEAN: ['image.damaged', 'the image is damaged there', 65],
  EOPNOTSUPP: ['image.unsupported-feature', 'it uses what the lab does not know', 65],
  EROFS: ['image.read-only', 'the image is open for reading only', 77],
};

/** The value, or a `HostError` about a path in the image. */
export function taken<T>(result: Result<T>, image: string, inside: string): T {
  if (result.ok) return result.value;
  const [code, text, exitCode] = messages[result.error] ?? [
    'image.io-error',
    `it gives ${result.error}`,
    74,
  ];
  throw new HostError({
    code,
    message: `${inside}: ${text}${result.detail === undefined ? '' : ` (${result.detail})`}`,
    where: `${image}:${inside}`,
    hint: 'Look at its folder with diolab ls.',
    exitCode,
  });
}

export function namesOf(image: string, inside: string): string[] {
  const names = inside.split('/').filter((name) => name !== '' && name !== '.');
  if (!inside.includes('\0') && !names.includes('..')) return names;
  throw new HostError({
    code: 'image.bad-path',
    message: `${JSON.stringify(inside)} is no path inside an image`,
    where: image,
    hint: 'Give names separated by slashes, without "..".',
    exitCode: 64,
  });
}

export function* walkTo(
  fileSystem: MountedFileSystem,
  image: string,
  inside: string,
  names: readonly string[],
): Task<Inode> {
  const root = yield* fileSystem.readInode(fileSystem.rootInodeNumber);
  let inode = taken(root, image, '/');
  for (const name of names) {
    const number = taken(yield* fileSystem.lookup(inode, name), image, inside);
    inode = taken(yield* fileSystem.readInode(number), image, inside);
  }
  return inode;
}

export function* statOf(
  fileSystem: MountedFileSystem,
  inodeNumber: number,
): Task<Result<Pick<Inode, 'sizeBytes' | 'kind'>>> {
  if (fileSystem.stat !== undefined) return yield* fileSystem.stat(inodeNumber);
  return yield* fileSystem.readInode(inodeNumber);
}

export function* openFile(
  fileSystem: MountedFileSystem,
  image: string,
  inside: string,
): Task<OpenFile> {
  const inode = yield* walkTo(fileSystem, image, inside, namesOf(image, inside));
  if (inode.kind === 'directory') taken({ ok: false, error: 'EISDIR' }, image, inside);
  if (inode.kind !== 'file') throw notAFile(image, inside, inode.kind);
  return taken(yield* fileSystem.open(inode), image, inside);
}

/** Links are not followed, and a device file inside an image is nothing to open. */
export function notAFile(image: string, inside: string, kind: Inode['kind']): HostError {
  return new HostError({
    code: 'image.not-a-file',
    message: `${inside}: it is ${kind === 'symlink' ? 'a symbolic link' : 'a special file'}, not a regular one`,
    where: `${image}:${inside}`,
    hint:
      kind === 'symlink'
        ? 'Links are not followed: name the file that it points to.'
        : 'Name a regular file; diolab ls lists its folder.',
    exitCode: 66,
  });
}
