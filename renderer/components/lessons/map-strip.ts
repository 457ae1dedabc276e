// SPDX-License-Identifier: GPL-2.0-only
/** The map of a file as a strip from its first byte to its last, and as rows of a table. Pure. */
import type { LessonEvidence } from '../../../main/contract/index.ts';
import { formatCount } from '../../format/numbers.ts';

export type MapEvidence = Extract<LessonEvidence, { kind: 'map' }>;
export interface StripPart {
  readonly key: string;
  readonly kind: 'data' | 'unwritten' | 'hole' | 'beyond';
  /** Every other piece on the disk is a little paler, so that its ends are seen. */
  readonly isPale: boolean;
  readonly fromPercent: number;
  readonly widthPercent: number;
  readonly title: string;
}
export interface MapRow {
  readonly file: string;
  readonly image: string;
  readonly blocks: string;
  readonly state: string;
}

const span = (first: number, count: number): string =>
  count === 1 ? formatCount(first) : `${formatCount(first)} to ${formatCount(first + count - 1)}`;

/** Blocks from the start of the file to the end of it, or of what is marked behind it. */
export function shownBlocks({ sizeBytes, blockSizeBytes, extents, marked }: MapEvidence): number {
  const last = extents.at(-1);
  const ends = [
    Math.ceil(sizeBytes / blockSizeBytes),
    last ? last.fileBlock + last.count : 0,
    marked ? Math.ceil((marked.offsetBytes + marked.lengthBytes) / blockSizeBytes) : 0,
  ];
  return Math.max(1, ...ends);
}
const KINDS = { mapped: 'data', unwritten: 'unwritten', hole: 'hole', inline: 'data', compressed: 'data' } as const; // prettier-ignore
const STATES = { mapped: 'written', unwritten: 'unwritten', hole: 'hole', inline: 'inline', compressed: 'compressed' } as const; // prettier-ignore

/** Extents with what no extent covers, which is a hole, in order. */
function pieces(map: MapEvidence): MapEvidence['extents'] {
  const fileBlocks = Math.ceil(map.sizeBytes / map.blockSizeBytes);
  const found: MapEvidence['extents'][number][] = [];
  let at = 0;
  const hole = (to: number): void => {
    if (to > at) found.push({ fileBlock: at, count: to - at, deviceBlock: null, state: 'hole' });
  };
  for (const extent of map.extents) {
    hole(extent.fileBlock);
    found.push(extent);
    at = extent.fileBlock + extent.count;
  }
  hole(fileBlocks);
  return found;
}
export function stripParts(map: MapEvidence): StripPart[] {
  const blocks = shownBlocks(map);
  let isPale = true;
  const parts = pieces(map).map((extent): StripPart => {
    isPale = extent.deviceBlock === null ? isPale : !isPale;
    const { fileBlock, count, deviceBlock, state } = extent;
    const where = deviceBlock === null ? '' : ` at image block ${formatCount(deviceBlock)}`;
    return {
      key: String(fileBlock),
      kind: KINDS[state],
      isPale,
      fromPercent: (fileBlock / blocks) * 100,
      widthPercent: (count / blocks) * 100,
      title: `File blocks ${span(fileBlock, count)}: ${STATES[state]}${where}`,
    };
  });
  const covered = Math.max(Math.ceil(map.sizeBytes / map.blockSizeBytes), ...map.extents.map((each) => each.fileBlock + each.count)); // prettier-ignore
  if (covered < blocks) {
    parts.push({
      key: 'beyond', kind: 'beyond', isPale: false, title: 'Behind the end of the file',
      fromPercent: (covered / blocks) * 100, widthPercent: ((blocks - covered) / blocks) * 100,
    }); // prettier-ignore
  }
  return parts;
}
/** Where the request is on the strip; null: there is none. */
export function markOf(map: MapEvidence): { fromPercent: number; widthPercent: number } | null {
  if (map.marked === null) return null;
  const bytes = shownBlocks(map) * map.blockSizeBytes;
  const { offsetBytes, lengthBytes } = map.marked;
  return { fromPercent: (offsetBytes / bytes) * 100, widthPercent: (lengthBytes / bytes) * 100 };
}
export const mapRows = (map: MapEvidence): MapRow[] =>
  pieces(map).map(({ fileBlock, count, deviceBlock, state }) => ({
    file: span(fileBlock, count),
    image: deviceBlock === null ? 'none' : span(deviceBlock, count),
    blocks: formatCount(count),
    state: STATES[state],
  }));
