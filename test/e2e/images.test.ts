// SPDX-License-Identifier: GPL-2.0-only
/**
 * The images screens: every state with the scripted lab in both themes and sizes, then the hands on map, tree and block by pointer and
 * by keyboard. At the end one image on the real host: made by a recipe, mapped, written to, searched, checked, brought back.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
const IMAGE = '/home/ada/.local/share/diolab/images/first-light.img';
const view = (rest = '', path = IMAGE): string => `#/images/view?path=${path}${rest}`;

interface Screen {
  readonly name: string;
  readonly fake?: string;
  readonly path: string;
  /** A selector that is there when the screen is. */
  readonly ready: string;
  act?(browser: Browser): Promise<void>;
}
const clickOf = (selector: string) => (browser: Browser) => browser.click(selector);
const screens: readonly Screen[] = [
  { name: 'images', path: '#/images', ready: '.row' },
  { name: 'images-empty', fake: 'first', path: '#/images', ready: '.state.empty' },
  { name: 'images-refused', fake: 'refused', path: '#/images', ready: '.state.error' },
  { name: 'images-make', path: '#/images', ready: '.row',
    act: async (browser) => {
      await browser.click('.top .btn.primary');
      await browser.waitFor('#make-fs');
      await browser.run('const s = document.querySelector("#make-fs"); s.value = "ext4"; s.dispatchEvent(new Event("change"))');
      await browser.waitFor('#recipe-preset');
      await browser.run('const s = document.querySelector("#recipe-preset"); s.value = "pieces"; s.dispatchEvent(new Event("change"))');
      await browser.click('.recipe summary');
    } },
  { name: 'image-map', path: view(), ready: '.fields' },
  { name: 'image-file', path: view('&file=/pieces.bin&block=33500'), ready: '.strip' },
  { name: 'image-many', path: view('&file=/many/photo-5000.raw'), ready: '.row.on' },
  { name: 'image-use', path: view(), ready: '.legend', act: clickOf('[data-use=inodes]') },
  { name: 'image-table', path: view(), ready: '.legend', act: clickOf('[aria-label="Show as table"]') },
  { name: 'image-content', path: view('&file=/readme.txt&tab=preview'), ready: '.preview pre' },
  { name: 'image-bytes', path: view('&file=/data.bin&tab=preview'), ready: '.preview .hex' },
  { name: 'image-space', path: view('&tab=space'), ready: '.bars' },
  { name: 'image-check', path: view('&tab=check'), ready: '.check', act: async (browser) => { await browser.click('.check .btn.primary'); await browser.waitFor('.output'); } },
  { name: 'image-snapshots', path: view('&tab=snapshots'), ready: '.snapshots table' },
  { name: 'image-facts', path: view('&tab=facts'), ready: '.facts dl' },
  { name: 'image-remove', path: view('&file=/readme.txt'), ready: '.row.on',
    act: async (browser) => { await browser.run('document.querySelector(".row.on button").focus()'); await browser.press('Delete'); await browser.waitFor('[data-yes]'); } },
  { name: 'image-partitions', path: view('', '/srv/images/card.img'), ready: '.part' },
  { name: 'image-foreign', path: view('', '/srv/images/vm-root.img'), ready: '.used' },
  { name: 'image-in-use', path: view('', '/srv/images/attached.img'), ready: '.state.error' },
  { name: 'image-missing', path: view('', '/nothing.img'), ready: '.state.error' },
  { name: 'image-waiting', fake: 'slow', path: view(), ready: '.state.loading' },
]; // prettier-ignore

describeWith(['chromium', 'chromedriver'], 'the images screens', () => {
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
  const open = (path: string, ready: string): Promise<void> => show({ path, ready }, 'dark');
  const address = (): Promise<string> => browser.run<string>('return location.hash');
  const perRow = (): Promise<number> =>
    browser.run<number>('return Number(document.querySelector(".picture canvas").dataset.perRow)');
  const focusMap = (): Promise<void> => browser.run('document.querySelector(".picture").focus()');
  /** A pointer event on the map, at shares of its width and height. */
  const point = (type: string, x: number, y: number): Promise<void> =>
    browser.run(
      `
      const frame = document.querySelector('.picture');
      frame.setPointerCapture = () => undefined;
      const box = frame.querySelector('canvas').getBoundingClientRect();
      frame.dispatchEvent(new PointerEvent(arguments[0], { bubbles: true, button: 0, pointerId: 1,
        clientX: box.left + box.width * arguments[1], clientY: box.top + box.height * arguments[2] }));
      `,
      type,
      x,
      y,
    );

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

  it('zooms from the whole image to a block by keys, and back', async () => {
    await open(view('&block=33500'), '.fields, .hex');
    const whole = await perRow();
    expect(whole).toBeGreaterThan(5000);
    await focusMap();
    for (let step = 0; step < 12; step += 1) await browser.press('+');
    expect(await perRow()).toBe(6);
    expect(await browser.text('.words')).toContain('data of /data.bin, its block 0');
    await browser.press('ArrowRight', 'ArrowRight');
    await browser.until('location.hash.includes("block=33502")', 'two blocks on');
    await browser.press('PageDown');
    await browser.until('location.hash.includes("block=49884")', 'the next range');
    await browser.press('Home');
    await browser.until('location.hash.includes("block=0")', 'the first block');
    expect(await browser.text('.words')).toContain('superblock');
    await browser.press('0');
    expect(await perRow()).toBe(whole);
  });

  it('zooms to a range by dragging, shows all by a double click, chooses a block by a click', async () => {
    await open(view(), '.fields');
    const whole = await perRow();
    await point('pointerdown', 0.2, 0.1);
    await point('pointermove', 0.6, 0.1);
    await point('pointerup', 0.6, 0.1);
    await browser.until(
      `Number(document.querySelector(".picture canvas").dataset.perRow) < ${String(whole / 4)}`,
      'the range',
    );
    await browser.run(
      'document.querySelector(".picture").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))',
    );
    await browser.until(
      `Number(document.querySelector(".picture canvas").dataset.perRow) === ${String(whole)}`,
      'the whole',
    );
    await point('pointerdown', 0.5, 0.5);
    await point('pointerup', 0.5, 0.5);
    await browser.until('/block=\\d+/.test(location.hash)', 'a chosen block');
  });

  it('finds a block by its number and a file by its name, and marks what the file has', async () => {
    await open(view(), '.fields');
    await browser.type('.search input', '66500');
    await browser.press('Enter');
    await browser.until('location.hash.includes("block=66500")', 'the block');
    await browser.waitForText('data of inode 13');
    await browser.click('.owner');
    await browser.until('location.hash.includes("file=/pieces.bin")', 'its file');
    await browser.waitForText('In 16 pieces');
    await browser.waitForText('Zoom to pieces.bin');
    await browser.type('.search input', 'night');
    await browser.press('Enter');
    await browser.until('location.hash.includes("file=/logs/night.log")', 'the file');
    await browser.waitFor('.row.on');
    expect(await browser.text('.crumbs')).toContain('logs');
  });

  it('goes through ten thousand files by keyboard, and filters them', async () => {
    await open(view('&file=/many/photo-1.raw'), '.row.on');
    await browser.run('document.querySelector(".row.on button").focus()');
    await browser.press('End');
    await browser.until('location.hash.includes("photo-10000.raw")', 'the last one');
    expect(
      await browser.run<number>('return document.querySelectorAll(".files .row").length'),
    ).toBeLessThan(80);
    await browser.press('Backspace');
    await browser.until(
      '!document.querySelector(".crumbs").innerText.includes("many")',
      'the root',
    );
    await browser.type('.find input', 'bin');
    await browser.until('document.querySelectorAll(".files .row").length === 4', 'four files');
  });

  it('lights the bytes of a field, and the field of a byte', async () => {
    await open(view('&block=0'), '.fields');
    await browser.run(
      'document.querySelector("[data-field=\\"15\\"]").dispatchEvent(new PointerEvent("pointerenter"))',
    );
    await browser.waitFor('.bytes .lit');
    expect(
      await browser.run<string>(
        'return [...document.querySelectorAll(".bytes .lit")].map((byte) => byte.innerText).join(" ")',
      ),
    ).toBe('53 ef');
    await browser.run('document.querySelector(".hex").focus()');
    await browser.press('Home');
    await browser.until('!document.querySelector(".bytes .lit")', 'no field at byte 0');
  });

  it('asks before an image that the lab did not make is changed', async () => {
    await open(view('&file=/readme.txt', '/srv/images/vm-root.img'), '.row.on');
    await browser.run('document.querySelector(".row.on button").focus()');
    await browser.press('Delete');
    await browser.waitForText('Remove readme.txt?');
    await browser.click('[data-yes]');
    await browser.waitForText('The lab did not make this image');
    await browser.press('Escape');
    await browser.until('!document.querySelector(".dialog")', 'no question');
    expect(await browser.text('.files')).toContain('readme.txt');
    await browser.click('.consent input');
    await browser.run('document.querySelector(".row.on button").focus()');
    await browser.press('Delete');
    await browser.click('[data-yes]');
    await browser.until(
      '!document.querySelector(".files").innerText.includes("readme.txt")',
      'gone',
    );
  });

  it('shows a copy go on, and cancels it', async () => {
    await open(view(), '.fields');
    await browser.click('[aria-label="Copy a file in"]');
    await browser.waitFor('.entries button');
    await browser.run('document.querySelectorAll(".entries button")[1].click()');
    await browser.waitFor('progress');
    await browser.click('.transfers .btn');
    await browser.waitForText('nothing of it is left');
  });

  it('deletes an image of the lab and brings it back', async () => {
    await open('#/images', '.row');
    const rows = 'document.querySelectorAll(".images .row").length';
    await browser.run('document.querySelector(".images .row a").focus()');
    await browser.press('Delete');
    await browser.until(`${rows} === 4`, 'one less');
    await browser.click('.toast .btn');
    await browser.until(`${rows} === 5`, 'all again');
  });

  it('carries a file to the Lab and to the microscope', async () => {
    await open(view('&file=/data.bin'), '.acts .btn');
    await browser.click('.acts .btn.primary');
    await browser.waitFor('.board');
    expect(await browser.run<string>('return document.querySelector("#ground-file").value')).toBe(
      '/data.bin',
    );
    expect(await browser.text('.pick')).toContain('first-light.img');
    await browser.run('history.back()');
    await browser.waitFor('.acts .btn');
    await browser.click('.acts .btn:nth-child(2)');
    await browser.until('location.hash.startsWith("#/microscope")', 'the microscope');
    expect(await address()).toContain('offset=0');
  });
});

describeWith(['chromium', 'chromedriver'], 'an image on the real host', () => {
  let browser: Browser;
  let host: Host;
  const dataFolder = mkdtempSync(join(tmpdir(), 'diolab-images-'));
  const source = join(dataFolder, 'hello.txt');
  beforeAll(async () => {
    writeFileSync(source, 'Hello from outside\n'.repeat(500));
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
  const choose = (selector: string, value: string): Promise<void> =>
    browser.run(
      'const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event("change"))',
      selector,
      value,
    );

  it('is made by a recipe, mapped, written to, searched, checked and brought back', async () => {
    await browser.press('Alt+2');
    await browser.until('document.querySelector(".top .btn.primary")?.innerText.includes("New image")', 'the images', 30_000);
    await browser.click('.top .btn.primary');
    await browser.waitFor('#make-name');
    await browser.type('#make-name', 'flow.img');
    await browser.type('#make-size', '32m');
    await choose('#make-fs', 'ext2');
    await browser.waitFor('#recipe-preset');
    await choose('#recipe-preset', 'pieces');
    await browser.click('.make .btn.primary');
    await browser.waitFor('.legend', 60_000);
    await browser.until('document.querySelector(".files").innerText.includes("pieces.bin")', 'the file', 60_000);
    await browser.until('document.querySelector(".transfers") === null', 'all laid out', 60_000);
    await browser.type('.search input', 'pieces');
    await browser.press('Enter');
    await browser.waitForText('In 16 pieces', 30_000);
    await browser.click('[role=tab]:nth-child(5)');
    await browser.click('.snapshots .btn.primary');
    await browser.waitFor('.snapshots table', 30_000);
    await browser.click('[aria-label="Copy a file in"]');
    await browser.waitFor('.browse form input');
    await browser.type('.browse form input', source);
    await browser.press('Enter');
    await browser.until('document.querySelector(".files").innerText.includes("hello.txt")', 'the copy', 60_000);
    await browser.run('[...document.querySelectorAll(".files .row")].find((row) => row.innerText.includes("hello.txt")).dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))');
    await browser.waitForText('Hello from outside', 30_000);
    await browser.click('[role=tab]:nth-child(1)');
    await browser.type('.search input', '0');
    await browser.press('Enter');
    await browser.waitFor('.fields', 30_000);
    expect(await browser.text('.fields')).toContain('s_magic');
    await browser.screenshot(join(shots, 'image-real.png'));
    await browser.click('[role=tab]:nth-child(4)');
    await browser.click('.check .btn.primary');
    await browser.waitForText('exit code', 60_000);
    expect(await browser.text('.check')).toContain('The file system is clean');
    await browser.click('[role=tab]:nth-child(5)');
    await browser.click('.snapshots tbody .btn');
    await browser.click('[data-yes]');
    await browser.until('!document.querySelector(".files").innerText.includes("hello.txt")', 'as it was', 60_000);
    expect(await browser.text('.files')).toContain('pieces.bin');
    expect(await axeFindings(browser)).toEqual([]);
    expect(await browser.complaints()).toEqual([]);
  }, 300_000);

  // The pictures of the docs: `DIOLAB_SCREENSHOTS=1 npx vitest run --project e2e test/e2e/images.test.ts -t pictured`.
  it.runIf(process.env['DIOLAB_SCREENSHOTS'] === '1')('is pictured with ext4', async () => {
    await browser.press('Alt+2');
    await browser.until('document.querySelector(".top .btn.primary")?.innerText.includes("New image")', 'the images', 30_000);
    await browser.click('.top .btn.primary');
    await browser.waitFor('#make-name');
    await browser.type('#make-name', 'lesson.img');
    await browser.type('#make-size', '256m');
    await choose('#make-fs', 'ext4');
    await browser.waitFor('#recipe-preset');
    await choose('#recipe-preset', 'pieces');
    await browser.click('.make .btn.primary');
    await browser.until('document.querySelector(".files")?.innerText.includes("pieces.bin")', 'the file', 60_000);
    await browser.until('document.querySelector(".transfers") === null', 'all laid out', 60_000);
    await browser.type('.search input', 'pieces');
    await browser.press('Enter');
    await browser.waitForText('In 16 pieces', 30_000);
    await browser.until('document.querySelector(".toast") === null', 'nothing to say', 60_000);
    for (const theme of ['light', 'dark']) {
      await browser.press('Control+k');
      await browser.waitFor('.palette');
      await browser.press(...`${theme} theme`, 'Enter');
      await browser.until(`document.documentElement.dataset.theme === "${theme}"`, 'the theme');
      await new Promise((resolve) => setTimeout(resolve, 600));
      await browser.screenshot(join(import.meta.dirname, '../../docs/screenshots', `images-${theme}.png`));
    }
  }, 300_000);
}); // prettier-ignore
