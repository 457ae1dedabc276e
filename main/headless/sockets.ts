// SPDX-License-Identifier: GPL-2.0-only
/**
 * WebSockets of the web host, from the upgrade to the end.
 *
 *   upgraded: stranger --hello with a good token--> served --closed, lost, flooding--> gone
 *                 |--wrong token, anything else, too late--> closed (contract/handshake.ts: CLOSE_CODE)
 *
 * Rules: 1. Nothing but the hello is read from a stranger, and nothing but calls from a page. 2. `send` waits for a slow page, so that a stream gives it the latest frame
 * instead of queueing all. 3. A page that does not answer a ping is gone.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { HostErrorData } from '../../engine/base/index.ts';
import {
  CLOSE_CODE,
  HELLO_BYTES_MAX,
  PROTOCOL_VERSION,
  type Hello,
  type HelloAnswer,
} from '../contract/handshake.ts';
import type { ServableSocket } from '../services/router.ts';
import { LIMITS } from './policy.ts';
import type { Tokens } from './tokens.ts';

const TOKEN_REFUSED: HostErrorData = {
  code: 'web.token',
  message: 'The link is not good any more: it works once, and ends with the host that printed it',
  hint: 'Open a new link: press Enter where diolab serves, or start it again.',
  exitCode: 77,
};
const HELLO_REFUSED: HostErrorData = {
  code: 'web.hello',
  message: 'The first message is not a hello of this version',
  hint: 'Load the page again.',
  exitCode: 65,
};

function helloOf(text: string): Hello | null {
  if (text.length > HELLO_BYTES_MAX) return null;
  try {
    const value = JSON.parse(text) as Partial<Hello> | null;
    const isHello = value?.v === PROTOCOL_VERSION && typeof value.token === 'string';
    return isHello ? (value as Hello) : null;
  } catch {
    return null; // no JSON: no hello
  }
}

/** True for what a client of the contract sends: {i, t?, p?}, a request's p with a path. Anything else ends the connection. */
function isCall(text: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false; // no JSON: no call
  }
  if (typeof value !== 'object' || value === null) return false;
  const { i, t, p } = value as { i?: unknown; t?: unknown; p?: { u?: unknown } | null };
  if (typeof i !== 'string') return false;
  if (t === 4) return true;
  if (typeof p !== 'object' || p === null) return false;
  return (
    t === 3 || ((t === undefined || t === 1) && typeof p.u === 'string' && p.u.startsWith('/'))
  );
}

/** Counts messages over time: a bucket that refills `messagesPerSecond`. */
class Rate {
  private left: number = LIMITS.messagesBurst;
  private lastMs = performance.now();

  take(): boolean {
    const nowMs = performance.now();
    const refilled = ((nowMs - this.lastMs) / 1000) * LIMITS.messagesPerSecond;
    this.left = Math.min(LIMITS.messagesBurst, this.left + refilled);
    this.lastMs = nowMs;
    this.left -= 1;
    return this.left >= 0;
  }
}

export interface SocketParts {
  readonly tokens: Tokens;
  readonly version: string;
  /** Serves the contract on a socket that said hello. */
  readonly serve: (socket: ServableSocket) => Promise<void>;
  readonly log: (text: string) => void;
}

export class Sockets {
  private readonly server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: LIMITS.messageBytesMax,
  });
  private readonly strangers = new Set<WebSocket>();
  private readonly served = new Set<WebSocket>();
  private readonly unanswered = new WeakSet<WebSocket>();
  private readonly pinging: NodeJS.Timeout;

  constructor(private readonly parts: SocketParts) {
    this.pinging = setInterval(() => {
      this.pingAll();
    }, LIMITS.pingMs).unref();
  }

  /** True where one more may come. */
  hasRoom(): boolean {
    return this.strangers.size < LIMITS.strangersMax && this.served.size < LIMITS.socketsMax;
  }

  /** Takes over a connection whose upgrade the policy let through. */
  take(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    this.server.handleUpgrade(request, connection, head, (socket) => {
      this.greet(socket);
    });
  }

  close(): void {
    clearInterval(this.pinging);
    for (const socket of [...this.strangers, ...this.served]) {
      socket.close(CLOSE_CODE.goingAway, 'the lab ends');
      // A page that does not say goodbye is not waited for.
      setTimeout(() => {
        socket.terminate();
      }, 500).unref();
    }
    this.server.close();
  }

  private greet(socket: WebSocket): void {
    this.strangers.add(socket);
    const late = setTimeout(() => {
      socket.close(CLOSE_CODE.helloTimeout, 'no hello came');
      socket.terminate();
    }, LIMITS.helloMs);
    socket.on('error', () => {
      // A protocol error of the other side: ws closes the connection with its code.
      this.forget(socket);
    });
    socket.once('close', () => {
      clearTimeout(late);
      this.forget(socket);
    });
    socket.once('message', (data: Buffer, isBinary) => {
      clearTimeout(late);
      const hello = isBinary ? null : helloOf(data.toString('utf8'));
      if (hello === null) this.refuse(socket, CLOSE_CODE.badHello, HELLO_REFUSED);
      else this.letIn(socket, hello);
    });
  }

  private letIn(socket: WebSocket, hello: Hello): void {
    const session = this.parts.tokens.enter(hello.token);
    if (session === null) {
      this.refuse(socket, CLOSE_CODE.tokenRefused, TOKEN_REFUSED);
      return;
    }
    this.strangers.delete(socket);
    this.served.add(socket);
    this.watchRate(socket);
    socket.on('pong', () => this.unanswered.delete(socket));
    const { version } = this.parts;
    socket.send(JSON.stringify({ ok: true, session, version } satisfies HelloAnswer));
    this.parts.serve(servable(socket)).catch((error: unknown) => {
      this.parts.log(String(error));
      socket.terminate();
    });
  }

  private refuse(socket: WebSocket, code: number, error: HostErrorData): void {
    socket.send(JSON.stringify({ ok: false, error } satisfies HelloAnswer));
    socket.close(code, error.message.slice(0, 120));
    // Whatever it says now is not read; and it has not for ever to say goodbye.
    socket.removeAllListeners('message');
    setTimeout(() => {
      socket.terminate();
    }, 1000).unref();
  }

  private watchRate(socket: WebSocket): void {
    const rate = new Rate();
    socket.on('message', (_data, isBinary) => {
      if (isBinary) socket.close(1003, 'only text');
      else if (!rate.take()) {
        socket.close(CLOSE_CODE.tooManyMessages, 'too many messages');
        socket.terminate();
      }
    });
  }

  private pingAll(): void {
    for (const socket of this.served) {
      if (this.unanswered.has(socket)) socket.terminate();
      else {
        this.unanswered.add(socket);
        socket.ping();
      }
    }
  }

  private forget(socket: WebSocket): void {
    this.strangers.delete(socket);
    this.served.delete(socket);
  }
}

/** The socket as oRPC uses it: text only, and `send` waits while the page is slow. */
function servable(socket: WebSocket): ServableSocket {
  return {
    addEventListener: (type, listener) => {
      if (type === 'close') {
        socket.once('close', () => {
          listener({} as never);
        });
        return;
      }
      socket.on('message', (data: Buffer, isBinary) => {
        if (isBinary || socket.readyState !== socket.OPEN) return;
        const text = data.toString('utf8');
        if (isCall(text)) listener({ data: text } as never);
        else socket.close(CLOSE_CODE.badHello, 'not a call');
      });
    },
    send: (data) =>
      new Promise<void>((resolve) => {
        if (socket.readyState !== socket.OPEN) {
          resolve();
          return;
        }
        const isSlow = socket.bufferedAmount > LIMITS.outgoingBytesMax;
        socket.send(data as string, () => {
          // Sent, or gone: either way there is nothing to wait for.
          if (isSlow) resolve();
        });
        if (!isSlow) resolve();
      }),
  };
}
