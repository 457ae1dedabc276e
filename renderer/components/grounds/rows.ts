// SPDX-License-Identifier: GPL-2.0-only
/** The table of a measurement: a line for each ground that was asked for, from the first moment on, and the same as CSV. Pure. */
import type {
  GroundId,
  GroundInfo,
  GroundRow,
  GroundsResult,
  Spread,
} from '../../../main/contract/index.ts';
import {
  formatBandwidth,
  formatBytes,
  formatCount,
  formatIops,
  formatLatency,
  joinShown,
  NONE,
  significant,
  type Shown,
} from '../../format/numbers.ts';
import type { PlotTable } from '../../plots/contract.ts';

export interface Cell extends Shown {
  /** From the smallest to the largest round; empty where they are the same as shown, or there is no number. */
  readonly spread: string;
}
export interface TableColumn {
  readonly id: string;
  readonly title: string;
  readonly help: string;
  /** Null: the ground has no such number. */
  readonly of: (row: GroundRow) => Spread | null;
  readonly show: (value: number) => Shown;
}
const count = (text: string, unit: string): Shown => ({
  value: text,
  unit: text === NONE ? '' : unit,
});

export const GROUND_COLUMNS: readonly TableColumn[] = [
  { id: 'iops', title: 'IOPS', help: 'Requests a second', of: (row) => row.iops, show: (value) => count(formatIops(value), '') },
  { id: 'ratio', title: 'of the engine', help: 'IOPS over those of the engine in the same round', of: (row) => row.ratioToEngine, show: (value) => count(significant(value, 3), '×') },
  { id: 'p50', title: 'p50', help: 'Half of the requests were faster', of: (row) => row.p50Ns, show: formatLatency },
  { id: 'p99', title: 'p99', help: 'One request in a hundred was slower', of: (row) => row.p99Ns, show: formatLatency },
  { id: 'cpu', title: 'CPU a request', help: 'CPU time of the lab’s process a request, user and system', of: (row) => row.cpuNsPerRequest, show: formatLatency },
  { id: 'cache', title: 'page cache', help: 'Growth of the image in the host’s page cache', of: (row) => row.cacheGrowthBytes, show: formatBytes },
]; // prettier-ignore
/** Shown where there is room. */
export const BANDWIDTH_COLUMN: TableColumn = {
  id: 'bandwidth',
  title: 'throughput',
  help: 'Bytes a second',
  of: (row) => row.bytesPerSecond,
  show: formatBandwidth,
};

export function cellOf(column: TableColumn, row: GroundRow | null): Cell {
  const spread = row === null || row.rounds === 0 ? null : column.of(row);
  if (row === null || spread === null) return { value: NONE, unit: '', spread: '' };
  const shown = column.show(spread.median);
  if (row.rounds === 1) return { ...shown, spread: '' };
  const [least, most] = [column.show(spread.min), column.show(spread.max)];
  if (least.value === most.value && least.unit === most.unit) return { ...shown, spread: '' };
  const low = least.unit === most.unit ? least.value : joinShown(least);
  return { ...shown, spread: `${low} to ${joinShown(most)}` };
}

export interface TableLine {
  readonly ground: GroundId;
  readonly title: string;
  /** Null: not measured yet. */
  readonly row: GroundRow | null;
  /** 'median of 3', 'waits', 'failed'. */
  readonly state: string;
}
/** The grounds asked for in the order of the table; titles of those that were not measured yet come from `infos`. */
export function tableLines(result: GroundsResult, infos: readonly GroundInfo[]): TableLine[] {
  const order = [
    ...infos.map((info) => info.id).filter((ground) => result.grounds.includes(ground)),
    ...result.rows.map((row) => row.ground),
    ...result.grounds,
  ];
  return [...new Set(order)].map((ground) => {
    const row = result.rows.find((each) => each.ground === ground) ?? null;
    const title = row?.title ?? infos.find((info) => info.id === ground)?.title ?? ground;
    return { ground, title, row, state: stateOf(result, ground, row) };
  });
}
function stateOf(result: GroundsResult, ground: GroundId, row: GroundRow | null): string {
  const isOn = result.state === 'preparing' || result.state === 'running';
  if (row === null) return isOn ? 'waits for its turn' : 'not measured';
  if (row.rounds === 0) return 'no round without a failure';
  const tried = result.samples.filter((sample) => sample.ground === ground).length;
  const planned = isOn ? result.rounds : tried;
  const rounds = formatCount(row.rounds);
  if (row.rounds < planned) return `median of ${rounds} of ${formatCount(planned)} rounds`;
  return row.rounds === 1 ? 'one round' : `median of ${rounds} rounds`;
}

/** Numbers in base units, for a spreadsheet or a program. */
export function groundsTable(result: GroundsResult): PlotTable {
  const spreads = [
    ['iops', (row: GroundRow) => row.iops],
    ['bytes_per_second', (row: GroundRow) => row.bytesPerSecond],
    ['ratio_to_engine', (row: GroundRow) => row.ratioToEngine],
    ['p50_ns', (row: GroundRow) => row.p50Ns],
    ['p99_ns', (row: GroundRow) => row.p99Ns],
    ['cpu_ns_per_request', (row: GroundRow) => row.cpuNsPerRequest],
    ['cache_growth_bytes', (row: GroundRow) => row.cacheGrowthBytes],
  ] as const;
  return {
    caption: result.name,
    columns: [
      'ground',
      'rounds',
      ...spreads.flatMap(([name]) => ['median', 'min', 'max'].map((part) => `${name}_${part}`)),
      'measures_memory_because',
      'failure',
    ],
    rows: result.rows.map((row) => [
      row.ground,
      row.rounds,
      ...spreads.flatMap(([, of]): (string | number)[] => {
        const spread = row.rounds > 0 ? of(row) : null;
        return spread === null ? ['', '', ''] : [spread.median, spread.min, spread.max];
      }),
      row.measuresMemoryWhy ?? '',
      row.failure ?? '',
    ]),
  };
}

/** Seconds of one run as the experiment has it: the longest of its jobs; null: until its bytes are moved. */
export const secondsOf = (experiment: GroundsResult['experiment']): number | null =>
  experiment.jobs.every((job) => job.timeBased)
    ? Math.max(...experiment.jobs.map((job) => job.runtimeSeconds + job.rampSeconds))
    : null;
/** How long a measurement takes at least; null: not known. */
export function leastSeconds(
  grounds: number,
  rounds: number,
  seconds: number | null,
): number | null {
  return seconds === null ? null : grounds * rounds * seconds;
}

export const STATE_WORDS: Readonly<Record<GroundsResult['state'], string>> = {
  preparing: 'preparing',
  running: 'running',
  finished: 'finished',
  cancelled: 'stopped',
  failed: 'failed',
};
/** '#3: engine, loop-direct': what ran first in each round, for one who wants to know. */
export const orderText = (result: GroundsResult): string =>
  result.order.map((round, index) => `${String(index + 1)}: ${round.join(', ')}`).join('; ');
