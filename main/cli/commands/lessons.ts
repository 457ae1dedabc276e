// SPDX-License-Identifier: GPL-2.0-only
/**
 * lessons: their list. lesson: the question with the numbers of a seed; with --answer, whether it is right, and why it is so. A wrong
 * answer is exit code 1.
 */
import { randomInt } from 'node:crypto';
import { HostError } from '../../../engine/base/index.ts';
import { LESSON_SEED_MAX } from '../../../engine/lab/lists.ts';
import type { Exercise, ImageInfo, LessonAnswer, LessonField } from '../../contract/index.ts';
import { EXIT } from '../errors.ts';
import { checkedText, exerciseText, lessonListText } from '../lesson-text.ts';
import type { LessonOptions } from '../program.ts';
import { line, type Terminal } from '../terminal.ts';

/** Seeds that are drawn are short enough to type. */
const DRAWN_SEED_MAX = 100_000;

const json = (value: unknown): string => line(JSON.stringify(value, null, 2));

export async function lessons(
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const list = await client.lessons.list();
  await terminal.out(options.json ? json(list) : lessonListText(list));
  return EXIT.ok;
}

export async function lesson(
  terminal: Terminal,
  id: string,
  options: LessonOptions,
): Promise<number> {
  const seed = options.seed === undefined ? randomInt(DRAWN_SEED_MAX) : seedOf(options.seed);
  const { client } = await terminal.session();
  const exercise = await client.lessons.start({ id, seed });
  const made: ImageInfo[] = [];
  for (const image of options.image ? exercise.images : []) {
    made.push(await client.lessons.image({ id, seed, imageId: image.id }));
  }
  if (options.answer === undefined) {
    await terminal.out(
      options.json
        ? json(made.length === 0 ? exercise : { ...exercise, files: made.map(({ path }) => path) })
        : exerciseText(exercise, made),
    );
    return EXIT.ok;
  }
  const answer = answerOf(exercise, options.answer);
  const checked = await client.lessons.answer({ id, seed, answer });
  await terminal.out(options.json ? json(checked) : checkedText(checked));
  return checked.isRight ? EXIT.ok : EXIT.mismatch;
}

function usage(message: string, where: string, hint: string): HostError {
  return new HostError({ code: 'usage', message, where, hint, exitCode: EXIT.usage });
}

function seedOf(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  if (seed <= LESSON_SEED_MAX) return seed;
  throw usage(
    `${JSON.stringify(text)} is no seed`,
    '--seed',
    `Give a whole number from 0 to ${String(LESSON_SEED_MAX)}.`,
  );
}

/** 'sector=2048,bios=3', or the values alone in the order of the question. */
function answerOf({ fields }: Exercise, text: string): LessonAnswer {
  const parts = text.split(',').map((part) => part.trim());
  const named = parts.filter((part) => part.includes('='));
  if (named.length === parts.length) {
    return Object.fromEntries(
      parts.map((part): [string, string] => {
        const at = part.indexOf('=');
        return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
      }),
    );
  }
  if (named.length === 0 && parts.length === fields.length) {
    return Object.fromEntries(fields.map(({ id }, index) => [id, parts[index] ?? '']));
  }
  const form = fields.map((field: LessonField) => `${field.id}=...`).join(',');
  throw usage(
    `the answer has ${String(parts.length)} of ${String(fields.length)} values`,
    '--answer',
    `Give --answer ${form}.`,
  );
}
