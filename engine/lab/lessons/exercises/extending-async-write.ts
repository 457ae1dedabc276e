// SPDX-License-Identifier: GPL-2.0-only
/** An asynchronous write that extends the file waits in the submission; one inside the file does not. */
import { errnoName, MIB, type Random } from '../../../base/index.ts';
import type { LessonEvidence } from '../../lesson.ts';
import { numberText } from '../../words.ts';
import {
  between,
  bytesWords,
  choiceField,
  mapEvidence,
  numberField,
  oneOf,
  request,
  type Lesson,
  type Asked,
  type Solution,
  type Values,
  type LessonLab,
} from '../lesson.ts';

const PATH = '/log.bin';
const BLOCK_BYTES = 4096;

/** Where a request of `count` blocks starts in a file of `blocks`, by where it is to lie. */
const STARTS: Readonly<Record<string, (blocks: number, count: number) => number>> = {
  inside: (blocks, count) => Math.floor((blocks - count) / 2),
  'up to the end': (blocks, count) => blocks - count,
  'over the end': (blocks, count) => blocks - Math.floor(count / 2),
  'behind the end': (blocks) => blocks,
};

export const extendingAsyncWrite: Lesson = {
  info: {
    id: 'extending-async-write',
    title: 'Why an extending asynchronous write waits',
    about:
      'When an asynchronous submission is synchronous after all, and what the size of the file has to do with it.',
    fileSystems: ['ext2', 'ext4'],
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
  const fileSystemId = oneOf(random, ['ext2', 'ext4']);
  const blocks = between(random, 20, 200);
  const count = between(random, 2, 16);
  const where = oneOf(random, Object.keys(STARTS));
  const first = STARTS[where]?.(blocks, count) ?? 0;
  const sizeBytes = blocks * BLOCK_BYTES;
  const asked = request('write', first * BLOCK_BYTES, count * BLOCK_BYTES, { isAsync: true });
  const endBytes = asked.offsetBytes + asked.lengthBytes;
  return { fileSystemId, blocks, count, where, first, sizeBytes, asked, endBytes };
}
type Numbers = ReturnType<typeof draw>;

function ask(n: Numbers): Asked {
  const { fileSystemId, sizeBytes, asked } = n;
  return {
    setting: [
      `An ${fileSystemId} image holds ${PATH}, ${bytesWords(sizeBytes)} of written blocks, without holes.`,
      `A program submits one asynchronous direct write (io_submit) of ${bytesWords(asked.lengthBytes)} at offset ${bytesWords(asked.offsetBytes)}.`,
    ],
    question:
      'Does the submission come back while the data is still on its way, and what is the size of the file at the moment it comes back?',
    fields: [
      choiceField('submit', 'The submission', [
        { id: 'queued', text: 'comes back at once, the write is in flight' },
        { id: 'waits', text: 'comes back when the data is on the disk' },
      ]),
      numberField('size', 'Size when it comes back', 'bytes'),
    ],
    disks: [
      {
        fileSystemId,
        sizeBytes: 16 * MIB,
        options: { blockSize: '4096' },
        fill: (open) => {
          open.layOut([{ path: PATH, sizeBytes, extents: 1, holes: 0, content: 'written' }], 1);
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
  return [lab.on((open) => mapEvidence('The file before the write', open, PATH, asked))];
}

function solve(n: Numbers, lab: LessonLab): Solution {
  const { sizeBytes, asked, endBytes } = n;
  return lab.on((open) => {
    const { explanation, ending } = open.examine(PATH, asked);
    const isQueued = ending.returned !== null && errnoName(ending.returned) === 'EIOCBQUEUED';
    const size = ending.sizeBytesAtReturn;
    return {
      values: { submit: isQueued ? 'queued' : 'waits', size },
      explanation: isQueued
        ? [
            `The write ends at ${bytesWords(endBytes)} and the file at ${bytesWords(sizeBytes)}: it changes only blocks that the file has. The call came back with EIOCBQUEUED, and the completion followed.`,
            'Nothing in the file becomes reachable by it that was not reachable before, so nobody has to wait.',
          ]
        : [
            `The write ends at ${bytesWords(endBytes)}, behind the end of the file at ${bytesWords(sizeBytes)}. The size may move only when the data is on the disk: otherwise a reader, or the file after a power cut, would show what the new blocks held before.`,
            `Direct I/O therefore waits for its bios in the submission and moves the size itself; when the call came back the file had ${bytesWords(size)}.`,
            'A program that means to be asynchronous lays its file out first (fallocate and written once, or written in full), and then writes inside it.',
          ],
      evidence: [{ kind: 'steps', title: 'The write, step by step', explanation }],
    };
  });
}

function workOut(n: Numbers): Values {
  const { sizeBytes, endBytes } = n;
  const extendsFile = endBytes > sizeBytes;
  return {
    submit: extendsFile ? 'waits' : 'queued',
    size: extendsFile ? endBytes : sizeBytes,
  };
}

function reply(n: Numbers, fieldId: string, given: number | string, right: Values): string {
  const { sizeBytes, endBytes } = n;
  if (fieldId === 'submit') {
    return right['submit'] === 'waits'
      ? `It asks to be asynchronous, and still waits: it ends ${numberText(endBytes - sizeBytes)} bytes behind the end of the file.`
      : `It does not wait: it ends ${endBytes === sizeBytes ? 'exactly at' : `${numberText(sizeBytes - endBytes)} bytes before`} the end of the file, and only a write that extends has to.`;
  }
  const said = Number(given);
  if (said === sizeBytes)
    return 'That is the size before. The call came back after the data was on the disk, and the size had moved with it.';
  if (said === endBytes)
    return 'That is where the write ends. The file is longer than that, and a write never makes it shorter.';
  return `The size is the old one, ${numberText(sizeBytes)}, or where the write ends, ${numberText(endBytes)}: whichever is larger once a write that extends is done.`;
}
