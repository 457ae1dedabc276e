// SPDX-License-Identifier: GPL-2.0-only
/** What bytes of a lesson are: the program's data (one byte all over), zeros, or what was there before. */
import { SECTOR_BYTES } from '../../base/index.ts';
import type { LessonContentRun } from '../lesson.ts';

/** Runs of one kind, told apart a sector at a time. `otherwise`: what bytes of neither kind are. */
export function contentRuns(
  bytes: Uint8Array,
  dataByte: number,
  otherwise: 'stale' | 'untouched',
): LessonContentRun[] {
  const runs: LessonContentRun[] = [];
  for (let start = 0; start < bytes.length; start += SECTOR_BYTES) {
    const sector = bytes.subarray(start, start + SECTOR_BYTES);
    const what = sector.every((byte) => byte === dataByte)
      ? 'data'
      : sector.every((byte) => byte === 0)
        ? 'zeros'
        : otherwise;
    const last = runs.at(-1);
    const lengthBytes = sector.length;
    if (last?.what === what) {
      runs[runs.length - 1] = { ...last, lengthBytes: last.lengthBytes + lengthBytes };
    } else runs.push({ offsetBytes: start, lengthBytes, what });
  }
  return runs;
}

/** The one kind of all bytes; 'mixed' where there are several. */
export function contentKind(runs: readonly LessonContentRun[]): LessonContentRun['what'] | 'mixed' {
  const [first] = runs;
  return first !== undefined && runs.length === 1 ? first.what : 'mixed';
}
