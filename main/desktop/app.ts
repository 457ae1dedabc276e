// SPDX-License-Identifier: GPL-2.0-only
/**
 * The Electron main process: windows on the services. Thin: every decision lies in the files beside this one, as data and pure
 * functions. Takes the electron module as a parameter, so that tests pass a recording stand-in.
 *
 *   start --lock--> ready --guards, protocol, calls, menu--> window --requestPort--> MessagePort to the services
 *   argv, open-file, second start, dialog, recent, drop --> document --> the current window's page
 *   last window closed --> quit --> services.close() in the stop order, QUIT_MS_MAX at most --> exit
 *
 * Rules: 1. Guards are on the app and the session, not on one window, so that nothing is ever made without them. 2. A second start
 * brings the window to the front and hands over its words. 3. On macOS the app stays without a window, as programs do there.
 */
import type * as Electron from 'electron';
import * as z from 'zod';
import type { OpenedDocument } from '../contract/window.ts';
import { CHANNEL } from './channels.ts';
import { openExperimentDialog, openImageDialog } from './dialogs.ts';
import { pathsInArguments, readDocument } from './documents.ts';
import { guardContents, guardSession } from './guards.ts';
import { makeHandle } from './ipc.ts';
import { menuTemplate, type MenuActions } from './menu.ts';
import { APP_SCHEME, customScheme } from './options.ts';
import { makeProtocolHandler, type BulkHandler, type PageFiles } from './protocol.ts';
import { RecentDocuments } from './recent.ts';
import { RunPresence, type PresencePort, type RunFeed } from './run-presence.ts';
import { Windows } from './windows.ts';

export type ElectronApi = Pick<
  typeof Electron,
  | 'app'
  | 'BrowserWindow'
  | 'dialog'
  | 'ipcMain'
  | 'Menu'
  | 'MessageChannelMain'
  | 'Notification'
  | 'powerSaveBlocker'
  | 'protocol'
  | 'screen'
  | 'session'
>;

/** What the window needs of the services. */
export interface DesktopServices {
  /** Serves the contract on one end of a channel, until it closes. */
  serve(port: Electron.MessagePortMain): void;
  readonly bulk: BulkHandler;
  readonly runs: RunFeed;
  /** Cancels what runs, in the stop order, and closes the store. */
  close(): Promise<void>;
}
export interface DesktopParts {
  readonly preloadPath: string;
  /** Where the windows' places and the recent documents are kept. */
  readonly stateFile: (name: 'window.json' | 'recent.json') => string;
  readonly files: PageFiles;
  readonly platform: NodeJS.Platform;
  readonly arguments: readonly string[];
  readonly folder: string;
  openServices(): Promise<DesktopServices>;
}

/** Longest that quitting waits for the services; their own watchdog is shorter. */
const QUIT_MS_MAX = 5000;
const NO_WORDS = z.tuple([]);
const ONE_PATH = z.tuple([z.string().min(1).max(4096)]);

/** The app once it is ready: what menu, calls and events do. */
class Desktop {
  readonly windows: Windows;
  readonly recent: RecentDocuments;
  private readonly presence: RunPresence;
  private blocker: number | null = null;

  constructor(
    private readonly electron: ElectronApi,
    private readonly parts: DesktopParts,
    private readonly services: DesktopServices,
  ) {
    this.windows = new Windows(electron, parts.preloadPath, parts.stateFile('window.json'));
    this.recent = new RecentDocuments(parts.stateFile('recent.json'), () => {
      this.setMenu();
    });
    this.presence = new RunPresence(services.runs, this.presencePort());
  }

  /** Opens the first window and what was asked for with the start. */
  begin(paths: readonly string[]): void {
    this.setMenu();
    this.windows.open();
    for (const path of paths) this.openPath(path);
    void this.presence.start();
  }

  /** A document from outside: read, remembered, sent to the page. */
  openPath(path: string): void {
    this.windows.focus();
    this.windows.send({ channel: CHANNEL.document, data: this.read(path) });
  }

  /** Reads a document; one that can be opened joins the recent ones, one that cannot leaves them. */
  private read(path: string): OpenedDocument {
    const document = readDocument(path);
    if (document.kind === 'refused') this.recent.drop(path);
    else this.remember(path);
    return document;
  }
  remember(path: string): void {
    this.recent.add(path);
    this.electron.app.addRecentDocument(path);
  }

  async choose(options: Electron.OpenDialogOptions): Promise<string | null> {
    const parent = this.windows.current;
    if (parent === null) return null;
    const { canceled, filePaths } = await this.electron.dialog.showOpenDialog(parent, options);
    return canceled ? null : (filePaths[0] ?? null);
  }

  /** The page's calls. */
  answerCalls(): void {
    const { electron, windows } = this;
    const handle = makeHandle(electron.ipcMain, () => windows.contents);
    handle(CHANNEL.requestPort, NO_WORDS, (_words, event) => {
      const { port1, port2 } = new electron.MessageChannelMain();
      this.services.serve(port1);
      event.senderFrame?.postMessage(CHANNEL.port, null, [port2]);
      return null;
    });
    handle(CHANNEL.openImage, NO_WORDS, async () => {
      const path = await this.choose(openImageDialog());
      if (path !== null) this.remember(path);
      return path;
    });
    handle(CHANNEL.openExperiment, NO_WORDS, async () => {
      const path = await this.choose(openExperimentDialog());
      return path === null ? null : this.read(path);
    });
    handle(CHANNEL.dropped, ONE_PATH, ([path]) => {
      if (readDocument(path).kind !== 'refused') this.remember(path);
      return null;
    });
    handle(CHANNEL.listening, NO_WORDS, (_words, event) => {
      windows.listening(event.sender);
      return null;
    });
  }

  setMenu(): void {
    const { app, Menu } = this.electron;
    const facts = {
      platform: this.parts.platform,
      isPackaged: app.isPackaged,
      recent: this.recent.paths,
    };
    Menu.setApplicationMenu(Menu.buildFromTemplate(menuTemplate(facts, this.menuActions())));
  }

  private menuActions(): MenuActions {
    const { app } = this.electron;
    const openChosen = async (options: Electron.OpenDialogOptions): Promise<void> => {
      if (this.windows.current === null) this.windows.open();
      const path = await this.choose(options);
      if (path !== null) this.openPath(path);
    };
    return {
      newWindow: () => void this.windows.open(),
      openImage: () => void openChosen(openImageDialog()).catch(report),
      openExperiment: () => void openChosen(openExperimentDialog()).catch(report),
      openRecent: (path) => {
        this.openPath(path);
      },
      clearRecent: () => {
        this.recent.clear();
        app.clearRecentDocuments();
      },
      command: (id) => {
        this.windows.send({ channel: CHANNEL.command, data: id });
      },
      about: () => {
        app.showAboutPanel();
      },
    };
  }

  private presencePort(): PresencePort {
    const { Notification, powerSaveBlocker } = this.electron;
    return {
      showProgress: (progress) => {
        // Electron's words: -1 none, above 1 busy.
        const value = progress === null ? -1 : progress === 'busy' ? 2 : Math.min(1, progress);
        for (const window of this.windows.all) window.setProgressBar(value);
      },
      keepAwake: (isOn) => {
        if (isOn) this.blocker ??= powerSaveBlocker.start('prevent-app-suspension');
        else if (this.blocker !== null) {
          powerSaveBlocker.stop(this.blocker);
          this.blocker = null;
        }
      },
      isAnyWindowInFront: () => this.windows.isAnyInFront(),
      notify: ({ runId, title, body }) => {
        if (!Notification.isSupported()) return;
        const notice = new Notification({ title, body });
        notice.on('click', () => {
          this.windows.focus();
          this.windows.send({ channel: CHANNEL.command, data: `run-${runId}` });
        });
        notice.show();
      },
      nowMs: () => performance.now(),
      onProblem: report,
    };
  }

  /** Quits by the stop order: the first attempt is held until the services are closed. */
  quitInOrder(): void {
    let isClosing = false;
    this.electron.app.on('before-quit', (event) => {
      event.preventDefault();
      if (isClosing) return;
      isClosing = true;
      this.presence.close();
      const limit = new Promise<void>((done) => setTimeout(done, QUIT_MS_MAX));
      void Promise.race([this.services.close(), limit])
        .catch(report)
        .finally(() => {
          this.electron.app.exit(0);
        });
    });
  }
}

/** For the log of whoever started the program: nothing that a person could act on in the window. */
function report(error: unknown): void {
  console.error(error);
}

/** Events of the app that come at any time; what comes before the services are there waits. */
function listenToApp(
  { app }: ElectronApi,
  parts: DesktopParts,
  desktop: () => Desktop | null,
): string[] {
  const early = pathsInArguments(parts.arguments, parts.folder, app.isPackaged);
  const open = (path: string): void => {
    const ready = desktop();
    if (ready === null) early.push(path);
    else ready.openPath(path);
  };
  app.on('web-contents-created', (_event, contents) => {
    guardContents(contents);
  });
  app.on('second-instance', (_event, words, folder) => {
    desktop()?.windows.focus();
    for (const path of pathsInArguments(words, folder, app.isPackaged)) open(path);
  });
  app.on('open-file', (event, path) => {
    event.preventDefault();
    open(path);
  });
  app.on('activate', () => {
    desktop()?.windows.focus();
  });
  app.on('window-all-closed', () => {
    if (parts.platform !== 'darwin') app.quit();
  });
  // The GPU's and other helpers of Chromium come back by themselves; an engine that died is told by the services.
  app.on('child-process-gone', (_event, details) => {
    if (details.reason === 'clean-exit' || details.reason === 'killed') return;
    const code = String(details.exitCode);
    report(`${details.type} process ${details.name ?? ''} ended: ${details.reason}, ${code}`);
  });
  return early;
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
  app.setAboutPanelOptions({
    applicationName: 'diolab',
    applicationVersion: app.getVersion(),
    copyright: 'The diolab authors. Free software under GPL-2.0-only.',
    website: 'https://diolab.github.io',
  });
  let desktop: Desktop | null = null;
  const early = listenToApp(electron, parts, () => desktop);
  await app.whenReady();
  const { defaultSession } = electron.session;
  guardSession(defaultSession, (path) => desktop?.remember(path));
  const services = await parts.openServices();
  const ready = new Desktop(electron, parts, services);
  ready.quitInOrder();
  defaultSession.protocol.handle(APP_SCHEME, makeProtocolHandler(parts.files, services.bulk));
  ready.answerCalls();
  desktop = ready;
  ready.begin(early.splice(0));
}
