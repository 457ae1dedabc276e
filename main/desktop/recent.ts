// SPDX-License-Identifier: GPL-2.0-only
/**
 * Documents opened lately, newest first: a list of our own for the menu (Linux has no system's list that reaches it), kept as JSON in
 * the app's folder. Anything odd in the file means an empty list.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { writeWhole } from './window-state.ts';

export const RECENT_MAX = 10;
const PATH_LENGTH_MAX = 4096;

export function parseRecent(text: string): string[] {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return []; // cut short or edited by hand
  }
  if (!Array.isArray(data)) return [];
  const paths = data.filter(
    (path): path is string =>
      typeof path === 'string' && isAbsolute(path) && path.length <= PATH_LENGTH_MAX,
  );
  return [...new Set(paths)].slice(0, RECENT_MAX);
}

export class RecentDocuments {
  private list: readonly string[];

  constructor(
    private readonly file: string,
    private readonly onChange: (paths: readonly string[]) => void,
  ) {
    try {
      this.list = parseRecent(readFileSync(file, 'utf8'));
    } catch {
      this.list = []; // the first start
    }
  }

  get paths(): readonly string[] {
    return this.list;
  }
  add(path: string): void {
    this.set([path, ...this.list.filter((each) => each !== path)].slice(0, RECENT_MAX));
  }
  /** A document that is not there any more. */
  drop(path: string): void {
    if (this.list.includes(path)) this.set(this.list.filter((each) => each !== path));
  }
  clear(): void {
    this.set([]);
  }
  private set(paths: readonly string[]): void {
    this.list = paths;
    writeWhole(this.file, `${JSON.stringify(paths)}\n`);
    this.onChange(paths);
  }
}
