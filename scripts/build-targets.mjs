// SPDX-License-Identifier: GPL-2.0-only
/**
 * What is built, as data: one target each, one small Vite config each. `scripts/build.mjs` runs them.
 *
 *   dist/cli/main.js           the terminal twin            main/cli/main.ts
 *   dist/share/                its manual and completions   printed by it (reference.mjs)
 *   dist/engine/process.js     the engine process           main/host/engine-process.ts
 *   dist/engine/thread.js      its engine thread            main/host/engine-thread.ts
 *   dist/desktop/main.js       Electron main process, ESM   main/desktop/main.ts
 *   dist/preload/preload.cjs   a sandboxed preload must be CommonJS
 *   dist/renderer/             the page, by renderer/vite.config.ts, and files.json
 *
 * The files of one target lie flat in its folder (shared pieces too), so that code which was built into any of them finds the engine
 * at `new URL('../engine/process.js', import.meta.url)`. Libraries are bundled; only the two native ones stay outside.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');

/** Native packages: loaded from node_modules, never bundled. `electron` is the runtime's own. */
export const externalPackages = ['koffi', '@duckdb/node-api', 'electron'];

const sharedInputs = ['package-lock.json', 'scripts/build-targets.mjs', 'tsconfig.base.json'];

/** Config of a target that runs in Node. `entries`: name of the output file -> source. */
function nodeConfig(entries, format) {
  return {
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { target: 'node', noExternal: true, external: externalPackages },
    build: {
      ssr: true,
      target: 'node20',
      minify: false,
      sourcemap: true,
      emptyOutDir: true,
      rollupOptions: {
        input: Object.fromEntries(
          Object.entries(entries).map(([name, source]) => [name, join(root, source)]),
        ),
        external: externalPackages,
        output: {
          format,
          entryFileNames: format === 'cjs' ? '[name].cjs' : '[name].js',
          chunkFileNames: '[name]-[hash].js',
        },
      },
    },
  };
}

const nodeTarget = (id, entries, inputs, format = 'es') => ({
  id,
  folder: `dist/${id}`,
  entries,
  inputs: [...inputs, ...sharedInputs],
  config: (leftOut) =>
    nodeConfig(
      Object.fromEntries(Object.entries(entries).filter(([, source]) => !leftOut.includes(source))),
      format,
    ),
});

const hostInputs = ['engine', 'main/contract', 'main/services', 'main/host'];

export const targets = [
  nodeTarget(
    'engine',
    {
      process: 'main/host/engine-process.ts',
      thread: 'main/host/engine-thread.ts',
    },
    ['engine', 'main/contract', 'main/host'],
  ),
  nodeTarget('cli', { main: 'main/cli/main.ts' }, [...hostInputs, 'main/headless', 'main/cli']),
  nodeTarget('desktop', { main: 'main/desktop/main.ts' }, [...hostInputs, 'main/desktop']),
  nodeTarget('preload', { preload: 'main/desktop/preload.ts' }, ['main/desktop'], 'cjs'),
  {
    // Only where it is asked for: what the bench measures without a process around it.
    ...nodeTarget(
      'bench',
      {
        engine: 'test/support/engine-bench.ts',
        executors: 'scripts/bench/raw.ts',
        path: 'scripts/bench/engine-path.ts',
      },
      ['engine', 'main/host', 'scripts/bench', 'test/support/engine-bench.ts'],
    ),
    isOnDemand: true,
  },
  {
    id: 'renderer',
    folder: 'dist/renderer',
    entries: { index: 'renderer/index.html', config: 'renderer/vite.config.ts' },
    inputs: ['renderer', 'main/contract', 'engine', 'assets', ...sharedInputs],
    config: () => ({
      configFile: join(root, 'renderer/vite.config.ts'),
      root: join(root, 'renderer'),
      logLevel: 'warn',
      build: { emptyOutDir: true },
    }),
  },
];

/** Sources of a target that are not there. */
export const missingEntries = (target) =>
  Object.values(target.entries).filter((source) => !existsSync(join(root, source)));
