// SPDX-License-Identifier: GPL-2.0-only
/** bench: runs scripts/bench.mjs of the checkout, in a process of its own so that nothing of this one is measured. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HostError } from '../../../engine/base/index.ts';
import { EXIT } from '../errors.ts';
import type { Terminal } from '../terminal.ts';

export async function bench(
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<number> {
  const script = fileURLToPath(new URL('../../scripts/bench.mjs', import.meta.url));
  if (!existsSync(script)) {
    throw new HostError({
      code: 'bench.no-checkout',
      message: 'The bench is part of the sources and is not installed',
      hint: 'Clone the repository and run `npm run bench` there.',
      exitCode: EXIT.configuration,
    });
  }
  const words = [script, ...(options.json ? ['--json'] : [])];
  const child = spawn(process.execPath, words, { stdio: 'inherit' });
  const stop = (): void => void child.kill('SIGTERM');
  terminal.signal.addEventListener('abort', stop, { once: true });
  const status = await new Promise<number>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => {
      done(code ?? EXIT.interrupted);
    });
  });
  terminal.signal.removeEventListener('abort', stop);
  return status;
}
