// SPDX-License-Identifier: GPL-2.0-only
/** What the learner has answered, kept in this browser or profile: by lesson, how many exercises were tried and how many were right. */
import { ref, type Ref } from 'vue';
import { readStored, writeStored } from '../../stores/stored.ts';

export interface LessonProgress {
  readonly tried: number;
  readonly right: number;
}
export type ProgressByLesson = Readonly<Record<string, LessonProgress>>;
const KEY = 'lessons';

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

/** What is stored, as far as it is progress. */
export function readProgress(stored: unknown): ProgressByLesson {
  if (typeof stored !== 'object' || stored === null) return {};
  const found: Record<string, LessonProgress> = {};
  for (const [id, value] of Object.entries(stored as Record<string, unknown>)) {
    const { tried, right } = (value ?? {}) as Record<string, unknown>;
    if (isCount(tried) && isCount(right)) found[id] = { tried, right: Math.min(tried, right) };
  }
  return found;
}
export function withAnswer(
  progress: ProgressByLesson,
  id: string,
  isRight: boolean,
): ProgressByLesson {
  const { tried, right } = progress[id] ?? { tried: 0, right: 0 };
  return { ...progress, [id]: { tried: tried + 1, right: right + (isRight ? 1 : 0) } };
}
/** '2 of 3 right'; '' where nothing was tried. */
export const progressText = (progress: LessonProgress | undefined): string =>
  progress === undefined || progress.tried === 0
    ? ''
    : `${String(progress.right)} of ${String(progress.tried)} right`;

export function useProgress(): {
  readonly progress: Ref<ProgressByLesson>;
  readonly note: (id: string, isRight: boolean) => void;
} {
  const progress = ref<ProgressByLesson>(readProgress(readStored(KEY)));
  return {
    progress,
    note: (id, isRight) => {
      // Another page may have noted something meanwhile.
      progress.value = withAnswer(readProgress(readStored(KEY) ?? progress.value), id, isRight);
      writeStored(KEY, progress.value);
    },
  };
}

/** Short enough to read aloud. */
const SEED_LIMIT = 100_000;
/** A seed that is not `last`. */
export function drawSeed(last: number | null): number {
  for (;;) {
    const [drawn = 0] = crypto.getRandomValues(new Uint32Array(1));
    const seed = drawn % SEED_LIMIT;
    if (seed !== last) return seed;
  }
}
/** The seed of an address; null: none, or no seed. */
export function seedOf(value: unknown): number | null {
  return typeof value === 'string' && /^\d{1,10}$/.test(value) && Number(value) < 2 ** 32
    ? Number(value)
    : null;
}
