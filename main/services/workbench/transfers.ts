// SPDX-License-Identifier: GPL-2.0-only
/**
 * What takes long, as a stream that tells how it goes on: at most 20 reports a second, each the latest. Ending the iteration gives it
 * up; what was half done is taken away before the iterator's `return` settles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  LayoutRecipe,
  Place,
  TransferOutcome,
  TransferPart,
} from '../../../engine/lab/workbench.ts';
import type { EngineHost } from '../../host/engine-host.ts';
import { Signal } from '../signal.ts';
import { HostTreeWriter, measureHostTree, readHostTree } from './host-tree.ts';

const REPORT_MS = 50;

export interface Progress {
  readonly file: string;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
}
export type WorkOf<P, O> = (report: (progress: P) => void, signal: AbortSignal) => Promise<O>;
type Work = WorkOf<Progress, TransferOutcome>;
type ReportedEvent<P, O> = ({ readonly kind: 'progress' } & P) | ({ readonly kind: 'done' } & O);

/** Runs the work and yields its reports, then its end. */
export async function* asEvents<P extends object, O extends object>(
  work: WorkOf<P, O>,
  outer?: AbortSignal,
): AsyncGenerator<ReportedEvent<P, O>> {
  const abort = new AbortController();
  const giveUp = (): void => {
    abort.abort();
  };
  outer?.addEventListener('abort', giveUp, { once: true });
  if (outer?.aborted === true) giveUp();
  const changed = new Signal();
  let latest: P | null = null;
  let ended: { readonly outcome: O } | { readonly error: unknown } | null = null;
  const running = work((progress) => {
    latest = progress;
    changed.raise();
  }, abort.signal).then(
    (outcome) => {
      ended = { outcome };
      changed.raise();
    },
    (error: unknown) => {
      ended = { error };
      changed.raise();
    },
  );
  try {
    let seen = 0;
    for (;;) {
      await changed.wait(seen);
      seen = changed.count;
      const end = ended as { readonly outcome: O } | { readonly error: unknown } | null;
      if (end !== null && 'error' in end) throw end.error;
      if (latest !== null) yield { kind: 'progress', ...(latest as P) };
      if (end !== null) {
        yield { kind: 'done', ...end.outcome };
        return;
      }
      // Gathers what comes meanwhile; the end is not held up by more than this.
      await sleep(REPORT_MS);
    }
  } finally {
    giveUp();
    outer?.removeEventListener('abort', giveUp);
    await running;
  }
}

const bytesOf = (part: TransferPart): number =>
  part.kind === 'bytes' ? part.bytes.length : part.kind === 'hole' ? part.lengthBytes : 0;

/** Copies from the host into a place. */
export const putWork =
  (engine: EngineHost, place: Place, hostPath: string, file: string): Work =>
  async (report, signal) => {
    const totalBytes = await measureHostTree(hostPath);
    const parts = readHostTree(hostPath, place.path);
    let doneBytes = 0;
    let current = file;
    const nextPart = async (): Promise<TransferPart | null> => {
      signal.throwIfAborted();
      const next = await parts.next();
      if (next.done === true) return null;
      const part = next.value;
      if (part.kind === 'file') current = part.path === '' ? file : `${file}/${part.path}`;
      doneBytes += bytesOf(part);
      report({ file: current, doneBytes, totalBytes: Math.max(totalBytes, doneBytes) });
      return part;
    };
    try {
      return await engine.sendParts({ ...place, file }, nextPart, signal);
    } finally {
      await parts.return(undefined);
    }
  };

/** Copies out of a place to the host. */
export const getWork =
  (engine: EngineHost, place: Place, file: string, hostPath: string, replace: boolean): Work =>
  async (report, signal) => {
    const writer = new HostTreeWriter(hostPath, replace);
    await writer.check();
    let doneBytes = 0;
    let totalBytes: number | null = null;
    let current = file;
    try {
      const outcome = await engine.receiveParts(
        { name: 'get-tree', ask: { ...place, file } },
        async (part) => {
          signal.throwIfAborted();
          if (part.kind === 'file') {
            current = part.path === '' ? file : `${file}/${part.path}`;
            // Of a single file the size is known; of a folder only as it goes on.
            if (part.path === '') totalBytes = part.sizeBytes;
          }
          await writer.take(part);
          doneBytes += bytesOf(part);
          report({ file: current, doneBytes, totalBytes });
        },
        signal,
      );
      await writer.finish();
      return outcome;
    } catch (error) {
      await writer.undo();
      throw error;
    }
  };

/** Lays files out by a recipe. */
export const layOutWork =
  (engine: EngineHost, place: Place, recipe: LayoutRecipe): Work =>
  (report, signal) =>
    engine.receiveParts(
      { name: 'lay-out', ask: { ...place, recipe } },
      (part) => {
        if (part.kind === 'progress') {
          const { file, doneBytes, totalBytes } = part;
          report({ file, doneBytes, totalBytes });
        }
        return Promise.resolve();
      },
      signal,
    );
