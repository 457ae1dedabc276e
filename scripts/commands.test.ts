// SPDX-License-Identifier: GPL-2.0-only
/** The pieces of start, test and build that decide something. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inputFiles, isFresh, takeStamp, writeStamp } from './freshness.mjs';
import { decideFace, parseOptions } from './start.mjs';
import { chooseSteps, countReport } from './test.mjs';

describe('npm start', () => {
  const here = {
    asked: null,
    hasDisplay: true,
    isRoot: false,
    runtime: 'present',
    runtimeWhy: '',
  };
  it('picks the window where the runtime and a display are here', () => {
    expect(decideFace(here).face).toBe('window');
  });
  it.each([
    [{ asked: 'browser' }, /--browser/],
    [{ hasDisplay: false }, /display/],
    [{ isRoot: true }, /root/],
    [{ runtime: 'refused', runtimeWhy: 'no data for 12 s' }, /no data for 12 s/],
    [{ hasDisplay: false, runtime: 'missing' }, /display/],
    [{ asked: 'window', hasDisplay: false }, /display/],
  ])('picks the browser for %j and says why', (change, why) => {
    const decision = decideFace({ ...here, ...change });
    expect(decision.face).toBe('browser');
    expect(decision.why).toMatch(why);
  });
  it('fetches the runtime only where it would decide', () => {
    expect(decideFace({ ...here, runtime: 'missing' }).face).toBe('fetch');
    expect(decideFace({ ...here, runtime: 'missing', asked: 'browser' }).face).toBe('browser');
  });
  it('reads its options', () => {
    expect(parseOptions(['--browser', '--port', '8080', '--no-open'])).toEqual({
      face: 'browser',
      port: 8080,
      open: false,
      help: false,
      problem: null,
    });
    expect(parseOptions(['--port=0']).port).toBe(0);
    expect(parseOptions(['--port', '70000']).problem).toMatch(/70000/);
    expect(parseOptions(['--port']).problem).toMatch(/--port/);
    expect(parseOptions(['--prot']).problem).toMatch(/--prot/);
    expect(parseOptions(['-h']).help).toBe(true);
  });
});

describe('npm test', () => {
  it('counts tests, skips, and files that could not be run', () => {
    const counts = countReport({
      testResults: [
        {
          name: 'a.test.ts',
          status: 'failed',
          assertionResults: [
            { status: 'passed', fullName: 'one' },
            { status: 'failed', fullName: 'two' },
            { status: 'pending', fullName: 'three' },
            { status: 'skipped', fullName: 'four' },
          ],
        },
        { name: 'b.test.ts', status: 'failed', message: 'cannot find ./x', assertionResults: [] },
      ],
    });
    expect(counts).toMatchObject({ passed: 1, failed: 2, skipped: 2 });
    expect(counts.failedNames).toEqual(['a.test.ts: two', 'b.test.ts: cannot find ./x']);
    expect(counts.skippedNames).toEqual(['a.test.ts: three', 'a.test.ts: four']);
  });
  it('runs the steps and files that are asked for', () => {
    const ids = (words: string[]): string[] => chooseSteps(words).chosen.map((step) => step.id);
    expect(ids([])).toContain('lint');
    expect(ids(['unit', 'desktop-glue'])).toEqual(['unit', 'desktop glue']);
    expect(ids(['main/cli'])).toContain('unit');
    expect(ids(['main/cli'])).not.toContain('lint');
    expect(chooseSteps(['main/cli']).filters).toEqual(['main/cli']);
  });
});

describe('what is fresh', () => {
  let root: string;
  const target = { id: 'x', folder: 'dist/x', inputs: ['src', 'lock.json'] };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'diolab-fresh-'));
    mkdirSync(join(root, 'src/deep'), { recursive: true });
    mkdirSync(join(root, 'dist/x'), { recursive: true });
    writeFileSync(join(root, 'src/a.ts'), 'a');
    writeFileSync(join(root, 'src/a.test.ts'), 'test');
    writeFileSync(join(root, 'src/deep/b.ts'), 'b');
    writeFileSync(join(root, 'lock.json'), '{}');
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });
  const build = (): void => {
    writeStamp(root, target, takeStamp(root, target));
  };

  it('lists inputs without tests', () => {
    expect(inputFiles(root, target.inputs)).toEqual(['src/a.ts', 'src/deep/b.ts', 'lock.json']);
  });
  it('is stale before the first build and fresh after it', () => {
    expect(isFresh(root, target)).toBe(false);
    build();
    expect(isFresh(root, target)).toBe(true);
  });
  it('is stale where a content changed, a file came or went, or the output is gone', () => {
    build();
    writeFileSync(join(root, 'src/a.ts'), 'A');
    expect(isFresh(root, target)).toBe(false);
    build();
    writeFileSync(join(root, 'src/new.ts'), '');
    expect(isFresh(root, target)).toBe(false);
    build();
    rmSync(join(root, 'src/new.ts'));
    expect(isFresh(root, target)).toBe(false);
    build();
    rmSync(join(root, 'dist/x'), { recursive: true });
    expect(isFresh(root, target)).toBe(false);
  });
  it('stays fresh where only times changed, or a test did', () => {
    build();
    utimesSync(join(root, 'src/a.ts'), new Date(0), new Date(0));
    expect(isFresh(root, target)).toBe(true);
    writeFileSync(join(root, 'src/a.test.ts'), 'other');
    expect(isFresh(root, target)).toBe(true);
  });
  it('is stale where the stamp is damaged', () => {
    build();
    writeFileSync(join(root, 'dist/.stamp-x.json'), '{');
    expect(isFresh(root, target)).toBe(false);
  });
});
