// SPDX-License-Identifier: GPL-2.0-only
/** The manual page diolab(1), as roff with the macros of man(7). No date: the same sources give the same page. */
import type { Command } from 'commander';
import { EXAMPLES, EXIT_CODES } from '../epilogue.ts';
import { allCommands, wordsOf, type CommandWords, type OptionWords } from './words.ts';

/** Text that roff prints as it is: a hyphen is what a terminal understands when it is copied. */
function escape(text: string): string {
  const plain = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti');
  return /^[.]/.test(plain) ? `\\&${plain}` : plain;
}
const bold = (text: string): string => `\\fB${escape(text)}\\fR`;
const italic = (text: string): string => `\\fI${escape(text)}\\fR`;
/** A sentence begins with a capital and ends with a full stop. */
const sentence = (text: string): string =>
  escape(`${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`);

/** `<value>` in the font of what is to be replaced. */
const valueText = (value: string): string => italic(value.replace(/[<>]/g, ''));

function optionHead({ short, long, value }: OptionWords): string {
  const names = [short, long].filter((name) => name !== null).map(bold);
  return `${names.join(', ')}${value === null ? '' : ` ${valueText(value)}`}`;
}

function optionText(option: OptionWords): string[] {
  const { choices, defaultText, description } = option;
  const asides = [
    ...(choices === null ? [] : [`one of ${choices.join(', ')}`]),
    ...(defaultText === null ? [] : [`default ${defaultText}`]),
  ];
  const aside = asides.length === 0 ? '' : ` (${asides.join('; ')})`;
  return ['.TP', optionHead(option), sentence(`${description}${aside}`)];
}

function synopsis({ path, arguments: args, options }: CommandWords): string {
  const required = args.map(({ name, isRequired, isVariadic }) => {
    const text = `${italic(name)}${isVariadic ? ' ...' : ''}`;
    return isRequired ? text : `[${text}]`;
  });
  const flags = options.length > 1 ? [`[${italic('options')}]`] : [];
  return [bold(['diolab', ...path].join(' ')), ...required, ...flags].join(' ');
}

function commandText(command: CommandWords): string[] {
  const lines = [`.SS ${synopsis(command)}`, sentence(command.description)];
  for (const { name, description, choices } of command.arguments) {
    const aside = choices === null ? '' : ` (one of ${choices.join(', ')})`;
    lines.push('.TP', italic(name), sentence(`${description}${aside}`));
  }
  // Every command has --help: told once, with the options of the program.
  for (const option of command.options.filter(({ long }) => long !== '--help')) {
    lines.push(...optionText(option));
  }
  return lines;
}

const DESCRIPTION = [
  "diolab runs I/O jobs through a port of the Linux kernel's direct\\-I/O core, in user space, on file systems",
  'inside image files, and measures and traces what it does.',
  'The same job can run on a plain file of the machine and on a loop device, which a privileged helper attaches.',
];

const FILES: readonly (readonly [string, string])[] = [
  ['~/.local/share/diolab', 'runs that are kept, images made by the lab, snapshots'],
  ['~/.local/state/diolab', 'images used lately, loop devices that are kept'],
  ['/usr/lib/diolab/diolab-helper', 'the privileged helper, started through pkexec'],
];
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['DIOLAB_DATA', 'a folder, by its whole path, under which everything is kept instead'],
  ['DIOLAB_HELPER', 'a helper owned by root, for a lab that runs as root'],
  ['NO_COLOR', 'no colours'],
];
const SEE_ALSO: readonly (readonly [string, string])[] = [
  ['blkparse', '1'],
  ['fio', '1'],
  ['pkexec', '1'],
  ['losetup', '8'],
  ['fsck', '8'],
];

const list = (entries: readonly (readonly [string, string])[]): string[] =>
  entries.flatMap(([name, text]) => ['.TP', bold(name), sentence(text)]);

/** The page; it ends with a line feed. */
export function manualText(program: Command, version: string): string {
  const words = wordsOf(program);
  const commands = [...allCommands(words)].filter(({ path }) => path.length > 0);
  const lines = [
    '.\\" SPDX-License-Identifier: GPL-2.0-only',
    `.TH DIOLAB 1 "" "diolab ${escape(version)}" "User Commands"`,
    '.SH NAME',
    'diolab \\- a disk lab for direct I/O',
    '.SH SYNOPSIS',
    `${bold('diolab')} ${italic('command')} [${italic('arguments')}] [${italic('options')}]`,
    '.SH DESCRIPTION',
    ...DESCRIPTION,
    '.SH OPTIONS',
    ...words.options.flatMap(optionText),
    '.SH COMMANDS',
    ...commands.flatMap(commandText),
    '.SH EXAMPLES',
    '.nf',
    ...EXAMPLES.map(escape),
    '.fi',
    '.SH EXIT STATUS',
    ...list(EXIT_CODES.map(([code, text]) => [String(code), text])),
    '.SH FILES',
    ...list(FILES),
    '.SH ENVIRONMENT',
    ...list(ENVIRONMENT),
    '.SH SEE ALSO',
    SEE_ALSO.map(([name, section]) => `${bold(name)}(${section})`).join(', '),
  ];
  return `${lines.join('\n')}\n`;
}
