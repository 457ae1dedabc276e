// SPDX-License-Identifier: GPL-2.0-only
/**
 * The lab's own engine inside the page, for the answers that are all about what it does: explanations, comparisons and exhibits. The
 * image is a fresh ext2 in memory with one file of 24 MiB, whatever the form says.
 */
import './shared-memory.ts';
import { nanoseconds } from '../../../engine/base/index.ts';
import { REVISIONS } from '../../../engine/dio/index.ts';
import { compareRevisions } from '../../../engine/lab/compare.ts';
import type { LabPorts } from '../../../engine/lab/door.ts';
import { explain } from '../../../engine/lab/explain.ts';
import { EXHIBITS, runExhibit } from '../../../engine/lab/gallery/index.ts';
import { answerLesson, LESSONS, startLesson } from '../../../engine/lab/lessons/index.ts';
import { plainArena } from '../../../engine/memory/index.ts';
import type {
  Comparison,
  ExhibitInfo,
  ExhibitRun,
  ExplainRequest,
  CheckedAnswer,
  Exercise,
  Explanation,
  LessonAnswer,
  LessonInfo,
  RevisionInfo,
  Target,
} from '../../../main/contract/index.ts';

const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: plainArena,
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};
export const FILE_BYTES = 24 * 2 ** 20;
const target: Target = {
  device: { id: 'memory', options: { sizeKib: 65536 } },
  fileSystem: { id: 'ext2', options: { blockSize: '4096' } },
  filePath: '/data.bin',
  fileSizeBytes: FILE_BYTES,
  create: { sizeBytes: 2 ** 26 },
  consentToWrite: true,
};

export const explainInPage = (asked: ExplainRequest): Explanation =>
  explain({ ...asked, target }, ports);
export const compareInPage = (asked: {
  request: Omit<ExplainRequest, 'revision'>;
  revisions: readonly string[];
}): Comparison =>
  compareRevisions({ request: { ...asked.request, target }, revisions: asked.revisions }, ports);
export const exhibitList = (): ExhibitInfo[] => EXHIBITS.map(({ info }) => info);
export const exhibitRun = (id: string): ExhibitRun => runExhibit(id);
export const lessonList = (): LessonInfo[] => LESSONS.map(({ info }) => info);
export const lessonStart = (id: string, seed: number): Exercise => startLesson(ports, id, seed);
export const lessonAnswer = (id: string, seed: number, answer: LessonAnswer): CheckedAnswer =>
  answerLesson(ports, id, seed, answer);
export const revisionList = (): RevisionInfo[] =>
  REVISIONS.map(({ id, title, releasedOn, basedOn }) => ({
    id, title, releasedOn, basedOn: basedOn?.id ?? null,
  })); // prettier-ignore
