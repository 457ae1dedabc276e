// SPDX-License-Identifier: GPL-2.0-only
/**
 * Copies a file or a folder into an image, piece by piece, with its holes. A file that is there is replaced when the new one is whole:
 * it is written under another name first. What fails or is given up half way is taken away again, so that the image is as it was.
 */
import { HostError, isTask, PAGE_BYTES, type Task } from '../../base/index.ts';
import type { Inode, OpenFile } from '../../vfs/index.ts';
import { kiocb, Piece, PIECE_BYTES } from '../image/content.ts';
import { ioError, notAFile, taken } from '../image/paths.ts';
import type { TransferOutcome, TransferPart } from '../workbench.ts';
import { parentOf } from './namespace.ts';
import type { OpenPlace } from './place.ts';

/** What a new file is called until it is whole, where it replaces another. */
const HALF_NAME = '.diolab-half';

interface Made {
  readonly folder: Inode;
  readonly name: string;
  readonly kind: 'file' | 'directory';
}

/** `putTree` of the tools. */
export function* putTree(
  open: OpenPlace,
  path: string,
  nextPart: () => TransferPart | null,
): Task<TransferOutcome> {
  const putting = new Putting(open, path);
  try {
    yield* putting.start();
    for (let part = nextPart(); part !== null; part = nextPart()) yield* putting.take(part);
    return yield* putting.finish();
  } catch (error) {
    yield* putting.undo();
    throw error;
  }
}

class Putting {
  private readonly piece: Piece;
  private readonly made: Made[] = [];
  private readonly folders = new Map<string, Inode>();
  private readonly notes: string[] = [];
  private root: { readonly folder: Inode; readonly name: string } | null = null;
  private replaced: { readonly inode: Inode } | null = null;
  private current: CurrentFile | null = null;
  private files = 0;
  private bytes = 0;

  constructor(
    private readonly open: OpenPlace,
    private readonly path: string,
  ) {
    this.piece = new Piece(open.kernel.memory);
  }

  *start(): Task<void> {
    this.root = yield* parentOf(this.open, this.path);
  }

  *take(part: TransferPart): Task<void> {
    switch (part.kind) {
      case 'folder':
        yield* this.endFile();
        yield* this.makeFolder(part.path);
        break;
      case 'file':
        yield* this.endFile();
        yield* this.startFile(part.path, part.sizeBytes);
        break;
      case 'bytes':
        yield* this.writer().write(part.bytes);
        break;
      case 'hole':
        yield* this.writer().skip(part.lengthBytes);
        break;
      case 'note':
        this.notes.push(part.text);
        break;
      case 'progress':
        break;
    }
  }

  *finish(): Task<TransferOutcome> {
    const { open } = this;
    yield* this.endFile();
    yield* this.putInPlace();
    const status = yield* open.fileSystem.sync();
    if (status < 0) throw ioError(open.image, 'writing back', status);
    return { files: this.files, bytes: this.bytes, notes: this.notes };
  }

  /** Takes away what was made. Where that fails, too, the image says so itself at the next look: fsck finds nothing wrong with it. */
  *undo(): Task<void> {
    const { fileSystem } = this.open;
    this.current = null;
    for (const { folder, name, kind } of this.made.reverse()) {
      if (kind === 'file') yield* fileSystem.unlink(folder, name);
      else if (fileSystem.removeDirectory !== undefined) {
        yield* fileSystem.removeDirectory(folder, name);
      }
    }
    yield* fileSystem.sync();
  }

  private writer(): CurrentFile {
    if (this.current !== null) return this.current;
    throw badOrder(this.path);
  }

  /** Folder and name of a relative path. */
  private place(path: string): { readonly folder: Inode; readonly name: string } {
    if (path === '') return this.root ?? raise(badOrder(this.path));
    const cut = path.lastIndexOf('/');
    const folder = this.folders.get(cut < 0 ? '' : path.slice(0, cut));
    const name = path.slice(cut + 1);
    if (folder === undefined || name === '' || name === '.' || name === '..') {
      throw badOrder(path);
    }
    return { folder, name };
  }

  private *makeFolder(path: string): Task<void> {
    const { fileSystem, image } = this.open;
    const { folder, name } = this.place(path);
    const inode = taken(yield* fileSystem.create(folder, name, 'directory'), image, this.path);
    this.made.push({ folder, name, kind: 'directory' });
    this.folders.set(path, inode);
  }

  private *startFile(path: string, sizeBytes: number | null): Task<void> {
    const { fileSystem, image } = this.open;
    const where = path === '' ? this.path : `${this.path}/${path}`;
    const { folder, name } = this.place(path);
    const known = yield* fileSystem.lookup(folder, name);
    let newName = name;
    if (known.ok) {
      const old = taken(yield* fileSystem.readInode(known.value), image, where);
      if (path !== '' || old.kind === 'directory') taken(refusedAs('EEXIST'), image, where);
      if (old.kind !== 'file') throw notAFile(image, where, old.kind);
      this.replaced = { inode: old };
      newName = HALF_NAME;
    } else if (known.error !== 'ENOENT') taken(known, image, where);
    const inode = taken(yield* fileSystem.create(folder, newName, 'file'), image, where);
    this.made.push({ folder, name: newName, kind: 'file' });
    const file = taken(yield* fileSystem.open(inode), image, where);
    this.current = new CurrentFile(this.open, this.piece, file, `${image}:${where}`, sizeBytes);
  }

  private *endFile(): Task<void> {
    const { current } = this;
    if (current === null) return;
    this.current = null;
    this.bytes += yield* current.finish();
    this.files += 1;
  }

  /** The new file takes the place of the old one. */
  private *putInPlace(): Task<void> {
    const { fileSystem, image } = this.open;
    if (this.replaced === null || this.root === null) return;
    const { folder, name } = this.root;
    if (fileSystem.rename === undefined) taken(refusedAs('EEXIST'), image, this.path);
    taken(yield* fileSystem.unlink(folder, name), image, this.path);
    const renamed = fileSystem.rename?.(folder, HALF_NAME, folder, name);
    if (renamed !== undefined) taken(yield* renamed, image, this.path);
    this.made.length = 0;
  }
}

/** The file under way: gathers bytes to pieces of 1 MiB, which go directly; the odd end of a file goes through the page cache. */
class CurrentFile {
  private filled = 0;
  /** Where the piece begins. */
  private at = 0;

  constructor(
    private readonly open: OpenPlace,
    private readonly piece: Piece,
    private readonly file: OpenFile,
    private readonly where: string,
    private readonly sizeBytes: number | null,
  ) {}

  *write(bytes: Uint8Array): Task<void> {
    for (let from = 0; from < bytes.length;) {
      const count = Math.min(PIECE_BYTES - this.filled, bytes.length - from);
      this.piece.bytes.set(bytes.subarray(from, from + count), this.filled);
      this.filled += count;
      from += count;
      if (this.filled === PIECE_BYTES) yield* this.flush();
    }
  }

  *skip(lengthBytes: number): Task<void> {
    if (this.filled % PAGE_BYTES !== 0) throw badOrder(this.where);
    yield* this.flush();
    this.at += lengthBytes;
  }

  /** Returns the size of the file. */
  *finish(): Task<number> {
    const { file, open } = this;
    yield* this.flush();
    const sizeBytes = this.sizeBytes ?? this.at;
    if (file.inode.sizeBytes !== sizeBytes) {
      const status = yield* open.fileSystem.truncate(file.inode, sizeBytes);
      if (status < 0) throw ioError(this.where, 'setting the size of the file', status);
    }
    const status = yield* file.fsync(false);
    if (status < 0) throw ioError(this.where, 'writing back', status);
    return sizeBytes;
  }

  private *flush(): Task<void> {
    const whole = Math.floor(this.filled / PAGE_BYTES) * PAGE_BYTES;
    const rest = this.filled - whole;
    if (whole > 0) yield* this.send(whole, true);
    if (rest > 0) {
      this.piece.bytes.copyWithin(0, whole, this.filled);
      yield* this.send(rest, false);
    }
    this.filled = 0;
  }

  private *send(lengthBytes: number, isDirect: boolean): Task<void> {
    const { file, at } = this;
    const iter = this.piece.iter('write', lengthBytes);
    const started = file.write(kiocb(file.inode, at, isDirect), iter);
    const count = isTask(started) ? yield* started : started;
    if (count !== lengthBytes) {
      throw ioError(this.where, `writing at byte ${String(at)}`, count < 0 ? count : -28);
    }
    this.at += lengthBytes;
  }
}

const refusedAs = (error: 'EEXIST') => ({ ok: false, error }) as const;

function raise(error: HostError): never {
  throw error;
}

/** A sender that does not keep to the order of the parts. */
const badOrder = (where: string): HostError =>
  new HostError({
    code: 'transfer.bad-order',
    message: `${where}: a part of the copy does not follow from the one before`,
    where,
    hint: `A folder comes before what is in it, and a hole at a multiple of ${String(PAGE_BYTES)} bytes.`,
    exitCode: 70,
  });
