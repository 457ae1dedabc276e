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
  readonly sent: { channel: string; data: unknown }[] = [];
  crashes = 0;
  send(channel: string, data: unknown): void {
    this.sent.push({ channel, data });
  }
  forcefullyCrashRenderer(): void {
    this.crashes += 1;
  }
  openHandler: ((details: { url: string }) => { action: string }) | null = null;
  setWindowOpenHandler(handler: (details: { url: string }) => { action: string }): void {
    this.openHandler = handler;
  }
}

export class RecordedWindow extends EventEmitter {
  readonly webContents: RecordedContents;
  readonly calls: string[] = [];
  isMinimizedNow = false;
  isFocusedNow = false;
  progress: number | null = null;
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
  destroy(): void {
    this.calls.push('destroy');
    this.emit('closed');
  }
  setProgressBar(value: number): void {
    this.progress = value;
  }
  isFocused(): boolean {
    return this.isFocusedNow;
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
  readonly recent: string[] = [];
  aboutOptions: Record<string, unknown> | null = null;
  readonly commandLine = {
    appendSwitch: (name: string): void => {
      this.calls.push(`switch ${name}`);
    },
  };
  getVersion(): string {
    return '1.2.3';
  }
  setAboutPanelOptions(options: Record<string, unknown>): void {
    this.aboutOptions = options;
  }
  showAboutPanel(): void {
    this.calls.push('showAboutPanel');
  }
  addRecentDocument(path: string): void {
    this.recent.push(path);
  }
  clearRecentDocuments(): void {
    this.recent.length = 0;
  }
}

export class RecordedNotification extends EventEmitter {
  isShown = false;
  constructor(readonly options: { title: string; body: string }) {
    super();
  }
  show(): void {
    this.isShown = true;
  }
}

/** An item of a recorded menu, as far as tests look at it. */
export interface RecordedItem {
  readonly id?: string;
  readonly role?: string;
  readonly label?: string;
  readonly accelerator?: string;
  readonly registerAccelerator?: boolean;
  readonly enabled?: boolean;
  readonly submenu?: readonly RecordedItem[];
  readonly click?: () => void;
}

/** The stand-in and what it recorded. */
export class ElectronRecorder {
  readonly app = new RecordedApp();
  readonly session = new RecordedSession();
  readonly windows: RecordedWindow[] = [];
  readonly ipcHandlers = new Map<string, Handler>();
  readonly schemes: { scheme: string; privileges: Record<string, boolean> }[] = [];
  readonly menus: (readonly RecordedItem[])[] = [];
  readonly notifications: RecordedNotification[] = [];
  /** Ids of the power-save blockers that are on. */
  readonly blockers = new Set<number>();
  workAreas = [{ x: 0, y: 0, width: 1920, height: 1080 }];
  messageBoxAnswer = 0;
  readonly messageBoxes: { message: string; buttons: string[] }[] = [];
  dialogAnswer: { canceled: boolean; filePaths: string[] } = { canceled: true, filePaths: [] };
  readonly dialogs: unknown[] = [];

  /** Typed as the real module: the app's own types hold against Electron's in its type check. */
  asElectron(): ElectronApi {
    const makeNotification = (options: RecordedNotification['options']): RecordedNotification => {
      const notification = new RecordedNotification(options);
      this.notifications.push(notification);
      return notification;
    };
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
      screen: {
        getAllDisplays: () => this.workAreas.map((workArea) => ({ workArea })),
        getDisplayMatching: () => ({ workArea: this.workAreas[0] }),
      },
      Notification: Object.assign(
        function Notification(options: RecordedNotification['options']) {
          return makeNotification(options);
        },
        { isSupported: () => true },
      ),
      powerSaveBlocker: {
        start: () => {
          const id = this.blockers.size + 1;
          this.blockers.add(id);
          return id;
        },
        stop: (id: number) => this.blockers.delete(id),
      },
      dialog: {
        showOpenDialog: (_window: unknown, options: unknown) => {
          this.dialogs.push(options);
          return Promise.resolve(this.dialogAnswer);
        },
        showMessageBox: (_window: unknown, options: { message: string; buttons: string[] }) => {
          this.messageBoxes.push(options);
          return Promise.resolve({ response: this.messageBoxAnswer });
        },
      },
      Menu: {
        buildFromTemplate: (template: unknown) => template,
        setApplicationMenu: (menu: readonly RecordedItem[]) => {
          this.menus.push(menu);
        },
      },
    };
    return module as unknown as ElectronApi;
  }

  /** The item of the newest menu that has this id or label. */
  item(name: string): RecordedItem {
    const search = (items: readonly RecordedItem[]): RecordedItem | null => {
      for (const item of items) {
        if (item.id === name || item.label === name) return item;
        const found = search(item.submenu ?? []);
        if (found !== null) return found;
      }
      return null;
    };
    const found = search(this.menus.at(-1) ?? []);
    if (found === null) throw new Error(`the menu has no ${name}`);
    return found;
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
