// SPDX-License-Identifier: GPL-2.0-only
/** A fragmented file: in which sector a direct write lands, and how many bios it takes. */
import { KIB, MIB, SECTOR_BYTES, type Random } from '../../../base/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import {
  between,
  bytesWords,
  deviceBlockOf,
  mapEvidence,
  numberField,
  offBy,
  plural,
  request,
  type Lesson,
  type Asked,
  type Solution,
  type Values,
  type LessonLab,
} from '../lesson.ts';

const PATH = '/data.bin';
const BLOCK_BYTES = 4096;

export const whereAWriteLands: Lesson = {
  info: {
    id: 'where-a-write-lands',
    title: 'Where a write lands',
    about: 'From an offset in a file to sectors of the disk, and why one write becomes several.',
    fileSystems: ['ext4'],
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
  const blocks = between(random, 48, 120);
  const extents = between(random, 5, 9);
  const count = between(random, 4, Math.floor(blocks / 2));
  const first = between(random, 0, blocks - count);
  const seed = random.next32();
  const asked = request('write', first * BLOCK_BYTES, count * BLOCK_BYTES);
  return { blocks, extents, count, first, seed, asked };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { blocks, extents, seed, asked } = n;
  return {
    setting: [
      `An ext4 image of 16 MiB with blocks of 4 KiB holds ${PATH}, ${bytesWords(blocks * BLOCK_BYTES)} in several extents.`,
      `A program writes ${bytesWords(asked.lengthBytes)} at offset ${bytesWords(asked.offsetBytes)}, directly, from page-aligned memory.`,
    ],
    question:
      'In which 512-byte sector of the image does the first byte land, and how many bios does the write take?',
    fields: [numberField('sector', 'First sector', ''), numberField('bios', 'Bios', 'bios')],
    disks: [
      {
        fileSystemId: 'ext4',
        sizeBytes: 16 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          const sizeBytes = blocks * BLOCK_BYTES;
          open.layOut([{ path: PATH, sizeBytes, extents, holes: 0, content: 'written' }], seed);
        },
      },
    ],
    images: [{ id: 'ext4', title: 'the ext4 image', filePath: PATH, request: asked }],
  };
}

function given(n: Numbers, lab: LessonLab): readonly LessonEvidence[] {
  const { asked } = n;
  return [lab.on((open) => mapEvidence('Where the blocks of the file are', open, PATH, asked))];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { count, first, asked } = n;
  return lab.on((open) => {
    const map = mapEvidence('The blocks that the write falls on', open, PATH, asked);
    const { explanation, rows } = open.examine(PATH, asked);
    const submitted = rows.filter((row) => row.kind === 'bio-submit');
    const sector = submitted[0]?.values[0] ?? -1;
    const block = Math.floor((sector * SECTOR_BYTES) / BLOCK_BYTES);
    return {
      values: { sector, bios: submitted.length },
      explanation: [
        `Offset ${numberText(asked.offsetBytes)} is the start of file block ${numberText(first)}, which the map has at block ${numberText(block)} of the image: sector ${numberText(block)} × 8 = ${numberText(sector)}.`,
        `A bio is one run of sectors. It grows as long as the next block is the next one on the disk too; where the map jumps, it is submitted and another is begun: ${plural(submitted.length, 'bio')} for ${plural(count, 'block')}.`,
        'The file system is asked once for each extent, not for each block.',
      ],
      evidence: [
        map,
        {
          kind: 'table',
          title: 'The bios as they were submitted',
          columns: ['bio', 'first sector', 'length', 'of the file from'],
          rows: bioRows(submitted, asked.offsetBytes),
        },
        { kind: 'steps', title: 'The write, step by step', explanation },
      ],
    };
  });
}

function workOut(n: Numbers, lab: LessonLab): Values {
  const { count, first } = n;
  const map = lab.extents(PATH);
  const places = Array.from({ length: count }, (_, at) => deviceBlockOf(map, first + at) ?? 0);
  const jumps = places.filter((place, at) => at > 0 && place !== (places[at - 1] ?? 0) + 1);
  return {
    sector: ((places[0] ?? 0) * BLOCK_BYTES) / SECTOR_BYTES,
    bios: jumps.length + 1,
  };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { first, asked } = n;
  const [said, is] = [Number(given), Number(right[fieldId])];
  if (fieldId === 'bios') {
    return `${offBy(said, is, is === 1 ? 'bio' : 'bios')} Count the runs of neighbouring image blocks among the blocks that the write falls on.`;
  }
  if (said * 8 === is)
    return `${numberText(said)} is the block of the image; a block is eight sectors.`;
  if (said * SECTOR_BYTES === asked.offsetBytes) {
    return 'That would be the sector if the file began at the start of the image, in one piece. The map says where its blocks are.';
  }
  return `That sector belongs to image block ${numberText(Math.floor(said / 8))}. File block ${numberText(first)} is where the write begins: look it up in the map, then times eight.`;
}

function bioRows(
  submitted: readonly { readonly values: readonly number[] }[],
  offsetBytes: number,
): string[][] {
  let at = offsetBytes;
  return submitted.map(({ values }, index) => {
    const [sector = 0, lengthBytes = 0] = values;
    const cells = [
      String(index + 1),
      numberText(sector),
      `${numberText(lengthBytes / KIB)} KiB`,
      `byte ${numberText(at)}`,
    ];
    at += lengthBytes;
    return cells;
  });
}
