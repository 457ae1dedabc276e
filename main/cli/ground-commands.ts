// SPDX-License-Identifier: GPL-2.0-only
/** Words of the commands about grounds: `grounds`. Their work is imported when it runs (program.ts has the rules). */
import type { Command } from 'commander';
import type { Terminal } from './terminal.ts';

export interface GroundsOptions {
  readonly grounds?: string;
  readonly rounds: string;
  readonly seed: string;
  readonly seconds?: string;
  readonly set: readonly string[];
  readonly consent: boolean;
  readonly partition?: string;
  readonly json: boolean;
}

const collect = (value: string, sofar: readonly string[]): string[] => [...sofar, value];

export function addGroundCommands(
  program: Command,
  terminal: Terminal,
  finish: (code: number) => void,
): void {
  program
    .command('grounds')
    .description(
      'measure one job on the engine, on a plain file, and on a loop device, side by side',
    )
    .argument('<job>', 'experiment (YAML) or fio job file; - reads standard input')
    .option('--grounds <list>', 'ids with commas between; default: all that can be measured')
    .option('--rounds <n>', 'how often every ground is measured', '5')
    .option('--seed <n>', 'of the order, which is shuffled', '1')
    .option('--seconds <n>', 'how long each run measures; default: as the job says')
    .option('--set <key=value>', 'set a key of the job, after the file (repeatable)', collect, [])
    .option('--partition <n>', 'partition of the image, from 1')
    .option('--consent', 'agree that data in an image which diolab did not make may change', false)
    .option('--json', 'as JSON', false)
    .action(async (job: string, options: GroundsOptions) => {
      const { grounds } = await import('./commands/grounds.ts');
      finish(await grounds(terminal, job, options));
    });
}
