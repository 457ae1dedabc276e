// SPDX-License-Identifier: GPL-2.0-only
/**
 * How a page gets in: the first message of each side of a WebSocket, before oRPC. In the window there is no handshake: the port is
 * handed over by the main process.
 *
 *   1. The host prints a one-time link  http://127.0.0.1:PORT/#token=LINK
 *   2. The page opens WEB_SOCKET_PATH and sends {"v":1,"token":LINK} as its first message
 *   3. The host answers {"ok":true,"session":SESSION,...} and the link is used up; or {"ok":false,"error":...} and closes
 *   4. The page keeps SESSION (sessionStorage), sends it as the token when it reconnects, and as `Authorization: Bearer SESSION` with
 *      bulk requests
 *
 * Rules: 1. A token is never in a cookie, a path or a query string. 2. A link works once; a session works until the host ends.
 * 3. Nothing but the hello is read before the token was accepted.
 */
import type { HostErrorData } from '../../engine/base/index.ts';

export const PROTOCOL_VERSION = 1;
export const WEB_SOCKET_PATH = '/rpc';
/** Longest hello, in bytes of its text. */
export const HELLO_BYTES_MAX = 1024;

/** Close codes of the WebSocket (4000 and up are ours); `reason` says the same in words. */
export const CLOSE_CODE = {
  /** The host is ending. */
  goingAway: 1001,
  messageTooBig: 1009,
  badHello: 4400,
  tokenRefused: 4401,
  helloTimeout: 4408,
  tooManyMessages: 4429,
} as const;

export interface Hello {
  readonly v: number;
  /** A link's token or a session. */
  readonly token: string;
}
export type HelloAnswer =
  | { readonly ok: true; readonly session: string; readonly version: string }
  | { readonly ok: false; readonly error: HostErrorData };

/** The token in a location's fragment ('#token=...'), or null. */
export function tokenFromFragment(fragment: string): string | null {
  const token = new URLSearchParams(fragment.replace(/^#/, '')).get('token');
  return token === null || token === '' ? null : token;
}

/** What a link ends with. */
export const fragmentOfToken = (token: string): string =>
  `#${new URLSearchParams({ token }).toString()}`;
