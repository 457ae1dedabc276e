// SPDX-License-Identifier: GPL-2.0-only
/** compare: the same request on several revisions, each held against the first. */
import { EXIT } from '../errors.ts';
import type { CompareOptions } from '../program.ts';
import { comparisonText } from '../comparison-text.ts';
import { line, type Terminal } from '../terminal.ts';
import { checkRevision, requestOf } from './request-target.ts';

export async function compare(
  terminal: Terminal,
  image: string,
  path: string | null,
  options: CompareOptions,
): Promise<number> {
  const request = requestOf(image, path, options);
  const { client } = await terminal.session();
  const known = (await client.host.catalogue()).revisions.map(({ id }) => id);
  const asked = options.revisions.split(',').map((id) => id.trim());
  const revisions = options.revisions.trim() === 'all' ? known : asked;
  for (const id of revisions) checkRevision(id, known, '--revisions');
  const comparison = await client.experiments.compare({ request, revisions });
  await terminal.out(
    options.json ? line(JSON.stringify(comparison, null, 2)) : comparisonText(comparison),
  );
  return EXIT.ok;
}
