// SPDX-License-Identifier: GPL-2.0-only
/**
 * What an exhibit of the bug gallery is, and what its claims are made from: the run of its scenario on one revision.
 *
 * Rules: 1. Everything that is said about a run is computed from it. 2. `isHit` is the claim as one truth value: true on the old
 * revision and false on the fixed one, which the suite holds. 3. The scenario is in the golden format (FORMAT.md), so that it can be
 * printed, shrunk and given to `conform`.
 */
import { PAGE_BYTES, SECTOR_BYTES, type TraceRow } from '../../base/index.ts';
import { numberText } from '../words.ts';
import type { ExhibitInfo, ExhibitRun, RevisionSummary } from '../comparison.ts';
import type { GoldenTrace, Scenario, ScenarioRun } from '../conformance/index.ts';

export type ContentPart = ExhibitRun['content'][number];
export type ContentRun = ContentPart['runs'][number];

/** An exhibit's scenario, run on one revision. */
export interface ExhibitEnd {
  readonly revision: string;
  readonly scenario: Scenario;
  readonly run: ScenarioRun;
  readonly trace: GoldenTrace;
  readonly rows: readonly TraceRow[];
  readonly summary: RevisionSummary;
  /** User pages and disk before the first request. */
  readonly userBytesBefore: Uint8Array;
  readonly diskBytesBefore: Uint8Array;
}

export interface Exhibit {
  readonly info: ExhibitInfo;
  readonly scenario: Scenario;
  /** The defect or limit shows in this run. */
  readonly isHit: (end: ExhibitEnd) => boolean;
  /** One sentence of what to look at, from the run's own numbers. */
  readonly observe: (end: ExhibitEnd) => string;
  readonly answer: readonly string[];
  /** Bytes, where the exhibit is about them. */
  readonly content?: (end: ExhibitEnd) => readonly Omit<ContentPart, 'revision'>[];
}

/** Rows of one kind. */
export function rowsOf(end: ExhibitEnd, kind: TraceRow['kind']): TraceRow[] {
  return end.rows.filter((row) => row.kind === kind);
}

/** What the request's call returned, or that the kernel stopped. */
export function returnedBy(end: ExhibitEnd, request = 0): number | string {
  return end.trace.reqs[request]?.ret ?? end.run.stopped?.what ?? 'nothing';
}

/** "8,192 bytes", "EFAULT", "the number -4096". */
export function valueWords(value: number | string): string {
  if (typeof value === 'string') return value;
  return value < 0 ? `the number ${String(value)}` : bytesWords(value);
}
export const bytesWords = (bytes: number): string =>
  `${numberText(bytes)} ${bytes === 1 ? 'byte' : 'bytes'}`;
export const countWords = (count: number, noun: string): string =>
  `${count === 0 ? 'no' : String(count)} ${noun}${count === 1 ? '' : 's'}`;

/** Candidates for what a piece of memory or disk holds, in the order in which they are tried. */
export interface Origin {
  readonly what: ContentRun['what'];
  /** The byte at this place, were it of this origin. */
  readonly byteAt: (offset: number) => number | undefined;
}

/** Runs of equal origin over `bytes`, told apart `unitBytes` at a time. What fits no origin is 'data'. */
export function contentRuns(
  bytes: Uint8Array,
  origins: readonly Origin[],
  unitBytes = SECTOR_BYTES,
): ContentRun[] {
  const runs: { offsetBytes: number; lengthBytes: number; what: ContentRun['what'] }[] = [];
  for (let start = 0; start < bytes.length; start += unitBytes) {
    const end = Math.min(bytes.length, start + unitBytes);
    const found = origins.find(({ byteAt }) => {
      for (let at = start; at < end; at++) if (bytes[at] !== byteAt(at)) return false;
      return true;
    });
    const what = found?.what ?? 'data';
    const last = runs.at(-1);
    if (last?.what === what) last.lengthBytes = end - last.offsetBytes;
    else runs.push({ offsetBytes: start, lengthBytes: end - start, what });
  }
  return runs;
}

/** Bytes of one origin. */
export function bytesOf(runs: readonly ContentRun[], what: ContentRun['what']): number {
  return runs.reduce((sum, run) => sum + (run.what === what ? run.lengthBytes : 0), 0);
}

const zeros: Origin = { what: 'zeros', byteAt: () => 0 };

/** The disk under the file's blocks: what was there before ('stale'), zeros, or what a request wrote ('data'). */
export function diskRuns(end: ExhibitEnd, fileBytes: number): ContentRun[] {
  const blockBytes = 2 ** (end.scenario.blkbits ?? 12);
  const now = new Uint8Array(fileBytes);
  const before = new Uint8Array(fileBytes);
  for (const { fileBlock, count, diskBlock } of end.run.extents) {
    for (let block = 0; block < count; block++) {
      const to = (fileBlock + block) * blockBytes;
      if (to >= fileBytes) continue;
      const from = (diskBlock + block) * blockBytes;
      const length = Math.min(blockBytes, fileBytes - to);
      now.set(end.run.diskBytes.subarray(from, from + length), to);
      before.set(end.diskBytesBefore.subarray(from, from + length), to);
    }
  }
  return contentRuns(now, [zeros, { what: 'stale', byteAt: (at) => before[at] }]);
}

/** The caller's memory from `address` on: as it was ('untouched'), zeros, or what was read into it ('data'). */
export function memoryRuns(end: ExhibitEnd, address: number, lengthBytes: number): ContentRun[] {
  const now = end.run.userBytes.subarray(address, address + lengthBytes);
  const before = end.userBytesBefore.subarray(address, address + lengthBytes);
  return contentRuns(now, [zeros, { what: 'untouched', byteAt: (at) => before[at] }]);
}

/** References on user pages that were never dropped. */
export function leakedReferencesOf(trace: GoldenTrace): number {
  return Object.entries(trace.refs ?? {}).reduce(
    (sum, [page, count]) => sum + (page === 'z' ? 0 : Math.max(0, count)),
    0,
  );
}

/** Pages that a range of memory touches. */
export const pagesOf = (lengthBytes: number): number => Math.ceil(lengthBytes / PAGE_BYTES);
