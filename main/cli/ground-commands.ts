// SPDX-License-Identifier: GPL-2.0-only
/**
 * Words of the commands about grounds and what the host's kernel says: `grounds`, `loop`, `verify`, and of those about runs that are
 * kept: `runs`, `export`. Their work is imported when it runs (program.ts has the rules).
 */
import { Option, type Command } from 'commander';
import { EXPORT_FORMATS, type ExportFormat } from '../contract/bulk.ts';
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

export interface LoopAttachOptions {
  readonly sectorSize: string;
  readonly directIo: boolean;
  readonly readOnly: boolean;
  readonly json: boolean;
}
export interface VerifyOptions {
  readonly run?: string;
  readonly partition?: string;
  readonly json: boolean;
}
export interface ExportOptions {
  readonly format: ExportFormat;
  readonly output: string;
  readonly force: boolean;
}
type Finish = (code: number) => void;

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

/** `loop attach|detach|list|clean`. */
export function addLoopCommands(program: Command, terminal: Terminal, finish: Finish): void {
  const loop = program
    .command('loop')
    .description('attach image files to loop devices, by the privileged helper')
    .action(() => {
      loop.help({ error: true });
    });
  loop
    .command('attach')
    .description('attach an image, and keep it until Ctrl+C or until it is detached elsewhere')
    .argument('<image>', 'image file')
    .addOption(
      new Option('--sector-size <bytes>', 'logical blocks of the device')
        .choices(['512', '1024', '2048', '4096'])
        .default('512'),
    )
    .option('--no-direct-io', 'let the device go through the page cache of the disk below')
    .option('--read-only', 'a device that takes no writes', false)
    .option('--json', 'as JSON', false)
    .action(async (image: string, options: LoopAttachOptions) => {
      const { loopAttach } = await import('./commands/loop.ts');
      finish(await loopAttach(terminal, image, options));
    });
  loop
    .command('detach')
    .description('detach a device that a diolab attached; devices of others are refused')
    .argument('<device>', 'device, for example /dev/loop3, or the image behind it')
    .option('--json', 'as JSON', false)
    .action(async (device: string, options: { json: boolean }) => {
      const { loopDetach } = await import('./commands/loop.ts');
      finish(await loopDetach(terminal, device, options));
    });
  loop
    .command('list')
    .description('list devices that diolabs keep, and what killed ones have left behind')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { loopList } = await import('./commands/loop.ts');
      finish(await loopList(terminal, options));
    });
  loop
    .command('clean')
    .description('remove what killed runs have left behind')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { loopClean } = await import('./commands/loop.ts');
      finish(await loopClean(terminal, options));
    });
  for (const command of loop.commands) command.exitOverride().copyInheritedSettings(program);
}

/** `verify`, `runs`, `export`. */
export function addKeptRunCommands(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('verify')
    .description("check an image by its fsck, and compare its files with the kernel's own mount")
    .argument('<image>', 'image file')
    .option('--run <id>', 'keep the result with this run on the image; last: the newest')
    .option('--partition <n>', 'partition of the image, from 1')
    .option('--json', 'as JSON', false)
    .action(async (image: string, options: VerifyOptions) => {
      const { verify } = await import('./commands/verify.ts');
      finish(await verify(terminal, image, options));
    });
  program
    .command('runs')
    .description('list the runs that are kept')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { runs } = await import('./commands/runs.ts');
      finish(await runs(terminal, options));
    });
  program
    .command('export')
    .description('write a run that is kept in another format')
    .argument('<run>', 'id of the run, as diolab runs lists it; last: the newest')
    .addOption(
      new Option('--format <format>', 'which format').choices(EXPORT_FORMATS).makeOptionMandatory(),
    )
    .option('--output <file>', 'file to write; -: standard output', '-')
    .option('--force', 'replace a file that exists', false)
    .action(async (run: string, options: ExportOptions) => {
      const { exportRun } = await import('./commands/runs.ts');
      finish(await exportRun(terminal, run, options));
    });
}
