// SPDX-License-Identifier: GPL-2.0-only
// Links node_modules/.bin/diolab to bin/diolab.mjs, so that `npx diolab` runs this checkout. Runs after every install.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const binFolder = join(import.meta.dirname, '..', 'node_modules', '.bin');
mkdirSync(binFolder, { recursive: true });
const link = join(binFolder, 'diolab');
rmSync(link, { force: true });
if (process.platform === 'win32') {
  writeFileSync(`${link}.cmd`, '@node "%~dp0\\..\\..\\bin\\diolab.mjs" %*\r\n');
} else {
  symlinkSync('../../bin/diolab.mjs', link);
}
