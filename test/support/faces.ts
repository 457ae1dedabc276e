// SPDX-License-Identifier: GPL-2.0-only
/** What end-to-end specs share: the page with the scripted lab, axe, screenshots of every screen. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import type { Browser } from './browser.ts';
import { servePage } from './page-server.ts';

const root = join(import.meta.dirname, '..', '..');
export const THEMES = ['dark', 'light'] as const;
export type Theme = (typeof THEMES)[number];
export const SIZES = [
  [1280, 800],
  [1920, 1080],
] as const;

/** Builds the page with the scripted lab into a temporary folder and serves it. */
export async function serveScriptedLab(): Promise<{ address: string; close: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-page-'));
  await build({
    configFile: join(root, 'test/support/fake-lab/vite.config.ts'),
    logLevel: 'error',
    build: { outDir: folder },
  });
  const page = await servePage(folder);
  return {
    address: page.address,
    async close() {
      await page.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const axeSource = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
);

/** What axe finds on the page as it is, one line a finding. */
export async function axeFindings(browser: Browser): Promise<string[]> {
  // The driver's own scripts are not bound by the page's policy.
  await browser.run(`if (!window.axe) { ${axeSource} }`);
  return browser.runAsync<string[]>(`
    const done = arguments[arguments.length - 1];
    window.axe.run(document, { resultTypes: ['violations'] }).then(
      (found) => done(found.violations.flatMap((violation) =>
        violation.nodes.map((node) => violation.id + ': ' + node.target.join(' ') + ' ' +
          (node.any[0]?.message ?? node.failureSummary ?? '')))),
      (error) => done(['axe failed: ' + error]));
  `);
}

/** Elements whose text is cut without an ellipsis, or that stick out of the window. */
export const layoutFaults = (browser: Browser): Promise<string[]> =>
  browser.run<string[]>(`
    const faults = [];
    for (const element of document.querySelectorAll('button, h1, h2, h3, label, dt, dd, kbd, .chip')) {
      if (element.closest('.presets, .sr, svg, details:not([open])')) continue;
      const box = element.getBoundingClientRect();
      if (box.width === 0 || box.height === 0) continue;
      const style = getComputedStyle(element);
      const name = element.tagName + ' "' + element.innerText.slice(0, 30) + '"';
      if (box.right > innerWidth + 1) faults.push(name + ' sticks out of the window');
      if (element.scrollWidth > element.clientWidth + 1 && style.overflow === 'visible' && style.display !== 'inline')
        faults.push(name + ' is wider than its place');
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push('the page scrolls sideways');
    return faults;
  `);

/** Chooses a theme, and forgets the experiment that was set up. */
export async function prepare(browser: Browser, theme: Theme): Promise<void> {
  await browser.run(
    `
    localStorage.removeItem('diolab.experiment');
    localStorage.setItem('diolab.theme', JSON.stringify(arguments[0]));
  `,
    theme,
  );
}
