// SPDX-License-Identifier: GPL-2.0-only
/** The lessons in the contract: list, question, checked answer, and the image of an exercise as a file. */
import { oc } from '@orpc/contract';
import * as z from 'zod';
import type { CheckedAnswer, Exercise, HostErrorData, ImageInfo, LessonInfo } from './types.ts';

/** Output that our own services made: typed, not checked again. */
const output = <T>(): z.ZodType<T> => z.custom<T>();
const base = oc.errors({
  HOST: { status: 422, message: 'The host or the input refused', data: output<HostErrorData>() },
});

const id = z.string().max(80);
const seed = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);

export const lessons = {
  list: base.output(output<LessonInfo[]>()),
  /** The question with the numbers of the seed. The answer is not in it. */
  start: base.input(z.strictObject({ id, seed })).output(output<Exercise>()),
  /** Checks an answer by running the exercise on the engine; values as typed, by the id of the field. */
  answer: base
    .input(z.strictObject({ id, seed, answer: z.record(z.string().max(40), z.string().max(80)) }))
    .output(output<CheckedAnswer>()),
  /** Makes an image of the exercise in the lab's own folder; one that is there with the same bytes is taken. */
  image: base.input(z.strictObject({ id, seed, imageId: id })).output(output<ImageInfo>()),
};
