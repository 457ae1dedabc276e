// SPDX-License-Identifier: GPL-2.0-only
/** How adapters run programs of the machine: with arguments, their whole output kept, found in /sbin too. */
import { spawnSync } from 'node:child_process';
import { findProgram } from '../../support/tools.ts';
import type { ImageVariant } from './contract.ts';

export interface ProgramEnd {
  readonly status: number;
  /** Output and errors. */
  readonly text: string;
}

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Runs a program to its end, whatever its status is; one that cannot be started is an error. */
export function runProgram(name: string, args: readonly string[], input = ''): ProgramEnd {
  const found = spawnSync(findProgram(name) ?? name, args, {
    encoding: 'utf8',
    input,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC', MTOOLS_SKIP_CHECK: '1' },
  });
  if (found.error !== undefined) throw found.error;
  return { status: found.status ?? -1, text: `${found.stdout}${found.stderr}` };
}

/** Runs a program that has to succeed; what it printed. */
export function expectProgram(name: string, args: readonly string[], input = ''): string {
  const { status, text } = runProgram(name, args, input);
  if (status === 0) return text;
  throw new Error(`${name} ${args.join(' ')} ended with ${String(status)}: ${text}`);
}

/** The real mkfs of a variant on an existing file. */
export function makeByTool(variant: ImageVariant, path: string): void {
  if (variant.mkfs === null) throw new Error(`${variant.name} is made by our own format`);
  const [program = '', ...args] = variant.mkfs;
  expectProgram(
    program,
    args.map((word) => (word === '{image}' ? path : word)),
  );
}
