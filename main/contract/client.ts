// SPDX-License-Identifier: GPL-2.0-only
/**
 * A face's end of the contract: a typed client over a WebSocket (browser) or a MessagePort (window). No Node, no DOM types beyond what
 * both have, so that the renderer and the tests use the same file.
 *
 *   const lab = await connectWebSocket({ socket: new WebSocket(url), token });
 *   await lab.client.host.facts({});
 *   for await (const event of await lab.client.runs.watch({ runId }, { signal })) ...
 *
 * Rules: 1. A connection is used once: when `closed` settles, make a new one (with `session` as its token). 2. Every failure of a call
 * becomes `HostErrorData` with `hostErrorOf`. 3. Bulk data goes through `fetchBulk`, never through the client.
 */
import { createORPCClient, ORPCError } from '@orpc/client';
import { RPCLink as PortLink, type SupportedMessagePort } from '@orpc/client/message-port';
import { RPCLink as SocketLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import { PROTOCOL_VERSION, type Hello, type HelloAnswer } from './handshake.ts';
import type { Contract } from './index.ts';

export * from './handshake.ts';
export type LabClient = ContractRouterClient<Contract>;

/** Why a connection ended. `code` is the WebSocket's (`CLOSE_CODE`); a port has 1001. */
export interface ConnectionEnd {
  readonly code: number;
  readonly reason: string;
}
export interface LabConnection {
  readonly client: LabClient;
  /** What to reconnect with, and to authorise bulk requests; null in the window, which needs none. */
  readonly session: string | null;
  /** Settles once, when the other side is gone or `close` was called. Never rejects. */
  readonly closed: Promise<ConnectionEnd>;
  /** Fetches a path of bulk.ts with what authorises it, or sends `content` there (an upload); an answer that is not 2xx is thrown as `HostError`. */
  fetchBulk(path: string, signal?: AbortSignal, content?: Blob): Promise<Response>;
  close(): void;
}

/** The part of a WebSocket that is used: the browser's and that of `ws` both have it. */
export interface SocketLike {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'open' | 'message' | 'close',
    listener: (event: never) => void,
    options?: { readonly once?: boolean },
  ): void;
  removeEventListener(type: 'open' | 'message' | 'close', listener: (event: never) => void): void;
}

const LOST: HostErrorData = {
  code: 'connection.lost',
  message: 'The connection to the lab was lost before it answered',
  hint: 'The call may or may not have been carried out; look at the list of runs after reconnecting.',
  exitCode: 74,
};

function isHostErrorData(value: unknown): value is HostErrorData {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as HostErrorData).code === 'string' &&
    typeof (value as HostErrorData).message === 'string'
  );
}

/** Where a checked input was wrong, in words: 'jobs.0.ioDepth: Too big: expected number to be <=4096'. */
function wordsOfIssues(data: unknown): string | null {
  const issues = (data as { issues?: unknown } | undefined)?.issues;
  if (!Array.isArray(issues) || issues.length === 0) return null;
  return issues
    .slice(0, 8)
    .map((issue: { path?: readonly PropertyKey[]; message?: string }) => {
      const path = (issue.path ?? []).map(String).join('.');
      return path === '' ? (issue.message ?? '') : `${path}: ${issue.message ?? ''}`;
    })
    .join('; ');
}

/** Any failure of a call, as data: the host's own words where it was the host, else what happened to the call. */
export function hostErrorOf(error: unknown): HostErrorData {
  if (error instanceof HostError) return error.toJSON();
  if (error instanceof ORPCError) {
    if (error.code === 'HOST' && isHostErrorData(error.data)) return error.data;
    if (error.code === 'BAD_REQUEST') {
      const words = wordsOfIssues(error.data);
      return {
        code: 'input.refused',
        message: words ?? `The lab did not accept the input: ${error.message}`,
        exitCode: 65,
      };
    }
    return {
      code: `rpc.${String(error.code).toLowerCase()}`,
      message: error.message,
      exitCode: 74,
    };
  }
  if (error instanceof Error) {
    if (error.name === 'AbortError') {
      return { code: 'call.aborted', message: 'The call was given up', exitCode: 130 };
    }
    if (/not open|closed|close/i.test(error.message)) return LOST;
    return { code: 'internal', message: error.message, exitCode: 74 };
  }
  return { code: 'internal', message: String(error), exitCode: 74 };
}

async function bulk(
  origin: string,
  session: string | null,
  path: string,
  signal?: AbortSignal,
  content?: Blob,
): Promise<Response> {
  const isUpload = content !== undefined;
  const response = await fetch(`${origin}${path}`, {
    headers: {
      ...(session !== null && { authorization: `Bearer ${session}` }),
      ...(isUpload && { 'content-type': 'application/octet-stream' }),
    },
    ...(isUpload && { method: 'POST', body: content }),
    ...(signal !== undefined && { signal }),
    credentials: 'omit',
    redirect: 'error',
  });
  if (response.ok) return response;
  const text = await response.text();
  let data: unknown = null;
  if ((response.headers.get('content-type') ?? '').startsWith('application/json')) {
    data = JSON.parse(text) as unknown;
  }
  if (isHostErrorData(data)) throw HostError.fromJSON(data);
  throw new HostError({
    code: 'bulk.refused',
    message: `The lab answered ${String(response.status)} for ${path}`,
    where: path,
    exitCode: 74,
  });
}

/** The host's answer to the hello, or the end of the socket before it. */
function shakeHands(socket: SocketLike, token: string): Promise<HelloAnswer & { ok: true }> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.removeEventListener('message', onMessage);
      socket.removeEventListener('close', onClose);
    };
    const onMessage = (event: { data: unknown }): void => {
      done();
      const answer = JSON.parse(String(event.data)) as HelloAnswer;
      if (answer.ok) resolve(answer);
      else reject(HostError.fromJSON(answer.error));
    };
    const onClose = (event: { code: number; reason: string }): void => {
      done();
      const hint = event.reason === '' ? LOST.hint : event.reason;
      reject(
        new HostError({
          code: 'connection.refused',
          message: `The lab did not accept the connection (code ${String(event.code)})`,
          ...(hint !== undefined && { hint }),
          exitCode: 74,
        }),
      );
    };
    const greet = (): void => {
      socket.send(JSON.stringify({ v: PROTOCOL_VERSION, token } satisfies Hello));
    };
    socket.addEventListener('message', onMessage);
    socket.addEventListener('close', onClose);
    if (socket.readyState === 1) greet();
    else socket.addEventListener('open', greet, { once: true });
  });
}

/**
 * Says hello over a fresh WebSocket to WEB_SOCKET_PATH and gives the typed client. Rejects with a `HostError`: 'web.token' where the
 * token is unknown or used up, 'connection.refused' where the host is not there.
 * `origin` is where bulk requests go; '' in a page (its own origin).
 */
export async function connectWebSocket(options: {
  readonly socket: SocketLike;
  readonly token: string;
  readonly origin?: string;
}): Promise<LabConnection> {
  const { socket } = options;
  const closed = new Promise<ConnectionEnd>((resolve) => {
    socket.addEventListener(
      'close',
      (event: { code: number; reason: string }) => {
        resolve({ code: event.code, reason: event.reason });
      },
      { once: true },
    );
  });
  const answer = await shakeHands(socket, options.token);
  const link = new SocketLink({ websocket: socket as never });
  return {
    client: createORPCClient<LabClient>(link),
    session: answer.session,
    closed,
    fetchBulk: (path, signal, content) =>
      bulk(options.origin ?? '', answer.session, path, signal, content),
    close: () => {
      socket.close(1000, 'closed by the face');
    },
  };
}

/**
 * The typed client over a MessagePort that the main process handed over. `port.start()` is the caller's, before or after.
 * `origin` is where bulk requests go; '' in a page (its own origin).
 */
export function connectMessagePort(options: {
  readonly port: SupportedMessagePort;
  readonly origin?: string;
}): LabConnection {
  const { port } = options;
  let end: (value: ConnectionEnd) => void = () => undefined;
  const closed = new Promise<ConnectionEnd>((resolve) => {
    end = resolve;
  });
  const gone = (): void => {
    end({ code: 1001, reason: 'the port was closed' });
  };
  if ('addEventListener' in port) {
    (port.addEventListener as (type: string, listener: () => void) => void)('close', gone);
  } else if ('on' in port) port.on('close', gone);
  return {
    client: createORPCClient<LabClient>(new PortLink({ port })),
    session: null,
    closed,
    fetchBulk: (path, signal, content) => bulk(options.origin ?? '', null, path, signal, content),
    close: () => {
      (port as { close?: () => void }).close?.();
      end({ code: 1000, reason: 'closed by the face' });
    },
  };
}
