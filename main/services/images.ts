// SPDX-License-Identifier: GPL-2.0-only
/**
 * Images: look at them, make them, read and write the files inside. All work inside an image is done by the tools process.
 *
 * How an image is made, so that a name never shows half a file system and no existing file is ever touched:
 *   temporary file (O_EXCL) --size, content--> format in the engine process --fsync--> link to its name (fails where it exists)
 *   --> fsync of the folder --> remembered as ours.        Whatever fails on the way: the temporary file is removed.
 */
import { randomBytes } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { access, link, lstat, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import { FILE_SYSTEMS } from '../../engine/lab/lists.ts';
import type { LayoutRecipe } from '../../engine/lab/workbench.ts';
import type { FileSystemModule } from '../../engine/vfs/index.ts';
import type { FileMap, ImageEntry, ImageInfo } from '../contract/types.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { failureData } from '../host/failure.ts';
import {
  fileError,
  makeFolder,
  readJson,
  syncFile,
  syncFolder,
  temporaryName,
  writeJson,
} from './durable.ts';
import type { MadeImages } from './made-images.ts';
import type { Paths } from './paths.ts';
import { runSystemMkfs } from './workbench/system-mkfs.ts';

export interface MakeImage {
  /** Absolute; null: in the lab's own folder, named `name`. */
  readonly path: string | null;
  readonly name: string | null;
  readonly sizeBytes: number;
  readonly fileSystemId: string;
  readonly options: Readonly<Record<string, number | string | boolean>>;
  /** Takes every block of the host at once; absent: a sparse file. */
  readonly preallocate?: boolean | undefined;
  /** Files to lay out in it. */
  readonly recipe?: LayoutRecipe | null | undefined;
  /** Whose mkfs; absent: the lab's. */
  readonly formatter?: 'lab' | 'system' | undefined;
}
export interface MakeImageHow {
  /** Puts the new image in the place of an existing regular file. The person has said so. */
  readonly replaceExisting?: boolean;
  readonly signal?: AbortSignal;
  /** Told what a recipe asked for and could not have. */
  readonly onNotes?: (notes: readonly string[]) => void;
}

const RECENT_MAX = 20;
const FILL_BYTES = 1024 * 1024;
const ENTRIES_MAX = 5000;
const ALLOCATED_UNIT_BYTES = 512n;

const plainErrno = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

function refuseRelative(path: string): void {
  if (isAbsolute(path) && !path.includes('\0')) return;
  throw new HostError({
    code: 'image.bad-path',
    message: `${JSON.stringify(path)} is not an absolute path`,
    where: path,
    hint: 'Give the whole path, from /.',
    exitCode: 64,
  });
}

function exists(path: string): HostError {
  return new HostError({
    code: 'image.exists',
    message: `${path} exists already and is left as it is`,
    where: path,
    hint: 'Choose another name, or say that it may be replaced (--force).',
    exitCode: 73,
  });
}

/** True where the lab can make an image with this file system; a raw one needs no format. */
export const canMake = (module: FileSystemModule): boolean =>
  module.format !== undefined || module.id === 'raw';

function assertCanMake(ask: MakeImage): void {
  const module = FILE_SYSTEMS.find(({ id }) => id === ask.fileSystemId);
  const isSystem = ask.formatter === 'system';
  if (module !== undefined && (isSystem || canMake(module))) return;
  throw new HostError({
    code: module === undefined ? 'file-system.unknown' : 'file-system.cannot-format',
    message: `${ask.fileSystemId} is no file system that the lab can make`,
    where: ask.fileSystemId,
    hint: `It can make ${FILE_SYSTEMS.filter(canMake)
      .map(({ id }) => id)
      .join(', ')}; the host's own mkfs may make others.`,
    exitCode: 65,
  });
}

export class Images {
  constructor(
    private readonly paths: Paths,
    private readonly made: MadeImages,
    private readonly engine: EngineHost,
  ) {}

  /** What `path` holds. What cannot be used now has `refusal`; a path that does not exist is thrown. */
  async probe(path: string): Promise<ImageInfo> {
    refuseRelative(path);
    const stats = await this.stat(path);
    const mayWrite = await access(path, constants.W_OK).then(
      () => true,
      () => false,
    );
    const known = {
      path,
      sizeBytes: Number(stats.size),
      allocatedBytes: Number(stats.blocks * ALLOCATED_UNIT_BYTES),
      madeByLab: await this.made.has(stats),
      writable: mayWrite,
    };
    try {
      return { ...known, refusal: null, ...(await this.engine.call('probe', { path })) };
    } catch (error) {
      return { ...known, ...UNKNOWN, refusal: failureData(error) };
    }
  }

  /** The lab's own images and those used lately, as far as they are still there. */
  async list(): Promise<ImageInfo[]> {
    const own = await readdir(this.paths.images).catch(() => []);
    const recent = await this.recent();
    const candidates = new Set([
      ...own.filter((name) => !name.startsWith('.')).map((name) => join(this.paths.images, name)),
      ...(await this.made.paths()),
      ...recent,
    ]);
    const found: ImageInfo[] = [];
    for (const path of candidates) {
      const stats = await lstat(path).catch(() => null);
      if (stats?.isFile() === true) found.push(await this.probe(path));
    }
    return found;
  }

  /** Remembers an image as used now. */
  async noteUse(path: string): Promise<void> {
    const others = (await this.recent()).filter((one) => one !== path);
    await makeFolder(this.paths.state);
    await writeJson(
      join(this.paths.state, 'recent-images.json'),
      [path, ...others].slice(0, RECENT_MAX),
    );
  }

  /** Takes an image off the list of those used lately. The file stays. */
  async forget(path: string): Promise<void> {
    const recent = await this.recent();
    if (!recent.includes(path)) return;
    await writeJson(
      join(this.paths.state, 'recent-images.json'),
      recent.filter((one) => one !== path),
    );
  }

  /** Makes a new image; refuses an existing file. */
  async make(ask: MakeImage, how: MakeImageHow = {}): Promise<ImageInfo> {
    const path = await this.pathFor(ask);
    const folder = dirname(path);
    const replaced = await this.checkPlace(path, how.replaceExisting ?? false);
    assertCanMake(ask);
    const temporary = temporaryName(path);
    try {
      const isRaw = ask.fileSystemId === 'raw';
      await this.layOut(temporary, path, ask.sizeBytes, isRaw, how.signal);
      if (!isRaw) await this.format(temporary, ask, how);
      // Afterwards: a mkfs gives back what it does not need.
      if (ask.preallocate === true && !isRaw) await this.preallocate(temporary, ask.sizeBytes);
      await syncFile(temporary);
      if (replaced) await rename(temporary, path);
      else await this.linkInto(temporary, path);
      await syncFolder(folder);
    } catch (error) {
      throw renamed(fileError(error, 'make the image', path), temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    await this.made.add(path);
    return this.probe(path);
  }

  /** Makes the file system, and the files that were asked for. */
  private async format(temporary: string, ask: MakeImage, how: MakeImageHow): Promise<void> {
    const { fileSystemId, options, recipe } = ask;
    if (ask.formatter === 'system') {
      await runSystemMkfs(temporary, fileSystemId, options, how.signal);
    } else {
      await this.engine.call('format', { path: temporary, fileSystemId, options });
    }
    if (recipe === undefined || recipe === null) return;
    const place = { path: temporary, partition: null };
    const laidOut = await this.engine.receiveParts(
      { name: 'lay-out', ask: { ...place, recipe } },
      () => Promise.resolve(),
      how.signal,
    );
    how.onNotes?.(laidOut.notes);
  }

  /** Blocks of the host for the whole file: by fallocate where it has that, else by writing what is there. */
  private async preallocate(temporary: string, sizeBytes: number): Promise<void> {
    const { allocateFile } = await import('../host/native/holes.ts');
    const handle = await open(temporary, 'r+');
    try {
      if (allocateFile(handle.fd, sizeBytes, temporary)) return;
      const bytes = Buffer.allocUnsafe(FILL_BYTES);
      for (let at = 0; at < sizeBytes; at += FILL_BYTES) {
        const { bytesRead } = await handle.read(bytes, 0, FILL_BYTES, at);
        await handle.write(bytes, 0, bytesRead, at);
      }
    } finally {
      await handle.close();
    }
  }

  async entries(
    path: string,
    folder: string,
    partition: number | null = null,
  ): Promise<ImageEntry[]> {
    refuseRelative(path);
    return this.engine.call('list', { path, folder, partition });
  }

  async map(path: string, file: string, partition: number | null = null): Promise<FileMap> {
    refuseRelative(path);
    return this.engine.call('map', { path, file, partition });
  }

  /** Content of a file inside an image, in pieces of at most 1 MiB. */
  async readFile(
    path: string,
    file: string,
    onData: (bytes: Uint8Array) => Promise<void>,
    partition: number | null = null,
  ): Promise<void> {
    refuseRelative(path);
    await this.engine.readFile({ path, file, partition }, onData);
  }

  /** Makes or replaces a file inside an image. An image that the lab did not make needs `consent`. */
  async writeFile(
    path: string,
    file: string,
    content: AsyncIterable<Uint8Array>,
    consent: boolean,
    partition: number | null = null,
  ): Promise<void> {
    refuseRelative(path);
    if (!consent) await this.assertOurs(path);
    const iterator = content[Symbol.asyncIterator]();
    try {
      await this.engine.writeFile({ path, file, partition }, async () => {
        const next = await iterator.next();
        return next.done === true ? null : next.value;
      });
    } finally {
      await iterator.return?.();
    }
  }

  /** True where the lab made the file. A path that does not exist is thrown. */
  async isOurs(path: string): Promise<boolean> {
    return this.made.has(await this.stat(path));
  }

  /** Throws 'image.consent' for an image that the lab did not make. */
  async assertOurs(path: string): Promise<void> {
    if (await this.isOurs(path)) return;
    throw new HostError(consentProblem(path));
  }

  /** Folders and files of the host, for choosing an image. Null: the person's home. */
  async browse(folder: string | null): Promise<{
    folder: string;
    parent: string | null;
    entries: { name: string; path: string; kind: 'folder' | 'file'; sizeBytes: number }[];
  }> {
    const here = folder ?? homedir();
    refuseRelative(here);
    let names: string[];
    try {
      names = await readdir(here);
    } catch (error) {
      throw fileError(error, 'list the folder', here);
    }
    const visible = names.filter((name) => !name.startsWith('.')).sort();
    const entries = await Promise.all(
      visible.slice(0, ENTRIES_MAX).map(async (name) => {
        const path = join(here, name);
        // What cannot be looked at (a dangling link, no permission) cannot be chosen either.
        const stats = await stat(path).catch(() => null);
        if (stats?.isDirectory() === true)
          return { name, path, kind: 'folder' as const, sizeBytes: 0 };
        if (stats?.isFile() === true)
          return { name, path, kind: 'file' as const, sizeBytes: stats.size };
        return null;
      }),
    );
    const parent = dirname(here);
    return {
      folder: here,
      parent: parent === here ? null : parent,
      entries: entries
        .filter((entry) => entry !== null)
        .sort((a, b) =>
          a.kind === b.kind ? a.name.localeCompare(b.name) : a.kind === 'folder' ? -1 : 1,
        ),
    };
  }

  /** Where the images lie that the lab knows. */
  async folders(): Promise<string[]> {
    const known = [...(await this.made.paths()), ...(await this.recent())];
    return [...new Set([this.paths.images, ...known.map((path) => dirname(path))])];
  }

  private async recent(): Promise<string[]> {
    const stored = await readJson(join(this.paths.state, 'recent-images.json'));
    return Array.isArray(stored) ? stored.filter((one) => typeof one === 'string') : [];
  }

  private async stat(path: string): Promise<BigIntStats> {
    try {
      return await lstat(path, { bigint: true });
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(plainErrno(error)))
        throw fileError(error, 'look at', path);
      throw new HostError({
        code: 'image.missing',
        message: `${path} does not exist`,
        where: path,
        hint: 'diolab mkfs makes an image.',
        exitCode: 66,
      });
    }
  }

  /** Where a new image goes. */
  private async pathFor(ask: MakeImage): Promise<string> {
    if (ask.path !== null) {
      refuseRelative(ask.path);
      return ask.path;
    }
    const name = ask.name ?? `${ask.fileSystemId}-${randomBytes(3).toString('hex')}.img`;
    if (basename(name) !== name || name.startsWith('.') || name.includes('\0')) {
      throw new HostError({
        code: 'image.bad-name',
        message: `${JSON.stringify(name)} is not a name for an image`,
        where: 'name',
        hint: 'A file name without a slash and without a dot at its start.',
        exitCode: 64,
      });
    }
    await makeFolder(this.paths.images);
    return join(this.paths.images, name);
  }

  /** True where an existing file is to be replaced and may be. */
  private async checkPlace(path: string, mayReplace: boolean): Promise<boolean> {
    const there = await lstat(path).catch((error: unknown) => {
      if (plainErrno(error) === 'ENOENT') return null;
      throw fileError(error, 'make the image', path);
    });
    if (there === null) {
      await this.checkFolder(path);
      return false;
    }
    if (!mayReplace || !there.isFile()) throw exists(path);
    const { refusal } = await this.probe(path);
    if (refusal !== null) throw HostError.fromJSON(refusal);
    return true;
  }

  /** The lab makes no folders outside its own. */
  private async checkFolder(path: string): Promise<void> {
    const folder = dirname(path);
    const stats = await stat(folder).catch((error: unknown) => {
      if (['ENOENT', 'ENOTDIR'].includes(plainErrno(error))) return null;
      throw fileError(error, 'make the image', path);
    });
    if (stats?.isDirectory() === true) return;
    throw new HostError({
      code: 'image.no-folder',
      message: `${path} cannot be made: ${folder} is ${stats === null ? 'not there' : 'no folder'}`,
      where: path,
      hint: 'Make the folder first, or name the image elsewhere.',
      exitCode: 73,
    });
  }

  /**
   * Makes the file in its size. A raw image is filled (holes and unwritten blocks would be read from nowhere, not from the disk); one
   * with a file system stays sparse, as its files are written when they are laid out.
   */
  private async layOut(
    temporary: string,
    path: string,
    sizeBytes: number,
    isFilled: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    if (isFilled) await this.assertSpace(path, sizeBytes);
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.truncate(sizeBytes);
      const block = isFilled ? randomBytes(FILL_BYTES) : null;
      for (let at = 0; block !== null && at < sizeBytes; at += FILL_BYTES) {
        signal?.throwIfAborted();
        const length = Math.min(FILL_BYTES, sizeBytes - at);
        // Each block says where it is, so that no two are the same.
        block.writeDoubleLE(at, 0);
        const { bytesWritten } = await handle.write(block, 0, length, at);
        if (bytesWritten !== length) {
          throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
        }
      }
    } finally {
      await handle.close();
    }
  }

  private async assertSpace(path: string, sizeBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(dirname(path));
    if (bavail * bsize >= sizeBytes) return;
    throw new HostError({
      code: 'host.no-space',
      message: `An image of ${String(sizeBytes)} bytes does not fit: ${String(bavail * bsize)} bytes are free`,
      where: dirname(path),
      hint: 'Make it smaller, or choose a folder on another disk.',
      exitCode: 73,
      data: { errno: 'ENOSPC' },
    });
  }

  /** Gives the file its name, which must not exist: link refuses an existing one, rename would not. */
  private async linkInto(temporary: string, path: string): Promise<void> {
    try {
      await link(temporary, path);
    } catch (error) {
      if (plainErrno(error) === 'EEXIST') throw exists(path);
      if (!['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(plainErrno(error)))
        throw error;
      // No hard links here: take the name first, then put the file on it.
      const handle = await open(path, 'wx').catch((refusal: unknown) => {
        throw plainErrno(refusal) === 'EEXIST' ? exists(path) : refusal;
      });
      await handle.close();
      await rename(temporary, path);
    }
  }
}

const UNKNOWN = {
  fileSystemId: 'unknown',
  probe: null,
  isDirect: false,
  directRefusedWhy: null,
  offsetAlignBytes: 0,
  memoryAlignBytes: 0,
} as const;

const CONSENT_HINT =
  'say that it may be written: --consent in the terminal, consent_to_write: true in an experiment file.';

/** The rule of every file that is not ours. */
export const consentProblem = (path: string): HostErrorData => ({
  code: 'image.consent',
  message: `${path} was not made by the lab, and this would change what is in it`,
  where: path,
  hint: `Work on a copy or a new image, or ${CONSENT_HINT}`,
  exitCode: 77,
});

/** What a run on the whole image is told where it would write over the file system in it. */
export const overwriteProblem = (path: string, fileSystemId: string): HostErrorData => ({
  code: 'image.consent',
  message: `${path} holds an ${fileSystemId} file system, and this would write over it`,
  where: path,
  hint: `Name a file inside it (file: /data), or ${CONSENT_HINT}`,
  exitCode: 77,
});

/** An error about the temporary file is about the image that it was to become. */
function renamed(error: unknown, temporary: string, path: string): unknown {
  if (!(error instanceof HostError)) return error;
  return new HostError({
    ...error.toJSON(),
    message: error.message.replaceAll(temporary, path),
    where: error.where === temporary ? path : (error.where ?? path),
  });
}
