// SPDX-License-Identifier: GPL-2.0-only
/**
 * Builds TypeScript entries that must run as plain JavaScript (a forked process, a worker thread) into a temporary folder.
 * `dispose` removes it.
 */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';

const root = join(import.meta.dirname, '../../..');

export interface Built {
  readonly folder: string;
  dispose(): void;
}

/** `entries`: output name -> source, relative to the repository. */
export async function buildEntries(entries: Readonly<Record<string, string>>): Promise<Built> {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-built-'));
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { target: 'node', noExternal: true, external: ['koffi', '@duckdb/node-api'] },
    build: {
      ssr: true,
      target: 'node20',
      minify: false,
      outDir: folder,
      emptyOutDir: true,
      rollupOptions: {
        input: Object.fromEntries(
          Object.entries(entries).map(([name, source]) => [name, join(root, source)]),
        ),
        external: ['koffi', '@duckdb/node-api'],
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  });
  // Built code finds the native packages where they are installed.
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return {
    folder,
    dispose: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface BuiltEngine extends Built {
  readonly entryPath: string;
}

/** The engine process with the scripted lab (scripted-thread.ts). */
export async function buildScriptedEngine(): Promise<BuiltEngine> {
  const built = await buildEntries({
    'scripted-process': 'test/support/engine/scripted-process.ts',
    'scripted-thread': 'test/support/engine/scripted-thread.ts',
  });
  return { ...built, entryPath: join(built.folder, 'scripted-process.js') };
}

/** The engine process with the real lab over the real host, as the build makes it. */
export async function buildRealEngine(): Promise<BuiltEngine> {
  const built = await buildEntries({
    process: 'main/host/engine-process.ts',
    thread: 'main/host/engine-thread.ts',
  });
  return { ...built, entryPath: join(built.folder, 'process.js') };
}
