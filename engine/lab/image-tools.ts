// SPDX-License-Identifier: GPL-2.0-only
/**
 * Work on the files inside an image, through the same device, file system and direct I/O that runs use: probe, format, list, map,
 * read, write. Each call opens the image, does one thing, unmounts and closes.
 *
 * Only `format` and `write` open the image for writing. Data goes directly, in pieces of 1 MiB; a last piece that is no multiple of a
 * page goes through the page cache.
 */
import { HostError, resolveOptions, type Task } from '../base/index.ts';
import { fileSystemById } from '../filesystems/index.ts';
import type { DirectoryEntry, FileSystemProbe, MountedFileSystem } from '../vfs/index.ts';
import type { ImageTools, LabPorts, OpenedProbe } from './door.ts';
import { putFile, readFile } from './image/content.ts';
import { withFiles, withImage } from './image/open.ts';
import { namesOf, openFile, statOf, taken, walkTo } from './image/paths.ts';
import type { RunKernel } from './kernel.ts';
import { probePartitions, probeWhole } from './partitions/index.ts';

type Listed = DirectoryEntry & { readonly sizeBytes: number };

function* listFolder(fileSystem: MountedFileSystem, image: string, inside: string): Task<Listed[]> {
  const names = namesOf(image, inside);
  const inode = yield* walkTo(fileSystem, image, inside, names);
  if (inode.kind !== 'directory') {
    const { inodeNumber, kind, sizeBytes } = inode;
    return [{ name: names.at(-1) ?? '/', inodeNumber, kind, sizeBytes }];
  }
  const entries = taken(yield* fileSystem.readDirectory(inode), image, inside);
  const listed: Listed[] = [];
  for (const entry of entries) {
    if (entry.name === '.' || entry.name === '..') continue;
    const about = yield* statOf(fileSystem, entry.inodeNumber);
    const { kind, sizeBytes } = taken(about, image, `${inside}/${entry.name}`);
    listed.push({ ...entry, kind, sizeBytes });
  }
  return listed.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function probeImage(ports: LabPorts, path: string): OpenedProbe {
  return withImage(ports, path, true, ({ kernel, opened }) => {
    const found = kernel.runTask('probe', probeWhole(kernel, opened.device));
    const { image } = opened;
    return {
      sizeBytes: image?.sizeBytes ?? 0,
      fileSystemId: found?.module.id ?? 'raw',
      probe: found === null ? null : (found.probe satisfies FileSystemProbe),
      isDirect: image?.isDirect ?? false,
      directRefusedWhy: image?.directRefusedWhy ?? null,
      offsetAlignBytes: image?.offsetAlignBytes ?? 512,
      memoryAlignBytes: image?.memoryAlignBytes ?? 1,
    };
  });
}

export const imageTools: ImageTools = {
  probe: probeImage,

  partitions: (ports, path) =>
    withImage(ports, path, true, ({ kernel, opened }) =>
      kernel.runTask('partitions', probePartitions(kernel, opened.device)),
    ),

  format(ports, path, fileSystemId, given) {
    const module = fileSystemById(fileSystemId);
    const options = resolveOptions(module.options, given, `file system ${fileSystemId}`);
    withImage(ports, path, false, ({ kernel, opened }) => {
      if (module.format === undefined) {
        throw new HostError({
          code: 'format.not-possible',
          message: `${module.title} is not something to format`,
          where: path,
          hint: 'Choose a file system that can be made, such as ext2.',
          exitCode: 64,
        });
      }
      const made = kernel.runTask('format', module.format(kernel, opened.device, options));
      taken(made, path, '/');
    });
  },

  list(ports, path, folder, partition = null) {
    const list = (fileSystem: MountedFileSystem, kernel: RunKernel): Listed[] =>
      kernel.runTask('list', listFolder(fileSystem, path, folder));
    return withFiles(ports, path, true, list, partition);
  },

  map(ports, path, file, partition = null) {
    const map = (
      fileSystem: MountedFileSystem,
      kernel: RunKernel,
    ): ReturnType<ImageTools['map']> => {
      const opened = kernel.runTask('open', openFile(fileSystem, path, file));
      const extents = taken(kernel.runTask('map', opened.extents()), path, file);
      const { blockSizeBytes } = fileSystem;
      return { blockSizeBytes, sizeBytes: opened.inode.sizeBytes, extents };
    };
    return withFiles(ports, path, true, map, partition);
  },

  read(ports, path, file, onData, partition = null) {
    const read = (fileSystem: MountedFileSystem, kernel: RunKernel): void => {
      const opened = kernel.runTask('open', openFile(fileSystem, path, file));
      kernel.runTask('read', readFile(opened, kernel.memory, `${path}:${file}`, onData));
    };
    withFiles(ports, path, true, read, partition);
  },

  write(ports, path, file, nextData, partition = null) {
    const write = (fileSystem: MountedFileSystem, kernel: RunKernel): void => {
      kernel.runTask('write', putFile(fileSystem, kernel.memory, path, file, nextData));
    };
    withFiles(ports, path, false, write, partition);
  },
};
