// SPDX-License-Identifier: GPL-2.0-only
/** conform: scenarios in the golden format through the engine, in this thread; exit code 1 where a trace differs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HostError } from '../../../engine/base/index.ts';
import { conformLines } from '../../../engine/lab/conformance/index.ts';
import { EXIT } from '../errors.ts';
import type { ConformOptions } from '../program.ts';
import { line, type Terminal } from '../terminal.ts';

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new HostError({
      code: 'conform.cannot-read',
      message:
        code === 'ENOENT' ? `There is no file ${file}` : `${file} cannot be read: ${message}`,
      where: file,
      hint: 'Name a file of scenarios, one JSON object a line.',
      exitCode: code === 'EACCES' ? EXIT.permission : EXIT.noInput,
    });
  }
}

export async function conform(
  terminal: Terminal,
  file: string,
  options: ConformOptions,
): Promise<number> {
  const lines = readLines(file);
  terminal.endAtSignals();
  const { exitCode } = conformLines(
    lines,
    {
      fileName: file,
      detail: options.detail,
      json: options.json,
      print: options.print,
      ...(options.revision !== undefined && { revision: options.revision }),
    },
    (bytes) => createHash('sha256').update(bytes).digest('hex'),
    (text) => void terminal.out(line(text)),
  );
  return Promise.resolve(exitCode);
}
