// SPDX-License-Identifier: GPL-2.0-only
/** Words of the commands that write the program's own reference: `completion`, and `man` (hidden: the package installs its output). */
import { Argument, type Command } from 'commander';
import { EXIT } from './errors.ts';
import type { Terminal } from './terminal.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function addReferenceCommands(
  program: Command,
  terminal: Terminal,
  finish: (code: number) => void,
): void {
  program
    .command('completion')
    .description('print the completions of a shell, to be read by it')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      const { completionText } = await import('./reference/completions.ts');
      await terminal.out(completionText(program, shell));
      finish(EXIT.ok);
    });
  program
    .command('man', { hidden: true })
    .description('print the manual page, as roff')
    .action(async () => {
      const { manualText } = await import('./reference/manual.ts');
      await terminal.out(manualText(program, terminal.version));
      finish(EXIT.ok);
    });
}
