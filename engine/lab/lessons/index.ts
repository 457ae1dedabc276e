// SPDX-License-Identifier: GPL-2.0-only
/** The lessons: their list. Adding one is a file in exercises/ and a line here. */
import { HostError, Sfc32 } from '../../base/index.ts';
import { DEFAULT_REVISION_ID } from '../../dio/index.ts';
import type { LabPorts, LessonTools } from '../door.ts';
import type {
  CheckedAnswer,
  CheckedField,
  Exercise,
  LessonAnswer,
  LessonField,
  LessonImage,
  LessonImageBytes,
} from '../lesson.ts';
import { makeDisk, type LessonDisk } from './bench.ts';
import { cacheBesideDirect } from './exercises/cache-beside-direct.ts';
import { extendingAsyncWrite } from './exercises/extending-async-write.ts';
import { fatAndExt4 } from './exercises/fat-and-ext4.ts';
import { smallWriteNewBlock } from './exercises/small-write-new-block.ts';
import { unwrittenAndPowerCut } from './exercises/unwritten-and-power-cut.ts';
import { whatAHoleCosts } from './exercises/what-a-hole-costs.ts';
import { whereAWriteLands } from './exercises/where-a-write-lands.ts';
import { whichAlignment } from './exercises/which-alignment.ts';
import { LessonLab, type Lesson, type Plan, type Values } from './lesson.ts';

export const LESSONS: readonly Lesson[] = [
  whereAWriteLands,
  whichAlignment,
  smallWriteNewBlock,
  whatAHoleCosts,
  extendingAsyncWrite,
  fatAndExt4,
  cacheBesideDirect,
  unwrittenAndPowerCut,
];

/** Seeds are 0 to this. */
export const LESSON_SEED_MAX = 2 ** 32 - 1;
/** Longest run of zeros that stays in a piece of an image. */
const PIECE_UNIT_BYTES = 4096;

/** The lesson with this id, or a `HostError` that lists those there are. */
export function findLesson(id: string): Lesson {
  const found = LESSONS.find(({ info }) => info.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'lesson.unknown',
    message: `there is no lesson ${JSON.stringify(id)}`,
    where: 'lesson',
    hint: `There are ${LESSONS.map(({ info }) => info.id).join(', ')}.`,
    exitCode: 65,
  });
}

/** A stream of numbers of its own for each lesson, whatever its place in the list. */
function planOf(lesson: Lesson, seed: number): Plan {
  let stream = 0;
  for (const letter of lesson.info.id)
    stream = Math.imul(stream ^ letter.charCodeAt(0), 0x01000193);
  return lesson.plan(new Sfc32(seed, stream));
}

interface Prepared {
  readonly lesson: Lesson;
  readonly plan: Plan;
  readonly disks: readonly LessonDisk[];
  readonly lab: LessonLab;
}

function prepare(ports: LabPorts, id: string, seed: number): Prepared {
  const lesson = findLesson(id);
  const plan = planOf(lesson, seed);
  const disks = plan.disks.map((recipe) => makeDisk(ports, recipe));
  return { lesson, plan, disks, lab: new LessonLab(ports, disks) };
}

function exerciseOf({ lesson, plan, disks, lab }: Prepared, seed: number): Exercise {
  const images = plan.images.map((image, index): LessonImage => {
    const disk = disks[index] as LessonDisk;
    return { ...image, fileSystemId: disk.fileSystemId, sizeBytes: disk.bytes.length };
  });
  const { setting, question, fields } = plan;
  return {
    lesson: lesson.info,
    seed,
    revision: DEFAULT_REVISION_ID,
    setting,
    question,
    fields,
    given: plan.given(lab),
    images,
  };
}

/** The exercise of a lesson with the numbers of a seed. */
export function startLesson(ports: LabPorts, id: string, seed: number): Exercise {
  return exerciseOf(prepare(ports, id, seed), seed);
}

/** Checks an answer against what the engine does. Throws `HostError` where an answer is missing or is none. */
export function answerLesson(
  ports: LabPorts,
  id: string,
  seed: number,
  answer: LessonAnswer,
): CheckedAnswer {
  const plan = planOf(findLesson(id), seed);
  const given = plan.fields.map((field) => understood(field, answer));
  refuseUnknown(plan.fields, answer);
  const prepared = prepare(ports, id, seed);
  const solution = prepared.plan.solve(prepared.lab);
  const { values } = solution;
  const fields = plan.fields.map((field, index) =>
    checked(prepared.plan, field, given[index] as number | string, values),
  );
  return {
    exercise: exerciseOf(prepared, seed),
    isRight: fields.every(({ isRight }) => isRight),
    fields,
    explanation: solution.explanation,
    evidence: solution.evidence,
  };
}

/** The two ways to an answer, for the suite: by running the engine, and worked out. */
export function answersOf(
  ports: LabPorts,
  id: string,
  seed: number,
): { readonly run: Values; readonly workedOut: Values } {
  const { plan, lab } = prepare(ports, id, seed);
  return { run: plan.solve(lab).values, workedOut: plan.workOut(lab) };
}

/** The bytes of an image of an exercise, to make a file of. */
export function lessonImage(
  ports: LabPorts,
  id: string,
  seed: number,
  imageId: string,
): LessonImageBytes {
  const { plan, disks } = prepare(ports, id, seed);
  const index = plan.images.findIndex((image) => image.id === imageId);
  const disk = disks[index];
  if (disk === undefined) {
    throw new HostError({
      code: 'lesson.no-image',
      message: `the lesson ${id} has no image ${JSON.stringify(imageId)}`,
      where: 'lesson',
      hint: `It has ${plan.images.map((image) => image.id).join(', ')}.`,
      exitCode: 65,
    });
  }
  return { sizeBytes: disk.bytes.length, pieces: piecesOf(disk.bytes) };
}

function piecesOf(bytes: Uint8Array): { offsetBytes: number; bytes: Uint8Array }[] {
  const pieces: { offsetBytes: number; bytes: Uint8Array }[] = [];
  let start = -1;
  for (let at = 0; at <= bytes.length; at += PIECE_UNIT_BYTES) {
    const isZeros = !holdsBytes(bytes, at, Math.min(at + PIECE_UNIT_BYTES, bytes.length));
    if (!isZeros && start < 0) start = at;
    if (isZeros && start >= 0) {
      pieces.push({ offsetBytes: start, bytes: bytes.slice(start, at) });
      start = -1;
    }
  }
  return pieces;
}

function holdsBytes(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return true;
  return false;
}

function badAnswer(field: LessonField, message: string): HostError {
  const hint =
    field.kind === 'number'
      ? `${field.label} is a whole number${field.unit === '' ? '' : ` of ${field.unit}`}, such as 4096 or 4k.`
      : `${field.label} is one of ${field.choices.map(({ id }) => id).join(', ')}.`;
  return new HostError({
    code: 'lesson.bad-answer',
    message,
    where: `answer ${field.id}`,
    hint,
    exitCode: 65,
  });
}

const SUFFIXES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1048576 };

/** What was typed, as a number or a choice: thousands may be apart, and 4k is 4096. */
function understood(field: LessonField, answer: LessonAnswer): number | string {
  const typed = (Object.hasOwn(answer, field.id) ? (answer[field.id] ?? '') : '').trim();
  if (typed === '') throw badAnswer(field, `there is no answer for ${field.id}`);
  if (field.kind === 'choice') {
    const choice = field.choices.find(({ id }) => id.toLowerCase() === typed.toLowerCase());
    if (choice !== undefined) return choice.id;
    throw badAnswer(field, `${JSON.stringify(typed)} is none of the answers for ${field.id}`);
  }
  const found = /^(\d+)(?:([km])(?:ib)?)?$/i.exec(typed.replace(/[\s_,\u2009\u202f]/g, ''));
  const number = Number(found?.[1] ?? NaN) * (SUFFIXES[(found?.[2] ?? '').toLowerCase()] ?? 1);
  if (Number.isSafeInteger(number)) return number;
  throw badAnswer(field, `${JSON.stringify(typed)} is no whole number for ${field.id}`);
}

function refuseUnknown(fields: readonly LessonField[], answer: LessonAnswer): void {
  const unknown = Object.keys(answer).find((id) => !fields.some((field) => field.id === id));
  if (unknown === undefined) return;
  throw new HostError({
    code: 'lesson.bad-answer',
    message: `the exercise asks for no ${JSON.stringify(unknown)}`,
    where: `answer ${unknown}`,
    hint: `It asks for ${fields.map(({ id }) => id).join(', ')}.`,
    exitCode: 65,
  });
}

function checked(
  plan: Plan,
  field: LessonField,
  given: number | string,
  right: Values,
): CheckedField {
  const is = right[field.id] as number | string;
  const isRight = given === is;
  return {
    id: field.id,
    given: String(given),
    right: String(is),
    isRight,
    reply: isRight ? 'That is right.' : plan.reply(field.id, given, right),
  };
}

/** The lessons as tools of the lab. */
export const lessonTools: LessonTools = {
  start: startLesson,
  answer: answerLesson,
  image: lessonImage,
};
