// SPDX-License-Identifier: GPL-2.0-only
/**
 * The same specs on both faces of the page: the app's own window where the Electron runtime, a display and a plain user are there (else
 * skipped, by name), and Chromium on the real headless host. DIOLAB_WINDOW=/opt/diolab/diolab drives an installed app in place of the
 * checkout's; $CHROMEDRIVER has to be of the runtime's own Chromium version.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { electronProgram } from '../../scripts/start.mjs';
import { Browser, type DrivenProgram } from '../support/browser.ts';
import { startHost } from '../support/host.ts';
import { describeWith } from '../support/tools.ts';

const root = join(import.meta.dirname, '..', '..');

interface Face {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** What is missing for the window; null: nothing. */
function whyNoWindow(): string | null {
  if (process.env['DIOLAB_WINDOW'] === undefined && electronProgram() === null) {
    return 'the Electron runtime is not here';
  }
  if (process.env['DISPLAY'] === undefined && process.env['WAYLAND_DISPLAY'] === undefined) {
    return 'there is no display';
  }
  return process.getuid?.() === 0 ? 'Chromium’s sandbox refuses root' : null;
}

async function openWindow(dataFolder: string): Promise<Face> {
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root });
  const installed = process.env['DIOLAB_WINDOW'];
  const program: DrivenProgram = {
    path: installed ?? electronProgram() ?? '',
    words: installed === undefined ? [root] : [],
    env: { ...process.env, DIOLAB_DATA: dataFolder },
  };
  const browser = await Browser.start(program);
  return { browser, close: () => browser.close() };
}
async function openPage(dataFolder: string): Promise<Face> {
  const host = await startHost({ dataFolder });
  const browser = await Browser.start();
  await browser.setSize(1280, 800);
  await browser.open(host.link);
  return {
    browser,
    async close() {
      await browser.close();
      await host.close();
    },
  };
}

function specs(isWindow: boolean, open: (dataFolder: string) => Promise<Face>): void {
  let dataFolder: string;
  let face: Face;
  beforeAll(async () => {
    dataFolder = mkdtempSync(join(tmpdir(), 'diolab-window-'));
    face = await open(dataFolder);
    await face.browser.waitFor('.board', 60_000);
  }, 300_000);
  afterAll(async () => {
    await face?.close();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  it('shows the Lab, ready to run', async () => {
    await face.browser.until(
      'document.querySelector(".btn.primary.act:not(:disabled)")',
      'a run that is possible',
    );
    expect(await face.browser.run<string>('return document.title')).toBe('Lab · diolab');
  });
  it('has nothing of Node or Electron in the page', async () => {
    const found = await face.browser.run<string[]>(
      'return ["require", "process", "module", "Buffer", "electron"].filter((name) => name in window)',
    );
    expect(found).toEqual([]);
    const bridge = await face.browser.run<string[]>('return Object.keys(window.diolab ?? {})');
    expect(bridge.includes('requestPort')).toBe(isWindow);
  });
  it('loads nothing from elsewhere', async () => {
    const answer = await face.browser.runAsync<string>(`
      const done = arguments[arguments.length - 1];
      fetch('https://example.org/').then(() => done('loaded'), () => done('refused'));
    `);
    expect(answer).toBe('refused');
  });
  it('runs an experiment to its end, and tells so in the title', async () => {
    await face.browser.press('Control+Enter');
    await face.browser.until('/▸|%/.test(document.title)', 'the run in the title', 30_000);
    await face.browser.press('Escape');
    await face.browser.until('!/▸|%/.test(document.title)', 'the end of the run', 90_000);
  });
  it('opens every screen by its key', async () => {
    for (const [key, title] of [
      ['Alt+2', 'Images'],
      ['Alt+3', 'Runs'],
      ['Alt+1', 'Lab'],
    ] as const) {
      await face.browser.press(key);
      await face.browser.until(`document.title.includes(${JSON.stringify(title)})`, title);
    }
  });
}

const why = whyNoWindow();
describe.skipIf(why !== null && process.env['DIOLAB_REQUIRE_WINDOW'] !== '1')(
  `the app’s own window${why === null ? '' : ` (skipped: ${why})`}`,
  () => {
    specs(true, openWindow);
  },
);

describeWith(['chromium', 'chromedriver'], 'the page in a browser', () => {
  specs(false, openPage);
});
