// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the .deb installs outside of /opt/diolab, as data, and the folder (`dist/linux-root`) in which it is laid out with its modes
 * before the package is made. Made by root or not: the package has root:root throughout.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
export const linuxRoot = join(root, 'dist/linux-root');

/**
 * `need`: 'always' the package is not made without it; 'helper' the helper and its policy, both or neither; 'wish' is named where it
 * is not there.
 */
export const linuxFiles = [
  { from: 'dist/helper/diolab-helper', to: 'usr/lib/diolab/diolab-helper', mode: 0o755, need: 'helper' },
  { from: 'assets/linux/io.github.diolab.policy', to: 'usr/share/polkit-1/actions/io.github.diolab.policy', need: 'helper' },
  { from: 'assets/linux/io.github.diolab.metainfo.xml', to: 'usr/share/metainfo/io.github.diolab.metainfo.xml', need: 'always' },
  { from: 'assets/icons/diolab.svg', to: 'usr/share/icons/hicolor/scalable/apps/diolab.svg', need: 'always' },
  { from: 'assets/icons/diolab.svg', to: 'usr/share/icons/hicolor/scalable/apps/io.github.diolab.svg', need: 'always' },
  { from: 'LICENSE', to: 'usr/share/doc/diolab/copyright', need: 'always' },
  { from: 'dist/share/man/man1/diolab.1', to: 'usr/share/man/man1/diolab.1', need: 'wish' },
  { from: 'dist/share/bash-completion/completions/diolab', to: 'usr/share/bash-completion/completions/diolab', need: 'wish' },
  { from: 'dist/share/zsh/site-functions/_diolab', to: 'usr/share/zsh/vendor-completions/_diolab', need: 'wish' },
  { from: 'dist/share/fish/vendor_completions.d/diolab.fish', to: 'usr/share/fish/vendor_completions.d/diolab.fish', need: 'wish' },
]; // prettier-ignore

/** Makes a folder and those above it up to `top`, each 0755 whatever the umask of whoever builds. */
function makeFolder(folder, top) {
  if (folder === dirname(top)) return;
  makeFolder(dirname(folder), top);
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
}

/**
 * Lays the files out anew. Returns `{ laidOut, missing }`: paths in the package, and sources that are not there. Throws where one is
 * missing that the package cannot do without.
 */
export function layOutLinuxRoot({ source = root, to = linuxRoot } = {}) {
  const missing = linuxFiles.filter(({ from }) => !existsSync(join(source, from)));
  const fatal = missing.filter(({ need }) => need === 'always');
  if (fatal.length > 0) throw new Error(`missing: ${fatal.map(({ from }) => from).join(', ')}`);
  const hasHelper = missing.every(({ need }) => need !== 'helper');
  const files = linuxFiles.filter(
    (file) => !missing.includes(file) && (file.need !== 'helper' || hasHelper),
  );
  rmSync(to, { recursive: true, force: true });
  makeFolder(to, to);
  for (const { from, to: place, mode = 0o644 } of files) {
    const path = join(to, place);
    makeFolder(dirname(path), to);
    copyFileSync(join(source, from), path);
    chmodSync(path, mode);
  }
  return { laidOut: files.map(({ to: place }) => place), missing: missing.map(({ from }) => from) };
}
