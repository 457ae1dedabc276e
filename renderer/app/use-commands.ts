// SPDX-License-Identifier: GPL-2.0-only
/** The commands of this page, bound to its stores. */
import { computed, type ComputedRef } from 'vue';
import { useRouter, type Router } from 'vue-router';
import { useCatalogueStore } from '../stores/catalogue.ts';
import { useConnectionStore } from '../stores/connection.ts';
import { useExperimentStore } from '../stores/experiment.ts';
import { useRunStore } from '../stores/run.ts';
import { useRunsStore } from '../stores/runs.ts';
import { useSettingsStore } from '../stores/settings.ts';
import { useToastsStore } from '../stores/toasts.ts';
import { asSent } from '../connection/connection.ts';
import { downloadBlob, fileNameOf } from '../components/run/download.ts';
import { OWN_ENDING } from '../../main/contract/window.ts';
import type { Command } from './commands.ts';
import { askForNotices, showDocument, whyNoNotices } from './outside.ts';
import { useUiStore } from './ui.ts';

const always = (): null => null;

/** Starts the experiment of the form, and shows it. */
export async function startRun(router: Router): Promise<void> {
  const experiment = useExperimentStore();
  const run = useRunStore();
  if (experiment.experiment === null || run.isLive) return;
  await router.push('/');
  try {
    await run.start(experiment.experiment);
  } catch (thrown) {
    useToastsStore().showError(thrown);
    await experiment.checkNow();
  }
}
export async function stopRun(): Promise<void> {
  try {
    await useRunStore().cancel();
  } catch (thrown) {
    useToastsStore().showError(thrown);
  }
}

/** Saves the experiment of the form as text: the system's dialog in the window, a download in a browser. */
async function saveExperiment(): Promise<void> {
  const { experiment } = useExperimentStore();
  if (experiment === null) return;
  try {
    const client = useConnectionStore().client();
    const { text } = await client.experiments.format({
      experiment: asSent(experiment),
      kind: 'yaml',
    });
    downloadBlob(
      new Blob([text], { type: 'application/yaml' }),
      `${fileNameOf(experiment.name)}.${OWN_ENDING}`,
    );
  } catch (thrown) {
    useToastsStore().showError(thrown);
  }
}
async function openExperiment(router: Router): Promise<void> {
  try {
    const document = await useConnectionStore().connection?.openExperiment();
    if (document) await showDocument(document, router);
  } catch (thrown) {
    useToastsStore().showError(thrown);
  }
}

/** Files of experiments, and notices. */
function fileCommands(router: Router): Command[] {
  const experiment = useExperimentStore();
  return [
    { id: 'open-experiment', title: 'Open an experiment or a fio job', group: 'Lab', icon: 'folder', keys: ['Ctrl+O'],
      isGlobal: true, why: always, run: () => void openExperiment(router) },
    { id: 'save-experiment', title: 'Save the experiment as a file', group: 'Lab', icon: 'download', keys: ['Ctrl+S'], isGlobal: true,
      why: () => (experiment.experiment === null ? 'there is none' : null), run: () => void saveExperiment() },
    { id: 'notices', title: 'Tell the end of long runs', group: 'Page', icon: 'play', keys: [],
      why: whyNoNotices, run: () => void askForNotices() },
  ]; // prettier-ignore
}

function runCommands(router: Router): Command[] {
  const run = useRunStore();
  const experiment = useExperimentStore();
  const ui = useUiStore();
  return [
    { id: 'run', title: 'Run the experiment', group: 'Lab', icon: 'play', keys: ['Ctrl+Enter'], isGlobal: true,
      why: () => (run.isLive ? 'a run is going on' : experiment.check?.problems[0]?.message ?? null),
      run: () => void startRun(router) },
    { id: 'stop', title: 'Stop the run', group: 'Lab', icon: 'stop', keys: ['Esc'], isGlobal: true,
      why: () => (run.isLive ? null : 'nothing runs'), run: () => void stopRun() },
    { id: 'text', title: 'Show the job as YAML or fio job', group: 'Lab', icon: 'code', keys: ['Ctrl+J'], isGlobal: true,
      why: always, run: () => { void router.push('/'); ui.isTextOpen = true; } },
    { id: 'undo', title: 'Undo the last change', group: 'Lab', icon: 'undo', keys: ['Ctrl+Z'],
      why: () => (experiment.canUndo ? null : 'nothing to undo'), run: () => { experiment.undo(); } },
    { id: 'redo', title: 'Redo the change', group: 'Lab', icon: 'redo', keys: ['Ctrl+Shift+Z', 'Ctrl+Y'],
      why: () => (experiment.canRedo ? null : 'nothing to redo'), run: () => { experiment.redo(); } },
  ]; // prettier-ignore
}
function goCommands(router: Router): Command[] {
  const go = (id: string, title: string, path: string, key: string, icon: Command['icon']): Command => ({
    id, title, group: 'Go to', keys: [key], isGlobal: true, why: always,
    run: () => void router.push(path), ...(icon && { icon }),
  }); // prettier-ignore
  return [
    go('go-lab', 'Lab', '/', 'Alt+1', 'lab'),
    go('go-images', 'Images: files, block map, check, snapshots', '/images', 'Alt+2', 'disk'),
    go('go-runs', 'Runs', '/runs', 'Alt+3', 'list'),
    go('go-microscope', 'Microscope: explain one request', '/microscope', 'Alt+4', 'microscope'),
    go('go-dial', 'Revision dial: one request on every kernel', '/dial', 'Alt+5', 'dial'),
    go('go-gallery', 'Bug gallery', '/gallery', 'Alt+6', 'bug'),
    go('go-lessons', 'Lessons: exercises on real images', '/lessons', 'Alt+9', 'lesson'),
    go('go-grounds', 'Grounds: one job on several of them', '/grounds', 'Alt+8', 'grounds'),
    go('go-host', 'Host and settings', '/host', 'Alt+7', 'host'),
  ];
}
function pageCommands(): Command[] {
  const settings = useSettingsStore();
  const ui = useUiStore();
  return [
    { id: 'palette', title: 'Command palette', group: 'Page', icon: 'search', keys: ['Ctrl+K'], isGlobal: true,
      why: always, run: () => { ui.isPaletteOpen = !ui.isPaletteOpen; } },
    { id: 'keys', title: 'List of keys', group: 'Page', icon: 'keyboard', keys: ['?'], why: always,
      run: () => { ui.isKeysOpen = true; } },
    { id: 'theme-dark', title: 'Dark theme', group: 'Page', icon: 'moon', keys: [], why: always,
      run: () => { settings.themeChoice = 'dark'; } },
    { id: 'theme-light', title: 'Light theme', group: 'Page', icon: 'sun', keys: [], why: always,
      run: () => { settings.themeChoice = 'light'; } },
    { id: 'theme-system', title: 'Theme of the system', group: 'Page', icon: 'system', keys: [], why: always,
      run: () => { settings.themeChoice = 'system'; } },
  ]; // prettier-ignore
}
/** Presets and the newest runs: found by their names, without keys. */
function foundCommands(router: Router): Command[] {
  const experiment = useExperimentStore();
  const presets = useCatalogueStore().catalogue?.presets ?? [];
  const runs = useRunsStore().runs ?? [];
  return [
    ...presets.map((preset): Command => ({
      id: `preset-${preset.id}`, title: preset.title, group: 'Preset', icon: 'lab', keys: [], why: always,
      run: () => { experiment.usePreset(preset); void router.push('/'); },
    })),
    ...runs.slice(0, 30).map((run): Command => ({
      id: `run-${run.id}`, title: run.name, group: 'Run', icon: 'list', keys: [], why: always,
      run: () => void router.push(`/runs/${run.id}`),
    })),
  ]; // prettier-ignore
}

export function useCommands(): ComputedRef<readonly Command[]> {
  const router = useRouter();
  return computed(() => [
    ...runCommands(router),
    ...goCommands(router),
    ...fileCommands(router),
    ...pageCommands(),
    ...foundCommands(router),
  ]);
}
