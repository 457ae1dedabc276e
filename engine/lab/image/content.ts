// SPDX-License-Identifier: GPL-2.0-only
/** Content of files inside an image, read and written in pieces of 1 MiB through direct I/O. */
import { isTask, PAGE_BYTES, type Task } from '../../base/index.ts';
import { IovIter, type Memory } from '../../memory/index.ts';
import type { Inode, Kiocb, MountedFileSystem, OpenFile } from '../../vfs/index.ts';
import { ioError, namesOf, notAFile, taken, walkTo } from './paths.ts';

export const PIECE_BYTES = 1024 * 1024;

export function kiocb(inode: Inode, positionBytes: number, isDirect: boolean): Kiocb {
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
export class Piece {
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

export function* readFile(
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
export function* writeFile(
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
export function* putFile(
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
