// SPDX-License-Identifier: GPL-2.0-only
import { copyFileSync, existsSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  experimentOf,
  requestColumns,
  resultOf,
  traceColumns,
} from '../../test/support/engine/samples.ts';
import { ResultFiles } from './result-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'diolab-result-'));
const files = new ResultFiles(folder);
afterAll(async () => {
  await files.close();
  rmSync(folder, { recursive: true, force: true });
});

async function writeOne(name: string, rows: number): Promise<string> {
  const path = join(folder, name);
  const writer = await files.create(path);
  await writer.appendRequests(requestColumns(rows));
  await writer.appendTrace(traceColumns(rows));
  expect(existsSync(path)).toBe(false); // not there before it is whole
  await writer.finish(resultOf(experimentOf('one')));
  return path;
}

describe('a result file', () => {
  it('gives back the result and every row exactly', async () => {
    const rows = 5001;
    const path = await writeOne('exact.duckdb', rows);
    expect(await files.result(path)).toEqual(resultOf(experimentOf('one')));
    expect(await files.requests(path, -Infinity, Infinity)).toEqual(requestColumns(rows));
    expect(await files.trace(path, 0, Infinity)).toEqual(traceColumns(rows));
    expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('gives ranges', async () => {
    const path = await writeOne('range.duckdb', 10_000);
    const all = requestColumns(10_000);
    const part = await files.requests(path, 5000, 9_999_000);
    expect(part.rowCount).toBe(9995);
    expect(part.atNs).toEqual(all.atNs.slice(5));
    expect((await files.requests(path, 2e9, 3e9)).rowCount).toBe(0);
    const trace = await files.trace(path, 4000, 4003);
    expect([...trace.dioId]).toEqual([4000, 4001, 4002]);
    expect([...trace.values.slice(0, 6)]).toEqual([24000, 24001, 24002, 24003, 24004, 24005]);
  });

  it('keeps any numbers that columns can hold (property)', async () => {
    let made = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1e15, noNaN: true }),
            fc.nat(0xffffffff),
            fc.integer({ min: -32768, max: 32767 }),
            fc.nat(255),
          ),
          { maxLength: 50 },
        ),
        async (table) => {
          const columns = {
            rowCount: table.length,
            sampledEvery: 3,
            atNs: Float64Array.from(table, ([at]) => at),
            latencyNs: Float64Array.from(table, ([at]) => at / 3),
            sector: Float64Array.from(table, ([, length]) => length * 8),
            lengthBytes: Uint32Array.from(table, ([, length]) => length),
            status: Int16Array.from(table, ([, , status]) => status),
            op: Uint8Array.from(table, ([, , , op]) => op),
            job: Uint8Array.from(table, ([, , , op]) => op),
          };
          const path = join(folder, `property-${String(made++)}.duckdb`);
          const writer = await files.create(path);
          await writer.appendRequests(columns);
          await writer.finish(resultOf(experimentOf('property')));
          expect(await files.requests(path, -Infinity, Infinity)).toEqual(columns);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('is read by many at once, and by name only while they read', async () => {
    const path = await writeOne('many.duckdb', 3000);
    const counts = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, i % 5));
        return (await files.requests(path, -Infinity, Infinity)).rowCount;
      }),
    );
    expect(new Set(counts)).toEqual(new Set([3000]));
  });

  it('leaves nothing of a result that was given up', async () => {
    const before = await readdir(folder);
    const writer = await files.create(join(folder, 'given-up.duckdb'));
    await writer.appendRequests(requestColumns(100));
    await writer.discard();
    expect(await readdir(folder)).toEqual(before);
  });

  it('exports Parquet and CSV', async () => {
    const path = await writeOne('export.duckdb', 100);
    const csv = join(folder, 'rows.csv');
    await files.copy(path, (r) => `SELECT at_ns, op FROM ${r}.request_rows`, csv, 'FORMAT csv');
    expect((await readFile(csv, 'utf8')).split('\n').slice(0, 3)).toEqual([
      'at_ns,op',
      '0.0,0',
      '1000.0,0',
    ]);
    const parquet = join(folder, 'rows.parquet');
    await files.copy(path, (r) => `SELECT * FROM ${r}.request_rows`, parquet, 'FORMAT parquet');
    expect((await readFile(parquet)).subarray(0, 4).toString()).toBe('PAR1');
  });

  it('names a file that is cut short or something else', async () => {
    const path = await writeOne('whole.duckdb', 5000);
    const cut = join(folder, 'cut.duckdb');
    copyFileSync(path, cut);
    truncateSync(cut, 20_000);
    await expect(files.requests(cut, 0, 1)).rejects.toMatchObject({
      code: 'store.damaged',
      where: cut,
    });
    const missing = join(folder, "it's not there.duckdb");
    await expect(files.result(missing)).rejects.toMatchObject({ code: 'store.damaged' });
  });
});
