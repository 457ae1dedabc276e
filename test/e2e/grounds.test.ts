// SPDX-License-Identifier: GPL-2.0-only
/**
 * Grounds, loop devices, kernel trace and verification: every state with the scripted lab in both themes and sizes, then by keyboard.
 * At the end one measurement on the real host with the real helper, where that can be: two rounds on every ground.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from '../support/browser.ts';
import {
  axeFindings, layoutFaults, prepare, serveScriptedLab, SIZES, THEMES, type Theme,
} from '../support/faces.ts'; // prettier-ignore
import { useHelper, whyNoHelper } from '../support/helper.ts';
import { startHost, type Host } from '../support/host.ts';
import { describeWith } from '../support/tools.ts';

const shots = join(import.meta.dirname, '..', '..', 'test-results', 'screens');
const SETTLE_MS = 250;
const LOOP_RUN = '#/runs/past-run-47';

interface Screen {
  readonly name: string;
  readonly fake?: string;
  readonly path: string;
  /** A selector that is there when the screen is. */
  readonly ready: string;
  act?(browser: Browser): Promise<void>;
}
const screens: readonly Screen[] = [
  { name: 'grounds', path: '#/grounds', ready: '.plot canvas' },
  { name: 'grounds-latency', path: '#/grounds', ready: '.plot canvas', act: (browser) => browser.click('.plot .tabs button:nth-child(2)') },
  { name: 'grounds-one-round', path: '#/grounds/past-grounds-1', ready: '.plot canvas' },
  { name: 'grounds-empty', fake: 'first', path: '#/grounds', ready: '.right .state.empty' },
  { name: 'grounds-bare', fake: 'bare', path: '#/grounds', ready: '.one.off' },
  { name: 'grounds-refused', fake: 'refused', path: '#/grounds', ready: '.right .state.error' },
  { name: 'grounds-gone', path: '#/grounds/no-such-one', ready: '.right .state.error' },
  { name: 'grounds-live', fake: 'stuck', path: '#/grounds', ready: '.go .primary:not(:disabled)',
    act: async (browser) => {
      await browser.click('.go .primary');
      await browser.waitForText('Round 2 of 5');
      await browser.waitFor('.plot canvas');
    } },
  { name: 'loops', path: '#/host', ready: '[data-loop]' },
  { name: 'loops-bare', fake: 'bare', path: '#/host', ready: '.missing' },
  { name: 'loops-attach', path: '#/host', ready: '[data-loop]', act: attach },
  { name: 'kernel-trace', path: `${LOOP_RUN}?tab=kernel`, ready: '.inner .line' },
  { name: 'verified', path: LOOP_RUN, ready: '.tiles', act: verify },
  { name: 'lab-by-host', path: '#/', ready: '#ground', act: byHost },
]; // prettier-ignore
async function attach(browser: Browser): Promise<void> {
  await browser.click('.loops header .btn');
  await browser.type('#attach-path', '/srv/images/other.img');
  await browser.press('Enter');
  await browser.waitFor('.got');
}
async function byHost(browser: Browser): Promise<void> {
  await browser.click('.who');
  await browser.click('[aria-label="Who does the I/O of the file"] button:nth-child(2)');
}
async function verify(browser: Browser): Promise<void> {
  await browser.run(
    '[...document.querySelectorAll(".top .btn")].find((each) => each.innerText.includes("Verify")).click()',
  );
  await browser.click('.dialog .primary');
  await browser.waitFor('[data-verify=comparison]');
}

describeWith(['chromium', 'chromedriver'], 'grounds, loop devices and traces', () => {
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
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  async function show(screen: Omit<Screen, 'name'>, theme: Theme): Promise<void> {
    await browser.setSize(1280, 800);
    await prepare(browser, theme);
    await browser.open('about:blank');
    await browser.open(`${page.address}?fake=${screen.fake ?? 'plain'}${screen.path}`);
    await browser.waitFor(screen.ready);
    await screen.act?.(browser);
    await browser.run('return document.fonts.ready.then(() => true)');
    await settle();
  }

  for (const theme of THEMES) {
    it.each(screens)(
      `$name is complete, readable and quiet in the ${theme} theme`,
      async (screen) => {
        await show(screen, theme);
        expect(await axeFindings(browser)).toEqual([]);
        for (const [width, height] of SIZES) {
          await browser.setSize(width, height);
          await settle();
          expect(await layoutFaults(browser)).toEqual([]);
          await browser.screenshot(join(shots, `${screen.name}-${theme}-${String(width)}.png`));
        }
        expect(await browser.complaints()).toEqual([]);
      },
    );
  }

  it('names what memory measures, why, and what is not possible with its remedy', async () => {
    await show({ path: '#/grounds', ready: '.plot canvas' }, 'dark');
    const cached = await browser.text('[data-ground=loop-buffered]');
    expect(cached).toContain('memory');
    expect(cached).toMatch(/the disk moved 1?\d % of the bytes/);
    expect(await browser.text('[data-ground=loop-direct]')).not.toContain('memory');
    expect(await browser.text('[data-ground=kernel-mount]')).toContain('EIO');
    await show({ fake: 'bare', path: '#/grounds', ready: '.one.off' }, 'dark');
    expect(await browser.text('[data-choose=loop-direct]')).toContain('sudo apt install diolab');
  });

  it('is measured, stopped and removed by keyboard, with its progress in the title', async () => {
    await show({ fake: 'first', path: '#/', ready: '.board' }, 'dark');
    await browser.press('Alt+8');
    await browser.waitFor('.go .primary:not(:disabled)');
    await browser.run('document.querySelector(".go .primary").focus()');
    await browser.press('Enter');
    await browser.waitFor('.btn.stop');
    await browser.until('/\\d+ %/.test(document.title)', 'the progress in the title');
    await browser.until('location.hash.startsWith("#/grounds/")', 'the address of it');
    await browser.until('document.querySelector("[data-ground=engine] .iops b").innerText !== "–"', 'a number');
    await browser.run('document.querySelector(".btn.stop").focus()');
    await browser.press('Enter');
    await browser.waitFor('.go .primary:not(:disabled)');
    expect(await browser.text('.what')).toContain('stopped');
    await browser.run('document.querySelector(".earlier li .btn").focus()');
    await browser.press('Enter');
    await browser.waitFor('.right .state.empty');
  }); // prettier-ignore

  it('attaches and detaches a loop device, and says where the kernel made something else', async () => {
    await show({ path: '#/host', ready: '[data-loop]', act: attach }, 'dark');
    expect(await browser.text('.got')).toContain('Not as asked: direct-io is off, on was asked for');
    await browser.press('Escape');
    await browser.waitFor('[data-loop="/dev/loop8"]');
    await browser.click('[aria-label="Detach /dev/loop8"]');
    await browser.until('document.querySelector(\'[data-loop="/dev/loop8"]\') === null', 'it is gone');
  }); // prettier-ignore

  it('filters the trace by mark', async () => {
    await show({ path: `${LOOP_RUN}?tab=kernel`, ready: '.inner .line' }, 'dark');
    await browser.click('.marks button:nth-child(3)');
    await browser.until('document.querySelectorAll(".inner .line").length === 6', 'only predicted');
    await browser.click('.marks button:nth-child(4)');
    await browser.until('document.querySelectorAll(".inner .line").length === 7', 'only actual');
    expect(await browser.text('.inner')).toContain('64');
  });
});

const whyNot = whyNoHelper();
describeWith(['chromium', 'chromedriver'], 'grounds on the real host', () => {
  it.skipIf(whyNot !== null && process.env['DIOLAB_REQUIRE_ALL'] !== '1')(
    `are measured and shown${whyNot === null ? '' : ` (not here: ${whyNot})`}`,
    async () => {
      expect(whyNot).toBeNull();
      const dataFolder = mkdtempSync(join(tmpdir(), 'diolab-grounds-'));
      const helper = useHelper();
      let host: Host | undefined;
      let browser: Browser | undefined;
      try {
        host = await startHost({ dataFolder });
        browser = await Browser.start();
        await browser.setSize(1280, 800);
        await browser.setReducedMotion(true);
        await browser.open(host.link);
        await browser.waitFor('.board', 60_000);
        await measure(browser);
      } finally {
        await browser?.close();
        await host?.close();
        helper.dispose();
        rmSync(dataFolder, { recursive: true, force: true });
      }
    },
    300_000,
  );
});

/** The Lab's first preset on every ground that there is: two rounds of 0.3 s. */
async function measure(browser: Browser): Promise<void> {
  await browser.press('Alt+8');
  await browser.waitFor('[data-choose=loop-direct]', 30_000);
  expect(await browser.text('[data-choose=loop-direct]')).not.toContain('Not possible');
  await browser.type('#grounds-rounds', '2');
  await browser.press('Tab');
  await browser.type('#grounds-seconds', '0.3');
  await browser.press('Tab');
  await browser.waitFor('.go .primary:not(:disabled)', 30_000);
  await browser.click('.go .primary');
  await browser.waitFor('.btn.stop', 30_000);
  await browser.until('document.querySelector(".what").innerText.includes("finished")', 'the end', 240_000); // prettier-ignore
  await browser.waitFor('.plot canvas');
  for (const ground of ['engine', 'host-file', 'loop-direct', 'loop-buffered', 'kernel-mount']) {
    const text = await browser.text(`[data-ground=${ground}]`);
    expect(text, ground).toContain('median of 2 rounds');
    expect(text, ground).toMatch(/(µs|ms)/);
  }
  await browser.screenshot(join(shots, 'grounds-real.png'));
  expect(await axeFindings(browser)).toEqual([]);
  expect(await browser.complaints()).toEqual([]);
}
