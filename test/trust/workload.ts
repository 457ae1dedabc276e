// SPDX-License-Identifier: GPL-2.0-only
/**
 * Operation lists against a model: create, write (direct, buffered, O_DSYNC), extend, truncate, punch, fallocate, rename, delete, make
 * and remove folders. The model holds every file's bytes; what the file system says must be what the model says, errno included where
 * the model knows it.
 */
import { below, type Random } from '../../engine/base/index.ts';
import type { MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';
import { stamped, type FileSystemLab } from '../support/file-system-lab.ts';
import { contentOf, walk } from './crash.ts';

export const OPERATIONS = [
  'create',
  'write-direct',
  'write-buffered',
  'write-sync',
  'extend',
  'truncate',
  'grow',
  'punch',
  'allocate',
  'zero',
  'rename',
  'delete',
  'make-folder',
  'remove-folder',
  'fsync',
  'sync',
] as const;
export type OperationName = (typeof OPERATIONS)[number];

const FILE_BYTES_MAX = 600_000;
const EOPNOTSUPP = -95;
const ENOSPC = -28;

/** One mounted file system, and what should be in it. */
export class ModelledRun {
  readonly files = new Map<string, Uint8Array>();
  private readonly folders = new Set<string>();
  private nextNumber = 1;
  /** Writes that the disk had no room for: what they left behind is the file system's affair. */
  noSpaceCount = 0;

  constructor(
    readonly lab: FileSystemLab,
    readonly fileSystem: MountedFileSystem,
    private readonly random: Random,
  ) {}

  apply(name: OperationName): void {
    switch (name) {
      case 'create':
        this.create();
        return;
      case 'write-direct':
      case 'write-buffered':
      case 'write-sync':
      case 'extend':
        this.write(name);
        return;
      case 'truncate':
      case 'grow':
        this.truncate(name === 'grow');
        return;
      case 'punch':
      case 'allocate':
      case 'zero':
        this.fallocate(name);
        return;
      case 'rename':
        this.rename();
        return;
      case 'delete':
        this.remove();
        return;
      case 'make-folder':
        this.makeFolder();
        return;
      case 'remove-folder':
        this.removeFolder();
        return;
      case 'fsync':
        this.expect(0, this.lab.run(this.open(this.somePath()).fsync(false)), 'fsync');
        return;
      case 'sync':
        this.expect(0, this.lab.run(this.fileSystem.sync()), 'sync');
    }
  }

  /** Content of every file equals the model; nothing else is there. */
  verify(): void {
    verifyFiles(this.lab, this.fileSystem, this.files);
  }

  private somePath(): string {
    const paths = [...this.files.keys()];
    return paths.length === 0 ? this.create() : (paths[below(this.random, paths.length)] as string);
  }
  private open(path: string): OpenFile {
    return this.lab.openPath(this.fileSystem, path);
  }

  private create(): string {
    const folders = ['', ...this.folders];
    const folder = folders[below(this.random, folders.length)] as string;
    const path = `${folder}file ${String(this.nextNumber++)}`;
    this.open(path);
    this.files.set(path, new Uint8Array(0));
    return path;
  }

  private write(name: OperationName): void {
    const { random, lab, files } = this;
    const path = this.somePath();
    const before = files.get(path) as Uint8Array;
    const isDirect = name === 'write-direct' || (name === 'extend' && random.next32() % 2 === 0);
    const unit = isDirect ? 512 : 1;
    const reach = name === 'extend' ? before.length : below(random, before.length + 60_000);
    const at = Math.floor(Math.min(reach, FILE_BYTES_MAX) / unit) * unit;
    const length = Math.ceil((1 + below(random, 70_000)) / unit) * unit;
    const data = stamped(random.next32(), at, length);
    const options = { isDirect, isDsync: name === 'write-sync' };
    const result = lab.write(this.open(path), at, data, options);
    if (result === ENOSPC || (result >= 0 && result < length)) {
      this.noSpaceCount++;
      this.takeAsItIs(path);
      return;
    }
    this.expect(length, result, `${name} of ${path} at ${String(at)}`);
    const grown = new Uint8Array(Math.max(before.length, at + length));
    grown.set(before);
    grown.set(data, at);
    files.set(path, grown);
  }

  /** After a write for which there was no room. */
  private takeAsItIs(path: string): void {
    const bytes = contentOf(this.lab, this.fileSystem, this.open(path).inode);
    if (typeof bytes === 'number') throw new Error(`${path}: errno ${String(bytes)}`);
    this.files.set(path, bytes);
  }

  private truncate(grows: boolean): void {
    const path = this.somePath();
    const before = this.files.get(path) as Uint8Array;
    const size = grows
      ? Math.min(FILE_BYTES_MAX, before.length + below(this.random, 50_000))
      : below(this.random, before.length + 1);
    const result = this.lab.run(this.fileSystem.truncate(this.open(path).inode, size));
    if (result === ENOSPC) {
      this.takeAsItIs(path);
      return;
    }
    this.expect(0, result, `truncate of ${path} to ${String(size)}`);
    const after = new Uint8Array(size);
    after.set(before.subarray(0, size));
    this.files.set(path, after);
  }

  private fallocate(name: 'punch' | 'allocate' | 'zero'): void {
    const { fileSystem, random } = this;
    const path = this.somePath();
    if (fileSystem.fallocate === undefined) return;
    const before = this.files.get(path) as Uint8Array;
    const at = below(random, before.length + 1000);
    const length = 1 + below(random, 60_000);
    const result = this.lab.run(fileSystem.fallocate(this.open(path).inode, name, at, length));
    if (result === EOPNOTSUPP) return;
    if (result === ENOSPC) {
      this.noSpaceCount++;
      this.takeAsItIs(path);
      return;
    }
    this.expect(0, result, `${name} of ${path} at ${String(at)}, ${String(length)} bytes`);
    const sizeBytes = name === 'punch' ? before.length : Math.max(before.length, at + length);
    const after = new Uint8Array(sizeBytes);
    after.set(before);
    if (name !== 'allocate')
      after.fill(0, Math.min(at, sizeBytes), Math.min(at + length, sizeBytes));
    this.files.set(path, after);
  }

  private rename(): void {
    const { fileSystem, lab } = this;
    const path = this.somePath();
    if (fileSystem.rename === undefined) return;
    const folders = ['', ...this.folders];
    const folder = folders[below(this.random, folders.length)] as string;
    const to = `${folder}moved ${String(this.nextNumber++)}`;
    const moved = lab.run(
      fileSystem.rename(this.folderOf(path), nameOf(path), this.folderOf(to), nameOf(to)),
    );
    if (!moved.ok) {
      if (moved.error === 'ENOSPC') return;
      throw new Error(`rename of ${path} to ${to}: ${moved.error}`);
    }
    this.files.set(to, this.files.get(path) as Uint8Array);
    this.files.delete(path);
  }

  private remove(): void {
    const path = this.somePath();
    const gone = this.lab.run(this.fileSystem.unlink(this.folderOf(path), nameOf(path)));
    if (!gone.ok) throw new Error(`unlink of ${path}: ${gone.error}`);
    this.files.delete(path);
  }

  private makeFolder(): void {
    const path = `folder ${String(this.nextNumber++)}`;
    this.lab.inodeAt(this.fileSystem, path, 'directory');
    this.folders.add(`${path}/`);
  }

  private removeFolder(): void {
    const { fileSystem, lab } = this;
    const [folder] = this.folders;
    if (folder === undefined || fileSystem.removeDirectory === undefined) return;
    const isEmpty = ![...this.files.keys()].some((path) => path.startsWith(folder));
    const root = lab.inodeAt(fileSystem, '/', null);
    const gone = lab.run(fileSystem.removeDirectory(root, folder.slice(0, -1)));
    if (gone.ok !== isEmpty) {
      throw new Error(`removing ${folder} ${isEmpty ? 'failed' : 'worked with files in it'}`);
    }
    if (gone.ok) this.folders.delete(folder);
  }

  private folderOf(path: string) {
    const folder = path.includes('/') ? path.slice(0, path.indexOf('/')) : '/';
    return this.lab.inodeAt(this.fileSystem, folder, null);
  }

  private expect(wanted: number, found: number, what: string): void {
    if (found !== wanted) throw new Error(`${what} gave ${String(found)}, not ${String(wanted)}`);
  }
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** What is in a mounted file system, beside what should be. */
export function verifyFiles(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  files: ReadonlyMap<string, Uint8Array>,
): void {
  const found = new Set<string>();
  for (const { path, inode } of walk(lab, fileSystem)) {
    const wanted = files.get(path);
    if (wanted === undefined) throw new Error(`${path} should not be there`);
    found.add(path);
    const bytes = contentOf(lab, fileSystem, inode);
    if (typeof bytes === 'number') throw new Error(`${path}: errno ${String(bytes)}`);
    sameBytes(path, bytes, wanted);
  }
  for (const path of files.keys()) if (!found.has(path)) throw new Error(`${path} is gone`);
}

export function sameBytes(path: string, found: Uint8Array, wanted: Uint8Array): void {
  if (Buffer.compare(found, wanted) === 0) return;
  const at = found.findIndex((byte, index) => byte !== wanted[index]);
  const sizes = `${String(found.length)} of ${String(wanted.length)} bytes`;
  throw new Error(`${path}: ${sizes}, the first wrong one is ${String(at)}`);
}

/** All pairs, then triples drawn by chance: each list begins with a file that has something in it. */
export function operationLists(
  count: number,
  random: Random,
): readonly (readonly OperationName[])[] {
  const pairs = OPERATIONS.flatMap((one) => OPERATIONS.map((two) => [one, two] as const));
  const lists: (readonly OperationName[])[] = [];
  for (let index = 0; index < count; index++) {
    const pair = count >= pairs.length ? pairs[index] : pairs[below(random, pairs.length)];
    const triple = [0, 1, 2].map(
      () => OPERATIONS[below(random, OPERATIONS.length)] as OperationName,
    );
    lists.push(pair ?? triple);
  }
  return lists;
}
