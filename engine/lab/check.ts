// SPDX-License-Identifier: GPL-2.0-only
/**
 * What can be said of an experiment before anything is opened: every problem, not only the first. The same check serves the form, the
 * terminal and the run itself.
 */
import { HostError, PAGE_BYTES, resolveOptions, type HostErrorData } from '../base/index.ts';
import { DEVICES } from '../devices/index.ts';
import { findRevision } from '../dio/index.ts';
import { FILE_SYSTEMS } from '../filesystems/index.ts';
import {
  isRandomPattern,
  longestRequestBytes,
  rankSource,
  readsData,
  writesData,
} from '../workload/index.ts';
import type { Experiment, Job, Target } from './experiment.ts';
import { checkInner } from './check-inner.ts';

/** Buffers of all requests in flight together; above it a run is refused rather than the machine filled. */
export const BUFFER_BYTES_MAX = 2 ** 30;
/** Slots of all jobs and clones together. */
export const SLOTS_MAX = 65536;

/** Notes a problem of an experiment. */
export type Refuse = (code: string, message: string, hint: string, where?: string) => void;

/** Every problem that needs no look at the image; empty: none. */
export function checkExperiment(experiment: Experiment): HostErrorData[] {
  const problems: HostErrorData[] = [];
  const refuse: Refuse = (code, message, hint, where) => {
    problems.push({ code, message, hint, exitCode: 65, ...(where !== undefined && { where }) });
  };
  const attempt = (action: () => unknown): void => {
    try {
      action();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      problems.push(error.toJSON());
    }
  };
  attempt(() => findRevision(experiment.revision));
  checkTarget(experiment.target, refuse, attempt);
  checkInner(experiment.target, experiment.revision, refuse, attempt);
  if (experiment.jobs.length === 0) {
    refuse('job.none', 'the experiment has no job', 'It needs at least one.', 'jobs');
  }
  for (const job of experiment.jobs) checkJob(job, refuse, attempt);
  checkTogether(experiment, refuse);
  return problems;
}

/** Throws the first problem, with the others in its hint. */
export function assertExperiment(experiment: Experiment): void {
  const problems = checkExperiment(experiment);
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw new HostError(first);
  const also = others.map((problem) => problem.message).join('; ');
  throw new HostError({ ...first, hint: `${first.hint ?? ''} Also: ${also}.`.trim() });
}

function checkTarget(
  target: Target,
  refuse: Refuse,
  attempt: (action: () => unknown) => void,
): void {
  const { device, fileSystem, filePath } = target;
  const deviceModule = DEVICES.find((module) => module.id === device.id);
  if (deviceModule === undefined) {
    const known = DEVICES.map((module) => module.id).join(', ');
    refuse(
      'device.unknown',
      `there is no device ${device.id}`,
      `There are ${known}.`,
      'target.device',
    );
  } else attempt(() => resolveOptions(deviceModule.options, device.options, `device ${device.id}`));
  const fileSystemModule = FILE_SYSTEMS.find((module) => module.id === fileSystem.id);
  if (fileSystemModule === undefined && fileSystem.id !== 'auto') {
    const known = FILE_SYSTEMS.map((module) => module.id).join(', ');
    refuse(
      'file-system.unknown',
      `there is no file system ${fileSystem.id}`,
      `There are auto, ${known}.`,
      'target.fileSystem',
    );
  } else if (fileSystemModule !== undefined) {
    attempt(() =>
      resolveOptions(fileSystemModule.options, fileSystem.options, `file system ${fileSystem.id}`),
    );
  }
  if (fileSystem.id === 'raw') {
    // The host's plain file stands for the whole device, and needs a size.
    const hasSize = target.fileSizeBytes !== null && target.by !== 'host';
    if (filePath !== null || hasSize) {
      refuse(
        'target.raw-has-no-files',
        'a raw target is the whole device: it has no file path and no file size',
        'Leave both out, or choose a file system.',
        'target.file',
      );
    }
  } else if (fileSystem.id !== 'auto' && filePath === null) {
    refuse(
      'target.file-required',
      `a target with file system ${fileSystem.id} needs the path of a file in it`,
      'For example /data.',
      'target.file',
    );
  }
  if (filePath !== null && !isGoodPath(filePath)) {
    refuse(
      'target.bad-file-path',
      `${filePath} is not the path of a file in an image`,
      "It starts with '/', ends in a name, and has no '.' or '..'.",
      'target.file',
    );
  }
}

/** An absolute path of a file, without `.` and `..`. */
export const isGoodPath = (path: string): boolean =>
  path.startsWith('/') &&
  path
    .slice(1)
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));

function checkJob(job: Job, refuse: Refuse, attempt: (action: () => unknown) => void): void {
  const where = `job ${job.name}`;
  const say = (code: string, message: string, hint: string): void => {
    refuse(code, `${where}: ${message}`, hint, where);
  };
  if (job.blockSizes.length === 0 || job.blockSizes.some((share) => !(share.sizeBytes >= 1))) {
    say(
      'job.bad-block-size',
      'a block size is missing or not positive',
      'At least one of 1 byte or more.',
    );
    return;
  }
  const total = job.blockSizes.reduce((sum, share) => sum + share.percent, 0);
  if (Math.abs(total - 100) > 0.01) {
    say(
      'job.bad-shares',
      `the shares of its block sizes add up to ${String(total)} %`,
      'They add up to 100.',
    );
  }
  if (job.blockSizes.some((share) => share.sizeBytes + job.alignment.lengthBytes < 1)) {
    say(
      'job.bad-alignment',
      `a length dial of ${String(job.alignment.lengthBytes)} leaves nothing of a block`,
      'Block size plus length dial is at least 1 byte.',
    );
  }
  if (!(job.alignment.memoryBytes >= 0 && job.alignment.memoryBytes < PAGE_BYTES)) {
    say(
      'job.bad-alignment',
      `a memory dial of ${String(job.alignment.memoryBytes)}`,
      'It is 0 to 4095 bytes.',
    );
  }
  if (job.timeBased && !(job.runtimeSeconds > 0)) {
    say('job.endless', 'it is time based and has no runtime', 'Give it a runtime in seconds.');
  }
  if (!Number.isSafeInteger(job.ioDepth) || job.ioDepth < 1) {
    say('job.bad-depth', `a depth of ${String(job.ioDepth)}`, 'A whole number of at least 1.');
  }
  if (!Number.isSafeInteger(job.numJobs) || job.numJobs < 1 || job.numJobs > 4096) {
    say('job.bad-num-jobs', `${String(job.numJobs)} clones`, 'A whole number from 1 to 4096.');
  }
  if (job.sync !== 'none' && !writesData(job.rw)) {
    say(
      'job.sync-without-writes',
      `sync is ${job.sync} and it only reads`,
      'Leave sync out, or write.',
    );
  }
  if (isRandomPattern(job.rw)) {
    attempt(() => rankSource(job.distribution.kind, job.distribution.parameter, 1000));
  }
}

/** A device has one executor, so all jobs of an experiment use the same. */
function checkTogether(experiment: Experiment, refuse: Refuse): void {
  const [first, ...others] = experiment.jobs;
  if (first === undefined) return;
  for (const job of others) {
    if (job.ioEngine === first.ioEngine && job.direct === first.direct) continue;
    const name = (one: Job): string => `${one.ioEngine}, ${one.direct ? 'direct' : 'buffered'}`;
    refuse(
      'job.mixed-executors',
      `job ${job.name} uses ${name(job)}, job ${first.name} uses ${name(first)}`,
      'All jobs of one experiment share a device, and a device has one executor: give them the same I/O engine and the same direct flag, or make two experiments.',
      `job ${job.name}`,
    );
    break;
  }
  const slots = slotCount(experiment);
  if (slots > SLOTS_MAX) {
    refuse(
      'job.too-deep',
      `${String(slots)} requests in flight together`,
      `At most ${String(SLOTS_MAX)} over all jobs.`,
      'jobs',
    );
  } else if (bufferPages(experiment) * PAGE_BYTES > BUFFER_BYTES_MAX) {
    refuse(
      'job.too-much-memory',
      `buffers of ${String(bufferPages(experiment) * PAGE_BYTES)} bytes for all requests in flight`,
      `At most ${String(BUFFER_BYTES_MAX)} bytes: less depth, fewer jobs or smaller blocks.`,
      'jobs',
    );
  }
}

/** Requests in flight of one clone: a synchronous engine has one, whatever the depth says (as in fio). */
export const depthOf = (job: Job): number => (job.ioEngine === 'sync' ? 1 : job.ioDepth);
/** Of all jobs and clones. */
export const slotCount = (experiment: Experiment): number =>
  experiment.jobs.reduce((sum, job) => sum + job.numJobs * depthOf(job), 0);
/** Pages of one request's buffer, which starts at the memory dial's distance from a page. */
export const slotPages = (job: Job): number =>
  Math.max(1, Math.ceil((longestRequestBytes(job) + job.alignment.memoryBytes) / PAGE_BYTES));
/** Of all buffers. */
export const bufferPages = (experiment: Experiment): number =>
  experiment.jobs.reduce((sum, job) => sum + job.numJobs * depthOf(job) * slotPages(job), 0);
/** True where a job reads or writes. */
export const experimentReads = (experiment: Experiment): boolean =>
  experiment.jobs.some((job) => readsData(job.rw));
export const experimentWrites = (experiment: Experiment): boolean =>
  experiment.jobs.some((job) => writesData(job.rw));
