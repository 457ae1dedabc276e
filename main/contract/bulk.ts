// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bulk data by plain fetch: paths and the binary form of request rows. Served by the protocol handler in the window and by HTTP in
 * the headless host, there with the session's token in the Authorization header.
 *
 *   GET /bulk/runs/ID/requests?from=NS&to=NS   columns, see `encodeRequestColumns`
 *   GET /bulk/runs/ID/export?format=json|fio|csv|parquet|yaml|latency-log|blkparse
 *   GET /bulk/images/get?path=IMAGE&file=FILE[&partition=N]   the content of a file inside an image, as a download
 *   POST /bulk/images/put?path=IMAGE&file=FILE&consent=true|false[&partition=N]   makes or replaces a file; its content is the body
 *
 * Layout of request columns, little endian, every column starts at a multiple of 8:
 *   header 4 x u32 {magic 'DIOR', version 1, rowCount, sampledEvery}
 *   atNs f64[n] latencyNs f64[n] sector f64[n] lengthBytes u32[n] status i16[n] op u8[n] job u8[n]
 */
import type { RequestColumns } from '../../engine/lab/result.ts';

export type { RequestColumns };
export const EXPORT_FORMATS = [
  'json',
  'fio',
  'csv',
  'parquet',
  'yaml',
  'latency-log',
  'blkparse',
] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
export const bulkRequestsPath = (runId: string): string => `/bulk/runs/${runId}/requests`;
export const bulkExportPath = (runId: string, format: ExportFormat): string =>
  `/bulk/runs/${runId}/export?format=${format}`;

/** The one address that takes a body (application/octet-stream). */
export const BULK_UPLOAD_PATH = '/bulk/images/put';

/** Where a page sends the content of `file`, a path inside the image at `place`. */
export function bulkUploadPath(
  place: { readonly path: string; readonly partition: number | null },
  file: string,
  consent: boolean,
): string {
  const query = new URLSearchParams({ path: place.path, file, consent: String(consent) });
  if (place.partition !== null) query.set('partition', String(place.partition));
  return `${BULK_UPLOAD_PATH}?${query.toString()}`;
}

/** `file` in the image at `place`, as a browser downloads it. */
export function bulkImageFilePath(
  place: { readonly path: string; readonly partition: number | null },
  file: string,
): string {
  const query = new URLSearchParams({ path: place.path, file });
  if (place.partition !== null) query.set('partition', String(place.partition));
  return `/bulk/images/get?${query.toString()}`;
}

const MAGIC = 0x524f4944;
const HEADER_BYTES = 16;

const columnsOf = (
  n: number,
): {
  at: number;
  latency: number;
  sector: number;
  length: number;
  status: number;
  op: number;
  job: number;
  total: number;
} => {
  const round8 = (value: number): number => Math.ceil(value / 8) * 8;
  const at = HEADER_BYTES;
  const latency = at + 8 * n;
  const sector = latency + 8 * n;
  const length = sector + 8 * n;
  const status = length + round8(4 * n);
  const op = status + round8(2 * n);
  const job = op + round8(n);
  return { at, latency, sector, length, status, op, job, total: job + round8(n) };
};

/** All columns in one buffer. */
export function encodeRequestColumns(columns: RequestColumns): ArrayBuffer {
  const n = columns.rowCount;
  const place = columnsOf(n);
  const buffer = new ArrayBuffer(place.total);
  new Uint32Array(buffer, 0, 4).set([MAGIC, 1, n, columns.sampledEvery]);
  new Float64Array(buffer, place.at, n).set(columns.atNs.subarray(0, n));
  new Float64Array(buffer, place.latency, n).set(columns.latencyNs.subarray(0, n));
  new Float64Array(buffer, place.sector, n).set(columns.sector.subarray(0, n));
  new Uint32Array(buffer, place.length, n).set(columns.lengthBytes.subarray(0, n));
  new Int16Array(buffer, place.status, n).set(columns.status.subarray(0, n));
  new Uint8Array(buffer, place.op, n).set(columns.op.subarray(0, n));
  new Uint8Array(buffer, place.job, n).set(columns.job.subarray(0, n));
  return buffer;
}

/** The inverse; an error where the buffer is something else or cut short. */
export function decodeRequestColumns(buffer: ArrayBuffer): RequestColumns {
  const header = buffer.byteLength >= HEADER_BYTES ? new Uint32Array(buffer, 0, 4) : null;
  if (header?.[0] !== MAGIC || header[1] !== 1) throw new Error('not request columns of version 1');
  const n = header[2] as number;
  const place = columnsOf(n);
  if (buffer.byteLength < place.total) {
    throw new Error(
      `request columns are cut short: ${String(buffer.byteLength)} of ${String(place.total)} bytes`,
    );
  }
  return {
    rowCount: n,
    sampledEvery: header[3] as number,
    atNs: new Float64Array(buffer, place.at, n),
    latencyNs: new Float64Array(buffer, place.latency, n),
    sector: new Float64Array(buffer, place.sector, n),
    lengthBytes: new Uint32Array(buffer, place.length, n),
    status: new Int16Array(buffer, place.status, n),
    op: new Uint8Array(buffer, place.op, n),
    job: new Uint8Array(buffer, place.job, n),
  };
}
