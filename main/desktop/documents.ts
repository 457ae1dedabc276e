// SPDX-License-Identifier: GPL-2.0-only
/**
 * Documents of this program: images, experiments (.diolab, .yaml) and fio's job files. By name what a file is, by its content what the
 * page gets: the path of an image, the text of an experiment.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { basename, isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  EXPERIMENT_BYTES_MAX,
  experimentFormatOf,
  type OpenedDocument,
} from '../contract/window.ts';

/** A file manager may give an address in place of a path; '' where it is none of this machine's. */
function pathOfAddress(address: string): string {
  try {
    return fileURLToPath(address);
  } catch {
    return ''; // another host's file, or no address at all
  }
}

/** Words of the command line that are files: not the program itself, not a switch of ours or of Chromium's. */
export function pathsInArguments(
  words: readonly string[],
  folder: string,
  isPackaged: boolean,
): string[] {
  // From its sources the second word is the folder or the script that Electron was given.
  return words
    .slice(isPackaged ? 1 : 2)
    .map((word) => (/^file:\/\//i.test(word) ? pathOfAddress(word) : word))
    .filter((word) => word !== '' && !word.startsWith('-') && !/^[a-z]{2,}:/i.test(word))
    .map((word) => (isAbsolute(word) ? word : resolve(folder, word)));
}

const refusal = (path: string, message: string): OpenedDocument => ({
  kind: 'refused',
  path,
  message,
});

/** Looks at a file that somebody wants opened. Never throws: a refusal is what the page then shows. */
export function readDocument(path: string): OpenedDocument {
  const format = experimentFormatOf(path);
  let fd: number;
  try {
    // O_NONBLOCK: a FIFO of that name must not hold us up (0 where there is no such flag).
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK as number | undefined ?? 0)); // prettier-ignore
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return refusal(path, `${path} cannot be opened: ${code}`);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return refusal(path, `${path} is not a file`);
    // The services look at an image; here only that it is there.
    if (format === null) return { kind: 'image', path };
    if (stats.size > EXPERIMENT_BYTES_MAX) {
      const limit = String(EXPERIMENT_BYTES_MAX);
      return refusal(path, `${path} has ${String(stats.size)} bytes, an experiment ${limit} at most`); // prettier-ignore
    }
    const text = readFileSync(fd, 'utf8');
    return { kind: 'experiment', path, name: basename(path), text, format };
  } finally {
    closeSync(fd);
  }
}
