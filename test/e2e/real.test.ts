// SPDX-License-Identifier: GPL-2.0-only
/**
 * The page on the real headless host, as a newcomer meets it: first start, preset, run, verdict; a refused alignment; stopping; the
 * list with undo; a tour by keyboard alone; a host that goes away and comes back.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from '../support/browser.ts';
import { axeFindings, THEMES } from '../support/faces.ts';
import { startHost, type Host } from '../support/host.ts';
import { describeWith } from '../support/tools.ts';

const shots = join(import.meta.dirname, '..', '..', 'test-results', 'real');
/** The README's pictures: `DIOLAB_SCREENSHOTS=1 npx vitest run --project e2e test/e2e/real.test.ts` makes them anew. */
const pictures = join(import.meta.dirname, '..', '..', 'docs', 'screenshots');
const RUN_MS = 90_000;

describeWith(['chromium', 'chromedriver'], 'the page on the real host', () => {
  let browser: Browser;
  let host: Host;
  const dataFolder = mkdtempSync(join(tmpdir(), 'diolab-e2e-'));
  beforeAll(async () => {
    host = await startHost({ dataFolder });
    browser = await Browser.start();
    await browser.setSize(1280, 800);
    await browser.setReducedMotion(true);
    await browser.open(host.link);
    await browser.waitFor('.board', 60_000);
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  async function type(selector: string, text: string): Promise<void> {
    await browser.type(selector, text);
    await browser.press('Tab');
  }
  async function keep(name: string): Promise<void> {
    await browser.run('return document.fonts.ready.then(() => true)');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await browser.screenshot(join(shots, `${name}.png`));
    if (process.env['DIOLAB_SCREENSHOTS'] === '1')
      await browser.screenshot(join(pictures, `${name}.png`));
  }
  const canRun = (): Promise<void> =>
    browser.until(
      'document.querySelector(".btn.primary.act:not(:disabled)")',
      'a run that is possible',
    );

  it('takes the token out of the address and says what will happen', async () => {
    expect(await browser.run<string>('return location.href')).not.toContain('token');
    expect(await browser.run<string>('return document.cookie')).toBe('');
    await canRun();
    expect(await browser.text('.side')).toContain('What will happen');
  });

  it('runs the first preset in one click, live, with a verdict from evidence', async () => {
    await type('#load-length', '3');
    await canRun();
    await browser.click('.btn.primary.act');
    await browser.waitFor('.btn.stop');
    await browser.until(
      'document.querySelector("[data-tile=iops] .value").innerText !== "–"',
      'live IOPS',
      RUN_MS,
    );
    await browser.screenshot(join(shots, 'live.png'));
    await browser.waitForText('Finished after 3.', RUN_MS);
    await browser.waitFor('[data-drawn]');
    const side = await browser.text('.side');
    expect(side).toContain('Verdict');
    expect(side.toLowerCase()).toMatch(/direct/);
    expect(await browser.text('[data-fact=requests]')).toMatch(/\d/);
    expect(await browser.text('[data-tile=p999]')).toMatch(/(µs|ms|s)/);
    await browser.screenshot(join(shots, 'done.png'));
    expect(await browser.complaints()).toEqual([]);
  });

  it('says at once why a request is refused, and the nearest that passes', async () => {
    await type('#align-offset', '100');
    await browser.waitForText('refused: EINVAL');
    expect(await browser.text('#alignment ~ .near, .near')).toContain('Nearest');
    await browser.screenshot(join(shots, 'refused.png'));
    await browser.click('.near button');
    await browser.waitForText('passes in');
    await browser.press('Escape');
    await browser.click('[aria-label=Undo]');
    await browser.waitForText('refused: EINVAL');
    await browser.click('[aria-label=Undo]');
    await browser.waitForText('passes in');
  });

  it('stops within a moment, and keeps what was measured', async () => {
    await type('#load-length', '60');
    await canRun();
    await browser.press('Control+Enter');
    await browser.until(
      'document.querySelector("[data-tile=iops] .value").innerText !== "–" && document.querySelector(".btn.stop")',
      'a live run',
      RUN_MS,
    );
    await browser.until(
      '/^[1-9]/.test(document.querySelector(".foot .time").innerText)',
      'a second of it',
      RUN_MS,
    );
    await browser.press('Escape');
    await browser.waitForText('Stopped after', 30_000);
    await browser.waitFor('.btn.primary.act');
  });

  it('lists the runs, deletes one and undoes it', async () => {
    await browser.run('location.hash = "#/runs"');
    await browser.waitFor('.row');
    await browser.until('document.querySelectorAll(".row").length === 2', 'two runs');
    expect(await browser.text('.runs')).toContain('stopped');
    await browser.run('document.querySelector(".row a").focus()');
    await browser.press('Delete');
    await browser.until('document.querySelectorAll(".row").length === 1', 'one run');
    await browser.click('.toast .btn');
    await browser.until('document.querySelectorAll(".row").length === 2', 'both again');
  });

  it('opens a run again with its requests', async () => {
    await browser.run(
      '[...document.querySelectorAll(".row")].find((row) => row.innerText.includes("finished")).querySelector("a").click()',
    );
    await browser.waitFor('.asked');
    await browser.waitFor('[data-drawn]');
    expect(
      await browser.run<number>(
        'return Number(document.querySelector("[data-drawn]").dataset.drawn)',
      ),
    ).toBeGreaterThan(0);
  });

  it('explains a request step by step', async () => {
    await browser.run('location.hash = "#/microscope?op=read&offset=1536&length=4096"');
    await browser.waitFor('.answer .steps li', 30_000);
    expect(await browser.text('.answer')).toContain('fs/direct-io.c');
    expect(await browser.text('.result')).toContain('Passes');
    await browser.run('location.hash = "#/microscope?op=read&offset=100&length=4096"');
    await browser.waitFor('.result.bad', 30_000);
    expect(await browser.text('.result')).toContain('EINVAL');
  });

  it('does the main job by keyboard alone', async () => {
    await browser.press('Alt+1');
    await browser.waitFor('.board');
    await browser.press('Control+k');
    await browser.waitFor('.palette');
    await browser.press(...'first light', 'Enter');
    await browser.until('!document.querySelector(".palette")', 'the palette has gone');
    await browser.run('document.querySelector(".screen").focus()');
    let found = false;
    for (let step = 0; step < 60 && !found; step += 1) {
      await browser.press('Tab');
      found = await browser.run<boolean>('return document.activeElement?.id === "load-length"');
    }
    expect(found).toBe(true);
    expect(
      await browser.run<string>('return getComputedStyle(document.activeElement).outlineStyle'),
    ).toBe('solid');
    await browser.press('Control+a', '1', 'Tab');
    await canRun();
    await browser.press('Control+Enter');
    await browser.waitFor('.btn.stop');
    await browser.waitForText('Finished after 1.', RUN_MS);
    await browser.press('Alt+3');
    await browser.until('document.querySelectorAll(".row").length === 3', 'three runs');
  });

  it.each(THEMES)('has nothing for axe to find after a run, in the %s theme', async (theme) => {
    await browser.press('Control+k');
    await browser.waitFor('.palette');
    await browser.press(...`${theme} theme`, 'Enter');
    await browser.until(`document.documentElement.dataset.theme === "${theme}"`, 'the theme');
    const newest = await browser.run<string>(
      'return document.querySelector(".row a")?.getAttribute("href") ?? "#/runs"',
    );
    const screens = [
      ['lab', '#/', '.board'],
      ['runs', '#/runs', '.row'],
      ['run', newest, '.board'],
      ['microscope', '#/microscope', '.answer'],
      ['host', '#/host', '.fact'],
      ['runs', '#/runs', '.row'],
    ] as const;
    for (const [name, path, ready] of screens) {
      await browser.run('location.hash = arguments[0]', path);
      await browser.waitFor(ready, 30_000);
      if (name === 'lab' || name === 'run') await browser.waitFor('[data-drawn]', 30_000);
      expect(await axeFindings(browser)).toEqual([]);
      await keep(`${name}-${theme}`);
    }
  });

  it('says that the lab is gone, and heals when it is back', async () => {
    const port = Number(new URL(host.link).port);
    await host.close();
    await browser.waitForText('The connection to the lab is lost', 20_000);
    await browser.screenshot(join(shots, 'lost.png'));
    host = await startHost({ dataFolder, port });
    // The session was the old host's: the page says what to do instead of trying for ever.
    await browser.waitForText('Open the link', 30_000);
    await browser.open('about:blank');
    await browser.open(host.link);
    await browser.waitFor('.rail', 30_000);
    await browser.run('location.hash = "#/runs"');
    await browser.waitFor('.row', 30_000);
  });
});
