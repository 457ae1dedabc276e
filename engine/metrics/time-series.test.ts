// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { intervalForNs, TimeSeries } from './time-series.ts';

const MS = 1e6;

describe('TimeSeries', () => {
  it('makes one point an interval, with rates and percentiles of that interval', () => {
    const series = new TimeSeries(10 * MS, 100);
    for (let index = 0; index < 50; index++) series.record(false, 4096, 1000);
    series.record(true, 8192, 63);
    series.advance(10 * MS, 7);
    for (let index = 0; index < 10; index++) series.record(false, 4096, 50);
    series.advance(25 * MS, 3);
    expect(series.points).toHaveLength(2);
    expect(series.points[0]).toMatchObject({
      atNs: 10 * MS,
      readIops: 5000,
      writeIops: 100,
      readBytesPerSecond: 50 * 4096 * 100,
      writeBytesPerSecond: 819200,
      inFlight: 7,
    });
    expect(series.points[0]?.p50Ns).toBeGreaterThanOrEqual(1000);
    expect(series.points[0]?.p50Ns).toBeLessThan(1016);
    expect(series.points[1]).toMatchObject({ atNs: 20 * MS, readIops: 1000, p99Ns: 50 });
    expect(series.takeFresh()).toHaveLength(2);
    expect(series.takeFresh()).toHaveLength(0);
  });

  it('shows a stall as points with zeros and closes the last interval early', () => {
    const series = new TimeSeries(10 * MS, 100);
    series.advance(30 * MS, 4);
    series.record(false, 512, 9);
    series.finish(35 * MS, 0);
    expect(series.points.map((point) => point.readIops)).toEqual([0, 0, 0, 200]);
  });

  it('stays within its bound by doubling the interval, and keeps the sum of I/Os', () => {
    const series = new TimeSeries(10 * MS, 16);
    for (let tick = 1; tick <= 1000; tick++) {
      for (let index = 0; index < tick % 5; index++) series.record(index % 2 === 0, 512, tick);
      series.advance(tick * 10 * MS, 1);
    }
    series.finish(1000 * 10 * MS, 0);
    expect(series.points.length).toBeLessThan(16);
    expect(series.intervalNs).toBe(1280 * MS);
    let previousNs = 0;
    let ios = 0;
    for (const point of series.points) {
      expect(point.atNs).toBeGreaterThan(previousNs);
      ios += ((point.readIops + point.writeIops) * (point.atNs - previousNs)) / 1e9;
      previousNs = point.atNs;
    }
    expect(Math.round(ios)).toBe(2000);
  });

  it('chooses an interval that gives some hundred points', () => {
    expect(intervalForNs(10e9)).toBe(25 * MS);
    expect(intervalForNs(60e9)).toBe(200 * MS);
    expect(intervalForNs(null)).toBe(25 * MS);
    expect(intervalForNs(1e6)).toBe(10 * MS);
    expect(intervalForNs(1e15)).toBe(1000 * MS);
  });
});
