// SPDX-License-Identifier: GPL-2.0-only
/** What was dropped on the page: a path, or the text of an experiment. A browser does not tell the path of a file. */
import { EXPERIMENT_BYTES_MAX, experimentFormatOf } from '../../../main/contract/window.ts';

export type Dropped =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'text'; readonly text: string; readonly format: 'yaml' | 'fio' }
  | { readonly kind: 'none'; readonly why: string };

/** A path or file address in dropped text; null where it is neither. */
export function pathInText(text: string): string | null {
  const line = text
    .split('\n')
    .find((each) => each.trim() !== '' && !each.startsWith('#'))
    ?.trim();
  if (line === undefined) return null;
  if (line.startsWith('/')) return line;
  if (!line.startsWith('file://')) return null;
  try {
    return decodeURIComponent(new URL(line).pathname);
  } catch {
    return null; // not an address after all
  }
}

export async function droppedPath(
  data: DataTransfer | null,
  pathOfFile: (file: File) => string | null,
): Promise<Dropped> {
  const none = (why: string): Dropped => ({ kind: 'none', why });
  if (data === null) return none('Nothing was dropped');
  const file = data.files[0];
  const format = experimentFormatOf(file?.name ?? '');
  if (file && format !== null && file.size <= EXPERIMENT_BYTES_MAX) {
    return { kind: 'text', text: await file.text(), format };
  }
  const path = file
    ? pathOfFile(file)
    : pathInText(data.getData('text/uri-list') || data.getData('text/plain'));
  if (path !== null && path !== '') return { kind: 'path', path };
  return none(
    file
      ? `A browser does not tell where ${file.name} lies. Choose it with Image, Browse`
      : 'What was dropped is no path of a file',
  );
}
