// SPDX-License-Identifier: GPL-2.0-only
/**
 * The menu as data: a pure function from what is known to Electron's template. Rules: 1. Keys that the page handles itself are shown and
 * not registered (`registerAccelerator`), so that one press is never two commands; on macOS, where that has no effect, the page is asked
 * first and keeps what it takes. 2. Developer tools and reload where the app is run from its sources only.
 */
import { basename } from 'node:path';
import type { MenuItemConstructorOptions } from 'electron';
import { MENU_COMMANDS } from '../contract/window.ts';

/** What the items do; bound by app.ts. */
export interface MenuActions {
  newWindow(): void;
  openImage(): void;
  openExperiment(): void;
  openRecent(path: string): void;
  clearRecent(): void;
  /** A command of the page, by its id. */
  command(id: string): void;
  about(): void;
}
export interface MenuFacts {
  readonly platform: NodeJS.Platform;
  readonly isPackaged: boolean;
  readonly recent: readonly string[];
}

const separator: MenuItemConstructorOptions = { type: 'separator' };

/** The commands of the page that belong to one menu. */
function pageItems(
  menu: (typeof MENU_COMMANDS)[number]['menu'],
  actions: MenuActions,
): MenuItemConstructorOptions[] {
  return MENU_COMMANDS.filter((command) => command.menu === menu).map(
    ({ id, label, accelerator }) => ({
      id,
      label,
      ...(accelerator !== null && { accelerator, registerAccelerator: false }),
      click: () => {
        actions.command(id);
      },
    }),
  );
}

/** An ampersand marks the letter of a menu item: one of the file's own name is doubled. */
const asLabel = (path: string): string => basename(path).replaceAll('&', '&&');

function recentItems(recent: readonly string[], actions: MenuActions): MenuItemConstructorOptions {
  return {
    id: 'recent',
    label: 'Open Recent',
    enabled: recent.length > 0,
    submenu: [
      ...recent.map((path): MenuItemConstructorOptions => ({
        label: asLabel(path),
        toolTip: path,
        click: () => {
          actions.openRecent(path);
        },
      })),
      separator,
      { id: 'clear-recent', label: 'Clear the List', click: () => { actions.clearRecent(); } },
    ],
  }; // prettier-ignore
}

function fileMenu(facts: MenuFacts, actions: MenuActions): MenuItemConstructorOptions {
  const { platform, recent } = facts;
  return {
    label: '&File',
    submenu: [
      { id: 'new-window', label: 'New Window', accelerator: 'CmdOrCtrl+N', click: () => { actions.newWindow(); } },
      separator,
      { id: 'open-experiment', label: 'Open Experiment…', accelerator: 'CmdOrCtrl+O', click: () => { actions.openExperiment(); } },
      { id: 'open-image', label: 'Open Image…', accelerator: 'CmdOrCtrl+Shift+O', click: () => { actions.openImage(); } },
      recentItems(recent, actions),
      separator,
      ...pageItems('file', actions),
      separator,
      { role: 'close' },
      ...(platform === 'darwin' ? [] : [{ role: 'quit' } as const]),
    ],
  }; // prettier-ignore
}

export function menuTemplate(facts: MenuFacts, actions: MenuActions): MenuItemConstructorOptions[] {
  const { platform, isPackaged } = facts;
  const view: MenuItemConstructorOptions[] = [
    ...pageItems('view', actions),
    separator,
    { role: 'resetZoom' },
    { role: 'zoomIn' },
    { role: 'zoomOut' },
    separator,
    { role: 'togglefullscreen' },
  ];
  if (!isPackaged) view.push(separator, { role: 'reload' }, { role: 'toggleDevTools' });
  const about: MenuItemConstructorOptions = {
    id: 'about',
    label: 'About diolab',
    click: () => {
      actions.about();
    },
  };
  return [
    ...(platform === 'darwin' ? [{ role: 'appMenu' } as const] : []),
    fileMenu(facts, actions),
    { role: 'editMenu' },
    { label: '&Lab', submenu: pageItems('lab', actions) },
    { label: '&View', submenu: view },
    { label: '&Go', submenu: pageItems('go', actions) },
    { role: 'windowMenu' },
    { role: 'help', submenu: [...pageItems('help', actions), separator, about] },
  ];
}
