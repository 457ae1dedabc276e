// SPDX-License-Identifier: GPL-2.0-only
/**
 * Lessons as types: exercises with a question first, and the checked answer behind it. Plain data, which crosses processes as it is.
 * The lessons are in lessons/. The same id and seed give the same exercise on every machine.
 */
import type { FileExtent } from '../vfs/contract.ts';
import type { Explanation } from './explanation.ts';

export interface LessonInfo {
  readonly id: string;
  readonly title: string;
  /** What one knows afterwards, as a sentence. */
  readonly about: string;
  /** File systems that its images hold. */
  readonly fileSystems: readonly string[];
}

/** One thing that the learner is asked for. */
export interface LessonField {
  readonly id: string;
  readonly label: string;
  readonly kind: 'number' | 'choice';
  /** Of a number; '' for a choice. */
  readonly unit: string;
  /** Of a choice; empty for a number. */
  readonly choices: readonly { readonly id: string; readonly text: string }[];
}

/** A direct request on a file of the exercise's image: what the Microscope can be asked, too. */
export interface LessonRequest {
  readonly op: 'read' | 'write';
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly memoryOffsetBytes: number;
  readonly isAsync: boolean;
  readonly isDsync: boolean;
}

/** An image of the exercise, that can be had as a file. */
export interface LessonImage {
  readonly id: string;
  readonly title: string;
  readonly fileSystemId: string;
  readonly sizeBytes: number;
  /** The file that the exercise is about. */
  readonly filePath: string;
  /** Null: the exercise is about more than one request. */
  readonly request: LessonRequest | null;
}

/** What a range of bytes holds. */
export interface LessonContentRun {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly what: 'data' | 'zeros' | 'stale' | 'untouched';
}

/** What a question or an answer shows. All of it was read from the image or counted by the engine. */
export type LessonEvidence =
  | {
      readonly kind: 'map';
      readonly title: string;
      readonly blockSizeBytes: number;
      readonly sizeBytes: number;
      readonly extents: readonly FileExtent[];
      /** Bytes of the file that the request is about; null: none. */
      readonly marked: { readonly offsetBytes: number; readonly lengthBytes: number } | null;
    }
  /** One request, step by step. */
  | { readonly kind: 'steps'; readonly title: string; readonly explanation: Explanation }
  | {
      readonly kind: 'table';
      readonly title: string;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly string[])[];
    }
  | {
      readonly kind: 'content';
      readonly title: string;
      readonly strips: readonly {
        readonly of: 'disk' | 'memory' | 'returned';
        readonly title: string;
        readonly runs: readonly LessonContentRun[];
      }[];
    };

/** A lesson with the numbers of one seed. Holds nothing that gives the answer away. */
export interface Exercise {
  readonly lesson: LessonInfo;
  readonly seed: number;
  readonly revision: string;
  /** Plain sentences: the file system, the file, the request. */
  readonly setting: readonly string[];
  readonly question: string;
  readonly fields: readonly LessonField[];
  /** What one may look at before answering. */
  readonly given: readonly LessonEvidence[];
  readonly images: readonly LessonImage[];
}

/** Number or choice by the field's id, as typed. */
export type LessonAnswer = Readonly<Record<string, string>>;

export interface CheckedField {
  readonly id: string;
  /** As it was understood. */
  readonly given: string;
  readonly right: string;
  readonly isRight: boolean;
  /** What the difference is, where there is one; else why it is so. */
  readonly reply: string;
}
export interface CheckedAnswer {
  readonly exercise: Exercise;
  readonly isRight: boolean;
  readonly fields: readonly CheckedField[];
  /** Why it is so, with this exercise's numbers. */
  readonly explanation: readonly string[];
  readonly evidence: readonly LessonEvidence[];
}

/** Bytes of an image; what no piece has is zeros. */
export interface LessonImageBytes {
  readonly sizeBytes: number;
  readonly pieces: readonly { readonly offsetBytes: number; readonly bytes: Uint8Array }[];
}
