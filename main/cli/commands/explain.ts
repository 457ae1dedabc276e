// SPDX-License-Identifier: GPL-2.0-only
/** explain: one request, step by step. */
import { resolve } from 'node:path';
import { HostError, MIB } from '../../../engine/base/index.ts';
import { DEFAULT_REVISION_ID } from '../../../engine/lab/lists.ts';
import { EXIT } from '../errors.ts';
import type { ExplainOptions } from '../program.ts';
import { parseSizeBytes, parseWhole } from '../size.ts';
import { explanationText } from '../tables.ts';
import { line, type Terminal } from '../terminal.ts';

/** The contract's limit: every page of the request is told. */
const LENGTH_BYTES_MAX = 16 * MIB;

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

export async function explain(
  terminal: Terminal,
  image: string,
  path: string | null,
  options: ExplainOptions,
): Promise<number> {
  const request = {
    op: options.op,
    offsetBytes: parseSizeBytes(options.offset, '--offset'),
    lengthBytes: lengthOf(options.length),
    memoryOffsetBytes: parseWhole(options.memoryOffset, '--memory-offset', 0, 4095),
    isAsync: options.async,
    isDsync: options.dsync,
  };
  const { client } = await terminal.session();
  const { revisions } = await client.host.catalogue();
  const ids = revisions.map(({ id }) => id);
  const revision = options.revision ?? DEFAULT_REVISION_ID;
  if (!ids.includes(revision)) {
    throw new HostError({
      code: 'usage.unknown-revision',
      message: `There is no revision '${revision}'`,
      where: '--revision',
      hint: `One of: ${ids.join(', ')}.`,
      exitCode: EXIT.usage,
    });
  }
  const explanation = await client.experiments.explain({
    ...request,
    revision,
    target: {
      device: { id: 'image-file', options: { path: resolve(image) } },
      fileSystem: { id: path === null ? 'raw' : 'auto', options: {} },
      filePath: path,
      fileSizeBytes: null,
      create: null,
      consentToWrite: false,
    },
  });
  await terminal.out(
    options.json ? line(JSON.stringify(explanation, null, 2)) : explanationText(explanation),
  );
  return EXIT.ok;
}
