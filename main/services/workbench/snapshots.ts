// SPDX-License-Identifier: GPL-2.0-only
/**
 * Snapshots of images: whole copies in the data folder, by reflink where the host can. Each is an image file and a small file about it;
 * the small one is written last, so that a snapshot is there whole or not at all.
 *
 *   take:    image --copy--> .tmp --rename--> ID.img --about--> ID.json
 *   restore: snapshot --copy--> .tmp beside the image; image --link or copy--> NEW.img, NEW.json; .tmp --rename--> image
 *
 * Rules: 1. An image that somebody uses is neither copied nor replaced. 2. What a restore or a deletion takes away is a snapshot
 * itself, and so can be had back. 3. After a crash at any point the image is the old or the new one, whole.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, link, lstat, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { SnapshotInfo } from '../../contract/workbench.ts';
import {
  fileError,
  makeFolder,
  readJson,
  syncFolder,
  temporaryName,
  writeJson,
} from '../durable.ts';
import type { MadeImages } from '../made-images.ts';
import { allocatedBytes, copyImage } from './copies.ts';

interface About {
  readonly version: 1;
  readonly id: string;
  readonly imagePath: string;
  readonly createdAtUnixMs: number;
  readonly method: 'reflink' | 'copy';
  readonly note: string;
  /** The lab made the image. */
  readonly isOurs: boolean;
  /** The image itself is gone: this goes at the next start but one. */
  readonly isDeleted: boolean;
}

const ID = /^[0-9a-z]{6,12}-[0-9a-f]{8}$/;
/** How long what was deleted can be had back. */
const KEEP_DELETED_MS = 24 * 3600 * 1000;

export interface SnapshotsParts {
  readonly folder: string;
  readonly made: MadeImages;
  /** Throws where somebody uses the image, or it is none. */
  readonly assertFree: (path: string) => Promise<void>;
}

export class Snapshots {
  constructor(private readonly parts: SnapshotsParts) {}

  /** All, or those of one image; the latest first. */
  async list(imagePath: string | null): Promise<SnapshotInfo[]> {
    const names = await readdir(this.parts.folder).catch(() => []);
    const found: SnapshotInfo[] = [];
    for (const name of names.filter((entry) => entry.endsWith('.json'))) {
      const about = await this.about(name.slice(0, -'.json'.length));
      if (about === null || (imagePath !== null && about.imagePath !== imagePath)) continue;
      found.push(await this.info(about));
    }
    return found.sort((a, b) => b.createdAtUnixMs - a.createdAtUnixMs || (a.id < b.id ? 1 : -1));
  }

  /** Copies the image as it is now. */
  async take(imagePath: string, note: string, signal?: AbortSignal): Promise<SnapshotInfo> {
    await this.parts.assertFree(imagePath);
    await makeFolder(this.parts.folder);
    const about = await this.newAbout(imagePath, note, false);
    const path = this.imageOf(about.id);
    const temporary = temporaryName(path);
    const method = await copyImage(imagePath, temporary, signal);
    await rename(temporary, path);
    return this.keep({ ...about, method });
  }

  /** Puts the content back into its image. Returns the snapshot of what was there before; null: the image was gone. */
  async restore(id: string, signal?: AbortSignal): Promise<SnapshotInfo | null> {
    const about = await this.known(id);
    const { imagePath } = about;
    const old = await lstat(imagePath).catch(() => null);
    if (old !== null) await this.parts.assertFree(imagePath);
    const temporary = temporaryName(imagePath);
    await copyImage(this.imageOf(id), temporary, signal);
    let kept: SnapshotInfo | null = null;
    try {
      if (old !== null) {
        await chmod(temporary, old.mode & 0o7777);
        if (process.getuid?.() === 0) await chown(temporary, old.uid, old.gid);
        kept = await this.moveIn(imagePath, `Before the restore of ${id}`, false, signal);
      }
      const isOurs = old === null ? about.isOurs : await this.isOurs(imagePath);
      await rename(temporary, imagePath);
      await syncFolder(dirname(imagePath));
      if (isOurs) await this.parts.made.add(imagePath);
    } catch (error) {
      await rm(temporary, { force: true });
      throw fileError(error, 'put the snapshot back', imagePath);
    }
    return kept;
  }

  /** Takes the image away; it can be had back by `restore` for a day. */
  async takeAway(imagePath: string): Promise<SnapshotInfo> {
    await this.parts.assertFree(imagePath);
    const kept = await this.moveIn(imagePath, 'Deleted image', true);
    await rm(imagePath);
    await syncFolder(dirname(imagePath));
    return kept;
  }

  async remove(id: string): Promise<boolean> {
    if ((await this.about(id)) === null) return false;
    // The file about it first: an image without one is no snapshot, and goes at the next start.
    await rm(join(this.parts.folder, `${id}.json`), { force: true });
    await rm(this.imageOf(id), { force: true });
    await syncFolder(this.parts.folder);
    return true;
  }

  /** At the start: removes what an interrupted copy left behind, and images that were deleted more than a day ago. */
  async purge(): Promise<void> {
    const names = await readdir(this.parts.folder).catch(() => []);
    for (const name of names) {
      const path = join(this.parts.folder, name);
      const stats = await lstat(path).catch(() => null);
      const isOld = stats !== null && Date.now() - stats.mtimeMs > KEEP_DELETED_MS;
      if (!isOld) continue;
      if (name.endsWith('.tmp')) await rm(path, { force: true });
      const id = name.replace(/\.(json|img)$/, '');
      const about = await this.about(id);
      if (name.endsWith('.img') && about === null) await rm(path, { force: true });
      if (name.endsWith('.json') && about?.isDeleted === true) await this.remove(id);
    }
  }

  private imageOf(id: string): string {
    return join(this.parts.folder, `${id}.img`);
  }

  private async isOurs(path: string): Promise<boolean> {
    return this.parts.made.has(await lstat(path, { bigint: true }));
  }

  private async newAbout(imagePath: string, note: string, isDeleted: boolean): Promise<About> {
    const createdAtUnixMs = Date.now();
    return {
      version: 1,
      id: `${createdAtUnixMs.toString(36)}-${randomBytes(4).toString('hex')}`,
      imagePath,
      createdAtUnixMs,
      method: 'copy',
      note,
      isOurs: await this.isOurs(imagePath),
      isDeleted,
    };
  }

  /** The image's own file as a snapshot, by a second name where that goes: the caller takes the first one away. */
  private async moveIn(
    imagePath: string,
    note: string,
    isDeleted: boolean,
    signal?: AbortSignal,
  ): Promise<SnapshotInfo> {
    await makeFolder(this.parts.folder);
    const about = await this.newAbout(imagePath, note, isDeleted);
    const path = this.imageOf(about.id);
    let { method } = about;
    try {
      await link(imagePath, path);
    } catch (error) {
      const errno = (error as NodeJS.ErrnoException).code ?? '';
      if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errno))
        throw error;
      method = await copyImage(imagePath, path, signal);
    }
    return this.keep({ ...about, method });
  }

  private async keep(about: About): Promise<SnapshotInfo> {
    try {
      await syncFolder(this.parts.folder);
      await writeJson(join(this.parts.folder, `${about.id}.json`), about);
    } catch (error) {
      await rm(this.imageOf(about.id), { force: true });
      throw error;
    }
    return this.info(about);
  }

  private async info(about: About): Promise<SnapshotInfo> {
    const stats = await lstat(this.imageOf(about.id), { bigint: true });
    const { id, imagePath, createdAtUnixMs, method, note } = about;
    return {
      id,
      imagePath,
      createdAtUnixMs,
      sizeBytes: Number(stats.size),
      allocatedBytes: allocatedBytes(stats),
      method,
      note,
    };
  }

  /** Null: there is no such snapshot, or a crash left only a second name of the image itself. */
  private async about(id: string): Promise<About | null> {
    if (!ID.test(id)) return null;
    const about = (await readJson(join(this.parts.folder, `${id}.json`))) as About | null;
    if (about?.version !== 1) return null;
    const stats = await lstat(this.imageOf(id)).catch(() => null);
    if (stats?.isFile() !== true) return null;
    const image = await lstat(about.imagePath).catch(() => null);
    return image !== null && image.ino === stats.ino && image.dev === stats.dev ? null : about;
  }

  private async known(id: string): Promise<About> {
    const about = await this.about(id);
    if (about !== null) return about;
    throw new HostError({
      code: 'snapshot.unknown',
      message: `There is no snapshot ${id}`,
      where: id,
      hint: 'diolab snapshot list names them.',
      exitCode: 66,
    });
  }
}
