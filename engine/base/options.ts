// SPDX-License-Identifier: GPL-2.0-only
/** Options of a module as data without functions: form, command-line flag, check and documentation all come from them. */
import { HostError } from './host-error.ts';

export type OptionField = { readonly title: string; readonly help: string } & (
  | {
      readonly type: 'quantity';
      readonly unit: string;
      readonly default: number;
      readonly min: number;
      readonly max: number;
    }
  | { readonly type: 'choice'; readonly choices: readonly string[]; readonly default: string }
  | { readonly type: 'flag'; readonly default: boolean }
  | { readonly type: 'path'; readonly default: string }
);
export type OptionSchema = { readonly [name: string]: OptionField };
export type OptionValue = number | string | boolean;
export type OptionValues = { readonly [name: string]: OptionValue };
export type OptionsOf<S extends OptionSchema> = {
  readonly [K in keyof S]: S[K] extends { type: 'quantity' }
    ? number
    : S[K] extends { type: 'flag' }
      ? boolean
      : S[K] extends { choices: readonly (infer C)[] }
        ? C
        : string;
};

function checkOption(where: string, name: string, field: OptionField, value: unknown): OptionValue {
  const refuse = (expected: string): HostError =>
    new HostError({
      code: 'options.bad-value',
      message: `${name} is ${JSON.stringify(value)}, expected ${expected}`,
      where,
      hint: field.help,
      exitCode: 65,
    });
  switch (field.type) {
    case 'quantity':
      if (typeof value !== 'number' || !Number.isFinite(value))
        throw refuse(`a number of ${field.unit}`);
      if (value < field.min || value > field.max)
        throw refuse(`${String(field.min)} to ${String(field.max)} ${field.unit}`);
      return value;
    case 'choice':
      if (typeof value !== 'string' || !field.choices.includes(value))
        throw refuse(`one of ${field.choices.join(', ')}`);
      return value;
    case 'flag':
      if (typeof value !== 'boolean') throw refuse('true or false');
      return value;
    case 'path':
      if (typeof value !== 'string') throw refuse('a path');
      return value;
  }
}

/** Fills in defaults and checks every value; an unknown name or a bad value is a `HostError` that says what would be right. */
export function resolveOptions<S extends OptionSchema>(
  schema: S,
  given: Readonly<Record<string, unknown>>,
  where: string,
): OptionsOf<S> {
  const resolved: Record<string, OptionValue> = {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(schema, name)) {
      throw new HostError({
        code: 'options.unknown-name',
        message: `${name} is not an option of ${where}`,
        where,
        hint: `It has ${Object.keys(schema).join(', ') || 'no options'}.`,
        exitCode: 65,
      });
    }
  }
  for (const [name, field] of Object.entries(schema)) {
    const value = given[name];
    resolved[name] = value === undefined ? field.default : checkOption(where, name, field, value);
  }
  return resolved as OptionsOf<S>;
}
