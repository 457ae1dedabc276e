// SPDX-License-Identifier: GPL-2.0-only
/**
 * Completions for bash, zsh and fish, generated from the commands and options themselves. A place in the commands is written as a path:
 * '' is the program, '/loop/attach' a command. Where a value or an argument has choices they are offered, else files are.
 */
import type { Command } from 'commander';
import type { Shell } from '../reference-commands.ts';
import { allCommands, wordsOf, type CommandWords, type OptionWords } from './words.ts';

const HEAD = '# SPDX-License-Identifier: GPL-2.0-only';
const pathOf = ({ path }: CommandWords): string => path.map((name) => `/${name}`).join('');
const nameOf = ({ path }: CommandWords): string => path.at(-1) ?? '';
/** Of a shell: everything inside single quotes is itself. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const namesOf = ({ short, long }: OptionWords): string[] =>
  [short, long].filter((name) => name !== null);

function bashText(commands: readonly CommandWords[]): string {
  const paths = commands.map(pathOf).filter((path) => path !== '');
  const values = commands.flatMap((command) =>
    command.options
      .filter(({ value }) => value !== null)
      .map((option) => {
        const patterns = namesOf(option).map((name) => quoted(`${pathOf(command)} ${name}`));
        // No reply of ours: the shell completes files by itself.
        const words = option.choices === null ? '' : `words=${quoted(option.choices.join(' '))}`;
        return `    ${patterns.join(' | ')}) ${words === '' ? ':' : words} ;;`;
      }),
  );
  const places = commands.map((command) => {
    const options = command.options.flatMap(namesOf).join(' ');
    const next = [
      ...command.commands.map(nameOf),
      ...command.arguments.flatMap(({ choices }) => choices ?? []),
    ].join(' ');
    return `      ${quoted(pathOf(command))}) options=${quoted(options)} words=${quoted(next)} ;;`;
  });
  return `${HEAD}
# bash completion for diolab

_diolab() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local place='' words='' options='' index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$place/\${COMP_WORDS[index]}" in
      ${paths.join(' | ')}) place="$place/\${COMP_WORDS[index]}" ;;
    esac
  done
  case "$place $previous" in
${values.join('\n')}
    *)
      case "$place" in
${places.join('\n')}
      esac
      [[ $current == -* ]] && words=$options
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _diolab diolab
`;
}

/** Inside a word of _arguments: brackets, colons and backslashes have a meaning. */
const zshText = (text: string): string => text.replace(/[\\[\]:]/g, (sign) => `\\${sign}`);

function zshOption(option: OptionWords): string {
  const names = namesOf(option);
  const { value, choices, description } = option;
  const action = choices === null ? '_files' : `(${choices.join(' ')})`;
  const what = value === null ? '' : `:${zshText(value.replace(/[<>[\]]/g, ''))}:${action}`;
  // A repeatable option may come again; the others exclude themselves.
  const isRepeatable = description.includes('(repeatable)');
  const exclusion = isRepeatable ? '*' : `(${names.join(' ')})`;
  return names
    .map((name) => quoted(`${exclusion}${name}[${zshText(description)}]${what}`))
    .join(' \\\n    ');
}

const zshFunction = ({ path }: CommandWords): string => ['_diolab', ...path].join('_');

function zshCommand(command: CommandWords): string {
  const options = command.options.map(zshOption);
  if (command.commands.length === 0) {
    const places = command.arguments.map(({ name, isRequired, isVariadic, choices }, index) => {
      const action = choices === null ? '_files' : `(${choices.join(' ')})`;
      const at = isVariadic ? '*' : `${String(index + 1)}${isRequired ? '' : ':'}`;
      return quoted(`${at}:${zshText(name)}:${action}`);
    });
    return `${zshFunction(command)}() {
  _arguments -s -S \\
    ${[...options, ...places].join(' \\\n    ')}
}
`;
  }
  const described = command.commands.map((each) =>
    quoted(`${nameOf(each)}:${each.description.replaceAll('\\', '\\\\').replaceAll(':', '\\:')}`),
  );
  const cases = command.commands.map((each) => `        ${nameOf(each)}) ${zshFunction(each)} ;;`);
  return `${zshFunction(command)}() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  local -a commands
  _arguments -C \\
    ${options.join(' \\\n    ')} \\
    '1: :->command' \\
    '*:: :->rest'
  case $state in
    command)
      commands=(
        ${described.join('\n        ')}
      )
      _describe -t commands 'command' commands
      ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}
`;
}

function zshScript(commands: readonly CommandWords[]): string {
  return `#compdef diolab
${HEAD}
# zsh completion for diolab

${commands.map(zshCommand).join('\n')}
_diolab "$@"
`;
}

/** fish knows two escapes inside single quotes. */
const fishText = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function fishLines(command: CommandWords): string[] {
  const start = `complete -c diolab -n ${fishText(`__diolab_at '${pathOf(command)}'`)}`;
  const commands = command.commands.map(
    (each) => `${start} -f -a ${nameOf(each)} -d ${fishText(each.description)}`,
  );
  const choices = command.arguments.flatMap((argument) =>
    argument.choices === null
      ? []
      : [`${start} -f -a ${fishText(argument.choices.join(' '))} -d ${fishText(argument.name)}`],
  );
  const options = command.options.map(({ short, long, value, choices: words, description }) => {
    const names = [
      ...(short === null ? [] : [`-s ${short.slice(1)}`]),
      ...(long === '' ? [] : [`-l ${long.slice(2)}`]),
    ].join(' ');
    const takes =
      value === null ? '' : words === null ? ' -r' : ` -x -a ${fishText(words.join(' '))}`;
    return `${start} ${names}${takes} -d ${fishText(description)}`;
  });
  return [...commands, ...choices, ...options];
}

function fishScript(commands: readonly CommandWords[]): string {
  const paths = commands.map(pathOf).filter((path) => path !== '');
  return `${HEAD}
# fish completion for diolab

function __diolab_at --description 'True at this place in the commands'
    set -l place ''
    for word in (commandline -opc)[2..-1]
        switch "$place/$word"
            case ${paths.join(' ')}
                set place "$place/$word"
        end
    end
    test "$place" = "$argv[1]"
end

${commands.flatMap(fishLines).join('\n')}
`;
}

/** The script for a shell; it ends with a line feed. */
export function completionText(program: Command, shell: Shell): string {
  const commands = [...allCommands(wordsOf(program))];
  switch (shell) {
    case 'bash':
      return bashText(commands);
    case 'zsh':
      return zshScript(commands);
    case 'fish':
      return fishScript(commands);
  }
}
