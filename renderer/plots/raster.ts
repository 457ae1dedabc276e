// SPDX-License-Identifier: GPL-2.0-only
/**
 * The density raster: a million requests into pixels by typed arrays, without an object a point. Pure; runs in a worker.
 *
 * A pixel holds how many requests fell into it, how many of them were writes, and the slowest class among them. A slow or failed
 * request gives the pixel its colour, so that a lone one is never hidden by a thousand quick ones; where all were quick, the colours of
 * read and write are mixed by their shares. The number gives the strength.
 *   class 0 read, 1 write, 2 slower than p99, 3 slower than p99.9, 4 failed
 */
import type { RequestColumns } from '../../main/contract/bulk.ts';

export const RASTER_CLASSES = 5;

/** The part of the plane that is drawn. Ends are exclusive. */
export interface RasterView {
  readonly fromNs: number;
  readonly toNs: number;
  readonly fromSector: number;
  readonly toSector: number;
}
export interface SlowThresholds {
  /** A latency above this is slow, above `slowestNs` very slow. */
  readonly slowNs: number;
  readonly slowestNs: number;
}
/** Colours of the classes as 0xRRGGBB. */
export type RasterPalette = readonly [number, number, number, number, number];

/** p99 and p99.9 of the latencies, exact for 100 000 values, from an even sample above. */
export function slowThresholds(latencyNs: Float64Array, rowCount: number): SlowThresholds {
  if (rowCount === 0) return { slowNs: Infinity, slowestNs: Infinity };
  const every = Math.max(1, Math.floor(rowCount / 100_000));
  const sample = new Float64Array(Math.ceil(rowCount / every));
  for (let index = 0; index < sample.length; index += 1) {
    sample[index] = latencyNs[index * every] as number;
  }
  sample.sort();
  const at = (share: number): number =>
    sample[Math.min(sample.length - 1, Math.floor(sample.length * share))] as number;
  return { slowNs: at(0.99), slowestNs: at(0.999) };
}

/** Side of a point in pixels: few points are drawn larger. */
export function pointSize(rowCount: number, width: number, height: number): number {
  const perPixel = rowCount / Math.max(1, width * height);
  if (perPixel > 0.05) return 1;
  return perPixel > 0.005 ? 2 : 3;
}

export interface RasterBins {
  readonly counts: Uint32Array;
  readonly writes: Uint32Array;
  /** Worst class in the pixel plus one; 0: nothing there. */
  readonly worst: Uint8Array;
  /** Requests inside the view. */
  readonly inside: number;
}

/** Counts the requests of a view into `width` x `height` pixels; row 0 is the top, which is the highest sector. */
export function binRequests(
  columns: RequestColumns,
  view: RasterView,
  width: number,
  height: number,
  slow: SlowThresholds,
): RasterBins {
  const counts = new Uint32Array(width * height);
  const writes = new Uint32Array(width * height);
  const worst = new Uint8Array(width * height);
  const { atNs, sector, latencyNs, status, op, rowCount } = columns;
  const perNs = width / (view.toNs - view.fromNs);
  const perSector = height / (view.toSector - view.fromSector);
  const size = pointSize(rowCount, width, height);
  let inside = 0;
  for (let row = 0; row < rowCount; row += 1) {
    const x = Math.floor(((atNs[row] as number) - view.fromNs) * perNs);
    const y = height - 1 - Math.floor(((sector[row] as number) - view.fromSector) * perSector);
    if (x < 0 || x >= width || y < 0 || y >= height) continue;
    inside += 1;
    const ns = latencyNs[row] as number;
    const isWrite = op[row] as number;
    let kind = 1 + isWrite;
    if ((status[row] as number) < 0) kind = 5;
    else if (ns > slow.slowestNs) kind = 4;
    else if (ns > slow.slowNs) kind = 3;
    for (let dy = 0; dy < size && y + dy < height; dy += 1) {
      for (let dx = 0; dx < size && x + dx < width; dx += 1) {
        const pixel = (y + dy) * width + x + dx;
        counts[pixel] = (counts[pixel] as number) + 1;
        writes[pixel] = (writes[pixel] as number) + isWrite;
        if (kind > (worst[pixel] as number)) worst[pixel] = kind;
      }
    }
  }
  return { counts, writes, worst, inside };
}

/** The mix of two colours; `share` of the second. */
function mixColors(first: number, second: number, share: number): number {
  const channel = (bits: number): number =>
    Math.round(((first >> bits) & 255) * (1 - share) + ((second >> bits) & 255) * share) << bits;
  return channel(16) | channel(8) | channel(0);
}

/** Colours the bins: strength grows with the logarithm of the count, slow classes are always strong. */
export function paintBins(
  bins: RasterBins,
  palette: RasterPalette,
): Uint8ClampedArray<ArrayBuffer> {
  const { counts, writes, worst } = bins;
  const pixels = new Uint8ClampedArray(counts.length * 4);
  let most = 1;
  for (let index = 0; index < counts.length; index += 1) {
    if ((counts[index] as number) > most) most = counts[index] as number;
  }
  const scale = most > 1 ? 1 / Math.log(most) : 0;
  for (let index = 0; index < counts.length; index += 1) {
    const kind = worst[index] as number;
    if (kind === 0) continue;
    const color =
      kind > 2
        ? (palette[kind - 1] as number)
        : mixColors(palette[0], palette[1], (writes[index] as number) / (counts[index] as number));
    const strength = Math.log(counts[index] as number) * scale;
    const alpha = kind > 2 ? 0.85 + 0.15 * strength : 0.5 + 0.5 * strength;
    pixels[index * 4] = color >> 16;
    pixels[index * 4 + 1] = (color >> 8) & 255;
    pixels[index * 4 + 2] = color & 255;
    pixels[index * 4 + 3] = alpha * 255;
  }
  return pixels;
}

/** The request nearest to a point of the plane, within `reach` pixels; -1 where there is none. */
export function nearestRequest(
  columns: RequestColumns,
  view: RasterView,
  width: number,
  height: number,
  at: { readonly x: number; readonly y: number },
  reach: number,
): number {
  const nsPerPixel = (view.toNs - view.fromNs) / width;
  const sectorsPerPixel = (view.toSector - view.fromSector) / height;
  const ns = view.fromNs + at.x * nsPerPixel;
  const sector = view.fromSector + (height - at.y) * sectorsPerPixel;
  let best = -1;
  let bestDistance = reach * reach;
  for (let row = 0; row < columns.rowCount; row += 1) {
    const dx = ((columns.atNs[row] as number) - ns) / nsPerPixel;
    if (dx > reach || dx < -reach) continue;
    const dy = ((columns.sector[row] as number) - sector) / sectorsPerPixel;
    const distance = dx * dx + dy * dy;
    if (distance < bestDistance) {
      bestDistance = distance;
      best = row;
    }
  }
  return best;
}
