// SPDX-License-Identifier: GPL-2.0-only
/** What the bio builder shows, in words and as tables: the same facts for whoever does not see the picture. Pure. */
import { formatCount, formatExactBytes, joinShown } from '../../format/numbers.ts';
import type { PlotTable } from '../../plots/contract.ts';
import type { Cell } from './bio-layout.ts';
import { bioStateAt, type BuilderBio, type BuilderModel, type MapRun } from './bio-model.ts';

const bytes = (value: number): string => joinShown(formatExactBytes(value));
const plural = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
const range = (first: number, last: number): string =>
  first === last ? formatCount(first) : `${formatCount(first)} to ${formatCount(last)}`;

const WHY: Readonly<Record<BuilderBio['reason'], string>> = {
  'not contiguous on disk': 'what follows lies elsewhere on the disk',
  'not contiguous in the file': 'what follows lies elsewhere in the file',
  full: 'it has no room for another vector',
  boundary: 'metadata comes next on the disk, so it goes at once',
  'end of the request': 'the request ends here',
  'not known': 'the trace does not say why',
};
export const whyEnded = (bio: BuilderBio): string => WHY[bio.reason];

/** Pages of the buffer that a bio holds, as [first, last] runs; its pieces are in order. */
export function pagesOfBio(model: BuilderModel, bio: BuilderBio): [number, number][] {
  const runs: [number, number][] = [];
  for (const piece of model.pieces) {
    if (piece.bio !== bio.index || piece.pageIndex < 0) continue;
    const last = runs.at(-1);
    if (last && piece.pageIndex >= last[0] && piece.pageIndex <= last[1] + 1) {
      last[1] = piece.pageIndex;
    } else runs.push([piece.pageIndex, piece.pageIndex]);
  }
  return runs;
}
const pagesText = (runs: readonly (readonly [number, number])[]): string =>
  runs.length === 0
    ? 'none'
    : runs
        .slice(0, 3)
        .map(([first, last]) => range(first, last))
        .join(', ') + (runs.length > 3 ? ` and ${plural(runs.length - 3, 'more run')}` : '');

/** One or two sentences on a bio. */
export function bioText(model: BuilderModel, bio: BuilderBio, cursorRow: number): string {
  const state = bioStateAt(bio, cursorRow);
  const pages = pagesOfBio(model, bio);
  const count = pages.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const zeros = bio.zeroBytes === 0 ? '' : ` ${bytes(bio.zeroBytes)} of it from the zero page.`;
  const where = count === 0 ? '' : `, ${count === 1 ? 'page' : 'pages'} ${pagesText(pages)}`;
  const now = { building: ', being built', later: ', not yet begun', failed: ', failed', done: '' };
  const stateWords = state === 'in flight' ? ', in flight' : now[state];
  return (
    `Bio ${formatCount(bio.id)}${stateWords}: ${bio.op} of ${bytes(bio.sizeBytes)} at ` +
    `sector ${formatCount(bio.sectorStart)}, ${plural(bio.vectorCount, 'vector')}${where}.${zeros} ` +
    `It ${state === 'building' || state === 'later' ? 'will end' : 'ended'} because ${whyEnded(bio)}.`
  );
}
export function runText(run: MapRun): string {
  const part = `bytes ${formatCount(run.fromBytes)} to ${formatCount(run.toBytes - 1)}`;
  if (run.kind === 'error') return `get_block failed for ${part} of the file.`;
  if (run.kind === 'hole') {
    const calls = run.calls > 1 ? `, met unit by unit in ${plural(run.calls, 'step')}` : '';
    return `A hole: ${part} of the file have no block${calls}.`;
  }
  const words = [
    run.isNew ? 'new' : '',
    run.isUnwritten ? 'unwritten until now' : '',
    run.isBoundary ? 'metadata comes behind it' : '',
    run.isDeferred ? 'completion deferred' : '',
  ].filter((word) => word !== '');
  const extra = words.length === 0 ? '' : ` (${words.join(', ')})`;
  return (
    `${bytes(run.toBytes - run.fromBytes)} mapped from block ${formatCount(run.deviceBlock)} on` +
    `${extra}: ${part} of the file.`
  );
}
export function cellText(model: BuilderModel, cell: Cell, kind: 'page' | 'unit'): string {
  const noun = kind === 'page' ? 'page' : 'unit';
  const name =
    cell.count === 1
      ? `${noun === 'page' ? 'Page' : 'Unit'} ${formatCount(cell.first)}`
      : `${noun === 'page' ? 'Pages' : 'Units'} ${range(cell.first, cell.first + cell.count - 1)}`;
  const place = `bytes ${formatCount(cell.fromBytes)} to ${formatCount(cell.toBytes - 1)} of the file`;
  if (kind === 'unit') return `${name}: ${place}, ${bytes(model.unitBytes)} each.`;
  return cell.fromBytes < model.offsetBytes && cell.count === 1
    ? `${name}: the buffer starts ${bytes(model.offsetBytes - cell.fromBytes)} into it.`
    : `${name} of the buffer: ${place}.`;
}
/** What the picture comes to, at the end of its trace. */
export function summaryText(model: BuilderModel): string {
  const op = model.op === 'write' ? 'Write' : 'Read';
  const length = model.endBytes - model.offsetBytes;
  const head = `${op} of ${formatCount(length)} B at ${formatCount(model.offsetBytes)}: `;
  if (model.bios.length === 0 && model.zeroed.length === 0) {
    const how = model.pieces.length > 0 ? 'a bio was submitted' : 'anything was put under I/O';
    return `${head}it ended before ${how}.`;
  }
  const zeroed = model.zeroed.reduce((sum, part) => sum + part.lengthBytes, 0);
  const edges = model.bios.reduce((sum, bio) => sum + bio.zeroBytes, 0);
  const parts = [
    plural(model.pages.length, 'page'),
    `units of ${bytes(model.unitBytes)} in blocks of ${bytes(model.blockBytes)}`,
    plural(model.runs.length, 'mapping run'),
    plural(model.bios.length, 'bio'),
    ...(edges > 0 ? [`${bytes(edges)} written from the zero page`] : []),
    ...(zeroed > 0 ? [`${bytes(zeroed)} zeroed in memory`] : []),
  ];
  return `${head}${parts.join(', ')}.`;
}

/** Rows that a table shows; the rest is counted in its caption. */
const ROWS_MAX = 300;
const captionOf = (text: string, count: number): string =>
  count > ROWS_MAX ? `${text}: the first ${String(ROWS_MAX)} of ${formatCount(count)}` : text;

export const biosTable = (model: BuilderModel): PlotTable => ({
  caption: captionOf('Bios', model.bios.length),
  columns: ['bio', 'pages', 'sector', 'size, B', 'vectors', 'zeros, B', 'ended because', 'row'],
  rows: model.bios
    .slice(0, ROWS_MAX)
    .map((bio) => [
      formatCount(bio.id),
      pagesText(pagesOfBio(model, bio)),
      formatCount(bio.sectorStart),
      formatCount(bio.sizeBytes),
      formatCount(bio.vectorCount),
      formatCount(bio.zeroBytes),
      bio.reason,
      formatCount(bio.submitRow + 1),
    ]),
});
export const runsTable = (model: BuilderModel): PlotTable => ({
  caption: captionOf('Mapping runs', model.runs.length),
  columns: ['file, B', 'length, B', 'answer', 'block', 'state', 'steps', 'row'],
  rows: model.runs
    .slice(0, ROWS_MAX)
    .map((run) => [
      formatCount(run.fromBytes),
      formatCount(run.toBytes - run.fromBytes),
      run.kind,
      formatCount(run.deviceBlock),
      [run.isNew && 'new', run.isUnwritten && 'unwritten', run.isBoundary && 'boundary']
        .filter(Boolean)
        .join(', ') || '–',
      formatCount(run.calls),
      formatCount((run.growth[0]?.row ?? 0) + 1),
    ]),
});
