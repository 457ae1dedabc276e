// SPDX-License-Identifier: GPL-2.0-only
/** Page cache and direct I/O on one block range: which version a read sees, and what is left in the cache. */
import { MIB, type Random } from '../../../base/index.ts';
import { numberText } from '../../words.ts';
import {
  between,
  numberField,
  offBy,
  oneOf,
  plural,
  type Lesson,
  type LessonLab,
  type Asked,
  type Solution,
  type Values,
} from '../lesson.ts';

const PATH = '/shared.bin';
const PAGE = 4096;
const PAGES = 32;
const FIRST_VERSION = 1;

interface Step {
  readonly op: 'read' | 'write';
  readonly direct: boolean;
  readonly page: number;
  readonly count: number;
  /** What a write fills its pages with. */
  readonly version: number;
}
interface Seen {
  readonly step: Step;
  readonly cachedPages: number;
  /** Versions that a read returned, page by page. */
  readonly versions: readonly number[];
}

const stepWords = ({ op, direct, page, count, version }: Step): string => {
  const range =
    count === 1 ? `page ${String(page)}` : `pages ${String(page)} to ${String(page + count - 1)}`;
  const how = direct ? 'directly' : 'through the page cache';
  return op === 'read'
    ? `reads ${range} ${how}`
    : `writes version ${String(version)} to ${range} ${how}`;
};

export const cacheBesideDirect: Lesson = {
  info: {
    id: 'cache-beside-direct',
    title: 'Page cache and direct I/O on one file',
    about: 'What direct I/O does about cached pages before it reads and around what it writes.',
    fileSystems: ['ext2'],
  },
  plan(random) {
    const n = draw(random);
    return {
      ...ask(n),
      given: () => [],
      solve: (lab) => solve(n, lab),
      workOut: () => workOut(n),
      reply: (fieldId, given, right) => reply(n, fieldId, given, right),
    };
  },
};

/** The numbers of a seed. */
function draw(random: Random) {
  const steps = drawSteps(random);
  const last = steps.at(-1) as Step;
  return { steps, last };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { steps, last } = n;
  return {
    setting: [
      `An ext2 image holds ${PATH}, ${plural(PAGES, 'page')} of 4096 bytes, all of version 1. Nothing of it is in the page cache.`,
      ...steps.map(
        (step, index) =>
          `${index === 0 ? 'First a' : index === steps.length - 1 ? 'At last a' : 'Then a'} program ${stepWords(step)}.`,
      ),
    ],
    question: `Which version does page ${String(last.page)} have in the last read, and how many pages of the file are in the page cache then?`,
    fields: [
      numberField('version', 'Version read', ''),
      numberField('cached', 'Cached pages', 'pages'),
    ],
    disks: [
      {
        fileSystemId: 'ext2',
        sizeBytes: 4 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          open.create(PATH);
          open.write(PATH, 0, new Uint8Array(PAGES * PAGE).fill(FIRST_VERSION), { direct: true });
        },
      },
    ],
    images: [{ id: 'ext2', title: 'the ext2 image', filePath: PATH, request: null }],
  };
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { steps, last } = n;
  const seen = play(lab, steps);
  const end = seen.at(-1) as Seen;
  return {
    values: { version: end.versions[0] ?? -1, cached: end.cachedPages },
    explanation: [
      'A direct read first writes the dirty cached pages of its range to the disk and waits, so that it reads what was written last. The pages stay in the cache.',
      'A direct write does the same, and throws the cached pages of its range out before and after: the next read through the cache comes from the disk.',
      `So page ${String(last.page)} has version ${String(end.versions[0] ?? '')}, and ${plural(end.cachedPages, 'page is', 'pages are')} cached at the end. This holds for one after the other; a direct write beside a mapping or a cached write at the same time has no such promise.`,
    ],
    evidence: [
      {
        kind: 'table',
        title: 'Step by step',
        columns: ['step', 'a program', 'read', 'pages in the cache'],
        rows: seen.map(({ step, versions, cachedPages }, index) => [
          String(index + 1),
          stepWords(step),
          versions.length === 0 ? '' : `versions ${versions.join(' ')}`,
          numberText(cachedPages),
        ]),
      },
    ],
  };
}

function workOut(n: Numbers): Values {
  const { steps } = n;
  return byTheRules(steps);
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { steps, last } = n;
  const [said, is] = [Number(given), Number(right[fieldId])];
  if (fieldId === 'cached') {
    return `${offBy(said, is, 'pages')} Through the cache, reads and writes leave their pages in it; direct reads leave the cache as it is; direct writes throw the pages of their range out.`;
  }
  const writer = steps.find((step) => step.op === 'write' && step.version === said);
  const known =
    writer === undefined
      ? 'No step wrote that version there.'
      : `Version ${numberText(said)} was there once.`;
  return `${known} The last write that covers page ${String(last.page)} made it version ${numberText(is)}, and neither path hides it from the other.`;
}

/** Two to four writes and a read or two on overlapping ranges, then the read that is asked about. */
function drawSteps(random: Parameters<Lesson['plan']>[0]): Step[] {
  const steps: Step[] = [];
  const count = between(random, 3, 5);
  const middle = between(random, 6, PAGES - 14);
  let version = FIRST_VERSION;
  for (let index = 0; index < count; index += 1) {
    const op = index < 2 ? 'write' : oneOf(random, ['read', 'write'] as const);
    if (op === 'write') version += 1;
    const page = middle + between(random, 0, 5) - 2;
    // The first is cached and the second mostly direct: what the lesson is about.
    const direct = index > 0 && oneOf(random, index === 1 ? [true, true, false] : [true, false]);
    steps.push({ op, direct, page, count: between(random, 1, 6), version });
  }
  const direct = oneOf(random, [true, false]);
  const writes = steps.filter(({ op }) => op === 'write');
  const asked = oneOf(random, writes);
  const page = asked.page + between(random, 0, asked.count - 1);
  steps.push({ op: 'read', direct, page, count: 2, version: 0 });
  return steps;
}

/** Runs the steps one after the other on the engine. */
function play(lab: LessonLab, steps: readonly Step[]): Seen[] {
  return lab.on((open) => {
    const { inode } = open.file(PATH);
    return steps.map((step) => {
      const { op, direct, page, count, version } = step;
      let versions: number[] = [];
      if (op === 'write') {
        open.write(PATH, page * PAGE, new Uint8Array(count * PAGE).fill(version), { direct });
      } else {
        const bytes = open.read(PATH, page * PAGE, count * PAGE, direct);
        versions = Array.from({ length: count }, (_, at) => bytes[at * PAGE] ?? -1);
      }
      return { step, versions, cachedPages: inode.mapping.cachedPageCount };
    });
  });
}

/** The same by the rules alone. */
function byTheRules(steps: readonly Step[]): { version: number; cached: number } {
  const versions = new Array<number>(PAGES).fill(FIRST_VERSION);
  const cached = new Set<number>();
  for (const { op, direct, page, count, version } of steps) {
    for (let at = page; at < page + count; at += 1) {
      if (op === 'write') versions[at] = version;
      if (!direct) cached.add(at);
      else if (op === 'write') cached.delete(at);
    }
  }
  return { version: versions[steps.at(-1)?.page ?? 0] ?? 0, cached: cached.size };
}
