// SPDX-License-Identifier: GPL-2.0-only
/** What a verification found, in words, and whether a run can be verified. Pure. */
import type { Experiment, VerifyEvent, VerifyResult } from '../../../main/contract/index.ts';

type FsckState = VerifyResult['fsck']['state'];
type ComparisonState = VerifyResult['comparison']['state'];
type Phase = Extract<VerifyEvent, { kind: 'progress' }>['phase'];

export const FSCK_WORDS: Readonly<Record<FsckState, string>> = {
  clean: 'The file system is clean',
  damaged: 'The file system is damaged',
  'not-run': 'The checker was not run',
};
export const COMPARISON_WORDS: Readonly<Record<ComparisonState, string>> = {
  equal: 'The kernel reads what the engine reads',
  different: 'The kernel reads something else',
  'not-run': 'Not compared with the kernel',
};
export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  waiting: 'Waiting for the run before it',
  fsck: 'The checker reads the file system',
  engine: 'Reading through the engine',
  kernel: 'Reading through the kernel’s mount',
};
export function toneOf(state: FsckState | ComparisonState): 'good' | 'bad' | 'dim' {
  if (state === 'clean' || state === 'equal') return 'good';
  return state === 'not-run' ? 'dim' : 'bad';
}
/** 'clean, equal': beside the name of a run. */
export const shortWords = ({ fsck, comparison }: VerifyResult): string =>
  `${fsck.state === 'not-run' ? 'not checked' : fsck.state}, ${comparison.state === 'not-run' ? 'not compared' : comparison.state}`;
export function worstTone({ fsck, comparison }: VerifyResult): 'good' | 'bad' | 'dim' {
  const tones = [toneOf(fsck.state), toneOf(comparison.state)];
  if (tones.includes('bad')) return 'bad';
  return tones.includes('good') ? 'good' : 'dim';
}

/** The image that a run wrote to; null: there is nothing to verify (it only read, or has no image of its own). */
export function verifiable(
  experiment: Experiment | null,
): { path: string; partition: number | null } | null {
  if (experiment === null) return null;
  const { target, jobs } = experiment;
  const path = target.device.options['path'];
  const writes = jobs.some((job) => job.rw !== 'read' && job.rw !== 'randread');
  const isPlain = target.by === 'host' && target.device.id !== 'loop';
  if (!writes || typeof path !== 'string' || path === '' || isPlain) return null;
  return { path, partition: target.partition ?? null };
}
