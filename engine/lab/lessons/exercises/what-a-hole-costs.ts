// SPDX-License-Identifier: GPL-2.0-only
/** A direct write that meets a hole: on ext2 the rest goes through the page cache, on ext4 blocks are taken on the way. */
import { MIB, type Random } from '../../../base/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import {
  between,
  bytesWords,
  deviceBlockOf,
  mapEvidence,
  mappedBlocks,
  numberField,
  offBy,
  oneOf,
  plural,
  request,
  type Lesson,
  type Asked,
  type Solution,
  type Values,
  type LessonLab,
} from '../lesson.ts';

const PATH = '/sparse.bin';
const BLOCK_BYTES = 4096;

export const whatAHoleCosts: Lesson = {
  info: {
    id: 'what-a-hole-costs',
    title: 'What a hole costs',
    about: 'Which part of a direct write is still direct when it runs into a hole.',
    fileSystems: ['ext2', 'ext4'],
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
  const fileSystemId = oneOf(random, ['ext2', 'ext2', 'ext4']);
  const blocks = between(random, 40, 90);
  const holes = between(random, 2, 4);
  const count = between(random, 6, 24);
  const first = between(random, 0, blocks - count);
  const seed = random.next32();
  const asked = request('write', first * BLOCK_BYTES, count * BLOCK_BYTES);
  return { fileSystemId, blocks, holes, count, first, seed, asked };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { fileSystemId, blocks, holes, seed, asked } = n;
  return {
    setting: [
      `An ${fileSystemId} image of 16 MiB with blocks of 4 KiB holds ${PATH}, ${bytesWords(blocks * BLOCK_BYTES)} long, with ${plural(holes, 'hole')}.`,
      `A program writes ${bytesWords(asked.lengthBytes)} at offset ${bytesWords(asked.offsetBytes)}, directly, inside the file.`,
    ],
    question: `How many bytes go to the disk directly, and how many blocks of ${fileSystemId} does the file have more afterwards?`,
    fields: [
      numberField('direct', 'Written directly', 'bytes'),
      numberField('blocks', 'New blocks', 'blocks'),
    ],
    disks: [
      {
        fileSystemId,
        sizeBytes: 16 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          const sizeBytes = blocks * BLOCK_BYTES;
          const extents = holes + 1;
          open.layOut([{ path: PATH, sizeBytes, extents, holes, content: 'written' }], seed);
        },
      },
    ],
    images: [
      { id: fileSystemId, title: `the ${fileSystemId} image`, filePath: PATH, request: asked },
    ],
  };
}

function given(n: Numbers, lab: LessonLab): readonly LessonEvidence[] {
  const { asked } = n;
  return [lab.on((open) => mapEvidence('Blocks and holes of the file', open, PATH, asked))];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { fileSystemId, asked } = n;
  return lab.on((open) => {
    const before = mappedBlocks(open.extents(PATH));
    const { explanation, rows } = open.examine(PATH, asked);
    open.fsync(PATH);
    const after = mapEvidence('The file after the write', open, PATH, asked);
    const blocksNew = mappedBlocks(open.extents(PATH)) - before;
    const cached = rows
      .filter((row) => row.kind === 'fallback')
      .reduce((sum, row) => sum + (row.values[1] ?? 0), 0);
    const direct = asked.lengthBytes - cached;
    return {
      values: { direct, blocks: blocksNew },
      explanation: explain(fileSystemId, direct, cached, blocksNew),
      evidence: [after, { kind: 'steps', title: 'The write, step by step', explanation }],
    };
  });
}

function workOut(n: Numbers, lab: LessonLab): Values {
  const { fileSystemId, count, first } = n;
  const map = lab.extents(PATH);
  const isHole = Array.from({ length: count }, (_, at) => deviceBlockOf(map, first + at) === null);
  const firstHole = isHole.indexOf(true);
  const stops = fileSystemId === 'ext2' && firstHole >= 0;
  return {
    direct: (stops ? firstHole : count) * BLOCK_BYTES,
    blocks: isHole.filter(Boolean).length,
  };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { fileSystemId, asked } = n;
  const [said, is] = [Number(given), Number(right[fieldId])];
  if (fieldId === 'blocks') {
    return `${offBy(said, is, 'blocks')} Every block of the range that was a hole gets a place, whichever way its data goes; the others had one.`;
  }
  if (said === asked.lengthBytes) {
    return `That is all of it. ${numberText(asked.lengthBytes - is)} bytes went through the page cache: ext2 takes no blocks for holes inside the file in direct I/O.`;
  }
  if (fileSystemId === 'ext4')
    return `${offBy(said, is, 'bytes')} ext4 takes blocks for the hole on the way, as unwritten ones, so nothing has to leave the direct path.`;
  return `${offBy(said, is, 'bytes')} Direct I/O ends at the first hole and does not begin again behind it: count from the start of the write to the first block without a place.`;
}

function explain(
  fileSystemId: string,
  direct: number,
  cached: number,
  blocksNew: number,
): string[] {
  if (cached > 0) {
    return [
      `Direct I/O wrote ${bytesWords(direct)} up to the first hole and stopped there: ${fileSystemId} gives no new blocks inside the file to direct I/O, because a reader beside it could see what they held before.`,
      `The rest, ${bytesWords(cached)}, went through the page cache, also the part of it whose blocks exist: a direct write that has stopped does not start again. The caller still gets the whole count, and learns nothing of it.`,
      `The holes became ${plural(blocksNew, 'block')}. What was cached was written back and thrown out of the cache again, so the next direct read sees it.`,
    ];
  }
  if (blocksNew === 0) {
    return [
      `No block of the range was a hole, so all ${bytesWords(direct)} were written directly and nothing was allocated.`,
      'The holes elsewhere in the file cost this write nothing.',
    ];
  }
  return [
    `All ${bytesWords(direct)} were written directly: ${fileSystemId} takes ${plural(blocksNew, 'block')} for the holes while it maps, as unwritten extents, which read as zeros until the data is on the disk.`,
    'When the bios have ended, end_io marks them as written. That is the price: changes of metadata, and a completion that may have to sleep.',
  ];
}
