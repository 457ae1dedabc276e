// SPDX-License-Identifier: GPL-2.0-only
/** One request on a disk with sectors of 512 bytes and on one with 4096: which alignment gives EINVAL. */
import { MIB, type Random } from '../../../base/index.ts';
import { judgeAlignment } from '../../alignment.ts';
import type { Explanation } from '../../explanation.ts';
import { numberText } from '../../words.ts';
import {
  between,
  bytesWords,
  choiceField,
  oneOf,
  request,
  type Lesson,
  type LessonLab,
  type Asked,
  type Solution,
  type Values,
} from '../lesson.ts';

const PATH = '/data.bin';
const BLOCK_BYTES = 4096;
const BLOCKS = 64;
const DISKS = [
  { id: 'sector512', logicalBlockBytes: 512, title: 'sectors of 512 bytes' },
  { id: 'sector4096', logicalBlockBytes: 4096, title: 'sectors of 4096 bytes (4Kn)' },
] as const;
const OUTCOMES = [
  { id: 'blocks', text: 'passes, in blocks of 4096 bytes' },
  { id: 'sectors', text: 'passes, in units of 512 bytes' },
  { id: 'EINVAL', text: 'is refused with EINVAL' },
];
/** Distances from alignment: whole blocks, whole sectors, or neither. */
const OFF = {
  block: [0],
  sector: [512, 1024, 1536, 2048, 3584],
  byte: [1, 8, 100, 511, 513],
} as const;

const sentence = (outcome: string): string =>
  OUTCOMES.find(({ id }) => id === outcome)?.text ?? outcome;

export const whichAlignment: Lesson = {
  info: {
    id: 'which-alignment',
    title: 'Which alignment gives EINVAL',
    about: 'What is looked at of a request, and why 512 passes on one disk and not on another.',
    fileSystems: ['ext4'],
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
  const off = (): number =>
    oneOf(random, OFF[oneOf(random, ['block', 'block', 'sector', 'sector', 'byte'] as const)]);
  const offsetBytes = between(random, 0, BLOCKS - 8) * BLOCK_BYTES + off();
  const lengthBytes = between(random, 1, 6) * BLOCK_BYTES + off();
  const asked = request('read', offsetBytes, lengthBytes, { memoryOffsetBytes: off() });
  const memoryOffsetBytes = asked.memoryOffsetBytes;
  return { offsetBytes, lengthBytes, asked, memoryOffsetBytes };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { offsetBytes, lengthBytes, asked, memoryOffsetBytes } = n;
  return {
    setting: [
      `An ext4 image with blocks of 4 KiB holds ${PATH}, ${bytesWords(BLOCKS * BLOCK_BYTES)}.`,
      `A program reads ${numberText(lengthBytes)} bytes at offset ${numberText(offsetBytes)}, directly, into memory that starts ${numberText(memoryOffsetBytes)} bytes behind a page boundary.`,
      'The same bytes lie on two disks: one with logical sectors of 512 bytes, one with 4096.',
    ],
    question: 'What becomes of the request on each disk?',
    fields: DISKS.map(({ id, title }) => choiceField(id, `With ${title}`, OUTCOMES)),
    disks: [
      {
        fileSystemId: 'ext4',
        sizeBytes: 16 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          const sizeBytes = BLOCKS * BLOCK_BYTES;
          open.layOut([{ path: PATH, sizeBytes, extents: 1, holes: 0, content: 'written' }], 1);
        },
      },
    ],
    images: [
      {
        id: 'ext4',
        title: 'the ext4 image (sectors of 512 bytes)',
        filePath: PATH,
        request: asked,
      },
    ],
  };
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { offsetBytes, lengthBytes, memoryOffsetBytes } = n;
  const ran = DISKS.map((disk) => ({ ...disk, ...run(n, lab, disk.logicalBlockBytes) }));
  return {
    values: Object.fromEntries(ran.map(({ id, outcome }) => [id, outcome])),
    explanation: [
      'Offset, length and memory address are looked at together. Where all three are multiples of the file system’s block, the request goes in blocks; else all three must be multiples of the disk’s logical sector; else it is EINVAL.',
      ...ran.map(({ title, explanation }) => `With ${title}: ${explanation.alignment.text}`),
      'A program can ask before: statx with STATX_DIOALIGN, else the logical sector of the disk (BLKSSZGET).',
    ],
    evidence: [
      {
        kind: 'table',
        title: 'The three numbers',
        columns: ['', 'value', 'in 4096', 'in 512'],
        rows: (
          [
            ['offset', offsetBytes],
            ['length', lengthBytes],
            ['memory', memoryOffsetBytes],
          ] as const
        ).map(([name, value]) => [name, numberText(value), rest(value, 4096), rest(value, 512)]),
      },
      ...ran.map(({ title, explanation }) => ({
        kind: 'steps' as const,
        title: `With ${title}`,
        explanation,
      })),
    ],
  };
}

function workOut(n: Numbers): Values {
  const { offsetBytes, lengthBytes, memoryOffsetBytes } = n;
  return Object.fromEntries(
    DISKS.map(({ id, logicalBlockBytes }) => {
      const verdict = judgeAlignment({
        offsetBytes,
        lengthBytes,
        memoryBytes: memoryOffsetBytes,
        fsBlockBytes: BLOCK_BYTES,
        logicalBlockBytes,
      });
      return [
        id,
        !verdict.passes ? 'EINVAL' : verdict.unitBytes === BLOCK_BYTES ? 'blocks' : 'sectors',
      ];
    }),
  );
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { offsetBytes, lengthBytes, memoryOffsetBytes } = n;
  const disk = DISKS.find(({ id }) => id === fieldId) ?? DISKS[0];
  const unit = disk.logicalBlockBytes;
  const named = [
    ['offset', offsetBytes],
    ['length', lengthBytes],
    ['memory', memoryOffsetBytes],
  ] as const;
  const offenders = (unitBytes: number): string =>
    named
      .filter(([, value]) => value % unitBytes !== 0)
      .map(([name, value]) => `${name} ${numberText(value)}`)
      .join(', ');
  const notMultiple = (unitBytes: number): string => {
    const list = offenders(unitBytes);
    return list.includes(', ')
      ? `${list} are no multiples of ${String(unitBytes)}`
      : `${list} is no multiple of ${String(unitBytes)}`;
  };
  const is = String(right[fieldId]);
  if (is === 'EINVAL') return `It ${sentence(is)}: ${notMultiple(unit)}.`;
  if (is === 'sectors')
    return `It ${sentence(is)}: ${notMultiple(BLOCK_BYTES)}, but all three are multiples of 512${given === 'EINVAL' ? ', and that is enough on this disk' : ''}.`;
  return `It ${sentence(is)}: all three numbers are multiples of 4096.`;
}

/** "a multiple", or what is over. */
const rest = (value: number, unitBytes: number): string =>
  value % unitBytes === 0 ? 'a multiple' : `${numberText(value % unitBytes)} over`;

/** What becomes of the request on a disk with such sectors. */
function run(
  { asked }: Numbers,
  lab: LessonLab,
  logicalBlockBytes: number,
): { readonly outcome: string; readonly explanation: Explanation } {
  return lab.on(
    (open) => {
      const { explanation, rows } = open.examine(PATH, asked);
      const factor = rows.find((row) => row.kind === 'block-factor');
      const unitBytes = 2 ** (factor?.values[0] ?? Math.log2(BLOCK_BYTES));
      const { ok, returned } = explanation.result;
      const passed = unitBytes === BLOCK_BYTES ? 'blocks' : 'sectors';
      return { outcome: ok ? passed : String(returned), explanation };
    },
    0,
    { logicalBlockBytes },
  );
}
