// SPDX-License-Identifier: GPL-2.0-only
/** One request on a FAT and on an ext4: where it leaves the direct path. */
import { MIB, type Random } from '../../../base/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import type { DiskRecipe } from '../bench.ts';
import {
  between,
  bytesWords,
  mapEvidence,
  numberField,
  oneOf,
  request,
  type Lesson,
  type LessonLab,
  type Asked,
  type Solution,
  type Values,
} from '../lesson.ts';
import type { Explanation } from '../../explanation.ts';

const PATH = '/DATA.BIN';
const BLOCK_BYTES = 4096;
const [FAT, EXT4] = [0, 1];

interface Went {
  readonly direct: number;
  readonly bios: number;
  readonly explanation: Explanation;
}

export const fatAndExt4: Lesson = {
  info: {
    id: 'fat-and-ext4',
    title: 'FAT and ext4, the same request',
    about:
      'Why the same direct write is direct on one file system and goes through the page cache on another.',
    fileSystems: ['fat', 'ext4'],
  },
  plan(random) {
    const n = draw(random);
    return {
      ...ask(n),
      given: (lab) => given(n, lab),
      solve: (lab) => solve(n, lab),
      workOut: () => workOut(n),
      reply: (fieldId, given, right) => reply(n, fieldId, given, right),
    };
  },
};

/** The numbers of a seed. */
function draw(random: Random) {
  const blocks = between(random, 8, 120);
  const count = between(random, 2, 8);
  const where = oneOf(random, ['inside', 'over the end', 'at the end', 'behind a gap']);
  const first =
    {
      inside: between(random, 0, blocks - count),
      'over the end': blocks - between(random, 1, count - 1),
      'at the end': blocks,
      'behind a gap': blocks + between(random, 1, 40),
    }[where] ?? 0;
  const sizeBytes = blocks * BLOCK_BYTES;
  const asked = request('write', first * BLOCK_BYTES, count * BLOCK_BYTES);
  const endBytes = asked.offsetBytes + asked.lengthBytes;
  return { blocks, count, where, first, sizeBytes, asked, endBytes };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { sizeBytes, asked } = n;
  return {
    setting: [
      `Two images of 16 MiB, one FAT16 with clusters of 4 KiB and one ext4 with blocks of 4 KiB, hold the same file ${PATH} of ${bytesWords(sizeBytes)}.`,
      `On each a program writes ${bytesWords(asked.lengthBytes)} at offset ${bytesWords(asked.offsetBytes)}, directly, from page-aligned memory. On both the call returns ${numberText(asked.lengthBytes)}.`,
    ],
    question: 'How many of the bytes are written by direct I/O on FAT, and how many on ext4?',
    fields: [
      numberField('fat', 'Direct on FAT', 'bytes'),
      numberField('ext4', 'Direct on ext4', 'bytes'),
    ],
    disks: [
      recipe(sizeBytes, 'fat', { fatBits: '16', clusterSize: '4096' }),
      recipe(sizeBytes, 'ext4', { blockSize: '4096' }),
    ],
    images: [
      { id: 'fat', title: 'the FAT image', filePath: PATH, request: asked },
      { id: 'ext4', title: 'the ext4 image', filePath: PATH, request: asked },
    ],
  };
}

function given(n: Numbers, lab: LessonLab): readonly LessonEvidence[] {
  const { asked } = n;
  return [
    lab.on((open) => mapEvidence('The file on FAT', open, PATH, asked), FAT),
    lab.on((open) => mapEvidence('The file on ext4', open, PATH, asked), EXT4),
  ];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { sizeBytes, asked, endBytes } = n;
  const [fat, ext4] = [run(n, lab, FAT), run(n, lab, EXT4)];
  return {
    values: { fat: fat.direct, ext4: ext4.direct },
    explanation:
      fat.direct === ext4.direct
        ? [
            `The write ends at ${bytesWords(endBytes)}, inside the file: both file systems know all its blocks, and both wrote ${bytesWords(fat.direct)} directly.`,
            'Inside a file there is nothing to allocate, and FAT is as direct as any other.',
          ]
        : [
            `The write ends at ${bytesWords(endBytes)}, behind the end of the file at ${bytesWords(sizeBytes)}. ext4 allocates the new blocks in its get_block and wrote ${bytesWords(ext4.direct)} directly.`,
            'FAT has no holes: everything between the old end and the new one must be written, zeros too, and its size on the disk may not run ahead. Its direct I/O takes no part of a write that ends behind the end of the file, and leaves it to the page cache.',
            `There ${bytesWords(asked.lengthBytes - fat.direct)} were copied once more, written back, and thrown out again. O_DIRECT was accepted all the same: the flag is no evidence.`,
          ],
    evidence: [
      {
        kind: 'table',
        title: 'The same request on both',
        columns: ['', 'directly', 'through the page cache', 'bios of direct I/O'],
        rows: (
          [
            ['FAT', fat],
            ['ext4', ext4],
          ] as const
        ).map(([name, went]) => [
          name,
          bytesWords(went.direct),
          bytesWords(asked.lengthBytes - went.direct),
          numberText(went.bios),
        ]),
      },
      { kind: 'steps', title: 'On FAT', explanation: fat.explanation },
      { kind: 'steps', title: 'On ext4', explanation: ext4.explanation },
    ],
  };
}

function workOut(n: Numbers): Values {
  const { sizeBytes, asked, endBytes } = n;
  return {
    fat: endBytes > sizeBytes ? 0 : asked.lengthBytes,
    ext4: asked.lengthBytes,
  };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { sizeBytes, asked, endBytes } = n;
  const [said, is] = [Number(given), Number(right[fieldId])];
  if (fieldId === 'ext4')
    return `ext4 takes blocks on the way, inside the file and behind its end: all ${numberText(is)} bytes are direct, not ${numberText(said)}.`;
  if (is > 0)
    return `The write ends inside the file, where FAT has all clusters: all ${numberText(is)} bytes are direct, not ${numberText(said)}.`;
  const inside = Math.max(0, sizeBytes - asked.offsetBytes);
  if (said === inside)
    return 'The part inside the file is not written directly either: FAT looks at where the whole request ends, and takes all of it or nothing.';
  return `None. The write ends ${numberText(endBytes - sizeBytes)} bytes behind the end of the file, and FAT leaves such a write to the page cache as a whole.`;
}

function recipe(
  sizeBytes: number,
  fileSystemId: string,
  options: DiskRecipe['options'],
): DiskRecipe {
  return {
    fileSystemId,
    sizeBytes: 16 * MIB,
    options,
    fill: (open) => {
      open.layOut([{ path: PATH, sizeBytes, extents: 1, holes: 0, content: 'written' }], 3);
    },
  };
}

/** Which way the bytes of the request went. */
function run({ asked }: Numbers, lab: LessonLab, disk: number): Went {
  return lab.on((open) => {
    const { explanation, rows } = open.examine(PATH, asked);
    const cached = rows
      .filter((row) => row.kind === 'fallback')
      .reduce((sum, row) => sum + (row.values[1] ?? 0), 0);
    return { direct: asked.lengthBytes - cached, bios: explanation.counters.bios, explanation };
  }, disk);
}
