// SPDX-License-Identifier: GPL-2.0-only
/**
 * The keys of a job, as one table: how each is read and written, for our experiment file, for `--set` and for the documentation. The names
 * are fio's wherever fio has one. A reader gets the value as text (YAML scalars and command-line values alike).
 */
import {
  DISTRIBUTIONS,
  RW_PATTERNS,
  type BlockSizeShare,
  type Job,
} from '../../../engine/lab/experiment.ts';
import { jobSchema } from '../../contract/schemas.ts';
import { parseSeconds, parseSize, writeSeconds, writeSize } from './quantities.ts';

/** Thrown by readers: what would be right. */
export class BadValue extends Error {
  override readonly name = 'BadValue';
}

export interface JobKey {
  readonly key: string;
  /** What the value looks like. */
  readonly form: string;
  readonly help: string;
  readonly read: (text: string, job: Job) => Job;
  /** Text of the value; null: it is the default and need not be written. */
  readonly write: (job: Job) => string | null;
}

/** Where nothing is said. */
export const DEFAULT_JOB: Job = {
  name: 'job',
  rw: 'randread',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: null,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0, memoryBytes: 0 },
  ioEngine: 'io_uring',
  ioDepth: 1,
  submitBatch: 1,
  numJobs: 1,
  direct: true,
  sync: 'none',
  nowait: false,
  fsyncEvery: 0,
  endFsync: false,
  runtimeSeconds: 0,
  timeBased: false,
  rampSeconds: 0,
  randSeed: 1,
  noRandomMap: false,
  distribution: { kind: 'random', parameter: 0 },
};

export function readWhole(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new BadValue('a whole number');
  return value;
}
export function readSizeText(text: string): number {
  const value = parseSize(text);
  if (value === null) throw new BadValue('a size such as 512, 4k, 1.5m or 2GiB');
  return value;
}
function readSignedSize(text: string): number {
  const trimmed = text.trim();
  return trimmed.startsWith('-') ? -readSizeText(trimmed.slice(1)) : readSizeText(trimmed);
}
export function readSecondsText(text: string): number {
  const value = parseSeconds(text);
  if (value === null) throw new BadValue('a time such as 20s, 500ms or 2m');
  return value;
}
export function readFlag(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (['true', 'yes', 'on', '1'].includes(word)) return true;
  if (['false', 'no', 'off', '0'].includes(word)) return false;
  throw new BadValue('true or false');
}
export function readChoice<T extends string>(text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text.trim());
  if (found === undefined) throw new BadValue(`one of ${choices.join(', ')}`);
  return found;
}
/** '4k' or '4k/60:8k/40'; a share left out gets an equal part of what is left. */
export function readShares(text: string, size: (text: string) => number): BlockSizeShare[] {
  const parts = text.split(':').map((part) => {
    const [sizeText = '', percentText] = part.split('/');
    const isOpen = percentText === undefined || percentText.trim() === '';
    const percent = isOpen ? NaN : Number(percentText);
    if (!isOpen && !(percent >= 0 && percent <= 100))
      throw new BadValue('shares of 0 to 100 percent');
    return { sizeBytes: size(sizeText), percent };
  });
  const open = parts.filter((part) => Number.isNaN(part.percent)).length;
  const given = parts.reduce((sum, part) => sum + (part.percent || 0), 0);
  const each = open === 0 ? 0 : (100 - given) / open;
  if (given > 100.001 || (open === 0 && Math.abs(given - 100) > 0.01)) {
    throw new BadValue(`shares that add up to 100, not ${String(given)}`);
  }
  return parts.map(({ sizeBytes, percent }) => ({
    sizeBytes,
    percent: Number.isNaN(percent) ? each : percent,
  }));
}
export const writeShares = (shares: readonly BlockSizeShare[]): string =>
  shares.length === 1
    ? writeSize(shares[0]?.sizeBytes ?? 0)
    : shares
        .map(({ sizeBytes, percent }) => `${writeSize(sizeBytes)}/${String(percent)}`)
        .join(':');

export const DEFAULT_PARAMETERS = { random: 0, zipf: 1.1, pareto: 0.2, normal: 20 } as const;
/** 'zipf:1.2' */
export function readDistribution(text: string): Job['distribution'] {
  const [kindText = '', parameterText] = text.split(':');
  const kind = readChoice(kindText, DISTRIBUTIONS);
  const parameter = parameterText === undefined ? DEFAULT_PARAMETERS[kind] : Number(parameterText);
  if (!Number.isFinite(parameter)) throw new BadValue('a distribution such as zipf:1.2');
  return { kind, parameter };
}

const whole = (
  key: string,
  field: 'rwMixReadPercent' | 'ioDepth' | 'submitBatch' | 'numJobs' | 'fsyncEvery' | 'randSeed',
  help: string,
): JobKey => ({
  key,
  form: 'whole number',
  help,
  read: (text, job) => ({ ...job, [field]: readWhole(text) }),
  write: (job) => (job[field] === DEFAULT_JOB[field] ? null : String(job[field])),
});
const flag = (
  key: string,
  field: 'direct' | 'nowait' | 'endFsync' | 'timeBased' | 'noRandomMap',
  help: string,
): JobKey => ({
  key,
  form: 'true or false',
  help,
  read: (text, job) => ({ ...job, [field]: readFlag(text) }),
  write: (job) => (job[field] === DEFAULT_JOB[field] ? null : String(job[field])),
});
const seconds = (key: string, field: 'runtimeSeconds' | 'rampSeconds', help: string): JobKey => ({
  key,
  form: 'time',
  help,
  read: (text, job) => ({ ...job, [field]: readSecondsText(text) }),
  write: (job) => (job[field] === 0 ? null : writeSeconds(job[field])),
});
const optionalSize = (key: string, field: 'sizeBytes' | 'ioSizeBytes', help: string): JobKey => ({
  key,
  form: 'size',
  help,
  read: (text, job) => ({ ...job, [field]: readSizeText(text) }),
  write: (job) => (job[field] === null ? null : writeSize(job[field])),
});
const dial = (key: string, field: keyof Job['alignment'], help: string): JobKey => ({
  key,
  form: 'size',
  help,
  read: (text, job) => ({ ...job, alignment: { ...job.alignment, [field]: readSignedSize(text) } }),
  write: (job) => {
    const value = job.alignment[field];
    return value === 0 ? null : value < 0 ? `-${writeSize(-value)}` : writeSize(value);
  },
});

const IO_ENGINES = ['sync', 'threads', 'libaio', 'io_uring'] as const;
const SYNCS = ['none', 'dsync', 'sync'] as const;

export const JOB_KEYS: readonly JobKey[] = [
  {
    key: 'name',
    form: 'text',
    help: 'Name of the job.',
    read: (text, job) => ({ ...job, name: text }),
    write: (job) => job.name,
  },
  {
    key: 'rw',
    form: RW_PATTERNS.join(', '),
    help: 'Reads, writes or both; in order or at random.',
    read: (text, job) => ({ ...job, rw: readChoice(text, RW_PATTERNS) }),
    write: (job) => job.rw,
  },
  whole('rwmixread', 'rwMixReadPercent', 'Percent of reads of rw and randrw.'),
  {
    key: 'bs',
    form: 'size, or size/percent:size/percent',
    help: 'Block size, or several with their shares.',
    read: (text, job) => ({ ...job, blockSizes: readShares(text, readSizeText) }),
    write: (job) => writeShares(job.blockSizes),
  },
  {
    key: 'offset',
    form: 'size',
    help: 'Start of the area in the file.',
    read: (text, job) => ({ ...job, offsetBytes: readSizeText(text) }),
    write: (job) => (job.offsetBytes === 0 ? null : writeSize(job.offsetBytes)),
  },
  optionalSize(
    'size',
    'sizeBytes',
    'Length of the area. Left out: to the end of the file. Writes may go beyond the end, and so extend the file.',
  ),
  optionalSize('io_size', 'ioSizeBytes', 'Bytes to move in all. Left out: the area once.'),
  dial('align_offset', 'offsetBytes', 'Added to every offset.'),
  dial('align_length', 'lengthBytes', 'Added to every length; may be negative.'),
  dial(
    'align_memory',
    'memoryBytes',
    'Distance of every buffer from the start of a page, 0 to 4095.',
  ),
  {
    key: 'ioengine',
    form: IO_ENGINES.join(', '),
    help: 'How the host is asked, and whether requests are asynchronous.',
    read: (text, job) => ({ ...job, ioEngine: readChoice(text, IO_ENGINES) }),
    write: (job) => job.ioEngine,
  },
  whole('iodepth', 'ioDepth', 'Requests in flight; a sync job has one.'),
  whole('submit_batch', 'submitBatch', 'Requests handed to the host in one system call at most.'),
  whole('numjobs', 'numJobs', 'Clones of the job, side by side.'),
  flag('direct', 'direct', 'Direct I/O; false: through the page cache.'),
  {
    key: 'sync',
    form: SYNCS.join(', '),
    help: 'Writes return when the data (dsync), or all of it (sync), is durable.',
    read: (text, job) => ({ ...job, sync: readChoice(text, SYNCS) }),
    write: (job) => (job.sync === 'none' ? null : job.sync),
  },
  flag('nowait', 'nowait', 'RWF_NOWAIT: a request that would have to wait ends with EAGAIN.'),
  whole('fsync', 'fsyncEvery', 'An fsync after so many writes; 0: none.'),
  flag('end_fsync', 'endFsync', 'An fsync when all writes are done.'),
  seconds('runtime', 'runtimeSeconds', 'The job stops after it; 0: when its bytes are done.'),
  flag(
    'time_based',
    'timeBased',
    'Goes on for the whole runtime, starting over where the bytes are done.',
  ),
  seconds('ramp_time', 'rampSeconds', 'Runs so long before anything is measured.'),
  whole('randseed', 'randSeed', 'Same seed, same requests.'),
  flag('norandommap', 'noRandomMap', 'Random offsets may repeat before every block had its turn.'),
  {
    key: 'random_distribution',
    form: 'random, zipf:THETA, pareto:H, normal:PERCENT',
    help: 'Which blocks are popular.',
    read: (text, job) => ({ ...job, distribution: readDistribution(text) }),
    write: (job) =>
      job.distribution.kind === 'random'
        ? null
        : `${job.distribution.kind}:${String(job.distribution.parameter)}`,
  },
];

/** What a value out of its range has to be; the path says whether it is an amount of bytes. */
export function rangeWords(issue: {
  readonly code: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly origin?: string;
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
}): string {
  const isText = issue.origin === 'string';
  const isSize = String(issue.path.at(-1)).endsWith('Bytes');
  const amount = (value: number | bigint): string => {
    if (isText) return `${String(value)} characters`;
    const number = Number(value);
    if (!isSize) return String(number);
    return number < 0 ? `-${writeSize(-number)}` : writeSize(number);
  };
  if (issue.code === 'too_small' && issue.minimum !== undefined) {
    return isText && Number(issue.minimum) === 1 ? 'a text' : `at least ${amount(issue.minimum)}`;
  }
  if (issue.code === 'too_big' && issue.maximum !== undefined)
    return `at most ${amount(issue.maximum)}`;
  return issue.message;
}

/** The key's value in the job; throws `BadValue` also where the value is out of the range that the contract allows. */
export function readJobValue(known: Pick<JobKey, 'read'>, text: string, job: Job): Job {
  const changed = known.read(text, job);
  refuseOutOfRange(changed, job);
  return changed;
}

/** Throws `BadValue` for what is out of range in `changed` and was not in `before`. */
export function refuseOutOfRange(changed: Job, before: Job): void {
  const [issue] = jobSchema.safeParse(changed).error?.issues ?? [];
  if (issue === undefined || !jobSchema.safeParse(before).success) return;
  throw new BadValue(rangeWords(issue));
}

export const jobKey = (key: string): JobKey | undefined =>
  JOB_KEYS.find((candidate) => candidate.key === key);
