// SPDX-License-Identifier: GPL-2.0-only
/** What a person chose to measure, kept for the next time, and what keeps it from being measured. Pure but for the storage. */
import type { GroundId, GroundInfo } from '../../../main/contract/index.ts';
import { readStored, writeStored } from '../../stores/stored.ts';

export const ROUNDS_MAX = 100;
export const SECONDS_MIN = 0.1;
export const SECONDS_MAX = 3600;
export const SEED_MAX = 2 ** 32 - 1;

export interface GroundsChoice {
  /** Whose experiment; '': the Lab's. Not kept. */
  readonly runId: string;
  readonly grounds: readonly GroundId[];
  readonly rounds: number;
  /** Null: as the experiment says. */
  readonly secondsPerRun: number | null;
  readonly seed: number;
}
export const FIRST_CHOICE: GroundsChoice = {
  runId: '',
  grounds: ['engine', 'host-file', 'loop-direct', 'loop-buffered', 'kernel-mount'],
  rounds: 5,
  secondsPerRun: 2,
  seed: 1,
};
const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** What was chosen last; a stored value of another version or with another meaning is left out. */
export function readChoice(): GroundsChoice {
  const stored = readStored('grounds');
  if (typeof stored !== 'object' || stored === null) return FIRST_CHOICE;
  const { grounds, rounds, secondsPerRun, seed } = stored as Partial<GroundsChoice>;
  const seconds = typeof secondsPerRun === 'number' ? secondsPerRun : null;
  return {
    runId: '',
    grounds: Array.isArray(grounds)
      ? FIRST_CHOICE.grounds.filter((id) => (grounds as unknown[]).includes(id))
      : FIRST_CHOICE.grounds,
    rounds: isWhole(rounds, 1, ROUNDS_MAX) ? rounds : FIRST_CHOICE.rounds,
    secondsPerRun:
      seconds !== null && seconds >= SECONDS_MIN && seconds <= SECONDS_MAX ? seconds : null,
    seed: isWhole(seed, 0, SEED_MAX) ? seed : FIRST_CHOICE.seed,
  };
}
export const keepChoice = (choice: GroundsChoice): void => {
  writeStored('grounds', { ...choice, runId: '' });
};
/** The chosen grounds that are possible here, in the order of the table. */
export const possibleGrounds = (
  choice: GroundsChoice,
  infos: readonly GroundInfo[] | null,
): GroundId[] =>
  (infos ?? [])
    .filter((info) => info.unavailableWhy === null && choice.grounds.includes(info.id))
    .map((info) => info.id);
