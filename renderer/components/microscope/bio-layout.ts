// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where everything of the bio builder lies, for a part of the file, a width and a place in the trace. Pure: bytes in, pixels out.
 *
 *   pages  |  p0  |  p1  |        the caller's memory, over the bytes of the file that it holds
 *   units  |.|.|.|.|.|.|.|        what the request counts in; file system blocks are set apart
 *   bios   [ bio 0    ][b1 ]      what was handed to the block layer, and why it ended
 *   map    [ mapped ][hole][m]    the answers of get_block
 *        \ ribbons  \     \
 *   disk   [=======]  [===]       the same places in the order of the disk, gaps left out
 *
 * Rules: 1. What is too narrow to be seen is drawn together with its neighbours, with their count: never more than a few hundred
 * shapes a lane. 2. Where things lie does not depend on the cursor, so that nothing moves as it steps: only whether they are there.
 */
import { formatCount, formatExactBytes, joinShown } from '../../format/numbers.ts';
import type { TraceRow } from '../../../main/contract/index.ts';
import {
  bioOfRow,
  bioStateAt,
  PAGE,
  runEndAt,
  type BioState,
  type BuilderBio,
  type BuilderModel,
  type BuilderPage,
  type MapRun,
  type PieceSource,
} from './bio-model.ts';

export interface View {
  readonly fromBytes: number;
  readonly toBytes: number;
}
export interface Span {
  readonly x: number;
  readonly width: number;
}
/** Pages or units, one or several in a row. */
export interface Cell extends Span {
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly first: number;
  readonly count: number;
  /** Pages: pinned by now. Units: asked for by the request. */
  readonly isTaken: boolean;
  /** Units: the first of a file system block. */
  readonly isBlockStart: boolean;
  readonly label: string;
}
export interface BioShape extends Span {
  readonly first: number;
  readonly count: number;
  readonly parts: readonly Span[];
  readonly zeroParts: readonly Span[];
  readonly state: BioState;
  readonly op: 'read' | 'write';
  /** Middle of its widest part, where its words stand. */
  readonly labelX: number;
  readonly label: string;
  readonly reason: string;
}
export interface RunShape extends Span {
  readonly first: number;
  readonly count: number;
  readonly kind: MapRun['kind'] | 'mixed';
  readonly isNew: boolean;
  readonly isUnwritten: boolean;
  readonly isBoundary: boolean;
  readonly isThere: boolean;
  readonly label: string;
}
export interface DiskShape extends Span {
  readonly deviceBytes: number;
  readonly lengthBytes: number;
  readonly isThere: boolean;
  readonly label: string;
}
export interface Ribbon {
  readonly path: string;
  readonly first: number;
  readonly count: number;
}
export interface Tick {
  readonly x: number;
  readonly label: string;
}
export interface BuilderLayout {
  readonly width: number;
  readonly view: View;
  readonly pages: readonly Cell[];
  readonly units: readonly Cell[];
  /** What was put under I/O of the caller's memory, zeroed in it (holes), and written from the zero page; by place in the file. */
  readonly data: readonly Span[];
  readonly holes: readonly Span[];
  readonly zeros: readonly Span[];
  /** What was to come from pages that are not there. */
  readonly missing: readonly Span[];
  readonly bios: readonly BioShape[];
  readonly runs: readonly RunShape[];
  readonly disk: readonly DiskShape[];
  /** Each bio's place in the order of the disk. */
  readonly diskBios: readonly (Span & { readonly first: number; readonly count: number })[];
  readonly ribbons: readonly Ribbon[];
  readonly ticks: readonly Tick[];
  /** The request's own bytes. */
  readonly request: Span;
  /** Ends of the request that are not on a unit, where that is why it was refused. */
  readonly offEdges: readonly {
    readonly x: number;
    readonly label: string;
    readonly isEnd: boolean;
  }[];
  /** The end of the file; null where it is not in view. */
  readonly endOfFileX: number | null;
  /** Pages and units drawn as one cell. */
  readonly pagesPerCell: number;
  readonly unitsPerCell: number;
}

/** Heights of the lanes: `top` and `bottom` of each. */
export const LANES = {
  axis: [0, 16],
  pages: [20, 44],
  units: [50, 68],
  bios: [76, 110],
  map: [118, 138],
  ribbons: [138, 164],
  disk: [164, 184],
  diskBios: [186, 191],
  diskLabels: [193, 205],
} as const;
export const PICTURE_HEIGHT = 206;

const CELL_MIN = 5;
const SHAPE_MIN = 3;
const SHAPES_MAX = 400;
/** Width of a character of the picture's face. */
const CHARACTER = 6.1;

/** All of a picture: whole blocks and whole pages around the request. */
export function wholeView(model: BuilderModel): View {
  const { blockBytes, offsetBytes, endBytes, pages } = model;
  const from = Math.floor(offsetBytes / blockBytes) * blockBytes;
  const to = Math.max(Math.ceil(endBytes / blockBytes) * blockBytes, from + blockBytes);
  const firstPage = pages[0]?.fileBytes ?? from;
  const lastPage = (pages.at(-1)?.fileBytes ?? to - PAGE) + PAGE;
  return {
    fromBytes: Math.min(from, Math.max(firstPage, from - PAGE)),
    toBytes: Math.max(to, Math.min(lastPage, to + PAGE)),
  };
}

/** A view zoomed by `factor` (below 1: closer) around a byte that stays where it is, within the whole. */
export function zoomView(view: View, whole: View, aroundBytes: number, factor: number): View {
  const wholeBytes = whole.toBytes - whole.fromBytes;
  const span = view.toBytes - view.fromBytes;
  const least = Math.min(wholeBytes, 1024);
  const wanted = Math.min(wholeBytes, Math.max(least, span * factor));
  const share = span === 0 ? 0.5 : (aroundBytes - view.fromBytes) / span;
  return moveInto({ fromBytes: aroundBytes - share * wanted, toBytes: 0 }, wanted, whole);
}
/** A view moved by bytes, as far as the whole goes. */
export const panView = (view: View, whole: View, bytes: number): View =>
  moveInto({ fromBytes: view.fromBytes + bytes, toBytes: 0 }, view.toBytes - view.fromBytes, whole);
function moveInto({ fromBytes }: View, lengthBytes: number, whole: View): View {
  const from = Math.min(Math.max(fromBytes, whole.fromBytes), whole.toBytes - lengthBytes);
  return { fromBytes: from, toBytes: from + lengthBytes };
}
/** A view that shows a part: itself where it does, else moved there. */
export function viewShowing(view: View, whole: View, part: View): View {
  if (part.toBytes > view.fromBytes && part.fromBytes < view.toBytes) return view;
  const middle = (part.fromBytes + part.toBytes) / 2;
  return panView(view, whole, middle - (view.fromBytes + view.toBytes) / 2);
}

/** The first text that fits; the last one, else. */
export const fitText = (width: number, ...texts: readonly string[]): string =>
  texts.find((text) => text.length * CHARACTER + 6 <= width) ?? '';

/** How many neighbours make a cell of at least `CELL_MIN` pixels: a power of two. */
export function cellsTogether(itemBytes: number, scale: number): number {
  let count = 1;
  while (itemBytes * count * scale < CELL_MIN) count *= 2;
  return count;
}

interface Frame {
  readonly model: BuilderModel;
  readonly view: View;
  readonly width: number;
  readonly cursorRow: number;
  /** Pixels a byte. */
  readonly scale: number;
}
const xOf = (frame: Frame, bytes: number): number => (bytes - frame.view.fromBytes) * frame.scale;
/** A range of the file, cut to the view; null: outside of it. */
function spanOf(frame: Frame, fromBytes: number, toBytes: number): Span | null {
  const { view } = frame;
  if (toBytes <= view.fromBytes || fromBytes >= view.toBytes) return null;
  const x = xOf(frame, Math.max(fromBytes, view.fromBytes));
  return { x, width: xOf(frame, Math.min(toBytes, view.toBytes)) - x };
}

export function layOut(
  model: BuilderModel,
  view: View,
  width: number,
  cursorRow: number,
): BuilderLayout {
  const scale = width / Math.max(1, view.toBytes - view.fromBytes);
  const frame: Frame = { model, view, width, cursorRow, scale };
  const pagesPerCell = cellsTogether(PAGE, scale);
  const unitsPerCell = cellsTogether(model.unitBytes, scale);
  const axis = diskAxis(frame);
  return {
    width,
    view,
    pages: pageCells(frame, pagesPerCell),
    units: unitCells(frame, unitsPerCell),
    ...movedSpans(frame),
    bios: bioShapes(frame),
    runs: runShapes(frame),
    disk: diskShapes(frame, axis),
    diskBios: diskBioShapes(frame, axis),
    ribbons: ribbonShapes(frame, axis),
    ticks: fileTicks(frame),
    request: spanOf(frame, model.offsetBytes, model.endBytes) ?? { x: 0, width: 0 },
    offEdges: offEdges(frame),
    endOfFileX:
      model.fileSizeBytes > view.fromBytes && model.fileSizeBytes < view.toBytes
        ? xOf(frame, model.fileSizeBytes)
        : null,
    pagesPerCell,
    unitsPerCell,
  };
}

function offEdges(frame: Frame): BuilderLayout['offEdges'] {
  const { model, view } = frame;
  if (!model.isRefused) return [];
  return [model.offsetBytes, model.endBytes].flatMap((bytes, at) => {
    const off = bytes % model.unitBytes;
    if (off === 0 || bytes < view.fromBytes || bytes > view.toBytes) return [];
    const label = `${formatCount(off)} B past a unit`;
    return [{ x: xOf(frame, bytes), label, isEnd: at === 1 }];
  });
}
/** Ticks at round places, in the unit that divides them. */
function fileTicks(frame: Frame): Tick[] {
  const { view, scale, width } = frame;
  let step = 512;
  while (step * scale < 84) step *= 2;
  const ticks: Tick[] = [];
  for (let at = Math.ceil(view.fromBytes / step) * step; at <= view.toBytes; at += step) {
    const x = xOf(frame, at);
    if (x < width - 40 || ticks.length === 0) {
      ticks.push({ x, label: joinShown(formatExactBytes(at)) });
    }
  }
  return ticks;
}

function pageCells(frame: Frame, together: number): Cell[] {
  const { pages } = frame.model;
  const cells: Cell[] = [];
  for (let at = 0; at < pages.length; at += together) {
    const first = pages[at] as BuilderPage;
    const last = pages[Math.min(at + together, pages.length) - 1] as BuilderPage;
    const [fromBytes, toBytes] = [first.fileBytes, last.fileBytes + PAGE];
    const span = spanOf(frame, fromBytes, toBytes);
    if (span === null) continue;
    const name = formatCount(first.index);
    const label = together === 1 ? fitText(span.width, `page ${name}`, name) : '';
    cells.push({
      ...span, fromBytes, toBytes, first: first.index, count: last.index - first.index + 1,
      isTaken: first.pinRow <= frame.cursorRow, isBlockStart: false, label,
    }); // prettier-ignore
  }
  return cells;
}
function unitCells(frame: Frame, together: number): Cell[] {
  const { model, view } = frame;
  const cellBytes = model.unitBytes * together;
  const start = Math.floor(view.fromBytes / cellBytes) * cellBytes;
  const count = Math.ceil((view.toBytes - start) / cellBytes);
  return Array.from({ length: count }, (_, at) => {
    const fromBytes = start + at * cellBytes;
    const toBytes = fromBytes + cellBytes;
    const span = spanOf(frame, fromBytes, toBytes) ?? { x: 0, width: 0 };
    const first = fromBytes / model.unitBytes;
    const label = together === 1 ? fitText(span.width, formatCount(first)) : '';
    return {
      ...span, fromBytes, toBytes, first, count: together, label,
      isTaken: toBytes > model.offsetBytes && fromBytes < model.endBytes,
      isBlockStart: fromBytes % model.blockBytes === 0,
    }; // prettier-ignore
  });
}
const isZeroPage = (source: PieceSource): boolean => source !== 'user' && source !== 'missing';
/** What has been moved by now, joined where it touches. */
function movedSpans(frame: Frame): Pick<BuilderLayout, 'data' | 'holes' | 'zeros' | 'missing'> {
  const { model, cursorRow } = frame;
  const spans = (parts: readonly { row: number; fileBytes: number; lengthBytes: number }[]) =>
    joinSpans(
      spansOf(
        frame,
        parts
          .filter((part) => part.row <= cursorRow)
          .map(({ fileBytes, lengthBytes }) => ({
            fromBytes: fileBytes,
            toBytes: fileBytes + lengthBytes,
          })),
      ),
    );
  return {
    data: spans(model.pieces.filter((piece) => piece.source === 'user')),
    zeros: spans(model.pieces.filter((piece) => isZeroPage(piece.source))),
    missing: spans(model.pieces.filter((piece) => piece.source === 'missing')),
    holes: spans(model.zeroed),
  };
}

const REASON_SHORT: Readonly<Record<BuilderBio['reason'], string>> = {
  'not contiguous on disk': 'disk jumps',
  'not contiguous in the file': 'file jumps',
  full: 'full',
  boundary: 'boundary',
  'end of the request': 'end',
  'not known': '',
};

/** Parts of a bio that are there at the cursor: all of them once it is submitted, else its pieces so far. */
function partsAt(frame: Frame, bio: BuilderBio, state: BioState): readonly View[] {
  if (state === 'later') return [];
  if (state !== 'building') return bio.parts;
  return frame.model.pieces
    .filter((piece) => piece.bio === bio.index && piece.row <= frame.cursorRow)
    .map((piece) => ({
      fromBytes: piece.fileBytes,
      toBytes: piece.fileBytes + piece.lengthBytes,
    }));
}
/** Spans in order, those that touch or overlap as one. */
function joinSpans(spans: readonly Span[]): Span[] {
  const joined: { x: number; width: number }[] = [];
  for (const span of [...spans].sort((a, b) => a.x - b.x)) {
    const last = joined.at(-1);
    if (last && span.x - (last.x + last.width) < 0.4) {
      last.width = Math.max(last.width, span.x + span.width - last.x);
    } else joined.push({ ...span });
  }
  return joined;
}
const spansOf = (frame: Frame, parts: readonly View[]): Span[] =>
  parts
    .map((part) => spanOf(frame, part.fromBytes, part.toBytes))
    .filter((span): span is Span => span !== null);

/** Neighbours in a list whose shapes are too narrow to be seen, together: [first, count] of each group. */
function groupNarrow(lengths: readonly number[], least = SHAPE_MIN): (readonly [number, number])[] {
  const groups: [number, number][] = [];
  let gathered = Infinity;
  lengths.forEach((length, index) => {
    const last = groups.at(-1);
    if (last && gathered < least && length < least) {
      last[1] += 1;
      gathered += length;
    } else {
      groups.push([index, 1]);
      gathered = length;
    }
  });
  return groups;
}

function bioShapes(frame: Frame): BioShape[] {
  const { model, cursorRow } = frame;
  const visible = model.bios
    .map((bio) => ({ bio, all: spansOf(frame, bio.parts) }))
    .filter(({ all }) => all.length > 0);
  const widthOf = (spans: readonly Span[]): number =>
    spans.reduce((sum, span) => sum + span.width, 0);
  const shapes: BioShape[] = [];
  for (const [from, count] of groupNarrow(visible.map(({ all }) => widthOf(all)))) {
    const group = visible.slice(from, from + count);
    const bios = group.map(({ bio }) => bio);
    const first = bios[0] as BuilderBio;
    const state = stateOfGroup(bios, cursorRow);
    if (state === 'later') continue;
    const parts = joinSpans(
      bios.flatMap((bio) => spansOf(frame, partsAt(frame, bio, bioStateAt(bio, cursorRow)))),
    );
    const x = Math.min(...parts.map((part) => part.x));
    const width = Math.max(...parts.map((part) => part.x + part.width)) - x;
    if (!Number.isFinite(x)) continue;
    const widest = parts.reduce((best, part) => (part.width > best.width ? part : best));
    shapes.push({
      first: first.index, count, x, width, parts, state, op: first.op,
      zeroParts: count === 1 ? zeroPartsOf(frame, first) : [],
      labelX: widest.x + widest.width / 2,
      ...bioWords(bios, widest.width, state),
    }); // prettier-ignore
  }
  return shapes;
}
function stateOfGroup(bios: readonly BuilderBio[], cursorRow: number): BioState {
  const states = bios.map((bio) => bioStateAt(bio, cursorRow));
  if (states.includes('failed')) return 'failed';
  return states.findLast((state) => state !== 'later') ?? 'later';
}
function zeroPartsOf(frame: Frame, bio: BuilderBio): Span[] {
  if (bio.zeroBytes === 0) return [];
  const zero = frame.model.pieces.filter(
    (piece) => piece.bio === bio.index && piece.source !== 'user' && piece.row <= frame.cursorRow,
  );
  return joinSpans(
    spansOf(
      frame,
      zero.map((piece) => ({
        fromBytes: piece.fileBytes,
        toBytes: piece.fileBytes + piece.lengthBytes,
      })),
    ),
  );
}
function bioWords(
  bios: readonly BuilderBio[],
  width: number,
  state: BioState,
): { label: string; reason: string } {
  const first = bios[0] as BuilderBio;
  if (bios.length > 1) {
    return { label: fitText(width, `${formatCount(bios.length)} bios`), reason: '' };
  }
  const name = formatCount(first.id);
  const size = joinShown(formatExactBytes(first.sizeBytes));
  const label =
    state === 'building'
      ? fitText(width, 'being built', '…')
      : fitText(width, `bio ${name} · ${size}`, `bio ${name}`, name);
  const reason =
    state === 'building' ? '' : fitText(width, first.reason, REASON_SHORT[first.reason]);
  return { label, reason };
}

function runShapes(frame: Frame): RunShape[] {
  const { model, cursorRow } = frame;
  const visible = model.runs
    .map((run, index) => ({ run, index, span: spanOf(frame, run.fromBytes, run.toBytes) }))
    .filter((each): each is typeof each & { span: Span } => each.span !== null);
  const shapes: RunShape[] = [];
  for (const [from, count] of groupNarrow(visible.map(({ span }) => span.width))) {
    const group = visible.slice(from, from + count);
    const { run, index, span } = group[0] as (typeof visible)[number];
    const end = group.findLast((each) => runEndAt(each.run, cursorRow) !== null);
    const until = end ? runEndAt(end.run, cursorRow) : null;
    const here = until === null ? span : (spanOf(frame, run.fromBytes, until) ?? span);
    const kinds = new Set(group.map((each) => each.run.kind));
    const has = (flag: 'isNew' | 'isUnwritten' | 'isBoundary'): boolean =>
      group.some((each) => each.run[flag]);
    shapes.push({
      ...here, first: index, count, kind: kinds.size === 1 ? run.kind : 'mixed', isNew: has('isNew'),
      isUnwritten: has('isUnwritten'),
      isBoundary: has('isBoundary') && (group.at(-1)?.run.toBytes ?? 0) <= frame.view.toBytes, isThere: until !== null,
      label: count > 1 ? fitText(here.width, `${formatCount(count)} runs`) : runWords(run, here.width),
    }); // prettier-ignore
  }
  return shapes;
}
function runWords(run: MapRun, width: number): string {
  if (run.kind === 'hole') return fitText(width, 'hole, no block', 'hole');
  if (run.kind === 'error') return fitText(width, 'error', '!');
  const state = run.isNew ? 'new' : run.isUnwritten ? 'unwritten' : 'mapped';
  const at = formatCount(run.deviceBlock);
  return fitText(width, `${state} at block ${at}`, `${state} ${at}`, state, at);
}

/** The order of the disk: places in use, gaps left out. */
interface DiskAxis {
  readonly segments: readonly {
    readonly fromBytes: number;
    readonly toBytes: number;
    readonly x: number;
  }[];
  readonly scale: number;
}
function diskAxis(frame: Frame): DiskAxis {
  const { model, view, width } = frame;
  const places: View[] = [];
  for (const run of model.runs) {
    if (run.deviceBytes === null) continue;
    const from = Math.max(run.fromBytes, view.fromBytes);
    const to = Math.min(run.toBytes, view.toBytes);
    if (to <= from) continue;
    const moved = run.deviceBytes - run.fromBytes;
    places.push({ fromBytes: from + moved, toBytes: to + moved });
  }
  places.sort((a, b) => a.fromBytes - b.fromBytes);
  const joined: { fromBytes: number; toBytes: number }[] = [];
  for (const place of places) {
    const last = joined.at(-1);
    if (last && place.fromBytes <= last.toBytes) {
      last.toBytes = Math.max(last.toBytes, place.toBytes);
    } else joined.push({ ...place });
  }
  const total = joined.reduce((sum, place) => sum + place.toBytes - place.fromBytes, 0);
  const gaps = Math.max(0, joined.length - 1);
  const gap = gaps === 0 ? 0 : Math.min(16, (width * 0.3) / gaps);
  const scale = total === 0 ? 0 : Math.min(frame.scale, (width - gaps * gap) / total);
  let x = 0;
  const segments = joined.map((place) => {
    const segment = { ...place, x };
    x += (place.toBytes - place.fromBytes) * scale + gap;
    return segment;
  });
  return { segments, scale };
}
/** Index of the last segment that begins at or before a place, or -1. */
function segmentAt(axis: DiskAxis, bytes: number): number {
  let low = 0;
  let high = axis.segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((axis.segments[middle] as { fromBytes: number }).fromBytes <= bytes) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
function deviceSpan(axis: DiskAxis, fromBytes: number, toBytes: number): Span | null {
  const segment = axis.segments[segmentAt(axis, Math.max(fromBytes, toBytes - 1))];
  if (segment === undefined || fromBytes >= segment.toBytes) return null;
  const from = Math.max(fromBytes, segment.fromBytes);
  const to = Math.min(toBytes, segment.toBytes);
  const x = segment.x + (from - segment.fromBytes) * axis.scale;
  return { x, width: (to - from) * axis.scale };
}
function diskShapes(frame: Frame, axis: DiskAxis): DiskShape[] {
  const { model, cursorRow } = frame;
  const known = new Set<number>();
  for (const run of model.runs) {
    if (run.deviceBytes === null || (run.growth[0]?.row ?? Infinity) > cursorRow) continue;
    const last = run.deviceBytes + run.toBytes - run.fromBytes - 1;
    for (let at = segmentAt(axis, last); at >= 0; at -= 1) {
      if ((axis.segments[at]?.toBytes ?? 0) <= run.deviceBytes) break;
      known.add(at);
    }
  }
  const widths = axis.segments.map((each) => (each.toBytes - each.fromBytes) * axis.scale);
  return groupNarrow(widths, 1.5).map(([from, count]) => {
    const first = axis.segments[from] as DiskAxis['segments'][number];
    const last = axis.segments[from + count - 1] as DiskAxis['segments'][number];
    const width = last.x - first.x + (widths[from + count - 1] as number);
    const isThere = widths.slice(from, from + count).some((_, at) => known.has(from + at));
    const sector = formatCount(first.fromBytes / 512);
    return {
      x: first.x, width, deviceBytes: first.fromBytes, lengthBytes: last.toBytes - first.fromBytes, isThere,
      label: count > 1 ? '' : fitText(width + 10, `sector ${sector}`, sector),
    }; // prettier-ignore
  });
}
function diskBioShapes(frame: Frame, axis: DiskAxis): BuilderLayout['diskBios'] {
  const { model, cursorRow } = frame;
  const placed = model.bios
    .filter((bio) => cursorRow >= bio.submitRow)
    .map((bio) => ({
      first: bio.index,
      count: 1,
      span: deviceSpan(axis, bio.sectorStart * 512, bio.sectorStart * 512 + bio.sizeBytes),
    }))
    .filter((each): each is typeof each & { span: Span } => each.span !== null);
  return groupNarrow(placed.map(({ span }) => span.width)).map(([from, count]) => {
    const group = placed.slice(from, from + count);
    const x = Math.min(...group.map(({ span }) => span.x));
    const right = Math.max(...group.map(({ span }) => span.x + span.width));
    return { x, width: right - x, first: (group[0] as (typeof placed)[number]).first, count };
  });
}
/** From each mapped run to its place on the disk. Of more than `SHAPES_MAX`, evenly chosen ones. */
function ribbonShapes(frame: Frame, axis: DiskAxis): Ribbon[] {
  const { model, view, cursorRow } = frame;
  const [top, bottom] = LANES.ribbons;
  const middle = (top + bottom) / 2;
  const shown = model.runs
    .map((run, index) => ({ run, index }))
    .filter(({ run }) => run.deviceBytes !== null && (run.growth[0]?.row ?? Infinity) <= cursorRow);
  const every = Math.ceil(shown.length / SHAPES_MAX);
  const ribbons: Ribbon[] = [];
  shown.forEach(({ run, index }, at) => {
    if (at % every !== 0) return;
    const from = Math.max(run.fromBytes, view.fromBytes);
    const to = Math.min(run.toBytes, view.toBytes);
    const moved = (run.deviceBytes as number) - run.fromBytes;
    const disk = to > from ? deviceSpan(axis, from + moved, to + moved) : null;
    if (disk === null) return;
    const [left, right] = [xOf(frame, from), xOf(frame, to)].map(short) as [string, string];
    const [diskLeft, diskRight] = [disk.x, disk.x + disk.width].map(short) as [string, string];
    ribbons.push({
      first: index,
      count: every,
      path:
        `M${left} ${top}C${left} ${middle} ${diskLeft} ${middle} ${diskLeft} ${bottom}` +
        `H${diskRight}C${diskRight} ${middle} ${right} ${middle} ${right} ${top}Z`,
    });
  });
  return ribbons;
}
const short = (value: number): string => String(Math.round(value * 10) / 10);

export type Lane = 'pages' | 'units' | 'bios' | 'map';
/** The place that a row is about, and the lanes in which it shows; null: it has none. */
export function markOfRow(
  model: BuilderModel,
  row: TraceRow | undefined,
): (View & { readonly lanes: readonly Lane[] }) | null {
  if (row === undefined) return null;
  const { index } = row;
  if (row.kind === 'section') {
    const piece = model.pieces.find((each) => each.row === index);
    if (piece === undefined) return null;
    const toBytes = piece.fileBytes + piece.lengthBytes;
    const lanes: readonly Lane[] = piece.source === 'user' ? ['pages', 'units'] : ['units'];
    return { fromBytes: piece.fileBytes, toBytes, lanes };
  }
  if (row.kind === 'zero') {
    const part = model.zeroed.find((each) => each.row === index);
    if (part === undefined) return null;
    const toBytes = part.fileBytes + part.lengthBytes;
    return { fromBytes: part.fileBytes, toBytes, lanes: ['pages', 'units'] };
  }
  const run = model.runs.find((each) => each.growth.some((step) => step.row === index));
  if (run) return { fromBytes: run.fromBytes, toBytes: run.toBytes, lanes: ['map'] };
  if (row.kind === 'pin') {
    const pinned = model.pages.filter((page) => page.pinRow === index);
    const [first, last] = [pinned[0], pinned.at(-1)];
    if (first === undefined || last === undefined) return null;
    return { fromBytes: first.fileBytes, toBytes: last.fileBytes + PAGE, lanes: ['pages'] };
  }
  const bio = bioOfRow(model, row);
  if (bio === null || bio.parts.length === 0) return null;
  const fromBytes = Math.min(...bio.parts.map((part) => part.fromBytes));
  const toBytes = Math.max(...bio.parts.map((part) => part.toBytes));
  return { fromBytes, toBytes, lanes: ['bios'] };
}
