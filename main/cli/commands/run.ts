// SPDX-License-Identifier: GPL-2.0-only
/**
 * run: an experiment file or a fio job file, from reading to the report.
 *
 *   text --parse--> experiment --sets, consent--> check --> start --> watch (progress) --> ended --> report
 *   Ctrl+C while it runs --> cancel, wait for the end, exit 130
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { LabClient } from '../../contract/client.ts';
import { LAB_IMAGE_PREFIX } from '../../contract/types.ts';
import type {
  Experiment,
  HostErrorData,
  RunEvent,
  RunState,
  Target,
} from '../../contract/types.ts';
import { errorText, EXIT, exitCodeOf } from '../errors.ts';
import { paintWithAnsi } from '../paint.ts';
import { ProgressLine } from '../progress.ts';
import type { RunOptions } from '../program.ts';
import { parseWhole } from '../size.ts';
import { line, type Terminal } from '../terminal.ts';

type TextKind = 'yaml' | 'fio';

/** Which kind of job a file is: by its ending, else by whether it has a section in brackets. */
export function kindOfJob(name: string, text: string): TextKind {
  if (/\.(ya?ml|json)$/i.test(name)) return 'yaml';
  if (/\.(fio|job|ini)$/i.test(name)) return 'fio';
  return /^\s*\[[^\]\n,]+\]\s*$/m.test(text) ? 'fio' : 'yaml';
}

function readJob(job: string): string {
  try {
    return readFileSync(job === '-' ? 0 : job, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new HostError({
      code: 'job.cannot-read',
      message: code === 'ENOENT' ? `There is no file ${job}` : `${job} cannot be read: ${message}`,
      where: job,
      hint: 'Name an experiment file (YAML) or a fio job file.',
      exitCode: code === 'EACCES' ? EXIT.permission : EXIT.noInput,
    });
  }
}

/** Prints every problem with its place; gives the exit code of the first. */
function tellProblems(
  terminal: Terminal,
  name: string,
  problems: readonly (HostErrorData & { readonly line?: number | null })[],
): number {
  for (const problem of problems) {
    const hasLine = problem.line !== null && problem.line !== undefined;
    const place = hasLine ? `${name}:${String(problem.line)}` : name;
    // The place is said already where it has a line.
    const { code, message, hint, where } = problem;
    terminal.error(
      errorText({
        code,
        message: `${place}: ${message}`,
        ...(hint !== undefined && { hint }),
        ...(!hasLine && where !== undefined && { where }),
      }),
    );
  }
  const first = problems[0];
  return first?.exitCode ?? EXIT.data;
}

/** Follows the run to its end; Ctrl+C asks it to stop, once. */
async function follow(
  terminal: Terminal,
  client: LabClient,
  runId: string,
): Promise<{ readonly state: RunState; readonly failure: HostErrorData | null }> {
  const progress = new ProgressLine(terminal);
  const cancel = (): void => {
    // The end of the run is what the stream tells; a refusal here means that it has ended already.
    client.runs.cancel({ runId }).catch(() => undefined);
  };
  terminal.signal.addEventListener('abort', cancel, { once: true });
  if (terminal.signal.aborted) cancel();
  try {
    const events: AsyncIterable<RunEvent> = await client.runs.watch({ runId });
    for await (const event of events) {
      if (event.kind === 'progress') progress.show(event.progress);
      else if (event.kind === 'ended') return event;
    }
    throw new HostError({
      code: 'run.lost',
      message: `Run ${runId} was lost sight of before its end`,
      exitCode: EXIT.io,
    });
  } finally {
    progress.end();
    terminal.signal.removeEventListener('abort', cancel);
  }
}

/** Applies each `key=value` of `--set`; the keys are those of the experiment file. */
async function applySets(experiment: Experiment, sets: readonly string[]): Promise<Experiment> {
  if (sets.length === 0) return experiment;
  const { setExperimentValue } = await import('../../services/formats/index.ts');
  let changed = experiment;
  for (const text of sets) {
    const [key, value] = text.split(/=(.*)/s);
    const refuse = (expected: string): HostError =>
      new HostError({
        code: 'usage.set',
        message: `--set ${text} is not understood`,
        where: '--set',
        hint: `Expected ${expected}${/[.?]$/.test(expected) ? '' : '.'}`,
        exitCode: EXIT.usage,
      });
    if (key === undefined || key === '' || value === undefined) throw refuse('key=value');
    try {
      changed = setExperimentValue(changed, key, value);
    } catch (error) {
      if (error instanceof Error && error.name === 'BadValue') throw refuse(error.message);
      throw error;
    }
  }
  return changed;
}

/** The target with a relative image path taken from the current folder, as fio takes it; `lab:NAME` stays. */
export function fromCurrentFolder(target: Target): Target {
  const { path } = target.device.options;
  if (typeof path !== 'string' || path === '' || path.startsWith(LAB_IMAGE_PREFIX)) return target;
  const options = { ...target.device.options, path: resolve(path) };
  return { ...target, device: { ...target.device, options } };
}

/** The experiment that the file, `--set` and `--consent` come to; or the exit code where it has problems, which were told. */
export async function prepareJob(
  terminal: Terminal,
  client: LabClient,
  job: string,
  options: RunOptions,
): Promise<Experiment | number> {
  const name = job === '-' ? 'standard input' : job;
  const text = readJob(job);
  const parsed = await client.experiments.parse({ text, kind: kindOfJob(job, text) });
  for (const note of parsed.notes) terminal.error(`${name}: ${note}\n`);
  if (parsed.experiment === null || parsed.problems.length > 0) {
    return tellProblems(terminal, name, parsed.problems);
  }
  const set = await applySets(parsed.experiment, options.set);
  const target = fromCurrentFolder(set.target);
  const consentToWrite = target.consentToWrite || options.consent;
  const partition =
    options.partition === undefined
      ? {}
      : { partition: parseWhole(options.partition, '--partition', 1, 1024) };
  const snapshot = options.snapshot === undefined ? {} : { snapshot: options.snapshot };
  const experiment: Experiment = {
    ...set,
    target: { ...target, ...partition, ...snapshot, consentToWrite },
  };
  const check = await client.experiments.check(experiment);
  if (check.problems.length > 0) return tellProblems(terminal, name, check.problems);
  if (options.output === 'text') {
    for (const sentence of check.summary) terminal.error(`${sentence}\n`);
  }
  return experiment;
}

export async function run(terminal: Terminal, job: string, options: RunOptions): Promise<number> {
  const { client } = await terminal.session();
  const experiment = await prepareJob(terminal, client, job, options);
  if (typeof experiment === 'number') return experiment;
  const { runId } = await client.runs.start(experiment);
  const { state, failure } = await follow(terminal, client, runId);
  if (state === 'failed' || state === 'aborted') {
    const data = failure ?? { code: 'run.failed', message: `Run ${runId} ended as ${state}` };
    const message =
      state === 'aborted' ? `Run ${runId} was aborted. ${data.message}` : data.message;
    terminal.error(errorText({ ...data, message }));
    return exitCodeOf(data);
  }
  const result = await client.runs.get({ runId });
  const { formatFioResult, formatReport } = await import('../../services/formats/index.ts');
  await terminal.out(
    options.output === 'json'
      ? line(JSON.stringify(formatFioResult(result), null, 2))
      : formatReport(result, ...(terminal.hasColours ? [paintWithAnsi] : [])),
  );
  if (state === 'cancelled') return EXIT.interrupted;
  const hasErrors = result.jobs.some((each) => Object.keys(each.errors).length > 0);
  return hasErrors ? EXIT.io : EXIT.ok;
}
