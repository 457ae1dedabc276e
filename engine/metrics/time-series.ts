// SPDX-License-Identifier: GPL-2.0-only
/**
 * Rates and percentiles over time, a point an interval, with a bound on the points.
 *
 * Rules: 1. `atNs` is the end of the interval, counted from the start of the series. 2. When `pointsMax` is reached, neighbours are
 * joined and the interval doubles: rates and medians of a pair are averaged by its I/Os, p99 and p99.9 keep the larger one (an upper bound;
 * the exact ones of the whole run are in its histograms). 3. An interval in which nothing ended is a point with zeros: a stall shows.
 */
import { assert } from '../base/index.ts';
import { COARSE_SUB_BUCKET_BITS, Histogram } from './histogram.ts';

/** Same shape as the lab's SeriesPoint. */
export interface IntervalPoint {
  readonly atNs: number;
  readonly readIops: number;
  readonly writeIops: number;
  readonly readBytesPerSecond: number;
  readonly writeBytesPerSecond: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly inFlight: number;
}

export class TimeSeries {
  readonly points: IntervalPoint[] = [];
  private readonly latencies = new Histogram(COARSE_SUB_BUCKET_BITS);
  private readCount = 0;
  private writeCount = 0;
  private readBytes = 0;
  private writeBytes = 0;
  private intervalStartNs = 0;
  private fresh: IntervalPoint[] = [];

  constructor(
    /** Doubles when the points are full. */
    public intervalNs: number,
    /** Even, so that neighbours pair up. */
    readonly pointsMax: number,
  ) {
    assert(pointsMax >= 2 && pointsMax % 2 === 0, 'a series needs an even number of points');
  }

  /** One I/O ended. Call `advance` often enough; this only counts. */
  record(isWrite: boolean, lengthBytes: number, latencyNs: number): void {
    if (isWrite) {
      this.writeCount++;
      this.writeBytes += lengthBytes;
    } else {
      this.readCount++;
      this.readBytes += lengthBytes;
    }
    this.latencies.record(latencyNs);
  }

  /** When the interval that is being filled ends. */
  get nextPointNs(): number {
    return this.intervalStartNs + this.intervalNs;
  }

  /** Closes every interval that has ended at `nowNs` (since the start of the series). */
  advance(nowNs: number, inFlight: number): void {
    while (nowNs >= this.nextPointNs) {
      // After a long stall a point per interval would only draw zeros; they are still bounded by rule 2.
      this.close(this.nextPointNs, inFlight);
    }
  }

  /** Closes the last interval early, where anything happened in it. */
  finish(nowNs: number, inFlight: number): void {
    this.advance(nowNs, inFlight);
    if (nowNs > this.intervalStartNs && this.readCount + this.writeCount > 0) {
      this.close(nowNs, inFlight);
    }
  }

  /** Points made since the last call, for a live view. */
  takeFresh(): IntervalPoint[] {
    const { fresh } = this;
    this.fresh = [];
    return fresh;
  }

  get latest(): IntervalPoint | null {
    return this.points[this.points.length - 1] ?? null;
  }

  private close(atNs: number, inFlight: number): void {
    const seconds = (atNs - this.intervalStartNs) / 1e9;
    const { latencies } = this;
    const point: IntervalPoint = {
      atNs,
      readIops: this.readCount / seconds,
      writeIops: this.writeCount / seconds,
      readBytesPerSecond: this.readBytes / seconds,
      writeBytesPerSecond: this.writeBytes / seconds,
      p50Ns: latencies.percentile(50),
      p99Ns: latencies.percentile(99),
      p999Ns: latencies.percentile(99.9),
      inFlight,
    };
    this.points.push(point);
    this.fresh.push(point);
    if (this.fresh.length > this.pointsMax) this.fresh.shift();
    latencies.reset();
    this.readCount = 0;
    this.writeCount = 0;
    this.readBytes = 0;
    this.writeBytes = 0;
    this.intervalStartNs = atNs;
    if (this.points.length >= this.pointsMax) this.halve();
  }

  private halve(): void {
    const joined: IntervalPoint[] = [];
    for (let index = 0; index < this.points.length; index += 2) {
      const first = this.points[index] as IntervalPoint;
      const second = this.points[index + 1];
      joined.push(second === undefined ? first : joinPoints(first, second));
    }
    this.points.length = 0;
    this.points.push(...joined);
    this.intervalNs *= 2;
  }
}

/** Both points cover intervals of the same length. */
function joinPoints(first: IntervalPoint, second: IntervalPoint): IntervalPoint {
  const firstIops = first.readIops + first.writeIops;
  const secondIops = second.readIops + second.writeIops;
  const all = firstIops + secondIops;
  return {
    atNs: second.atNs,
    readIops: (first.readIops + second.readIops) / 2,
    writeIops: (first.writeIops + second.writeIops) / 2,
    readBytesPerSecond: (first.readBytesPerSecond + second.readBytesPerSecond) / 2,
    writeBytesPerSecond: (first.writeBytesPerSecond + second.writeBytesPerSecond) / 2,
    p50Ns: all === 0 ? 0 : (first.p50Ns * firstIops + second.p50Ns * secondIops) / all,
    p99Ns: Math.max(first.p99Ns, second.p99Ns),
    p999Ns: Math.max(first.p999Ns, second.p999Ns),
    inFlight: second.inFlight,
  };
}

const NICE_INTERVALS_MS = [10, 20, 25, 50, 100, 200, 250, 500, 1000];

/** An interval that gives a run of `expectedNs` (null: unknown) some hundred points. */
export function intervalForNs(expectedNs: number | null): number {
  const wantedMs = expectedNs === null ? 25 : expectedNs / 400 / 1e6;
  return (NICE_INTERVALS_MS.find((value) => value >= wantedMs) ?? 1000) * 1e6;
}
