// SPDX-License-Identifier: GPL-2.0-only
/** A write of some sectors into a new block of 4 KiB: what the kernel writes around it. */
import { MIB, SECTOR_BYTES, type Random } from '../../../base/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import {
  between,
  bytesWords,
  deviceBlockOf,
  mapEvidence,
  numberField,
  oneOf,
  plural,
  request,
  type Lesson,
  type LessonLab,
  type Asked,
  type Solution,
  type Values,
} from '../lesson.ts';
import { contentRuns } from '../content.ts';

const PATH = '/records.bin';
const BLOCK_BYTES = 4096;
const SECTORS = BLOCK_BYTES / SECTOR_BYTES;

export const smallWriteNewBlock: Lesson = {
  info: {
    id: 'small-write-new-block',
    title: '512 bytes into a new block of 4 KiB',
    about: 'What is written besides the data, where a new block is only partly filled.',
    fileSystems: ['ext2'],
  },
  plan(random) {
    const n = draw(random);
    return {
      ...ask(n),
      given: (lab) => given(n, lab),
      solve: (lab) => solve(n, lab),
      workOut: (lab) => workOut(n, lab),
      reply: (fieldId, given, right) => reply(n, fieldId, given, right),
    };
  },
};

/** The numbers of a seed. */
function draw(random: Random) {
  const blocks = between(random, 3, 40);
  const where = oneOf(random, ['new', 'new', 'old', 'old and new']);
  const sizeBytes = blocks * BLOCK_BYTES;
  const intoBlock = between(random, where === 'old and new' ? 1 : 0, SECTORS - 1);
  const fits = SECTORS - intoBlock;
  const sectors =
    where === 'old and new' ? fits + between(random, 1, SECTORS) : between(random, 1, fits);
  const block =
    where === 'new' ? blocks : where === 'old' ? between(random, 0, blocks - 1) : blocks - 1;
  const asked = request(
    'write',
    block * BLOCK_BYTES + intoBlock * SECTOR_BYTES,
    sectors * SECTOR_BYTES,
  );
  const endBytes = asked.offsetBytes + asked.lengthBytes;
  return { blocks, where, sizeBytes, intoBlock, fits, sectors, block, asked, endBytes };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { blocks, sizeBytes, asked } = n;
  return {
    setting: [
      `An ext2 image with blocks of 4 KiB holds ${PATH}, ${bytesWords(sizeBytes)}: ${plural(blocks, 'block')}, all full. The disk has sectors of 512 bytes.`,
      'All blocks that are free now belonged to a file before: they are full of its bytes.',
      `A program writes ${bytesWords(asked.lengthBytes)} at offset ${numberText(asked.offsetBytes)}, directly.`,
    ],
    question:
      'How many bytes of zeros does the kernel write in front of the data, and how many behind it?',
    fields: [
      numberField('before', 'Zeros in front', 'bytes'),
      numberField('after', 'Zeros behind', 'bytes'),
    ],
    disks: [
      {
        fileSystemId: 'ext2',
        sizeBytes: 4 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          const old = {
            path: '/old.bin',
            sizeBytes: 3 * MIB,
            extents: 1,
            holes: 0,
            content: 'written' as const,
          };
          open.layOut([old], 7);
          open.remove('/old.bin');
          open.layOut([{ path: PATH, sizeBytes, extents: 1, holes: 0, content: 'written' }], 8);
        },
      },
    ],
    images: [{ id: 'ext2', title: 'the ext2 image', filePath: PATH, request: asked }],
  };
}

function given(n: Numbers, lab: LessonLab): readonly LessonEvidence[] {
  const { asked } = n;
  return [lab.on((open) => mapEvidence('The file before the write', open, PATH, asked))];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { asked } = n;
  return lab.on((open) => {
    const { explanation, rows } = open.examine(PATH, asked);
    const zeroed = (isEnd: number): number =>
      rows
        .filter((row) => row.kind === 'zero-edge' && row.values[0] === isEnd)
        .reduce((sum, row) => sum + (row.values[1] ?? 0), 0);
    const [before, after] = [zeroed(0), zeroed(1)];
    const all = asked.lengthBytes + before + after;
    return {
      values: { before, after },
      explanation:
        before + after === 0
          ? [
              'No zeros were written: every block that the write fills only in part had been in the file before, and its other bytes are the file’s.',
              `The request went in units of 512 bytes, and ${bytesWords(all)} reached the disk.`,
            ]
          : [
              `The request goes in units of 512 bytes, but blocks are taken as a whole. What a new block holds besides the data would be read as content of the file: the old bytes of whoever had the block before.`,
              `So ${bytesWords(before)} in front and ${bytesWords(after)} behind are written from the zero page, in the same bios: ${bytesWords(all)} on the disk for ${bytesWords(asked.lengthBytes)} of data.`,
              'Writes of whole blocks have no such edges.',
            ],
      evidence: [
        {
          kind: 'content',
          title: 'The blocks on the disk after the write',
          strips: contentAfter(n, lab),
        },
        { kind: 'steps', title: 'The write, step by step', explanation },
      ],
    };
  });
}

function workOut(n: Numbers, lab: LessonLab): Values {
  const { block, asked, endBytes } = n;
  const map = lab.extents(PATH);
  const isNew = (fileBlock: number): boolean => deviceBlockOf(map, fileBlock) === null;
  const rest = endBytes % BLOCK_BYTES;
  return {
    before: isNew(block) ? asked.offsetBytes % BLOCK_BYTES : 0,
    after: rest !== 0 && isNew(Math.floor(endBytes / BLOCK_BYTES)) ? BLOCK_BYTES - rest : 0,
  };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { blocks, block, endBytes } = n;
  const [said, is] = [Number(given), Number(right[fieldId])];
  const edge = fieldId === 'before' ? 'in front' : 'behind';
  if (is === 0) {
    const edgeBlock = fieldId === 'before' ? block : Math.floor((endBytes - 1) / BLOCK_BYTES);
    return edgeBlock < blocks
      ? `None are written ${edge}: block ${numberText(edgeBlock)} was in the file already, and its other bytes must stay.`
      : `None are written ${edge}: there the data reaches the edge of its block.`;
  }
  if (said === 0)
    return `Block ${numberText(Math.floor((endBytes - 1) / BLOCK_BYTES))} is new: what the data leaves of it ${edge} would show another file’s bytes. ${bytesWords(is)} are zeroed.`;
  return `The zeros ${edge} reach ${fieldId === 'before' ? 'from the start of the block to the data' : 'from the data to the end of the block'}: ${numberText(is)} bytes, not ${numberText(said)}.`;
}

/** What the program's data is filled with. */
const DATA = 0xd1;

/** What the blocks of the write hold on the disk after it. */
function contentAfter(n: Numbers, lab: LessonLab): LessonContent['strips'] {
  const { asked, block, blocks, endBytes } = n;
  return lab.on((open) => {
    const data = new Uint8Array(asked.lengthBytes).fill(DATA);
    open.write(PATH, asked.offsetBytes, data, { direct: true });
    const map = open.extents(PATH);
    const count = Math.floor((endBytes - 1) / BLOCK_BYTES) - block + 1;
    return Array.from({ length: count }, (_, index) => {
      const start = (deviceBlockOf(map, block + index) ?? 0) * BLOCK_BYTES;
      const bytes = open.bytes.subarray(start, start + BLOCK_BYTES);
      const title = `File block ${numberText(block + index)}`;
      return {
        of: 'disk' as const,
        title,
        runs: contentRuns(bytes, DATA, block + index < blocks ? 'untouched' : 'stale'),
      };
    });
  });
}
type LessonContent = Extract<LessonEvidence, { kind: 'content' }>;
