// SPDX-License-Identifier: GPL-2.0-only
/** The comparer finds what was changed in a golden trace, says it readably, and keeps the smallest scenario. */
import { describe, expect, it } from 'vitest';
import { HostError } from '../../base/index.ts';
import {
  conformLines,
  conformVector,
  parseVector,
  revisionsDiffer,
  runScenario,
  shrinkVector,
} from './index.ts';
import type { GoldenEvent, GoldenTrace, Scenario, Vector } from './scenario.ts';

/** Enough to tell contents apart; the real hash is the caller's. */
const hash = (bytes: Uint8Array): string => {
  let sum = 7;
  for (const byte of bytes) sum = (sum * 31 + byte) >>> 0;
  return sum.toString(16);
};

const scenario: Scenario = {
  size: 16384,
  sectors: 512,
  extents: [
    [0, 2, 8],
    [3, 1, 30],
  ],
  gberr: [[99, 'EIO']],
  reqs: [
    { op: 'w', pos: 0, iov: [[0, 4096]] },
    { op: 'r', pos: 0, iov: [[0, 16384]] },
    { op: 'r', pos: 0, iov: [[0, 512]] },
  ],
};
const trace = runScenario('6.4', scenario, hash).trace;
const vector: Vector = { rev: '6.4', scenario, trace };
const detail = { fileName: 'some.jsonl', detail: true, json: false, print: false };

/** The trace with event `event` of request 1 replaced. */
function withEvent(index: number, event: GoldenEvent): GoldenTrace {
  const request = trace.reqs[1];
  if (request === undefined) throw new Error('the trace has two requests');
  return { ...trace, reqs: trace.reqs.with(1, { ...request, ev: request.ev.with(index, event) }) };
}

function run(lines: string[], options: object = {}) {
  const output: string[] = [];
  const all = { ...detail, ...options };
  const summary = conformLines(lines, all, hash, (line) => output.push(line));
  return { output, text: output.join('\n'), summary };
}

describe('conformance', () => {
  it('passes a trace that is equal, and ends with the count', () => {
    const { output, summary } = run([JSON.stringify(vector), '']);
    expect(output).toEqual(['1 passed, 0 failed']);
    expect(summary).toEqual({ passedCount: 1, failedCount: 0, exitCode: 0 });
  });

  it('shows a changed event side by side and shrinks the scenario to its request', () => {
    const index = trace.reqs[1]?.ev.findIndex((event) => event[0] === 'zero') ?? -1;
    const changed = withEvent(index, ['zero', 3, 0, 4096]);
    const { text, summary } = run([JSON.stringify({ ...vector, name: 'told', trace: changed })]);
    expect(summary.exitCode).toBe(1);
    expect(text).toContain('FAILED some.jsonl:1 6.4 told');
    expect(text).toContain('request 1 (read of 16384 bytes at 0): event');
    expect(text).toMatch(/> +\["zero",3,0,4096\] +\["zero",2,0,4096\]/);
    expect(text).toContain('smallest scenario that shows it: {');
    expect(text).not.toContain('gberr');
    expect(text).toContain('0 passed, 1 failed');
  });

  it('compares detail only where asked', () => {
    const changed: Vector = { ...vector, trace: { ...withEvent(0, ['dio-']), dio: 1 } };
    expect(conformVector(changed, { detail: false }, hash).passed).toBe(true);
    const found = conformVector(changed, { detail: true }, hash).differences;
    expect(found.map((difference) => difference.field)).toEqual(['ev', 'dio']);
  });

  it('finds a wrong value, a missing request and wrong bytes', () => {
    const [first, second, third] = trace.reqs;
    if (first === undefined || second === undefined || third === undefined) throw new Error('3');
    const changed: GoldenTrace = { ...trace, mem: 'x', reqs: [{ ...first, ret: 'EIO' }, second] };
    const found = conformVector({ ...vector, trace: changed }, { detail: false }, hash).differences;
    expect(found.map((difference) => difference.field)).toEqual(['ret', 'request', 'mem']);
  });

  it('takes a sector of 64 bits with or without its sign', () => {
    const early: Scenario = {
      alloc: [10, 0],
      defer: 1,
      reqs: [{ op: 'w', pos: 2048, iov: [[0, 2048]], wqerr: 'ENOMEM' }],
    };
    const got = runScenario('6.4', early, hash).trace;
    const text = JSON.stringify(got);
    expect(got.reqs[0]?.ret).toBe('ENOMEM');
    expect(text).toContain('["bio","W",-1,2048,');
    const check = (sector: string): boolean => {
      const changed = JSON.parse(text.replace('"W",-1,', `"W",${sector},`)) as GoldenTrace;
      const told: Vector = { rev: '6.4', scenario: early, trace: changed };
      return conformVector(told, { detail: true }, hash).passed;
    };
    expect(check('18446744073709551615')).toBe(true);
    expect(check('1')).toBe(false);
    expect(check('-2')).toBe(false);
  });

  it('shrinks to what tells two revisions apart', () => {
    const apart: Scenario = {
      ...scenario,
      policy: 'lifo',
      pc: 3,
      reqs: [...scenario.reqs, { op: 'r', pos: 20480, iov: [[0, 4096], [8192, 4096]] }],
    }; // prettier-ignore
    const old: Vector = {
      rev: '2.5.47',
      scenario: apart,
      trace: runScenario('2.5.47', apart, hash).trace,
    };
    const outcome = conformVector(old, { detail: false, revision: '6.4' }, hash);
    expect(outcome.passed).toBe(false);
    const smallest = shrinkVector(old, outcome, { detail: false, revision: '6.4' }, hash);
    expect(smallest.reqs).toHaveLength(1);
    expect(smallest.policy).toBeUndefined();
    expect(smallest.gberr).toBeUndefined();
    expect(revisionsDiffer(smallest, '2.5.47', '6.4', false, hash)).toBe(true);
  });

  it('gives one JSON document, and prints traces as vectors', () => {
    const wrong = JSON.stringify({ ...vector, trace: { ...trace, isize: 1 } });
    const report = JSON.parse(run([wrong], { json: true }).text) as { failed: number };
    expect(report.failed).toBe(1);
    const printed = run([JSON.stringify(scenario)], { print: true }).text;
    expect(JSON.parse(printed)).toEqual(JSON.parse(JSON.stringify(vector)));
  });

  it('refuses what is no vector, with the line', () => {
    for (const line of ['{', '[]', '{"scenario":1}']) {
      expect(() => run(['', line])).toThrow(HostError);
      expect(() => parseVector(line, 'f:2')).toThrow(expect.objectContaining({ where: 'f:2' }));
    }
    expect(() => run([JSON.stringify({ reqs: [], blkbits: 20 })])).toThrow('blkbits is 20');
    expect(() => run([JSON.stringify(vector)], { revision: 'none' })).toThrow('no direct-I/O');
  });
});
