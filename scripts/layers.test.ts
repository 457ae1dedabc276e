// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkBuilt,
  checkImports,
  checkLists,
  importsOf,
  layerTable,
  matches,
  sourceFiles,
  withTable,
} from './layers.mjs';

const errorsOf = (file: string, text: string): string[] => checkImports(new Map([[file, text]]));

describe('the layer check', () => {
  it('matches globs by folders', () => {
    expect(matches('engine/base/**', 'engine/base/a/b.ts')).toBe(true);
    expect(matches('engine/*.ts', 'engine/base/a.ts')).toBe(false);
    expect(matches('engine/*.ts', 'engine/a.ts')).toBe(true);
    expect(matches('engine/base/**', 'engine/basement/a.ts')).toBe(false);
  });

  it('finds every kind of import, with its line', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from './b.ts';",
      "import { type C } from './c.ts';",
      "export * from './d.ts';",
      "export type { E } from './e.ts';",
      "const f = await import('./f.ts');",
      "const g = require('./g.cjs');",
      "let h: import('./h.ts').H;",
      "// import './comment.ts'",
      'const text = "import \'./text.ts\'";',
      "import './i.ts';",
      "import j, { type J } from './j.ts';",
      "new Worker(new URL('./k.ts', import.meta.url)); new URL('./l.js', import.meta.url);",
    ].join('\n');
    expect(importsOf('engine/x.ts', text)).toEqual([
      { specifier: './a.ts', typeOnly: false, line: 1 },
      { specifier: './b.ts', typeOnly: true, line: 2 },
      { specifier: './c.ts', typeOnly: true, line: 3 },
      { specifier: './d.ts', typeOnly: false, line: 4 },
      { specifier: './e.ts', typeOnly: true, line: 5 },
      { specifier: './f.ts', typeOnly: false, line: 6 },
      { specifier: './g.cjs', typeOnly: false, line: 7 },
      { specifier: './h.ts', typeOnly: true, line: 8 },
      { specifier: './i.ts', typeOnly: false, line: 11 },
      { specifier: './j.ts', typeOnly: false, line: 12 },
      { specifier: './k.ts', typeOnly: false, line: 13 },
    ]);
  });

  it('reads the scripts of a .vue file and keeps its line numbers', () => {
    const text = [
      '<template><p>import x from "fs"</p></template>',
      '<script setup lang="ts">',
      "import fs from 'node:fs';",
      '</script>',
    ].join('\n');
    expect(errorsOf('renderer/views/A.vue', text)).toEqual([
      "renderer/views/A.vue:3: renderer may not import Node's node:fs",
    ]);
  });

  it.each([
    [
      'engine/base/a.ts',
      "import '../memory/index.ts';",
      'engine/base may not import engine/memory/index.ts',
    ],
    ['engine/dio/run.ts', "import 'node:fs';", "engine/dio may not import Node's node:fs"],
    ['engine/dio/run.ts', "import 'fs';", "engine/dio may not import Node's fs"],
    [
      'engine/dio/run.ts',
      "import koffi from 'koffi';",
      'engine/dio may not import the package koffi',
    ],
    [
      'engine/vfs/a.ts',
      "import '../dio/index.ts';",
      'engine/vfs may not import engine/dio/index.ts',
    ],
    [
      'engine/filesystems/ext2/a.ts',
      "import '../raw/index.ts';",
      'modules of one kind never import each other: engine/filesystems/raw/index.ts',
    ],
    [
      'engine/devices/model/a.ts',
      "import '../memory/index.ts';",
      'modules of one kind never import each other: engine/devices/memory/index.ts',
    ],
    [
      'renderer/a.ts',
      "import '../main/services/index.ts';",
      'renderer may not import main/services/index.ts',
    ],
    [
      'renderer/a.ts',
      "import '../engine/base/index.ts';",
      'renderer may not import engine/base/index.ts',
    ],
    ['renderer/a.ts', "import { z } from 'zod';", 'renderer may not import the package zod'],
    [
      'main/services/a.ts',
      "import 'electron';",
      'main/services may not import the package electron',
    ],
    [
      'main/services/a.ts',
      "import { dio } from '../../engine/dio/index.ts';",
      'main/services may not import engine/dio/index.ts (only types from it)',
    ],
    [
      'main/headless/a.ts',
      "import '../cli/main.ts';",
      'main/headless may not import main/cli/main.ts',
    ],
    [
      'main/helper/a.ts',
      "import '../contract/index.ts';",
      'main/helper may not import main/contract/index.ts',
    ],
  ])('refuses %s: %s', (file, text, why) => {
    expect(errorsOf(file, text)).toEqual([`${file}:1: ${why}`]);
  });

  it.each([
    ['engine/filesystems/ext2/a.ts', "import '../_ext/bitmap.ts'; import './b.ts';"],
    ['engine/devices/model/a.ts', "import type { X } from '../contract.ts';"],
    ['renderer/a.ts', "import type * as z from 'zod';"],
    ['main/services/a.ts', "import type { D } from '../../engine/dio/index.ts';"],
    ['engine/base/a.test.ts', "import { it } from 'vitest'; import 'node:fs';"],
  ])('allows %s: %s', (file, text) => {
    expect(errorsOf(file, text)).toEqual([]);
  });

  it('refuses a file that matches no row', () => {
    expect(errorsOf('engine/new-layer/a.ts', '')).toEqual([
      'engine/new-layer/a.ts: matches no row of scripts/layers-table.mjs',
    ]);
  });

  it('refuses a module that its list does not name', () => {
    const texts = new Map([
      ['engine/devices/index.ts', "import { memory } from './memory/index.ts';"],
      ['engine/devices/memory/index.ts', ''],
      ['engine/devices/forgotten/index.ts', ''],
      ['engine/filesystems/index.ts', ''],
      ['engine/filesystems/_ext/bitmap.ts', ''],
    ]);
    expect(checkLists(texts)).toEqual([
      'engine/devices/forgotten: is not named in engine/devices/index.ts',
    ]);
  });

  it('refuses a file that nothing builds', () => {
    const texts = new Map([
      ['main/cli/main.ts', "import('./used.ts'); import type { T } from './types.ts';"],
      ['main/cli/used.ts', ''],
      ['main/cli/types.ts', ''],
      ['main/cli/dead.ts', "import './used.ts';"],
      ['main/cli/used.test.ts', ''],
    ]);
    expect(checkBuilt(texts, ['main/cli/main.ts'])).toEqual([
      'main/cli/dead.ts: nothing builds it',
    ]);
  });

  it('has the current table in docs/ARCHITECTURE.md', () => {
    const document = readFileSync(join(import.meta.dirname, '../docs/ARCHITECTURE.md'), 'utf8');
    expect(document).toContain(layerTable());
    expect(withTable(document)).toBe(document);
    expect(() => withTable('no marks')).toThrow(/marks/);
  });

  it('sees this checkout', () => {
    const files = sourceFiles(join(import.meta.dirname, '..'));
    expect(files).toContain('engine/base/index.ts');
    expect(files.some((file) => file.includes('node_modules'))).toBe(false);
  });
});
