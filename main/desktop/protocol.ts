// SPDX-License-Identifier: GPL-2.0-only
/**
 * Answers the page's requests to app://lab: its own files from the list made at build time (files.json), and bulk data. Rules: 1. What is
 * not in the list does not exist, whatever lies on the disk. 2. Only GET and HEAD. 3. Every response carries the CSP, refusals too.
 */
import { extname } from 'node:path';
import { isOwnUrl, responseHeaders } from './options.ts';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.map': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

export interface PageFiles {
  /** Paths relative to the page's folder, '/' separated: the content of files.json. */
  readonly list: readonly string[];
  read(path: string): Promise<Uint8Array>;
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
  const allowed = new Set(files.list);
  return async (request) => {
    if (!isOwnUrl(request.url)) return refusal(403, 'Not an address of this app');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return refusal(405, 'Only GET and HEAD');
    }
    const { pathname } = new URL(request.url);
    if (pathname.startsWith('/bulk/')) return withHeaders(await bulk(request));
    const path = pathname === '/' ? 'index.html' : pathname.slice(1);
    const type = MEDIA_TYPES[extname(path)];
    if (!allowed.has(path) || type === undefined) return refusal(404, 'There is no such file');
    const content = await files.read(path);
    return new Response(request.method === 'HEAD' ? null : new Uint8Array(content), {
      status: 200,
      headers: responseHeaders(type),
    });
  };
}
