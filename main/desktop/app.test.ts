// SPDX-License-Identifier: GPL-2.0-only
/** The window's guards against a recording stand-in of electron: each test fails where its guard is taken away. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ElectronRecorder,
  makeEvent,
  RecordedContents,
  RecordedFrame,
} from '../../test/support/electron-recorder.ts';
import { startDesktop, type DesktopServices } from './app.ts';
import { CHANNEL } from './channels.ts';
import { SAFE_HEADERS } from '../headless/policy.ts';
import { CONTENT_SECURITY_POLICY } from './options.ts';
import { parseFileList } from './protocol.ts';

/** The oldest major version that its makers still mend (three at a time); raised with every release of ours. */
const OLDEST_ELECTRON = 43;
const PAGE = '<!doctype html><title>page</title>';

describe('the Electron main process', () => {
  let folder: string;
  let recorder: ElectronRecorder;
  let served: unknown[];
  let closed: number;
  let close: () => Promise<void>;
  let words: string[];
  let platform: NodeJS.Platform;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'diolab-desktop-'));
    recorder = new ElectronRecorder();
    served = [];
    closed = 0;
    words = [];
    platform = 'linux';
    close = () => {
      closed += 1;
      return Promise.resolve();
    };
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const services = (): DesktopServices => ({
    serve: (port) => void served.push(port),
    bulk: (request) => Promise.resolve(new Response(`bulk ${new URL(request.url).pathname}`)),
    runs: {
      watchList: async function* () {
        yield [];
      },
      watch: () => {
        throw new Error('there is no run');
      },
    },
    close: () => close(),
  });
  const start = (): Promise<void> =>
    startDesktop(recorder.asElectron(), {
      preloadPath: '/app/preload.cjs',
      stateFile: (name) => join(folder, name),
      platform,
      arguments: ['/opt/diolab/diolab', ...words],
      folder,
      files: {
        types: parseFileList(
          JSON.stringify({
            files: {
              '/index.html': { type: 'text/html; charset=utf-8', sizeBytes: 1, sha256: '' },
              '/assets/main.js': { type: 'text/javascript', sizeBytes: 1, sha256: '' },
            },
          }),
        ),
        read: () => Promise.resolve(new TextEncoder().encode(PAGE)),
      },
      openServices: () => Promise.resolve(services()),
    });
  const page = (): RecordedContents => {
    const window = recorder.windows[0];
    if (window === undefined) throw new Error('no window was opened');
    return window.webContents;
  };
  const fetchPage = (url: string, init?: RequestInit): Promise<Response> => {
    const handler = recorder.session.protocols.get('app');
    if (handler === undefined) throw new Error('no protocol handler');
    return handler(new Request(url, init));
  };

  describe('the security checklist', () => {
    it('1: loads nothing but its own origin', async () => {
      await start();
      const cancels = (url: string): boolean => {
        let reply: { cancel?: boolean } = {};
        recorder.session.beforeRequest?.({ url }, (given) => (reply = given));
        return reply.cancel ?? false;
      };
      expect(cancels('http://example.org/x.js')).toBe(true);
      expect(cancels('https://example.org/x.js')).toBe(true);
      expect(cancels('file:///etc/passwd')).toBe(true);
      expect(cancels('app://other/index.html')).toBe(true);
      expect(cancels('https://lab/index.html')).toBe(true);
      expect(cancels('app://lab/index.html')).toBe(false);
    });
    it('2, 3, 4, 6, 8, 9, 10: the page has no Node, its own world, a sandbox, and the web is not made weaker', async () => {
      await start();
      const preferences = recorder.windows[0]?.options.webPreferences;
      expect(preferences).toMatchObject({
        nodeIntegration: false,
        nodeIntegrationInWorker: false,
        nodeIntegrationInSubFrames: false,
        contextIsolation: true,
        sandbox: true,
        webSecurity: true,
        allowRunningInsecureContent: false,
        experimentalFeatures: false,
        webviewTag: false,
      });
      expect(recorder.app.calls.indexOf('enableSandbox')).toBeGreaterThanOrEqual(0);
      expect(recorder.app.calls.indexOf('enableSandbox')).toBeLessThan(
        recorder.app.calls.indexOf('whenReady'),
      );
    });
    it('has developer tools from the sources only', async () => {
      await start();
      expect(recorder.windows[0]?.options.webPreferences['devTools']).toBe(false);
      expect(JSON.stringify(recorder.menus)).not.toMatch(/toggleDevTools|reload/);
      recorder = new ElectronRecorder();
      recorder.app.isPackaged = false;
      await start();
      expect(recorder.windows[0]?.options.webPreferences['devTools']).toBe(true);
    });
    it('5: every permission is denied', async () => {
      await start();
      for (const name of ['media', 'geolocation', 'notifications', 'clipboard-read', 'usb']) {
        let answer: boolean | null = null;
        recorder.session.permissionRequest?.(page(), name, (ok) => (answer = ok));
        expect(answer).toBe(false);
      }
      expect(recorder.session.permissionCheck?.()).toBe(false);
      expect(recorder.session.devicePermission?.()).toBe(false);
    });
    it('7: every response carries the policy, refusals too', async () => {
      await start();
      const urls = [
        'app://lab/',
        'app://lab/assets/main.js',
        'app://lab/none',
        'app://lab/bulk/runs/a',
      ];
      for (const url of urls) {
        const policy = (await fetchPage(url)).headers.get('content-security-policy') ?? '';
        expect(policy).toContain("default-src 'none'");
        expect(policy).toContain("script-src 'self'");
        expect(policy).toContain("require-trusted-types-for 'script'");
        expect(policy).not.toMatch(/unsafe|wasm/);
      }
      const posted = await fetchPage('app://lab/', { method: 'POST' });
      expect(posted.status).toBe(405);
      expect(posted.headers.get('content-security-policy')).toContain("default-src 'none'");
    });
    it('7: the policy is the one that the browser gets', () => {
      expect(SAFE_HEADERS['content-security-policy']).toBe(CONTENT_SECURITY_POLICY);
    });
    it('11, 12: no page is embedded in ours', async () => {
      await start();
      const { event, isPrevented } = makeEvent();
      page().emit('will-attach-webview', event, {}, {});
      expect(isPrevented()).toBe(true);
    });
    it('13: the page does not navigate elsewhere', async () => {
      await start();
      for (const name of ['will-navigate', 'will-redirect', 'will-frame-navigate']) {
        for (const url of [
          'https://example.org/',
          'file:///etc/passwd',
          'app://lab.evil/',
          'javascript:1',
        ]) {
          const { event, isPrevented } = makeEvent(url);
          page().emit(name, event);
          expect(isPrevented(), `${name} ${url}`).toBe(true);
        }
        const own = makeEvent('app://lab/index.html');
        page().emit(name, own.event);
        expect(own.isPrevented()).toBe(false);
      }
    });
    it('10: no feature of Blink is switched on', async () => {
      await start();
      const preferences = recorder.windows[0]?.options.webPreferences ?? {};
      expect(Object.keys(preferences).filter((name) => /blink/i.test(name))).toEqual([]);
      expect(recorder.app.calls.filter((call) => call.startsWith('switch'))).toEqual([]);
    });
    it('11, 12: the page has no webview that could be let loose', () => {
      const folder = join(import.meta.dirname, '../../renderer');
      const sources = (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
        /\.(vue|ts|html)$/.test(name),
      );
      expect(sources.length).toBeGreaterThan(50);
      for (const name of sources) {
        expect(readFileSync(join(folder, name), 'utf8'), name).not.toMatch(/<webview|allowpopups/i);
      }
    });
    it('16: the runtime is a current one, pinned, and what is installed', () => {
      const json = (path: string): Record<string, never> =>
        JSON.parse(readFileSync(join(import.meta.dirname, '../..', path), 'utf8')) as never;
      const { electron } = json('package.json')['devDependencies'] as unknown as Record<
        string,
        string
      >;
      expect(electron).toMatch(/^\d+\.\d+\.\d+$/);
      expect(json('node_modules/electron/package.json')['version']).toBe(electron);
      expect(Number(electron?.split('.')[0])).toBeGreaterThanOrEqual(OLDEST_ELECTRON);
    });
    it('14: no new window is opened', async () => {
      await start();
      expect(page().openHandler?.({ url: 'app://lab/index.html' })).toEqual({ action: 'deny' });
    });
    it('13, 14: contents made later are guarded too', async () => {
      await start();
      const late = new RecordedContents();
      recorder.app.emit('web-contents-created', {}, late);
      const { event, isPrevented } = makeEvent('https://example.org/');
      late.emit('will-navigate', event);
      expect(isPrevented()).toBe(true);
      expect(late.openHandler?.({ url: 'https://example.org/' })).toEqual({ action: 'deny' });
    });
    it('15: nothing hands an address to the system', () => {
      const sources = readdirSync(import.meta.dirname).filter((name) => !name.includes('.test.'));
      expect(sources.length).toBeGreaterThan(10);
      for (const name of sources) {
        expect(readFileSync(join(import.meta.dirname, name), 'utf8')).not.toMatch(
          /openExternal|openPath\(.*shell|\bshell\b/,
        );
      }
    });
    it('17: a call from another page, frame or window is refused', async () => {
      await start();
      const own = page().mainFrame;
      const refused = { ok: false, error: { code: 'ipc.sender' } };
      const other = new RecordedContents();
      other.mainFrame.url = 'app://lab/index.html';
      const foreign = [
        { sender: other, senderFrame: other.mainFrame },
        { sender: new RecordedContents() },
        { senderFrame: null },
        { senderFrame: new RecordedFrame('app://lab/index.html') },
      ];
      for (const from of foreign) {
        expect(await recorder.invoke(CHANNEL.requestPort, [], from)).toMatchObject(refused);
        expect(await recorder.invoke(CHANNEL.openImage, [], from)).toMatchObject(refused);
      }
      own.url = 'https://example.org/';
      expect(await recorder.invoke(CHANNEL.requestPort)).toMatchObject(refused);
      expect(served).toEqual([]);
      expect(recorder.dialogs).toEqual([]);
    });
    it('17: arguments that a channel does not take are refused', async () => {
      await start();
      expect(await recorder.invoke(CHANNEL.openImage, ['/etc/passwd'])).toMatchObject({
        ok: false,
        error: { code: 'ipc.arguments' },
      });
      expect(recorder.dialogs).toEqual([]);
    });
    it('18: the page comes from a secure protocol of its own, registered before ready', async () => {
      await start();
      expect(recorder.schemes).toHaveLength(1);
      expect(recorder.schemes[0]).toMatchObject({
        scheme: 'app',
        privileges: { standard: true, secure: true, bypassCSP: false, allowServiceWorkers: false },
      });
      expect(recorder.windows[0]?.calls).toContain('loadURL app://lab/index.html');
    });
  });

  it('serves what is in the list and nothing else', async () => {
    await start();
    const index = await fetchPage('app://lab/');
    expect(index.status).toBe(200);
    expect(index.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await index.text()).toBe(PAGE);
    expect(await (await fetchPage('app://lab/bulk/runs/a/requests')).text()).toBe(
      'bulk /bulk/runs/a/requests',
    );
    const refused = [
      'app://lab/files.json',
      'app://lab/../package.json',
      'app://lab/%2e%2e/package.json',
      'app://lab/assets/..%2f..%2fpackage.json',
      'app://lab//etc/passwd',
    ];
    for (const url of refused) expect((await fetchPage(url)).status, url).toBe(404);
    expect((await fetchPage('app://other/index.html')).status).toBe(403);
  });

  it('hands the page a port and serves the other end', async () => {
    await start();
    expect(await recorder.invoke(CHANNEL.requestPort)).toEqual({ ok: true, value: null });
    expect(served).toEqual([{ end: 1 }]);
    expect(page().mainFrame.sent).toEqual([{ channel: CHANNEL.port, ports: [{ end: 2 }] }]);
  });

  it('opens an image by the dialog, and gives null where it was closed', async () => {
    await start();
    expect(await recorder.invoke(CHANNEL.openImage)).toEqual({ ok: true, value: null });
    recorder.dialogAnswer = { canceled: false, filePaths: ['/images/a.img'] };
    expect(await recorder.invoke(CHANNEL.openImage)).toEqual({ ok: true, value: '/images/a.img' });
    expect(recorder.app.recent).toEqual(['/images/a.img']);
    expect(recorder.dialogs[0]).toMatchObject({ properties: ['openFile', 'dontAddToRecent'] });
  });

  it('starts once: a second start quits, the first comes to the front', async () => {
    await start();
    const window = recorder.windows[0];
    if (window !== undefined) window.isMinimizedNow = true;
    recorder.app.emit('second-instance', {}, ['/opt/diolab/diolab'], folder);
    expect(window?.calls).toEqual(expect.arrayContaining(['restore', 'focus']));
    recorder = new ElectronRecorder();
    recorder.app.hasLock = false;
    await start();
    expect(recorder.app.calls).toEqual(['quit']);
    expect(recorder.windows).toEqual([]);
  });

  it('quits in order: the services are closed before the exit, once', async () => {
    await start();
    let finish = (): void => undefined;
    close = () => {
      closed += 1;
      return new Promise((done) => (finish = done));
    };
    recorder.app.emit('window-all-closed');
    expect(recorder.app.calls).toContain('quit');
    for (let times = 0; times < 2; times += 1) {
      const { event, isPrevented } = makeEvent();
      recorder.app.emit('before-quit', event);
      expect(isPrevented()).toBe(true);
    }
    expect(closed).toBe(1);
    expect(recorder.app.calls).not.toContain('exit 0');
    finish();
    await new Promise((done) => setImmediate(done));
    expect(recorder.app.calls).toContain('exit 0');
  });

  it('remembers where the window was', async () => {
    await start();
    const window = recorder.windows[0];
    window?.emit('ready-to-show');
    expect(window?.calls).toContain('show');
    window?.emit('close');
    expect(JSON.parse(readFileSync(join(folder, 'window.json'), 'utf8'))).toEqual({
      places: [['1920x1080@0,0', { x: 10, y: 20, width: 1200, height: 800, isMaximized: false }]],
    });
    recorder = new ElectronRecorder();
    await start();
    expect(recorder.windows[0]?.options).toMatchObject({ x: 10, y: 20, width: 1200, height: 800 });
  });

  it('lets the page save exports and nothing else', async () => {
    await start();
    const download = (url: string): boolean => {
      const { event, isPrevented } = makeEvent();
      const item = {
        getURL: () => url,
        getFilename: () => 'a.csv',
        setSaveDialogOptions: () => undefined,
        once: () => undefined,
      };
      recorder.session.emit('will-download', event, item);
      return !isPrevented();
    };
    expect(download('blob:app://lab/0d7f')).toBe(true);
    expect(download('https://example.org/setup.exe')).toBe(false);
  });
});
