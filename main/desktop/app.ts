// SPDX-License-Identifier: GPL-2.0-only
/**
 * The Electron main process: one window on the services. Thin: every decision lies in options.ts, protocol.ts, ipc.ts and
 * window-state.ts. Takes the electron module as a parameter, so that tests pass a recording stand-in.
 *
 *   start --lock--> ready --guards, protocol, calls--> window --requestPort--> MessagePort to the services
 *   last window closed --> quit --> services.close() in the stop order, 3 s at most --> exit
 *
 * Rules: 1. Guards are on the app and the session, not on one window, so that nothing is ever made without them. 2. A second start
 * only brings the window to the front.
 */
import type * as Electron from 'electron';
import * as z from 'zod';
import { CHANNEL } from './channels.ts';
import { makeHandle } from './ipc.ts';
import {
  APP_SCHEME,
  APP_START_URL,
  customScheme,
  isOwnUrl,
  menuTemplate,
  openImageDialog,
  windowOptions,
} from './options.ts';
import { makeProtocolHandler, type BulkHandler, type PageFiles } from './protocol.ts';
import { fitToDisplays, loadWindowState, saveWindowState } from './window-state.ts';

export type ElectronApi = Pick<
  typeof Electron,
  | 'app'
  | 'BrowserWindow'
  | 'dialog'
  | 'ipcMain'
  | 'Menu'
  | 'MessageChannelMain'
  | 'protocol'
  | 'screen'
  | 'session'
>;

/** What the window needs of the services. */
export interface DesktopServices {
  /** Serves the contract on one end of a channel, until it closes. */
  serve(port: Electron.MessagePortMain): void;
  readonly bulk: BulkHandler;
  /** Cancels what runs, in the stop order, and closes the store. */
  close(): Promise<void>;
}
export interface DesktopParts {
  readonly preloadPath: string;
  readonly windowStatePath: () => string;
  readonly files: PageFiles;
  openServices(): Promise<DesktopServices>;
}

/** Longest that quitting waits for the services; their own watchdog is shorter. */
const QUIT_MS_MAX = 5000;
const NO_WORDS = z.tuple([]);

/** Nothing is permitted, nothing but our own origin is loaded [1, 5]. */
function guardSession(session: Electron.Session): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => {
    answer(false);
  });
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest((details, answer) => {
    const isLocal = /^(blob|data|devtools):/.test(details.url);
    answer({ cancel: !isLocal && !isOwnUrl(details.url) });
  });
  session.on('will-download', (event, item) => {
    // The page saves exports as blobs; everything else is not ours.
    if (!item.getURL().startsWith(`blob:${APP_SCHEME}:`) && !isOwnUrl(item.getURL())) {
      event.preventDefault();
    }
  });
}

/** No page of this app goes elsewhere, opens a window or embeds another page [11 to 14]. */
function guardContents(contents: Electron.WebContents): void {
  const refuseForeign = (event: { preventDefault(): void }, address: string): void => {
    if (!isOwnUrl(address)) event.preventDefault();
  };
  contents.on('will-navigate', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-redirect', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-frame-navigate', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-attach-webview', (event) => {
    event.preventDefault();
  });
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
}

function openWindow(electron: ElectronApi, parts: DesktopParts): Electron.BrowserWindow {
  const areas = electron.screen.getAllDisplays().map((display) => display.workArea);
  const path = parts.windowStatePath();
  const state = fitToDisplays(loadWindowState(path), areas);
  const window = new electron.BrowserWindow(
    windowOptions(parts.preloadPath, state, electron.app.isPackaged),
  );
  if (state.isMaximized) window.maximize();
  window.once('ready-to-show', () => {
    window.show();
  });
  window.on('close', () => {
    const { x, y, width, height } = window.getNormalBounds();
    saveWindowState(path, { x, y, width, height, isMaximized: window.isMaximized() });
  });
  // The page died, not the lab: runs go on in the engine process, and a fresh page finds them.
  window.webContents.on('render-process-gone', (_event, details) => {
    if (details.reason !== 'clean-exit') window.reload();
  });
  void window.loadURL(APP_START_URL);
  return window;
}

/** The page's calls: a port to the services, and the open-file dialog. */
function answerCalls(
  electron: ElectronApi,
  services: DesktopServices,
  window: () => Electron.BrowserWindow | null,
): void {
  const handle = makeHandle(electron.ipcMain, () => window()?.webContents ?? null);
  handle(CHANNEL.requestPort, NO_WORDS, (_words, event) => {
    const { port1, port2 } = new electron.MessageChannelMain();
    services.serve(port1);
    event.senderFrame?.postMessage(CHANNEL.port, null, [port2]);
    return null;
  });
  handle(CHANNEL.openImage, NO_WORDS, async () => {
    const parent = window();
    if (parent === null) return null;
    const { canceled, filePaths } = await electron.dialog.showOpenDialog(parent, openImageDialog());
    return canceled ? null : (filePaths[0] ?? null);
  });
}

/** Quits by the stop order: the first attempt is held until the services are closed. */
function quitInOrder(electron: ElectronApi, services: DesktopServices): void {
  let isClosing = false;
  electron.app.on('before-quit', (event) => {
    event.preventDefault();
    if (isClosing) return;
    isClosing = true;
    const limit = new Promise<void>((done) => setTimeout(done, QUIT_MS_MAX));
    void Promise.race([services.close(), limit])
      .catch((error: unknown) => {
        console.error(error);
      })
      .finally(() => {
        electron.app.exit(0);
      });
  });
}

/** Starts the app. Everything before 'ready' happens in the first turn, as Electron demands. */
export async function startDesktop(electron: ElectronApi, parts: DesktopParts): Promise<void> {
  const { app } = electron;
  if (!app.requestSingleInstanceLock()) {
    app.quit();
    return;
  }
  app.enableSandbox();
  electron.protocol.registerSchemesAsPrivileged([customScheme()]);
  let window: Electron.BrowserWindow | null = null;
  app.on('web-contents-created', (_event, contents) => {
    guardContents(contents);
  });
  app.on('second-instance', () => {
    if (window === null) return;
    if (window.isMinimized()) window.restore();
    window.focus();
  });
  app.on('window-all-closed', () => {
    app.quit();
  });
  await app.whenReady();
  const { defaultSession } = electron.session;
  guardSession(defaultSession);
  const services = await parts.openServices();
  quitInOrder(electron, services);
  defaultSession.protocol.handle(APP_SCHEME, makeProtocolHandler(parts.files, services.bulk));
  answerCalls(electron, services, () => window);
  electron.Menu.setApplicationMenu(
    electron.Menu.buildFromTemplate(menuTemplate(process.platform, app.isPackaged)),
  );
  window = openWindow(electron, parts);
  window.on('closed', () => {
    window = null;
  });
}
