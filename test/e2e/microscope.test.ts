// SPDX-License-Identifier: GPL-2.0-only
/**
 * The microscope with its bio builder, the revision dial and the bug gallery, over the engine in the page: every screen and state in
 * both themes and sizes, then the hands on them. At the end the same screens once on the real host.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.ts';
import {
  axeFindings, layoutFaults, prepare, serveScriptedLab, SIZES, THEMES, type Theme,
} from '../support/faces.ts'; // prettier-ignore
import { startHost, type Host } from '../support/host.ts';
import { describeWith } from '../support/tools.ts';

const shots = join(import.meta.dirname, '..', '..', 'test-results', 'screens');
const SETTLE_MS = 250;

interface Screen {
  readonly name: string;
  readonly fake: string;
  readonly path: string;
  /** A selector that is there when the screen is. */
  readonly ready: string;
  act?(browser: Browser): Promise<void>;
}
const FILE_BYTES = 24 * 2 ** 20;
const newBlock = `op=write&offset=${String(FILE_BYTES + 1024)}&length=6144&memory=0`;
const clickOf = (selector: string) => (browser: Browser) => browser.click(selector);
async function runBoth(browser: Browser): Promise<void> {
  await browser.click('.question .btn.primary');
  await browser.waitFor('.sides');
}
const screens: readonly Screen[] = [
  { name: 'builder-one-page', fake: 'plain', path: '#/microscope?op=read&offset=0&length=4096&memory=0', ready: '.builder svg.read' },
  { name: 'builder-small-units', fake: 'plain', path: '#/microscope?op=read&offset=1536&length=4096&memory=512', ready: '.builder svg.read' },
  { name: 'builder-new-block', fake: 'plain', path: `#/microscope?${newBlock}`, ready: '.builder svg.write' },
  { name: 'builder-4096-pages', fake: 'plain', path: '#/microscope?op=read&offset=4096&length=16777216&memory=512', ready: '.builder svg.read',
    act: async (browser) => { await browser.run('document.querySelector(".picture").focus()'); await browser.press('ArrowDown', 'ArrowDown'); } },
  { name: 'builder-refused', fake: 'plain', path: '#/microscope?op=read&offset=100&length=4096', ready: '.result.bad' },
  { name: 'builder-table', fake: 'plain', path: `#/microscope?${newBlock}`, ready: '.builder svg.write', act: clickOf('[aria-label="Show as table"]') },
  { name: 'microscope-waiting', fake: 'waiting', path: '#/microscope', ready: '.state.loading' },
  { name: 'dial', fake: 'plain', path: `#/dial?${newBlock}&a=2.6.20&b=6.4`, ready: '[data-side=left]' },
  { name: 'dial-pictures', fake: 'plain', path: `#/dial?${newBlock}&a=2.6.20&b=6.4`, ready: '[data-side=left]',
    act: async (browser) => { await browser.click('.how .segment:last-child'); await browser.waitFor('[data-side=right] svg.write'); } },
  { name: 'dial-same', fake: 'plain', path: '#/dial?op=read&offset=0&length=4096&memory=0&a=6.4&b=6.5-merge', ready: '.parting' },
  { name: 'dial-waiting', fake: 'waiting', path: '#/dial', ready: '.answer .state.loading' },
  { name: 'dial-refused', fake: 'refused', path: '#/dial', ready: '.answer .state.error' },
  { name: 'gallery', fake: 'plain', path: '#/gallery', ready: '.question' },
  { name: 'gallery-run', fake: 'plain', path: '#/gallery', ready: '.question', act: runBoth },
  { name: 'gallery-stopped', fake: 'plain', path: '#/gallery/stale-after-fault', ready: '.list',
    act: async (browser) => { await browser.click('.list .item:nth-child(2)'); await runBoth(browser); await browser.waitFor('.content-stale'); } },
  { name: 'gallery-unknown', fake: 'plain', path: '#/gallery/nothing-of-that-name', ready: '.state.error' },
  { name: 'gallery-waiting', fake: 'waiting', path: '#/gallery', ready: '.state.loading' },
  { name: 'gallery-refused', fake: 'refused', path: '#/gallery', ready: '.state.error' },
]; // prettier-ignore

describeWith(['chromium', 'chromedriver'], 'the microscope, the dial and the gallery', () => {
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
    await browser.open(`${page.address}?fake=${screen.fake}${screen.path}`);
    await browser.waitFor(screen.ready);
    await screen.act?.(browser);
    await browser.run('return document.fonts.ready.then(() => true)');
    await settle();
  }
  const open = (path: string, ready: string): Promise<void> =>
    show({ fake: 'plain', path, ready }, 'dark');
  const count = (selector: string): Promise<number> =>
    browser.run<number>('return document.querySelectorAll(arguments[0]).length', selector);
  const place = (): Promise<string> => browser.text('.stepper .place');

  describe.each(THEMES)('in the %s theme', (theme) => {
    it.each(screens)('$name is complete, readable and quiet', async (screen) => {
      await show(screen, theme);
      expect(await axeFindings(browser)).toEqual([]);
      for (const [width, height] of SIZES) {
        await browser.setSize(width, height);
        await settle();
        expect(await layoutFaults(browser)).toEqual([]);
        await browser.screenshot(join(shots, `${screen.name}-${theme}-${String(width)}.png`));
      }
      expect(await browser.complaints()).toEqual([]);
    });
  });

  it('moves picture, steps and trace by one cursor', async () => {
    await open(`#/microscope?${newBlock}`, '.builder svg.write');
    const last = await place();
    expect(last).toMatch(/^(\d+) of \1$/);
    await browser.run('document.querySelector(".picture").focus()');
    await browser.press('Home');
    expect(await place()).toMatch(/^1 of /);
    expect(await count('.builder .bio')).toBe(0);
    await browser.press('PageDown', 'PageDown');
    expect(await count('.builder .bio')).toBeGreaterThan(0);
    const row = Number((await place()).split(' ')[0]);
    expect(await browser.text('.trace .row.now .right')).toBe(String(row));
    expect(await count('.steps li.now')).toBe(1);
    await browser.press('ArrowLeft');
    expect(await place()).toMatch(new RegExp(`^${String(row - 1)} of `));
    await browser.click('.steps li:first-child');
    expect(await place()).toMatch(/^1 of /);
    await browser.run('document.querySelector(".trace .row:nth-child(3)").click()');
    expect(await browser.text('.trace .row.now .right')).toBe((await place()).split(' ')[0]);
    await browser.run('document.querySelector(".slider").focus()');
    await browser.press('End');
    expect(await place()).toBe(last);
  });

  it('lights the pages and blocks of a bio under the pointer, and says why it ended', async () => {
    await open(`#/microscope?${newBlock}`, '.builder svg.write');
    await browser.run(
      'document.querySelector("[data-bio=\\"1\\"]").dispatchEvent(new PointerEvent("pointerenter"))',
    );
    await browser.waitFor('.bio.lit');
    expect(await count('.unlit')).toBeGreaterThan(0);
    expect(await browser.text('.words')).toMatch(
      /^Bio \d+: write of .* It ended because the request ends/,
    );
    expect(await browser.text('.words')).toContain('from the zero page');
  });

  it('zooms into 4 096 pages until one can be read, and back', async () => {
    await open('#/microscope?op=read&offset=4096&length=16777216&memory=512', '.builder svg.read');
    expect(await browser.text('.builder h2')).toContain('32 pages');
    const drag = (type: string, share: number): Promise<void> =>
      browser.run(
        `
        const picture = document.querySelector('.picture');
        picture.setPointerCapture = () => undefined;
        const box = picture.getBoundingClientRect();
        picture.dispatchEvent(new PointerEvent(arguments[0], { bubbles: true, button: 0, pointerId: 1,
          clientX: box.left + 64 + (box.width - 64) * arguments[1], clientY: box.top + 40 }));
      `,
        type,
        share,
      );
    await drag('pointerdown', 0.5);
    await drag('pointermove', 0.51);
    await drag('pointerup', 0.51);
    await browser.waitForText('Reset zoom');
    expect(await browser.text('.builder h2')).not.toContain('32 pages');
    await browser.run('document.querySelector(".picture").focus()');
    await browser.press('+', '+', '+', '+');
    await browser.until(
      '[...document.querySelectorAll(".picture text")].some((text) => /^page /.test(text.textContent.trim()))',
      'the name of a page',
    );
    await browser.screenshot(join(shots, 'builder-zoomed-dark-1280.png'));
    await browser.run(
      'document.querySelector(".picture").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))',
    );
    await browser.waitForText('32 pages');
  });

  it('loads the nearest request that passes with a click', async () => {
    await open('#/microscope?op=read&offset=100&length=4096', '.result.bad');
    expect(await browser.text('.picture')).toContain('100 B past a unit');
    await browser.click('.near button');
    await browser.waitFor('.result:not(.bad)');
    expect(await browser.run<string>('return location.hash')).toContain('offset=0');
  });

  it('turns the dial by keys, and finds where two revisions part', async () => {
    await open(`#/dial?${newBlock}&a=2.6.20&b=6.4`, '[data-side=left]');
    expect(await count('tbody [data-revision]')).toBe(7);
    expect(await count('.row.differs')).toBe(2);
    expect(await browser.text('.parting')).toMatch(/from the changes of \S+/);
    await browser.run('document.querySelector(".knob.right").focus()');
    await browser.press('ArrowLeft');
    await browser.until('location.hash.includes("b=3.1")', 'B at 3.1');
    await browser.press('Home');
    await browser.until('location.hash.includes("b=2.5.47")', 'B at 2.5.47');
    await browser.run('document.querySelector(".knob.left").focus()');
    await browser.press('End');
    await browser.until('location.hash.includes("a=6.5-merge")', 'A at 6.5-merge');
    await browser.until(
      'document.querySelector("[data-revision=\\"6.5-merge\\"]").innerText.includes("A itself")',
      'the comparison with the new A',
    );
    await browser.click('[data-revision="2.6.31"]');
    await browser.until('location.hash.includes("b=2.6.31")', 'B at 2.6.31');
    expect(await browser.text('[data-side=right] h2')).toContain('2.6.31');
  });

  it('goes from the microscope to the dial and back with the same request', async () => {
    await open(`#/microscope?${newBlock}&kernel=3.1`, '.builder svg.write');
    expect(await browser.text('.steps h2')).toContain('in 3.1');
    await browser.click('.other');
    await browser.waitFor('[data-side=left]');
    expect(await browser.text('[data-side=right] h2')).toContain('3.1');
    await browser.click('[data-revision="6.4"]');
    await browser.until('location.hash.includes("b=6.4")', 'B at 6.4');
    await browser.click('.other');
    await browser.waitFor('.builder svg.write');
    await browser.waitForText('steps in 6.4');
    expect(await browser.run<string>('return location.hash')).toContain('length=6144');
  });

  it('keeps the answer of an exhibit back until it was run or asked for', async () => {
    await open('#/gallery', '.question');
    expect(await count('.list .item')).toBeGreaterThanOrEqual(8);
    expect(await count('.card.answer')).toBe(0);
    await browser.run('[...document.querySelectorAll(".actions .btn")].at(-1).click()');
    await browser.waitFor('.card.answer');
    expect(await count('.sides')).toBe(0);
    await runBoth(browser);
    expect(await count('.sides .side')).toBe(2);
    expect(await count('.pictures .builder')).toBe(2);
    await browser.click('.list .item:nth-child(3)');
    await browser.until('location.hash.startsWith("#/gallery/")', 'an address of its own');
    expect(await count('.card.answer')).toBe(0);
    await browser.click('.list .item:first-child');
    await browser.waitFor('.sides');
  });

  it('runs every exhibit', async () => {
    await open('#/gallery', '.question');
    const exhibits = await count('.list .item');
    for (let index = 1; index <= exhibits; index += 1) {
      await browser.click(`.list .item:nth-child(${String(index)})`);
      await browser.waitFor(`.list .item:nth-child(${String(index)}).on`);
      await runBoth(browser);
      expect((await browser.text('.card.answer')).length).toBeGreaterThan(40);
      expect(await count('.observed')).toBe(2);
    }
    expect(await count('.list .done')).toBe(exhibits);
    expect(await browser.complaints()).toEqual([]);
  });
});

describeWith(['chromium', 'chromedriver'], 'the same on the real host', () => {
  let browser: Browser;
  let host: Host;
  beforeAll(async () => {
    host = await startHost();
    browser = await Browser.start();
    await browser.setSize(1280, 800);
    await browser.open(host.link);
    await browser.waitFor('.board', 60_000);
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await host?.close();
  });
  it('runs an exhibit of the gallery', async () => {
    await browser.press('Alt+6');
    await browser.waitFor('.question', 30_000);
    await browser.click('.question .btn.primary');
    await browser.waitFor('.sides', 30_000);
    expect(await browser.text('.card.answer')).toContain('ANSWER');
    expect(await browser.complaints()).toEqual([]);
  });
  it('explains a request, and compares it over all revisions', async () => {
    await browser.run(
      'location.hash = arguments[0]',
      '#/microscope?op=read&offset=512&length=8192',
    );
    // There is no image yet: the page says so, and has a way on.
    await browser.waitFor('.state.error .btn.primary', 60_000);
    await browser.click('.state.error .btn.primary');
    await browser.waitFor('.builder svg.read', 60_000);
    expect(await browser.text('.steps')).toContain('fs/direct-io.c');
    await browser.press('Alt+5');
    await browser.waitFor('[data-side=right]', 60_000);
    expect(
      await browser.run<number>('return document.querySelectorAll("[data-revision]").length'),
    ).toBe(7);
    await browser.screenshot(join(shots, '..', 'real', 'dial.png'));
    expect(await browser.complaints()).toEqual([]);
  });
});
