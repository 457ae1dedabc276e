// SPDX-License-Identifier: GPL-2.0-only
/** The real headless host for end-to-end specs: `diolab serve` on a free port with a data folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..', '..');
const START_MS = 180_000; // the first start builds what is not built

export interface Host {
  /** The one-time link of this start. */
  readonly link: string;
  readonly dataFolder: string;
  readonly pid: number;
  /** Ends the host; the data folder goes with it unless it was given. */
  close(): Promise<void>;
}

function waitForLink(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      reject(new Error(`the host did not print its link within ${String(START_MS)} ms:\n${text}`));
    }, START_MS);
    const take = (data: Buffer): void => {
      text += data.toString();
      const found = /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(text)?.[0];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the host ended with ${String(code)}:\n${text}`));
    });
  });
}

export async function startHost(
  options: { readonly dataFolder?: string; readonly port?: number } = {},
): Promise<Host> {
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), 'diolab-e2e-'));
  const arguments_ = [join(root, 'bin/diolab.mjs'), 'serve', '--port', String(options.port ?? 0)];
  const child = spawn(process.execPath, arguments_, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DIOLAB_DATA: dataFolder, NO_COLOR: '1' },
  });
  const link = await waitForLink(child);
  return {
    link,
    dataFolder,
    pid: child.pid ?? 0,
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(8000)]);
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      }
      if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}
