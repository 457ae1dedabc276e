// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bulk data by plain HTTP semantics (contract/bulk.ts): request columns and exports. The same handler answers the window's protocol
 * and the web host; who may ask is theirs to decide.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as z from 'zod';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import { BLKPARSE_KINDS, blkparseLines } from '../../engine/lab/blkparse.ts';
import {
  BULK_UPLOAD_PATH,
  encodeRequestColumns,
  EXPORT_FORMATS,
  type ExportFormat,
} from '../contract/bulk.ts';
import { runIdSchema } from '../contract/schemas.ts';
import { placeSchema } from '../contract/workbench.ts';
import { failureData } from '../host/failure.ts';
import { formatExperiment, formatFioResult } from './formats/index.ts';
import type { Images } from './images.ts';
import type { Journal, JournalEntry } from './journal.ts';
import type { ResultFiles } from './result-file.ts';
import type { Runs } from './runs.ts';

interface Export {
  readonly type: string;
  readonly ending: string;
}
const EXPORTS: Readonly<Record<ExportFormat, Export>> = {
  json: { type: 'application/json', ending: 'json' },
  fio: { type: 'application/json', ending: 'fio.json' },
  csv: { type: 'text/csv; charset=utf-8', ending: 'requests.csv' },
  parquet: { type: 'application/vnd.apache.parquet', ending: 'requests.parquet' },
  yaml: { type: 'application/yaml; charset=utf-8', ending: 'yaml' },
  'latency-log': { type: 'text/plain; charset=utf-8', ending: 'lat.log' },
  blkparse: { type: 'text/plain; charset=utf-8', ending: 'blkparse.txt' },
};

/** Rows of requests with their units in the names; `op` and `status` in words that need no key. */
const REQUEST_ROWS = (alias: string): string =>
  `SELECT at_ns, latency_ns, sector, length_bytes, CASE op WHEN 0 THEN 'read' ELSE 'write' END AS op, status AS status_errno, job FROM ${alias}.request_rows ORDER BY rowid`;
/** fio: time in ms, latency in ns, direction, length, offset, priority. Requests that failed have no latency to log. */
const LATENCY_LOG = (alias: string): string =>
  `SELECT concat_ws(', ', (at_ns // 1000000)::BIGINT, latency_ns::BIGINT, op, length_bytes, (sector * 512)::BIGINT, 0) FROM ${alias}.request_rows WHERE status = 0 ORDER BY rowid`;
/** One column of finished lines: nothing to separate or to quote. */
const LINES = "FORMAT csv, HEADER false, DELIM '\t', QUOTE '', ESCAPE ''";

const PIECE_CHARACTERS = 65_536;
/** Of loop devices, in the kernel's list of devices. */
const LOOP_MAJOR = '7';

const imageFileSchema = z.strictObject({
  path: placeSchema.shape.path,
  file: z.string().min(1).max(4096),
  partition: z.coerce.number().int().min(1).max(1024).optional(),
});

const uploadSchema = imageFileSchema.extend({ consent: z.enum(['true', 'false']) });

const STATUS_BY_EXIT: Readonly<Record<number, number>> = { 64: 400, 65: 422, 66: 404, 77: 403 };

export class Bulk {
  constructor(
    private readonly runs: Runs,
    private readonly journal: Journal,
    private readonly files: ResultFiles,
    private readonly images: Images,
  ) {}

  /** Answers a GET below /bulk/, and the POST of an upload. Refusals are `HostErrorData` as JSON. Never rejects. */
  async handle(request: Request): Promise<Response> {
    try {
      const url = new URL(request.url);
      if (request.method === 'POST') return await this.upload(url, request.body);
      return await this.answer(url);
    } catch (error) {
      const data: HostErrorData = failureData(error);
      const status = STATUS_BY_EXIT[data.exitCode ?? 0] ?? 500;
      return Response.json(data, { status });
    }
  }

  private async answer(url: URL): Promise<Response> {
    if (url.pathname === '/bulk/images/get') return this.imageFile(url.searchParams);
    const [, root, kind, id, what, ...rest] = url.pathname.split('/');
    const isKnown = root === 'bulk' && kind === 'runs' && rest.length === 0;
    if (!isKnown || !runIdSchema.safeParse(id).success) throw unknownPath(url);
    const entry = await this.runs.readyEntry(id as string);
    if (what === 'requests') return this.requests(entry, url.searchParams);
    const format = url.searchParams.get('format') as ExportFormat;
    if (what !== 'export' || !EXPORT_FORMATS.includes(format)) throw unknownPath(url);
    return this.export(entry, format);
  }

  /** Makes or replaces a file inside an image; where the content breaks off, nothing stays of it. */
  private async upload(url: URL, body: ReadableStream<Uint8Array> | null): Promise<Response> {
    if (url.pathname !== BULK_UPLOAD_PATH) throw unknownPath(url);
    const ask = uploadSchema.safeParse(Object.fromEntries(url.searchParams));
    if (!ask.success) {
      throw new HostError({
        code: 'bulk.bad-query',
        message: 'path and file name a file inside an image, consent is true or false',
        where: BULK_UPLOAD_PATH,
        exitCode: 64,
      });
    }
    const { path, file, consent, partition = null } = ask.data;
    let bytes = 0;
    const content = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of (body ?? []) as AsyncIterable<Uint8Array>) {
        bytes += piece.length;
        yield piece;
      }
    };
    await this.images.writeFile(path, file, content(), consent === 'true', partition);
    return Response.json({ bytes });
  }

  /** Content of a file inside an image; its first piece, or its refusal, is there before the answer begins. */
  private async imageFile(query: URLSearchParams): Promise<Response> {
    const ask = imageFileSchema.safeParse(Object.fromEntries(query));
    if (!ask.success) {
      throw new HostError({
        code: 'bulk.bad-query',
        message: 'path and file name a file inside an image, partition is a whole number',
        where: '/bulk/images/get',
        exitCode: 64,
      });
    }
    const { path, file, partition = null } = ask.data;
    const { images } = this;
    const channel = new TransformStream<Uint8Array, Uint8Array>();
    const writer = channel.writable.getWriter();
    const begun = new Promise<void>((resolve, reject) => {
      const take = async (bytes: Uint8Array): Promise<void> => {
        resolve();
        await writer.ready;
        await writer.write(bytes);
      };
      images.readFile(path, file, take, partition).then(
        () => {
          resolve();
          // Fails only where the reader has gone, who then wants no more.
          writer.close().catch(() => undefined);
        },
        (error: Error) => {
          reject(error);
          writer.abort(error).catch(() => undefined);
        },
      );
    });
    await begun;
    const name = (file.split('/').at(-1) ?? 'file').replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 100);
    return new Response(channel.readable, {
      headers: {
        'content-type': 'application/octet-stream',
        'content-disposition': `attachment; filename="${name}"`,
      },
    });
  }

  private async requests(entry: JournalEntry, query: URLSearchParams): Promise<Response> {
    const path = this.journal.resultPath(entry.intent.id);
    const from = numberOf(query, 'from', -Infinity);
    const to = numberOf(query, 'to', Infinity);
    const columns = await this.files.requests(path, from, to);
    return new Response(encodeRequestColumns(columns), {
      headers: { 'content-type': 'application/octet-stream' },
    });
  }

  /** The run in one of the formats, as an answer that a browser keeps as a file. */
  async export(entry: JournalEntry, format: ExportFormat): Promise<Response> {
    const { type, ending } = EXPORTS[format];
    const stem = entry.name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 60) || 'run';
    const headers = {
      'content-type': type,
      'content-disposition': `attachment; filename="${stem}.${ending}"`,
    };
    const path = this.journal.resultPath(entry.intent.id);
    switch (format) {
      case 'json': {
        const result = await this.files.result(path);
        return new Response(`${JSON.stringify(result, null, 1)}\n`, { headers });
      }
      case 'fio': {
        const result = await this.files.result(path);
        return new Response(`${JSON.stringify(formatFioResult(result), null, 2)}\n`, { headers });
      }
      case 'yaml': {
        const { text } = formatExperiment(entry.intent.experiment, 'yaml');
        return new Response(text, { headers });
      }
      case 'csv':
        return this.copied(path, REQUEST_ROWS, 'FORMAT csv, HEADER true', headers);
      case 'parquet':
        return this.copied(path, REQUEST_ROWS, 'FORMAT parquet', headers);
      case 'latency-log':
        return this.copied(path, LATENCY_LOG, LINES, headers);
      case 'blkparse':
        return this.blkparse(path, headers);
    }
  }

  /** The block layer's rows, of the engine and of the host's kernel. Throws where the run has none. */
  private async blkparse(path: string, headers: Record<string, string>): Promise<Response> {
    const { columns } = await this.files.traceOfKinds(path, BLKPARSE_KINDS, 0, Infinity);
    if (columns.rowCount === 0) {
      throw new HostError({
        code: 'export.no-trace',
        message: 'The run has no trace of the block layer',
        where: path,
        hint: 'Run again with trace: full.',
        exitCode: 66,
      });
    }
    const { host } = await this.files.result(path);
    const loop = /^loop(\d+)$/.exec(host.deviceName ?? '')?.[1] ?? '0';
    const startNs = columns.atNs.reduce((first, at) => Math.min(first, at), Infinity);
    const lines = blkparseLines(columns, { device: `${LOOP_MAJOR},${loop}`, startNs });
    return new Response(Readable.toWeb(Readable.from(inPieces(lines))) as ReadableStream, {
      headers,
    });
  }

  /** A COPY to a temporary file, whose name is gone before its first byte is sent. */
  private async copied(
    path: string,
    select: (alias: string) => string,
    options: string,
    headers: Record<string, string>,
  ): Promise<Response> {
    const folder = await mkdtemp(join(tmpdir(), 'diolab-export-'));
    try {
      const file = join(folder, 'export');
      await this.files.copy(path, select, file, options);
      const handle = await open(file, 'r');
      const { size } = await handle.stat();
      const body = Readable.toWeb(createReadStream(file, { fd: handle })) as ReadableStream;
      return new Response(body, { headers: { ...headers, 'content-length': String(size) } });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** Text of some tens of kilobytes at a time: a line is too little for a piece of a stream. */
function* inPieces(lines: Iterable<string>): Generator<Uint8Array> {
  let text = '';
  for (const each of lines) {
    text += each;
    if (text.length < PIECE_CHARACTERS) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

function numberOf(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const value = Number(text);
  if (text !== '' && !Number.isNaN(value)) return value;
  throw new HostError({
    code: 'bulk.bad-query',
    message: `${name} is ${JSON.stringify(text)}, expected a number of ns`,
    where: name,
    exitCode: 64,
  });
}

function unknownPath(url: URL): HostError {
  return new HostError({
    code: 'bulk.unknown',
    message: 'There is no such data',
    where: url.pathname,
    hint: `/bulk/runs/ID/requests, or /bulk/runs/ID/export?format=${EXPORT_FORMATS.join('|')}`,
    exitCode: 66,
  });
}
