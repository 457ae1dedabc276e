// SPDX-License-Identifier: GPL-2.0-only
/**
 * Writes the manual page and the completions that the built terminal twin prints, below dist/share, where a package takes them from:
 *
 *   dist/share/man/man1/diolab.1                          dist/share/bash-completion/completions/diolab
 *   dist/share/zsh/site-functions/_diolab                 dist/share/fish/vendor_completions.d/diolab.fish
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Below dist/share: the words that print each. */
export const referenceFiles = {
  'man/man1/diolab.1': ['man'],
  'bash-completion/completions/diolab': ['completion', 'bash'],
  'zsh/site-functions/_diolab': ['completion', 'zsh'],
  'fish/vendor_completions.d/diolab.fish': ['completion', 'fish'],
};

/** Writes all of them below `folder`. `cliPath`: the built dist/cli/main.js. */
export function writeReference(cliPath, folder) {
  const code = `import { main } from ${JSON.stringify(pathToFileURL(cliPath).href)};
process.exitCode = await main(process.argv.slice(1));`;
  rmSync(folder, { recursive: true, force: true });
  for (const [path, words] of Object.entries(referenceFiles)) {
    const text = execFileSync(
      process.execPath,
      ['--input-type=module', '--eval', code, '--', ...words],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}
