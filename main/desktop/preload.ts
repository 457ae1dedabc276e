// SPDX-License-Identifier: GPL-2.0-only
/**
 * The window's preload: sandboxed, in its own world. The page gets the functions of `WindowBridge` and no piece of Electron [20]:
 * no event, no channel name of its own choice, no emitter. Built as CommonJS.
 */
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import type { OpenedDocument, WindowBridge } from '../contract/window.ts';
import { CHANNEL } from './channels.ts';

type Answer<T> = { ok: true; value: T } | { ok: false; error: { message: string } };

async function call<T>(channel: string, ...words: readonly unknown[]): Promise<T> {
  const answer = (await ipcRenderer.invoke(channel, ...words)) as Answer<T>;
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.value;
}
/** For calls whose answer nobody waits for: a refusal belongs to the console. */
function tell(channel: string, ...words: readonly unknown[]): void {
  call(channel, ...words).catch((error: unknown) => {
    console.error(error);
  });
}

let takeDocument: ((document: OpenedDocument) => void) | null = null;
let takeCommand: ((id: string) => void) | null = null;
/** What waits in the main process is sent once somebody takes it. */
function listen(): void {
  if (takeDocument !== null && takeCommand !== null) tell(CHANNEL.listening);
}

ipcRenderer.on(CHANNEL.port, (event) => {
  // Hands the port from this world to the page's: same window, same origin.
  window.postMessage(CHANNEL.port, window.location.origin, event.ports);
});
ipcRenderer.on(CHANNEL.document, (_event, document: OpenedDocument) => {
  takeDocument?.(document);
});
ipcRenderer.on(CHANNEL.command, (_event, id: string) => {
  takeCommand?.(id);
});

const bridge: WindowBridge = {
  requestPort: () => {
    tell(CHANNEL.requestPort);
  },
  pathOfFile: (file) => {
    const path = webUtils.getPathForFile(file);
    if (path !== '') tell(CHANNEL.dropped, path);
    return path;
  },
  openImage: () => call(CHANNEL.openImage),
  openExperiment: () => call(CHANNEL.openExperiment),
  onDocument: (listener) => {
    takeDocument = listener;
    listen();
  },
  onCommand: (listener) => {
    takeCommand = listener;
    listen();
  },
};
contextBridge.exposeInMainWorld('diolab', bridge);
