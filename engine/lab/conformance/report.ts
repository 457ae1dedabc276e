// SPDX-License-Identifier: GPL-2.0-only
/** Differences between traces, for a person: events side by side, the first one that differs marked. */
import { comparedEvents, type Difference } from './compare.ts';
import type { GoldenTrace, Scenario, ScenarioRequest } from './scenario.ts';

/** Events shown before and after the one that differs. */
const CONTEXT_EVENTS = 3;
const COLUMN_WIDTH_MAX = 72;

/** The block of text for one vector that failed. */
export function differenceText(
  title: string,
  scenario: Scenario,
  expected: GoldenTrace,
  actual: GoldenTrace,
  differences: readonly Difference[],
  detail: boolean,
): string {
  const lines = [`FAILED ${title}`];
  for (const difference of differences) {
    const { requestIndex } = difference;
    if (requestIndex === null) {
      lines.push(`  at the end: ${valueLine(difference)}`);
      continue;
    }
    const request = scenario.reqs[requestIndex];
    const what = request === undefined ? '' : ` (${requestText(request)})`;
    if (difference.field !== 'ev') {
      lines.push(`  request ${String(requestIndex)}${what}: ${valueLine(difference)}`);
      continue;
    }
    const at = difference.eventIndex ?? 0;
    lines.push(`  request ${String(requestIndex)}${what}: event ${String(at)} differs`);
    const left = comparedEvents(expected.reqs[requestIndex]?.ev ?? [], detail);
    const right = comparedEvents(actual.reqs[requestIndex]?.ev ?? [], detail);
    lines.push(...sideBySide(left, right, at));
  }
  return lines.join('\n');
}

function valueLine(difference: Difference): string {
  return `${difference.field} expected ${json(difference.expected)}, actual ${json(difference.actual)}`;
}

function sideBySide(left: readonly unknown[], right: readonly unknown[], at: number): string[] {
  const from = Math.max(0, at - CONTEXT_EVENTS);
  const to = Math.min(Math.max(left.length, right.length), at + CONTEXT_EVENTS + 1);
  const rows: (readonly [string, string, string])[] = [['', 'expected', 'actual']];
  for (let index = from; index < to; index++) {
    const mark = index === at ? '>' : '';
    rows.push([mark, cell(left, index), cell(right, index)]);
  }
  const width = Math.min(COLUMN_WIDTH_MAX, Math.max(...rows.map((row) => row[1].length)));
  return rows.map(([mark, one, other]) => `    ${mark.padEnd(2)}${one.padEnd(width)}  ${other}`);
}

function cell(events: readonly unknown[], index: number): string {
  return index < events.length ? json(events[index]) : '-';
}

/** One line about a request. */
export function requestText(request: ScenarioRequest): string {
  const bytes = request.iov.reduce((sum, [, length]) => sum + length, 0);
  const op = request.op === 'w' ? 'write' : 'read';
  const kind = request.async === 1 ? 'async ' : '';
  return `${kind}${op} of ${String(bytes)} bytes at ${String(request.pos)}`;
}

function json(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
