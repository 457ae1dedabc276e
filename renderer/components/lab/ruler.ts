// SPDX-License-Identifier: GPL-2.0-only
/**
 * Geometry of the alignment ruler: bytes to positions and back. Pure.
 *
 * An axis shows the units (file system blocks, or pages) that a request touches. A long request has its middle left out:
 *   |··▓▓|▓▓▓▓|▓ // ▓|▓▓▓▓|▓···|      only the ends tell whether it is aligned
 */

export interface RulerAxis {
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly unitBytes: number;
  readonly width: number;
  /** The part left out, in bytes; null where everything is shown. */
  readonly gap: { readonly fromBytes: number; readonly toBytes: number } | null;
}

/** Most units that are shown without leaving out the middle. */
const UNITS_MAX = 6;
/** Units shown on each side of the gap. */
const SIDE_UNITS = 1.5;
const GAP_WIDTH = 18;

/** An axis of whole units around [startBytes, startBytes + lengthBytes), at least two units long. */
export function makeAxis(
  startBytes: number,
  lengthBytes: number,
  unitBytes: number,
  width: number,
): RulerAxis {
  const from = Math.floor(startBytes / unitBytes) * unitBytes;
  const end = Math.ceil((startBytes + Math.max(lengthBytes, 1)) / unitBytes) * unitBytes;
  const to = Math.max(end, from + 2 * unitBytes);
  const gap =
    to - from > UNITS_MAX * unitBytes
      ? { fromBytes: from + SIDE_UNITS * unitBytes, toBytes: to - SIDE_UNITS * unitBytes }
      : null;
  return { fromBytes: from, toBytes: to, unitBytes, width, gap };
}

/** Bytes per pixel of the parts that are shown. */
export function bytesPerPixel(axis: RulerAxis): number {
  const { fromBytes, toBytes, gap, width } = axis;
  return gap === null
    ? (toBytes - fromBytes) / width
    : (toBytes - fromBytes - (gap.toBytes - gap.fromBytes)) / (width - GAP_WIDTH);
}

/** Position of a byte, 0 to the width; bytes inside the gap lie inside its pixels. */
export function positionOf(axis: RulerAxis, bytes: number): number {
  const scale = bytesPerPixel(axis);
  const { gap, fromBytes } = axis;
  const clamped = Math.min(Math.max(bytes, fromBytes), axis.toBytes);
  if (gap === null || clamped <= gap.fromBytes) return (clamped - fromBytes) / scale;
  const gapStart = (gap.fromBytes - fromBytes) / scale;
  if (clamped >= gap.toBytes) return gapStart + GAP_WIDTH + (clamped - gap.toBytes) / scale;
  const share = (clamped - gap.fromBytes) / (gap.toBytes - gap.fromBytes);
  return gapStart + share * GAP_WIDTH;
}

export interface RulerTick {
  readonly x: number;
  readonly bytes: number;
  readonly isUnit: boolean;
}
/** Ticks at units, and at sectors where they are at least three pixels apart. */
export function ticksOf(axis: RulerAxis, sectorBytes: number): RulerTick[] {
  const scale = bytesPerPixel(axis);
  const step = sectorBytes / scale >= 3 ? sectorBytes : axis.unitBytes;
  const inGap = (bytes: number): boolean =>
    axis.gap !== null && bytes > axis.gap.fromBytes && bytes < axis.gap.toBytes;
  const ticks: RulerTick[] = [];
  const add = (from: number, to: number): void => {
    for (let bytes = Math.ceil(from / step) * step; bytes <= to; bytes += step) {
      if (inGap(bytes)) continue;
      const isUnit = bytes % axis.unitBytes === 0;
      ticks.push({ x: positionOf(axis, bytes), bytes, isUnit });
    }
  };
  if (axis.gap === null) add(axis.fromBytes, axis.toBytes);
  else {
    add(axis.fromBytes, axis.gap.fromBytes);
    add(axis.gap.toBytes, axis.toBytes);
  }
  return ticks;
}

/** Units at either end that the request covers only in part: [from, to] positions. */
export function partialUnits(
  axis: RulerAxis,
  startBytes: number,
  lengthBytes: number,
): (readonly [number, number])[] {
  const unit = axis.unitBytes;
  const end = startBytes + lengthBytes;
  const first = Math.floor(startBytes / unit) * unit;
  const last = Math.floor(Math.max(startBytes, end - 1) / unit) * unit;
  const span = (from: number): readonly [number, number] => [
    positionOf(axis, from),
    positionOf(axis, from + unit),
  ];
  const partial: (readonly [number, number])[] = [];
  const headIsPartial = startBytes % unit !== 0 || (first === last && end % unit !== 0);
  if (headIsPartial) partial.push(span(first));
  if (last !== first && end % unit !== 0) partial.push(span(last));
  return partial;
}

/** `value` moved by `steps` of `stepBytes`, on to multiples of it, within [min, max]. */
export function stepTo(
  value: number,
  steps: number,
  stepBytes: number,
  min: number,
  max: number,
): number {
  const moved =
    steps > 0
      ? Math.floor(value / stepBytes) * stepBytes + steps * stepBytes
      : Math.ceil(value / stepBytes) * stepBytes + steps * stepBytes;
  return Math.min(max, Math.max(min, moved));
}
