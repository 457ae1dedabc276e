// SPDX-License-Identifier: GPL-2.0-only
/**
 * The result of a run for a terminal: the verdict first, then what was asked, the numbers, the latencies and the counters. Plain text,
 * at most 100 columns; `paint` may colour it.
 */
import {
  bandwidthText,
  bytesText,
  countText,
  durationText,
  numberText,
  percentText,
} from '../../../engine/lab/words.ts';
import type {
  DirectionResult,
  Job,
  JobResult,
  LatencySummary,
  RunResult,
  VerdictClaim,
} from '../../contract/types.ts';
import { writeShares } from './job-keys.ts';

export type Tone = VerdictClaim['tone'] | 'strong' | 'faint';
/** Colours text, or gives it back as it is. */
export type Paint = (tone: Tone, text: string) => string;

const WIDTH = 100;
const MARKS: Readonly<Record<VerdictClaim['tone'], string>> = {
  good: '✓',
  warn: '!',
  bad: '✗',
  plain: '·',
};
const SHOWN_PERCENTILES = ['50', '90', '95', '99', '99.9', '99.99', '99.999'] as const;
const BAR_WIDTH = 40;
const BAR_ROWS = 14;

/** The report, with a line feed at its end. */
export function formatReport(result: RunResult, paint: Paint = (_tone, text) => text): string {
  const lines: string[] = [
    `${paint('strong', result.experiment.name)}  ${paint('faint', headline(result))}`,
    '',
    ...result.verdict.flatMap((claim) => verdictLines(claim, paint)),
    '',
  ];
  result.jobs.forEach((job, index) => {
    lines.push(...jobLines(job, result.experiment.jobs[index] as Job, paint), '');
  });
  lines.push(...counterLines(result, paint));
  for (const note of result.notes) lines.push(...wrap(`note      ${note}`, '          '));
  return `${lines.join('\n')}\n`;
}

function headline(result: RunResult): string {
  const { target, revision } = result.experiment;
  const where = target.filePath === null ? '' : ` ${target.filePath}`;
  const time = result.virtualTime ? "of the model's time" : '';
  const path = target.device.options['path'];
  const device = typeof path === 'string' ? path : target.device.id;
  return `${result.state} after ${durationText(result.elapsedNs)} ${time}· ${device} · ${target.fileSystem.id}${where} · core ${revision}`;
}

function verdictLines(claim: VerdictClaim, paint: Paint): string[] {
  return wrap(`${MARKS[claim.tone]} ${claim.text}`, '  ').map((line) => paint(claim.tone, line));
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' && lines.length === 0 && word !== '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function jobLines(job: JobResult, asked: Job, paint: Paint): string[] {
  const depth = asked.ioEngine === 'sync' ? 1 : asked.ioDepth;
  const engine =
    job.executor.got === job.executor.asked
      ? job.executor.got
      : `${job.executor.got} (asked ${job.executor.asked})`;
  const clones = asked.numJobs > 1 ? `, ${countText(asked.numJobs, 'clone')}` : '';
  const lines = [
    `${paint('strong', job.name)}  ${asked.rw}, ${writeShares(asked.blockSizes)}, ${engine}, depth ${numberText(depth)}${clones}, ${asked.direct ? 'direct' : 'buffered'}`,
  ];
  for (const [name, direction] of [
    ['read', job.read],
    ['write', job.write],
  ] as const) {
    if (direction.totalIos > 0) lines.push(...directionLines(name, direction, paint));
  }
  if (job.syncs.count > 0) lines.push(`  fsync     ${latencyText(job.syncs)}`);
  const errors = Object.entries(job.errors).map(
    ([errno, count]) => `${numberText(count)} × ${errno}`,
  );
  if (errors.length > 0) lines.push(paint('bad', `  errors    ${errors.join(', ')}`));
  lines.push(
    `  cpu       ${percentText(job.userCpuNs, runtimeOf(job))} user, ${percentText(job.systemCpuNs, runtimeOf(job))} system`,
  );
  return lines;
}

const runtimeOf = (job: JobResult): number => Math.max(job.read.runtimeNs, job.write.runtimeNs);

function directionLines(name: string, direction: DirectionResult, paint: Paint): string[] {
  const { lat } = direction;
  const shorts = direction.shortIos > 0 ? `, ${numberText(direction.shortIos)} short` : '';
  const lines = [
    `  ${name.padEnd(9)} ${paint('strong', `${numberText(direction.iops)} IOPS`)}, ${bandwidthText(direction.bytesPerSecond)}` +
      ` · ${bytesText(direction.bytes)} in ${countText(direction.totalIos, 'request')}${shorts}`,
  ];
  if (direction.slat.count > 0) {
    lines.push(`  submit    ${latencyText(direction.slat)}`);
    lines.push(`  complete  ${latencyText(direction.clat)}`);
  }
  lines.push(`  total     ${latencyText(lat)}`);
  const percentiles = SHOWN_PERCENTILES.map(
    (percent) => `p${percent} ${durationText(lat.percentilesNs[Number(percent).toFixed(6)] ?? 0)}`,
  );
  lines.push(
    `            ${percentiles.slice(0, 4).join('  ')}`,
    `            ${percentiles.slice(4).join('  ')}`,
  );
  return [...lines, ...histogramLines(lat, paint)];
}

const latencyText = (latency: LatencySummary): string =>
  `min ${durationText(latency.minNs)}  mean ${durationText(latency.meanNs)} ± ${durationText(latency.stddevNs)}  max ${durationText(latency.maxNs)}`;

/** Total latency in at most `BAR_ROWS` rows, each a fixed factor wide, from p0.1 to p99.9 or so: the shape, not every outlier. */
function histogramLines(latency: LatencySummary, paint: Paint): string[] {
  if (latency.count < 20 || latency.maxNs <= 0) return [];
  const low = Math.max(1, latency.percentilesNs['1.000000'] ?? 1);
  const high = Math.max(low * 1.5, latency.percentilesNs['99.900000'] ?? latency.maxNs);
  const step = Math.max(2 ** 0.25, (high / low) ** (1 / (BAR_ROWS - 1)));
  const rows = new Map<number, number>();
  for (const [edge, count] of latency.bins) {
    // A row holds what is above its lower edge, up to and with its upper one; rounding must not push an edge over.
    const row = Math.ceil(Math.log(Math.max(1, edge) / low) / Math.log(step) - 1e-9) - 1;
    const kept = Math.min(BAR_ROWS - 1, Math.max(-1, row));
    rows.set(kept, (rows.get(kept) ?? 0) + count);
  }
  const most = Math.max(...rows.values());
  const first = Math.min(...rows.keys());
  const last = Math.max(...rows.keys());
  const lines: string[] = [];
  for (let row = first; row <= last; row++) {
    const count = rows.get(row) ?? 0;
    const bar = '█'.repeat(Math.round((count / most) * BAR_WIDTH)) || (count > 0 ? '▏' : '');
    const edge = row === BAR_ROWS - 1 ? latency.maxNs : low * step ** (row + 1);
    lines.push(
      `  ${`≤ ${durationText(edge)}`.padStart(16)} ${paint('faint', bar)} ${percentText(count, latency.count)}`,
    );
  }
  return lines;
}

function counterLines(result: RunResult, paint: Paint): string[] {
  const { counters, device, host } = result;
  const perRequest = (count: number): string =>
    counters.requests === 0 ? '' : ` (${numberText(count / counters.requests, 2)} a request)`;
  const lines = [
    paint('strong', 'engine'),
    `  core      ${countText(counters.requests, 'request')}, ${countText(counters.getBlockCalls, 'get_block call')}${perRequest(counters.getBlockCalls)}`,
    `  bios      ${countText(counters.bios, 'bio')}${perRequest(counters.bios)}, ${bytesText(counters.bios === 0 ? 0 : Math.round(counters.bioBytes / counters.bios))} each`,
    `  device    ${countText(device.reads, 'read')} of ${bytesText(device.readBytes)}, ${countText(device.writes, 'write')} of ${bytesText(device.writeBytes)}, ${countText(device.flushes, 'flush', 'flushes')}, ${countText(device.merges, 'merge')}, ${countText(device.splits, 'split')}`,
  ];
  if (counters.zeroedBlocks > 0)
    lines.push(
      `  zeroed    ${countText(counters.zeroedBlocks, 'new block')}, ${bytesText(counters.zeroedBytes)}`,
    );
  if (counters.fallbacks > 0)
    lines.push(
      `  fallbacks ${countText(counters.fallbacks, 'request')}, ${bytesText(counters.fallbackBytes)}`,
    );
  if (host.deviceName !== null) {
    const moved = (read: number | null, written: number | null): string =>
      `${read === null ? 'unknown' : bytesText(read)} read, ${written === null ? 'unknown' : bytesText(written)} written`;
    lines.push(
      `  host      ${host.deviceName}: ${moved(host.deviceReadBytes, host.deviceWriteBytes)}; this process: ${moved(host.processReadBytes, host.processWriteBytes)}`,
    );
  }
  if (host.pageCacheGrowthBytes !== null)
    lines.push(
      `  cache     the image's pages in the host's page cache ${host.pageCacheGrowthBytes < 0 ? 'shrank' : 'grew'} by ${bytesText(Math.abs(host.pageCacheGrowthBytes))}`,
    );
  if (result.traceRows > 0)
    lines.push(
      `  trace     ${countText(result.traceRows, 'row')}${result.traceDropped > 0 ? `, ${numberText(result.traceDropped)} dropped` : ''}`,
    );
  return lines;
}
