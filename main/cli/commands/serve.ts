// SPDX-License-Identifier: GPL-2.0-only
/** serve: the lab for a browser on this machine, until Ctrl+C. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startWebHost } from '../../headless/server.ts';
import { makeServices } from '../../services/index.ts';
import { EXIT } from '../errors.ts';
import type { ServeOptions } from '../program.ts';
import { parseWhole } from '../size.ts';
import { line, type Terminal } from '../terminal.ts';

const OPENERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
};

/** The program that opens an address here; null where there is no display to open it on. */
export function openerFor(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] | null {
  const known = OPENERS[platform];
  if (known !== undefined) return known;
  const hasDisplay = Boolean(env['DISPLAY'] ?? '') || Boolean(env['WAYLAND_DISPLAY'] ?? '');
  return hasDisplay ? ['xdg-open'] : null;
}

/** Opens the link; where that fails the printed link is still there. */
function openLink(link: string, terminal: Terminal): void {
  const opener = openerFor(process.platform, process.env);
  if (opener === null) return;
  const [program = '', ...words] = opener;
  const child = spawn(program, [...words, link], { stdio: 'ignore', detached: true });
  child.on('error', (error) => {
    terminal.error(line(`diolab: no browser was opened (${error.message}); use the address above`));
  });
  child.unref();
}

export async function serve(terminal: Terminal, options: ServeOptions): Promise<number> {
  const port = options.port === undefined ? 0 : parseWhole(options.port, '--port', 0, 65_535);
  const log = (text: string): void => {
    terminal.error(line(text));
  };
  const services = await makeServices({ face: 'browser', version: terminal.version });
  try {
    const pageFolder = fileURLToPath(new URL('../renderer/', import.meta.url));
    const { version } = terminal;
    const host = await startWebHost({ services, version, pageFolder, port, log });
    try {
      const link = host.newLink();
      await terminal.out(line(`diolab is at ${link}`));
      terminal.error(line('The link works once. Press Enter for another one, Ctrl+C to stop.'));
      if (options.open) openLink(link, terminal);
      await untilStopped(terminal, () => line(`diolab is at ${host.newLink()}`));
    } finally {
      await host.close();
    }
  } finally {
    await services.close();
  }
  return EXIT.ok;
}

/** Settles at the signal; on a terminal, each Enter prints a fresh link. */
function untilStopped(terminal: Terminal, freshLink: () => string): Promise<void> {
  const { signal } = terminal;
  if (signal.aborted) return Promise.resolve();
  const onLine = (): void => void terminal.out(freshLink());
  const isTyped = process.stdin.isTTY;
  if (isTyped) process.stdin.on('data', onLine);
  return new Promise((done) => {
    // A timer keeps the process alive, whatever the server does.
    const alive = setInterval(() => undefined, 60_000);
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(alive);
        if (isTyped) {
          process.stdin.off('data', onLine);
          process.stdin.pause();
        }
        done();
      },
      { once: true },
    );
  });
}
