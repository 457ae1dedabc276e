// SPDX-License-Identifier: GPL-2.0-only
/** Runs a program of the host on a file: without a shell, in the C locale, its output kept, ended by a signal. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';

const OUTPUT_MAX = 1024 * 1024;
/** Where Debian keeps them, off the PATH of a plain user. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/** Where a program lies; null: it is not installed. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  for (const folder of folders.filter(isAbsolute)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue; // not there, or not for us
    }
  }
  return null;
}

/** The program's path, or a refusal that names the Debian package that brings it. */
export function requireProgram(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path !== null) return path;
  throw new HostError({
    code: 'host.missing-program',
    message: `${name} is not installed`,
    where: name,
    hint: `Debian has it in the package ${debianPackage}: sudo apt install ${debianPackage}`,
    exitCode: 78,
  });
}

export interface Ran {
  readonly exitCode: number;
  /** Standard output and standard error, as they came; the middle of very long ones is left out. */
  readonly output: string;
  readonly elapsedMs: number;
}

/** Keeps the beginning and the end of a long text. */
class Output {
  private head = '';
  private tail = '';
  private dropped = 0;

  add(text: string): void {
    const room = OUTPUT_MAX / 2 - this.head.length;
    this.head += text.slice(0, Math.max(0, room));
    this.tail += text.slice(Math.max(0, room));
    const excess = this.tail.length - OUTPUT_MAX / 2;
    if (excess <= 0) return;
    this.tail = this.tail.slice(excess);
    this.dropped += excess;
  }
  text(): string {
    const gap = this.dropped === 0 ? '' : `\n[${String(this.dropped)} characters left out]\n`;
    return this.head + gap + this.tail;
  }
}

/** Runs it to its end. Aborting ends the program and rejects with 'call.aborted'. */
export function runProgramOfHost(
  path: string,
  words: readonly string[],
  signal?: AbortSignal,
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(aborted(path));
      return;
    }
    const startMs = performance.now();
    const child = spawn(path, [...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', LANG: 'C' },
    });
    const output = new Output();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output.add(text);
      });
    }
    const onAbort = (): void => {
      child.kill('SIGTERM');
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    child.once('error', (error) => {
      signal?.removeEventListener('abort', onAbort);
      reject(
        new HostError({ code: 'host.program', message: error.message, where: path, exitCode: 74 }),
      );
    });
    child.once('close', (code, ended) => {
      signal?.removeEventListener('abort', onAbort);
      const elapsedMs = performance.now() - startMs;
      if (signal?.aborted === true) reject(aborted(path));
      else if (code === null) reject(endedBy(path, ended, output.text()));
      else resolve({ exitCode: code, output: output.text(), elapsedMs });
    });
  });
}

const aborted = (path: string): HostError =>
  new HostError({
    code: 'call.aborted',
    message: `${path} was ended before it was done`,
    exitCode: 130,
  });

const endedBy = (path: string, signal: string | null, output: string): HostError =>
  new HostError({
    code: 'host.program',
    message: `${path} was ended by signal ${signal ?? 'unknown'}`,
    where: path,
    hint: output.trim().split('\n').slice(-2).join(' ').slice(0, 400),
    exitCode: 74,
  });
