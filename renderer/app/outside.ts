// SPDX-License-Identifier: GPL-2.0-only
/**
 * What comes to the page from outside of it, and what it tells outside: documents opened by the system, commands of the window's menu,
 * the title, and a notice at the end of a long run. In the window the main process shows progress and notices by itself.
 */
import type { Router } from 'vue-router';
import type { RunState } from '../../main/contract/index.ts';
import type { OpenedDocument } from '../../main/contract/window.ts';
import { useConnectionStore } from '../stores/connection.ts';
import { useExperimentStore } from '../stores/experiment.ts';
import { useToastsStore } from '../stores/toasts.ts';
import type { Command } from './commands.ts';

/** Runs at least so long are told of at their end. */
export const LONG_RUN_NS = 10e9;

/** Takes an experiment or a fio job into the form; what is wrong with it is shown. */
export async function useText(text: string, kind: 'yaml' | 'fio'): Promise<void> {
  const toasts = useToastsStore();
  try {
    const parsed = await useConnectionStore().client().experiments.parse({ text, kind });
    const [problem] = parsed.problems;
    if (parsed.experiment && problem === undefined) useExperimentStore().replace(parsed.experiment);
    else toasts.show(problem?.message ?? 'This file is no experiment', { tone: 'bad' });
  } catch (thrown) {
    toasts.showError(thrown);
  }
}

/** Shows a document: an image on its screen, an experiment in the Lab, a refusal in words. */
export async function showDocument(document: OpenedDocument, router: Router): Promise<void> {
  if (document.kind === 'refused') {
    useToastsStore().show(document.message, { tone: 'bad' });
  } else if (document.kind === 'image') {
    await router.push({ name: 'image', query: { path: document.path } });
  } else {
    await router.push('/');
    await useText(document.text, document.format);
  }
}

/** Listens to the window, where there is one. `commands` gives the page's list at the time of a call. */
export function listenOutside(router: Router, commands: () => readonly Command[]): void {
  const outside = useConnectionStore().connection?.outside;
  outside?.onDocument((document) => {
    void showDocument(document, router);
  });
  outside?.onCommand((id) => {
    const command = commands().find((each) => each.id === id);
    const why = command?.why() ?? null;
    if (command === undefined) return;
    if (why === null) command.run();
    else useToastsStore().show(`${command.title}: ${why}`);
  });
}

/** The title of the page: how far a run is, then the screen. `fraction`: null where its end is not known. */
export function titleOf(screen: string, isLive: boolean, fraction: number | null): string {
  const percent = fraction === null ? '▸ ' : `${String(Math.floor(fraction * 100))} % · `;
  return `${isLive ? percent : ''}${screen} · diolab`;
}

/** Why this page shows no notices of its own; null: it does. */
export function whyNoNotices(): string | null {
  if (useConnectionStore().connection?.outside) return 'the window shows them by itself';
  if (!('Notification' in globalThis)) return 'this browser has none';
  if (Notification.permission === 'granted') return 'they are on';
  return Notification.permission === 'denied'
    ? 'the browser does not allow them to this page'
    : null;
}
export async function askForNotices(): Promise<void> {
  const answer = await Notification.requestPermission();
  useToastsStore().show(
    answer === 'granted'
      ? 'The end of a run of 10 s or more is told where this page is not in front'
      : 'The browser does not allow notices to this page',
  );
}

const END_WORDS: Readonly<Partial<Record<RunState, string>>> = {
  finished: 'The run has ended',
  cancelled: 'The run was stopped',
  failed: 'The run failed',
};

/** A notice where the run was long, nobody looks, and the person allowed it. In the window the main process gives it. */
export function tellEnd(state: RunState, name: string, elapsedNs: number): void {
  const words = END_WORDS[state];
  if (words === undefined || elapsedNs < LONG_RUN_NS || document.hasFocus()) return;
  if (useConnectionStore().connection?.outside || !('Notification' in globalThis)) return;
  if (Notification.permission !== 'granted') return;
  const notice = new Notification(words, { body: name });
  notice.addEventListener('click', () => {
    window.focus();
  });
}
