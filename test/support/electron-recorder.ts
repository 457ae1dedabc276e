// SPDX-License-Identifier: GPL-2.0-only
/**
 * A recording stand-in of the `electron` module: keeps what the app set up (handlers, options, listeners) and lets a test raise events
 * as the runtime would. It decides nothing by itself: without a guard of ours an event goes through, as in the runtime.
 */
import { EventEmitter } from 'node:events';
import type { ElectronApi } from '../../main/desktop/app.ts';

export interface RecordedEvent {
  readonly isPrevented: () => boolean;
  readonly event: { preventDefault(): void; readonly url: string };
}
/** An event that can be prevented. */
export function makeEvent(url = ''): RecordedEvent {
  let prevented = false;
  return {
    isPrevented: () => prevented,
    event: {
      url,
      preventDefault: () => {
        prevented = true;
      },
    },
  };
}

export class RecordedFrame {
  readonly sent: { channel: string; ports: unknown[] }[] = [];
  url: string;
  constructor(url: string) {
    this.url = url;
  }
  postMessage(channel: string, _message: unknown, ports: unknown[] = []): void {
    this.sent.push({ channel, ports });
  }
}

export class RecordedContents extends EventEmitter {
  readonly mainFrame = new RecordedFrame('');
  openHandler: ((details: { url: string }) => { action: string }) | null = null;
  setWindowOpenHandler(handler: (details: { url: string }) => { action: string }): void {
    this.openHandler = handler;
  }
}

export class RecordedWindow extends EventEmitter {
  readonly webContents: RecordedContents;
  readonly calls: string[] = [];
  isMinimizedNow = false;
  constructor(
    readonly options: Record<string, unknown> & { webPreferences: Record<string, unknown> },
    contents: RecordedContents,
  ) {
    super();
    this.webContents = contents;
  }
  loadURL(url: string): Promise<void> {
    this.calls.push(`loadURL ${url}`);
    this.webContents.mainFrame.url = url;
    return Promise.resolve();
  }
  show(): void {
    this.calls.push('show');
  }
  focus(): void {
    this.calls.push('focus');
  }
  restore(): void {
    this.calls.push('restore');
  }
  reload(): void {
    this.calls.push('reload');
  }
  maximize(): void {
    this.calls.push('maximize');
  }
  isMinimized(): boolean {
    return this.isMinimizedNow;
  }
  isMaximized(): boolean {
    return this.calls.includes('maximize');
  }
  getNormalBounds(): { x: number; y: number; width: number; height: number } {
    return { x: 10, y: 20, width: 1200, height: 800 };
  }
}

type Handler = (...words: never[]) => unknown;

class RecordedSession extends EventEmitter {
  permissionRequest:
    ((contents: unknown, name: string, answer: (ok: boolean) => void) => void) | null = null;
  permissionCheck: (() => boolean) | null = null;
  devicePermission: (() => boolean) | null = null;
  beforeRequest:
    ((details: { url: string }, answer: (reply: { cancel?: boolean }) => void) => void) | null =
    null;
  readonly protocols = new Map<string, (request: Request) => Promise<Response>>();
  readonly webRequest = {
    onBeforeRequest: (listener: NonNullable<RecordedSession['beforeRequest']>): void => {
      this.beforeRequest = listener;
    },
  };
  readonly protocol = {
    handle: (scheme: string, handler: (request: Request) => Promise<Response>): void => {
      this.protocols.set(scheme, handler);
    },
  };
  setPermissionRequestHandler(handler: NonNullable<RecordedSession['permissionRequest']>): void {
    this.permissionRequest = handler;
  }
  setPermissionCheckHandler(handler: () => boolean): void {
    this.permissionCheck = handler;
  }
  setDevicePermissionHandler(handler: () => boolean): void {
    this.devicePermission = handler;
  }
}

class RecordedApp extends EventEmitter {
  isPackaged = true;
  hasLock = true;
  readonly calls: string[] = [];
  requestSingleInstanceLock(): boolean {
    return this.hasLock;
  }
  enableSandbox(): void {
    this.calls.push('enableSandbox');
  }
  whenReady(): Promise<void> {
    this.calls.push('whenReady');
    return Promise.resolve();
  }
  quit(): void {
    this.calls.push('quit');
  }
  exit(code: number): void {
    this.calls.push(`exit ${String(code)}`);
  }
}

/** The stand-in and what it recorded. */
export class ElectronRecorder {
  readonly app = new RecordedApp();
  readonly session = new RecordedSession();
  readonly windows: RecordedWindow[] = [];
  readonly ipcHandlers = new Map<string, Handler>();
  readonly schemes: { scheme: string; privileges: Record<string, boolean> }[] = [];
  readonly menus: unknown[] = [];
  dialogAnswer: { canceled: boolean; filePaths: string[] } = { canceled: true, filePaths: [] };
  readonly dialogs: unknown[] = [];

  /** Typed as the real module: the app's own types hold against Electron's in its type check. */
  asElectron(): ElectronApi {
    const makeWindow = (options: RecordedWindow['options']): RecordedWindow => {
      const contents = new RecordedContents();
      this.app.emit('web-contents-created', {}, contents);
      const window = new RecordedWindow(options, contents);
      this.windows.push(window);
      return window;
    };
    const module = {
      app: this.app,
      BrowserWindow: function BrowserWindow(options: RecordedWindow['options']) {
        return makeWindow(options);
      },
      MessageChannelMain: function MessageChannelMain() {
        return { port1: { end: 1 }, port2: { end: 2 } };
      },
      ipcMain: {
        handle: (channel: string, handler: Handler) => {
          this.ipcHandlers.set(channel, handler);
        },
      },
      protocol: {
        registerSchemesAsPrivileged: (schemes: ElectronRecorder['schemes']) => {
          // The runtime refuses this after 'ready'.
          if (this.app.calls.includes('whenReady')) throw new Error('too late');
          this.schemes.push(...schemes);
        },
      },
      session: { defaultSession: this.session },
      screen: { getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }] },
      dialog: {
        showOpenDialog: (_window: unknown, options: unknown) => {
          this.dialogs.push(options);
          return Promise.resolve(this.dialogAnswer);
        },
      },
      Menu: {
        buildFromTemplate: (template: unknown) => template,
        setApplicationMenu: (menu: unknown) => {
          this.menus.push(menu);
        },
      },
    };
    return module as unknown as ElectronApi;
  }

  /** A page's call through a channel, as from the given frame. */
  async invoke(
    channel: string,
    words: unknown[] = [],
    from: { sender?: unknown; senderFrame?: unknown } = {},
  ): Promise<unknown> {
    const contents = this.windows[0]?.webContents;
    const handler = this.ipcHandlers.get(channel);
    if (handler === undefined) throw new Error(`nothing handles ${channel}`);
    const event = { sender: contents, senderFrame: contents?.mainFrame, ...from };
    return handler(...([event, ...words] as never[]));
  }
}
