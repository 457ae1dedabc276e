// SPDX-License-Identifier: GPL-2.0-only
/** The columns of the list of runs: what each shows and sorts by. Pure. */
import type { RunListEntry, RunState } from '../../../main/contract/index.ts';
import {
  formatBandwidth, formatDateTime, formatElapsed, formatExactBytes, formatIops, formatLatency, joinShown, NONE,
} from '../../format/numbers.ts'; // prettier-ignore

export interface RunCell {
  readonly text: string;
  readonly unit?: string;
}
export interface RunColumn {
  readonly id: string;
  readonly title: string;
  readonly unit?: string;
  readonly isNumber: boolean;
  show(run: RunListEntry): RunCell;
  sort(run: RunListEntry): number | string;
}
export const STATE_WORDS: Readonly<Record<RunState, string>> = {
  preparing: 'preparing',
  running: 'running',
  finished: 'finished',
  cancelled: 'stopped',
  failed: 'failed',
  unfinished: 'unfinished',
  aborted: 'aborted',
};
const shown = ({ value, unit }: { value: string; unit: string }): RunCell =>
  value === NONE ? { text: value } : { text: value, unit };
const loadOf = ({ summary }: RunListEntry): string =>
  `${summary.rw}, ${joinShown(formatExactBytes(summary.blockSizeBytes))}`;
const engineOf = ({ summary }: RunListEntry): string =>
  `${summary.ioEngine} × ${String(summary.ioDepth)}`;
const text = (id: string, title: string, of: (run: RunListEntry) => string): RunColumn => ({
  id, title, isNumber: false, show: (run) => ({ text: of(run) }), sort: of,
}); // prettier-ignore
/** Runs without the number come last when the largest is first. */
const number = (
  id: string,
  title: string,
  of: (run: RunListEntry) => number | null,
  show: (value: number | null) => RunCell,
): RunColumn => ({
  id, title, isNumber: true, show: (run) => show(of(run)), sort: (run) => of(run) ?? -1,
}); // prettier-ignore

export const RUN_COLUMNS: readonly RunColumn[] = [
  text('state', 'State', (run) => STATE_WORDS[run.state]),
  text('name', 'Name', (run) => run.name),
  {
    id: 'when',
    title: 'When',
    isNumber: false,
    show: (run) => ({ text: formatDateTime(run.startedAtUnixMs) }),
    sort: (run) => run.startedAtUnixMs,
  },
  text('load', 'Load', loadOf),
  text('engine', 'Engine', engineOf),
  text('fs', 'Ground', (run) => run.summary.fileSystem),
  text('kernel', 'Kernel', (run) => run.summary.revision),
  number('iops', 'IOPS', (run) => run.summary.iops, (value) => ({ text: formatIops(value) })),
  number('bandwidth', 'Bandwidth', (run) => run.summary.bytesPerSecond, (value) => shown(formatBandwidth(value))),
  number('p50', 'Median', (run) => run.summary.p50Ns, (value) => shown(formatLatency(value))),
  number('p99', 'p99', (run) => run.summary.p99Ns, (value) => shown(formatLatency(value))),
  number('elapsed', 'Length', (run) => run.elapsedNs, (value) => ({ text: formatElapsed(value) })),
]; // prettier-ignore

/** True where every word occurs somewhere in what the row shows. */
export function matchesRun(run: RunListEntry, search: string): boolean {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const all = [
    run.name,
    STATE_WORDS[run.state],
    loadOf(run),
    engineOf(run),
    run.summary.fileSystem,
    run.summary.revision,
  ]
    .join(' ')
    .toLowerCase()
    .replaceAll('\u00a0', ' ');
  return words.every((word) => all.includes(word));
}
