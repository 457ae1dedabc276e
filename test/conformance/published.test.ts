// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every published vector of every revision in the list, in core and in detail. The traces were made by the real C code, compiled
 * unmodified (test/golden/FORMAT.md).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { REVISIONS } from '../../engine/dio/index.ts';
import { compareTraces, conformLines, runScenario } from '../../engine/lab/conformance/index.ts';
import type { GoldenTrace, Vector } from '../../engine/lab/conformance/index.ts';

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function vectorsOf(fileName: string): Vector[] {
  const text = readFileSync(new URL(`../golden/${fileName}`, import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => JSON.parse(line) as Vector);
}

describe.each(REVISIONS.map((spec) => spec.id))('revision %s', (id) => {
  it.each(['', '-named'])('reproduces the published vectors%s', (suffix) => {
    const fileName = `${id}${suffix}.jsonl`;
    const text = readFileSync(new URL(`../golden/${fileName}`, import.meta.url), 'utf8');
    const lines = text.split('\n');
    const output: string[] = [];
    const options = { fileName, detail: true, json: false, print: false };
    const summary = conformLines(lines, options, hash, (line) => output.push(line));
    expect(output.slice(0, -1).join('\n')).toBe('');
    expect(summary.failedCount).toBe(0);
    expect(summary.passedCount).toBe(lines.filter((line) => line.trim() !== '').length);
  });

  it('does the same where everything sleeps that may', () => {
    for (const vector of vectorsOf(`${id}-named.jsonl`).concat(vectorsOf(`${id}.jsonl`))) {
      const { trace } = runScenario(id, vector.scenario, hash, { isSleepy: true });
      const differences = compareTraces(vector.trace as GoldenTrace, trace, true);
      expect({ vector: vector.name ?? vector.scenario, differences }).toEqual({
        vector: vector.name ?? vector.scenario,
        differences: [],
      });
    }
  });
});

describe('revisions that say they change nothing', () => {
  const silent = REVISIONS.filter(
    (spec) => spec.basedOn !== null && spec.changes.every((change) => change.effect === 'none'),
  );

  it.each(silent)('$id does what its base does', (spec) => {
    for (const vector of vectorsOf(`${spec.basedOn?.id ?? ''}.jsonl`)) {
      const { trace } = runScenario(spec, vector.scenario, hash);
      expect(compareTraces(vector.trace as GoldenTrace, trace, true)).toEqual([]);
    }
  });
});
