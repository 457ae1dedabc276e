// SPDX-License-Identifier: GPL-2.0-only
/** The lessons from the terminal, built and spawned: question, answer, and the image as a file that the other tools take. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckedAnswer, Exercise, LessonInfo } from '../../main/contract/index.ts';
import { CliLab, root } from '../support/cli.ts';
import { describeWith, findProgram } from '../support/tools.ts';

let lab: CliLab;
beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), 'cli', 'engine']);
  lab = new CliLab();
}, 120_000);
afterAll(() => {
  lab.dispose();
});

const ID = 'where-a-write-lands';
const parsed = async <T>(...words: string[]): Promise<T> => {
  const told = await lab.run(...words, '--json');
  expect(told.errors).toBe('');
  return JSON.parse(told.out) as T;
};

describe('diolab lesson', () => {
  it('lists, asks, and does not tell', async () => {
    const list = await parsed<LessonInfo[]>('lessons');
    expect(list.length).toBeGreaterThanOrEqual(6);
    const told = await lab.run('lessons');
    for (const { id, title } of list) expect(told.out).toMatch(new RegExp(`^${id} +${title.slice(0, 5)}`, "m"));
    const asked = await lab.run('lesson', ID, '--seed', '7');
    expect(asked.code).toBe(0);
    expect(asked.out).toContain(`diolab lesson ${ID} --seed 7 --answer sector=...,bios=...`);
    expect(asked.out).not.toContain('step by step');
    const drawn = await parsed<Exercise>('lesson', ID);
    expect(drawn.seed).toBeGreaterThanOrEqual(0);
  }, 60_000);

  it('checks answers: exit code 1 and what the difference is, or 0', async () => {
    const wrong = await lab.run('lesson', ID, '--seed', '7', '--answer', '0,1', '--json');
    expect(wrong.code).toBe(1);
    const { fields, isRight } = JSON.parse(wrong.out) as CheckedAnswer;
    expect(isRight).toBe(false);
    const right = fields.map((field) => `${field.id}=${field.right}`).join(',');
    const told = await lab.run('lesson', ID, '--seed', '7', '--answer', right);
    expect(told.code, told.errors).toBe(0);
    expect(told.out).toMatch(/^Right\./);
    expect(told.out).toContain('The write, step by step');
    expect((await lab.run('lesson', ID, '--seed', '7', '--answer', '1')).code).toBe(64);
    expect((await lab.run('lesson', ID, '--seed', '-7')).code).toBe(64);
    expect((await lab.run('lesson', ID, '--seed', '7', '--answer', 'many,1')).code).toBe(65);
    expect((await lab.run('lesson', 'none')).code).toBe(65);
  }, 60_000);

  it('makes the image as a file: the map of the question is its map, and changed ones are kept', async () => {
    const make = async (): Promise<string> => {
      const made = await parsed<Exercise & { files: string[] }>('lesson', ID, '--seed', '7', '--image');
      return made.files[0] ?? '';
    };
    const path = await make();
    const { given } = await parsed<Exercise>('lesson', ID, '--seed', '7');
    const shown = given[0]?.kind === 'map' ? given[0].extents : [];
    const { extents } = await parsed<{ extents: unknown[] }>('map', path, '/data.bin');
    expect(extents).toHaveLength(shown.length);
    expect(extents).toMatchObject(shown.map(({ fileBlock, count, deviceBlock }) => ({ fileBlock, count, deviceBlock })));
    expect(await make()).toBe(path);
    const before = readFileSync(path);
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from([before[2048] === 1 ? 2 : 1]), 0, 1, 2048);
    closeSync(file);
    const other = await make();
    expect(other).not.toBe(path);
    expect(readFileSync(other).equals(before)).toBe(true);
  }, 60_000);
}); // prettier-ignore

describeWith(['e2fsprogs'], 'the images of the lessons', () => {
  it('are sound', async () => {
    for (const { id } of await parsed<LessonInfo[]>('lessons')) {
      const words = ['lesson', id, '--seed', '11', '--image'] as const;
      const { files, images } = await parsed<Exercise & { files: string[] }>(...words);
      expect(files).toHaveLength(images.length);
      for (const [index, image] of images.entries()) {
        if (!image.fileSystemId.startsWith('ext')) continue;
        execFileSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', files[index] ?? ''], {
          stdio: 'pipe',
        });
      }
    }
  }, 120_000);
});
