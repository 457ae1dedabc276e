// SPDX-License-Identifier: GPL-2.0-only
/**
 * Builds the page into dist/renderer. Rules: 1. nothing inline (the page's CSP allows scripts, styles, fonts and workers from 'self'
 * only), so assets are never turned into data URLs. 2. `files.json` beside the page lists every file, for hosts that serve from a list.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { defineConfig, type Plugin } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const outDir = join(here, '..', 'dist', 'renderer');

/** Writes files.json: a JSON array of paths relative to the page, '/' separated, sorted. */
function fileList(): Plugin {
  let folder = outDir;
  return {
    name: 'diolab-file-list',
    apply: 'build',
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      const files = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'files.json')
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
        .sort();
      writeFileSync(join(folder, 'files.json'), `${JSON.stringify(files, null, 2)}\n`);
    },
  };
}

export default defineConfig({
  root: here,
  base: './',
  plugins: [vue(), fileList()],
  worker: { format: 'es' },
  build: {
    outDir,
    emptyOutDir: true,
    target: 'chrome130',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
});
