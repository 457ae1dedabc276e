// SPDX-License-Identifier: GPL-2.0-only
/**
 * fio job files: read into an experiment, and an experiment written as one.
 *
 * Reading: INI with `;` and `#` comments; `[global]` holds for the sections after it; a section's name is its job's; sizes, times and
 * shares as fio reads them. Keys that are honoured are the table `FIO_KEYS`; every other one is named in the notes, and a value that
 * is not understood is a problem with its line. `include` is refused: a job is one file here.
 *
 * fio has no words for the target's inside and for our dials. They stand in comments that fio skips, which are keys of our own
 * experiment file: `; diolab target.filesystem = ext2`, before the first section for all, in a section for its job.
 *
 * The file that fio would open is the image here, and the job runs on it raw, unless such a comment says otherwise. Where it does not
 * exist and the job has a size, it is made with that size, as fio would.
 */
import {
  RW_PATTERNS,
  type Experiment,
  type Job,
  type Target,
} from '../../../engine/lab/experiment.ts';
import { DEFAULT_REVISION_ID } from '../../../engine/lab/lists.ts';
import { experimentSchema } from '../../contract/schemas.ts';
import type { ParsedText } from '../../contract/types.ts';
import { DEFAULT_TARGET, HEAD_KEYS, setExperimentValue, TARGET_KEYS } from './experiment-file.ts';
import {
  BadValue,
  DEFAULT_JOB,
  DEFAULT_PARAMETERS,
  JOB_KEYS,
  rangeWords,
  readChoice,
  readShares,
  readWhole,
  refuseOutOfRange,
  writeShares,
} from './job-keys.ts';
import { nearestWord, parseFioSize, parseSeconds, writeSeconds, writeSize } from './quantities.ts';

type Problem = ParsedText['problems'][number];

/** One `key = value` line. */
interface Setting {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}
interface Section {
  readonly name: string;
  readonly line: number;
  readonly settings: Setting[];
  /** `; diolab key = value` */
  readonly own: Setting[];
}

/** What the settings of a section come to; the file belongs to all jobs together. */
interface FioJob {
  job: Job;
  filename: string | null;
  directory: string | null;
  /** Notes on what was taken differently. */
  readonly notes: string[];
}

interface FioKey {
  /** The first is the one that is written. */
  readonly names: readonly string[];
  /** May stand without a value (then '1'). */
  readonly isFlag?: boolean;
  readonly read: (value: string, state: FioJob) => void;
}

const set = (state: FioJob, change: Partial<Job>): void => {
  state.job = { ...state.job, ...change };
};
function fioSize(text: string): number {
  const value = parseFioSize(text);
  if (value === null) throw new BadValue('a size such as 4k or 1g');
  return value;
}
function fioSeconds(text: string): number {
  const value = parseSeconds(text);
  if (value === null) throw new BadValue('a time such as 20, 20s or 500ms');
  return value;
}
function fioFlag(text: string): boolean {
  if (!/^\s*[01]\s*$/.test(text)) throw new BadValue('0 or 1');
  return text.trim() === '1';
}
/** 'read,write,trim': the part for the direction of the job. */
function forDirection(value: string, state: FioJob): string {
  const [read = '', write = read] = value.split(',');
  const part = state.job.rw.endsWith('write') ? write : read;
  if (state.job.rw.endsWith('rw') && read !== write) {
    state.notes.push(
      `${value}: a value for each direction of a mixed job is not honoured, ${part} holds for both`,
    );
  }
  return part;
}

const SYNC_ENGINES = ['sync', 'psync', 'vsync', 'pvsync', 'pvsync2'];
const ENGINES: Readonly<Record<string, Job['ioEngine']>> = {
  ...Object.fromEntries(SYNC_ENGINES.map((name) => [name, 'sync' as const])),
  libaio: 'libaio',
  io_uring: 'io_uring',
  posixaio: 'threads',
};

export const FIO_KEYS: readonly FioKey[] = [
  {
    names: ['name'],
    read: (value, state) => {
      set(state, { name: value });
    },
  },
  {
    names: ['filename'],
    read: (value, state) => {
      if (value === '') throw new BadValue('the path of a file');
      if (/[^\\]:/.test(value)) throw new BadValue('one file: an experiment has one image');
      state.filename = value.replaceAll('\\:', ':');
    },
  },
  {
    names: ['directory'],
    read: (value, state) => {
      state.directory = value;
    },
  },
  {
    names: ['size'],
    read: (value, state) => {
      if (/%$|z$/.test(value)) throw new BadValue('a size in bytes');
      set(state, { sizeBytes: fioSize(value) });
    },
  },
  {
    names: ['io_size', 'io_limit'],
    read: (value, state) => {
      set(state, { ioSizeBytes: fioSize(value) });
    },
  },
  {
    names: ['offset', 'fileoffset'],
    read: (value, state) => {
      set(state, { offsetBytes: fioSize(value) });
    },
  },
  {
    names: ['rw', 'readwrite'],
    read: (value, state) => {
      const [pattern = '', modifier] = value.split(':');
      const name = pattern === 'readwrite' ? 'rw' : pattern;
      if (modifier !== undefined)
        state.notes.push(`rw=${value}: the part after the colon is not honoured`);
      set(state, { rw: readChoice(name, RW_PATTERNS) });
    },
  },
  {
    names: ['rwmixread'],
    read: (value, state) => {
      set(state, { rwMixReadPercent: readWhole(value) });
    },
  },
  {
    names: ['rwmixwrite'],
    read: (value, state) => {
      set(state, { rwMixReadPercent: 100 - readWhole(value) });
    },
  },
  {
    names: ['bs', 'blocksize'],
    read: (value, state) => {
      set(state, {
        blockSizes: [{ sizeBytes: fioSize(forDirection(value, state)), percent: 100 }],
      });
    },
  },
  {
    names: ['bssplit'],
    read: (value, state) => {
      set(state, { blockSizes: readShares(forDirection(value, state), fioSize) });
    },
  },
  {
    names: ['ioengine'],
    read: (value, state) => {
      const engine = ENGINES[value];
      if (engine === undefined) throw new BadValue(`one of ${Object.keys(ENGINES).join(', ')}`);
      if (engine !== value && !SYNC_ENGINES.includes(value))
        state.notes.push(`ioengine=${value} runs as ${engine}`);
      set(state, { ioEngine: engine });
    },
  },
  {
    names: ['iodepth'],
    read: (value, state) => {
      set(state, { ioDepth: readWhole(value) });
    },
  },
  {
    names: ['iodepth_batch', 'iodepth_batch_submit'],
    read: (value, state) => {
      set(state, { submitBatch: readWhole(value) });
    },
  },
  {
    names: ['numjobs'],
    read: (value, state) => {
      set(state, { numJobs: readWhole(value) });
    },
  },
  {
    names: ['direct'],
    isFlag: true,
    read: (value, state) => {
      set(state, { direct: fioFlag(value) });
    },
  },
  {
    names: ['buffered'],
    isFlag: true,
    read: (value, state) => {
      set(state, { direct: !fioFlag(value) });
    },
  },
  {
    names: ['sync'],
    isFlag: true,
    read: (value, state) => {
      const word = value === '0' ? 'none' : value === '1' ? 'sync' : value;
      set(state, { sync: readChoice(word, ['none', 'dsync', 'sync'] as const) });
    },
  },
  {
    names: ['nowait'],
    isFlag: true,
    read: (value, state) => {
      set(state, { nowait: fioFlag(value) });
    },
  },
  {
    names: ['fsync'],
    read: (value, state) => {
      set(state, { fsyncEvery: readWhole(value) });
    },
  },
  {
    names: ['end_fsync'],
    isFlag: true,
    read: (value, state) => {
      set(state, { endFsync: fioFlag(value) });
    },
  },
  {
    names: ['runtime', 'timeout'],
    read: (value, state) => {
      set(state, { runtimeSeconds: fioSeconds(value) });
    },
  },
  {
    names: ['time_based'],
    isFlag: true,
    read: (value, state) => {
      set(state, { timeBased: fioFlag(value) });
    },
  },
  {
    names: ['ramp_time'],
    read: (value, state) => {
      set(state, { rampSeconds: fioSeconds(value) });
    },
  },
  {
    names: ['randseed'],
    read: (value, state) => {
      set(state, { randSeed: readWhole(value) % 2 ** 32 });
    },
  },
  {
    names: ['norandommap'],
    isFlag: true,
    read: (value, state) => {
      set(state, { noRandomMap: fioFlag(value) });
    },
  },
  {
    names: ['random_distribution'],
    read: (value, state) => {
      const [kindText = '', parameter] = value.split(':');
      const kind = readChoice(kindText, ['random', 'zipf', 'pareto', 'normal'] as const);
      const number = parameter === undefined ? DEFAULT_PARAMETERS[kind] : Number(parameter);
      if (!Number.isFinite(number)) throw new BadValue('a distribution such as zipf:1.2');
      set(state, { distribution: { kind, parameter: number } });
    },
  },
];

/** fio's own defaults, where they differ from ours. */
const FIO_DEFAULT_JOB: Job = { ...DEFAULT_JOB, rw: 'read', ioEngine: 'sync', direct: false };

/** The experiment, or every problem with its line; notes name each key that is not honoured. */
export function parseFioJob(text: string): ParsedText {
  return new Reading(text).result();
}

class Reading {
  private readonly problems: Problem[] = [];
  private readonly notes: string[] = [];
  private readonly sections: Section[] = [];
  /** Comments of ours before any section. */
  private readonly head: Setting[] = [];

  constructor(text: string) {
    let section: Section | null = null;
    text.split(/\r?\n/).forEach((raw, index) => {
      section = this.readLine(raw, index + 1, section);
    });
  }

  private readLine(raw: string, line: number, current: Section | null): Section | null {
    const text = raw.trim();
    const own = /^[;#]\s*diolab\s+([A-Za-z_.0-9]+)\s*=\s*(.*)$/.exec(text);
    if (own !== null) {
      (current?.own ?? this.head).push({ key: own[1] ?? '', value: (own[2] ?? '').trim(), line });
      return current;
    }
    if (text === '' || text.startsWith(';') || text.startsWith('#')) return current;
    const heading = /^\[(.+)\]$/.exec(text);
    if (heading !== null) {
      const section = { name: heading[1] ?? '', line, settings: [], own: [] };
      this.sections.push(section);
      return section;
    }
    if (/^include\b/.test(text)) {
      this.add(
        'fio.include',
        'include is not supported: a job is one file here',
        line,
        'Put the included lines into this file.',
      );
      return current;
    }
    const [key = '', ...rest] = text.split('=');
    const setting = {
      key: key.trim(),
      value: rest
        .join('=')
        .replace(/\s[;#].*$/, '')
        .trim(),
      line,
    };
    if (current === null)
      this.add(
        'fio.no-section',
        `${setting.key} stands before any section`,
        line,
        'Begin with [global] or [a job].',
      );
    else current.settings.push(rest.length === 0 ? { ...setting, value: '\0' } : setting);
    return current;
  }

  result(): ParsedText {
    const globals: Setting[] = [];
    const globalOwn: Setting[] = [...this.head];
    const jobs: { readonly state: FioJob; readonly section: Section; readonly own: Setting[] }[] =
      [];
    for (const section of this.sections) {
      if (section.name === 'global') {
        globals.push(...section.settings);
        globalOwn.push(...section.own);
        continue;
      }
      const state = this.readJob(section, globals);
      jobs.push({ state, section, own: [...section.own] });
    }
    if (jobs.length === 0 && this.problems.length === 0) {
      this.add(
        'job.none',
        'the file has no job',
        null,
        'A job is a section: [name], then its keys.',
      );
    }
    const experiment = this.problems.length === 0 ? this.assemble(jobs, globalOwn) : null;
    if (experiment !== null)
      this.checkSchema(
        experiment,
        jobs.map(({ section }) => section.line),
      );
    const isGood = this.problems.length === 0;
    return {
      experiment: isGood ? experiment : null,
      problems: this.problems,
      notes: [...new Set(this.notes)],
    };
  }

  private readJob(section: Section, globals: readonly Setting[]): FioJob {
    const state: FioJob = {
      job: { ...FIO_DEFAULT_JOB, name: section.name },
      filename: null,
      directory: null,
      notes: [],
    };
    // A name in [global] names no job: each has its section's, as in fio. The pattern first: values for each direction depend on it.
    const settings = [...globals.filter(({ key }) => key !== 'name'), ...section.settings];
    const isPattern = ({ key }: Setting): boolean => key === 'rw' || key === 'readwrite';
    for (const setting of [
      ...settings.filter(isPattern),
      ...settings.filter((one) => !isPattern(one)),
    ]) {
      this.readSetting(setting, state);
    }
    this.notes.push(...state.notes.map((note) => `job ${state.job.name}: ${note}.`));
    return state;
  }

  private readSetting(setting: Setting, state: FioJob): void {
    const { key, line } = setting;
    const known = FIO_KEYS.find(({ names }) => names.includes(key));
    if (known === undefined) {
      this.unknown(setting);
      return;
    }
    const isBare = setting.value === '\0';
    if (isBare && known.isFlag !== true) {
      this.add('job.bad-value', `${key} has no value`, line, `Write ${key}=...`);
      return;
    }
    const before = state.job;
    try {
      known.read(isBare ? '1' : setting.value, state);
      refuseOutOfRange(state.job, before);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.add(
        'job.bad-value',
        `${key}=${isBare ? '' : setting.value}: expected ${error.message}`,
        line,
        `${key} wants ${error.message}.`,
      );
    }
  }

  /** Named, never silently dropped; a slip of a known key is a problem. */
  private unknown({ key, line }: Setting): void {
    const names = FIO_KEYS.flatMap((entry) => entry.names);
    if (!/^[a-z0-9_]+$/.test(key)) {
      const nearest = key === '' ? null : nearestWord(key, names);
      const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
      this.add(
        'job.unknown-key',
        `${key === '' ? 'what stands before the =' : JSON.stringify(key)} is not a key`,
        line,
        `A line is key=value.${hint}`,
      );
      return;
    }
    const nearest = nearestWord(key, names);
    const guess = nearest === null ? '' : ` (a slip of ${nearest}?)`;
    this.notes.push(`line ${String(line)}: ${key} is not honoured${guess}.`);
  }

  private assemble(
    jobs: readonly { readonly state: FioJob; readonly section: Section; readonly own: Setting[] }[],
    head: readonly Setting[],
  ): Experiment {
    const files = new Set(jobs.map(({ state, section }) => fileOf(state, section)));
    if (files.size > 1) {
      this.add(
        'fio.several-files',
        `the jobs use ${String(files.size)} files: ${[...files].join(', ')}`,
        null,
        'An experiment has one image: give all jobs the same filename, or make a file of each.',
      );
    }
    const [path = 'job.img'] = files;
    const ends = jobs.map(({ state: { job } }) =>
      job.sizeBytes === null ? null : job.offsetBytes + job.sizeBytes,
    );
    const known = ends.filter((end) => end !== null);
    const target: Target = {
      ...DEFAULT_TARGET,
      device: { id: 'image-file', options: { path } },
      fileSystem: { id: 'raw', options: {} },
      create: known.length === 0 ? null : { sizeBytes: Math.max(...known) },
    };
    let experiment: Experiment = {
      name: jobs
        .map(({ state }) => state.job.name)
        .join(', ')
        .slice(0, 200),
      target,
      jobs: jobs.map(({ state }) => state.job),
      revision: DEFAULT_REVISION_ID,
      trace: { level: 'requests', rowsMax: 1_000_000 },
    };
    for (const setting of head) experiment = this.applyOwn(experiment, setting.key, setting);
    jobs.forEach(({ own }, index) => {
      for (const setting of own) {
        const isJobKey = JOB_KEYS.some(({ key }) => key === setting.key);
        experiment = this.applyOwn(
          experiment,
          isJobKey ? `jobs.${String(index)}.${setting.key}` : setting.key,
          setting,
        );
      }
    });
    return experiment;
  }

  private applyOwn(experiment: Experiment, key: string, setting: Setting): Experiment {
    try {
      return setExperimentValue(experiment, key, setting.value);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.add(
        'job.bad-value',
        `diolab ${setting.key} = ${setting.value}: expected ${error.message}`,
        setting.line,
        'See docs/EXPERIMENT-FILE.md for the keys.',
      );
      return experiment;
    }
  }

  private checkSchema(experiment: Experiment, lines: readonly number[]): void {
    const checked = experimentSchema.safeParse(experiment);
    if (checked.success) return;
    for (const issue of checked.error.issues) {
      const [section, index] = issue.path;
      const line = section === 'jobs' && typeof index === 'number' ? (lines[index] ?? null) : null;
      this.add(
        'job.out-of-range',
        `${issue.path.join('.')}: expected ${rangeWords(issue)}`,
        line,
        'See the ranges in docs/EXPERIMENT-FILE.md.',
      );
    }
  }

  private add(code: string, message: string, line: number | null, hint: string): void {
    const where = line === null ? {} : { where: `line ${String(line)}` };
    this.problems.push({ code, message, hint, exitCode: 65, line, ...where });
  }
}

/** As fio makes its names: directory and filename, or the job's name where there is none. */
function fileOf(state: FioJob, section: Section): string {
  const name = state.filename ?? `${section.name}.0.0`;
  return state.directory === null ? name : `${state.directory.replace(/\/$/, '')}/${name}`;
}

// Writing --------------------------------------------------------------------------------------

const FIO_ENGINE_NAMES: Readonly<Record<Job['ioEngine'], string>> = {
  sync: 'psync',
  threads: 'posixaio',
  libaio: 'libaio',
  io_uring: 'io_uring',
};

/** A fio job file of the experiment; notes say what fio has no word for (it stands in comments that we read back). */
export function writeFioJob(experiment: Experiment): {
  readonly text: string;
  readonly notes: string[];
} {
  const { target } = experiment;
  const notes: string[] = [];
  const lines: string[] = [];
  const own = (key: string, value: string): void => {
    lines.push(`; diolab ${key} = ${value}`);
  };
  lines.push(`; ${experiment.name.replaceAll('\n', ' ')}`);
  own('name', experiment.name.replaceAll('\n', ' '));
  own('revision', experiment.revision);
  own('trace', experiment.trace.level);
  own('trace_rows', String(experiment.trace.rowsMax));
  const path = target.device.options['path'];
  if (target.device.id !== 'image-file') {
    own('target.device', target.device.id);
    notes.push(`fio has no device ${target.device.id}: it would run on a file.`);
  }
  if (target.partition !== undefined) {
    own('target.partition', String(target.partition));
    notes.push('fio knows nothing of partitions: it would write over the table.');
  }
  own('target.filesystem', target.fileSystem.id);
  if (target.fileSystem.id !== 'raw')
    notes.push('fio knows nothing of the file system inside the image: it would write over it.');
  if (Object.keys(target.fileSystem.options).length > 0)
    notes.push('Options of the file system are left out.');
  const deviceOptions = Object.keys(target.device.options).filter((key) => key !== 'path');
  if (deviceOptions.length > 0) notes.push('Options of the device are left out.');
  if (target.filePath !== null) own('target.file', target.filePath);
  if (target.fileSizeBytes !== null) own('target.file_size', writeSize(target.fileSizeBytes));
  own('target.create', target.create === null ? 'none' : writeSize(target.create.sizeBytes));
  if (target.by !== undefined) own('target.by', target.by);
  if (target.consentToWrite) own('target.consent_to_write', 'true');
  lines.push(
    '',
    '[global]',
    `filename=${typeof path === 'string' ? path.replaceAll(':', '\\:') : 'job.img'}`,
  );
  for (const job of experiment.jobs) lines.push('', ...jobLines(job, notes));
  return { text: `${lines.join('\n')}\n`, notes: [...new Set(notes)] };
}

function jobLines(job: Job, notes: string[]): string[] {
  const lines = [`[${job.name.replaceAll(/[[\]\n]/g, '_')}]`];
  const put = (key: string, value: string | number): void => {
    lines.push(`${key}=${String(value)}`);
  };
  put('rw', job.rw);
  if (job.rw.endsWith('rw')) put('rwmixread', job.rwMixReadPercent);
  put(job.blockSizes.length > 1 ? 'bssplit' : 'bs', writeShares(job.blockSizes));
  if (job.offsetBytes > 0) put('offset', writeSize(job.offsetBytes));
  if (job.sizeBytes !== null) put('size', writeSize(job.sizeBytes));
  if (job.ioSizeBytes !== null) put('io_size', writeSize(job.ioSizeBytes));
  put('ioengine', FIO_ENGINE_NAMES[job.ioEngine]);
  put('iodepth', job.ioDepth);
  if (job.submitBatch > 1) put('iodepth_batch', job.submitBatch);
  if (job.numJobs > 1) put('numjobs', job.numJobs);
  put('direct', job.direct ? 1 : 0);
  if (job.sync !== 'none') put('sync', job.sync);
  if (job.nowait) put('nowait', 1);
  if (job.fsyncEvery > 0) put('fsync', job.fsyncEvery);
  if (job.endFsync) put('end_fsync', 1);
  if (job.runtimeSeconds > 0) put('runtime', fioTime(job.runtimeSeconds));
  if (job.timeBased) put('time_based', 1);
  if (job.rampSeconds > 0) put('ramp_time', fioTime(job.rampSeconds));
  put('randseed', job.randSeed);
  if (job.noRandomMap) put('norandommap', 1);
  if (job.distribution.kind !== 'random') {
    put('random_distribution', `${job.distribution.kind}:${String(job.distribution.parameter)}`);
  }
  if (job.ioEngine === 'threads')
    notes.push('Threads are written as posixaio, which is what comes nearest.');
  for (const { key, write } of JOB_KEYS) {
    const value = key.startsWith('align_') ? write(job) : null;
    if (value === null) continue;
    lines.push(`; diolab ${key} = ${value}`);
    notes.push('fio has no alignment dials; they stand in comments.');
  }
  return lines;
}

/** fio's times are whole numbers: milliseconds where seconds do not do. */
const fioTime = (seconds: number): string =>
  Number.isInteger(seconds) ? writeSeconds(seconds) : `${String(Math.round(seconds * 1000))}ms`;

/** Keys of ours that a `; diolab` comment may carry, for the documentation. */
export const COMMENT_KEYS: readonly string[] = [...HEAD_KEYS, ...TARGET_KEYS, ...JOB_KEYS].map(
  ({ key }) => key,
);
