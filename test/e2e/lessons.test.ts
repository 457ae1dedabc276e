// SPDX-License-Identifier: GPL-2.0-only
/**
 * The lessons over the engine in the page: every state in both themes and sizes, then a learner with a keyboard. Answers come from the
 * engine, as they do for the page.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nanoseconds } from '../../engine/base/index.ts';
import type { LabPorts } from '../../engine/lab/door.ts';
import { answersOf, LESSONS } from '../../engine/lab/lessons/index.ts';
import { plainArena } from '../../engine/memory/index.ts';
import { Browser } from '../support/browser.ts';
import {
  axeFindings, layoutFaults, prepare, serveScriptedLab, SIZES, THEMES, type Theme,
} from '../support/faces.ts'; // prettier-ignore
import { startHost, type Host } from '../support/host.ts';
import { describeWith } from '../support/tools.ts';

const shots = join(import.meta.dirname, '..', '..', 'test-results', 'screens');
const SETTLE_MS = 250;
const SEED = 7;
const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: plainArena,
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};

/** Types or chooses an answer for each field, and leaves the check to the caller. */
async function fill(browser: Browser, answer: Readonly<Record<string, string>>): Promise<void> {
  await browser.run(
    `for (const [id, value] of Object.entries(arguments[0])) {
      const field = document.querySelector('[data-field="' + id + '"]');
      const radio = field.querySelector('input[type=radio][value="' + value + '"]');
      if (radio) { radio.click(); continue; }
      const input = field.querySelector('input');
      input.value = value;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }`,
    answer,
  );
  await browser.until('!document.querySelector(".answer-form [type=submit]").disabled', 'a whole answer'); // prettier-ignore
}
const rightAnswer = (id: string, seed: number): Record<string, string> =>
  Object.fromEntries(
    Object.entries(answersOf(ports, id, seed).run).map(([field, value]) => [field, String(value)]),
  );
/** Another answer to every field. */
const wrongAnswer = (id: string, seed: number): Record<string, string> =>
  Object.fromEntries(
    Object.entries(rightAnswer(id, seed)).map(([field, value]) => [
      field,
      /^\d+$/.test(value) ? String(Number(value) + 512) : value === 'EINVAL' ? 'blocks' : value === 'zeros' ? 'stale' : value,
    ]),
  ); // prettier-ignore
async function answerWith(
  browser: Browser,
  answer: Readonly<Record<string, string>>,
): Promise<void> {
  await fill(browser, answer);
  await browser.click('.answer-form [type=submit]');
  await browser.waitFor('.card.answer');
}

interface Screen {
  readonly name: string;
  readonly fake: string;
  readonly path: string;
  readonly ready: string;
  /** The other theme adds nothing to it. */
  readonly isDarkOnly?: boolean;
  act?(browser: Browser): Promise<void>;
}
const lessonPath = (id: string): string => `#/lessons/${id}?seed=${String(SEED)}`;
const screens: readonly Screen[] = [
  { name: 'lessons-question', fake: 'plain', path: lessonPath('where-a-write-lands'), ready: '.answer-form' },
  { name: 'lessons-wrong', fake: 'plain', path: lessonPath('where-a-write-lands'), ready: '.answer-form',
    act: (browser) => answerWith(browser, wrongAnswer('where-a-write-lands', SEED)) },
  { name: 'lessons-hole', isDarkOnly: true, fake: 'plain', path: lessonPath('what-a-hole-costs'), ready: '.answer-form' },
  { name: 'lessons-alignment', isDarkOnly: true, fake: 'plain', path: lessonPath('which-alignment'), ready: '.answer-form',
    act: (browser) => answerWith(browser, wrongAnswer('which-alignment', SEED)) },
  { name: 'lessons-new-block', fake: 'plain', path: lessonPath('small-write-new-block'), ready: '.answer-form',
    act: (browser) => answerWith(browser, rightAnswer('small-write-new-block', SEED)) },
  { name: 'lessons-power-cut', fake: 'plain', path: lessonPath('unwritten-and-power-cut'), ready: '.answer-form',
    act: (browser) => answerWith(browser, wrongAnswer('unwritten-and-power-cut', SEED)) },
  { name: 'lessons-fat', isDarkOnly: true, fake: 'plain', path: lessonPath('fat-and-ext4'), ready: '.answer-form',
    act: (browser) => answerWith(browser, rightAnswer('fat-and-ext4', SEED)) },
  { name: 'lessons-cache', isDarkOnly: true, fake: 'plain', path: lessonPath('cache-beside-direct'), ready: '.answer-form',
    act: (browser) => answerWith(browser, rightAnswer('cache-beside-direct', SEED)) },
  { name: 'lessons-unknown', isDarkOnly: true, fake: 'plain', path: '#/lessons/nothing-of-that-name', ready: '.state.error' },
  { name: 'lessons-making', isDarkOnly: true, fake: 'waiting', path: lessonPath('which-alignment'), ready: '.state.loading' },
  { name: 'lessons-refused', fake: 'refused', path: '#/lessons', ready: '.state.error' },
]; // prettier-ignore

describeWith(['chromium', 'chromedriver'], 'the lessons', () => {
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
  const count = (selector: string): Promise<number> =>
    browser.run<number>('return document.querySelectorAll(arguments[0]).length', selector);
  async function show(screen: Omit<Screen, 'name'>, theme: Theme): Promise<void> {
    await browser.setSize(1280, 800);
    await prepare(browser, theme);
    await browser.run('localStorage.removeItem("diolab.lessons")');
    await browser.open('about:blank');
    await browser.open(`${page.address}?fake=${screen.fake}${screen.path}`);
    await browser.waitFor(screen.ready);
    await screen.act?.(browser);
    await browser.run('return document.fonts.ready.then(() => true)');
    await settle();
  }
  const open = (path: string): Promise<void> =>
    show({ fake: 'plain', path, ready: '.answer-form' }, 'dark');

  describe.each(THEMES)('in the %s theme', (theme) => {
    it.each(screens.filter(({ isDarkOnly }) => theme === 'dark' || isDarkOnly !== true))(
      '$name is complete, readable and quiet',
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
  });

  it('asks first, and shows nothing of the answer before one was given', async () => {
    await open(lessonPath('where-a-write-lands'));
    expect(await count('.list .item')).toBe(LESSONS.length);
    expect([await count('.card.answer'), await count('.steps'), await count('.told')]).toEqual([0, 0, 0]);
    await answerWith(browser, rightAnswer('where-a-write-lands', SEED));
    expect(await browser.text('.card.answer')).toMatch(/^right/i);
    expect(await count('.steps')).toBe(1);
    expect(await browser.text('.list .item.on')).toContain('1 of 1 right');
  }); // prettier-ignore

  it('goes on with other numbers, and remembers what was answered', async () => {
    await open(lessonPath('which-alignment'));
    await answerWith(browser, rightAnswer('which-alignment', SEED));
    const before = await browser.run<string>('return location.hash');
    await browser.click('.answer-form .actions .btn');
    await browser.until(`location.hash !== ${JSON.stringify(before)} && document.querySelector(".answer-form [type=submit]")`, 'another exercise'); // prettier-ignore
    expect(await count('.card.answer')).toBe(0);
    expect(await browser.run('return document.querySelector(".answer-form input:checked")')).toBe(
      null,
    );
    await browser.open('about:blank');
    await browser.open(`${page.address}?fake=plain#/lessons`);
    await browser.waitFor('.list .done');
    await browser.until('/seed=\\d+/.test(location.hash)', 'a seed in the address');
  });

  it('says what is no answer, and can be answered with the keyboard alone', async () => {
    await open(lessonPath('where-a-write-lands'));
    await fill(browser, { sector: 'many', bios: '2' });
    await browser.run('document.querySelector(".answer-form input").focus()');
    await browser.press('Enter');
    await browser.waitFor('.complaint');
    expect(await browser.text('.complaint')).toContain('no whole number');
    await browser.run('document.querySelector(".answer-form input").select()');
    const right = rightAnswer('where-a-write-lands', SEED);
    await browser.press(...(right['sector'] ?? ''));
    await browser.press('Tab');
    await browser.run('document.activeElement.select()');
    await browser.press(...(right['bios'] ?? ''), 'Enter');
    await browser.waitFor('.card.answer');
    expect(await browser.text('.card.answer')).toMatch(/^right/i);
    expect(await browser.run('return document.activeElement.className')).toContain('answer');
    await browser.press('Alt+9');
    expect(await browser.complaints()).toEqual([]);
  });
});

describeWith(['chromium', 'chromedriver'], 'the lessons on the real host', () => {
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

  it('answers one, opens its image, and puts its request under the microscope', async () => {
    const id = 'where-a-write-lands';
    await browser.run('location.hash = arguments[0]', lessonPath(id));
    await browser.waitFor('.answer-form', 30_000);
    await answerWith(browser, rightAnswer(id, SEED));
    expect(await browser.text('.card.answer')).toMatch(/^right/i);
    const button = (words: string): Promise<void> =>
      browser.run(
        '[...document.querySelectorAll(".answer-form .btn")].find((each) => each.textContent.includes(arguments[0])).click()',
        words,
      );
    await button('Open the ext4 image');
    await browser.waitFor('.chosen .acts', 30_000);
    expect(await browser.text('.chosen h2')).toBe('data.bin');
    await browser.screenshot(join(shots, 'lessons-real-image.png'));
    await browser.run('history.back()');
    await browser.waitFor('.answer-form', 30_000);
    await answerWith(browser, rightAnswer(id, SEED));
    await button('Microscope');
    await browser.waitFor('[data-tile=bios]', 30_000);
    await browser.waitFor('.builder svg.write', 30_000);
    expect(await browser.text('[data-tile=bios] .value')).toBe(rightAnswer(id, SEED)['bios']);
    await browser.screenshot(join(shots, 'lessons-real-microscope.png'));
    expect(await browser.complaints()).toEqual([]);
  }, 120_000);
});
