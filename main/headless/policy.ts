// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the web host lets in, as pure functions over a request's parts, and every limit in one place. Nothing but the exact Host stops
 * DNS rebinding (a foreign name that resolves to 127.0.0.1 is same-origin with itself); nothing but an equal Origin stops a foreign
 * page from opening a WebSocket.
 */
import type { IncomingMessage } from 'node:http';
import { BULK_UPLOAD_PATH } from '../contract/bulk.ts';

/** The page's CSP: its own files and nothing inline, no frames, no WebAssembly. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/** Headers of every answer, whatever its status. No CORS header, ever. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export const LIMITS = {
  /** Sockets of any kind at a time. */
  connectionsMax: 64,
  /** WebSockets that said hello. */
  socketsMax: 16,
  /** WebSockets that did not say hello yet. */
  strangersMax: 8,
  helloMs: 5000,
  /** Request line and headers together. */
  headerBytesMax: 8192,
  headersMs: 5000,
  requestMs: 10_000,
  keepAliveMs: 5000,
  /** An HTTP connection on which nothing moves. */
  idleMs: 30_000,
  /** A WebSocket that does not answer a ping within this is gone. */
  pingMs: 30_000,
  /** A message from the page. The longest that it has reason to send is a job file of 1,000,000 characters. */
  messageBytesMax: 8 * 1024 * 1024,
  messagesPerSecond: 200,
  messagesBurst: 400,
  /** Bytes on their way to a slow page before streams wait for it. */
  outgoingBytesMax: 1024 * 1024,
} as const;

export interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Values of a header as they came, before Node joins or drops repeated ones. */
export function rawValues(request: Pick<IncomingMessage, 'rawHeaders'>, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    if (request.rawHeaders[at]?.toLowerCase() === name)
      values.push(request.rawHeaders[at + 1] ?? '');
  }
  return values;
}

type Asked = Pick<IncomingMessage, 'rawHeaders' | 'url' | 'method' | 'httpVersion'>;

/** Rules of every request, upgrade or not. Null: go on. */
export function refuseRequest(request: Asked, authority: string): Refusal | null {
  const hosts = rawValues(request, 'host');
  if (hosts.length !== 1 || hosts[0] !== authority) {
    return { status: 421, text: 'This host is reached by its own address only.' };
  }
  const url = request.url ?? '';
  // No absolute form, no '*', no authority in the path, nothing that a client has to normalise.
  if (!url.startsWith('/') || url.startsWith('//') || /[\\\s]|[^\x21-\x7e]/.test(url)) {
    return { status: 400, text: 'The request target is not a path.' };
  }
  const origins = rawValues(request, 'origin');
  if (origins.length > 1 || (origins.length === 1 && origins[0] !== `http://${authority}`)) {
    return { status: 403, text: 'Another origin may not ask.' };
  }
  return null;
}

/** Rules of a plain request, after `refuseRequest`. */
export function refusePlain(request: Asked): Refusal | null {
  const path = (request.url ?? '').split('?', 1)[0];
  const isUpload = request.method === 'POST' && path === BULK_UPLOAD_PATH;
  if (!isUpload && request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, text: 'Only GET and HEAD.', headers: { allow: 'GET, HEAD' } };
  }
  const lengths = rawValues(request, 'content-length');
  const hasBody =
    rawValues(request, 'transfer-encoding').length > 0 || lengths.some((length) => length !== '0');
  if (hasBody && !isUpload) return { status: 413, text: 'A request has no body here.' };
  // Not a type that a form of another page can send without asking first.
  const [type] = rawValues(request, 'content-type');
  if (isUpload && type !== 'application/octet-stream') {
    return { status: 415, text: 'A file is application/octet-stream.' };
  }
  // Browsers say where a request comes from: a foreign page may lead here, but not fetch or embed anything of ours.
  const [site] = rawValues(request, 'sec-fetch-site');
  const [mode] = rawValues(request, 'sec-fetch-mode');
  const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isForeign && mode !== 'navigate') return { status: 403, text: 'Another site may not ask.' };
  return null;
}

/** Rules of an upgrade, after `refuseRequest`. `path`: where the WebSocket lives. */
export function refuseUpgrade(request: Asked, path: string): Refusal | null {
  if (request.method !== 'GET' || request.httpVersion !== '1.1') {
    return { status: 400, text: 'A WebSocket opens with GET over HTTP/1.1.' };
  }
  if (request.url !== path) return { status: 404, text: 'There is no WebSocket here.' };
  const upgrades = rawValues(request, 'upgrade');
  if (upgrades.length !== 1 || upgrades[0]?.toLowerCase() !== 'websocket') {
    return { status: 400, text: 'Only a WebSocket.' };
  }
  if (rawValues(request, 'origin').length !== 1) {
    return { status: 403, text: 'A WebSocket needs an Origin.' };
  }
  return null;
}

/** The session in an Authorization header; null: none, or not in the one form. */
export function bearerOf(request: Pick<IncomingMessage, 'rawHeaders'>): string | null {
  const values = rawValues(request, 'authorization');
  if (values.length !== 1) return null;
  return /^Bearer ([A-Za-z0-9_-]{43})$/.exec(values[0] ?? '')?.[1] ?? null;
}
