// SPDX-License-Identifier: GPL-2.0-only
/** What comes from the window to the page, and the page's own counterparts in a browser. */
import { mount } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMemoryHistory, createRouter } from 'vue-router';
import { defineComponent, h } from 'vue';
import { MENU_COMMANDS, type OpenedDocument } from '../../main/contract/window.ts';
import { asExperiment } from '../connection/choose.ts';
import type { Connection } from '../connection/connection.ts';
import { useConnectionStore } from '../stores/connection.ts';
import { useToastsStore } from '../stores/toasts.ts';
import type { Command } from './commands.ts';
import { listenOutside, tellEnd, titleOf, whyNoNotices } from './outside.ts';
import { useCommands } from './use-commands.ts';

const makeRouter = () => {
  const blank = defineComponent(() => () => h('div'));
  return createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: '/', component: blank },
      { path: '/image', name: 'image', component: blank },
    ],
  });
};
let parsed: unknown[];
let give: { document: (document: OpenedDocument) => void; command: (id: string) => void };
const connect = (isWindow: boolean): void => {
  parsed = [];
  const connection = {
    client: {
      experiments: {
        parse: (asked: unknown) => {
          parsed.push(asked);
          return Promise.resolve({ experiment: null, problems: [{ message: 'line 1: no' }] });
        },
      },
    },
    onState: () => () => undefined,
    outside: isWindow
      ? {
          onDocument: (listener: typeof give.document) => (give.document = listener),
          onCommand: (listener: typeof give.command) => (give.command = listener),
        }
      : null,
  };
  useConnectionStore().use(connection as unknown as Connection);
};
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

beforeEach(() => {
  setActivePinia(createPinia());
  give = { document: () => undefined, command: () => undefined };
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('from the window', () => {
  it('an image is shown on its screen, an experiment is parsed, a refusal is told', async () => {
    connect(true);
    const router = makeRouter();
    listenOutside(router, () => []);
    give.document({ kind: 'image', path: '/a b.img' });
    await settle();
    expect(router.currentRoute.value.query).toEqual({ path: '/a b.img' });
    give.document({
      kind: 'experiment',
      path: '/a.fio',
      name: 'a.fio',
      text: '[a]',
      format: 'fio',
    });
    await settle();
    expect(router.currentRoute.value.path).toBe('/');
    expect(parsed).toEqual([{ text: '[a]', kind: 'fio' }]);
    give.document({ kind: 'refused', path: '/x', message: '/x cannot be opened: ENOENT' });
    expect(useToastsStore().toasts.map(({ text }) => text)).toEqual([
      'line 1: no',
      '/x cannot be opened: ENOENT',
    ]);
  });

  it('a command is done, or it is said why not', () => {
    connect(true);
    let ran = 0;
    const command = (id: string, why: string | null): Command => ({
      id, title: `Do ${id}`, group: 'x', keys: [], why: () => why, run: () => { ran += 1; },
    }); // prettier-ignore
    listenOutside(makeRouter(), () => [command('a', null), command('b', 'nothing runs')]);
    give.command('a');
    give.command('b');
    give.command('unknown');
    expect(ran).toBe(1);
    expect(useToastsStore().toasts.map(({ text }) => text)).toEqual(['Do b: nothing runs']);
  });

  it('every command of the menu is one of the page', () => {
    connect(true);
    let commands: readonly Command[] = [];
    const page = defineComponent(() => {
      commands = useCommands().value;
      return () => h('div');
    });
    mount(page, { global: { plugins: [makeRouter()] } }).unmount();
    const keys = new Map(commands.map(({ id, keys: own }) => [id, own]));
    for (const { id, accelerator } of MENU_COMMANDS) {
      expect(keys.has(id), id).toBe(true);
      if (accelerator === null) continue;
      expect(keys.get(id), id).toContain(accelerator.replace('CmdOrCtrl', 'Ctrl'));
    }
  });
});

describe('in a browser', () => {
  it('the title tells how far a run is', () => {
    expect(titleOf('Lab', false, null)).toBe('Lab · diolab');
    expect(titleOf('Lab', true, null)).toBe('▸ Lab · diolab');
    expect(titleOf('Runs', true, 0.4299)).toBe('42 % · Runs · diolab');
  });

  it('a notice comes at the end of a long run that nobody looks at, where it is allowed', () => {
    connect(false);
    const shown: string[] = [];
    class Notice {
      static permission = 'default';
      constructor(title: string, { body }: { body: string }) {
        shown.push(`${title}: ${body}`);
      }
      addEventListener(): void {
        // Nobody clicks here.
      }
    }
    vi.stubGlobal('Notification', Notice);
    const hasFocus = vi.spyOn(document, 'hasFocus').mockReturnValue(false);
    expect(whyNoNotices()).toBeNull();
    tellEnd('finished', 'a', 11e9);
    Notice.permission = 'granted';
    tellEnd('finished', 'short', 9e9);
    hasFocus.mockReturnValue(true);
    tellEnd('finished', 'seen', 11e9);
    hasFocus.mockReturnValue(false);
    tellEnd('finished', 'b', 11e9);
    expect(shown).toEqual(['The run has ended: b']);
    setActivePinia(createPinia());
    connect(true);
    tellEnd('finished', 'c', 11e9);
    expect(shown).toHaveLength(1);
    expect(whyNoNotices()).toContain('window');
  });

  it('a chosen file comes with its text, and not where it is too large', async () => {
    expect(await asExperiment(new File(['[a]'], 'a.fio'))).toMatchObject({
      format: 'fio',
      text: '[a]',
    });
    expect(await asExperiment(new File(['a: 1'], 'a.txt'))).toMatchObject({ format: 'yaml' });
    const large = new File([new Uint8Array(1_000_001)], 'a.diolab');
    expect(await asExperiment(large)).toMatchObject({ kind: 'refused' });
  });
});
