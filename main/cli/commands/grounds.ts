// SPDX-License-Identifier: GPL-2.0-only
/** grounds: one job on several grounds, measured in turn, as a table. */
import type { GroundRow, GroundsResult, Spread } from '../../contract/grounds.ts';
import { HostError } from '../../../engine/base/index.ts';
import type { LabClient } from '../../contract/client.ts';
import { GROUND_IDS, type GroundId } from '../../contract/grounds.ts';
import type { Experiment } from '../../contract/types.ts';
import { errorText, EXIT, exitCodeOf } from '../errors.ts';
import type { GroundsOptions } from '../ground-commands.ts';
import { countText, durationText } from '../quantities.ts';
import { parseWhole } from '../size.ts';
import { line, type Terminal } from '../terminal.ts';
import { prepareJob } from './run.ts';

/** The grounds asked for; without a list all that can be measured, and a line for each that cannot. */
async function chosenGrounds(
  terminal: Terminal,
  client: LabClient,
  experiment: Experiment,
  list: string | undefined,
): Promise<GroundId[]> {
  if (list !== undefined) {
    return list.split(',').map((word) => {
      const id = GROUND_IDS.find((known) => known === word.trim());
      if (id !== undefined) return id;
      throw new HostError({
        code: 'usage.unknown-ground',
        message: `There is no ground '${word}'`,
        where: '--grounds',
        hint: `Some of: ${GROUND_IDS.join(', ')}.`,
        exitCode: EXIT.usage,
      });
    });
  }
  const infos = await client.grounds.list(experiment);
  for (const { title, unavailableWhy } of infos) {
    if (unavailableWhy !== null) terminal.error(line(`Left out: ${title}: ${unavailableWhy}.`));
  }
  return infos.filter(({ unavailableWhy }) => unavailableWhy === null).map(({ id }) => id);
}

/** Follows the measurement; Ctrl+C stops it, and what was measured stays. */
async function follow(terminal: Terminal, client: LabClient, id: string): Promise<GroundsResult> {
  const cancel = (): void => {
    // The stream tells the end; a refusal here means that it has ended already.
    client.grounds.cancel({ id }).catch(() => undefined);
  };
  terminal.signal.addEventListener('abort', cancel, { once: true });
  if (terminal.signal.aborted) cancel();
  try {
    let last = '';
    for await (const event of await client.grounds.watch({ id })) {
      if (event.kind !== 'progress' || event.text === last) continue;
      last = event.text;
      terminal.error(line(`${String(Math.round(event.fraction * 100)).padStart(3)} % ${last}`));
    }
    return await client.grounds.get({ id });
  } finally {
    terminal.signal.removeEventListener('abort', cancel);
  }
}

/** '41.3 k (40.1 k to 42.0 k)' */
const spreadText = (spread: Spread, text: (value: number) => string): string =>
  `${text(spread.median)} (${text(spread.min)} to ${text(spread.max)})`;
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function cells(row: GroundRow): string[] {
  if (row.rounds === 0) return [row.title, 'not measured', '', '', '', '', ''];
  return [
    row.title,
    spreadText(row.iops, countText),
    row.ratioToEngine === null ? '' : row.ratioToEngine.median.toFixed(2),
    durationText(row.p50Ns.median),
    durationText(row.p99Ns.median),
    durationText(row.cpuNsPerRequest.median),
    row.cacheGrowthBytes === null ? 'not known' : mebibytes(row.cacheGrowthBytes.median),
  ];
}

const HEAD = ['Ground', 'IOPS', 'ratio', 'p50', 'p99', 'CPU/request', 'page cache'];

/** The table, with a line below it for every row whose numbers are memory's, or that failed. */
export function groundsText(result: GroundsResult): string {
  const rows = [HEAD, ...result.rows.map(cells)];
  const widths = HEAD.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  for (const { title, measuresMemoryWhy, failure } of result.rows) {
    if (measuresMemoryWhy !== null) lines.push(`Measures memory: ${title}: ${measuresMemoryWhy}.`);
    if (failure !== null) lines.push(`Failed: ${title}: ${failure}.`);
  }
  const rounds = `${String(result.rounds)} ${result.rounds === 1 ? 'round' : 'rounds'}`;
  lines.push(
    `Medians of ${rounds} with the smallest and the largest; ratio: IOPS over the engine's in the same round. Order shuffled by seed ${String(result.seed)}. ${result.machine}.`,
  );
  return `${lines.join('\n')}\n`;
}

export async function grounds(
  terminal: Terminal,
  job: string,
  options: GroundsOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const { set, consent, partition } = options;
  const asked = { set, consent, output: options.json ? 'json' : 'text' } as const;
  const experiment = await prepareJob(terminal, client, job, {
    ...asked,
    ...(partition !== undefined && { partition }),
  });
  if (typeof experiment === 'number') return experiment;
  const ids = await chosenGrounds(terminal, client, experiment, options.grounds);
  const seconds = options.seconds === undefined ? null : Number(options.seconds);
  if (seconds !== null && !(seconds >= 0.1 && seconds <= 3600)) {
    throw new HostError({
      code: 'usage.seconds',
      message: `--seconds ${options.seconds ?? ''} is not a time`,
      where: '--seconds',
      hint: '0.1 to 3600.',
      exitCode: EXIT.usage,
    });
  }
  const { id } = await client.grounds.start({
    experiment,
    grounds: ids,
    rounds: parseWhole(options.rounds, '--rounds', 1, 100),
    seed: parseWhole(options.seed, '--seed', 0, 2 ** 32 - 1),
    secondsPerRun: seconds,
  });
  const result = await follow(terminal, client, id);
  await terminal.out(options.json ? line(JSON.stringify(result, null, 2)) : groundsText(result));
  if (result.failure !== null) {
    terminal.error(errorText(result.failure));
    return exitCodeOf(result.failure);
  }
  if (result.state === 'cancelled') return EXIT.interrupted;
  return result.rows.some(({ failure }) => failure !== null) ? EXIT.mismatch : EXIT.ok;
}
