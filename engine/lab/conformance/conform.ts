// SPDX-License-Identifier: GPL-2.0-only
/**
 * Conformance of a revision with golden vectors: one vector, or a file of them as the terminal's `conform` runs it.
 * Text goes out through a function, the hash comes in through one: nothing here knows a terminal or a file.
 */
import { HostError } from '../../base/index.ts';
import { DEFAULT_REVISION_ID, REVISIONS } from '../../dio/index.ts';
import { compareTraces, comparedEvents, type Difference } from './compare.ts';
import { differenceText } from './report.ts';
import { runScenario, type HashPort } from './run-scenario.ts';
import type { GoldenTrace, Scenario, Vector } from './scenario.ts';
import { shrinkScenario } from './shrink.ts';

export interface ConformVectorOptions {
  /** Also the detail events and counts. */
  readonly detail: boolean;
  /** Runs this revision instead of the vector's own. */
  readonly revision?: string;
}
export interface VectorOutcome {
  readonly passed: boolean;
  readonly differences: readonly Difference[];
  /** What the engine did; null where it failed with an error of its own. */
  readonly trace: GoldenTrace | null;
  /** That error. */
  readonly failure: string | null;
}

/** Runs a vector's scenario and compares. A vector without a trace passes. */
export function conformVector(
  vector: Vector,
  options: ConformVectorOptions,
  hash: HashPort,
): VectorOutcome {
  let trace: GoldenTrace;
  try {
    ({ trace } = runScenario(options.revision ?? vector.rev, vector.scenario, hash));
  } catch (error) {
    if (error instanceof HostError) throw error;
    const failure = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { passed: false, differences: [], trace: null, failure };
  }
  if (vector.trace === undefined) return { passed: true, differences: [], trace, failure: null };
  const differences = compareTraces(vector.trace, trace, options.detail);
  return { passed: differences.length === 0, differences, trace, failure: null };
}

/**
 * The scenario of a failed vector, made smaller. Where another revision than the vector's own was run, both can be run on any smaller
 * scenario, and it shrinks as long as they differ. Otherwise the golden trace is known for the whole scenario only, so what is removed
 * is what changes nothing in our own events and value of the first request that differs, and that request is kept as the last.
 */
export function shrinkVector(
  vector: Vector,
  outcome: VectorOutcome,
  options: ConformVectorOptions,
  hash: HashPort,
): Scenario {
  const other = options.revision;
  const isDial = other !== undefined && other !== vector.rev;
  if (isDial && REVISIONS.some((spec) => spec.id === vector.rev)) {
    const differs = (scenario: Scenario): boolean =>
      revisionsDiffer(scenario, vector.rev, other, options.detail, hash);
    if (differs(vector.scenario)) return shrinkScenario(vector.scenario, differs);
  }
  const first = outcome.differences.find((difference) => difference.requestIndex !== null);
  const { trace } = outcome;
  if (first === undefined || first.requestIndex === null || trace === null) return vector.scenario;
  const last = first.requestIndex;
  const kept: Scenario = { ...vector.scenario, reqs: vector.scenario.reqs.slice(0, last + 1) };
  const ofLast = (of: GoldenTrace): string => {
    const request = of.reqs.at(-1);
    return JSON.stringify([comparedEvents(request?.ev ?? [], true), request?.ret, of.bug]);
  };
  const revision = options.revision ?? vector.rev;
  const run = (scenario: Scenario): string | null => {
    try {
      return ofLast(runScenario(revision, scenario, hash).trace);
    } catch {
      // A candidate that cannot be run is no smaller scenario.
      return null;
    }
  };
  const wanted = run(kept);
  return wanted === null ? kept : shrinkScenario(kept, (candidate) => run(candidate) === wanted);
}

/** Whether two revisions do different things in a scenario; false where it cannot be run. */
export function revisionsDiffer(
  scenario: Scenario,
  one: string,
  other: string,
  detail: boolean,
  hash: HashPort,
): boolean {
  try {
    const expected = runScenario(one, scenario, hash).trace;
    const actual = runScenario(other, scenario, hash).trace;
    return compareTraces(expected, actual, detail).length > 0;
  } catch {
    // A candidate that cannot be run shows nothing.
    return false;
  }
}

export interface ConformFileOptions extends ConformVectorOptions {
  /** Shown in messages. */
  readonly fileName: string;
  /** Machine output: one JSON document at the end. */
  readonly json: boolean;
  /** Prints the trace of every scenario as a JSON line instead of comparing. */
  readonly print: boolean;
}
export interface ConformSummary {
  readonly passedCount: number;
  readonly failedCount: number;
  /** 0, or 1 where something failed. */
  readonly exitCode: 0 | 1;
}

/**
 * Runs each line of a file. `write` gets whole lines of text without their line end. A line that is no vector is a `HostError` with
 * its number (exit code 65).
 */
export function conformLines(
  lines: Iterable<string>,
  options: ConformFileOptions,
  hash: HashPort,
  write: (text: string) => void,
): ConformSummary {
  let passedCount = 0;
  const failures: unknown[] = [];
  let lineNumber = 0;
  for (const line of lines) {
    lineNumber++;
    if (line.trim() === '') continue;
    const where = `${options.fileName}:${String(lineNumber)}`;
    const vector = parseVector(line, where, options.revision);
    const outcome = conformVector(vector, options, hash);
    if (options.print) {
      if (outcome.trace === null) throw new Error(`${where}: ${String(outcome.failure)}`);
      const rev = options.revision ?? vector.rev;
      write(JSON.stringify({ rev, scenario: vector.scenario, trace: outcome.trace }));
      passedCount++;
      continue;
    }
    if (outcome.passed) {
      passedCount++;
      continue;
    }
    const shrunk = shrinkVector(vector, outcome, options, hash);
    const { differences, failure, trace } = outcome;
    failures.push({ line: lineNumber, name: vector.name ?? null, failure, differences, shrunk });
    if (options.json) continue;
    write(failureText(where, vector, trace, outcome, options.detail));
    write(`  smallest scenario that shows it: ${JSON.stringify(shrunk)}`);
  }
  const failedCount = failures.length;
  if (options.json && !options.print) {
    const { fileName, detail } = options;
    write(JSON.stringify({ fileName, detail, passed: passedCount, failed: failedCount, failures }));
  } else if (!options.print) {
    write(`${String(passedCount)} passed, ${String(failedCount)} failed`);
  }
  return { passedCount, failedCount, exitCode: failedCount === 0 ? 0 : 1 };
}

function failureText(
  where: string,
  vector: Vector,
  trace: GoldenTrace | null,
  outcome: VectorOutcome,
  detail: boolean,
): string {
  const title = [where, vector.rev, vector.name].filter((part) => part !== undefined).join(' ');
  if (trace === null || vector.trace === undefined) {
    return `FAILED ${title}\n  the engine stopped with an error of its own: ${String(outcome.failure)}`;
  }
  return differenceText(title, vector.scenario, vector.trace, trace, outcome.differences, detail);
}

/** A vector, or a bare scenario (the revision is then the one asked for, or the default). */
export function parseVector(line: string, where: string, revision?: string): Vector {
  const refuse = (message: string): HostError =>
    new HostError({
      code: 'conform.bad-line',
      message,
      where,
      hint: 'A line is a vector {"rev","scenario","trace"} or a scenario with "reqs".',
      exitCode: 65,
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    throw refuse(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof parsed !== 'object' || parsed === null) throw refuse('not an object');
  const record = parsed as Record<string, unknown>;
  if (Array.isArray(record['reqs'])) {
    return { rev: revision ?? DEFAULT_REVISION_ID, scenario: parsed as Scenario };
  }
  const { scenario } = record;
  if (typeof scenario !== 'object' || scenario === null || !('reqs' in scenario)) {
    throw refuse('neither a vector nor a scenario');
  }
  const rev = typeof record['rev'] === 'string' ? record['rev'] : (revision ?? DEFAULT_REVISION_ID);
  return { ...(parsed as Vector), rev };
}
