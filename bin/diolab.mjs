#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
/**
 * The terminal twin's entry. In a checkout it first installs and builds what is missing or out of date (one line on stderr), then
 * hands over to dist/cli/main.js. Where there are no sources (an installed package) it only hands over. Imports stay light: they are
 * all on the path of `--help`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const say = (line) => process.stderr.write(`diolab: ${line}\n`);

async function prepare() {
  const { installMissing } = await import('../scripts/install.mjs');
  installMissing(say);
  const { targets } = await import('../scripts/build-targets.mjs');
  const { isFresh } = await import('../scripts/freshness.mjs');
  const wanted = process.argv[2] === 'serve' ? ['cli', 'engine', 'renderer'] : ['cli', 'engine'];
  const isStale = (target) => wanted.includes(target.id) && !isFresh(root, target);
  if (!targets.some(isStale)) return;
  say('building what has changed, some seconds');
  const { build } = await import('../scripts/build.mjs');
  await build({ only: wanted });
}

try {
  if (existsSync(join(root, 'scripts/build.mjs'))) await prepare();
} catch (error) {
  say(error.message);
  process.exit(78);
}
const { main } = await import('../dist/cli/main.js');
process.exitCode = await main(process.argv.slice(2));
