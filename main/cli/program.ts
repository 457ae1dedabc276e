// SPDX-License-Identifier: GPL-2.0-only
/**
 * The commands and their options. Only words are here: each command's work is imported when it runs, so that `--help` loads nothing
 * else. Rules: 1. A command returns its exit code or throws a `HostError`. 2. What the command line gets wrong is exit code 64.
 */
import { Command, CommanderError, Option } from 'commander';
import { epilogueText } from './epilogue.ts';
import { EXIT } from './errors.ts';
import { addGroundCommands, addKeptRunCommands, addLoopCommands } from './ground-commands.ts';
import { addReferenceCommands } from './reference-commands.ts';
import type { Terminal } from './terminal.ts';
import { addImageCommands, CONSENT } from './workbench-program.ts';

export interface RunOptions {
  readonly snapshot?: 'none' | 'before' | 'restore';
  readonly output: 'text' | 'json';
  readonly set: readonly string[];
  readonly partition?: string;
  readonly consent: boolean;
}
export interface ExplainOptions {
  readonly op: 'read' | 'write';
  readonly offset: string;
  readonly length: string;
  readonly memoryOffset: string;
  readonly partition?: string;
  readonly async: boolean;
  readonly dsync: boolean;
  readonly revision?: string;
  readonly json: boolean;
}
export interface CompareOptions extends Omit<ExplainOptions, 'revision'> {
  readonly revisions: string;
}
export interface ConformOptions {
  readonly detail: boolean;
  readonly revision?: string;
  readonly print: boolean;
  readonly json: boolean;
}
export interface LessonOptions {
  readonly seed?: string;
  readonly answer?: string;
  readonly image: boolean;
  readonly json: boolean;
}
export interface ServeOptions {
  readonly port?: string;
  readonly open: boolean;
}

const collect = (value: string, sofar: readonly string[]): string[] => [...sofar, value];
type Finish = (code: number) => void;

function addRun(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('run')
    .description('run an experiment (YAML) or a fio job file, and report')
    .argument('<job>', 'file of the experiment; - reads standard input')
    .addOption(
      new Option('--output <kind>', 'report for people, or JSON in the shape of fio')
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('--set <key=value>', 'set a key of the job, after the file (repeatable)', collect, [])
    .option('--partition <number>', 'partition of the disk in the image, from 1')
    .addOption(
      new Option(
        '--snapshot <when>',
        'keep an image that the run changes, or put it back afterwards',
      ).choices(['none', 'before', 'restore']),
    )
    .option('--consent', CONSENT, false)
    .action(async (job: string, options: RunOptions) => {
      const { run } = await import('./commands/run.ts');
      finish(await run(terminal, job, options));
    });
}

/** The words of a command about one request. */
function requestCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument('<image>', 'image file')
    .argument('[path]', 'file inside it; without: the whole image, or partition, as a block device')
    .addOption(
      new Option('--op <op>', 'direction').choices(['read', 'write']).makeOptionMandatory(),
    )
    .requiredOption('--offset <bytes>', 'offset in the file')
    .requiredOption('--length <bytes>', 'length of the request')
    .option('--memory-offset <bytes>', "the buffer's distance from a page boundary, 0..4095", '0')
    .option('--partition <number>', 'partition of the disk in the image, from 1')
    .option('--async', 'an asynchronous request', false)
    .option('--dsync', 'with O_DSYNC', false)
    .option('--json', 'as JSON', false);
}

function addRequestCommands(program: Command, terminal: Terminal, finish: Finish): void {
  requestCommand(program, 'explain', 'tell step by step what happens to one request')
    .option('--revision <id>', 'revision of the direct-I/O core (default: that of a run)')
    .action(async (image: string, path: string | undefined, options: ExplainOptions) => {
      const { explain } = await import('./commands/explain.ts');
      finish(await explain(terminal, image, path ?? null, options));
    });
  requestCommand(
    program,
    'compare',
    'run one request on several revisions, and say where they part',
  )
    .option(
      '--revisions <list>',
      'ids with commas between; the first is held against the others',
      'all',
    )
    .action(async (image: string, path: string | undefined, options: CompareOptions) => {
      const { compare } = await import('./commands/compare.ts');
      finish(await compare(terminal, image, path ?? null, options));
    });
  program
    .command('gallery')
    .description('list the bug gallery, or run one exhibit on its old and its fixed revision')
    .argument('[id]', 'exhibit')
    .option('--json', 'as JSON', false)
    .action(async (id: string | undefined, options: { json: boolean }) => {
      const { gallery } = await import('./commands/gallery.ts');
      finish(await gallery(terminal, id ?? null, options));
    });
}

function addLessons(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('lessons')
    .description('list the lessons: exercises on real images, made from a seed')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { lessons } = await import('./commands/lessons.ts');
      finish(await lessons(terminal, options));
    });
  program
    .command('lesson')
    .description('ask the question of a lesson, or check an answer to it')
    .argument('<id>', 'lesson')
    .option('--seed <n>', 'numbers of the exercise; default: any')
    .option('--answer <values>', 'answer: values in the order of the question, or name=value')
    .option('--image', 'also make the images of the exercise, in the folder of the lab', false)
    .option('--json', 'as JSON', false)
    .action(async (id: string, options: LessonOptions) => {
      const { lesson } = await import('./commands/lessons.ts');
      finish(await lesson(terminal, id, options));
    });
}

function addHostCommands(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('serve')
    .description('serve the lab to a browser on this machine (loopback only)')
    .option('--port <n>', 'port; default: a free one')
    .option('--open', 'open the address in a browser where there is a display', false)
    .action(async (options: ServeOptions) => {
      const { serve } = await import('./commands/serve.ts');
      finish(await serve(terminal, options));
    });
  program
    .command('doctor')
    .description('say what this host can do, and how to get what it cannot')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { doctor } = await import('./commands/doctor.ts');
      finish(await doctor(terminal, options));
    });
  program
    .command('conform')
    .description('run scenarios through the engine and compare their traces')
    .argument('<file>', 'JSON lines of scenarios with their traces')
    .option('--detail', 'compare every event and count, not only the core', false)
    .option('--revision <id>', "run this revision instead of the file's own")
    .option('--print', 'print the traces as JSON lines instead of comparing', false)
    .option('--json', 'as JSON', false)
    .action(async (file: string, options: ConformOptions) => {
      const { conform } = await import('./commands/conform.ts');
      finish(await conform(terminal, file, options));
    });
  program
    .command('bench')
    .description('measure the engine against fio on this machine (from a checkout)')
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => {
      const { bench } = await import('./commands/bench.ts');
      finish(await bench(terminal, options));
    });
}

/** The program with its output bound to the terminal; `finish` is told a command's exit code. */
export function makeProgram(terminal: Terminal, finish: Finish): Command {
  const program = new Command('diolab')
    .description("A disk lab: the Linux kernel's direct-I/O core, ported, on real image files")
    .version(terminal.version)
    .addHelpText('after', epilogueText())
    .showHelpAfterError('(diolab --help lists the commands and their options)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.out(text),
      writeErr: (text) => {
        terminal.error(text);
      },
    });
  addRun(program, terminal, finish);
  addImageCommands(program, terminal, finish);
  addRequestCommands(program, terminal, finish);
  addGroundCommands(program, terminal, finish);
  addLoopCommands(program, terminal, finish);
  addKeptRunCommands(program, terminal, finish);
  addLessons(program, terminal, finish);
  addHostCommands(program, terminal, finish);
  addReferenceCommands(program, terminal, finish);
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  return program;
}

/** Runs the words of the command line and gives the exit code; a `HostError` goes through to the caller. */
export async function runProgram(terminal: Terminal, words: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = makeProgram(terminal, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end by an error of status 0; every other one is a wrong command line.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}
