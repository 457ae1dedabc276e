// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestRows } from './request-rows.ts';

const addRequests = (rows: RequestRows, count: number): void => {
  for (let n = 1; n <= count; n++) rows.add(n, n * 2, n * 512, 512, n % 2, -(n % 7), n % 4);
};

describe('RequestRows', () => {
  it('keeps every request while there is room, and maps positions to sectors at the end', () => {
    const rows = new RequestRows(5000);
    addRequests(rows, 3000);
    const columns = rows.columns((offset) => offset / 512 + 100);
    expect(columns).toMatchObject({ rowCount: 3000, sampledEvery: 1 });
    expect(columns.atNs).toHaveLength(3000);
    expect([columns.atNs[2999], columns.sector[2999]]).toEqual([3000, 3100]);
    expect([columns.status[6], columns.status[5]]).toEqual([0, -6]);
  });

  it('thins to an even sample: exactly every 2^n-th request stays, for any bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 900 }), (max, n) => {
        const rows = new RequestRows(max);
        addRequests(rows, n);
        const { rowCount, sampledEvery, atNs } = rows.columns((offset) => offset);
        expect(rowCount).toBe(Math.floor(n / sampledEvery));
        expect(rowCount).toBeLessThanOrEqual(max);
        expect([...atNs]).toEqual(
          Array.from({ length: rowCount }, (_, index) => (index + 1) * sampledEvery),
        );
      }),
    );
  });

  it('keeps nothing with a bound of 0', () => {
    const rows = new RequestRows(0);
    addRequests(rows, 10);
    expect(rows.columns((offset) => offset).rowCount).toBe(0);
  });
});
