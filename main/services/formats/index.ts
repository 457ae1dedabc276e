// SPDX-License-Identifier: GPL-2.0-only
/** Texts that an experiment and a result are read from and written as. */
import type { Experiment } from '../../../engine/lab/experiment.ts';
import type { ParsedText } from '../../contract/types.ts';
import { parseExperimentFile, writeExperimentFile } from './experiment-file.ts';
import { parseFioJob, writeFioJob } from './fio-job.ts';

export { setExperimentValue } from './experiment-file.ts';
export { formatFioResult } from './fio-json.ts';
export { BadValue } from './job-keys.ts';
export { formatReport, type Paint } from './report.ts';

export type TextKind = 'yaml' | 'fio';

/** An experiment from our file or a fio job; problems carry their lines. */
export const parseExperiment = (text: string, kind: TextKind): ParsedText =>
  kind === 'yaml' ? parseExperimentFile(text) : parseFioJob(text);

/** The text of an experiment; notes say what the format has no word for. */
export const formatExperiment = (
  experiment: Experiment,
  kind: TextKind,
): { text: string; notes: string[] } =>
  kind === 'yaml' ? { text: writeExperimentFile(experiment), notes: [] } : writeFioJob(experiment);
