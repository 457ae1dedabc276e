// SPDX-License-Identifier: GPL-2.0-only
/** The preload against a recording stand-in of what a sandboxed preload has of electron: what the page gets, and what it does not. */
import type { EventEmitter } from 'node:events';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { OpenedDocument, WindowBridge } from '../contract/window.ts';
import { CHANNEL } from './channels.ts';

interface Stand {
  readonly exposed: [string, Record<string, unknown>][];
  readonly invoked: unknown[][];
  answer: unknown;
  listeners: EventEmitter | null;
}
const stand = vi.hoisted((): Stand => ({
  exposed: [],
  invoked: [],
  answer: { ok: true, value: null },
  listeners: null,
}));
vi.mock('electron', async () => {
  const { EventEmitter: Emitter } = await import('node:events');
  stand.listeners = new Emitter();
  return {
    contextBridge: {
      exposeInMainWorld: (name: string, api: Record<string, unknown>) =>
        stand.exposed.push([name, api]),
    },
    ipcRenderer: {
      on: (channel: string, listener: (...words: unknown[]) => void) =>
        stand.listeners?.on(channel, listener),
      invoke: (...words: unknown[]) => {
        stand.invoked.push(words);
        return Promise.resolve(stand.answer);
      },
    },
    webUtils: { getPathForFile: (file: { path?: string }) => file.path ?? '' },
  };
});

describe('the preload', () => {
  let bridge: WindowBridge;
  beforeAll(async () => {
    await import('./preload.ts');
    bridge = stand.exposed[0]?.[1] as unknown as WindowBridge;
  });

  it('20: gives the page these functions and nothing of Electron', () => {
    expect(stand.exposed.map(([name]) => name)).toEqual(['diolab']);
    expect(Object.keys(bridge).sort()).toEqual([
      'onCommand',
      'onDocument',
      'openExperiment',
      'openImage',
      'pathOfFile',
      'requestPort',
    ]);
    for (const value of Object.values(bridge)) expect(typeof value).toBe('function');
  });

  it('20: calls only its own channels, whatever the page passes', async () => {
    stand.invoked.length = 0;
    const open = bridge.openImage as unknown as (word: string) => Promise<unknown>;
    await open('diolab:other');
    const openExperiment = bridge.openExperiment as unknown as (word: string) => Promise<unknown>;
    await openExperiment('/etc/passwd');
    expect(stand.invoked).toEqual([[CHANNEL.openImage], [CHANNEL.openExperiment]]);
  });

  it('20: hands over what came and not the event that brought it', () => {
    const taken: unknown[][] = [];
    bridge.onDocument((...words: unknown[]) => taken.push(words));
    bridge.onCommand((...words: unknown[]) => taken.push(words));
    const document: OpenedDocument = { kind: 'image', path: '/a.img' };
    stand.listeners?.emit(CHANNEL.document, { sender: 'ipcRenderer' }, document);
    stand.listeners?.emit(CHANNEL.command, { sender: 'ipcRenderer' }, 'run');
    expect(taken).toEqual([[document], ['run']]);
  });

  it('says once that the page listens, when somebody takes both', () => {
    stand.invoked.length = 0;
    bridge.onDocument(() => undefined);
    expect(stand.invoked).toEqual([[CHANNEL.listening]]);
  });

  it('tells the path of a dropped file, and that it was dropped', () => {
    stand.invoked.length = 0;
    expect(bridge.pathOfFile({ path: '/images/a.img' } as unknown as File)).toBe('/images/a.img');
    expect(stand.invoked).toEqual([[CHANNEL.dropped, '/images/a.img']]);
    stand.invoked.length = 0;
    expect(bridge.pathOfFile({} as File)).toBe('');
    expect(stand.invoked).toEqual([]);
  });

  it('turns a refusal into an error with its words', async () => {
    stand.answer = { ok: false, error: { message: 'refused, and why' } };
    await expect(bridge.openImage()).rejects.toThrow('refused, and why');
    stand.answer = { ok: true, value: null };
  });
});
