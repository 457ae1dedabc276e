// SPDX-License-Identifier: GPL-2.0-only
/**
 * Opens image files on macOS and Windows, by the same rules as on Linux as far as the system has them: regular files only, no links,
 * locked by the open itself, the file that was looked at. Loop devices, mounts and swap cannot be seen there: that is said by the doctor.
 */
import type { BigIntStats } from 'node:fs';
import { HostError } from '../../../../engine/base/index.ts';
import type { ImageFilePort, OpenImage } from '../../../../engine/devices/contract.ts';
import type { Platform, PlatformCalls } from './platforms.ts';

/** As much of node:fs as opening takes. */
export interface OpeningFiles {
  openSync(path: string, flags: number): number;
  closeSync(fd: number): void;
  fstatSync(fd: number, options: { bigint: true }): BigIntStats;
  lstatSync(path: string, options: { bigint: true }): BigIntStats;
}

const EXIT = { noInput: 66, io: 74, permission: 77 } as const;

function refusal(platform: Platform, path: string, error: unknown): HostError {
  const code = (error as { code?: string }).code ?? String(error);
  const make = (name: string, message: string, hint: string, exitCode: number): HostError =>
    new HostError({ code: name, message, where: path, hint, exitCode });
  if (platform.lockedCodes.includes(code)) {
    return make('image.in-use', `${path} is in use: another program has it open or locked`, 'Close that program first.', EXIT.permission);
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return make('image.missing', `${path} does not exist`, 'diolab mkfs makes an image.', EXIT.noInput);
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return make('image.permission', `${path} may not be opened`, 'Change its owner or its rights, or use a copy.', EXIT.permission);
  }
  if (code === 'ELOOP') return notRegular(path);
  return make('image.open-failed', `${path} cannot be opened: ${code}`, 'See what the system says of its disk.', EXIT.io);
} // prettier-ignore

const notRegular = (path: string): HostError =>
  new HostError({
    code: 'image.not-regular',
    message: `${path} is not an image file`,
    where: path,
    hint: 'An image is a regular file, not a link or a device.',
    exitCode: EXIT.noInput,
  });

class ElsewhereImage implements OpenImage {
  private closed = false;
  constructor(
    private readonly files: OpeningFiles,
    private readonly platform: Platform,
    readonly path: string,
    readonly fd: number,
    private readonly opened: BigIntStats,
    readonly isReadOnly: boolean,
    readonly directRefusedWhy: string | null,
  ) {}
  get sizeBytes(): number {
    return Number(this.opened.size);
  }
  get isDirect(): boolean {
    return this.directRefusedWhy === null;
  }
  get offsetAlignBytes(): number {
    return this.platform.offsetAlignBytes;
  }
  get memoryAlignBytes(): number {
    return this.platform.memoryAlignBytes;
  }
  changedWhy(): string | null {
    const now = this.files.fstatSync(this.fd, { bigint: true });
    if (now.size !== this.opened.size) {
      return `${this.path} had ${String(this.opened.size)} bytes when it was opened and has ${String(now.size)}: another program changed it`;
    }
    return this.isReadOnly && now.mtimeNs !== this.opened.mtimeNs
      ? `${this.path} was written by another program while it was open for reading`
      : null;
  }
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.files.closeSync(this.fd);
  }
}

export function elsewhereImageFiles(
  platform: Platform,
  files: OpeningFiles,
  calls: PlatformCalls,
): ImageFilePort {
  return {
    open(path, options) {
      let fd: number;
      let before: BigIntStats;
      try {
        before = files.lstatSync(path, { bigint: true });
        if (!before.isFile()) throw notRegular(path);
        fd = files.openSync(path, platform.openFlags(options));
      } catch (error) {
        throw error instanceof HostError ? error : refusal(platform, path, error);
      }
      try {
        const stats = files.fstatSync(fd, { bigint: true });
        if (!stats.isFile() || stats.dev !== before.dev || stats.ino !== before.ino) {
          throw notRegular(path);
        }
        const why = options.direct
          ? platform.settleDirect(calls, fd)
          : 'direct I/O was not asked for';
        return new ElsewhereImage(files, platform, path, fd, stats, options.readOnly, why);
      } catch (error) {
        files.closeSync(fd);
        throw error;
      }
    },
  };
}
