// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a lesson is made of, and what its exercises say in common words.
 *
 * Rules: 1. `plan` draws the numbers, and they stay in ranges in which the lesson holds. 2. `solve` finds the answer by running the engine
 * on the disks, never from the numbers. 3. `workOut` comes to the same by what a person can know before: the map, and the rules. The
 * suite holds both against each other over many seeds. 4. What is shown before the answer does not give it away.
 */
import { below, type Random } from '../../base/index.ts';
import type { FileExtent } from '../../vfs/index.ts';
import type { LabPorts } from '../door.ts';
import type {
  LessonEvidence,
  LessonField,
  LessonImage,
  LessonInfo,
  LessonRequest,
} from '../lesson.ts';
import { bytesText, numberText } from '../words.ts';
import { onDisk, type DiskHow, type DiskRecipe, type LessonDisk, type OpenDisk } from './bench.ts';

export type Values = Readonly<Record<string, number | string>>;

export interface Solution {
  /** The answer of each field. */
  readonly values: Values;
  readonly explanation: readonly string[];
  readonly evidence: readonly LessonEvidence[];
}

/** A question with its numbers drawn; disks are made once, in order. */
export interface Asked {
  readonly setting: readonly string[];
  readonly question: string;
  readonly fields: readonly LessonField[];
  readonly disks: readonly DiskRecipe[];
  /** One for each disk that can be had as a file. */
  readonly images: readonly Omit<LessonImage, 'fileSystemId' | 'sizeBytes'>[];
}

export interface Plan extends Asked {
  /** What is shown with the question. */
  given(lab: LessonLab): readonly LessonEvidence[];
  solve(lab: LessonLab): Solution;
  workOut(lab: LessonLab): Values;
  /** Says what the difference is; `given` is not `right`. */
  reply(fieldId: string, given: number | string, right: Values): string;
}

export interface Lesson {
  readonly info: LessonInfo;
  plan(random: Random): Plan;
}

/** The disks of one exercise. */
export class LessonLab {
  constructor(
    private readonly ports: LabPorts,
    private readonly disks: readonly LessonDisk[],
  ) {}

  /** Works on a copy of a disk. */
  on<T>(work: (open: OpenDisk) => T, disk = 0, how: DiskHow = {}): T {
    return onDisk(this.ports, this.disks[disk] as LessonDisk, work, how);
  }

  /** Works on a copy of other bytes of a disk: as a power cut left it. */
  onBytes<T>(bytes: Uint8Array, work: (open: OpenDisk) => T, disk = 0): T {
    const { fileSystemId } = this.disks[disk] as LessonDisk;
    return onDisk(this.ports, { fileSystemId, bytes }, work);
  }

  bytesOf(disk = 0): Uint8Array {
    return (this.disks[disk] as LessonDisk).bytes;
  }

  extents(path: string, disk = 0): FileExtent[] {
    return this.on((open) => open.extents(path), disk);
  }
}

/** Uniform in [least, most]. */
export const between = (random: Random, least: number, most: number): number =>
  least + below(random, most - least + 1);
export const oneOf = <T>(random: Random, list: readonly T[]): T =>
  list[below(random, list.length)] as T;

export const numberField = (id: string, label: string, unit: string): LessonField => ({
  id, label, kind: 'number', unit, choices: [],
}); // prettier-ignore
export const choiceField = (
  id: string,
  label: string,
  choices: LessonField['choices'],
): LessonField => ({ id, label, kind: 'choice', unit: '', choices });

/** A synchronous direct request from page-aligned memory, with what is otherwise. */
export const request = (
  op: 'read' | 'write',
  offsetBytes: number,
  lengthBytes: number,
  otherwise: Partial<LessonRequest> = {},
): LessonRequest => ({
  op,
  offsetBytes,
  lengthBytes,
  memoryOffsetBytes: 0,
  isAsync: false,
  isDsync: false,
  ...otherwise,
});

/** "8 192 bytes (8 KiB)". */
export function bytesWords(value: number): string {
  const exact = `${numberText(value)} ${value === 1 ? 'byte' : 'bytes'}`;
  return value >= 1024 ? `${exact} (${bytesText(value)})` : exact;
}
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${numberText(count)} ${count === 1 ? one : many}`;

/** Where a file block lies; null: nowhere. */
export function deviceBlockOf(extents: readonly FileExtent[], fileBlock: number): number | null {
  const extent = extents.find(
    (each) => fileBlock >= each.fileBlock && fileBlock < each.fileBlock + each.count,
  );
  if (extent === undefined || extent.deviceBlock === null) return null;
  return extent.deviceBlock + fileBlock - extent.fileBlock;
}

/** Blocks of a file that have a place on the disk. */
export const mappedBlocks = (extents: readonly FileExtent[]): number =>
  extents.reduce((sum, each) => sum + (each.deviceBlock === null ? 0 : each.count), 0);

/** The map of a file as evidence. */
export function mapEvidence(
  title: string,
  open: OpenDisk,
  path: string,
  marked: LessonRequest | null,
): LessonEvidence {
  return {
    kind: 'map',
    title,
    blockSizeBytes: open.blockBytes,
    sizeBytes: open.sizeOf(path),
    extents: open.extents(path),
    marked:
      marked === null ? null : { offsetBytes: marked.offsetBytes, lengthBytes: marked.lengthBytes },
  };
}

/** How far off a number is, in words. */
export function offBy(given: number, right: number, unit: string): string {
  const difference = Math.abs(given - right);
  const how = given > right ? 'too many' : 'too few';
  return `${numberText(given)} is ${numberText(difference)} ${unit} ${how}.`;
}
