// SPDX-License-Identifier: GPL-2.0-only
/** Our engine beside the answers of a real kernel; docs/KERNEL-TRUTH.md is what this makes. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compareRecipe, type Comparison, type Matter } from './kernel-truth/compare.ts';
import { numberOf, parseBatch, parseRecipe, parseSegments } from './kernel-truth/recipe.ts';
import {
  DIRECT_IO_RECIPES,
  KERNEL_ONLY,
  kernelFacts,
  OTHER_RECIPES,
  reportOf,
} from './kernel-truth/report.ts';
import { recordResult } from './results.ts';

const PAGE = join(import.meta.dirname, '../../docs/KERNEL-TRUTH.md');
const ALLOWED: readonly Matter[] = ['allocation', 'page-cache', 'flush'];

describe('the recipe language', () => {
  it('reads numbers, segments and batches, and refuses what it does not know', () => {
    expect([numberOf('64k+512'), numberOf('24m'), numberOf('7')]).toEqual([66048, 25165824, 7]);
    expect(parseSegments('2x512,4096@64!1~0')).toEqual([
      { lengthBytes: 512, addressBytes: 0, absentPages: [], readOnlyPages: [] },
      { lengthBytes: 512, addressBytes: 0, absentPages: [], readOnlyPages: [] },
      { lengthBytes: 4096, addressBytes: 64, absentPages: [1], readOnlyPages: [0] },
    ]);
    expect(parseBatch('r:0:4096/w:8k:512')).toMatchObject([
      { isWrite: false, offsetBytes: 0 },
      { isWrite: true, offsetBytes: 8192 },
    ]);
    expect(() => parseRecipe('fs: x\nrequests:\ndance s=1')).toThrow('dance');
    expect(() => parseSegments('4096#1')).toThrow('4096#1');
    expect(() => numberOf('4x')).toThrow('4x');
  });
});

describe('fs/direct-io.c of a real kernel', () => {
  const found = new Map<string, Comparison>();
  const compare = (name: string, moduleId: string, options: object | null): Comparison => {
    const known = found.get(name);
    if (known !== undefined) return known;
    const made = compareRecipe(name, moduleId, options as Readonly<Record<string, unknown>> | null);
    found.set(name, made);
    return made;
  };

  for (const [name, moduleId, options] of DIRECT_IO_RECIPES) {
    it(`${name}: returns, bios, bytes read, sizes and content are the kernel's`, () => {
      const { differences, requestCount } = compare(name, moduleId, options);
      const refused = differences.filter(({ matter }) => !ALLOWED.includes(matter));
      expect(refused).toEqual([]);
      expect(requestCount).toBeGreaterThan(20);
      recordResult('kernel-truth', name, requestCount, { listed: differences.length });
    });
  }
  for (const [name, moduleId, options] of OTHER_RECIPES) {
    it(`${name}: runs to its end; what differs is listed`, () => {
      const { requestCount } = compare(name, moduleId, options);
      expect(requestCount).toBeGreaterThan(50);
    });
  }
  it('the kernel answers otherwise where its path is iomap', () => {
    for (const name of KERNEL_ONLY) expect(kernelFacts(name).length).toBeGreaterThan(5);
  });

  describe('docs/KERNEL-TRUTH.md', () => {
    let made = '';
    beforeAll(() => {
      const run = (list: typeof DIRECT_IO_RECIPES | typeof OTHER_RECIPES): Comparison[] =>
        list.map(([name, moduleId, options]) => compare(name, moduleId, options));
      made = `${reportOf(run(DIRECT_IO_RECIPES), run(OTHER_RECIPES)).trimEnd()}\n`;
      if (process.env['DIOLAB_WRITE_KERNEL_TRUTH'] === '1') writeFileSync(PAGE, made);
    });
    it('says what was found (npm run trust -- --kernel-truth writes it)', () => {
      expect(readFileSync(PAGE, 'utf8')).toBe(made);
    });
  });
});
