#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
/**
 * Stands in for fpm, the program that electron-builder makes a .deb with (it would be downloaded): takes the same words, and makes the
 * package by dpkg-deb. As much of `-s dir -t deb` as electron-builder uses; an unknown word is an error. Packages are not compressed.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
  copyFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const VALUES = new Map(
  Object.entries({
    '-s': 'source', '-t': 'target', '--architecture': 'architecture', '--after-install': 'postinst', '--after-remove': 'postrm',
    '--description': 'description', '--version': 'version', '--package': 'package', '--name': 'name', '--maintainer': 'maintainer',
    '--vendor': 'vendor', '--url': 'url', '--category': 'category', '--deb-priority': 'priority', '--license': 'license',
    '--deb-compression': 'compression', '-d': 'depends', '--deb-recommends': 'recommends',
  }),
); // prettier-ignore

const given = { depends: [], recommends: [] };
const mappings = [];
const words = process.argv.slice(2);
for (let at = 0; at < words.length; at += 1) {
  const word = words[at];
  const key = VALUES.get(word);
  if (word === '--force') continue;
  if (key !== undefined) {
    at += 1;
    if (Array.isArray(given[key])) given[key].push(words[at]);
    else given[key] = words[at];
  } else if (word.includes('=') && !word.startsWith('-')) mappings.push(word.split('='));
  else throw new Error(`fpm stand-in: ${word} is not known here`);
}

const root = mkdtempSync(join(tmpdir(), 'diolab-deb-'));
try {
  for (const [from, to] of mappings) {
    const target = join(root, to);
    mkdirSync(dirname(target), { recursive: true });
    // As with fpm: a folder with a slash at its end means what is in it; links stay links, modes stay.
    if (statSync(from).isDirectory()) {
      cpSync(from, from.endsWith('/') ? target : join(target, from), {
        recursive: true,
        verbatimSymlinks: true,
        mode: 0,
      });
    } else copyFileSync(from, target);
  }
  mkdirSync(join(root, 'DEBIAN'), { recursive: true });
  for (const script of ['postinst', 'postrm']) {
    copyFileSync(given[script], join(root, 'DEBIAN', script));
    chmodSync(join(root, 'DEBIAN', script), 0o755);
  }
  const control = {
    Package: given.name, Version: given.version, Architecture: given.architecture, Maintainer: given.maintainer,
    Depends: given.depends.join(', '), Recommends: given.recommends.join(', '), Section: given.category,
    Priority: given.priority, Homepage: given.url, Description: given.description,
  }; // prettier-ignore
  writeFileSync(
    join(root, 'DEBIAN/control'),
    Object.entries(control).map(([name, value]) => `${name}: ${value}\n`).join(''),
  ); // prettier-ignore
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, given.package], {
    stdio: 'inherit',
  });
} finally {
  rmSync(root, { recursive: true, force: true });
}
