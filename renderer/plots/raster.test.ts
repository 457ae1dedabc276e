// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestColumns } from '../../main/contract/bulk.ts';
import { binRequests, nearestRequest, paintBins, pointSize, slowThresholds } from './raster.ts';

type Row = readonly [atNs: number, sector: number, latencyNs: number, op?: number, status?: number];
function columnsOf(rows: readonly Row[]): RequestColumns {
  return {
    rowCount: rows.length,
    sampledEvery: 1,
    atNs: Float64Array.from(rows, (row) => row[0]),
    sector: Float64Array.from(rows, (row) => row[1]),
    latencyNs: Float64Array.from(rows, (row) => row[2]),
    lengthBytes: new Uint32Array(rows.length).fill(4096),
    op: Uint8Array.from(rows, (row) => row[3] ?? 0),
    status: Int16Array.from(rows, (row) => row[4] ?? 0),
    job: new Uint8Array(rows.length),
  };
}
const view = { fromNs: 0, toNs: 100, fromSector: 0, toSector: 100 };
const slow = { slowNs: 50, slowestNs: 90 };

describe('the density raster', () => {
  it('puts low sectors at the bottom and early requests at the left', () => {
    const bins = binRequests(columnsOf([[0, 0, 1], [99, 99, 1, 1]]), view, 10, 10, slow); // prettier-ignore
    expect(bins.worst[9 * 10]).toBe(1);
    expect(bins.worst[9]).toBe(2);
    expect(bins.inside).toBe(2);
  });
  it('lets the worst request of a pixel decide its colour', () => {
    const rows: Row[] = [[5, 5, 1], [5, 5, 60], [5, 5, 95], [5, 5, 1]]; // prettier-ignore
    const bins = binRequests(columnsOf(rows), view, 1, 1, slow);
    expect([bins.counts[0], bins.worst[0]]).toEqual([4, 4]);
    const failed = binRequests(columnsOf([...rows, [5, 5, 1, 0, -5]]), view, 1, 1, slow);
    expect(failed.worst[0]).toBe(5);
  });
  it('counts exactly the requests inside the view', () => {
    const row = fc.tuple(
      fc.integer({ min: -50, max: 150 }),
      fc.integer({ min: -50, max: 150 }),
      fc.constant(1),
    );
    fc.assert(
      fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
        const inside = rows.filter(
          ([at, sector]) => at >= 0 && at < 100 && sector >= 0 && sector < 100,
        ).length;
        expect(binRequests(columnsOf(rows), view, 50, 50, slow).inside).toBe(inside);
      }),
    );
  });
  it('colours what is there, stronger where there is more, and nothing else', () => {
    const rows: Row[] = [[5, 95, 1], ...Array.from({ length: 50 }, (): Row => [95, 95, 1])];
    const bins = binRequests(columnsOf(rows), view, 1000, 1000, slow);
    const pixels = paintBins(bins, [0x102030, 0, 0, 0, 0]);
    const at = (x: number, y: number): number[] => [
      ...pixels.subarray((y * 1000 + x) * 4, (y * 1000 + x) * 4 + 4),
    ];
    expect(at(50, 49).slice(0, 3)).toEqual([0x10, 0x20, 0x30]);
    expect(at(950, 49)[3]).toBeGreaterThan(at(50, 49)[3] as number);
    expect(at(500, 500)).toEqual([0, 0, 0, 0]);
  });
  it('mixes the colours of reads and writes by their shares', () => {
    const rows: Row[] = [[5, 5, 1], [5, 5, 1, 1]]; // prettier-ignore
    const pixels = paintBins(
      binRequests(columnsOf(rows), view, 1, 1, slow),
      [0x204060, 0x406020, 0, 0, 0],
    );
    expect([...pixels.subarray(0, 3)]).toEqual([0x30, 0x50, 0x40]);
  });
  it('draws few points larger', () => {
    expect([pointSize(10, 400, 200), pointSize(1000, 400, 200), pointSize(1e6, 400, 200)]).toEqual([
      3, 2, 1,
    ]);
  });
  it('finds the nearest request, or none', () => {
    const columns = columnsOf([[10, 10, 1], [50, 50, 1]]); // prettier-ignore
    expect(nearestRequest(columns, view, 100, 100, { x: 52, y: 49 }, 12)).toBe(1);
    expect(nearestRequest(columns, view, 100, 100, { x: 90, y: 5 }, 12)).toBe(-1);
  });
  it('takes p99 and p99.9 as the borders of slow', () => {
    const latencies = Float64Array.from({ length: 1000 }, (_, index) => index + 1);
    expect(slowThresholds(latencies, 1000)).toEqual({ slowNs: 991, slowestNs: 1000 });
    expect(slowThresholds(new Float64Array(0), 0).slowNs).toBe(Infinity);
  });
  it('bins a million requests', () => {
    const count = 1_000_000;
    const columns: RequestColumns = {
      ...columnsOf([]),
      rowCount: count,
      atNs: Float64Array.from({ length: count }, (_, index) => (index / count) * 100),
      sector: Float64Array.from({ length: count }, (_, index) => (index * 7919) % 100),
      latencyNs: new Float64Array(count).fill(1),
      op: new Uint8Array(count),
      status: new Int16Array(count),
    };
    const bins = binRequests(columns, view, 800, 300, slow);
    expect(bins.inside).toBe(count);
    expect(bins.counts.reduce((sum, each) => sum + each, 0)).toBe(count);
  });
});
