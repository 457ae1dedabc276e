// SPDX-License-Identifier: GPL-2.0-only
/**
 * Which image files the lab made itself: only those are written without asking. One small file for each, named after the image's
 * device, inode and birth, so that processes never write the same one and another file of the same name is not mistaken for it.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BigIntStats } from 'node:fs';
import { makeFolder, readJson, writeJson } from './durable.ts';

interface MadeImage {
  readonly version: 1;
  readonly path: string;
  readonly madeAtUnixMs: number;
}

const keyOf = ({ dev, ino, birthtimeNs }: BigIntStats): string =>
  `${dev.toString(16)}-${ino.toString(16)}-${birthtimeNs.toString(16)}.json`;

export class MadeImages {
  constructor(private readonly folder: string) {}

  /** Remembers the file at `path` as made by the lab. */
  async add(path: string): Promise<void> {
    await makeFolder(this.folder);
    const stats = await stat(path, { bigint: true });
    const made: MadeImage = { version: 1, path, madeAtUnixMs: Date.now() };
    await writeJson(join(this.folder, keyOf(stats)), made);
  }

  /** True where the lab made this very file (it may have been moved since). */
  async has(stats: BigIntStats): Promise<boolean> {
    return (await readJson(join(this.folder, keyOf(stats)))) !== null;
  }

  /** Paths of those that are still where they were made. */
  async paths(): Promise<string[]> {
    const names = await readdir(this.folder).catch(() => []);
    const found: string[] = [];
    for (const name of names.filter((entry) => entry.endsWith('.json'))) {
      const path = join(this.folder, name);
      const made = (await readJson(path)) as MadeImage | null;
      if (made === null) continue;
      const stats = await stat(made.path, { bigint: true }).catch(() => null);
      if (stats !== null && keyOf(stats) === name) found.push(made.path);
    }
    return found.sort();
  }
}
