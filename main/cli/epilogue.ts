// SPDX-License-Identifier: GPL-2.0-only
/** What stands at the end of the help and in the manual page: examples, and the meaning of exit codes. */

export const EXAMPLES: readonly string[] = [
  'diolab mkfs disk.img --fs ext2 --size 256m --block-size 4096',
  'diolab mkfs disk.img --fs ext4 --size 256m --layout /data:64m:extents=16,holes=4',
  'diolab map disk.img',
  'diolab run job.fio --output json',
  'diolab explain disk.img /data --op write --offset 512 --length 4096',
  'diolab compare disk.img /data --op write --offset 512 --length 4096 --revisions 6.4,2.6.31',
  'diolab gallery hole-write',
  'diolab lesson where-a-write-lands --seed 7',
  'diolab loop attach disk.img --sector-size 4096',
  'diolab verify disk.img --run last',
  'diolab serve',
];
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [0, 'ok'],
  [1, 'mismatch or failed verification'],
  [64, 'usage'],
  [65, 'data'],
  [66, 'no input'],
  [73, 'cannot create'],
  [74, 'I/O'],
  [77, 'permission'],
  [78, 'configuration'],
  [130, 'interrupted'],
];

const WRAP_COLUMNS = 80;
const INDENT = '            ';

/** The end of the help. */
export function epilogueText(): string {
  const lines = ['', 'Examples:', ...EXAMPLES.map((example) => `  ${example}`), ''];
  let text = 'Exit codes:';
  EXIT_CODES.forEach(([code, meaning], index) => {
    const part = ` ${String(code)} ${meaning}${index === EXIT_CODES.length - 1 ? '' : ','}`;
    if (text.length + part.length > WRAP_COLUMNS) {
      lines.push(text);
      text = INDENT.slice(1);
    }
    text += part;
  });
  return [...lines, text].join('\n');
}
