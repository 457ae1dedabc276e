// SPDX-License-Identifier: GPL-2.0-only
/**
 * What is known of a run beside its plots, as rows of name and value. The names are those that a verdict's evidence points at. Pure.
 */
import type { RunResult } from '../../../main/contract/index.ts';
import { mergeLatency, percentileNs, totalsOf, type MergedLatency } from '../../format/latency.ts';
import {
  formatBandwidth, formatBytes, formatCount, formatElapsed, formatExactBytes, formatIops, formatLatency,
  formatPercent, joinShown, NONE,
} from '../../format/numbers.ts'; // prettier-ignore

export interface Fact {
  /** As in `VerdictClaim.evidence`; the interface links the two. */
  readonly name: string;
  readonly title: string;
  readonly value: string;
  readonly tone?: 'good' | 'warn' | 'bad';
}
export interface FactGroup {
  readonly id: string;
  readonly title: string;
  readonly facts: readonly Fact[];
}
const bytes = (value: number | null): string => joinShown(formatBytes(value));

function counterFacts(result: RunResult): Fact[] {
  const { counters } = result;
  const perBio = counters.bios > 0 ? counters.bioBytes / counters.bios : null;
  const warnIf = (value: number): { tone?: 'warn' } => (value > 0 ? { tone: 'warn' } : {});
  return [
    { name: 'requests', title: 'requests', value: formatCount(counters.requests) },
    { name: 'getBlockCalls', title: 'get_block calls', value: formatCount(counters.getBlockCalls) },
    { name: 'bios', title: 'bios', value: formatCount(counters.bios) },
    { name: 'bioBytes', title: 'bytes per bio', value: perBio === null ? NONE : joinShown(formatExactBytes(Math.round(perBio))) },
    { name: 'zeroedBlocks', title: 'zeroed blocks', value: formatCount(counters.zeroedBlocks) },
    { name: 'zeroedBytes', title: 'zeroed bytes', value: bytes(counters.zeroedBytes) },
    { name: 'fallbacks', title: 'fell back to the page cache', value: formatCount(counters.fallbacks), ...warnIf(counters.fallbacks) },
    { name: 'fallbackBytes', title: 'fell back, bytes', value: bytes(counters.fallbackBytes), ...warnIf(counters.fallbackBytes) },
  ]; // prettier-ignore
}
function errorFacts(result: RunResult): Fact[] {
  const sums = new Map<string, number>();
  for (const job of result.jobs) {
    for (const [errno, count] of Object.entries(job.errors))
      sums.set(errno, (sums.get(errno) ?? 0) + count);
  }
  const totals = { read: totalsOf(result, 'read'), write: totalsOf(result, 'write') };
  const short = result.jobs.reduce((sum, job) => sum + job.read.shortIos + job.write.shortIos, 0);
  const facts: Fact[] = [...sums]
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([errno, count]) => ({
      name: errno,
      title: errno,
      value: formatCount(count),
      tone: 'bad',
    }));
  const first = result.jobs.find((job) => job.firstError !== null)?.firstError;
  if (first) {
    const where = `${first.op} of ${formatCount(first.lengthBytes)} B at ${formatCount(first.fileOffsetBytes)}`;
    facts.push({ name: 'firstError', title: 'first', value: where });
  }
  return [
    { name: 'errors', title: 'failed requests', value: formatCount([...sums.values()].reduce((a, b) => a + b, 0)),
      ...(facts.length > 0 && { tone: 'bad' as const }) },
    ...facts,
    { name: 'shortIos', title: 'short transfers', value: formatCount(short) },
    ...(totals.read.requests > 0 ? [{ name: 'reads', title: 'reads done', value: formatCount(totals.read.requests) }] : []),
    ...(totals.write.requests > 0 ? [{ name: 'writes', title: 'writes done', value: formatCount(totals.write.requests) }] : []),
  ]; // prettier-ignore
}
function deviceFacts({ device }: RunResult): Fact[] {
  return [
    { name: 'device.reads', title: 'reads', value: formatCount(device.reads) },
    { name: 'device.readBytes', title: 'bytes read', value: bytes(device.readBytes) },
    { name: 'device.writes', title: 'writes', value: formatCount(device.writes) },
    { name: 'device.writeBytes', title: 'bytes written', value: bytes(device.writeBytes) },
    { name: 'device.flushes', title: 'flushes', value: formatCount(device.flushes) },
    { name: 'device.merges', title: 'merges', value: formatCount(device.merges) },
    { name: 'device.splits', title: 'splits', value: formatCount(device.splits) },
  ];
}
function hostFacts({ host }: RunResult): Fact[] {
  const growth = host.pageCacheGrowthBytes;
  return [
    { name: 'isDirect', title: 'O_DIRECT', value: host.isDirect ? 'yes' : (host.directRefusedWhy ?? 'no'),
      tone: host.isDirect ? 'good' : 'warn' },
    { name: 'pageCacheGrowthBytes', title: 'page cache grew by', value: bytes(growth),
      ...(growth !== null && growth > 2 ** 20 && { tone: 'warn' as const }) },
    { name: 'deviceName', title: 'disk of the image', value: host.deviceName ?? NONE },
    { name: 'deviceReadBytes', title: 'disk read', value: bytes(host.deviceReadBytes) },
    { name: 'deviceWriteBytes', title: 'disk wrote', value: bytes(host.deviceWriteBytes) },
    { name: 'processReadBytes', title: 'process read', value: bytes(host.processReadBytes) },
    { name: 'processWriteBytes', title: 'process wrote', value: bytes(host.processWriteBytes) },
  ]; // prettier-ignore
}
function engineFacts(result: RunResult): Fact[] {
  const facts: Fact[] = [];
  const seen = new Set<string>();
  for (const { executor } of result.jobs) {
    const depth = executor.depthAsked === executor.depthGot
      ? formatCount(executor.depthGot)
      : `${formatCount(executor.depthGot)} of ${formatCount(executor.depthAsked)} asked`;
    const value = `${executor.got}, depth ${depth}`;
    if (seen.has(value)) continue;
    seen.add(value);
    facts.push({ name: 'executor', title: 'executor', value, ...(executor.asked !== executor.got && { tone: 'warn' as const }) });
    for (const refusal of executor.refusals) {
      facts.push({ name: `refused.${refusal.id}`, title: `${refusal.id} refused`, value: refusal.why, tone: 'warn' });
    }
  } // prettier-ignore
  const cpu = (pick: 'userCpuNs' | 'systemCpuNs'): string =>
    formatPercent(
      (100 * result.jobs.reduce((sum, job) => sum + job[pick], 0)) / Math.max(1, result.elapsedNs),
    );
  facts.push(
    { name: 'userCpu', title: 'CPU, user', value: cpu('userCpuNs') },
    { name: 'systemCpu', title: 'CPU, system', value: cpu('systemCpuNs') },
    { name: 'elapsed', title: result.virtualTime ? 'elapsed (model time)' : 'elapsed', value: formatElapsed(result.elapsedNs) },
    { name: 'trace', title: 'trace rows', value: result.traceDropped > 0
      ? `${formatCount(result.traceRows)}, ${formatCount(result.traceDropped)} dropped`
      : formatCount(result.traceRows) },
  ); // prettier-ignore
  return facts;
}

function speedFacts(result: RunResult): Fact[] {
  const totals = totalsOf(result);
  const slat = mergeLatency(result.jobs.flatMap((job) => [job.read.slat, job.write.slat]));
  const at = (latency: MergedLatency, percentile: number): string =>
    joinShown(formatLatency(percentileNs(latency, percentile)));
  return [
    { name: 'iops', title: 'IOPS', value: formatIops(totals.iops) },
    { name: 'bytesPerSecond', title: 'bandwidth', value: joinShown(formatBandwidth(totals.bytesPerSecond)) },
    { name: 'lat', title: 'latency, median', value: at(totals.latency, 50) },
    { name: 'lat.p99', title: 'latency, p99', value: at(totals.latency, 99) },
    { name: 'slat', title: 'submission, median', value: at(slat, 50) },
    { name: 'slat.p99', title: 'submission, p99', value: at(slat, 99) },
  ]; // prettier-ignore
}
/** Names of evidence that mean a fact of another name. */
const ALIASES: Readonly<Record<string, string>> = {
  'jobs.submit': 'slat',
  submit: 'slat',
  device: 'device.reads',
  host: 'isDirect',
  elapsedNs: 'elapsed',
  virtualTime: 'elapsed',
};

export const factGroups = (result: RunResult): FactGroup[] => [
  { id: 'speed', title: 'Speed', facts: speedFacts(result) },
  { id: 'counters', title: 'Direct I/O', facts: counterFacts(result) },
  { id: 'errors', title: 'Errors', facts: errorFacts(result) },
  { id: 'device', title: 'Device', facts: deviceFacts(result) },
  { id: 'host', title: 'Evidence of the host', facts: hostFacts(result) },
  { id: 'engine', title: 'Engine', facts: engineFacts(result) },
];

/** The fact that a name of evidence means: exact, or by its last part ('counters.bios' is 'bios'). */
export function findFact(groups: readonly FactGroup[], evidence: string): Fact | null {
  const all = groups.flatMap((group) => group.facts);
  const wanted = ALIASES[evidence] ?? evidence;
  const last = wanted.split('.').at(-1);
  return (
    all.find((fact) => fact.name === wanted) ??
    all.find((fact) => fact.name.split('.').at(-1) === last) ??
    null
  );
}
