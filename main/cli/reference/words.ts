// SPDX-License-Identifier: GPL-2.0-only
/** The commands and options of the program as data, read from what the help is printed from: one source for manual and completions. */
import type { Command, Option } from 'commander';

export interface OptionWords {
  /** '-V', or null. */
  readonly short: string | null;
  /** '--output' */
  readonly long: string;
  /** '<kind>'; null: it takes no value. */
  readonly value: string | null;
  readonly description: string;
  /** Null: any value. */
  readonly choices: readonly string[] | null;
  /** As the help shows it; null: none. */
  readonly defaultText: string | null;
}
export interface ArgumentWords {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
  readonly isVariadic: boolean;
  readonly choices: readonly string[] | null;
}
export interface CommandWords {
  /** Names from the program's own commands down: ['loop', 'attach']; empty: the program. */
  readonly path: readonly string[];
  readonly description: string;
  readonly arguments: readonly ArgumentWords[];
  readonly options: readonly OptionWords[];
  readonly commands: readonly CommandWords[];
}

/** What a default is worth telling: not false, and not an empty list. */
function defaultText({ defaultValue, negate }: Option): string | null {
  const value: unknown = defaultValue;
  if (negate || (typeof value !== 'string' && typeof value !== 'number')) return null;
  return String(value);
}

function optionWords(option: Option): OptionWords {
  const value = /[<[].*[>\]]/.exec(option.flags)?.[0] ?? null;
  return {
    short: option.short ?? null,
    long: option.long ?? '',
    value,
    description: option.description,
    choices: option.argChoices ?? null,
    defaultText: defaultText(option),
  };
}

/** Everything that the help shows of a command and of those below it, without the built-in command `help`. */
export function wordsOf(command: Command, path: readonly string[] = []): CommandWords {
  const help = command.createHelp();
  return {
    path,
    description: command.description(),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      description: argument.description,
      isRequired: argument.required,
      isVariadic: argument.variadic,
      choices: argument.argChoices ?? null,
    })),
    options: help.visibleOptions(command).map(optionWords),
    commands: help
      .visibleCommands(command)
      .filter((each) => each.name() !== 'help')
      .map((each) => wordsOf(each, [...path, each.name()])),
  };
}

/** The command and all below it, each before its own. */
export function* allCommands(command: CommandWords): Generator<CommandWords> {
  yield command;
  for (const each of command.commands) yield* allCommands(each);
}
