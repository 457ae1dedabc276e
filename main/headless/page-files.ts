// SPDX-License-Identifier: GPL-2.0-only
/**
 * The page's files, from the list that the build wrote (files.json: path, media type, size, SHA-256). What is not in the list is not
 * there, whatever lies in the folder; a file that is not what the list says is refused.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';

interface ListedFile {
  readonly type: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
}

export class PageFiles {
  private readonly cache = new Map<string, Promise<PageFile>>();

  private constructor(
    private readonly folder: string,
    private readonly files: ReadonlyMap<string, ListedFile>,
  ) {}

  /** Reads the list. Throws a `HostError` where the page is not built. */
  static async open(folder: string): Promise<PageFiles> {
    let text: string;
    try {
      text = await readFile(join(folder, 'files.json'), 'utf8');
    } catch {
      throw new HostError({
        code: 'web.no-page',
        message: 'The page is not built',
        where: folder,
        hint: 'Build it with `npm run build`.',
        exitCode: 78,
      });
    }
    const { files } = JSON.parse(text) as { files: Record<string, ListedFile> };
    return new PageFiles(folder, new Map(Object.entries(files)));
  }

  /** The file of a request's path, compared as it is, without decoding; null: not in the list. */
  async get(path: string): Promise<PageFile | null> {
    const key = path === '/' ? '/index.html' : path;
    const listed = this.files.get(key);
    if (listed === undefined) return null;
    let file = this.cache.get(key);
    if (file === undefined) {
      file = this.read(key, listed);
      this.cache.set(key, file);
      file.catch(() => this.cache.delete(key));
    }
    return file;
  }

  private async read(key: string, listed: ListedFile): Promise<PageFile> {
    const content = await readFile(join(this.folder, key));
    const sha256 = createHash('sha256').update(content).digest('hex');
    if (content.length === listed.sizeBytes && sha256 === listed.sha256) {
      return { type: listed.type, content };
    }
    throw new HostError({
      code: 'web.page-changed',
      message: `${key} is not the file that was built`,
      where: key,
      hint: 'Build the page again with `npm run build`.',
      exitCode: 78,
    });
  }
}
