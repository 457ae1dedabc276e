// SPDX-License-Identifier: GPL-2.0-only
/** explain: one request, step by step. */
import { DEFAULT_REVISION_ID } from '../../../engine/lab/lists.ts';
import { EXIT } from '../errors.ts';
import type { ExplainOptions } from '../program.ts';
import { explanationText } from '../tables.ts';
import { line, type Terminal } from '../terminal.ts';
import { checkRevision, requestOf } from './request-target.ts';

export async function explain(
  terminal: Terminal,
  image: string,
  path: string | null,
  options: ExplainOptions,
): Promise<number> {
  const request = requestOf(image, path, options);
  const { client } = await terminal.session();
  const { revisions } = await client.host.catalogue();
  const revision = options.revision ?? DEFAULT_REVISION_ID;
  checkRevision(
    revision,
    revisions.map(({ id }) => id),
    '--revision',
  );
  const explanation = await client.experiments.explain({ ...request, revision });
  await terminal.out(
    options.json ? line(JSON.stringify(explanation, null, 2)) : explanationText(explanation),
  );
  return EXIT.ok;
}
