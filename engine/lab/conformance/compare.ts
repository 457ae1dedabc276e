// SPDX-License-Identifier: GPL-2.0-only
/**
 * Compares a trace with the golden one. Core: the events gb, bio and kc, returned values, file size, memory, disk and a BUG. Detail:
 * every event and every count besides. Differences are data; report.ts puts them into words.
 */
import type { GoldenEvent, GoldenRequest, GoldenTrace } from './scenario.ts';

const CORE_EVENTS = new Set(['gb', 'bio', 'kc']);

export interface Difference {
  /** Request it is in; null: the state at the end of the scenario. */
  readonly requestIndex: number | null;
  /** 'ev', 'ret', 'left', 'mem' and the like. */
  readonly field: string;
  /** Of 'ev': the first event that differs, counted among the events compared. */
  readonly eventIndex: number | null;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** The events that count at this level. */
export function comparedEvents(
  events: readonly GoldenEvent[],
  detail: boolean,
): readonly GoldenEvent[] {
  return detail ? events : events.filter((event) => CORE_EVENTS.has(event[0]));
}

/** All differences, requests first, in order. Empty: the traces agree. */
export function compareTraces(
  expected: GoldenTrace,
  actual: GoldenTrace,
  detail: boolean,
): Difference[] {
  const differences: Difference[] = [];
  const count = Math.max(expected.reqs.length, actual.reqs.length);
  for (let index = 0; index < count; index++) {
    compareRequests(index, expected.reqs[index], actual.reqs[index], detail, differences);
  }
  const fields: (keyof GoldenTrace)[] = ['isize', 'mem', 'dev', 'bug'];
  if (detail) fields.push('refs', 'dio', 'dirty', 'live', 'sem');
  for (const field of fields) {
    if (same(expected[field], actual[field])) continue;
    differences.push({
      requestIndex: null,
      field,
      eventIndex: null,
      expected: expected[field],
      actual: actual[field],
    });
  }
  return differences;
}

function compareRequests(
  requestIndex: number,
  expected: GoldenRequest | undefined,
  actual: GoldenRequest | undefined,
  detail: boolean,
  differences: Difference[],
): void {
  if (expected === undefined || actual === undefined) {
    differences.push({ requestIndex, field: 'request', eventIndex: null, expected, actual });
    return;
  }
  const expectedEvents = comparedEvents(expected.ev, detail);
  const actualEvents = comparedEvents(actual.ev, detail);
  const count = Math.max(expectedEvents.length, actualEvents.length);
  for (let index = 0; index < count; index++) {
    if (same(expectedEvents[index], actualEvents[index])) continue;
    differences.push({
      requestIndex,
      field: 'ev',
      eventIndex: index,
      expected: expectedEvents[index],
      actual: actualEvents[index],
    });
    break;
  }
  const fields: (keyof GoldenRequest)[] = detail ? ['ret', 'left', 'kpos', 'acct'] : ['ret'];
  for (const field of fields) {
    // Revisions without an iterator or without accounting have no such field.
    const isAbsent = expected[field] === undefined && (field === 'left' || field === 'acct');
    if (isAbsent || same(expected[field], actual[field])) continue;
    differences.push({
      requestIndex,
      field,
      eventIndex: null,
      expected: expected[field],
      actual: actual[field],
    });
  }
}

/**
 * The same number of 64 bits, written with a sign or without: a request that fails before its first mapping is placed can submit a bio
 * at block -1, which as a sector of the kernel's is close to 2^64.
 */
function sameIn64Bits(one: number, other: number): boolean {
  return (one < 0 && one + 2 ** 64 === other) || (other < 0 && other + 2 ** 64 === one);
}

/** Equal as JSON values; the order of an object's keys does not count. */
function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one === 'number' && typeof other === 'number') return sameIn64Bits(one, other);
  if (typeof one !== 'object' || typeof other !== 'object') return false;
  if (one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) =>
    same((one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key]),
  );
}
