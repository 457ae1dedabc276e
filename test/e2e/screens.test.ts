// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every screen and state with the scripted lab, in both themes: axe finds nothing, nothing is cut or sticks out, the console is quiet
 * under the page's own policy. Screenshots of all of them are kept in test-results/screens.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.ts';
import {
  axeFindings, layoutFaults, prepare, serveScriptedLab, SIZES, THEMES, type Theme,
} from '../support/faces.ts'; // prettier-ignore
import { describeWith } from '../support/tools.ts';

const shots = join(import.meta.dirname, '..', '..', 'test-results', 'screens');

interface Screen {
  readonly name: string;
  readonly fake: string;
  readonly path: string;
  /** A selector that is there when the screen is. */
  readonly ready: string;
  act?(browser: Browser): Promise<void>;
}
const clickOf = (selector: string) => (browser: Browser) => browser.click(selector);
const screens: readonly Screen[] = [
  { name: 'lab-first', fake: 'first', path: '#/', ready: '.board' },
  { name: 'lab-small-units', fake: 'plain', path: '#/', ready: '.board',
    act: async (browser) => { await browser.click('.chip:nth-child(2)'); await browser.waitForText('passes in 512'); } },
  { name: 'lab-refused', fake: 'plain', path: '#/', ready: '.board',
    act: async (browser) => { await browser.click('.chip:nth-child(4)'); await browser.waitForText('refused: EINVAL'); } },
  { name: 'lab-loading', fake: 'slow', path: '#/', ready: '.state.loading' },
  { name: 'lab-host-refuses', fake: 'refused', path: '#/', ready: '.board' },
  { name: 'lab-connection-lost', fake: 'lost', path: '#/', ready: '.lost' },
  { name: 'image-known', fake: 'plain', path: '#/', ready: '.pick', act: clickOf('.pick') },
  { name: 'image-make', fake: 'plain', path: '#/', ready: '.pick',
    act: async (browser) => { await browser.click('.pick'); await browser.waitFor('.tab'); await browser.press('Tab', 'ArrowRight', 'ArrowRight'); await browser.waitFor('#make-name'); } },
  { name: 'job-text', fake: 'plain', path: '#/', ready: '.board',
    act: async (browser) => { await browser.press('Control+j'); await browser.until('document.querySelector("textarea")?.value.includes("io_uring")', 'the text'); } },
  { name: 'palette', fake: 'plain', path: '#/', ready: '.board',
    act: async (browser) => { await browser.press('Control+k'); await browser.waitFor('.palette'); } },
  { name: 'keys', fake: 'plain', path: '#/', ready: '.board',
    act: async (browser) => { await browser.press('?'); await browser.waitFor('.dialog'); } },
  { name: 'runs', fake: 'plain', path: '#/runs', ready: '.row' },
  { name: 'runs-empty', fake: 'first', path: '#/runs', ready: '.state.empty' },
  { name: 'runs-refused', fake: 'refused', path: '#/runs', ready: '.state.error' },
  { name: 'run', fake: 'million', path: '#/runs/past-run-3', ready: '[data-drawn]' },
  { name: 'run-unfinished', fake: 'plain', path: '#/runs/past-run-5', ready: '.state.impossible' },
  { name: 'microscope', fake: 'plain', path: '#/microscope?op=read&offset=1536&length=4096', ready: '.answer' },
  { name: 'microscope-refused', fake: 'plain', path: '#/microscope?op=read&offset=100&length=4096', ready: '.result.bad' },
  { name: 'host', fake: 'plain', path: '#/host', ready: '.fact' },
  { name: 'host-refused', fake: 'refused', path: '#/host', ready: '.state.error' },
]; // prettier-ignore

describeWith(['chromium', 'chromedriver'], 'every screen', () => {
  let browser: Browser;
  let page: Awaited<ReturnType<typeof serveScriptedLab>>;
  beforeAll(async () => {
    [browser, page] = await Promise.all([Browser.start(), serveScriptedLab()]);
    await browser.setSize(1280, 800);
    await browser.setReducedMotion(true);
    await browser.open(page.address);
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await page?.close();
  });

  async function show(screen: Screen, theme: Theme): Promise<void> {
    await prepare(browser, theme);
    await browser.open('about:blank');
    await browser.open(`${page.address}?fake=${screen.fake}${screen.path}`);
    await browser.waitFor(screen.ready);
    await screen.act?.(browser);
    await browser.run('return document.fonts.ready.then(() => true)');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }

  describe.each(THEMES)('in the %s theme', (theme) => {
    it.each(screens)('$name is complete, readable and quiet', async (screen) => {
      await browser.setSize(1280, 800);
      await show(screen, theme);
      expect(await axeFindings(browser)).toEqual([]);
      for (const [width, height] of SIZES) {
        await browser.setSize(width, height);
        await new Promise((resolve) => setTimeout(resolve, 250));
        expect(await layoutFaults(browser)).toEqual([]);
        await browser.screenshot(join(shots, `${screen.name}-${theme}-${String(width)}.png`));
      }
      expect(await browser.complaints()).toEqual([]);
    });
  });

  it('zooms a million points by dragging and resets by a double click', async () => {
    await browser.setSize(1280, 800);
    await show(screens.find((screen) => screen.name === 'run') as Screen, 'dark');
    const drawn = (): Promise<number> =>
      browser.run<number>(
        'return Number(document.querySelector("canvas[data-drawn]")?.dataset.drawn)',
      );
    expect(await drawn()).toBe(1_000_000);
    const drag = (type: string, x: number, y: number): Promise<void> =>
      browser.run(
        `
        const canvas = document.querySelector('canvas[data-drawn]');
        canvas.setPointerCapture = () => undefined;
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new PointerEvent(arguments[0], { bubbles: true, button: 0, pointerId: 1,
          clientX: box.left + box.width * arguments[1], clientY: box.top + box.height * arguments[2] }));
      `,
        type,
        x,
        y,
      );
    await drag('pointerdown', 0.25, 0);
    await drag('pointermove', 0.75, 1);
    await drag('pointerup', 0.75, 1);
    await browser.until(
      'Number(document.querySelector("canvas[data-drawn]").dataset.drawn) < 600000',
      'the zoomed view',
    );
    expect(await drawn()).toBeGreaterThan(400_000);
    expect(await browser.text('.throughput')).toContain('Reset zoom');
    await browser.run(
      'document.querySelector("canvas[data-drawn]").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))',
    );
    await browser.until(
      'Number(document.querySelector("canvas[data-drawn]").dataset.drawn) === 1000000',
      'the whole again',
    );
  });

  it('moves nothing when a run starts', async () => {
    await browser.setSize(1280, 800);
    await show(screens.find((screen) => screen.name === 'lab-small-units') as Screen, 'dark');
    const places = (): Promise<string> =>
      browser.run<string>(`return JSON.stringify([...document.querySelectorAll('.card, .input, .btn.act, .segments, footer')]
        .map((element) => { const b = element.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round); }))`);
    const before = await places();
    await browser.press('Control+Enter');
    await browser.waitFor('.btn.stop');
    await browser.until(
      'document.querySelector("[data-tile=iops] .value").innerText !== "–"',
      'the first numbers',
    );
    expect(await places()).toBe(before);
    await browser.press('Escape');
    await browser.waitForText('Stopped after');
    expect(await places()).toBe(before);
  });
});
