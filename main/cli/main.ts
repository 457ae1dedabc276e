// SPDX-License-Identifier: GPL-2.0-only
/**
 * The terminal twin: the same services as the window and the browser, in this process. `bin/diolab.mjs` calls `main` with the words of
 * the command line and exits with what it returns. Nothing heavy may be imported here: it is on the path of `--help`.
 *
 *   words --runProgram--> command --terminal.session()--> services --> engine process
 *   SIGINT, SIGTERM, SIGHUP, a closed reader --> signal --> the command cancels and returns 130; a second SIGINT ends at once
 */
import { readFileSync } from 'node:fs';
import { errorText, EXIT, exitCodeOf } from './errors.ts';
import { showsColours } from './paint.ts';
import { runProgram } from './program.ts';
import type { Session } from './session.ts';
import type { Terminal } from './terminal.ts';

/** package.json lies two folders up, from the sources and from the built file alike. */
function versionOf(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Writes to a stream of this process and waits where its reader is slow. */
function writeTo(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  return new Promise((done) => {
    // Settles in any case: an ended reader is told by the stream's 'error', which aborts the signal.
    stream.write(data, () => {
      done();
    });
  });
}

interface Started {
  readonly terminal: Terminal;
  close(): Promise<void>;
}

function startTerminal(version: string): Started {
  const abort = new AbortController();
  let opening: Promise<Session> | null = null;
  let asked = 0;
  const onSignal = (): void => {
    asked += 1;
    if (asked > 1) process.exit(EXIT.interrupted);
    abort.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  const endAtSignals = (): void => {
    for (const name of signals) process.removeListener(name, onSignal);
  };
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      abort.abort();
    });
  }
  const terminal: Terminal = {
    version,
    out: (data) => writeTo(process.stdout, data),
    error: (text) => void process.stderr.write(text),
    isInteractive: process.stderr.isTTY,
    // 0 or undefined where the terminal does not say.
    columns: process.stderr.columns || 80,
    hasColours: showsColours(process.stdout.isTTY, process.env),
    signal: abort.signal,
    endAtSignals,
    session: () =>
      (opening ??= import('./open-session.ts').then(({ openSession }) => openSession(version))),
  };
  return {
    terminal,
    close: async () => {
      if (opening !== null) {
        // Where it did not open, the command has told so already.
        const session = await opening.catch(() => null);
        await session?.close();
      }
      endAtSignals();
    },
  };
}

/** Runs a command line; gives the exit code of product.md. */
export async function main(words: readonly string[]): Promise<number> {
  const version = versionOf();
  const started = startTerminal(version);
  const { terminal } = started;
  let code: number;
  try {
    code = await runProgram(terminal, words.length === 0 ? ['--help'] : words);
  } catch (error) {
    if (terminal.signal.aborted) code = EXIT.interrupted;
    else {
      const { hostErrorOf } = await import('../contract/client.ts');
      const data = hostErrorOf(error);
      terminal.error(errorText(data));
      code = exitCodeOf(data);
    }
  }
  await started.close();
  return code;
}
