// SPDX-License-Identifier: GPL-2.0-only
/**
 * Over many seeds of every lesson: what the engine does is what can be worked out from the map and the rules, answers differ between
 * seeds, and wrong answers get a reply of their own.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nanoseconds } from '../../base/index.ts';
import { plainArena } from '../../memory/index.ts';
import type { LabPorts } from '../door.ts';
import type { LessonAnswer } from '../lesson.ts';
import { answerLesson, answersOf, findLesson, LESSONS, lessonImage, startLesson } from './index.ts';

/** One arena after the other: the bench gives it back when a kernel is done. */
let kept: ReturnType<typeof plainArena> | null = null;
const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: (pageCount) => {
    const arena = kept;
    kept = null;
    if (arena === null || arena.bytes.length !== pageCount * 4096) return plainArena(pageCount);
    arena.bytes.fill(0);
    return arena;
  },
  releaseArena: (arena) => {
    kept = arena;
  },
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};
const SEEDS = Array.from({ length: 24 }, (_, index) => index * 7919 + 1);

describe('the lessons', () => {
  it('are listed once each, in a file named after them', () => {
    const ids = LESSONS.map(({ info }) => info.id);
    expect(new Set(ids).size).toBe(ids.length);
    const files = readdirSync(new URL('exercises/', import.meta.url));
    expect(files.toSorted()).toEqual(ids.map((id) => `${id}.ts`).toSorted());
  });

  it('refuse a lesson that is not there, and say which are', () => {
    expect(() => findLesson('none')).toThrow(
      expect.objectContaining({ code: 'lesson.unknown', exitCode: 65 }),
    );
  });

  describe.each(LESSONS.map(({ info }) => info.id))('%s', (id) => {
    it('comes to the same by running and by working out, over many seeds', () => {
      const answers = new Set<string>();
      for (const seed of SEEDS) {
        const { run, workedOut } = answersOf(ports, id, seed);
        expect({ seed, ...run }).toEqual({ seed, ...workedOut });
        answers.add(JSON.stringify(run));
      }
      expect(answers.size).toBeGreaterThanOrEqual(2);
    });

    it('asks without giving the answer away, and the same for the same seed', () => {
      const exercise = startLesson(ports, id, 5);
      expect(exercise.question).toMatch(/\?$/);
      for (const sentence of exercise.setting) expect(sentence).toMatch(/^[A-Z].*[.]$/);
      expect(exercise.given.map(({ kind }) => kind)).not.toContain('steps');
      expect(startLesson(ports, id, 5)).toEqual(exercise);
      const few = SEEDS.slice(0, 6);
      const others = few.map((seed) => startLesson(ports, id, seed).setting.join(' '));
      expect(new Set(others).size).toBeGreaterThan(few.length / 2);
    });

    it('takes the right answer, and tells a wrong one what the difference is', () => {
      for (const seed of SEEDS.slice(0, 2)) {
        const { run } = answersOf(ports, id, seed);
        const right: LessonAnswer = Object.fromEntries(
          Object.entries(run).map(([name, value]) => [name, String(value)]),
        );
        const good = answerLesson(ports, id, seed, right);
        expect(good.isRight).toBe(true);
        expect(good.evidence.length).toBeGreaterThan(0);
        for (const sentence of good.explanation) expect(sentence).toMatch(/^\S.*[.)]$/);
        for (const field of good.exercise.fields) {
          const others =
            field.kind === 'choice'
              ? field.choices.map((choice) => choice.id).filter((each) => each !== right[field.id])
              : ['0', '4096'].filter((each) => each !== right[field.id]);
          for (const wrong of others) {
            const bad = answerLesson(ports, id, seed, { ...right, [field.id]: wrong });
            expect(bad.isRight).toBe(false);
            const told = bad.fields.find((each) => each.id === field.id);
            expect(told).toMatchObject({ isRight: false, right: right[field.id], given: wrong });
            expect(told?.reply.length).toBeGreaterThan(20);
            expect(told?.reply).not.toContain('undefined');
          }
        }
      }
    });

    it('makes the same image every time, and a file of it has all bytes', () => {
      for (const image of startLesson(ports, id, 3).images) {
        const one = lessonImage(ports, id, 3, image.id);
        const again = lessonImage(ports, id, 3, image.id);
        expect(again.pieces.length).toBe(one.pieces.length);
        const isSame = one.pieces.every(({ offsetBytes, bytes }, index) => {
          const other = again.pieces[index];
          return other?.offsetBytes === offsetBytes && Buffer.compare(bytes, other.bytes) === 0;
        });
        expect(isSame).toBe(true);
        expect(one.sizeBytes).toBe(image.sizeBytes);
        expect(one.pieces.length).toBeGreaterThan(0);
        const last = one.pieces.at(-1);
        expect((last?.offsetBytes ?? 0) + (last?.bytes.length ?? 0)).toBeLessThanOrEqual(one.sizeBytes); // prettier-ignore
      }
    });
  });

  it('understand numbers as people type them, and refuse what is none', () => {
    const id = 'where-a-write-lands';
    const { run } = answersOf(ports, id, 2);
    const sector = String(run['sector']);
    const spaced = `${sector.slice(0, -3)} ${sector.slice(-3)}`;
    expect(answerLesson(ports, id, 2, { sector: spaced, bios: String(run['bios']) }).isRight).toBe(true); // prettier-ignore
    const refused = (answer: LessonAnswer): unknown => {
      try {
        return answerLesson(ports, id, 2, answer);
      } catch (error) {
        return error;
      }
    };
    expect(refused({ sector })).toMatchObject({ code: 'lesson.bad-answer', where: 'answer bios' });
    expect(refused({ sector: 'many', bios: '1' })).toMatchObject({ code: 'lesson.bad-answer' });
    expect(refused({ sector, bios: '1', more: '1' })).toMatchObject({ where: 'answer more' });
  });
});
