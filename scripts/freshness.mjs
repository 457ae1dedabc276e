// SPDX-License-Identifier: GPL-2.0-only
/**
 * Says whether what was built still matches its sources. Light on purpose (only node:fs): it runs at every start of the terminal
 * twin. A stamp holds, for each input file, its time and size, and one hash over all contents: equal times and sizes mean fresh at
 * once; else the contents decide, so that a checkout which only touched the times builds nothing.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** All files below the inputs (files or folders, relative to `root`), tests apart, in a fixed order. */
export function inputFiles(root, inputs) {
  const files = [];
  const visit = (path) => {
    const entries = readdirSync(join(root, path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const child = `${path}/${entry.name}`;
      if (entry.isDirectory()) visit(child);
      else if (!/\.test\.ts$/.test(entry.name)) files.push(child);
    }
  };
  for (const input of inputs) {
    const place = join(root, input);
    if (!existsSync(place)) continue;
    if (statSync(place).isDirectory()) visit(input);
    else files.push(input);
  }
  return files;
}

/** Time and size of each file, as one line of text each: what a stamp compares first. */
export function quickStamp(root, files) {
  return files
    .map((file) => {
      const { mtimeMs, size } = statSync(join(root, file));
      return `${file} ${String(mtimeMs)} ${String(size)}`;
    })
    .join('\n');
}

/** One hash over names and contents. */
export function contentStamp(root, files) {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = readFileSync(join(root, file));
    hash.update(`${file}\0${String(content.length)}\0`).update(content);
  }
  return hash.digest('hex');
}

const stampPath = (root, id) => join(root, 'dist', `.stamp-${id}.json`);

/** True where the target's stamp matches its inputs and its first file is there. */
export function isFresh(root, target) {
  let stamp;
  try {
    stamp = JSON.parse(readFileSync(stampPath(root, target.id), 'utf8'));
  } catch {
    return false; // never built, or the stamp is unreadable: build
  }
  if (!existsSync(join(root, target.folder))) return false;
  const files = inputFiles(root, target.inputs);
  const quick = quickStamp(root, files);
  if (quick === stamp.quick) return true;
  if (contentStamp(root, files) !== stamp.content) return false;
  writeFileSync(stampPath(root, target.id), JSON.stringify({ quick, content: stamp.content }));
  return true;
}

/** The stamp of the inputs as they are now; take it before the build, write it after. */
export function takeStamp(root, target) {
  const files = inputFiles(root, target.inputs);
  return { quick: quickStamp(root, files), content: contentStamp(root, files) };
}
export function writeStamp(root, target, stamp) {
  writeFileSync(stampPath(root, target.id), JSON.stringify(stamp));
}
