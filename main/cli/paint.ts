// SPDX-License-Identifier: GPL-2.0-only
/** Colours for the report: the terminal's own sixteen, so that they fit its theme. Off where the output is no terminal, or NO_COLOR is set. */
import type { Paint } from '../services/formats/index.ts';

const CODES: Readonly<Record<Parameters<Paint>[0], readonly [number, number]>> = {
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  plain: [0, 0],
  strong: [1, 22],
  faint: [2, 22],
};

/** Text between the escape codes of its tone. */
export const paintWithAnsi: Paint = (tone, text) => {
  const [on, off] = CODES[tone];
  return on === 0 ? text : `\x1b[${String(on)}m${text}\x1b[${String(off)}m`;
};

/** True where a stream shows colours: https://no-color.org says that any value of NO_COLOR turns them off. */
export const showsColours = (
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean => isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
