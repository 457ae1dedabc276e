// SPDX-License-Identifier: GPL-2.0-only
/** What explain and compare have in common: one request on a file of an image, or on the whole image. */
import { resolve } from 'node:path';
import { HostError, MIB } from '../../../engine/base/index.ts';
import type { CompareRequest } from '../../../engine/lab/comparison.ts';
import { EXIT } from '../errors.ts';
import { parseSizeBytes, parseWhole } from '../size.ts';

/** The contract's limit: every page of the request is told. */
const LENGTH_BYTES_MAX = 16 * MIB;

export interface RequestWords {
  readonly op: 'read' | 'write';
  readonly offset: string;
  readonly length: string;
  readonly memoryOffset: string;
  readonly partition?: string;
  readonly async: boolean;
  readonly dsync: boolean;
}

function lengthOf(text: string): number {
  const lengthBytes = parseSizeBytes(text, '--length');
  if (lengthBytes <= LENGTH_BYTES_MAX) return lengthBytes;
  throw new HostError({
    code: 'usage.size',
    message: `--length ${text} is too long for one request`,
    where: '--length',
    hint: `At most ${String(LENGTH_BYTES_MAX / MIB)} MiB.`,
    exitCode: EXIT.usage,
  });
}

/** The request of the command line; a path of null is the whole image, or partition, as a block device. */
export function requestOf(
  image: string,
  path: string | null,
  words: RequestWords,
): CompareRequest['request'] {
  return {
    op: words.op,
    offsetBytes: parseSizeBytes(words.offset, '--offset'),
    lengthBytes: lengthOf(words.length),
    memoryOffsetBytes: parseWhole(words.memoryOffset, '--memory-offset', 0, 4095),
    isAsync: words.async,
    isDsync: words.dsync,
    target: {
      device: { id: 'image-file', options: { path: resolve(image) } },
      ...(words.partition !== undefined && {
        partition: parseWhole(words.partition, '--partition', 1, 1024),
      }),
      fileSystem: { id: path === null ? 'raw' : 'auto', options: {} },
      filePath: path,
      fileSizeBytes: null,
      create: null,
      consentToWrite: false,
    },
  };
}

/** Refuses a revision that is not in the list (exit code 64). */
export function checkRevision(id: string, known: readonly string[], option: string): void {
  if (known.includes(id)) return;
  throw new HostError({
    code: 'usage.unknown-revision',
    message: `There is no revision '${id}'`,
    where: option,
    hint: `One of: ${known.join(', ')}.`,
    exitCode: EXIT.usage,
  });
}
