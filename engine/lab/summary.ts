// SPDX-License-Identifier: GPL-2.0-only
/** What a request came to, counted from the rows of its trace: a line of the table over revisions. */
import { errnoName, type TraceRow } from '../base/index.ts';
import type { RevisionSummary } from './comparison.ts';

/** How the call and the request ended. */
export interface SummedEnding {
  readonly returned: number | null;
  readonly completed: number | null;
  readonly bug: { readonly what: string } | null;
}

/** The zero page is the first of the arena; a bio vector on it writes zeros. */
const ZERO_PAGE = 0;

/** Counts rows of one request, or of several that belong together. */
export function summaryOf(
  rows: readonly TraceRow[],
  ending: SummedEnding,
  leakedReferences: number,
): RevisionSummary {
  const counters = { getBlockCalls: 0, bios: 0, bioBytes: 0, waits: 0 };
  const zeroed = { onDiskBytes: 0, inMemoryBytes: 0 };
  const locks = new Set<string>();
  for (const { kind, values } of rows) {
    if (kind === 'map') counters.getBlockCalls++;
    else if (kind === 'wait') counters.waits++;
    else if (kind === 'lock') locks.add('inode lock');
    else if (kind === 'alloc-sem-down') locks.add('i_alloc_sem');
    else if (kind === 'zero') zeroed.inMemoryBytes += values[2] ?? 0;
    else if (kind === 'bio-vector' && (values[0] ?? 1) <= ZERO_PAGE) {
      zeroed.onDiskBytes += values[2] ?? 0;
    } else if (kind === 'bio-submit') {
      counters.bios++;
      counters.bioBytes += values[1] ?? 0;
    }
  }
  const { getBlockCalls, bios, bioBytes, waits } = counters;
  return {
    returned: ending.bug?.what ?? named(ending.returned ?? 0),
    completedWith: ending.completed === null ? null : named(ending.completed),
    getBlockCalls,
    bios,
    bytesPerBio: bios === 0 ? null : bioBytes / bios,
    zeroedBytes: zeroed.onDiskBytes + zeroed.inMemoryBytes,
    zeroed,
    locks: [...locks],
    waits,
    leakedReferences,
  };
}

const named = (value: number): number | string => (value < 0 ? (errnoName(value) ?? value) : value);
