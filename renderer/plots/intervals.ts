// SPDX-License-Identifier: GPL-2.0-only
/**
 * Makes a time series coarser for drawing: rates are averaged by time, p50 by requests; of p99 and p99.9 the worst interval's is kept,
 * as percentiles cannot be added and the tail is what one looks for. Pure.
 */
import type { SeriesPoint } from '../../main/contract/types.ts';

/** Most points of a line: about one every two pixels. */
const POINTS_MAX = 160;
const STEP_NS_MIN = 1e8;

function joinPoints(points: readonly SeriesPoint[], fromNs: number): SeriesPoint {
  const last = points.at(-1) as SeriesPoint;
  if (points.length === 1) return last;
  let timeNs = 0;
  let requests = 0;
  const sums = { readIops: 0, writeIops: 0, readBytes: 0, writeBytes: 0, p50: 0, inFlight: 0 };
  let beforeNs = fromNs;
  for (const point of points) {
    const spanNs = Math.max(1, point.atNs - beforeNs);
    const weight = (point.readIops + point.writeIops) * spanNs;
    beforeNs = point.atNs;
    timeNs += spanNs;
    requests += weight;
    sums.readIops += point.readIops * spanNs;
    sums.writeIops += point.writeIops * spanNs;
    sums.readBytes += point.readBytesPerSecond * spanNs;
    sums.writeBytes += point.writeBytesPerSecond * spanNs;
    sums.inFlight += point.inFlight * spanNs;
    sums.p50 += point.p50Ns * weight;
  }
  return {
    atNs: last.atNs,
    readIops: sums.readIops / timeNs,
    writeIops: sums.writeIops / timeNs,
    readBytesPerSecond: sums.readBytes / timeNs,
    writeBytesPerSecond: sums.writeBytes / timeNs,
    p50Ns: requests > 0 ? sums.p50 / requests : 0,
    p99Ns: Math.max(...points.map((point) => point.p99Ns)),
    p999Ns: Math.max(...points.map((point) => point.p999Ns)),
    inFlight: sums.inFlight / timeNs,
  };
}

/** Points of [fromNs, toNs] at steps of at least a tenth of a second; as they are where there are few. */
export function coarsen(
  series: readonly SeriesPoint[],
  range: readonly [number, number] | null,
): readonly SeriesPoint[] {
  const shown = range
    ? series.filter((point) => point.atNs >= range[0] && point.atNs <= range[1] + STEP_NS_MIN)
    : series;
  const spanNs = (shown.at(-1)?.atNs ?? 0) - (shown[0]?.atNs ?? 0);
  if (shown.length <= POINTS_MAX) return shown;
  const stepNs = Math.max(range ? 0 : STEP_NS_MIN, spanNs / POINTS_MAX);
  const joined: SeriesPoint[] = [];
  let group: SeriesPoint[] = [];
  let fromNs = shown[0]?.atNs ?? 0;
  let index = Math.floor(fromNs / stepNs);
  for (const point of shown) {
    const own = Math.floor(point.atNs / stepNs);
    if (own !== index && group.length > 0) {
      joined.push(joinPoints(group, fromNs));
      fromNs = group.at(-1)?.atNs ?? fromNs;
      group = [];
    }
    index = own;
    group.push(point);
  }
  if (group.length > 0) joined.push(joinPoints(group, fromNs));
  return joined;
}
