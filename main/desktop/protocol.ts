// SPDX-License-Identifier: GPL-2.0-only
/**
 * Answers the page's requests to app://lab: its own files from the list made at build time (files.json), and bulk data. Rules: 1. What is
 * not in the list does not exist, whatever lies on the disk. 2. Only GET and HEAD. 3. Every response carries the CSP, refusals too.
 */
import { BULK_UPLOAD_PATH } from '../contract/bulk.ts';
import { isOwnUrl, responseHeaders } from './options.ts';

export interface PageFiles {
  /** The list of files.json: path from the page's folder, with its leading slash, to media type. */
  readonly types: ReadonlyMap<string, string>;
  read(path: string): Promise<Uint8Array>;
}
/** Reads the list that the build wrote. */
export function parseFileList(text: string): ReadonlyMap<string, string> {
  const { files } = JSON.parse(text) as { files: Record<string, { type: string }> };
  return new Map(Object.entries(files).map(([path, { type }]) => [path, type]));
}

/** Answers paths below /bulk/. */
export type BulkHandler = (request: Request) => Promise<Response>;

function refusal(status: number, text: string): Response {
  return new Response(`${text}\n`, {
    status,
    headers: responseHeaders('text/plain; charset=utf-8'),
  });
}

/** Adds our headers to an answer that was made elsewhere. */
function withHeaders(response: Response): Response {
  const type = response.headers.get('content-type') ?? 'application/octet-stream';
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(responseHeaders(type))) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}

/** The handler for `protocol.handle`. */
export function makeProtocolHandler(
  files: PageFiles,
  bulk: BulkHandler,
): (request: Request) => Promise<Response> {
  return async (request) => {
    if (!isOwnUrl(request.url)) return refusal(403, 'Not an address of this app');
    const { pathname } = new URL(request.url);
    const isUpload = request.method === 'POST' && pathname === BULK_UPLOAD_PATH;
    if (!isUpload && request.method !== 'GET' && request.method !== 'HEAD') {
      return refusal(405, 'Only GET and HEAD');
    }
    if (pathname.startsWith('/bulk/')) return withHeaders(await bulk(request));
    const path = pathname === '/' ? '/index.html' : pathname;
    const type = files.types.get(path);
    if (type === undefined) return refusal(404, 'There is no such file');
    const content = await files.read(path);
    return new Response(request.method === 'HEAD' ? null : new Uint8Array(content), {
      status: 200,
      headers: responseHeaders(type),
    });
  };
}
