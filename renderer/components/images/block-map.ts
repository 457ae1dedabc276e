// SPDX-License-Identifier: GPL-2.0-only
/**
 * The geometry of the block map: the device as one line of blocks, wrapped into rows like text. Pure; pixels are those of the canvas.
 *
 *   row 0 |b b b b b b|     `blocksPerRow` is a whole number, so that no block is cut at the end of a row, and a zoom is a change of
 *   row 1 |b b b b b b|     that number alone.
 *
 * Rules: 1. Every view is clamped before it is drawn: it begins at a block of the device and leaves no more than its last row empty.
 * 2. Every pixel of `boxOf` a block shows that block, at every zoom: `blockAt` gives it, or the first of those that share the pixel.
 */
export interface MapView {
  readonly firstBlock: number;
  readonly blocksPerRow: number;
}
export interface MapPlace {
  readonly blockCount: number;
  /** Of a row, in pixels. */
  readonly width: number;
  readonly rows: number;
  /** From one row to the next. */
  readonly rowPitch: number;
  /** Of what is drawn of a row; the rest is a gap. */
  readonly rowHeight: number;
}
export interface MapBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
/** A row never holds fewer: a block is then wider than any pointer is unsteady. */
export const FEWEST_BLOCKS_PER_ROW = 6;

/** Blocks in a row where the whole device is in view. */
export const wholeBlocksPerRow = (place: MapPlace): number =>
  Math.max(FEWEST_BLOCKS_PER_ROW, Math.ceil(place.blockCount / Math.max(1, place.rows)));
export const wholeView = (place: MapPlace): MapView => ({
  firstBlock: 0,
  blocksPerRow: wholeBlocksPerRow(place),
});
export const isWhole = (view: MapView, place: MapPlace): boolean =>
  view.blocksPerRow >= wholeBlocksPerRow(place);
export const blocksInView = (view: MapView, place: MapPlace): number =>
  view.blocksPerRow * place.rows;

/** The nearest view that is possible. */
export function clampView(view: MapView, place: MapPlace): MapView {
  const most = wholeBlocksPerRow(place);
  const blocksPerRow = Math.round(
    Math.min(most, Math.max(FEWEST_BLOCKS_PER_ROW, view.blocksPerRow)),
  );
  const lastFirst = Math.max(0, place.blockCount - blocksPerRow * place.rows);
  const firstBlock = Math.round(Math.min(lastFirst, Math.max(0, view.firstBlock)));
  return { firstBlock, blocksPerRow };
}
/** Zooms so that `block` stays where it is, as far as the ends of the device allow. `factor` below 1: nearer. */
export function zoomAround(view: MapView, place: MapPlace, block: number, factor: number): MapView {
  const wanted = view.blocksPerRow * factor;
  // A step always changes something, down to the nearest and up to the whole.
  const stepped = factor < 1 ? Math.floor(wanted) : Math.ceil(wanted);
  const { blocksPerRow } = clampView({ firstBlock: 0, blocksPerRow: stepped }, place);
  const distance = block - view.firstBlock;
  const row = Math.floor(distance / view.blocksPerRow);
  const share = distance / view.blocksPerRow - row;
  const firstBlock = block - row * blocksPerRow - Math.floor(share * blocksPerRow);
  return clampView({ firstBlock, blocksPerRow }, place);
}
/** A view that holds all of a range, as near as it can be. */
export function viewOf(place: MapPlace, start: number, count: number): MapView {
  const { blocksPerRow } = clampView(
    { firstBlock: 0, blocksPerRow: Math.ceil(count / Math.max(1, place.rows)) },
    place,
  );
  const spare = blocksPerRow * place.rows - count;
  return clampView({ firstBlock: start - Math.floor(Math.max(0, spare) / 2), blocksPerRow }, place);
}
/** The view itself where it shows the block, else moved by whole rows until it does, the block in the middle. */
export function viewShowing(view: MapView, place: MapPlace, block: number): MapView {
  const end = view.firstBlock + blocksInView(view, place);
  if (block >= view.firstBlock && block < end) return view;
  const row = Math.floor((block - view.firstBlock) / view.blocksPerRow);
  const moved = row - Math.floor(place.rows / 2);
  return clampView({ ...view, firstBlock: view.firstBlock + moved * view.blocksPerRow }, place);
}
export const panRows = (view: MapView, place: MapPlace, rows: number): MapView =>
  clampView({ ...view, firstBlock: view.firstBlock + Math.round(rows) * view.blocksPerRow }, place);

/** First pixel of a column of blocks in its row; `blocksPerRow` gives the end of the row. */
export const columnX = (view: MapView, place: MapPlace, column: number): number =>
  Math.ceil((column * place.width) / view.blocksPerRow);
/** Which block a pixel shows (the first one, where it shows several); null: none. */
export function blockAt(view: MapView, place: MapPlace, x: number, y: number): number | null {
  const row = Math.floor(y / place.rowPitch);
  if (row < 0 || row >= place.rows || x < 0 || x >= place.width) return null;
  const column = Math.floor((Math.floor(x) * view.blocksPerRow) / place.width);
  const block = view.firstBlock + row * view.blocksPerRow + column;
  return block < place.blockCount ? block : null;
}
/** The pixels of a block, at least one; null where it is not in view. */
export function boxOf(view: MapView, place: MapPlace, block: number): MapBox | null {
  const distance = block - view.firstBlock;
  if (distance < 0 || distance >= blocksInView(view, place)) return null;
  const row = Math.floor(distance / view.blocksPerRow);
  const column = distance - row * view.blocksPerRow;
  const end = columnX(view, place, column + 1);
  // Where a pixel shows several blocks, its last one ends with it.
  const x = Math.min(end - 1, columnX(view, place, column));
  return { x, y: row * place.rowPitch, width: end - x, height: place.rowHeight };
}
/** The pixels of a range, one box for each row that it touches. */
export function boxesOf(view: MapView, place: MapPlace, start: number, count: number): MapBox[] {
  const from = Math.max(start, view.firstBlock);
  const to = Math.min(start + count, view.firstBlock + blocksInView(view, place));
  const boxes: MapBox[] = [];
  for (let block = from; block < to;) {
    const row = Math.floor((block - view.firstBlock) / view.blocksPerRow);
    const rowEnd = view.firstBlock + (row + 1) * view.blocksPerRow;
    const end = Math.min(to, rowEnd);
    const first = boxOf(view, place, block) as MapBox;
    const last = boxOf(view, place, end - 1) as MapBox;
    boxes.push({ ...first, width: last.x + last.width - first.x });
    block = end;
  }
  return boxes;
}
/** Every row's first block, for the numbers beside the map. */
export const rowStarts = (view: MapView, place: MapPlace): number[] =>
  Array.from({ length: place.rows }, (_, row) => view.firstBlock + row * view.blocksPerRow).filter(
    (block) => block < place.blockCount,
  );
/** Where the view is on a line of `width` pixels that stands for the whole device. */
export function overviewFrame(
  view: MapView,
  place: MapPlace,
  width: number,
): { readonly x: number; readonly width: number } {
  const scale = width / Math.max(1, place.blockCount);
  const shown = Math.min(blocksInView(view, place), place.blockCount - view.firstBlock);
  const frame = Math.max(4, shown * scale);
  return { x: Math.min(width - frame, view.firstBlock * scale), width: frame };
}
