// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a command may use of the process it runs in, as a port: tests give a recording one. Rules: 1. Results go to `out`, everything
 * else (progress, notes, errors) to `error`. 2. Nothing is drawn over on a stream that is not a terminal.
 */
import type { Session } from './session.ts';

export interface Terminal {
  /** Of diolab itself. */
  readonly version: string;
  /** Writes and waits while the reader is slow; an ended reader (EPIPE) aborts `signal`. */
  out(data: string | Uint8Array): Promise<void>;
  error(text: string): void;
  /** True where `error` is a terminal that a progress line may be redrawn on. */
  readonly isInteractive: boolean;
  readonly columns: number;
  /** True where `out` is a terminal that shows colours. */
  readonly hasColours: boolean;
  /** Aborted by Ctrl+C, SIGTERM or a closed reader. */
  readonly signal: AbortSignal;
  /** From here on a signal ends the process at once: for work that never returns to the message loop. */
  endAtSignals(): void;
  /** The services in this process, started at the first use and closed by `main`. */
  session(): Promise<Session>;
}

/** One line of text, with its end. */
export const line = (text: string): string => `${text}\n`;
