// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files and folders of the host as parts of a transfer: read with their holes, and written whole or not at all (under another name
 * first). Links are not followed.
 */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { TransferPart } from '../../../engine/lab/workbench.ts';
import { fileError, syncFolder } from '../durable.ts';

const PIECE_BYTES = 1024 * 1024;
const DEPTH_MAX = 128;

async function statOf(path: string): Promise<Stats> {
  try {
    return await lstat(path);
  } catch (error) {
    throw fileError(error, 'read it', path);
  }
}

/** Bytes of all regular files below, and whether `without` (an image) is among them. */
export async function measureHostTree(path: string, depth = 0): Promise<number> {
  const stats = await statOf(path);
  if (stats.isFile()) return stats.size;
  if (!stats.isDirectory() || depth > DEPTH_MAX) return 0;
  let sum = 0;
  for (const name of await readdir(path)) sum += await measureHostTree(join(path, name), depth + 1);
  return sum;
}

/** Reads a file or a folder of the host. What is neither is a note; as the start of it, it is refused. */
export async function* readHostTree(
  hostPath: string,
  /** The image that it goes into, which is left out. */
  image: string,
): AsyncGenerator<TransferPart> {
  const stats = await statOf(hostPath);
  if (!stats.isFile() && !stats.isDirectory()) {
    throw new HostError({
      code: 'input.not-a-file',
      message: `${hostPath} is neither a regular file nor a folder`,
      where: hostPath,
      hint: 'Name a regular file or a folder of this machine; links are not followed.',
      exitCode: 66,
    });
  }
  const target = await statOf(image);
  yield* readEntry(hostPath, '', stats, target, 0);
}

async function* readEntry(
  hostPath: string,
  path: string,
  stats: Stats,
  image: Stats,
  depth: number,
): AsyncGenerator<TransferPart> {
  if (stats.isDirectory()) {
    if (depth > DEPTH_MAX) {
      yield {
        kind: 'note',
        text: `${hostPath} is more than ${String(DEPTH_MAX)} folders deep and was left out.`,
      };
      return;
    }
    yield { kind: 'folder', path };
    const names = await readdir(hostPath).catch((error: unknown) => {
      throw fileError(error, 'list the folder', hostPath);
    });
    for (const name of names.sort()) {
      const inner = join(hostPath, name);
      const innerPath = path === '' ? name : `${path}/${name}`;
      yield* readEntry(inner, innerPath, await statOf(inner), image, depth + 1);
    }
  } else if (stats.isFile()) {
    if (stats.ino === image.ino && stats.dev === image.dev) {
      yield { kind: 'note', text: `${hostPath} is the image itself and was left out.` };
    } else yield* readFileParts(hostPath, path);
  } else {
    yield { kind: 'note', text: `${hostPath} is neither a file nor a folder and was left out.` };
  }
}

async function* readFileParts(hostPath: string, path: string): AsyncGenerator<TransferPart> {
  let handle: FileHandle;
  try {
    handle = await open(hostPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw fileError(error, 'read the file', hostPath);
  }
  try {
    const { nextDataRange } = await import('../../host/native/holes.ts');
    const { size: sizeBytes } = await handle.stat();
    yield { kind: 'file', path, sizeBytes };
    for (let at = 0; at < sizeBytes;) {
      const range = nextDataRange(handle.fd, at, sizeBytes);
      const start = range?.startBytes ?? sizeBytes;
      if (start > at) yield { kind: 'hole', lengthBytes: start - at };
      at = start;
      while (range !== null && at < range.endBytes) {
        const bytes = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, range.endBytes - at));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, at);
        if (bytesRead === 0) throw changed(hostPath);
        yield { kind: 'bytes', bytes: bytes.subarray(0, bytesRead) };
        at += bytesRead;
      }
    }
  } finally {
    await handle.close();
  }
}

const changed = (path: string): HostError =>
  new HostError({
    code: 'input.changed',
    message: `${path} became shorter while it was read`,
    where: path,
    hint: 'Try again when nobody writes to it.',
    exitCode: 74,
  });

/** Writes parts to the host, under another name until they are whole. */
export class HostTreeWriter {
  private readonly half: string;
  private current: FileHandle | null = null;
  private at = 0;
  private sizeBytes: number | null = null;
  private isStarted = false;

  constructor(
    private readonly hostPath: string,
    private readonly replace: boolean,
  ) {
    this.half = join(
      dirname(hostPath),
      `.${basename(hostPath)}.${randomBytes(4).toString('hex')}.part`,
    );
  }

  /** Throws where something is there that may not be replaced. */
  async check(): Promise<void> {
    const there = await lstat(this.hostPath).catch(() => null);
    if (there === null || (this.replace && there.isFile())) return;
    throw new HostError({
      code: 'output.exists',
      message: `${this.hostPath} exists already`,
      where: this.hostPath,
      hint: this.replace
        ? 'Only a regular file is replaced. Choose another name.'
        : 'Choose another name, or say that a file may be replaced.',
      exitCode: 73,
    });
  }

  async take(part: TransferPart): Promise<void> {
    try {
      await this.takePart(part);
    } catch (error) {
      throw fileError(error, 'write to the host', this.hostPath);
    }
  }

  /** Gives it its name. */
  async finish(): Promise<void> {
    try {
      await this.endFile();
      await this.check();
      await rename(this.half, this.hostPath);
      await syncFolder(dirname(this.hostPath));
    } catch (error) {
      throw fileError(error, 'write to the host', this.hostPath);
    }
  }

  /** Takes away what is not whole. */
  async undo(): Promise<void> {
    const { current } = this;
    this.current = null;
    await current?.close();
    if (this.isStarted) await rm(this.half, { recursive: true, force: true });
  }

  private async takePart(part: TransferPart): Promise<void> {
    switch (part.kind) {
      case 'folder':
        await this.endFile();
        await mkdir(this.placeOf(part.path));
        this.isStarted = true;
        break;
      case 'file':
        await this.endFile();
        this.current = await open(this.placeOf(part.path), 'wx');
        this.isStarted = true;
        this.at = 0;
        this.sizeBytes = part.sizeBytes;
        break;
      case 'bytes':
        await this.write(part.bytes);
        break;
      case 'hole':
        this.at += part.lengthBytes;
        break;
      default:
        break;
    }
  }

  private async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length;) {
      const length = bytes.length - from;
      const { bytesWritten = 0 } = (await this.current?.write(bytes, from, length, this.at)) ?? {};
      if (bytesWritten === 0) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      from += bytesWritten;
      this.at += bytesWritten;
    }
  }

  private async endFile(): Promise<void> {
    const { current } = this;
    if (current === null) return;
    await current.truncate(this.sizeBytes ?? this.at);
    await current.sync();
    this.current = null;
    await current.close();
  }

  /** No name out of an image leads anywhere else. */
  private placeOf(path: string): string {
    const names = path === '' ? [] : path.split('/');
    const isSafe = names.every(
      (name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'),
    );
    if (isSafe) return join(this.half, ...names);
    throw new HostError({
      code: 'image.bad-name',
      message: `${JSON.stringify(path)} is no path that could be made here`,
      where: this.hostPath,
      hint: 'The image may be damaged: check it with diolab fsck.',
      exitCode: 65,
    });
  }
}
