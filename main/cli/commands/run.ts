// SPDX-License-Identifier: GPL-2.0-only
/**
 * run: an experiment file or a fio job file, from reading to the report.
 *
 *   text --parse--> experiment --sets, consent--> check --> start --> watch (progress) --> ended --> report
 *   Ctrl+C while it runs --> cancel, wait for the end, exit 130
 */
import { readFileSync } from 'node:fs';
import { HostError } from '../../../engine/base/index.ts';
import type { LabClient } from '../../contract/client.ts';
import type { Experiment, HostErrorData, RunEvent, RunState } from '../../contract/types.ts';
import { errorText, EXIT, exitCodeOf } from '../errors.ts';
import { ProgressLine } from '../progress.ts';
import type { RunOptions } from '../program.ts';
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
    const place = problem.line == null ? name : `${name}:${String(problem.line)}`;
    terminal.error(errorText({ ...problem, message: `${place}: ${problem.message}` }));
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

/** The experiment that the file, `--set` and `--consent` come to; or the exit code where it has problems, which were told. */
async function prepare(
  terminal: Terminal,
  client: LabClient,
  job: string,
  options: RunOptions,
): Promise<Experiment | number> {
  const name = job === '-' ? 'standard input' : job;
  const text = readJob(job);
  const { setKeys } = await import('../set-keys.ts');
  const kind = kindOfJob(job, text);
  const parsed = await client.experiments.parse({ text: setKeys(text, kind, options.set), kind });
  for (const note of parsed.notes) terminal.error(`${name}: ${note}\n`);
  if (parsed.experiment === null || parsed.problems.length > 0) {
    return tellProblems(terminal, name, parsed.problems);
  }
  const { target } = parsed.experiment;
  const experiment: Experiment = options.consent
    ? { ...parsed.experiment, target: { ...target, consentToWrite: true } }
    : parsed.experiment;
  const check = await client.experiments.check(experiment);
  if (check.problems.length > 0) return tellProblems(terminal, name, check.problems);
  if (check.needsConsent && !experiment.target.consentToWrite) {
    throw new HostError({
      code: 'run.needs-consent',
      message: 'This run would change data in an image that diolab did not make',
      where: String(target.device.options['path'] ?? name),
      hint: 'Work on a copy, or agree with --consent.',
      exitCode: EXIT.permission,
    });
  }
  if (options.output === 'text') {
    for (const sentence of check.summary) terminal.error(`${sentence}\n`);
  }
  return experiment;
}

export async function run(terminal: Terminal, job: string, options: RunOptions): Promise<number> {
  const { client } = await terminal.session();
  const experiment = await prepare(terminal, client, job, options);
  if (typeof experiment === 'number') return experiment;
  const { runId } = await client.runs.start(experiment);
  const { state, failure } = await follow(terminal, client, runId);
  if (state === 'failed' || state === 'aborted') {
    const data = failure ?? { code: 'run.failed', message: `Run ${runId} ended as ${state}` };
    terminal.error(errorText(data));
    return exitCodeOf(data);
  }
  const result = await client.runs.get({ runId });
  const { reportText, reportJson } = await import('../report.ts');
  await terminal.out(
    options.output === 'json'
      ? line(JSON.stringify(reportJson(result), null, 2))
      : reportText(result),
  );
  if (state === 'cancelled') return EXIT.interrupted;
  const hasErrors = result.jobs.some((each) => Object.keys(each.errors).length > 0);
  return hasErrors ? EXIT.io : EXIT.ok;
}
