// SPDX-License-Identifier: GPL-2.0-only
/**
 * Builds the page with a scripted lab in the place of the real connection, to work on its looks and to test states that a real host
 * seldom has: `npx vite build --config test/support/fake-lab/vite.config.ts --outDir FOLDER`. Never part of the product.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vite';
import page from '../../../renderer/vite.config.ts';

const fake = fileURLToPath(new URL('./open.ts', import.meta.url));

export default mergeConfig(
  page,
  defineConfig({
    plugins: [
      {
        name: 'diolab-fake-connection',
        enforce: 'pre',
        resolveId: (id: string) => (id.endsWith('connection/open.ts') ? fake : null),
      },
    ],
  }),
);
