// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the window gives the page beyond the services: native dialogs, paths of dropped files, documents opened from outside, commands
 * of the menu. `FACE_ABILITIES` says of each what a browser has in its place, or that it has nothing. Data and types only.
 */

/** A document that somebody opened: by a dialog, the list of recent ones, a double click in a file manager, a word of the command line. */
export type OpenedDocument =
  | { readonly kind: 'image'; readonly path: string }
  | {
      readonly kind: 'experiment';
      readonly path: string;
      readonly name: string;
      readonly text: string;
      readonly format: 'yaml' | 'fio';
    }
  | { readonly kind: 'refused'; readonly path: string; readonly message: string };

/** Endings of experiment files and of fio's job files. Every other file is taken for an image. */
export const EXPERIMENT_ENDINGS = {
  yaml: ['diolab', 'yaml', 'yml'],
  fio: ['fio', 'ini', 'job'],
} as const;
/** The ending that belongs to this program: `mail-transfer.diolab`, YAML inside. */
export const OWN_ENDING = 'diolab';
export const EXPERIMENT_MEDIA_TYPE = 'application/x-diolab-experiment';
/** Largest text that is taken for an experiment. */
export const EXPERIMENT_BYTES_MAX = 1_000_000;

/** What a name's ending says of the text in the file; null: not an experiment. */
export function experimentFormatOf(name: string): 'yaml' | 'fio' | null {
  const ending = /\.([^./\\]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  if ((EXPERIMENT_ENDINGS.yaml as readonly string[]).includes(ending)) return 'yaml';
  return (EXPERIMENT_ENDINGS.fio as readonly string[]).includes(ending) ? 'fio' : null;
}

/** Commands of the page that the menu has, by the ids of the page's own list; the accelerators are shown, the page handles the keys. */
export const MENU_COMMANDS = [
  { id: 'save-experiment', menu: 'file', label: 'Save the Experiment…', accelerator: 'CmdOrCtrl+S' },
  { id: 'run', menu: 'lab', label: 'Run the Experiment', accelerator: 'CmdOrCtrl+Enter' },
  { id: 'stop', menu: 'lab', label: 'Stop the Run', accelerator: 'Esc' },
  { id: 'text', menu: 'lab', label: 'Show the Job as Text', accelerator: 'CmdOrCtrl+J' },
  { id: 'palette', menu: 'view', label: 'Command Palette', accelerator: 'CmdOrCtrl+K' },
  { id: 'go-lab', menu: 'go', label: 'Lab', accelerator: 'Alt+1' },
  { id: 'go-images', menu: 'go', label: 'Images', accelerator: 'Alt+2' },
  { id: 'go-runs', menu: 'go', label: 'Runs', accelerator: 'Alt+3' },
  { id: 'go-microscope', menu: 'go', label: 'Microscope', accelerator: 'Alt+4' },
  { id: 'go-dial', menu: 'go', label: 'Revision Dial', accelerator: 'Alt+5' },
  { id: 'go-gallery', menu: 'go', label: 'Bug Gallery', accelerator: 'Alt+6' },
  { id: 'go-grounds', menu: 'go', label: 'Grounds', accelerator: 'Alt+8' },
  { id: 'go-host', menu: 'go', label: 'Host and Settings', accelerator: 'Alt+7' },
  { id: 'keys', menu: 'help', label: 'List of Keys', accelerator: null },
] as const; // prettier-ignore
export type MenuCommand = (typeof MENU_COMMANDS)[number]['id'];

/** What the window's preload puts at `window.diolab`. Absent in a browser. */
export interface WindowBridge {
  /** Asks the main process for a fresh port; it arrives as a message event with `data === 'diolab:port'`. */
  requestPort(): void;
  /** The path on disk of a dropped file; it joins the recent documents. '' where the file is not from a disk. */
  pathOfFile(file: File): string;
  /** The native dialogs; null where they were closed. */
  openImage(): Promise<string | null>;
  openExperiment(): Promise<OpenedDocument | null>;
  /** Documents opened from outside; those that waited for the page come at once. One listener: the newest. */
  onDocument(listener: (document: OpenedDocument) => void): void;
  /** Commands of the menu, by id. One listener: the newest. */
  onCommand(listener: (id: string) => void): void;
}

/** Something that a face of the lab can do, in the window and in a browser. */
export interface FaceAbility {
  readonly id: string;
  readonly title: string;
  readonly window: string;
  /** What takes its place, or why there is nothing. */
  readonly browser: string;
}
export const FACE_ABILITIES: readonly FaceAbility[] = [
  { id: 'open-image', title: 'Choose an image', window: 'the system’s dialog',
    browser: 'folders of the host, shown in the page' },
  { id: 'open-experiment', title: 'Open an experiment', window: 'the system’s dialog',
    browser: 'the browser’s dialog, which gives the text and not the path' },
  { id: 'save', title: 'Save an experiment, a report, an export', window: 'the system’s dialog',
    browser: 'a download' },
  { id: 'drop', title: 'Drop files', window: 'images by their path, experiments by their text',
    browser: 'experiments by their text; a browser does not tell where a file lies' },
  { id: 'recent', title: 'Recent documents', window: 'in the menu and in the system’s list',
    browser: 'images used lately, on the Images screen' },
  { id: 'association', title: 'Open by a double click', window: 'files that end in .diolab',
    browser: 'none: a page is not asked' },
  { id: 'menu', title: 'Menu', window: 'the window’s or the system’s',
    browser: 'the command palette, with the same commands' },
  { id: 'notice', title: 'Notice at the end of a long run', window: 'always, where the window is not in front',
    browser: 'where the person allowed notices (command palette)' },
  { id: 'progress', title: 'Progress outside of the page', window: 'task bar or dock, and the title',
    browser: 'the title of the tab' },
  { id: 'awake', title: 'No suspension while a run goes on', window: 'a power-save blocker',
    browser: 'none: the host that serves the page decides' },
  { id: 'recovery', title: 'A page that died', window: 'is loaded again, the run goes on',
    browser: 'reload it; the run goes on' },
]; // prettier-ignore
