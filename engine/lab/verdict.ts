// SPDX-License-Identifier: GPL-2.0-only
/**
 * The verdict: two to six plain sentences, each with the evidence that it rests on. Whether I/O was direct is told from what the host's
 * kernel counted and from the growth of its page cache, never from the open flag.
 */
import type { DeviceFault } from '../devices/contract.ts';
import { judgeAlignment } from './alignment.ts';
import type { AlignmentVerdict } from './explanation.ts';
import type { Job } from './experiment.ts';
import { hostFaultText } from './host-fault.ts';
import { loopClaims } from './nested-words.ts';
import type { JobResult, RunResult, VerdictClaim } from './result.ts';
import { revisionVerdict } from './revision-effects.ts';
import {
  bandwidthText,
  bytesText,
  countText,
  durationText,
  numberText,
  percentText,
} from './words.ts';

const CLAIMS_MAX = 6;
/** Our bytes and the host's agree within this. */
const AGREEMENT = 0.01;
/** The host's counters also see a page of metadata here and there. */
const SLACK_BYTES = 256 * 1024;

/** What the verdict needs to know of the target beside the result. */
export interface VerdictFacts {
  readonly fsBlockBytes: number;
  readonly logicalBlockBytes: number;
  /** False: the device is a model or lies in memory. */
  readonly hasHostFile: boolean;
  /** The first refusal of the host below the device, where there was one. */
  readonly fault: DeviceFault | null;
}

/** The claims, most important first. */
export function verdictOf(result: RunResult, facts: VerdictFacts): VerdictClaim[] {
  const claims: (VerdictClaim | null)[] = [
    failureClaim(result),
    ...result.jobs.map((job, index) =>
      errorClaim(job, result.experiment.jobs[index] as Job, facts),
    ),
    directClaim(result, facts),
    ...loopClaims(result),
    speedClaim(result),
    agreementClaim(result, facts),
    fallbackClaim(result),
    ...revisionVerdict(result),
    submitClaim(result),
    alignmentClaim(result, facts),
    shortClaim(result),
  ];
  return claims.filter((claim) => claim !== null).slice(0, CLAIMS_MAX);
}

const claim = (tone: VerdictClaim['tone'], text: string, ...evidence: string[]): VerdictClaim => ({
  tone,
  text,
  evidence,
});

const totalIos = (result: RunResult): number =>
  result.jobs.reduce((sum, job) => sum + job.read.totalIos + job.write.totalIos, 0);
/** What our device was asked to move. */
const deviceBytes = (result: RunResult): number =>
  result.device.readBytes + result.device.writeBytes;

function failureClaim(result: RunResult): VerdictClaim | null {
  if (result.failure !== null) {
    return claim('bad', `The run failed: ${result.failure.message}.`, 'failure');
  }
  if (result.state !== 'cancelled') return null;
  return claim(
    'plain',
    `Cancelled after ${durationText(result.elapsedNs)}: the numbers cover ${countText(totalIos(result), 'request')} up to there.`,
    'state',
    'elapsedNs',
  );
}

/** Errors with the first failing request and the nearest that passes. */
function errorClaim(result: JobResult, job: Job, facts: VerdictFacts): VerdictClaim | null {
  const errors = Object.entries(result.errors);
  if (errors.length === 0) return null;
  const counts = errors.map(([errno, count]) => `${numberText(count)} × ${errno}`).join(', ');
  const first = result.firstError;
  if (first === null)
    return claim('bad', `Job ${job.name}: fsync failed (${counts}).`, 'jobs.errors');
  const request = `${first.op} of ${numberText(first.lengthBytes)} bytes at offset ${numberText(first.fileOffsetBytes)}`;
  const why =
    first.errno === 'EINVAL' ? ` ${einvalReason(first, job, facts)}` : errorReason(first.errno);
  return claim(
    'bad',
    `Job ${job.name} stopped at its first error (${counts}): ${request}.${why}${hostFaultText(facts.fault)}`,
    'jobs.errors',
    'jobs.firstError',
  );
}

function einvalReason(
  first: NonNullable<JobResult['firstError']>,
  job: Job,
  facts: VerdictFacts,
): string {
  const judged = judgeAlignment({
    offsetBytes: first.fileOffsetBytes,
    lengthBytes: first.lengthBytes,
    memoryBytes: job.alignment.memoryBytes,
    fsBlockBytes: facts.fsBlockBytes,
    logicalBlockBytes: facts.logicalBlockBytes,
  });
  const [nearest] = judged.nearest;
  if (nearest === undefined || judged.passes) return judged.text;
  return (
    `${judged.text} The nearest that passes: ${numberText(nearest.lengthBytes)} bytes at offset ` +
    `${numberText(nearest.offsetBytes)}, memory ${numberText(nearest.memoryBytes)} bytes into a page.`
  );
}

function errorReason(errno: string): string {
  const reasons: Record<string, string> = {
    ENOSPC: ' The file system in the image is full there.',
    EIO: ' The device could not move the data.',
    EFAULT: ' The memory of the request could not be reached.',
    EAGAIN: ' It would have had to wait, and RWF_NOWAIT forbids that.',
    EOPNOTSUPP: ' The file system does not support such a request (RWF_NOWAIT, for one).',
    EFBIG: ' The file system has no place for a file of that size.',
  };
  return reasons[errno] ?? '';
}

/** Really direct, fell back, refused, or buffered by request. */
function directClaim(result: RunResult, facts: VerdictFacts): VerdictClaim | null {
  const { host } = result;
  const moved = deviceBytes(result);
  if (!facts.hasHostFile) {
    const what = result.virtualTime ? 'a model in its own time' : 'memory';
    return claim(
      'plain',
      `The device is ${what}: these numbers are ${result.virtualTime ? "the model's" : 'the engine and RAM'}, no disk was involved.`,
      'virtualTime',
    );
  }
  const asked = result.experiment.jobs[0]?.direct ?? true;
  const hostMoved = hostBytes(result);
  const cache = host.pageCacheGrowthBytes;
  const cacheText =
    cache === null
      ? ''
      : ` The host's page cache of the image grew by ${bytesText(Math.max(0, cache))}.`;
  if (asked && !host.isDirect) {
    const why = host.directRefusedWhy ?? 'the host does not honour O_DIRECT there';
    return claim(
      'bad',
      `Direct I/O was refused: ${why}. The run went through the host's page cache and measures RAM in part.${cacheText}`,
      'host.isDirect',
      'host.directRefusedWhy',
    );
  }
  if (moved === 0) return null;
  if (hostMoved === null) {
    return claim(
      'plain',
      `Whether the host's device was reached cannot be told: this host counts nothing for it.${cacheText}`,
      'host',
    );
  }
  const share = hostMoved / moved;
  const evidence = ['host.processReadBytes', 'host.processWriteBytes', 'host.pageCacheGrowthBytes'];
  const numbers = `the host counts ${bytesText(hostMoved)} moved for ${bytesText(moved)} asked of the image (${percentText(hostMoved, moved)}).${cacheText}`;
  if (!asked) {
    return claim(
      share < 0.9 ? 'warn' : 'plain',
      `Buffered by request: ${numbers}${share < 0.9 ? ' The rest is RAM.' : ''}`,
      ...evidence,
    );
  }
  const cacheIsQuiet = cache === null || cache <= Math.max(SLACK_BYTES, moved * 0.05);
  if (share >= 0.95 && cacheIsQuiet) return claim('good', `Really direct: ${numbers}`, ...evidence);
  return claim('bad', `Opened with O_DIRECT and yet not direct: ${numbers}`, ...evidence);
}

/** What the host's kernel counted for the engine process; storage I/O only, so cache hits do not count. */
function hostBytes(result: RunResult): number | null {
  const { processReadBytes, processWriteBytes } = result.host;
  if (processReadBytes === null || processWriteBytes === null) return null;
  return processReadBytes + processWriteBytes;
}

function speedClaim(result: RunResult): VerdictClaim | null {
  const parts: string[] = [];
  for (const [name, pick] of [
    ['reads', 'read'],
    ['writes', 'write'],
  ] as const) {
    const done = result.jobs.map((job) => job[pick]).filter((direction) => direction.totalIos > 0);
    if (done.length === 0) continue;
    const iops = done.reduce((sum, direction) => sum + direction.iops, 0);
    const bandwidth = done.reduce((sum, direction) => sum + direction.bytesPerSecond, 0);
    const [only] = done;
    const latency =
      done.length === 1 && only !== undefined
        ? `, half within ${durationText(only.lat.percentilesNs['50.000000'] ?? 0)} and 99 % within ${durationText(only.lat.percentilesNs['99.000000'] ?? 0)}`
        : '';
    parts.push(`${numberText(iops)} ${name} a second (${bandwidthText(bandwidth)})${latency}`);
  }
  if (parts.length === 0) return null;
  return claim('plain', `${parts.join('; ')}.`, 'jobs.iops', 'jobs.lat');
}

/** Our count of bytes against the block device's. */
function agreementClaim(result: RunResult, facts: VerdictFacts): VerdictClaim | null {
  const { deviceReadBytes, deviceWriteBytes, deviceName } = result.host;
  const { readBytes, writeBytes } = result.device;
  const ours = readBytes + writeBytes;
  if (!facts.hasHostFile || ours === 0 || deviceReadBytes === null || deviceWriteBytes === null) {
    return null;
  }
  // Only the directions that the run used: what the disk does in the other one is not ours.
  const theirs = (readBytes > 0 ? deviceReadBytes : 0) + (writeBytes > 0 ? deviceWriteBytes : 0);
  const off = Math.abs(theirs - ours);
  const name = deviceName ?? "the image's disk";
  const evidence = ['host.deviceReadBytes', 'host.deviceWriteBytes', 'device'];
  if (off <= Math.max(ours * AGREEMENT, SLACK_BYTES)) {
    return claim(
      'good',
      `${name} counts ${bytesText(theirs)}, the engine ${bytesText(ours)}: they agree within 1 %.`,
      ...evidence,
    );
  }
  if (theirs > ours) {
    return claim(
      'plain',
      `${name} counts ${bytesText(theirs)}, the engine ${bytesText(ours)}: others use this disk too, or the host's file system added to it.`,
      ...evidence,
    );
  }
  return claim(
    'warn',
    `${name} counts ${bytesText(theirs)}, the engine ${bytesText(ours)}: part of it never reached the disk.`,
    ...evidence,
  );
}

function fallbackClaim(result: RunResult): VerdictClaim | null {
  const { fallbacks, fallbackBytes } = result.counters;
  if (fallbacks === 0 || !(result.experiment.jobs[0]?.direct ?? true)) return null;
  return claim(
    'warn',
    `${countText(fallbacks, 'direct request')} fell back to the page cache of the modelled kernel, with ${bytesText(fallbackBytes)}: a hole inside the file, or a place that direct I/O may not allocate.`,
    'counters.fallbacks',
    'counters.fallbackBytes',
  );
}

/** The truth about AIO: whether submitting itself waited. */
function submitClaim(result: RunResult): VerdictClaim | null {
  let submits = 0;
  let slept = 0;
  let sleptNs = 0;
  let sleptMaxNs = 0;
  for (const { submit } of result.jobs) {
    submits += submit?.submits ?? 0;
    slept += submit?.slept ?? 0;
    sleptNs += submit?.sleptNs ?? 0;
    sleptMaxNs = Math.max(sleptMaxNs, submit?.sleptMaxNs ?? 0);
  }
  if (submits === 0) return null;
  if (slept === 0) {
    if (!(result.jobs[0]?.submit?.completedInSubmit === submits)) {
      return claim(
        'good',
        'No submission waited: every request was in flight as soon as it was asked for.',
        'jobs.submit',
      );
    }
    return null;
  }
  return claim(
    slept / submits > 0.01 ? 'warn' : 'plain',
    `${countText(slept, 'asynchronous submission')} of ${numberText(submits)} (${percentText(slept, submits)}) waited inside the submit call itself, ${durationText(sleptNs / slept)} on average and ${durationText(sleptMaxNs)} at most: ${sleepReason(result)}.`,
    'jobs.submit',
    'jobs.slat',
  );
}

function sleepReason(result: RunResult): string {
  if (!(result.experiment.jobs[0]?.direct ?? true)) {
    return 'buffered I/O is done in the submit call, only the write-back comes later';
  }
  const writes = result.jobs.some((job) => job.write.totalIos > 0);
  const completed = result.jobs.reduce((sum, job) => sum + (job.submit?.completedInSubmit ?? 0), 0);
  if (!writes) return 'for the inode lock or for metadata read from the disk';
  if (completed > 0)
    return 'a write that extends the file, or allocates in it, is done synchronously';
  return 'for the inode lock or for blocks to be allocated';
}

/** In which unit requests went, and what a unit smaller than the block cost. */
function alignmentClaim(result: RunResult, facts: VerdictFacts): VerdictClaim | null {
  const job = result.experiment.jobs[0];
  const [share] = job?.blockSizes ?? [];
  if (job === undefined || share === undefined || !job.direct) return null;
  const judged: AlignmentVerdict = judgeAlignment({
    offsetBytes: job.offsetBytes + job.alignment.offsetBytes,
    lengthBytes: share.sizeBytes + job.alignment.lengthBytes,
    memoryBytes: job.alignment.memoryBytes,
    ...facts,
  });
  if (!judged.passes) return null;
  const { requests, getBlockCalls, bios, zeroedBytes } = result.counters;
  const each =
    requests === 0
      ? ''
      : ` A request took ${meanText(getBlockCalls / requests, 'map call')} and ${meanText(bios / requests, 'bio')}${zeroedBytes > 0 ? `, and ${bytesText(zeroedBytes)} of new blocks were zeroed in all` : ''}.`;
  const factor = judged.blockFactorBits ?? 0;
  const text =
    factor === 0
      ? judged.text
      : `${judged.text} The block factor is ${String(factor)}: ${String(2 ** factor)} units a block.`;
  return claim(
    factor === 0 ? 'plain' : 'warn',
    `${text}${each}`,
    'counters.getBlockCalls',
    'counters.bios',
    'counters.zeroedBytes',
  );
}

const meanText = (mean: number, one: string): string =>
  `${numberText(mean, 2)} ${one}${numberText(mean, 2) === '1' ? '' : 's'}`;

function shortClaim(result: RunResult): VerdictClaim | null {
  const short = result.jobs.reduce((sum, job) => sum + job.read.shortIos + job.write.shortIos, 0);
  if (short === 0) return null;
  return claim(
    'warn',
    `${countText(short, 'request')} moved less than asked: the end of the file, or a hole that a write may not fill.`,
    'jobs.shortIos',
  );
}
