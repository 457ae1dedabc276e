// SPDX-License-Identifier: GPL-2.0-only
/**
 * `node call.mjs MODULE FUNCTION OPTIONS`: calls a function of dist/bench in a process of its own and prints what it gives as JSON. A run
 * of the lab has a fresh engine process too: what the compiler learned from other loads must not count.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './measure.mjs';

const [module, name, options] = process.argv.slice(2);
const functions = await import(pathToFileURL(join(root, 'dist/bench', `${module}.js`)).href);
process.stdout.write(JSON.stringify(functions[name](JSON.parse(options))));
