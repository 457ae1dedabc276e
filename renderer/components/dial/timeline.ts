// SPDX-License-Identifier: GPL-2.0-only
/**
 * The revision dial's geometry: one detent a revision, evenly apart, each tied to its place in time. Pure.
 *
 *   2.5.47    2.6.20    2.6.31 ...      detents: where the knobs rest
 *      o---------o---------o---
 *     /         /    ______/
 *   --+--------+----+----------         years, to scale
 */
import type { RevisionInfo } from '../../../main/contract/index.ts';

export interface Detent {
  readonly id: string;
  readonly title: string;
  readonly releasedOn: string;
  readonly x: number;
  /** Its place on the axis of years. */
  readonly timeX: number;
}
export interface DialLayout {
  readonly detents: readonly Detent[];
  readonly years: readonly {
    readonly year: number;
    readonly x: number;
    readonly isNamed: boolean;
  }[];
}

/** '2009', '2009-08' or '2009-08-17' as a year with a fraction; the middle of what is not said. */
export function yearOf(releasedOn: string): number {
  const [year = 0, month, day] = releasedOn.split('-').map(Number);
  if (month === undefined) return year + 0.5;
  return year + (month - 1 + ((day ?? 15) - 1) / 31) / 12;
}
/** Oldest first; of one day, in the order of the list turned round (it is newest first). */
export const byAge = (revisions: readonly RevisionInfo[]): RevisionInfo[] =>
  revisions.toReversed().sort((a, b) => yearOf(a.releasedOn) - yearOf(b.releasedOn));

const SIDE = 44;
export function layOutDial(revisions: readonly RevisionInfo[], width: number): DialLayout {
  const ordered = byAge(revisions);
  const times = ordered.map((each) => yearOf(each.releasedOn));
  const from = Math.floor(times[0] ?? 2000);
  const to = Math.ceil((times.at(-1) ?? 2001) + 0.01);
  const inner = Math.max(1, width - 2 * SIDE);
  const timeX = (year: number): number => SIDE + ((year - from) / (to - from)) * inner;
  const step = inner / Math.max(1, ordered.length - 1);
  const every = Math.ceil(34 / (inner / (to - from)));
  return {
    detents: ordered.map((each, index) => ({
      id: each.id,
      title: each.title,
      releasedOn: each.releasedOn,
      x: ordered.length === 1 ? SIDE + inner / 2 : SIDE + index * step,
      timeX: timeX(times[index] ?? from),
    })),
    years: Array.from({ length: to - from + 1 }, (_, index) => ({
      year: from + index,
      x: timeX(from + index),
      isNamed: index % every === 0,
    })),
  };
}
/** Index of the detent nearest to a place. */
export function nearestDetent(detents: readonly Detent[], x: number): number {
  let best = 0;
  detents.forEach((detent, index) => {
    if (Math.abs(detent.x - x) < Math.abs((detents[best]?.x ?? Infinity) - x)) best = index;
  });
  return best;
}
