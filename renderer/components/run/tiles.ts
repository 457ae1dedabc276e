// SPDX-License-Identifier: GPL-2.0-only
/** The six numbers of a run at a glance, live and afterwards. Pure. */
import type { RunProgress, RunResult, SeriesPoint } from '../../../main/contract/index.ts';
import { percentileNs, totalsOf } from '../../format/latency.ts';
import {
  formatBandwidth, formatBytes, formatCount, formatIops, formatLatency, joinShown, significant, NONE,
  type Shown,
} from '../../format/numbers.ts'; // prettier-ignore

export interface Tile {
  readonly id: string;
  readonly title: string;
  readonly shown: Shown;
  /** One more fact, small; '' where there is none. */
  readonly aside: string;
}

/** Deviation of the intervals from their mean, in percent; null below four intervals. */
export function spreadPercent(values: readonly number[]): number | null {
  if (values.length < 4) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (mean <= 0) return null;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return (100 * Math.sqrt(variance)) / mean;
}
const spreadText = (values: readonly number[]): string => {
  const spread = spreadPercent(values);
  return spread === null ? '' : `± ${significant(spread, 2)} % in time`;
};
const tile = (id: string, title: string, shown: Shown, aside = ''): Tile => ({
  id,
  title,
  shown,
  aside,
});
const iopsOf = (point: SeriesPoint): number => point.readIops + point.writeIops;

/** While a run goes on: the newest interval. */
export function liveTiles(progress: RunProgress | null): Tile[] {
  const latest = progress?.latest ?? null;
  const unit = (value: string): Shown => ({ value, unit: '' });
  const bandwidth = latest ? latest.readBytesPerSecond + latest.writeBytesPerSecond : null;
  const done = progress ? `${formatCount(progress.doneIos)} requests` : '';
  return [
    tile('iops', 'IOPS', unit(latest ? formatIops(iopsOf(latest)) : NONE), done),
    tile('bandwidth', 'Bandwidth', formatBandwidth(bandwidth),
      progress ? `${joinShown(formatBytes(progress.doneBytes))} in all` : ''),
    tile('p50', 'Median', formatLatency(latest ? latest.p50Ns : null)),
    tile('p99', 'p99', formatLatency(latest ? latest.p99Ns : null)),
    tile('p999', 'p99.9', formatLatency(latest ? latest.p999Ns : null)),
    tile('in-flight', 'In flight', {
      value: progress ? formatCount(progress.inFlight) : NONE,
      unit: progress ? `of ${formatCount(progress.depth)}` : '',
    }),
  ]; // prettier-ignore
}

/** After a run: the whole of it. */
export function resultTiles(result: RunResult): Tile[] {
  const totals = totalsOf(result);
  const { latency } = totals;
  const { series } = result;
  const measured = series.filter((point) => iopsOf(point) > 0);
  const depth = result.jobs.reduce((sum, job) => sum + job.executor.depthGot, 0);
  const flight = measured.length
    ? measured.reduce((sum, point) => sum + point.inFlight, 0) / measured.length
    : null;
  const at = (percentile: number): Shown => formatLatency(percentileNs(latency, percentile));
  const some = latency.count > 0;
  return [
    tile('iops', 'IOPS', { value: formatIops(totals.iops), unit: '' }, spreadText(measured.map(iopsOf))),
    tile('bandwidth', 'Bandwidth', formatBandwidth(totals.bytesPerSecond),
      `${joinShown(formatBytes(totals.bytes))} in all`),
    tile('p50', 'Median', at(50), some ? `least ${joinShown(formatLatency(latency.minNs))}` : ''),
    tile('p99', 'p99', at(99), some ? `mean ${joinShown(formatLatency(latency.meanNs))}` : ''),
    tile('p999', 'p99.9', at(99.9), some ? `most ${joinShown(formatLatency(latency.maxNs))}` : ''),
    tile('in-flight', 'In flight', {
      value: flight === null ? NONE : significant(flight, 3),
      unit: `of ${formatCount(depth)}`,
    }, flight === null ? '' : 'mean'),
  ]; // prettier-ignore
}
