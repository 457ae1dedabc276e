// SPDX-License-Identifier: GPL-2.0-only
/**
 * The web host: the page, the contract and the bulk data for a browser on this machine, on 127.0.0.1 and nowhere else.
 *
 *   const host = await startWebHost({ services, version, pageFolder, port, log });
 *   print(host.newLink());  ...  await host.close();
 *
 *   request --Host, target, Origin (policy.ts)--> GET of a listed file | /bulk/ with a session | upgrade to /rpc | refusal
 *
 * Rules (promises.md): 1. Host must be exactly ours. 2. An upgrade needs an equal Origin. 3. Tokens come in the first message or the
 * Authorization header only. 4. No CORS header. 5. Static files from the build's list. 6. Limits on everything (`LIMITS`).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HostError } from '../../engine/base/index.ts';
import { fragmentOfToken, WEB_SOCKET_PATH } from '../contract/handshake.ts';
import type { Services } from '../services/index.ts';
import { serveSockets } from '../services/router.ts';
import { PageFiles } from './page-files.ts';
import {
  bearerOf,
  LIMITS,
  refusePlain,
  refuseRequest,
  refuseUpgrade,
  SAFE_HEADERS,
  type Refusal,
} from './policy.ts';
import { Sockets } from './sockets.ts';
import { Tokens } from './tokens.ts';

const ADDRESS = '127.0.0.1';

export interface WebHostOptions {
  readonly services: Services;
  readonly version: string;
  /** The built page with its files.json. */
  readonly pageFolder: string;
  /** 0: a free one. */
  readonly port: number;
  /** Told of faults of our own; never of what a client did wrong. */
  readonly log: (text: string) => void;
}
export interface WebHost {
  readonly port: number;
  /** 'http://127.0.0.1:PORT' */
  readonly origin: string;
  /** A new one-time link. */
  newLink(): string;
  close(): Promise<void>;
}

function listenError(error: NodeJS.ErrnoException, port: number): HostError {
  const where = `${ADDRESS}:${String(port)}`;
  if (error.code === 'EADDRINUSE') {
    return new HostError({
      code: 'web.port-in-use',
      message: `Port ${String(port)} is in use by another program`,
      where,
      hint: 'Choose another port, or leave it out for a free one.',
      exitCode: 73,
    });
  }
  const isPermission = error.code === 'EACCES';
  return new HostError({
    code: isPermission ? 'web.port-permission' : 'web.cannot-listen',
    message: `Cannot listen on port ${String(port)}: ${error.code ?? error.message}`,
    where,
    hint: isPermission
      ? 'Ports below 1024 need a privilege: choose a higher one.'
      : 'Choose another port.',
    exitCode: isPermission ? 77 : 73,
  });
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(listenError(error, port));
    });
    server.listen({ host: ADDRESS, port, exclusive: true }, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

class WebHostServer implements WebHost {
  readonly port: number;
  readonly origin: string;
  private readonly authority: string;

  constructor(
    private readonly server: Server,
    port: number,
    private readonly pages: PageFiles,
    private readonly tokens: Tokens,
    private readonly sockets: Sockets,
    private readonly options: WebHostOptions,
  ) {
    this.port = port;
    this.authority = `${ADDRESS}:${String(port)}`;
    this.origin = `http://${this.authority}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.take(request, response).catch((error: unknown) => {
        this.fault(error, response);
      });
    });
    server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
      this.upgrade(request, connection, head);
    });
  }

  newLink(): string {
    return `${this.origin}/${fragmentOfToken(this.tokens.makeLink())}`;
  }

  async close(): Promise<void> {
    this.sockets.close();
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
    this.server.closeIdleConnections();
    const impatient = setTimeout(() => {
      this.server.closeAllConnections();
    }, 1000);
    await closed;
    clearTimeout(impatient);
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refuseRequest(request, this.authority) ?? refusePlain(request);
    if (refusal !== null) {
      answer(response, refusal);
      return;
    }
    const url = request.url as string;
    const path = url.split('?', 1)[0] as string;
    if (path.startsWith('/bulk/')) {
      await this.bulk(request, response);
      return;
    }
    if (path === WEB_SOCKET_PATH) {
      const headers = { upgrade: 'websocket' };
      answer(response, { status: 426, text: 'Here is a WebSocket.', headers });
      return;
    }
    const file = await this.pages.get(path);
    if (file === null) {
      answer(response, { status: 404, text: 'There is no such file.' });
      return;
    }
    response.writeHead(200, {
      ...SAFE_HEADERS,
      'content-type': file.type,
      'content-length': file.content.length,
    });
    response.end(request.method === 'HEAD' ? undefined : file.content);
  }

  private async bulk(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const session = bearerOf(request);
    if (session === null || !this.tokens.isSession(session)) {
      const headers = { 'www-authenticate': 'Bearer' };
      answer(response, { status: 401, text: 'Bulk data needs the session.', headers });
      return;
    }
    const isUpload = request.method === 'POST';
    const asked = new Request(`${this.origin}${request.url ?? ''}`, {
      method: isUpload ? 'POST' : 'GET',
      ...(isUpload && { body: Readable.toWeb(request) as ReadableStream, duplex: 'half' }),
    });
    const given = await this.options.services.bulk.handle(asked);
    response.writeHead(given.status, { ...Object.fromEntries(given.headers), ...SAFE_HEADERS });
    if (given.body === null || request.method === 'HEAD') {
      await given.body?.cancel();
      response.end();
      return;
    }
    try {
      await pipeline(Readable.fromWeb(given.body as never), response);
    } catch (error) {
      // The page gave up in the middle; anything else is a fault.
      if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    }
  }

  private upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    connection.on('error', () => {
      connection.destroy(); // reset by the other side
    });
    const full = { status: 503, text: 'Too many pages are connected.' };
    const refusal =
      refuseRequest(request, this.authority) ??
      refuseUpgrade(request, WEB_SOCKET_PATH) ??
      (this.sockets.hasRoom() ? null : full);
    if (refusal === null) this.sockets.take(request, connection, head);
    else answerRaw(connection, refusal);
  }

  private fault(error: unknown, response: ServerResponse): void {
    this.options.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    if (response.headersSent) response.destroy();
    else answer(response, { status: 500, text: 'A fault of the lab; see its output.' });
  }
}

/** A refusal ends the connection: whatever else came on it is not read. */
function answer(response: ServerResponse, refusal: Refusal): void {
  const body = `${refusal.text}\n`;
  response.writeHead(refusal.status, {
    ...SAFE_HEADERS,
    ...refusal.headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  });
  response.end(body);
}

function answerRaw(connection: Duplex, refusal: Refusal): void {
  const headers = Object.entries({
    ...SAFE_HEADERS,
    ...refusal.headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(`${refusal.text}\n`)),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.end(
    `HTTP/1.1 ${String(refusal.status)} Refused\r\n${headers.join('')}\r\n${refusal.text}\n`,
    () => {
      connection.destroy();
    },
  );
}

/** What is not HTTP, too long or too slow gets a short answer and the end. */
function onClientError(error: NodeJS.ErrnoException, connection: Duplex): void {
  if (!connection.writable || error.code === 'ECONNRESET') {
    connection.destroy();
    return;
  }
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    answerRaw(connection, { status: 431, text: 'The headers are too long.' });
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    answerRaw(connection, { status: 408, text: 'The request took too long.' });
  } else answerRaw(connection, { status: 400, text: 'This is not HTTP.' });
}

/** Starts the web host. Throws a `HostError` where the page is not built or the port cannot be had. */
export async function startWebHost(options: WebHostOptions): Promise<WebHost> {
  const pages = await PageFiles.open(options.pageFolder);
  const tokens = new Tokens();
  const sockets = new Sockets({
    tokens,
    version: options.version,
    serve: serveSockets(options.services, options.log),
    log: options.log,
  });
  const server = createServer({
    maxHeaderSize: LIMITS.headerBytesMax,
    headersTimeout: LIMITS.headersMs,
    requestTimeout: LIMITS.requestMs,
    keepAliveTimeout: LIMITS.keepAliveMs,
    connectionsCheckingInterval: 1000,
    requireHostHeader: false, // a missing Host gets our own refusal
  });
  server.maxConnections = LIMITS.connectionsMax;
  server.maxHeadersCount = 64;
  server.timeout = LIMITS.idleMs;
  server.on('clientError', onClientError);
  server.on('checkContinue', (_request: IncomingMessage, response: ServerResponse) => {
    answer(response, { status: 413, text: 'A request has no body here.' });
  });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    answer(response, { status: 417, text: 'No expectation is met here.' });
  });
  server.on('connect', (_request: IncomingMessage, connection: Duplex) => {
    answerRaw(connection, { status: 405, text: 'No proxy here.', headers: { allow: 'GET, HEAD' } });
  });
  try {
    const port = await listen(server, options.port);
    return new WebHostServer(server, port, pages, tokens, sockets, options);
  } catch (error) {
    sockets.close();
    throw error;
  }
}
