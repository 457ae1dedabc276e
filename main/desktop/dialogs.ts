// SPDX-License-Identifier: GPL-2.0-only
/** Native dialogs as data: what they are called, which files they offer first. One existing file; any file on demand. */
import { extname } from 'node:path';
import { EXPERIMENT_ENDINGS } from '../contract/window.ts';

const ALL_FILES = { name: 'All files', extensions: ['*'] };
const PROPERTIES = ['openFile' as const, 'dontAddToRecent' as const];

export const openImageDialog = () => ({
  title: 'Open an image',
  buttonLabel: 'Open',
  properties: [...PROPERTIES],
  filters: [
    { name: 'Disk images', extensions: ['img', 'raw', 'iso', 'ext2', 'ext3', 'ext4', 'fat', 'xfs', 'btrfs', 'bin'] },
    ALL_FILES,
  ],
}); // prettier-ignore

export const openExperimentDialog = () => ({
  title: 'Open an experiment',
  buttonLabel: 'Open',
  properties: [...PROPERTIES],
  filters: [
    { name: 'Experiments', extensions: [...EXPERIMENT_ENDINGS.yaml] },
    { name: 'fio jobs', extensions: [...EXPERIMENT_ENDINGS.fio] },
    ALL_FILES,
  ],
});

const KINDS: Readonly<Record<string, string>> = {
  '.diolab': 'Experiment', '.yaml': 'Experiment', '.fio': 'fio job', '.json': 'JSON', '.csv': 'Table (CSV)',
  '.parquet': 'Table (Parquet)', '.log': 'Log', '.svg': 'Picture (SVG)', '.png': 'Picture (PNG)', '.html': 'Report',
}; // prettier-ignore

/** The save dialog of what the page made: by the ending of its name. */
export function saveDialog(fileName: string) {
  const ending = extname(fileName);
  const kind = KINDS[ending.toLowerCase()];
  return {
    title: 'Save',
    defaultPath: fileName,
    filters: [
      ...(kind === undefined ? [] : [{ name: kind, extensions: [ending.slice(1)] }]),
      ALL_FILES,
    ],
  };
}
