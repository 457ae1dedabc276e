// SPDX-License-Identifier: GPL-2.0-only
/** Paths inside an image, and the entries of a folder: joined, parted, sorted and filtered. Pure. */
import type { ImageEntry } from '../../../main/contract/index.ts';

export const joinPath = (folder: string, name: string): string =>
  folder === '/' ? `/${name}` : `${folder}/${name}`;
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
/** The folders above and the folder itself, the root first. */
export function crumbsOf(
  folder: string,
): readonly { readonly name: string; readonly path: string }[] {
  const crumbs = [{ name: '/', path: '/' }];
  let path = '';
  for (const name of folder.split('/').filter((part) => part !== '')) {
    path += `/${name}`;
    crumbs.push({ name, path });
  }
  return crumbs;
}
/** Why a name cannot be given; null: it can, as far as the page knows. */
export function whyNotName(name: string, taken: readonly string[]): string | null {
  if (name === '') return 'a name has at least one character';
  if (name === '.' || name === '..') return `${name} stands for a folder already`;
  if (name.includes('/')) return 'a name has no slash';
  if (new TextEncoder().encode(name).length > 255) return 'a name has at most 255 bytes';
  return taken.includes(name) ? 'this name is taken' : null;
}

export type EntrySort = 'name' | 'size' | 'kind';
export interface EntryOrder {
  readonly by: EntrySort;
  readonly isDown: boolean;
}
const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
/** Folders first whatever the order; numbers in names count as numbers. `.` and `..` are left out. */
export function orderEntries(
  entries: readonly ImageEntry[],
  filter: string,
  order: EntryOrder,
): readonly ImageEntry[] {
  const wanted = filter.trim().toLowerCase();
  const found = entries.filter(
    ({ name }) => name !== '.' && name !== '..' && name.toLowerCase().includes(wanted),
  );
  const sign = order.isDown ? -1 : 1;
  const rank = (entry: ImageEntry): number => (entry.kind === 'directory' ? 0 : 1);
  return found.sort((a, b) => {
    const folders = rank(a) - rank(b);
    if (folders !== 0) return folders;
    const bySize = order.by === 'size' ? a.sizeBytes - b.sizeBytes : 0;
    const byKind = order.by === 'kind' ? a.kind.localeCompare(b.kind) : 0;
    return sign * (bySize || byKind || names.compare(a.name, b.name));
  });
}
