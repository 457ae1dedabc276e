// SPDX-License-Identifier: GPL-2.0-only
/** A write into preallocated blocks, and the power goes: what the file reads as afterwards. */
import { assert, MIB, SECTOR_BYTES, type Random } from '../../../base/index.ts';
import { RecorderDevice } from '../../../devices/recorder/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import { contentKind, contentRuns } from '../content.ts';
import {
  between,
  bytesWords,
  choiceField,
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

const PATH = '/reserved.bin';
const BLOCK_BYTES = 4096;
const DATA = 0xd1;
/** When the power goes. */
const CUTS = {
  return:
    'right after the write has returned; everything that was sent to the disk by then is on it',
  dsync: 'right after the write has returned, which was made with O_DSYNC',
  fsync: 'after the program has also called fsync, and that has returned',
  lost: 'right after the write has returned, and the disk loses what it had only in its cache',
} as const;
type Cut = keyof typeof CUTS;
const SURE: readonly Cut[] = ['dsync', 'fsync'];

export const unwrittenAndPowerCut: Lesson = {
  info: {
    id: 'unwritten-and-power-cut',
    title: 'Unwritten extents and a power cut',
    about: 'Why data that is on the disk may read as zeros, and why that is the safe answer.',
    fileSystems: ['ext4'],
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
  const blocks = between(random, 24, 96);
  const count = between(random, 2, 12);
  const first = between(random, 1, blocks - count - 1);
  const cut = oneOf(random, Object.keys(CUTS) as Cut[]);
  const isDsync = cut === 'dsync';
  const asked = request('write', first * BLOCK_BYTES, count * BLOCK_BYTES, { isDsync });
  return { blocks, count, first, cut, isDsync, asked };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { blocks, cut, isDsync, asked } = n;
  return {
    setting: [
      `An ext4 image holds ${PATH}: ${bytesWords(blocks * BLOCK_BYTES)} that were allocated (fallocate) and never written. Its blocks are full of the bytes of a file that was removed.`,
      `A program writes ${bytesWords(asked.lengthBytes)} at offset ${bytesWords(asked.offsetBytes)}, directly${isDsync ? ', with O_DSYNC' : ''}.`,
      `The power goes ${CUTS[cut]}.`,
    ],
    question:
      'After the restart the program reads the range that it wrote. What does it get, and how many blocks of the file does the map show as written?',
    fields: [
      choiceField('content', 'It reads', [
        { id: 'data', text: 'what it wrote' },
        { id: 'zeros', text: 'zeros' },
        { id: 'stale', text: 'bytes of the removed file' },
      ]),
      numberField('written', 'Written blocks', 'blocks'),
    ],
    disks: [
      {
        fileSystemId: 'ext4',
        sizeBytes: 8 * MIB,
        options: { blockSize: '4096', journal: false },
        fill: (open) => {
          const path = '/removed.bin';
          open.layOut([{ path, sizeBytes: 4 * MIB, extents: 1, holes: 0, content: 'written' }], 5);
          open.remove(path);
          open.create(PATH);
          open.allocate(PATH, 0, blocks * BLOCK_BYTES);
        },
      },
    ],
    images: [{ id: 'ext4', title: 'the ext4 image', filePath: PATH, request: asked }],
  };
}

function given(n: Numbers, lab: LessonLab): readonly LessonEvidence[] {
  const { asked } = n;
  return [lab.on((open) => mapEvidence('The file before the write', open, PATH, asked))];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { first, cut, asked } = n;
  const step = lab.on((open) => open.examine(PATH, asked).explanation);
  const left = cutPower(lab, cut, asked.offsetBytes, asked.lengthBytes);
  return lab.onBytes(left.bytes, (open) => {
    const map = mapEvidence('The file after the restart', open, PATH, asked);
    const extents = open.extents(PATH);
    const written = extents.reduce(
      (sum, each) => sum + (each.state === 'mapped' ? each.count : 0),
      0,
    );
    const start = (deviceBlockOf(extents, first) ?? 0) * BLOCK_BYTES;
    const onDisk = contentRuns(
      left.bytes.subarray(start, start + asked.lengthBytes),
      DATA,
      'stale',
    );
    const read = contentRuns(
      open.read(PATH, asked.offsetBytes, asked.lengthBytes, true),
      DATA,
      'stale',
    );
    return {
      values: { content: contentKind(read), written },
      explanation: explain(contentKind(read), contentKind(onDisk), written),
      evidence: [
        {
          kind: 'content',
          title: 'The range after the restart',
          strips: [
            { of: 'disk', title: 'The blocks of the range', runs: onDisk },
            { of: 'returned', title: 'A read of the range', runs: read },
          ],
        },
        map,
        {
          kind: 'table',
          title: 'What went to the disk until the power went',
          columns: ['', 'sent', 'kept after the cut'],
          rows: [
            ['writes', numberText(left.sent), numberText(left.kept)],
            ['flushes', numberText(left.flushes), ''],
          ],
        },
        { kind: 'steps', title: 'The write, step by step', explanation: step },
      ],
    };
  });
}

function workOut(n: Numbers): Values {
  const { count, cut } = n;
  const isSure = SURE.includes(cut);
  return { content: isSure ? 'data' : 'zeros', written: isSure ? count : 0 };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { blocks } = n;
  if (fieldId === 'written') {
    const [said, is] = [Number(given), Number(right['written'])];
    if (is === 0)
      return `None: which blocks are written stands in the metadata, and that was not on the disk yet when the power went. You said ${numberText(said)}.`;
    return said === blocks
      ? `Those are all blocks of the file. Only the ${plural(is, 'block')} of the range were marked as written; the rest stays unwritten.`
      : `The write covered ${plural(is, 'block')}, and each of them is marked as written: not ${numberText(said)}.`;
  }
  if (given === 'stale')
    return 'That is just what unwritten extents are for: until the metadata says that the blocks are written, a read gives zeros, whatever lies on the disk.';
  return given === 'data'
    ? 'The call had returned, but nothing had made the metadata durable. Without fsync or O_DSYNC the map still says unwritten, and unwritten reads as zeros.'
    : 'The data and the map that says so were made durable before the call returned: O_DSYNC or fsync does both.';
}

interface CutDisk {
  readonly bytes: Uint8Array;
  readonly sent: number;
  readonly kept: number;
  readonly flushes: number;
}

/** Runs the write on a recorder, and makes the disk as the power cut leaves it. */
function cutPower(lab: LessonLab, cut: Cut, offsetBytes: number, lengthBytes: number): CutDisk {
  const bytes = lab.bytesOf().slice();
  let recorder: RecorderDevice | null = null;
  return lab.on(
    (open) => {
      assert(recorder !== null, 'the recorder is over the disk', {});
      const data = new Uint8Array(lengthBytes).fill(DATA);
      open.write(PATH, offsetBytes, data, { direct: true, dsync: cut === 'dsync' });
      if (cut === 'fsync') open.fsync(PATH);
      const { writes, flushCount } = recorder;
      const kept = writes.filter(({ epoch }) => cut !== 'lost' || epoch < flushCount);
      for (const write of kept) {
        const from = write.sectorStart * SECTOR_BYTES;
        if (write.op === 'write') bytes.set(write.data, from);
        else bytes.fill(0, from, from + write.lengthBytes);
      }
      return { bytes, sent: writes.length, kept: kept.length, flushes: flushCount };
    },
    0,
    { wrap: (device, memory) => (recorder = new RecorderDevice(device, memory)) },
  );
}

function explain(read: string, onDisk: string, written: number): string[] {
  if (read === 'data') {
    return [
      `The write returned after its data was on the disk, and the map was made durable too: ${plural(written, 'block')} of the unwritten extent were marked as written.`,
      'The order matters: first the data, then the mark. A power cut in between leaves zeros, never old bytes.',
    ];
  }
  const where =
    onDisk === 'data'
      ? 'The data itself is on the disk, as the strip shows. But the map still says that the blocks are unwritten, so a read gives zeros and never looks there.'
      : 'The data did not survive in the cache of the disk, and the blocks hold the bytes of the removed file. The map says that they are unwritten, so a read gives zeros and never shows them.';
  return [
    where,
    'Direct I/O means that the page cache is not in the way. It does not mean that anything is durable: that takes O_DSYNC, or fsync after the write.',
  ];
}
