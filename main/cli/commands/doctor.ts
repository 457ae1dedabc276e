// SPDX-License-Identifier: GPL-2.0-only
/** doctor: what this host can do. */
import { EXIT } from '../errors.ts';
import { factsText } from '../tables.ts';
import { line, type Terminal } from '../terminal.ts';

export async function doctor(
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  const facts = await client.host.facts({});
  await terminal.out(options.json ? line(JSON.stringify(facts, null, 2)) : factsText(facts));
  return EXIT.ok;
}
