// SPDX-License-Identifier: GPL-2.0-only
/** The numbers of a result that the list of runs shows. */
import type { DirectionResult, RunResult } from '../../engine/lab/result.ts';
import type { RunListEntry } from '../contract/types.ts';
import { summaryOf } from './journal.ts';

/** Rates are added up over all jobs; percentiles are those of the direction with most requests. */
export function summaryOfResult(result: RunResult): RunListEntry['summary'] {
  const directions = result.jobs.flatMap((job): DirectionResult[] => [job.read, job.write]);
  const sum = (value: (direction: DirectionResult) => number): number =>
    directions.reduce((total, direction) => total + value(direction), 0);
  const [busiest] = directions.toSorted((a, b) => b.totalIos - a.totalIos);
  const percentile = (key: string): number | null =>
    busiest === undefined || busiest.lat.count === 0
      ? null
      : (busiest.lat.percentilesNs[key] ?? null);
  return {
    ...summaryOf(result.experiment),
    iops: sum((direction) => direction.iops),
    bytesPerSecond: sum((direction) => direction.bytesPerSecond),
    p50Ns: percentile('50.000000'),
    p99Ns: percentile('99.000000'),
  };
}
