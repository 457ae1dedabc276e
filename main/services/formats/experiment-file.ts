// SPDX-License-Identifier: GPL-2.0-only
/**
 * The experiment file (YAML): read with a line for every problem, and written back. The schema is docs/EXPERIMENT-FILE.md; its job keys
 * are the table in job-keys.ts.
 *
 * Rules: 1. Several problems are reported at once. 2. An unknown key is a problem that names the nearest known one: a slip must not
 * change a run silently. 3. What is left out has a default, and writing leaves defaults out: reading what was written gives the same
 * experiment. 4. A file that is not YAML at all is a problem with its line, too.
 */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import type { OptionField, OptionSchema, OptionValue } from '../../../engine/base/index.ts';
import type { Experiment, InnerImage, Job, Target } from '../../../engine/lab/experiment.ts';
import { DEFAULT_REVISION_ID, DEVICES, FILE_SYSTEMS } from '../../../engine/lab/lists.ts';
import { experimentSchema } from '../../contract/schemas.ts';
import type { ParsedText } from '../../contract/types.ts';
import {
  BadValue,
  DEFAULT_JOB,
  JOB_KEYS,
  jobKey,
  readChoice,
  rangeWords,
  readFlag,
  readJobValue,
  readSizeText,
  readWhole,
} from './job-keys.ts';
import { nearestWord, parseSize, writeSize } from './quantities.ts';

type Problem = ParsedText['problems'][number];

/** Revision of a file that names none. */

const TRACE_LEVELS = ['off', 'requests', 'full'] as const;
const DEFAULT_ROWS_MAX = 1_000_000;

export const DEFAULT_TARGET: Target = {
  device: { id: 'image-file', options: {} },
  fileSystem: { id: 'auto', options: {} },
  filePath: null,
  fileSizeBytes: null,
  create: null,
  consentToWrite: false,
};

interface Draft {
  name: string;
  target: Target;
  jobs: Job[];
  revision: string;
  trace: Experiment['trace'];
}

/** One key of the file's head or of its target. */
interface SectionKey {
  readonly key: string;
  readonly form: string;
  readonly help: string;
  readonly read: (text: string, draft: Draft) => void;
}

const setTarget = (draft: Draft, change: Partial<Target>): void => {
  draft.target = { ...draft.target, ...change };
};

const DEFAULT_INNER: InnerImage = {
  file: '',
  fileSystem: { id: 'auto', options: {} },
  fileSizeBytes: null,
  transfer: 'buffered',
  sectorBytes: 512,
};
const setInner = (draft: Draft, change: Partial<InnerImage>): void => {
  setTarget(draft, { inner: { ...(draft.target.inner ?? DEFAULT_INNER), ...change } });
};

export const TARGET_KEYS: readonly SectionKey[] = [
  {
    key: 'image',
    form: 'path',
    help: "The image file; for the device image-file. lab:NAME lies in the lab's data folder; a relative path counts from the current folder.",
    read: (text, draft) => {
      setTarget(draft, {
        device: { ...draft.target.device, options: { ...draft.target.device.options, path: text } },
      });
    },
  },
  {
    key: 'device',
    form: 'id, or a map with id and options',
    help: 'image-file (the default), loop, memory or model.',
    read: (text, draft) => {
      setTarget(draft, {
        device: {
          id: text,
          options: text === draft.target.device.id ? draft.target.device.options : {},
        },
      });
    },
  },
  {
    key: 'partition',
    form: 'whole number, or none',
    help: 'Partition of the disk in the image, as sfdisk numbers them, from 1. Left out: the whole image.',
    read: (text, draft) => {
      const target: { -readonly [K in keyof Target]: Target[K] } = { ...draft.target };
      if (text.trim() === 'none') delete target.partition;
      else target.partition = readWhole(text);
      draft.target = target;
    },
  },
  {
    key: 'inner',
    form: 'a map with file, filesystem, size, transfer and sector, or none',
    help: "The image lies in a file of the image, under the engine's own loop driver; filesystem and file are those inside of it.",
    read: (text, draft) => {
      if (text.trim() !== 'none') throw new BadValue('a map with file: and more, or none');
      const target: { -readonly [K in keyof Target]: Target[K] } = { ...draft.target };
      delete target.inner;
      draft.target = target;
    },
  },
  {
    key: 'filesystem',
    form: 'id, or a map with id and options',
    help: 'auto (the default: whatever the image holds), raw, or the id of a file system.',
    read: (text, draft) => {
      setTarget(draft, { fileSystem: { id: text, options: {} } });
    },
  },
  {
    key: 'file',
    form: 'path',
    help: 'The file in the image; left out only with raw.',
    read: (text, draft) => {
      setTarget(draft, { filePath: text });
    },
  },
  {
    key: 'file_size',
    form: 'size',
    help: 'The file is made, or laid out, to this size before the run.',
    read: (text, draft) => {
      setTarget(draft, { fileSizeBytes: readSizeText(text) });
    },
  },
  {
    key: 'create',
    form: 'size, or none',
    help: 'Where there is no such image, make one of this size and format it. Never touches an existing file.',
    read: (text, draft) => {
      setTarget(draft, {
        create: text.trim() === 'none' ? null : { sizeBytes: readSizeText(text) },
      });
    },
  },
  {
    key: 'by',
    form: 'engine or host',
    help: "Who does the file's I/O: the engine (the default), or the host's own kernel: on an image file that is a plain file beside it, on a loop device the file through the kernel's own mount of it.",
    read: (text, draft) => {
      setTarget(draft, { by: readChoice(text, ['engine', 'host'] as const) });
    },
  },
  {
    key: 'snapshot',
    form: 'none, before or restore',
    help: 'Keeps an image that the run changes as a snapshot first; restore also puts it back afterwards. Left out: none.',
    read: (text, draft) => {
      setTarget(draft, { snapshot: readChoice(text, ['none', 'before', 'restore'] as const) });
    },
  },
  {
    key: 'consent_to_write',
    form: 'true or false',
    help: 'The run may change an image that the lab did not make.',
    read: (text, draft) => {
      setTarget(draft, { consentToWrite: readFlag(text) });
    },
  },
];

/** Keys of `inner`, the image in a file of the image. */
export const INNER_KEYS: readonly SectionKey[] = [
  {
    key: 'file',
    form: 'path',
    help: 'The file of the lower file system that holds the image.',
    read: (text, draft) => {
      setInner(draft, { file: text });
    },
  },
  {
    key: 'filesystem',
    form: 'id, or a map with id and options',
    help: 'The lower file system: auto (the default), or its id.',
    read: (text, draft) => {
      setInner(draft, { fileSystem: { id: text, options: {} } });
    },
  },
  {
    key: 'size',
    form: 'size',
    help: 'The file is made, or grown, to this size with zeros before the run, and formatted as the target says.',
    read: (text, draft) => {
      setInner(draft, { fileSizeBytes: readSizeText(text) });
    },
  },
  {
    key: 'transfer',
    form: 'buffered or direct',
    help: 'How the loop driver moves data: through the lower page cache (the default), or with its pages handed down to direct I/O.',
    read: (text, draft) => {
      setInner(draft, { transfer: readChoice(text, ['buffered', 'direct'] as const) });
    },
  },
  {
    key: 'sector',
    form: 'size',
    help: 'Logical block of the loop device: 512 (the default), 1024, 2048 or 4096 bytes.',
    read: (text, draft) => {
      setInner(draft, { sectorBytes: readSizeText(text) });
    },
  },
];

export const HEAD_KEYS: readonly SectionKey[] = [
  {
    key: 'name',
    form: 'text',
    help: 'Name of the experiment.',
    read: (text, draft) => {
      draft.name = text;
    },
  },
  {
    key: 'revision',
    form: 'id',
    help: 'Revision of the direct-I/O core.',
    read: (text, draft) => {
      draft.revision = text;
    },
  },
  {
    key: 'trace',
    form: TRACE_LEVELS.join(', '),
    help: 'What is kept: counters only, a row a request (the default), or every row.',
    read: (text, draft) => {
      draft.trace = { ...draft.trace, level: readChoice(text, TRACE_LEVELS) };
    },
  },
  {
    key: 'trace_rows',
    form: 'whole number',
    help: 'The most rows that are kept.',
    read: (text, draft) => {
      draft.trace = { ...draft.trace, rowsMax: readWhole(text) };
    },
  },
];

const HEAD_NAMES = [...HEAD_KEYS.map(({ key }) => key), 'target', 'job', 'jobs'];

function emptyDraft(): Draft {
  return {
    name: 'experiment',
    target: DEFAULT_TARGET,
    jobs: [],
    revision: DEFAULT_REVISION_ID,
    trace: { level: 'requests', rowsMax: DEFAULT_ROWS_MAX },
  };
}

/** The experiment, or every problem with its line. */
export function parseExperimentFile(text: string): ParsedText {
  return new Reading(text).result();
}

class Reading {
  private readonly lines = new LineCounter();
  private readonly problems: Problem[] = [];
  private readonly draft = emptyDraft();
  /** Line of each job, for problems that the schema finds. */
  private readonly jobLines: number[] = [];

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.lines, strict: true });
    for (const error of [...document.errors, ...document.warnings]) {
      const [first = error.message] = error.message.split('\n');
      this.add(
        'job.bad-yaml',
        first.replace(/ at line.*$/, ''),
        error.linePos?.[0].line ?? null,
        'The file is YAML: keys, a colon, a value; lists with dashes.',
      );
    }
    if (document.errors.length === 0) this.readHead(document.contents);
  }

  result(): ParsedText {
    if (this.problems.length === 0) this.checkSchema();
    const isGood = this.problems.length === 0;
    return { experiment: isGood ? { ...this.draft } : null, problems: this.problems, notes: [] };
  }

  private readHead(node: Node | null): void {
    if (!isMap(node)) {
      this.add(
        'job.not-an-experiment',
        'the file is not a map of keys',
        1,
        'It begins with name:, target: and jobs:.',
      );
      return;
    }
    for (const pair of node.items) {
      const key = keyOf(pair);
      if (key === 'target') this.readTarget(pair.value as Node | null);
      else if (key === 'jobs' || key === 'job') this.readJobs(pair.value as Node | null, pair);
      else this.readScalarKey(HEAD_KEYS, HEAD_NAMES, 'an experiment', pair);
    }
    if (this.draft.jobs.length === 0 && this.problems.length === 0) {
      this.add(
        'job.none',
        'the experiment has no job',
        this.lineOf(node),
        'Add jobs: with at least one entry.',
      );
    }
  }

  private readTarget(node: Node | null): void {
    if (!isMap(node)) {
      this.add(
        'job.bad-value',
        'target is not a map',
        this.lineOf(node),
        'It has image:, filesystem: and file:.',
      );
      return;
    }
    const names = TARGET_KEYS.map(({ key }) => key);
    // The device first: its id decides whose options `image` goes to.
    const pairs = [...node.items].sort((a, b) => rank(a) - rank(b));
    for (const pair of pairs) {
      const key = keyOf(pair);
      const value = pair.value as Node | null;
      if (isMap(value) && (key === 'device' || key === 'filesystem')) this.readModule(key, value);
      else if (key === 'inner' && isMap(value)) this.readInner(value);
      else this.readScalarKey(TARGET_KEYS, names, 'a target', pair);
    }
  }

  /** `inner: { file: /inner.img, ... }`: the image in a file of the image. */
  private readInner(map: YAMLMap): void {
    setTarget(this.draft, { inner: DEFAULT_INNER });
    const names = INNER_KEYS.map(({ key }) => key);
    for (const pair of map.items) {
      const value = pair.value as Node | null;
      if (keyOf(pair) === 'filesystem' && isMap(value)) {
        const outer = this.draft.target.fileSystem;
        this.readModule('filesystem', value);
        const { fileSystem } = this.draft.target;
        setTarget(this.draft, { fileSystem: outer });
        setInner(this.draft, { fileSystem });
      } else this.readScalarKey(INNER_KEYS, names, 'an inner image', pair);
    }
    if (this.draft.target.inner?.file === '') {
      this.add(
        'job.missing-file',
        'inner has no file',
        this.lineOf(map),
        'For example inner: { file: /inner.img }.',
      );
    }
  }

  /** `device: { id: model, ... }`: everything but the id is an option, whose name and range the module itself checks. */
  private readModule(key: 'device' | 'filesystem', map: YAMLMap): void {
    const idNode = map.get('id', true);
    if (!isScalar(idNode) || typeof idNode.value !== 'string') {
      this.add(
        'job.missing-id',
        `${key} has no id`,
        this.lineOf(map),
        `For example ${key}: { id: ${key === 'device' ? 'memory' : 'ext2'} }.`,
      );
      return;
    }
    const id = idNode.value;
    const modules = key === 'device' ? DEVICES : FILE_SYSTEMS;
    const schema: OptionSchema = modules.find((module) => module.id === id)?.options ?? {};
    const options: Record<string, OptionValue> = {};
    for (const pair of map.items) {
      const name = keyOf(pair);
      if (name === 'id') continue;
      if (isScalar(pair.value) && pair.value.value !== null) {
        options[name] = optionValue(schema[name], pair.value);
      } else {
        const line = this.lineOf((pair.value ?? pair.key) as Node);
        this.add(
          'job.bad-value',
          `${name} is not a plain value`,
          line,
          'A number, text, true or false.',
        );
      }
    }
    setTarget(
      this.draft,
      key === 'device' ? { device: { id, options } } : { fileSystem: { id, options } },
    );
  }

  private readJobs(node: Node | null, pair: Pair): void {
    const items = isSeq(node) ? node.items : isMap(node) ? [node] : null;
    if (items === null) {
      this.add(
        'job.bad-value',
        `${keyOf(pair)} is not a list of jobs`,
        this.lineOf(pair.key as Node),
        'jobs: with a dash before each job.',
      );
      return;
    }
    items.forEach((item, index) => {
      this.readJob(item as Node, index);
    });
  }

  private readJob(node: Node, index: number): void {
    if (!isMap(node)) {
      this.add(
        'job.bad-value',
        `job ${String(index + 1)} is not a map`,
        this.lineOf(node),
        'A job has rw:, bs: and so on.',
      );
      return;
    }
    const names = JOB_KEYS.map(({ key }) => key);
    let job: Job = { ...DEFAULT_JOB, name: `job${String(index + 1)}` };
    for (const pair of node.items) {
      const key = keyOf(pair);
      const known = jobKey(key);
      if (known === undefined) this.unknown(key, names, 'a job', pair);
      else
        this.attempt(pair, () => {
          job = readJobValue(known, this.textOf(pair, key === 'bs'), job);
        });
    }
    this.jobLines.push(this.lineOf(node) ?? 1);
    this.draft.jobs.push(job);
  }

  private readScalarKey(
    keys: readonly SectionKey[],
    names: readonly string[],
    what: string,
    pair: Pair,
  ): void {
    const key = keyOf(pair);
    const known = keys.find((candidate) => candidate.key === key);
    if (known === undefined) this.unknown(key, names, what, pair);
    else
      this.attempt(pair, () => {
        known.read(this.textOf(pair, false), this.draft);
      });
  }

  private attempt(pair: Pair, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      const value = isScalar(pair.value)
        ? ` is ${JSON.stringify(pair.value.value)}, expected`
        : ' is not';
      this.add(
        'job.bad-value',
        `${keyOf(pair)}${value} ${error.message}`,
        this.lineOf((pair.value ?? pair.key) as Node),
        `${keyOf(pair)} wants ${error.message}.`,
      );
    }
  }

  /** A scalar as text; for block sizes also a list of {size, percent}. */
  private textOf(pair: Pair, allowsList: boolean): string {
    const value = pair.value as Node | null;
    const text = scalarText(value);
    if (text !== null) return text;
    if (!allowsList || !isSeq(value)) throw new BadValue('a plain value');
    return value.items
      .map((item) => {
        const size = isMap(item) ? scalarText(item.get('size', true)) : null;
        if (!isMap(item) || size === null) throw new BadValue('a list of { size, percent }');
        return `${size}/${scalarText(item.get('percent', true)) ?? ''}`;
      })
      .join(':');
  }

  private unknown(key: string, names: readonly string[], what: string, pair: Pair): void {
    const nearest = nearestWord(key, names);
    const hint = nearest === null ? `It has ${names.join(', ')}.` : `Did you mean ${nearest}?`;
    this.add(
      'job.unknown-key',
      `${key} is not a key of ${what}`,
      this.lineOf(pair.key as Node),
      hint,
    );
  }

  private checkSchema(): void {
    const checked = experimentSchema.safeParse(this.draft);
    if (checked.success) return;
    for (const issue of checked.error.issues) {
      const [section, index] = issue.path;
      const line =
        section === 'jobs' && typeof index === 'number' ? (this.jobLines[index] ?? null) : null;
      this.add(
        'job.out-of-range',
        `${issue.path.join('.')}: expected ${rangeWords(issue)}`,
        line,
        'See the ranges in docs/EXPERIMENT-FILE.md.',
      );
    }
  }

  private lineOf(node: Node | null | undefined): number | null {
    const offset = node?.range?.[0];
    return offset === undefined ? null : this.lines.linePos(offset).line;
  }

  private add(code: string, message: string, line: number | null, hint: string): void {
    const where = line === null ? {} : { where: `line ${String(line)}` };
    this.problems.push({ code, message, hint, exitCode: 65, line, ...where });
  }
}

/** The value that an option wants: choices are text, also '4k' for '4096'; amounts of bytes may have a suffix. */
function optionValue(field: OptionField | undefined, node: Scalar): OptionValue {
  const value = node.value as OptionValue;
  const text = scalarText(node) ?? '';
  const size = parseSize(text);
  switch (field?.type) {
    case 'choice':
      return field.choices.includes(text) || size === null ? text : String(size);
    case 'quantity':
      return (field.unit === 'bytes' ? size : null) ?? value;
    case 'path':
      return text;
    default:
      return typeof value === 'string' && node.type === 'PLAIN' ? (size ?? value) : value;
  }
}

/** A plain value as it was written; null where the node is none, or empty. */
function scalarText(node: unknown): string | null {
  if (!isScalar(node) || node.value === null) return null;
  if (typeof node.value === 'string') return node.value;
  return node.source ?? JSON.stringify(node.value);
}

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);
const rank = (pair: Pair): number => (keyOf(pair) === 'device' ? 0 : 1);

// Writing --------------------------------------------------------------------------------------

/** The file of an experiment; reading it gives the same experiment. */
export function writeExperimentFile(experiment: Experiment): string {
  const { target, trace } = experiment;
  const lines = [`name: ${scalar(experiment.name)}`, 'target:'];
  const { path, ...deviceOptions } = target.device.options;
  const isImage = target.device.id === DEFAULT_TARGET.device.id;
  const device = isImage ? deviceOptions : target.device.options;
  if (!isImage || Object.keys(device).length > 0)
    lines.push(...moduleLines('device', target.device.id, device));
  if (isImage && typeof path === 'string') lines.push(`  image: ${scalar(path)}`);
  if (target.partition !== undefined) lines.push(`  partition: ${String(target.partition)}`);
  if (target.inner !== undefined) lines.push(...innerLines(target.inner));
  lines.push(...moduleLines('filesystem', target.fileSystem.id, target.fileSystem.options));
  if (target.filePath !== null) lines.push(`  file: ${scalar(target.filePath)}`);
  if (target.fileSizeBytes !== null) lines.push(`  file_size: ${writeSize(target.fileSizeBytes)}`);
  if (target.create !== null) lines.push(`  create: ${writeSize(target.create.sizeBytes)}`);
  if (target.by !== undefined) lines.push(`  by: ${target.by}`);
  if (target.snapshot !== undefined) lines.push(`  snapshot: ${target.snapshot}`);
  if (target.consentToWrite) lines.push('  consent_to_write: true');
  lines.push(`revision: ${scalar(experiment.revision)}`, `trace: ${scalar(trace.level)}`);
  if (trace.rowsMax !== DEFAULT_ROWS_MAX) lines.push(`trace_rows: ${String(trace.rowsMax)}`);
  lines.push('jobs:');
  for (const job of experiment.jobs) {
    let bullet = '  - ';
    for (const { key, write } of JOB_KEYS) {
      const value = write(job);
      if (value === null) continue;
      lines.push(`${bullet}${key}: ${key === 'name' ? scalar(value) : value}`);
      bullet = '    ';
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The map of an inner image; what is the default is left out. */
function innerLines(inner: InnerImage): string[] {
  const { id, options } = inner.fileSystem;
  const lines = ['  inner:', `    file: ${scalar(inner.file)}`];
  if (id !== 'auto' || Object.keys(options).length > 0) {
    lines.push(...moduleLines('filesystem', id, options).map((line) => `  ${line}`));
  }
  if (inner.fileSizeBytes !== null) lines.push(`    size: ${writeSize(inner.fileSizeBytes)}`);
  if (inner.transfer !== 'buffered') lines.push(`    transfer: ${inner.transfer}`);
  if (inner.sectorBytes !== 512) lines.push(`    sector: ${String(inner.sectorBytes)}`);
  return lines;
}

function moduleLines(
  key: string,
  id: string,
  options: Readonly<Record<string, number | string | boolean>>,
): string[] {
  const entries = Object.entries(options);
  if (entries.length === 0) return [`  ${key}: ${scalar(id)}`];
  return [
    `  ${key}:`,
    `    id: ${scalar(id)}`,
    ...entries.map(
      ([name, value]) =>
        `    ${name}: ${typeof value === 'string' ? scalar(value, true) : String(value)}`,
    ),
  ];
}

/** Plain where YAML reads it back as the same text, else in double quotes (JSON strings are YAML). */
function scalar(text: string, isOption = false): string {
  const isPlain = /^[A-Za-z/_][A-Za-z0-9 ._/+-]*$/.test(text) && text.trim() === text;
  const isWord = /^(true|false|yes|no|on|off|null|y|n)$/i.test(text);
  // A plain option that looks like a size would be read as bytes; in quotes it stays text.
  return isPlain && !isWord && !(isOption && parseSize(text) !== null)
    ? text
    : JSON.stringify(text);
}

/**
 * `--set key=value`: a key of the head or the target ('image' or 'target.image'), or a job key for all jobs ('iodepth') or for one
 * ('jobs.0.iodepth', by place or by name). Throws `BadValue` with what would be right.
 */
export function setExperimentValue(experiment: Experiment, key: string, value: string): Experiment {
  const draft: Draft = { ...experiment, jobs: [...experiment.jobs] };
  const path = key.split('.');
  const last = path[path.length - 1] ?? '';
  const known = jobKey(last);
  if (path[0] === 'jobs' && path.length === 3) {
    if (known === undefined)
      throw unknownSetting(
        last,
        JOB_KEYS.map((entry) => entry.key),
      );
    const index = draft.jobs.findIndex((job, at) => job.name === path[1] || String(at) === path[1]);
    if (index < 0)
      throw new BadValue(`a job there is: ${draft.jobs.map((job) => job.name).join(', ')}`);
    draft.jobs[index] = readJobValue(known, value, draft.jobs[index] as Job);
    return draft;
  }
  const isTarget = path[0] === 'target' && path.length === 2;
  const section = [...(isTarget ? [] : HEAD_KEYS), ...TARGET_KEYS].find(
    (entry) => entry.key === last,
  );
  if (section !== undefined && (path.length === 1 || isTarget)) section.read(value, draft);
  else if (known !== undefined && path.length === 1)
    draft.jobs = draft.jobs.map((job) => readJobValue(known, value, job));
  else
    throw unknownSetting(
      key,
      [...HEAD_KEYS, ...TARGET_KEYS, ...JOB_KEYS].map((entry) => entry.key),
    );
  return draft;
}

function unknownSetting(key: string, names: readonly string[]): BadValue {
  const nearest = nearestWord(key, names);
  return new BadValue(
    nearest === null ? `one of ${names.join(', ')}` : `a known key: did you mean ${nearest}?`,
  );
}
