// SPDX-License-Identifier: GPL-2.0-only
/**
 * The run journal: one folder for each run, whose files are each there whole or not at all. The folder is the truth; nothing about a
 * run is kept anywhere else, so any number of processes may work in it at once.
 *
 *   runs/ID/intent.json      before the first write: the experiment and the owner
 *   runs/ID/result.duckdb    the result and its rows (result-file.ts), renamed into place when it is whole and on disk
 *   runs/ID/done.json        how it ended
 *   runs/ID/label.json       a name given later, that it was removed, what was found out about its image
 *
 *   intent --engine starts--> [killed: 'unfinished'] --result.duckdb--> [killed: found again] --done.json--> ended
 *
 * Rules: 1. Only the owner writes intent, result and done. 2. No done and no result, and the owner is gone: unfinished. 3. A result
 * without done is whole (rename is the commit): done is written from it. 4. A removed run is purged at the next start, when the
 * process that removed it is gone.
 */
import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import type { VerifyResult } from '../contract/grounds.ts';
import type { RunListEntry, RunState } from '../contract/types.ts';
import {
  isAlive,
  makeFolder,
  readJson,
  syncFolder,
  thisProcess,
  writeJson,
  type Owner,
} from './durable.ts';

export interface Intent {
  readonly version: 1;
  readonly id: string;
  readonly startedAtUnixMs: number;
  readonly experiment: Experiment;
  readonly owner: Owner;
}
export interface Done {
  readonly version: 1;
  readonly state: Exclude<RunState, 'preparing' | 'running' | 'unfinished'>;
  readonly elapsedNs: number | null;
  readonly summary: RunListEntry['summary'];
  readonly failure: HostErrorData | null;
}
interface Label {
  readonly version: 1;
  readonly name: string | null;
  readonly removedBy: Owner | null;
  /** Absent in labels of before. */
  readonly verify?: VerifyResult | null;
}

/** A run as its folder tells it. */
export interface JournalEntry {
  readonly intent: Intent;
  readonly done: Done | null;
  readonly name: string;
  readonly isRemoved: boolean;
  readonly removedBy: Owner | null;
  readonly verify: VerifyResult | null;
  readonly hasResult: boolean;
  readonly isOwnerAlive: boolean;
}

/** Sorts by time of start; 13 + 1 + 8 characters. */
export function newRunId(unixMs: number): string {
  return `${unixMs.toString(36).padStart(9, '0')}-${randomBytes(5).toString('hex')}`;
}

/** What the list shows of an experiment before there are numbers. */
export function summaryOf(experiment: Experiment): RunListEntry['summary'] {
  const job = experiment.jobs[0];
  return {
    rw: job?.rw ?? 'read',
    blockSizeBytes: job?.blockSizes[0]?.sizeBytes ?? 0,
    ioEngine: job?.ioEngine ?? 'sync',
    ioDepth: job?.ioDepth ?? 1,
    fileSystem: experiment.target.fileSystem.id,
    revision: experiment.revision,
    iops: null,
    bytesPerSecond: null,
    p50Ns: null,
    p99Ns: null,
  };
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export class Journal {
  constructor(private readonly folder: string) {}

  folderOf(id: string): string {
    return join(this.folder, id);
  }
  resultPath(id: string): string {
    return join(this.folder, id, 'result.duckdb');
  }

  /** Writes the intent; when this settles the run may begin to write. */
  async begin(id: string, experiment: Experiment, startedAtUnixMs: number): Promise<Intent> {
    const intent: Intent = { version: 1, id, startedAtUnixMs, experiment, owner: thisProcess() };
    await makeFolder(this.folderOf(id));
    await writeJson(join(this.folderOf(id), 'intent.json'), intent);
    await syncFolder(this.folder);
    return intent;
  }

  async finish(id: string, done: Done): Promise<void> {
    await writeJson(join(this.folderOf(id), 'done.json'), done);
  }

  /** Every run, newest first. A folder without an intent is none: it was killed before it began. */
  async entries(): Promise<JournalEntry[]> {
    const names = await readdir(this.folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
    const found = await Promise.all(names.map((name) => this.read(name)));
    return found
      .filter((entry) => entry !== null)
      .sort((a, b) => b.intent.startedAtUnixMs - a.intent.startedAtUnixMs);
  }

  /** One run; a `HostError` where there is none (or it was removed and purged). */
  async entry(id: string): Promise<JournalEntry> {
    const entry = await this.read(id);
    if (entry === null) {
      throw new HostError({
        code: 'run.unknown',
        message: `There is no run ${id}`,
        where: id,
        hint: 'It may have been removed; the list of runs shows what there is.',
        exitCode: 66,
      });
    }
    return entry;
  }

  async label(
    id: string,
    change: {
      readonly name?: string;
      readonly isRemoved?: boolean;
      readonly verify?: VerifyResult;
    },
  ): Promise<void> {
    const entry = await this.entry(id);
    const isRemoved = change.isRemoved ?? entry.isRemoved;
    await writeJson(join(this.folderOf(id), 'label.json'), {
      version: 1,
      name: change.name ?? entry.name,
      removedBy: isRemoved ? (entry.removedBy ?? thisProcess()) : null,
      verify: change.verify ?? entry.verify,
    } satisfies Label);
  }

  /** Deletes what was removed by processes that are gone, and what never began. Call once at the start. */
  async purge(): Promise<void> {
    for (const name of await readdir(this.folder).catch(() => [])) {
      const entry = await this.read(name);
      const isForgotten =
        entry === null
          ? await this.isLeftOver(name)
          : entry.isRemoved &&
            !entry.isOwnerAlive &&
            !isAlive(entry.removedBy ?? entry.intent.owner);
      if (isForgotten) await rm(this.folderOf(name), { recursive: true, force: true });
    }
  }

  /** A folder of ours without an intent, old enough that nobody is about to write one. */
  private async isLeftOver(name: string): Promise<boolean> {
    if (!/^[0-9a-z]{9}-[0-9a-f]{10}$/.test(name)) return false;
    const { mtimeMs } = await stat(this.folderOf(name)).catch(() => ({ mtimeMs: Infinity }));
    return Date.now() - mtimeMs > 60_000;
  }

  private async read(id: string): Promise<JournalEntry | null> {
    const folder = this.folderOf(id);
    const [intent, done, label, hasResult] = (await Promise.all([
      readJson(join(folder, 'intent.json')),
      readJson(join(folder, 'done.json')),
      readJson(join(folder, 'label.json')),
      isThere(this.resultPath(id)),
    ])) as [Intent | null, Done | null, Label | null, boolean];
    if (intent === null) return null;
    return {
      intent,
      done,
      name: label?.name ?? intent.experiment.name,
      isRemoved: (label?.removedBy ?? null) !== null,
      removedBy: label?.removedBy ?? null,
      verify: label?.verify ?? null,
      hasResult,
      isOwnerAlive: done === null && isAlive(intent.owner),
    };
  }
}
