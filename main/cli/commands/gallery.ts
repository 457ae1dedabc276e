// SPDX-License-Identifier: GPL-2.0-only
/** gallery: the list of exhibits, or one of them, run on its old and on its fixed revision. */
import { EXIT } from '../errors.ts';
import { exhibitListText, exhibitText } from '../comparison-text.ts';
import { line, type Terminal } from '../terminal.ts';

export async function gallery(
  terminal: Terminal,
  id: string | null,
  options: { readonly json: boolean },
): Promise<number> {
  const { client } = await terminal.session();
  if (id === null) {
    const exhibits = await client.gallery.list();
    await terminal.out(
      options.json ? line(JSON.stringify(exhibits, null, 2)) : exhibitListText(exhibits),
    );
    return EXIT.ok;
  }
  const run = await client.gallery.run({ id });
  await terminal.out(options.json ? line(JSON.stringify(run, null, 2)) : exhibitText(run));
  return EXIT.ok;
}
