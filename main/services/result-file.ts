// SPDX-License-Identifier: GPL-2.0-only
/**
 * The result of one run as one DuckDB file: written once by the process that ran it, then never changed and only read, by any number
 * of processes at once (docs/adr: why not one database for all).
 *
 *   run           one row: the whole RunResult as JSON, how the rows were sampled
 *   request_rows  one row a request      series  one row a point      trace_rows  one row an event      jobs  one row a job
 *
 * Rules: 1. It is made under another name and renamed when it is whole and on disk. 2. Columns are appended as typed vectors, 2,048
 * rows at a time, and the event loop turns between slices. 3. DuckDB itself is loaded at first use: it costs a tenth of a second.
 */
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type * as DuckDbModule from '@duckdb/node-api';
import type { DuckDBConnection, DuckDBInstance, DuckDBType } from '@duckdb/node-api';
import { assert, HostError, TRACE_KINDS, type TraceColumns } from '../../engine/base/index.ts';
import type { RequestColumns, RunResult } from '../../engine/lab/result.ts';
import { fileError, syncFile, syncFolder } from './durable.ts';

type DuckDb = typeof DuckDbModule;
type Column = Float64Array | Uint32Array | Int32Array | Int16Array | Uint8Array;

const ROWS_PER_CHUNK = 2048;
const CHUNKS_PER_TURN = 16;
const REQUEST_TABLE =
  'at_ns DOUBLE, latency_ns DOUBLE, sector DOUBLE, length_bytes UINTEGER, status SMALLINT, op UTINYINT, job UTINYINT';
const TRACE_TABLE =
  'kind UTINYINT, at_ns DOUBLE, dio_id UINTEGER, bio_id INTEGER, a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE, e DOUBLE, f DOUBLE';
const SERIES_COLUMNS = [
  ['at_ns', 'atNs'],
  ['read_iops', 'readIops'],
  ['write_iops', 'writeIops'],
  ['read_bytes_per_second', 'readBytesPerSecond'],
  ['write_bytes_per_second', 'writeBytesPerSecond'],
  ['p50_ns', 'p50Ns'],
  ['p99_ns', 'p99Ns'],
  ['p999_ns', 'p999Ns'],
  ['in_flight', 'inFlight'],
] as const;

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Some rows of a trace, with their numbers in the whole of it. */
export interface TraceRows {
  /** Rows of the kinds asked for. */
  readonly totalRows: number;
  readonly columns: TraceColumns;
  readonly rowNumbers: Float64Array;
}

interface Attachment {
  readonly alias: string;
  users: number;
  readonly ready: Promise<unknown>;
  closing: Promise<unknown> | null;
}

/** DuckDB in this process: one instance in memory, to which result files are attached while they are in use. */
export class ResultFiles {
  private opened: Promise<{
    duckdb: DuckDb;
    instance: DuckDBInstance;
    connection: DuckDBConnection;
  }> | null = null;
  private nextAlias = 0;
  private readonly attached = new Map<string, Attachment>();

  /** `temporaryFolder`: where DuckDB may spill. */
  constructor(private readonly temporaryFolder: string) {}

  private open(): NonNullable<ResultFiles['opened']> {
    this.opened ??= (async () => {
      const duckdb = await import('@duckdb/node-api');
      const instance = await duckdb.DuckDBInstance.create(':memory:', {
        threads: '2',
        memory_limit: '1GB',
        temp_directory: join(this.temporaryFolder, 'duckdb'),
        // Nothing is ever fetched from the network.
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
      });
      return { duckdb, instance, connection: await instance.connect() };
    })();
    return this.opened;
  }

  /** A writer whose file becomes `path` when it is finished. */
  async create(path: string): Promise<ResultWriter> {
    const { duckdb, instance } = await this.open();
    const alias = `w${String(this.nextAlias++)}`;
    const partial = join(dirname(path), 'result.partial');
    await rm(partial, { force: true });
    await rm(`${partial}.wal`, { force: true });
    const connection = await instance.connect();
    try {
      await connection.run(`ATTACH ${quoted(partial)} AS ${alias} (BLOCK_SIZE 16384)`);
      await connection.run(`CREATE TABLE ${alias}.request_rows (${REQUEST_TABLE})`);
      await connection.run(`CREATE TABLE ${alias}.trace_rows (${TRACE_TABLE})`);
    } catch (error) {
      throw storeError(error, path);
    }
    return new ResultWriter(duckdb, connection, alias, partial, path);
  }

  /** Runs `use` with the file attached read-only as `alias`. */
  async read<T>(
    path: string,
    use: (connection: DuckDBConnection, alias: string) => Promise<T>,
  ): Promise<T> {
    const { instance } = await this.open();
    const connection = await instance.connect();
    const attachment = await this.attach(path, connection);
    try {
      await attachment.ready;
      return await use(connection, attachment.alias);
    } catch (error) {
      throw storeError(error, path);
    } finally {
      await this.release(path, attachment, connection);
      connection.closeSync();
    }
  }

  /** The file's attachment, shared by all who read it now. */
  private async attach(path: string, connection: DuckDBConnection): Promise<Attachment> {
    for (;;) {
      const there = this.attached.get(path);
      if (there === undefined) break;
      if (there.closing === null) {
        there.users++;
        return there;
      }
      await there.closing; // DuckDB attaches a file once
    }
    const alias = `r${String(this.nextAlias++)}`;
    const ready = connection.run(`ATTACH ${quoted(path)} AS ${alias} (READ_ONLY)`);
    const attachment: Attachment = { alias, users: 1, ready, closing: null };
    this.attached.set(path, attachment);
    return attachment;
  }

  private async release(
    path: string,
    attachment: Attachment,
    connection: DuckDBConnection,
  ): Promise<void> {
    attachment.users--;
    if (attachment.users > 0) return;
    attachment.closing = connection
      .run(`DETACH DATABASE IF EXISTS ${attachment.alias}`)
      .finally(() => this.attached.delete(path));
    await attachment.closing;
  }

  async result(path: string): Promise<RunResult> {
    return this.read(path, async (connection, alias) => {
      const reader = await connection.runAndReadAll(`SELECT result FROM ${alias}.run`);
      return JSON.parse(String(reader.getRows()[0]?.[0])) as RunResult;
    });
  }

  /** Request rows whose start lies in [fromNs, toNs], in order. */
  async requests(path: string, fromNs: number, toNs: number): Promise<RequestColumns> {
    return this.read(path, async (connection, alias) => {
      const where = `WHERE at_ns >= ${String(Math.max(fromNs, -1e300))}::DOUBLE AND at_ns <= ${String(Math.min(toNs, 1e300))}::DOUBLE`;
      const head = await connection.runAndReadAll(
        `SELECT (SELECT count(*) FROM ${alias}.request_rows ${where})::DOUBLE, sampled_every FROM ${alias}.run`,
      );
      const [rowCount, sampledEvery] = (head.getRows()[0] ?? [0, 1]).map(Number) as [
        number,
        number,
      ];
      const columns: RequestColumns = {
        rowCount,
        sampledEvery,
        atNs: new Float64Array(rowCount),
        latencyNs: new Float64Array(rowCount),
        sector: new Float64Array(rowCount),
        lengthBytes: new Uint32Array(rowCount),
        status: new Int16Array(rowCount),
        op: new Uint8Array(rowCount),
        job: new Uint8Array(rowCount),
      };
      const sql = `SELECT at_ns, latency_ns, sector, length_bytes, status, op, job FROM ${alias}.request_rows ${where} ORDER BY rowid`;
      const { atNs, latencyNs, sector, lengthBytes, status, op, job } = columns;
      await fillColumns(connection, sql, [atNs, latencyNs, sector, lengthBytes, status, op, job]);
      return columns;
    });
  }

  /** Trace rows [fromRow, toRow) in order. */
  async trace(path: string, fromRow: number, toRow: number): Promise<TraceColumns> {
    const from = Math.max(0, Math.floor(fromRow));
    const count = Math.max(0, Math.floor(toRow) - from);
    return (await this.traceOfKinds(path, null, from, count)).columns;
  }

  /** Rows `from` to `from + count` of those of some kinds (null: of all), in the order of the trace. */
  async traceOfKinds(
    path: string,
    kinds: readonly number[] | null,
    from: number,
    count: number,
  ): Promise<TraceRows> {
    return this.read(path, async (connection, alias) => {
      const where = kinds === null ? '' : `WHERE kind IN (${kinds.map(Number).join(', ')})`;
      const head = await connection.runAndReadAll(
        `SELECT count(*)::DOUBLE, (SELECT trace_dropped FROM ${alias}.run)::DOUBLE FROM ${alias}.trace_rows ${where}`,
      );
      const [total, droppedCount] = (head.getRows()[0] ?? [0, 0]).map(Number) as [number, number];
      const first = Math.min(from, total);
      const rowCount = Math.min(count, total - first);
      const letters = ['a', 'b', 'c', 'd', 'e', 'f'];
      const parts = letters.map(() => new Float64Array(rowCount));
      const rowNumbers = new Float64Array(rowCount);
      const columns = {
        kind: new Uint8Array(rowCount),
        atNs: new Float64Array(rowCount),
        dioId: new Uint32Array(rowCount),
        bioId: new Int32Array(rowCount),
      };
      const sql = `SELECT rowid::DOUBLE, kind, at_ns, dio_id, bio_id, ${letters.join(', ')} FROM ${alias}.trace_rows ${where} ORDER BY rowid LIMIT ${String(rowCount)} OFFSET ${String(first)}`;
      const { kind, atNs, dioId, bioId } = columns;
      await fillColumns(connection, sql, [rowNumbers, kind, atNs, dioId, bioId, ...parts]);
      const values = new Float64Array(6 * rowCount);
      for (let row = 0; row < rowCount; row++) {
        for (let at = 0; at < 6; at++) values[6 * row + at] = parts[at]?.[row] ?? 0;
      }
      const whole = { rowCount, droppedCount, ...columns, values };
      return { totalRows: total, columns: whole, rowNumbers };
    });
  }

  /** COPY of a query to a file; `select` is given the alias. */
  async copy(
    path: string,
    select: (alias: string) => string,
    to: string,
    options: string,
  ): Promise<void> {
    await this.read(path, (connection, alias) =>
      connection.run(`COPY (${select(alias)}) TO ${quoted(to)} (${options})`),
    );
  }

  async close(): Promise<void> {
    if (this.opened === null) return;
    const { instance, connection } = await this.opened;
    this.opened = null;
    connection.closeSync();
    instance.closeSync();
  }
}

/** DuckDB's own errors in words: a full disk keeps its name. */
function storeError(error: unknown, path: string): unknown {
  if (error instanceof HostError || !(error instanceof Error)) return error;
  const noSpace = /No space left|out of disk/i.test(error.message);
  return new HostError({
    code: noSpace ? 'host.no-space' : 'store.damaged',
    message: noSpace
      ? 'The result cannot be kept: no space is left'
      : `The result file cannot be used: ${error.message.split('\n')[0] ?? ''}`,
    where: path,
    hint: noSpace
      ? 'Remove runs or free space, then run again.'
      : 'It was changed from outside, or the disk has an error. Remove the run to go on without it.',
    exitCode: noSpace ? 73 : 65,
  });
}

/** Streams a query whose columns have exactly the types of `targets` into them. */
async function fillColumns(
  connection: DuckDBConnection,
  sql: string,
  targets: readonly Column[],
): Promise<void> {
  const stream = await connection.stream(sql);
  let at = 0;
  for (let chunk = 1; ; chunk++) {
    const data = await stream.fetchChunk();
    if (data === null || data.rowCount === 0) break;
    targets.forEach((target, index) => {
      const vector = data.getColumnVector(index) as unknown as { items: Column };
      assert(
        vector.items.constructor === target.constructor,
        'a column has the type it was made with',
        {
          index,
        },
      );
      target.set(vector.items, at);
    });
    at += data.rowCount;
    if (chunk % CHUNKS_PER_TURN === 0) await turn();
  }
  const expected = targets[0]?.length ?? 0;
  assert(at === expected, 'a query gives as many rows as it counted', { at, expected });
}

export class ResultWriter {
  private sampledEvery = 1;
  private traceDropped = 0;
  private isOpen = true;

  constructor(
    private readonly duckdb: DuckDb,
    private readonly connection: DuckDBConnection,
    private readonly alias: string,
    private readonly partial: string,
    private readonly path: string,
  ) {}

  async appendRequests(columns: RequestColumns): Promise<void> {
    const { DOUBLE, UINTEGER, SMALLINT, UTINYINT } = this.duckdb;
    this.sampledEvery = columns.sampledEvery;
    const { atNs, latencyNs, sector, lengthBytes, status, op, job } = columns;
    await this.append(
      'request_rows',
      columns.rowCount,
      [DOUBLE, DOUBLE, DOUBLE, UINTEGER, SMALLINT, UTINYINT, UTINYINT],
      [atNs, latencyNs, sector, lengthBytes, status, op, job],
    );
  }

  async appendTrace(columns: TraceColumns): Promise<void> {
    const { DOUBLE, UINTEGER, INTEGER, UTINYINT } = this.duckdb;
    this.traceDropped = columns.droppedCount;
    const { rowCount, values } = columns;
    const letters = Array.from({ length: 6 }, (_, at) =>
      Float64Array.from({ length: rowCount }, (_row, row) => values[6 * row + at] ?? 0),
    );
    await this.append(
      'trace_rows',
      rowCount,
      [UTINYINT, DOUBLE, UINTEGER, INTEGER, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE],
      [columns.kind, columns.atNs, columns.dioId, columns.bioId, ...letters],
    );
  }

  /** Adds the result, puts the file on disk and in its place. After this the run's result is there, whatever happens. */
  async finish(result: RunResult): Promise<void> {
    try {
      await this.addResult(result);
      await this.connection.run(`CHECKPOINT ${this.alias}`);
      await this.detach();
      await syncFile(this.partial);
      await rename(this.partial, this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      await this.discard();
      throw storeError(fileError(error, 'keep the result', this.path), this.path);
    }
  }

  /** Gives the file up; nothing of it remains. */
  async discard(): Promise<void> {
    await this.detach();
    await rm(this.partial, { force: true });
    await rm(`${this.partial}.wal`, { force: true });
  }

  private async detach(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    await this.connection.run(`DETACH DATABASE IF EXISTS ${this.alias}`);
    this.connection.closeSync();
  }

  private async addResult(result: RunResult): Promise<void> {
    const { alias, connection } = this;
    await connection.run(
      `CREATE TABLE ${alias}.run (result VARCHAR, sampled_every UINTEGER, trace_dropped UBIGINT)`,
    );
    await connection.run(`INSERT INTO ${alias}.run VALUES ($1, $2, $3)`, [
      JSON.stringify(result),
      this.sampledEvery,
      BigInt(this.traceDropped),
    ]);
    const columns = SERIES_COLUMNS.map(([name]) => `${name} DOUBLE`).join(', ');
    await connection.run(`CREATE TABLE ${alias}.series (${columns})`);
    const series = SERIES_COLUMNS.map(([, key]) =>
      Float64Array.from(result.series, (point) => point[key]),
    );
    await this.append(
      'series',
      result.series.length,
      series.map(() => this.duckdb.DOUBLE),
      series,
    );
    await connection.run(
      `CREATE TABLE ${alias}.jobs (name VARCHAR, read_ios DOUBLE, write_ios DOUBLE, read_bytes DOUBLE, write_bytes DOUBLE, result VARCHAR)`,
    );
    for (const job of result.jobs) {
      await connection.run(`INSERT INTO ${alias}.jobs VALUES ($1, $2, $3, $4, $5, $6)`, [
        job.name,
        job.read.totalIos,
        job.write.totalIos,
        job.read.bytes,
        job.write.bytes,
        JSON.stringify(job),
      ]);
    }
    await connection.run(
      `CREATE TABLE ${alias}.trace_kinds (kind UTINYINT, id VARCHAR, title VARCHAR, site VARCHAR, columns VARCHAR)`,
    );
    const kinds = TRACE_KINDS.map(({ id, title, site, columns: names }, kind) =>
      [String(kind), ...[id, title, site, names.join(',')].map(quoted)].join(', '),
    );
    await connection.run(`INSERT INTO ${alias}.trace_kinds VALUES (${kinds.join('), (')})`);
  }

  private async append(
    table: string,
    rowCount: number,
    types: readonly DuckDBType[],
    columns: readonly Column[],
  ): Promise<void> {
    try {
      const appender = await this.connection.createAppender(table, 'main', this.alias);
      for (let from = 0, chunk = 1; from < rowCount; from += ROWS_PER_CHUNK, chunk++) {
        const rows = Math.min(ROWS_PER_CHUNK, rowCount - from);
        const data = this.duckdb.DuckDBDataChunk.create(types, rows);
        columns.forEach((column, index) => {
          const vector = data.getColumnVector(index) as unknown as { items: Column; flush(): void };
          vector.items.set(column.subarray(from, from + rows));
          vector.flush();
        });
        appender.appendDataChunk(data);
        if (chunk % CHUNKS_PER_TURN === 0) await turn();
      }
      appender.closeSync();
    } catch (error) {
      throw storeError(error, this.path);
    }
  }
}
