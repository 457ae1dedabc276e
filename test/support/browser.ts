// SPDX-License-Identifier: GPL-2.0-only
/**
 * A browser under test: Chromium, or the app's own window where the Electron runtime is, driven by Spectron in attach mode. The only file
 * that knows of Spectron and Chromium, so that either can be replaced. Everything that it starts ends with `close`: the browser by its process group, its profile with it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(import.meta.url);

/** The part of Spectron's client (WebdriverIO) that the specs use. */
interface WireElement {
  click(): Promise<void>;
  isExisting(): Promise<boolean>;
}
interface WireClient {
  url(address: string): Promise<void>;
  $(selector: string): Promise<WireElement>;
  execute<T>(script: string, ...values: unknown[]): Promise<T>;
  executeAsync<T>(script: string, ...values: unknown[]): Promise<T>;
  keys(keys: string | readonly string[]): Promise<void>;
  takeScreenshot(): Promise<string>;
  sendCommand(command: string, values: object): Promise<void>;
  getLogs(kind: string): Promise<{ level: string; message: string }[]>;
}
interface SpectronApplication {
  client: WireClient;
  start(): Promise<unknown>;
  chromeDriver: { stop(): void };
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => {
        resolve(port);
      });
    });
  });

/** Chromium's own name on this machine, or null where it has none. */
export const findChromium = (): string | null =>
  [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
    .find((path) => path !== undefined && existsSync(path)) ?? null; // prettier-ignore

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-dev-shm-usage', '--hide-scrollbars', '--font-render-hinting=none',
]; // prettier-ignore

/** A program of Chromium's kind that is to be driven. */
export interface DrivenProgram {
  readonly path: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}
function chromium(): DrivenProgram {
  const path = findChromium();
  if (path === null) throw new Error('there is no Chromium: apt-get install chromium');
  return { path, words: [...FLAGS, 'about:blank'] };
}

async function startProgram(
  { path, words, env = process.env }: DrivenProgram,
  profile: string,
): Promise<{ child: ChildProcess; port: number }> {
  const flags = ['--remote-debugging-port=0', `--user-data-dir=${profile}`];
  const child = spawn(path, [...words, ...flags], { stdio: 'ignore', detached: true, env });
  const portFile = join(profile, 'DevToolsActivePort');
  for (let waited = 0; waited < 30_000; waited += 50) {
    if (child.exitCode !== null) throw new Error(`${path} ended with ${String(child.exitCode)}`);
    const text = existsSync(portFile) ? readFileSync(portFile, 'utf8') : '';
    if (text.includes('\n')) return { child, port: Number(text.split('\n')[0]) };
    await sleep(50);
  }
  throw new Error(`${path} did not open its debugging port within 30 s`);
}

/** Ends the browser and everything that it started: its own process group. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  try {
    process.kill(-child.pid, 'SIGTERM');
    await Promise.race([gone, sleep(3000)]);
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export class Browser {
  private constructor(
    private readonly app: SpectronApplication,
    private readonly chromium: ChildProcess,
    private readonly profile: string,
  ) {}

  static async start(program: DrivenProgram = chromium()): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'diolab-browser-'));
    const { child, port } = await startProgram(program, profile);
    const { Application } = require('spectron') as {
      Application: new (options: object) => SpectronApplication;
    };
    const app = new Application({
      debuggerAddress: `127.0.0.1:${String(port)}`,
      port: await freePort(),
      startTimeout: 20_000,
      quitTimeout: 100,
      webdriverOptions: { logLevel: 'error' },
    });
    try {
      await app.start();
    } catch (error) {
      await endGroup(child);
      rmSync(profile, { recursive: true, force: true });
      throw error;
    }
    return new Browser(app, child, profile);
  }
  async close(): Promise<void> {
    this.app.chromeDriver.stop();
    await endGroup(this.chromium);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      try {
        rmSync(this.profile, { recursive: true, force: true });
        return;
      } catch {
        await sleep(100); // the browser's last helper may still write
      }
    }
  }
  private get client(): WireClient {
    return this.app.client;
  }
  open(address: string): Promise<void> {
    return this.client.url(address);
  }
  /** Runs the body of a function in the page; `arguments` are the values. */
  run<T>(script: string, ...values: unknown[]): Promise<T> {
    return this.client.execute<T>(script, ...values);
  }
  /** As `run`; the page calls its last argument with the result. */
  runAsync<T>(script: string, ...values: unknown[]): Promise<T> {
    return this.client.executeAsync<T>(script, ...values);
  }
  async setSize(width: number, height: number): Promise<void> {
    await this.client.sendCommand('Emulation.setDeviceMetricsOverride', {
      width, height, deviceScaleFactor: 1, mobile: false,
    }); // prettier-ignore
  }
  async setReducedMotion(isReduced: boolean): Promise<void> {
    await this.client.sendCommand('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-reduced-motion', value: isReduced ? 'reduce' : '' }],
    });
  }
  /** Presses keys one after another; 'Control+Enter' is a chord. Names are WebDriver's. */
  async press(...chords: readonly string[]): Promise<void> {
    // The client holds down all keys of one call together, so each chord is a call of its own.
    for (const chord of chords)
      await this.client.keys(chord.length > 1 ? chord.split('+') : [chord]);
  }
  /** Replaces the text of a field as a person does. */
  async type(selector: string, text: string): Promise<void> {
    const isFocused = `document.activeElement === document.querySelector(${JSON.stringify(selector)})`;
    // What arrives from the host may move the field under the click.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await this.click(selector);
      if (await this.run<boolean>(`return ${isFocused}`)) break;
    }
    await this.until(isFocused, `the focus in ${selector}`);
    await this.press('Control+a', ...text);
  }
  async click(selector: string): Promise<void> {
    await this.waitFor(selector);
    await (await this.client.$(selector)).click();
  }
  has(selector: string): Promise<boolean> {
    return this.run<boolean>('return document.querySelector(arguments[0]) !== null', selector);
  }
  text(selector = 'body'): Promise<string> {
    return this.run<string>(
      'return document.querySelector(arguments[0])?.innerText ?? ""',
      selector,
    );
  }
  /** Waits until a script in the page gives something true. */
  async until(script: string, what: string, timeoutMs = 15_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (Date.now() < end) {
      if (await this.run<boolean>(`return Boolean(${script})`)) return;
      await sleep(60);
    }
    throw new Error(
      `waited ${String(timeoutMs)} ms for: ${what}. The page says:\n${await this.text()}`,
    );
  }
  waitFor(selector: string, timeoutMs?: number): Promise<void> {
    return this.until(`document.querySelector(${JSON.stringify(selector)})`, selector, timeoutMs);
  }
  waitForText(text: string, timeoutMs?: number): Promise<void> {
    return this.until(`document.body.innerText.includes(${JSON.stringify(text)})`, text, timeoutMs);
  }
  async screenshot(file: string): Promise<void> {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(await this.client.takeScreenshot(), 'base64'));
  }
  /** What the console said since the last call: warnings and errors. */
  async complaints(): Promise<string[]> {
    const logs = await this.client.getLogs('browser');
    return logs
      .filter((log) => log.level === 'SEVERE' || log.level === 'WARNING')
      .map((log) => log.message);
  }
}
