// SPDX-License-Identifier: GPL-2.0-only
/**
 * Who may come in. A link is good once and becomes a session; a session is good until the host ends. Both are 256 random bits; only
 * their hashes are kept, and they are compared without a difference in time.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const TOKEN_BYTES = 32;
/** Links that nobody has used yet, and sessions; the oldest goes first. */
const LINKS_MAX = 16;
const SESSIONS_MAX = 64;

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();
const newToken = (): string => randomBytes(TOKEN_BYTES).toString('base64url');

function indexOf(hashes: readonly Buffer[], token: string): number {
  const hash = hashOf(token);
  let found = -1;
  // All are looked at, whatever the first match.
  for (const [index, one] of hashes.entries()) if (timingSafeEqual(one, hash)) found = index;
  return found;
}

function keepAtMost(hashes: Buffer[], most: number): void {
  if (hashes.length > most) hashes.splice(0, hashes.length - most);
}

export class Tokens {
  private readonly links: Buffer[] = [];
  private readonly sessions: Buffer[] = [];

  /** A new one-time link's token. */
  makeLink(): string {
    const token = newToken();
    this.links.push(hashOf(token));
    keepAtMost(this.links, LINKS_MAX);
    return token;
  }

  /** The session for a link's token, which is used up, or for a session's, which goes on; null: neither. */
  enter(token: string): string | null {
    if (indexOf(this.sessions, token) >= 0) return token;
    const link = indexOf(this.links, token);
    if (link < 0) return null;
    this.links.splice(link, 1);
    const session = newToken();
    this.sessions.push(hashOf(session));
    keepAtMost(this.sessions, SESSIONS_MAX);
    return session;
  }

  isSession(token: string): boolean {
    return indexOf(this.sessions, token) >= 0;
  }
}
