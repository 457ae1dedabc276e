// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the page needs of a connection to the services, whatever carries it. Rules: 1. Stores and views see only these types.
 * 2. A lost connection heals by itself; whoever holds a stream starts it again when the state is 'open' again.
 */
import { hostErrorOf, type LabClient } from '../../main/contract/client.ts';
import type { Experiment, HostErrorData } from '../../main/contract/index.ts';
import type { OpenedDocument } from '../../main/contract/window.ts';

export type { LabClient };
/** 'refused': this page has no right to talk to the host (no token, or a stale one); trying again does not help. */
export type ConnectionState = 'connecting' | 'open' | 'lost' | 'refused';

export interface Connection {
  readonly client: LabClient;
  /** Calls back at once with the present state, then at every change. Returns what ends it. */
  onState(listener: (state: ConnectionState) => void): () => void;
  /** Plain fetch of a path of `bulk.ts`, or `content` sent there. A refusal rejects with the host's error. */
  fetchBulk(path: string, signal?: AbortSignal, content?: Blob): Promise<Response>;
  /** The path on disk of a dropped file; null where the page cannot know (a browser). */
  pathOfFile(file: File): string | null;
  /** The native open-file dialog, which gives a path or null; absent in a browser. */
  readonly openImage: (() => Promise<string | null>) | null;
  /** The system's or the browser's dialog for an experiment or a fio job; null where it was closed. */
  openExperiment(): Promise<OpenedDocument | null>;
  /** What comes from outside of the page: documents, and commands of the menu by id. Both absent in a browser. */
  readonly outside: {
    onDocument(listener: (document: OpenedDocument) => void): void;
    onCommand(listener: (id: string) => void): void;
  } | null;
}

/** An experiment as the client's types want it: they have no `readonly`, and change nothing. */
export type SentExperiment = Parameters<LabClient['runs']['start']>[0];
export const asSent = (experiment: Experiment): SentExperiment => experiment;

/** Whatever was thrown, as data to show: the host's own words where it spoke. */
export const asHostError = (error: unknown): HostErrorData => hostErrorOf(error);
