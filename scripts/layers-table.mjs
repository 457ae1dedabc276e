// SPDX-License-Identifier: GPL-2.0-only
/**
 * The layers, as data: who may import whom. `scripts/layers.mjs` checks every import of every file against it and writes the table
 * in docs/ARCHITECTURE.md from it. Rows are tried in order; the first whose `files` matches a file owns it. There is no list of
 * exceptions: what must be allowed is a row or an entry of a row, and is seen in review.
 *
 *   files      globs of the row's files (`*` within one folder, `**` at any depth)
 *   may        globs of project files that they may import; a file's own row is always allowed, unless `modules`
 *   mayTypes   globs that they may import types from, and nothing else
 *   packages   npm packages they may import ('vue/' covers its entry points)
 *   node       true: may import Node's own modules
 *   modules    folders or files of the row that are modules of one kind: they never import each other
 */
const contracts = ['engine/executor/contract.ts', 'engine/executor/index.ts'];

export const layers = [
  { name: 'engine/base', files: ['engine/base/**'], may: [] },
  { name: 'engine/memory', files: ['engine/memory/**'], may: ['engine/base/**'] },
  { name: 'engine/executor', files: ['engine/executor/**'], may: ['engine/base/**'] },
  {
    name: 'engine/metrics',
    files: ['engine/metrics/**'],
    may: ['engine/base/**'],
    mayTypes: ['engine/lab/result.ts', 'engine/lab/experiment.ts'],
    packages: ['hdr-histogram-js'],
  },
  { name: 'engine/block', files: ['engine/block/**'], may: ['engine/base/**', 'engine/memory/**'] },
  {
    name: 'engine/vfs',
    files: ['engine/vfs/**'],
    may: ['engine/base/**', 'engine/memory/**', 'engine/block/**'],
  },
  {
    name: 'engine/devices (list and contract)',
    files: ['engine/devices/index.ts', 'engine/devices/contract.ts'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/devices/**',
      ...contracts,
    ],
    list: 'engine/devices/*',
  },
  {
    name: 'engine/devices/_host-file',
    files: ['engine/devices/_host-file/**'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/devices/contract.ts',
      ...contracts,
    ],
  },
  {
    name: 'engine/devices/x',
    files: ['engine/devices/**'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/devices/contract.ts',
      'engine/devices/_host-file/**',
      ...contracts,
    ],
    modules: 'engine/devices/*',
  },
  {
    name: 'engine/filesystems (list)',
    files: ['engine/filesystems/index.ts', 'engine/filesystems/foreign.ts'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/vfs/**',
      'engine/filesystems/**',
    ],
    list: 'engine/filesystems/*',
  },
  {
    name: 'engine/filesystems/_ext',
    files: ['engine/filesystems/_ext/**'],
    may: ['engine/base/**', 'engine/memory/**', 'engine/block/**', 'engine/vfs/**'],
  },
  {
    name: 'engine/filesystems/x',
    files: ['engine/filesystems/**'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/vfs/**',
      'engine/filesystems/_ext/**',
    ],
    modules: 'engine/filesystems/*',
  },
  {
    name: 'engine/dio/revisions (list)',
    files: ['engine/dio/revisions/index.ts', 'engine/dio/revisions/resolve.ts'],
    may: ['engine/base/**', 'engine/dio/*.ts', 'engine/dio/revisions/*'],
    list: 'engine/dio/revisions/*',
  },
  {
    name: 'engine/dio/revisions',
    files: ['engine/dio/revisions/**'],
    may: ['engine/base/**', 'engine/dio/**'],
  },
  {
    name: 'engine/dio',
    files: ['engine/dio/**'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/vfs/**',
      'engine/dio/revisions/index.ts',
      'engine/dio/revisions/resolve.ts',
    ],
  },
  {
    name: 'engine/loop, engine/workload',
    files: ['engine/loop/**', 'engine/workload/**'],
    may: [
      'engine/base/**',
      'engine/memory/**',
      'engine/block/**',
      'engine/vfs/**',
      'engine/dio/**',
    ],
    mayTypes: ['engine/lab/experiment.ts'],
  },
  { name: 'engine/lab', files: ['engine/lab/**'], may: ['engine/**'] },
  {
    name: 'main/contract',
    files: ['main/contract/**'],
    may: ['engine/base/**', 'engine/lab/*.ts'],
    mayTypes: ['engine/vfs/contract.ts', 'engine/executor/contract.ts'],
    packages: ['@orpc/contract', '@orpc/client', '@orpc/client/', 'zod'],
  },
  {
    name: 'main/host',
    files: ['main/host/**'],
    may: [
      'engine/base/**',
      'engine/lab/**',
      'engine/executor/**',
      'engine/devices/contract.ts',
      'main/contract/**',
    ],
    mayTypes: ['engine/**'],
    packages: ['koffi'],
    node: true,
  },
  {
    name: 'main/services',
    files: ['main/services/**'],
    may: ['engine/base/**', 'engine/lab/**', 'main/contract/**', 'main/host/**'],
    mayTypes: ['engine/**'],
    packages: [
      '@orpc/server',
      '@orpc/server/',
      '@orpc/contract',
      '@orpc/client/',
      '@duckdb/node-api',
      'yaml',
      'zod',
    ],
    node: true,
  },
  {
    name: 'main/headless',
    files: ['main/headless/**'],
    may: ['engine/base/**', 'main/contract/**', 'main/services/**', 'main/host/**'],
    packages: ['@orpc/server', '@orpc/server/', 'ws', 'zod'],
    node: true,
  },
  {
    name: 'main/cli',
    files: ['main/cli/**'],
    may: [
      'engine/base/**',
      'engine/lab/**',
      'main/contract/**',
      'main/services/**',
      'main/host/**',
      'main/headless/**',
    ],
    packages: ['commander', '@orpc/server', '@orpc/server/'],
    node: true,
  },
  { name: 'main/helper', files: ['main/helper/**'], may: [] },
  {
    name: 'main/desktop',
    files: ['main/desktop/**'],
    may: ['engine/base/**', 'main/contract/**', 'main/services/**', 'main/host/**'],
    packages: ['electron', '@orpc/server', '@orpc/server/', 'zod'],
    node: true,
  },
  {
    name: 'renderer (build)',
    files: ['renderer/vite.config.ts'],
    may: [],
    packages: ['vite', '@vitejs/plugin-vue'],
    node: true,
  },
  {
    name: 'renderer',
    files: ['renderer/**'],
    may: ['main/contract/**', 'assets/**'],
    packages: [
      'vue',
      'vue-router',
      'pinia',
      'echarts',
      'echarts/',
      'reka-ui',
      '@tanstack/vue-table',
      '@tanstack/vue-virtual',
      '@orpc/client',
      '@orpc/client/',
      '@orpc/contract',
      '@fontsource-variable/inter',
      '@fontsource-variable/inter/',
      '@fontsource-variable/jetbrains-mono',
      '@fontsource-variable/jetbrains-mono/',
    ],
    mayTypes: [],
    typePackages: ['zod'],
  },
  {
    name: 'test, scripts, bin',
    files: ['test/**', 'scripts/**', 'bin/**', '*.ts', '*.mjs'],
    may: ['**'],
    packages: ['*'],
    node: true,
  },
];

/** Tests may also import these, beside what the row of their folder allows. */
export const testExtras = {
  may: ['engine/**', 'main/**', 'test/**', 'scripts/**'],
  packages: ['vitest', 'fast-check', '@vue/test-utils', 'axe-core', 'happy-dom', 'ws'],
  node: true,
};
