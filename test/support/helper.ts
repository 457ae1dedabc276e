// SPDX-License-Identifier: GPL-2.0-only
/** The privileged helper for native tests: compiled into a folder of its own, and named to the lab by DIOLAB_HELPER. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildHelper } from '../../scripts/build-helper.mjs';
import { missingReason } from './tools.ts';

/** Why the helper cannot be tested here; null: it can. */
export function whyNoHelper(): string | null {
  if (process.platform !== 'linux') return 'the helper is for Linux';
  if (process.geteuid?.() !== 0) return 'the helper takes root';
  return missingReason(['c-compiler', 'mount']);
}

/** Compiles it and names it to this process and its children; `dispose` takes both back. */
export function useHelper(): { readonly path: string; dispose(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-helper-'));
  const built = buildHelper({ path: join(folder, 'diolab-helper'), force: true });
  if (!('path' in built)) throw new Error(built.missing);
  const before = process.env['DIOLAB_HELPER'];
  process.env['DIOLAB_HELPER'] = built.path;
  return {
    path: built.path,
    dispose: () => {
      if (before === undefined) delete process.env['DIOLAB_HELPER'];
      else process.env['DIOLAB_HELPER'] = before;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
