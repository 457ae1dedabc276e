// SPDX-License-Identifier: GPL-2.0-only
/**
 * The windows of the app: opened, found again, and brought back where a page died or hangs.
 *
 *   open --ready-to-show--> shown --'listening'--> what waited for the page is sent --close--> its place is kept for its display
 *   page gone --> loaded again, at most RELOADS_MAX times in RELOADS_WITHIN_MS, then the person is asked
 *   page hangs --> the person is asked: wait, or load it anew
 *
 * Rule: a page that died is not a run that died. Runs go on in the engine process, and a fresh page finds them.
 */
import type * as Electron from 'electron';
import type { OpenedDocument } from '../contract/window.ts';
import type { CHANNEL } from './channels.ts';
import { APP_START_URL, windowOptions } from './options.ts';
import {
  chooseState,
  loadPlaces,
  savePlaces,
  withPlace,
  type Area,
  type WindowState,
} from './window-state.ts';

export type WindowsApi = Pick<typeof Electron, 'app' | 'BrowserWindow' | 'dialog' | 'screen'>;

export const RELOADS_MAX = 3;
export const RELOADS_WITHIN_MS = 60_000;
/** Pixels that a further window lies beside the one before it. */
const CASCADE = 28;
/** Documents that wait for one page at most. */
const WAITING_MAX = 20;

type Message =
  | { readonly channel: typeof CHANNEL.document; readonly data: OpenedDocument }
  | { readonly channel: typeof CHANNEL.command; readonly data: string };

/** A window and what waits until its page listens. */
interface Held {
  readonly window: Electron.BrowserWindow;
  isListening: boolean;
  waiting: Message[];
  reloadsAtMs: number[];
}

export class Windows {
  private readonly held: Held[] = [];

  constructor(
    private readonly electron: WindowsApi,
    private readonly preloadPath: string,
    private readonly placesPath: string,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get contents(): readonly Electron.WebContents[] {
    return this.held.map(({ window }) => window.webContents);
  }
  get all(): readonly Electron.BrowserWindow[] {
    return this.held.map(({ window }) => window);
  }
  /** The one in front, else the newest; null where there is none. */
  get current(): Electron.BrowserWindow | null {
    return (this.held.find(({ window }) => window.isFocused()) ?? this.held.at(-1))?.window ?? null;
  }
  isAnyInFront(): boolean {
    return this.held.some(({ window }) => window.isFocused());
  }

  open(): Electron.BrowserWindow {
    const state = this.nextState();
    const { app, BrowserWindow } = this.electron;
    const window = new BrowserWindow(windowOptions(this.preloadPath, state, app.isPackaged));
    const held: Held = { window, isListening: false, waiting: [], reloadsAtMs: [] };
    this.held.push(held);
    if (state.isMaximized) window.maximize();
    window.once('ready-to-show', () => {
      window.show();
    });
    window.on('close', () => {
      this.keepPlace(window);
    });
    window.on('closed', () => {
      this.held.splice(this.held.indexOf(held), 1);
    });
    this.watchPage(held);
    void window.loadURL(APP_START_URL);
    return window;
  }

  /** Brings the current window to the front, or opens one. */
  focus(): void {
    const window = this.current ?? this.open();
    if (window.isMinimized()) window.restore();
    window.focus();
  }

  /** Sends a document or a command to the current window; it waits there until the page listens. */
  send(message: Message): void {
    const window = this.current ?? this.open();
    const held = this.held.find((each) => each.window === window);
    if (held === undefined) return;
    if (held.isListening) window.webContents.send(message.channel, message.data);
    else held.waiting = [...held.waiting, message].slice(-WAITING_MAX);
  }

  /** The page of a window listens from now on. */
  listening(contents: Electron.WebContents): void {
    const held = this.held.find(({ window }) => window.webContents === contents);
    if (held === undefined) return;
    held.isListening = true;
    for (const { channel, data } of held.waiting.splice(0)) contents.send(channel, data);
  }

  private nextState(): WindowState {
    const areas = this.electron.screen.getAllDisplays().map(({ workArea }) => workArea);
    const before = this.current;
    if (before === null) return chooseState(loadPlaces(this.placesPath), areas);
    const { x, y, width, height } = before.getNormalBounds();
    return { x: x + CASCADE, y: y + CASCADE, width, height, isMaximized: false };
  }

  private keepPlace(window: Electron.BrowserWindow): void {
    const bounds = window.getNormalBounds();
    const state: WindowState = { ...pick(bounds), isMaximized: window.isMaximized() };
    const { workArea } = this.electron.screen.getDisplayMatching(bounds);
    savePlaces(this.placesPath, withPlace(loadPlaces(this.placesPath), workArea, state));
  }

  private watchPage(held: Held): void {
    const { window } = held;
    const { webContents } = window;
    webContents.on('did-start-loading', () => {
      held.isListening = false;
    });
    webContents.on('render-process-gone', (_event, details) => {
      held.isListening = false;
      if (details.reason !== 'clean-exit') void this.bringBack(held, details.reason);
    });
    let isAsking = false;
    window.on('unresponsive', () => {
      if (isAsking) return;
      isAsking = true;
      void this.ask(window, 'The page does not answer', 'Runs go on in a process of their own.', [
        'Wait',
        'Load It Anew',
      ]).then((choice) => {
        isAsking = false;
        // The process that hangs does not answer a reload either: it is ended, and what ended is brought back.
        if (choice === 1) webContents.forcefullyCrashRenderer();
      });
    });
  }

  /** Loads the page again; where it dies again and again, only if the person wants that. */
  private async bringBack(held: Held, reason: string): Promise<void> {
    const now = this.nowMs();
    held.reloadsAtMs = held.reloadsAtMs.filter((at) => now - at < RELOADS_WITHIN_MS);
    if (held.reloadsAtMs.length >= RELOADS_MAX) {
      const choice = await this.ask(
        held.window,
        `The page ended ${String(RELOADS_MAX + 1)} times within a minute (${reason})`,
        'Runs go on in a process of their own, and their results are kept.',
        ['Load It Anew', 'Close the Window'],
      );
      if (choice === 1) {
        held.window.destroy();
        return;
      }
      held.reloadsAtMs = [];
    }
    held.reloadsAtMs.push(now);
    held.window.reload();
  }

  private async ask(
    window: Electron.BrowserWindow,
    message: string,
    detail: string,
    buttons: string[],
  ): Promise<number> {
    const asked = { type: 'warning' as const, message, detail, buttons, defaultId: 0, cancelId: 0 };
    return (await this.electron.dialog.showMessageBox(window, asked)).response;
  }
}

const pick = ({ x, y, width, height }: Area): Area => ({ x, y, width, height });
