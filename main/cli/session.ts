// SPDX-License-Identifier: GPL-2.0-only
/** What commands ask of the lab: the contract's client, and the content of files inside images, which the contract does not carry. */
import type { LabClient } from '../contract/client.ts';

export interface Session {
  readonly client: LabClient;
  /** Reads a file inside an image; waits for each `onData`. */
  readFile(
    image: string,
    path: string,
    onData: (bytes: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Makes or replaces a file inside an image with what `content` gives. */
  writeFile(
    image: string,
    path: string,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Stops what runs, in the stop order, and closes the store. */
  close(): Promise<void>;
}
