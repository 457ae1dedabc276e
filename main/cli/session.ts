// SPDX-License-Identifier: GPL-2.0-only
/** What commands ask of the lab: the contract's client, and what a terminal may do beyond it. */
import type { ExportFormat } from '../contract/bulk.ts';
import type { LabClient } from '../contract/client.ts';
import type { MakeImage } from '../services/index.ts';

export interface Session {
  readonly client: LabClient;
  /** Makes an image; `replaceExisting` puts it in the place of a regular file that nobody uses. */
  makeImage(
    ask: MakeImage,
    how: {
      readonly replaceExisting: boolean;
      readonly signal: AbortSignal;
      readonly onNotes?: (notes: readonly string[]) => void;
    },
  ): Promise<void>;
  /** Reads a file inside an image; waits for each `onData`, and ends where that rejects. */
  readFile(
    image: string,
    path: string,
    onData: (bytes: Uint8Array) => Promise<void>,
    partition: number | null,
  ): Promise<void>;
  /** Makes or replaces a file inside an image with what `content` gives. */
  writeFile(
    image: string,
    path: string,
    content: AsyncIterable<Uint8Array>,
    consent: boolean,
    partition: number | null,
  ): Promise<void>;
  /** A run in one of the formats; waits for each `onData`. */
  exportRun(
    runId: string,
    format: ExportFormat,
    onData: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void>;
  /** Stops what runs, in the stop order, and closes the store. */
  close(): Promise<void>;
}
