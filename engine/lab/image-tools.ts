// SPDX-License-Identifier: GPL-2.0-only
/**
 * Work on the files inside an image, through the same device, file system and direct I/O that runs use: probe, format, list, map,
 * read, write. Each call opens the image, does one thing, unmounts and closes.
 *
 * Only `format` and `write` open the image for writing. Data goes directly, in pieces of 1 MiB; a last piece that is no multiple of a
 * page goes through the page cache.
 */
import {
  errnoName,
  HostError,
  isTask,
  PAGE_BYTES,
  resolveOptions,
  Scheduler,
  Sfc32,
  type Result,
  type Task,
} from '../base/index.ts';
import { openDevice, type OpenDevice } from '../devices/index.ts';
import { DEFAULT_REVISION_ID, findRevision, openDirectIo } from '../dio/index.ts';
import { describeForeign } from '../filesystems/foreign.ts';
import { fileSystemById, probeFileSystem } from '../filesystems/index.ts';
import { IovIter, Memory } from '../memory/index.ts';
import type {
  DirectIo,
  DirectoryEntry,
  FileSystemProbe,
  Inode,
  Kiocb,
  MountedFileSystem,
  OpenFile,
} from '../vfs/index.ts';
import type { ImageTools, LabPorts, OpenedProbe } from './door.ts';
import { withHostFault } from './host-fault.ts';
import { RunKernel } from './kernel.ts';

/** 64 MiB: metadata, page cache, and the piece of data under way. */
const ARENA_PAGES = 16384;
const PIECE_BYTES = 1024 * 1024;
/** The revision whose direct I/O moves the data. */

interface OpenImage {
  readonly kernel: RunKernel;
  readonly opened: OpenDevice;
  readonly path: string;
}

/** Opens the image, hands it to `work`, and closes it, whatever happens. */
function withImage<T>(
  ports: LabPorts,
  path: string,
  readOnly: boolean,
  work: (image: OpenImage) => T,
): T {
  const memory = new Memory(ports.makeArena(ARENA_PAGES), true);
  const scheduler = new Scheduler();
  const { clock, unixMs } = ports;
  const random = new Sfc32(clock.nowNs() % 2 ** 31, unixMs() % 2 ** 31);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null, unixMs, random });
  const opened = openDevice(
    'image-file',
    { path },
    {
      clock,
      memory,
      scheduler,
      ...(ports.imageFiles !== undefined && { imageFiles: ports.imageFiles }),
      ...(ports.executors !== undefined && { executors: ports.executors }),
      io: { ioEngine: 'sync', depth: 8, submitBatch: 8, direct: true, readOnly },
    },
  );
  try {
    const result = work({ kernel, opened, path });
    kernel.drain();
    return result;
  } catch (error) {
    throw withHostFault(error, opened);
  } finally {
    opened.device.close();
  }
}

const directIo = (): DirectIo => openDirectIo(findRevision(DEFAULT_REVISION_ID)).directIo;

function* mountAny(image: OpenImage): Task<MountedFileSystem> {
  const { kernel, opened } = image;
  const found = yield* probeFileSystem(kernel, opened.device);
  if (found !== null) return yield* found.module.mount(kernel, opened.device, directIo());
  throw yield* refusal(image);
}

/** Why no module wants it: an ext superblock says so itself, anything else by its signature. */
function* refusal(image: OpenImage): Task<HostError> {
  const { kernel, opened, path } = image;
  try {
    yield* fileSystemById('ext2').mount(kernel, opened.device, directIo());
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const hasNoMagic = error.data?.['field'] === 'magic' || error.code === 'image.truncated';
    if (!hasNoMagic) return named(error, path);
  }
  return named(yield* describeForeign(kernel, opened.device), path);
}

/** The error with the image's path in front of where it happened. */
function named(error: HostError, path: string): HostError {
  const { where } = error;
  if (where?.startsWith(path) === true) return error;
  return new HostError({
    ...error.toJSON(),
    where: where === undefined ? path : `${path}: ${where}`,
  });
}

/** Mounts, works, unmounts. What the work throws comes out after the unmount. */
function withFiles<T>(
  ports: LabPorts,
  path: string,
  readOnly: boolean,
  work: (fileSystem: MountedFileSystem, kernel: RunKernel) => T,
): T {
  return withImage(ports, path, readOnly, (image) => {
    const { kernel } = image;
    let fileSystem: MountedFileSystem;
    try {
      fileSystem = kernel.runTask('mount', mountAny(image));
    } catch (error) {
      throw error instanceof HostError ? named(error, path) : error;
    }
    let status = 0;
    let result: T;
    try {
      result = work(fileSystem, kernel);
    } finally {
      status = kernel.runTask('unmount', fileSystem.unmount());
    }
    if (status < 0) throw ioError(path, 'the image cannot be unmounted', status);
    return result;
  });
}

function ioError(where: string, what: string, status: number): HostError {
  const name = errnoName(status) ?? String(status);
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
function taken<T>(result: Result<T>, image: string, inside: string): T {
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

function namesOf(image: string, inside: string): string[] {
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

function* walkTo(
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

function* statOf(
  fileSystem: MountedFileSystem,
  inodeNumber: number,
): Task<Result<Pick<Inode, 'sizeBytes' | 'kind'>>> {
  if (fileSystem.stat !== undefined) return yield* fileSystem.stat(inodeNumber);
  return yield* fileSystem.readInode(inodeNumber);
}

function* openFile(fileSystem: MountedFileSystem, image: string, inside: string): Task<OpenFile> {
  const inode = yield* walkTo(fileSystem, image, inside, namesOf(image, inside));
  if (inode.kind === 'directory') taken({ ok: false, error: 'EISDIR' }, image, inside);
  if (inode.kind !== 'file') throw notAFile(image, inside, inode.kind);
  return taken(yield* fileSystem.open(inode), image, inside);
}

/** Links are not followed, and a device file inside an image is nothing to open. */
function notAFile(image: string, inside: string, kind: Inode['kind']): HostError {
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

function kiocb(inode: Inode, positionBytes: number, isDirect: boolean): Kiocb {
  return {
    id: 0,
    inode,
    isDirect,
    isNowait: false,
    isDsync: false,
    isAppend: false,
    positionBytes,
    onComplete: null,
  };
}

/** One buffer for the data under way. */
class Piece {
  readonly bytes: Uint8Array;
  private readonly address: number;

  constructor(private readonly memory: Memory) {
    const first = memory.allocatePages(PIECE_BYTES / PAGE_BYTES);
    this.address = first * PAGE_BYTES;
    this.bytes = memory.bytes.subarray(this.address, this.address + PIECE_BYTES);
  }
  iter(direction: 'read' | 'write', lengthBytes: number): IovIter {
    const segment = { addressBytes: this.address, lengthBytes };
    return new IovIter(this.memory, direction, 'user', [segment]);
  }
}

function* readFile(
  file: OpenFile,
  memory: Memory,
  where: string,
  onData: (bytes: Uint8Array) => void,
): Task<void> {
  const piece = new Piece(memory);
  const { inode } = file;
  for (let at = 0; at < inode.sizeBytes;) {
    const started = file.read(kiocb(inode, at, true), piece.iter('read', PIECE_BYTES));
    const count = isTask(started) ? yield* started : started;
    if (count < 0) throw ioError(where, `reading at byte ${String(at)}`, count);
    if (count === 0) return;
    onData(piece.bytes.slice(0, count));
    at += count;
  }
}

/** Writes what `nextData` gives; throws at the first byte that found no place. */
function* writeFile(
  file: OpenFile,
  memory: Memory,
  where: string,
  nextData: () => Uint8Array | null,
): Task<void> {
  const piece = new Piece(memory);
  let written = 0;
  let filled = 0;
  const flush = function* (isLast: boolean): Task<void> {
    const whole = isLast ? Math.floor(filled / PAGE_BYTES) * PAGE_BYTES : filled;
    for (const [length, isDirect] of [
      [whole, true],
      [filled - whole, false],
    ] as const) {
      if (length === 0) continue;
      if (!isDirect) piece.bytes.copyWithin(0, whole, filled);
      const started = file.write(kiocb(file.inode, written, isDirect), piece.iter('write', length));
      const count = isTask(started) ? yield* started : started;
      if (count !== length) {
        throw ioError(where, `writing at byte ${String(written)}`, count < 0 ? count : -28);
      }
      written += length;
    }
    filled = 0;
  };
  for (;;) {
    const data = nextData();
    if (data === null) break;
    for (let from = 0; from < data.length;) {
      const count = Math.min(PIECE_BYTES - filled, data.length - from);
      piece.bytes.set(data.subarray(from, from + count), filled);
      filled += count;
      from += count;
      if (filled === PIECE_BYTES) yield* flush(false);
    }
  }
  yield* flush(true);
}

/** Makes or empties the file, fills it, and takes it away again where that fails half way and it is new. */
function* putFile(
  fileSystem: MountedFileSystem,
  memory: Memory,
  image: string,
  inside: string,
  nextData: () => Uint8Array | null,
): Task<void> {
  const names = namesOf(image, inside);
  const name = names.pop();
  if (name === undefined) taken({ ok: false, error: 'EISDIR' }, image, inside);
  const folder = yield* walkTo(fileSystem, image, inside, names);
  const existing = yield* fileSystem.lookup(folder, name as string);
  let inode: Inode;
  if (existing.ok) {
    inode = taken(yield* fileSystem.readInode(existing.value), image, inside);
    if (inode.kind === 'directory') taken({ ok: false, error: 'EISDIR' }, image, inside);
    if (inode.kind !== 'file') throw notAFile(image, inside, inode.kind);
    const status = yield* fileSystem.truncate(inode, 0);
    if (status < 0) throw ioError(`${image}:${inside}`, 'emptying the file', status);
  } else {
    if (existing.error !== 'ENOENT') taken(existing, image, inside);
    inode = taken(yield* fileSystem.create(folder, name as string, 'file'), image, inside);
  }
  const file = taken(yield* fileSystem.open(inode), image, inside);
  try {
    yield* writeFile(file, memory, `${image}:${inside}`, nextData);
    const status = yield* file.fsync(false);
    if (status < 0) throw ioError(`${image}:${inside}`, 'writing back', status);
  } catch (error) {
    if (!existing.ok) yield* fileSystem.unlink(folder, name as string);
    throw error;
  }
}

function probeImage(ports: LabPorts, path: string): OpenedProbe {
  return withImage(ports, path, true, ({ kernel, opened }) => {
    const found = kernel.runTask('probe', probeFileSystem(kernel, opened.device));
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

  list: (ports, path, folder) =>
    withFiles(ports, path, true, (fileSystem, kernel) =>
      kernel.runTask('list', listFolder(fileSystem, path, folder)),
    ),

  map: (ports, path, file) =>
    withFiles(ports, path, true, (fileSystem, kernel) => {
      const opened = kernel.runTask('open', openFile(fileSystem, path, file));
      const extents = taken(kernel.runTask('map', opened.extents()), path, file);
      const { blockSizeBytes } = fileSystem;
      return { blockSizeBytes, sizeBytes: opened.inode.sizeBytes, extents };
    }),

  read(ports, path, file, onData) {
    withFiles(ports, path, true, (fileSystem, kernel) => {
      const opened = kernel.runTask('open', openFile(fileSystem, path, file));
      kernel.runTask('read', readFile(opened, kernel.memory, `${path}:${file}`, onData));
    });
  },

  write(ports, path, file, nextData) {
    withFiles(ports, path, false, (fileSystem, kernel) => {
      kernel.runTask('write', putFile(fileSystem, kernel.memory, path, file, nextData));
    });
  },
};
