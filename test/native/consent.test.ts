// SPDX-License-Identifier: GPL-2.0-only
/** Where the terminal takes an image from, and what it writes only when the person says so. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliLab, root } from '../support/cli.ts';

let lab: CliLab;
beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), 'cli', 'engine']);
  lab = new CliLab();
});
afterAll(() => {
  lab.dispose();
});

const digest = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');
const job = (filename: string, rw: string): string =>
  `[load]\nfilename=${filename}\nrw=${rw}\nbs=4k\nsize=1m\nioengine=sync\ndirect=1\n`;

it('takes a relative image from the current folder, and lab:NAME from the lab', async () => {
  const here = lab.path('here.img');
  writeFileSync(here, '');
  truncateSync(here, 1024 * 1024);
  writeFileSync(lab.path('relative.fio'), job('here.img', 'read'));
  const ran = await lab.run('run', lab.path('relative.fio'), '--output', 'json');
  expect(ran.code).toBe(0);
  const own = job('lab\\:own.img', 'read');
  writeFileSync(lab.path('own.fio'), own);
  expect((await lab.run('run', lab.path('own.fio'))).code).toBe(0);
  expect(existsSync(lab.path('lab:own.img'))).toBe(false);
  writeFileSync(lab.path('out.fio'), own.replace('own.img', '../out.img'));
  const out = await lab.run('run', lab.path('out.fio'));
  expect(out.code).toBe(65);
  expect(out.errors).toContain('without a slash');
});

it('does not write a whole image over the file system in it without consent', async () => {
  const image = lab.path('holds-files.img');
  expect((await lab.run('mkfs', image, '--fs', 'ext2', '--size', '4m')).code).toBe(0);
  const before = digest(image);
  writeFileSync(lab.path('over.fio'), job('holds-files.img', 'write'));
  const refused = await lab.run('run', lab.path('over.fio'));
  expect(refused.code).toBe(77);
  expect(refused.errors).toContain('holds an ext2 file system');
  expect(refused.errors).toContain('--consent');
  expect(digest(image)).toBe(before);
  expect((await lab.run('run', lab.path('over.fio'), '--consent')).code).toBe(0);
  expect(digest(image)).not.toBe(before);
});
