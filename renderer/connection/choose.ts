// SPDX-License-Identifier: GPL-2.0-only
/** The browser's own open-file dialog for an experiment or a fio job: it gives the name and the text, never the path. */
import {
  EXPERIMENT_BYTES_MAX,
  EXPERIMENT_ENDINGS,
  experimentFormatOf,
  type OpenedDocument,
} from '../../main/contract/window.ts';

/** The file as a document; one without a known ending is taken for YAML, and the parser says what it is not. */
export async function asExperiment(file: File): Promise<OpenedDocument> {
  const { name } = file;
  if (file.size > EXPERIMENT_BYTES_MAX) {
    const message = `${name} has ${String(file.size)} bytes, an experiment ${String(EXPERIMENT_BYTES_MAX)} at most`;
    return { kind: 'refused', path: name, message };
  }
  const format = experimentFormatOf(name) ?? 'yaml';
  return { kind: 'experiment', path: name, name, text: await file.text(), format };
}

export function chooseExperiment(): Promise<OpenedDocument | null> {
  const input = document.createElement('input');
  input.type = 'file';
  input.accept = Object.values(EXPERIMENT_ENDINGS)
    .flat()
    .map((ending) => `.${ending}`)
    .join();
  return new Promise((resolve, reject) => {
    input.addEventListener('change', () => {
      const file = input.files?.[0];
      if (file === undefined) resolve(null);
      else asExperiment(file).then(resolve, reject);
    });
    input.addEventListener('cancel', () => {
      resolve(null);
    });
    input.click();
  });
}
