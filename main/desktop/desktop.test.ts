// SPDX-License-Identifier: GPL-2.0-only
/** What the window can do beyond showing a page, against the recording stand-in of electron. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ElectronRecorder,
  makeEvent,
  type RecordedItem,
  type RecordedWindow,
} from '../../test/support/electron-recorder.ts';
import { FACE_ABILITIES, MENU_COMMANDS } from '../contract/window.ts';
import type { RunEvent, RunListEntry } from '../contract/types.ts';
import { startDesktop } from './app.ts';
import { CHANNEL } from './channels.ts';
import { LONG_RUN_MS, type RunFeed } from './run-presence.ts';
import { RELOADS_MAX } from './windows.ts';

const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

let folder: string;
let recorder: ElectronRecorder;
let words: string[];
let platform: NodeJS.Platform;
let runs: RunFeed;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-desktop-'));
  recorder = new ElectronRecorder();
  words = [];
  platform = 'linux';
  runs = { watchList: () => streamOf([]), watch: () => streamOf([]) };
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function* streamOf<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
const start = (): Promise<void> =>
  startDesktop(recorder.asElectron(), {
    preloadPath: '/app/preload.cjs',
    stateFile: (name) => join(folder, name),
    files: { types: new Map(), read: () => Promise.resolve(new Uint8Array()) },
    platform,
    arguments: ['/opt/diolab/diolab', ...words],
    folder,
    openServices: () =>
      Promise.resolve({
        serve: () => undefined,
        bulk: () => Promise.resolve(new Response()),
        runs,
        close: () => Promise.resolve(),
      }),
  });
const window = (index = 0): RecordedWindow => {
  const found = recorder.windows[index];
  if (found === undefined) throw new Error(`there is no window ${String(index)}`);
  return found;
};
const listen = (): Promise<unknown> => recorder.invoke(CHANNEL.listening);
const document = (name: string, text = 'name: a\n'): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const sentTo = (index = 0): { channel: string; data: unknown }[] => window(index).webContents.sent;

describe('documents', () => {
  it('of the command line wait until the page listens, and come once', async () => {
    document('a.diolab');
    words = ['--no-sandbox', 'a.diolab'];
    await start();
    expect(sentTo()).toEqual([]);
    await listen();
    expect(sentTo()).toMatchObject([
      { channel: CHANNEL.document, data: { kind: 'experiment', name: 'a.diolab', format: 'yaml' } },
    ]);
    await listen();
    expect(sentTo()).toHaveLength(1);
  });

  it('of the system (open-file) are taken before and after the start', async () => {
    const early = document('early.diolab');
    const started = start();
    const { event, isPrevented } = makeEvent();
    recorder.app.emit('open-file', event, early);
    expect(isPrevented()).toBe(true);
    await started;
    await listen();
    recorder.app.emit('open-file', makeEvent().event, document('late.img'));
    expect(sentTo().map(({ data }) => (data as { kind: string }).kind)).toEqual([
      'experiment',
      'image',
    ]);
  });

  it('of a second start come to the window that is there', async () => {
    await start();
    await listen();
    document('b.fio', '[a]\n');
    recorder.app.emit('second-instance', {}, ['/opt/diolab/diolab', 'b.fio'], folder);
    expect(recorder.windows).toHaveLength(1);
    expect(window().calls).toContain('focus');
    expect(sentTo()).toMatchObject([{ data: { kind: 'experiment', format: 'fio' } }]);
  });

  it('that were opened are in the menu and in the system’s list; what is gone leaves them', async () => {
    const path = document('a.diolab');
    words = [path];
    await start();
    await listen();
    expect(recorder.app.recent).toEqual([path]);
    const [item] = recorder.item('recent').submenu ?? [];
    expect(item?.label).toBe('a.diolab');
    rmSync(path);
    item?.click?.();
    expect(sentTo().at(-1)).toMatchObject({ data: { kind: 'refused', path } });
    expect(recorder.item('recent').enabled).toBe(false);
  });

  it('leave the lists when the person clears them', async () => {
    words = [document('a & b.diolab')];
    await start();
    expect(recorder.item('recent').submenu?.[0]?.label).toBe('a && b.diolab');
    recorder.item('clear-recent').click?.();
    expect(recorder.item('recent').enabled).toBe(false);
    expect(recorder.app.recent).toEqual([]);
  });

  it('are chosen by the system’s dialog, from the page and from the menu', async () => {
    await start();
    await listen();
    const path = document('a.yaml');
    recorder.dialogAnswer = { canceled: false, filePaths: [path] };
    expect(await recorder.invoke(CHANNEL.openExperiment)).toMatchObject({
      ok: true,
      value: { kind: 'experiment', path },
    });
    recorder.item('open-experiment').click?.();
    await settle();
    expect(sentTo()).toMatchObject([{ channel: CHANNEL.document, data: { path } }]);
    expect(JSON.stringify(recorder.dialogs[0])).toContain('"diolab"');
  });

  it('that were dropped are remembered where they are files', async () => {
    await start();
    await recorder.invoke(CHANNEL.dropped, [document('a.img')]);
    await recorder.invoke(CHANNEL.dropped, [join(folder, 'none.img')]);
    expect(recorder.app.recent).toEqual([join(folder, 'a.img')]);
    expect(await recorder.invoke(CHANNEL.dropped, [7])).toMatchObject({ ok: false });
  });
});

describe('the menu', () => {
  const all = (items: readonly RecordedItem[]): RecordedItem[] =>
    items.flatMap((item) => [item, ...all(item.submenu ?? [])]);

  it('has every command of the page, sends its id, and leaves its key to the page', async () => {
    await start();
    await listen();
    for (const { id, accelerator } of MENU_COMMANDS) {
      const item = recorder.item(id);
      expect(item.accelerator, id).toBe(accelerator ?? undefined);
      if (accelerator !== null) expect(item.registerAccelerator, id).toBe(false);
      item.click?.();
    }
    expect(sentTo().map(({ data }) => data)).toEqual(MENU_COMMANDS.map(({ id }) => id));
  });
  it('has no accelerator twice', async () => {
    await start();
    const keys = all(recorder.menus.at(-1) ?? []).flatMap((item) => item.accelerator ?? []);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.length).toBeGreaterThan(10);
  });
  it('has the app’s own menu and no Quit of its own on macOS', async () => {
    platform = 'darwin';
    await start();
    expect(recorder.menus.at(-1)?.[0]?.role).toBe('appMenu');
    expect(all(recorder.menus.at(-1) ?? []).some(({ role }) => role === 'quit')).toBe(false);
  });
  it('shows the about box with the version', async () => {
    await start();
    recorder.item('about').click?.();
    expect(recorder.app.calls).toContain('showAboutPanel');
    expect(recorder.app.aboutOptions).toMatchObject({ applicationVersion: '1.2.3' });
  });
});

describe('windows', () => {
  it('may be several: each calls, the one in front gets commands', async () => {
    await start();
    recorder.item('new-window').click?.();
    expect(recorder.windows).toHaveLength(2);
    expect(window(1).options).toMatchObject({ x: 38, y: 48, width: 1200 });
    const sender = window(1).webContents;
    const from = { sender, senderFrame: sender.mainFrame };
    expect(await recorder.invoke(CHANNEL.listening, [], from)).toMatchObject({ ok: true });
    window(1).isFocusedNow = true;
    recorder.item('run').click?.();
    expect(sentTo(1)).toEqual([{ channel: CHANNEL.command, data: 'run' }]);
    expect(sentTo(0)).toEqual([]);
  });
  it('that are closed call no more', async () => {
    await start();
    recorder.item('new-window').click?.();
    window(0).emit('closed');
    expect(await recorder.invoke(CHANNEL.requestPort)).toMatchObject({
      ok: false,
      error: { code: 'ipc.sender' },
    });
  });
  it('on macOS the app stays without one, and opens one when it is asked for', async () => {
    platform = 'darwin';
    await start();
    window().emit('closed');
    recorder.app.emit('window-all-closed');
    expect(recorder.app.calls).not.toContain('quit');
    recorder.app.emit('activate');
    expect(recorder.windows).toHaveLength(2);
  });
});

describe('recovery', () => {
  const die = (reason = 'crashed'): void => {
    window().webContents.emit('render-process-gone', {}, { reason });
  };
  const reloads = (): number => window().calls.filter((call) => call === 'reload').length;

  it('loads the page again where it died, and sends what comes meanwhile afterwards', async () => {
    await start();
    await listen();
    die();
    recorder.item('run').click?.();
    expect(reloads()).toBe(1);
    expect(sentTo()).toEqual([]);
    await listen();
    expect(sentTo()).toEqual([{ channel: CHANNEL.command, data: 'run' }]);
  });
  it('leaves a page alone that ended as it should', async () => {
    await start();
    die('clean-exit');
    expect(reloads()).toBe(0);
  });
  it('asks where the page dies again and again', async () => {
    await start();
    for (let times = 0; times <= RELOADS_MAX; times += 1) die();
    await settle();
    expect(recorder.messageBoxes).toHaveLength(1);
    expect(reloads()).toBe(RELOADS_MAX + 1);
    recorder.messageBoxAnswer = 1;
    for (let times = 0; times <= RELOADS_MAX; times += 1) die();
    await settle();
    expect(window().calls.at(-1)).toBe('destroy');
  });
  it('asks once where a page hangs, and ends it where the person wants that', async () => {
    await start();
    window().emit('unresponsive');
    window().emit('unresponsive');
    await settle();
    expect(recorder.messageBoxes).toHaveLength(1);
    expect(window().webContents.crashes).toBe(0);
    recorder.messageBoxAnswer = 1;
    window().emit('unresponsive');
    await settle();
    expect(window().webContents.crashes).toBe(1);
  });
  it('reports a process of Chromium that ended badly', async () => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    await start();
    const gone = (reason: string) => ({ type: 'GPU', name: 'GPU', reason, exitCode: 11 });
    recorder.app.emit('child-process-gone', {}, gone('clean-exit'));
    expect(said).not.toHaveBeenCalled();
    recorder.app.emit('child-process-gone', {}, gone('crashed'));
    expect(said.mock.calls[0]?.[0]).toContain('GPU process GPU ended: crashed, 11');
  });
});

describe('a run', () => {
  const entry = { id: 'r1', name: 'mail transfer', state: 'running' } as RunListEntry;
  const progress = { kind: 'progress', progress: { fraction: 0.5 } } as RunEvent;
  const ended: RunEvent = { kind: 'ended', state: 'finished', failure: null };
  let end: () => void;
  const longRun = (): RunFeed => ({
    watchList: () => streamOf([[entry]]),
    watch: async function* () {
      yield progress;
      await new Promise<void>((resolve) => (end = resolve));
      yield ended;
    },
  });

  it('shows at the task bar, keeps the machine awake, and is told of at its end', async () => {
    runs = longRun();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
    await start();
    await listen();
    await settle();
    expect(window().progress).toBe(0.5);
    expect(recorder.blockers.size).toBe(1);
    clock.mockReturnValue(LONG_RUN_MS);
    end();
    await settle();
    expect(window().progress).toBe(-1);
    expect(recorder.blockers.size).toBe(0);
    const [notice] = recorder.notifications;
    expect(notice?.options).toEqual({ title: 'The run has ended', body: 'mail transfer' });
    expect(notice?.isShown).toBe(true);
    notice?.emit('click');
    expect(window().calls).toContain('focus');
    expect(sentTo()).toEqual([{ channel: CHANNEL.command, data: 'run-r1' }]);
  });
  it('is not told of where a window is in front', async () => {
    runs = longRun();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
    await start();
    window().isFocusedNow = true;
    await settle();
    clock.mockReturnValue(LONG_RUN_MS);
    end();
    await settle();
    expect(recorder.notifications).toEqual([]);
  });
});

it('what the page saves goes through the system’s dialog, and joins the recent documents', async () => {
  await start();
  let asked: unknown = null;
  let done: (event: unknown, state: string) => void = () => undefined;
  const path = document('out.diolab');
  recorder.session.emit('will-download', makeEvent().event, {
    getURL: () => 'blob:app://lab/1',
    getFilename: () => 'out.diolab',
    getSavePath: () => path,
    setSaveDialogOptions: (options: unknown) => (asked = options),
    once: (_name: string, listener: typeof done) => (done = listener),
  });
  expect(asked).toMatchObject({
    defaultPath: 'out.diolab',
    filters: [{ extensions: ['diolab'] }, {}],
  });
  done({}, 'cancelled');
  expect(recorder.app.recent).toEqual([]);
  done({}, 'completed');
  expect(recorder.app.recent).toEqual([path]);
});

it('every ability of the window says what a browser has in its place', () => {
  expect(new Set(FACE_ABILITIES.map(({ id }) => id)).size).toBe(FACE_ABILITIES.length);
  for (const { browser, window: own } of FACE_ABILITIES) {
    expect(own).not.toBe('');
    expect(browser).not.toBe('');
  }
});
