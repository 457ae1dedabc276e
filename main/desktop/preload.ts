// SPDX-License-Identifier: GPL-2.0-only
/**
 * The window's preload: sandboxed, in its own world. The page gets three functions and no piece of Electron [20]. Built as CommonJS.
 */
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import { CHANNEL } from './channels.ts';

type Answer = { ok: true; value: unknown } | { ok: false; error: { message: string } };

async function call(channel: string): Promise<unknown> {
  const answer = (await ipcRenderer.invoke(channel)) as Answer;
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.value;
}

ipcRenderer.on(CHANNEL.port, (event) => {
  // Hands the port from this world to the page's: same window, same origin.
  window.postMessage(CHANNEL.port, window.location.origin, event.ports);
});

contextBridge.exposeInMainWorld('diolab', {
  /** Asks for a port to the services; it comes as a message event with the data 'diolab:port'. */
  requestPort: (): void => void call(CHANNEL.requestPort),
  /** The native open-file dialog; null where it was closed. */
  openImage: (): Promise<unknown> => call(CHANNEL.openImage),
  /** The path on disk of a dropped file. */
  pathOfFile: (file: File): string => webUtils.getPathForFile(file),
});
