// SPDX-License-Identifier: GPL-2.0-only
/** Runs the terminal twin as a person does: `bin/diolab.mjs` in a process of its own, with a data folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
const program = join(root, 'bin/diolab.mjs');

export interface CliResult {
  readonly code: number | null;
  readonly out: string;
  readonly bytes: Buffer;
  readonly errors: string;
}
export interface RunningCli {
  readonly child: ChildProcess;
  /** All of standard output so far. */
  out(): string;
  errors(): string;
  readonly ended: Promise<CliResult>;
}

export class CliLab {
  /** Images and jobs of the test. */
  readonly folder = mkdtempSync(join(tmpdir(), 'diolab-cli-'));

  path(name: string): string {
    return join(this.folder, name);
  }
  start(...words: string[]): RunningCli {
    const child = spawn(process.execPath, [program, ...words], {
      cwd: this.folder,
      env: { ...process.env, DIOLAB_DATA: this.path('data') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const pieces: Buffer[] = [];
    let errors = '';
    child.stdout.on('data', (data: Buffer) => pieces.push(data));
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    const out = (): string => Buffer.concat(pieces).toString();
    const ended = new Promise<CliResult>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        resolve({ code, out: out(), bytes: Buffer.concat(pieces), errors });
      });
    });
    return { child, out, errors: () => errors, ended };
  }
  run(...words: string[]): Promise<CliResult> {
    return this.start(...words).ended;
  }
  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Asks every 20 ms until the answer is not null; gives up after `ms`. */
export async function waitFor<T>(ask: () => T | null, ms = 20_000): Promise<T> {
  const endMs = Date.now() + ms;
  for (;;) {
    const answer = ask();
    if (answer !== null) return answer;
    if (Date.now() > endMs) throw new Error(`nothing within ${String(ms)} ms`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
