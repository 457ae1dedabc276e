// SPDX-License-Identifier: GPL-2.0-only
/** The window's guards against a recording stand-in of electron: each test fails where its guard is taken away. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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

const PAGE = '<!doctype html><title>page</title>';

describe('the Electron main process', () => {
  let folder: string;
  let recorder: ElectronRecorder;
  let served: unknown[];
  let closed: number;
  let close: () => Promise<void>;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'diolab-desktop-'));
    recorder = new ElectronRecorder();
    served = [];
    closed = 0;
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
    close: () => close(),
  });
  const start = (): Promise<void> =>
    startDesktop(recorder.asElectron(), {
      preloadPath: '/app/preload.cjs',
      windowStatePath: () => join(folder, 'window.json'),
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
      expect(preferences).not.toHaveProperty('enableBlinkFeatures');
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
      const sources = ['app.ts', 'main.ts', 'preload.ts', 'options.ts', 'protocol.ts', 'ipc.ts'];
      for (const name of sources) {
        expect(readFileSync(join(import.meta.dirname, name), 'utf8')).not.toMatch(
          /openExternal|openPath/,
        );
      }
    });
    it('17: a call from another page, frame or window is refused', async () => {
      await start();
      const own = page().mainFrame;
      const refused = { ok: false, error: { code: 'ipc.sender' } };
      const foreign = [
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
    it('20: the preload gives the page three functions and nothing of Electron', () => {
      const text = readFileSync(join(import.meta.dirname, 'preload.ts'), 'utf8');
      expect(text.match(/exposeInMainWorld\(/g)).toHaveLength(1);
      const exposed = text.slice(text.indexOf('exposeInMainWorld'));
      expect([...exposed.matchAll(/^ {2}(\w+): /gm)].map((match) => match[1])).toEqual([
        'requestPort',
        'openImage',
        'pathOfFile',
      ]);
      expect(exposed).not.toMatch(/ipcRenderer/);
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
    expect(recorder.dialogs[0]).toMatchObject({ properties: ['openFile', 'dontAddToRecent'] });
  });

  it('starts once: a second start quits, the first comes to the front', async () => {
    await start();
    const window = recorder.windows[0];
    if (window !== undefined) window.isMinimizedNow = true;
    recorder.app.emit('second-instance');
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
      x: 10,
      y: 20,
      width: 1200,
      height: 800,
      isMaximized: false,
    });
    recorder = new ElectronRecorder();
    await start();
    expect(recorder.windows[0]?.options).toMatchObject({ x: 10, y: 20, width: 1200, height: 800 });
  });

  it('loads a fresh page where the page died', async () => {
    await start();
    page().emit('render-process-gone', {}, { reason: 'crashed' });
    expect(recorder.windows[0]?.calls).toContain('reload');
  });

  it('lets the page save exports and nothing else', async () => {
    await start();
    const download = (url: string): boolean => {
      const { event, isPrevented } = makeEvent();
      recorder.session.emit('will-download', event, { getURL: () => url });
      return !isPrevented();
    };
    expect(download('blob:app://lab/0d7f')).toBe(true);
    expect(download('https://example.org/setup.exe')).toBe(false);
  });
});
